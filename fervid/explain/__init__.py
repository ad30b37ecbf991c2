"""Explanations of an answer: which stream, frames, pixels and landmarks carried it."""

from fervid.explain.gradients import Explanation, Share, explain
from fervid.explain.window import FaceWindow, window_at
