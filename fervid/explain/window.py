"""The window of a face around a moment of a video, from an analysis of that part of the video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fervid.analysis import Run
from fervid.clips import NEUTRAL_SECONDS, Face, Window, neutral
from fervid.errors import InputError
from fervid.types import Floats, Rows, Status, Track

BEFORE = Fraction(10)  # seconds before the moment that are analyzed: the neutral face is estimated from them
AFTER = Fraction(1)  # seconds after it


@dataclass(frozen=True, eq=False)
class FaceWindow:
    """A window of a face, and the person's face at rest."""

    window: Window
    neutral: Floats  # (68, 2)
    seconds: float  # the middle of the window


def window_at(run: Run, seconds: Fraction, number: int = 1) -> FaceWindow:
    """Return the window around a moment, of the `number`th largest face.

    The run needs `crops=True`, and settings that cover the moment.
    """
    rows = rows_of(run)
    at = run.video.ticks(seconds)
    return window_of_track(run, rows, at, _chosen(rows, at, number, float(seconds)))


def rows_of(run: Run) -> Rows:
    """Return the rows of all frames of a run."""
    for _ in run.segments():  # runs the analysis
        pass
    parts = list(run.rows())
    return Rows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _NAMES})


def window_of_track(run: Run, rows: Rows, at: int, track: int) -> FaceWindow:
    """Return the window of a track that is nearest to a pts."""
    video, own = run.video, rows.track == track
    crops = [crops for crops in run.crops() if crops.track == track]
    face = Face.of_track(video, _track(rows, own, track), np.concatenate([part.faces for part in crops]))
    centres = face.centres()
    window = next(face.windows(centres[[int(np.abs(centres - at).argmin())]]))
    return FaceWindow(window, _at_rest(face), video.seconds(window.centre))


_NAMES = tuple(Rows.__dataclass_fields__)


def _chosen(rows: Rows, at: int, number: int, seconds: float) -> int:
    """Return the track of the `number`th largest readable face in the frame nearest to a moment."""
    readable = (rows.track >= 0) & (rows.status == Status.OK)
    if not readable.any():
        raise InputError(f"no face can be read around {seconds:g} s: give another --at")
    nearest = rows.pts[readable][np.abs(rows.pts[readable] - at).argmin()]
    shown = np.flatnonzero(readable & (rows.pts == nearest))
    if number > len(shown):
        raise InputError(f"{seconds:g} s shows {len(shown)} readable faces: give --face 1 to {len(shown)}")
    largest = np.argsort(-rows.box[shown, 2] * rows.box[shown, 3], kind="stable")
    return int(rows.track[shown[largest[number - 1]]])


def _at_rest(face: Face) -> Floats:
    """Return the face at rest, from the first seconds of the track, as an analysis does."""
    young = (face.pts - face.pts[0]) * float(face.clock.time_base) < NEUTRAL_SECONDS
    young &= face.quality > 0  # other frames have no landmarks of their own
    return neutral(face.clock, face.pts[young], face.upright[young])


def _track(rows: Rows, own: np.ndarray, number: int) -> Track:
    names = ("pts", "box", "landmarks", "pose", "quality", "status")
    return Track(number, **{name: getattr(rows, name)[own] for name in names})
