"""Explanations of an answer: the contributions of streams, frames, pixels and landmarks to it."""

from fervid.explain.gradients import Explanation, Share, explain
from fervid.explain.window import FaceWindow, window_at
