"""The picture of a person: a sharp, large face that is turned to the camera, with open eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fervid.faces import shape
from fervid.faces.finder import PORTRAIT_EYES
from fervid.types import READABLE, Array, Bytes, Floats, Ints, Track, check

TURN = 20.0  # degrees of yaw and pitch at which the score falls to 61 %
ROLL = 0.5  # the weight of a degree of roll, which turns the face but hides nothing of it
# Openings of the eyes, as shares of the track's median, at which the score is least and full.
SHUT, OPEN = 0.5, 0.9
LEAST = 0.1  # the factor of a score for shut eyes: such a picture is better than none
SHARP = 100.0  # variance of a portrait's Laplacian at which sharpness gives half of its score


@dataclass(frozen=True, eq=False)
class Picture:
    """Where a track shows its person best."""

    pts: int
    box: Floats  # (4,)
    score: float  # 0 .. 1

    def __post_init__(self) -> None:
        check("box", self.box, (4,), np.float32)


def choose(track: Track, rows: Ints, portraits: Sequence[Bytes]) -> Picture | None:
    """Return the best picture among a track's `rows`, given their portraits; None if none is readable."""
    if len(rows) == 0:
        return None
    scores = score(track, rows, portraits)
    row = int(scores.argmax())
    if scores[row] < 0:
        return None
    return Picture(int(track.pts[rows[row]]), track.box[rows[row]], float(scores[row]))


def score(track: Track, rows: Ints, portraits: Sequence[Bytes]) -> Floats:
    """Return how well each of a track's `rows` shows the face (N,), -1 where it cannot be read."""
    turn = np.linalg.norm(track.pose[rows] * [1, 1, ROLL], axis=1)  # of yaw, pitch, roll
    size = np.sqrt(np.clip(shape.eye_distance(track.landmarks[rows]) / PORTRAIT_EYES, 0, 1))
    sharp = np.array([sharpness(portrait) for portrait in portraits])
    scores = track.quality[rows] * size * np.exp(-((turn / TURN) ** 2) / 2) * sharp / (sharp + SHARP)
    readable = track.quality >= READABLE
    if readable.any():
        # People's eyes differ: compare with the median of the track, which is mostly without blinks.
        usual = max(float(np.median(eye_opening(track.landmarks[readable]))), 1e-6)
        share = eye_opening(track.landmarks[rows]) / usual
        scores = scores * np.clip((share - SHUT) / (OPEN - SHUT), LEAST, 1)
    return np.where(readable[rows], scores, -1).round(6).astype(np.float32)  # ties on every machine


def eye_opening(landmarks: Floats) -> Array:
    """Return the distance of the lids over the width of the eyes, for landmarks (..., 68, 2)."""
    openings = []
    for eye in (shape.RIGHT_EYE, shape.LEFT_EYE):
        points = landmarks[
            ..., eye, :
        ]  # (..., 6, 2) outer or inner corner, upper lid, other corner, lower lid
        lids = np.linalg.norm(points[..., [1, 2], :] - points[..., [5, 4], :], axis=-1).mean(-1)
        width = np.linalg.norm(points[..., 0, :] - points[..., 3, :], axis=-1)
        openings.append(lids / np.maximum(width, 1e-6))
    return np.mean(openings, axis=0)


def sharpness(portrait: Bytes) -> float:
    """Return the variance of a portrait's Laplacian: small where it is blurred."""
    return float(cv2.Laplacian(portrait, cv2.CV_32F).var())
