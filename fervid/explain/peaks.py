"""Explanations of the peaks of a timeline, each for the peak's emotion, for a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np

from fervid import analysis
from fervid.explain.gradients import Explanation, explain
from fervid.explain.picture import tiles
from fervid.explain.window import AFTER, BEFORE, FaceWindow, rows_of, window_of_track
from fervid.model import load_exactly
from fervid.types import Curve, Floats, Peak, Rows, Settings, Status, Video

# Regions of the face -> landmarks.
REGIONS = {
    "jaw": range(17),
    "brows": range(17, 27),
    "nose": range(27, 36),
    "eyes": range(36, 48),
    "mouth": range(48, 68),
}
TILES, SIDE, QUALITY = 4, 112, 70  # of a picture: frames in two rows, pixels, and quality of the JPEG


@dataclass(frozen=True)
class PeakExplanation:
    """The contributions to the answer at a peak."""

    streams: Mapping[str, float]  # contributions to the logit, including the constant part of each stream
    regions: Mapping[str, float]  # of the landmarks
    picture: bytes  # JPEG


def explain_peaks(
    video: Video,
    settings: Settings,
    model: str,
    peaks: Sequence[Peak],
    curves: Mapping[int, Curve],
    tick: Callable[[], None] = lambda: None,
) -> dict[tuple[int, int, str], PeakExplanation]:
    """Return the explanation of each peak, by apex, track and emotion.

    Only the seconds around the peaks are analyzed again. A peak without a readable face there is left out.
    """
    net, reasons = load_exactly(model), {}
    for start, end, group in stretches(video, settings, peaks):
        part = replace(settings, start=start, end=end, people=False)
        rate = 1 / video.time_base if video.container == "stills" else None
        with analysis.start(
            video.path, model=model, settings=part, rotate=video.rotate, frame_rate=rate, crops=True
        ) as run:
            rows = rows_of(run)
            for peak in group:
                track = _track_at(rows, peak.apex, curves[peak.track].hull)
                if track is not None:
                    moment = window_of_track(run, rows, peak.apex, track)
                    explanation = explain(net, moment.window, moment.neutral, only=peak.emotion)
                    reasons[peak.apex, peak.track, peak.emotion] = _why(explanation, moment, peak.emotion)
                tick()
    return reasons


def stretches(
    video: Video, settings: Settings, peaks: Sequence[Peak]
) -> Iterator[tuple[Fraction, Fraction, list[Peak]]]:
    """Yield, in order, ranges of seconds that cover the time around each peak, and the peaks in them."""
    first = settings.start or Fraction(0)
    last = video.duration * video.time_base if settings.end is None else settings.end
    group: list[Peak] = []
    start = end = Fraction(0)
    for peak in sorted(peaks, key=lambda peak: peak.apex):
        at = (peak.apex - video.start) * video.time_base
        low, high = max(first, at - BEFORE), min(last, at + AFTER)
        if group and low > end:
            yield start, end, group
            group = []
        if not group:
            start = low
        group.append(peak)
        end = high
    if group:
        yield start, end, group


def _track_at(rows: Rows, at: int, hull: Floats) -> int | None:
    """Return the track of a readable face in a hull, in the frame nearest to a pts; None if there is none."""
    readable = np.flatnonzero((rows.track >= 0) & (rows.status == Status.OK))
    middles = rows.box[readable, :2] + rows.box[readable, 2:] / 2
    inside = ((middles >= hull[:2]) & (middles <= hull[:2] + hull[2:])).all(axis=1)
    if not inside.any():
        return None
    late = np.abs(rows.pts[readable] - at)
    away = np.linalg.norm(middles - (hull[:2] + hull[2:] / 2), axis=1)
    nearest = inside & (late == late[inside].min())
    return int(rows.track[readable[np.where(nearest, away, np.inf).argmin()]])


def _why(explanation: Explanation, moment: FaceWindow, label: str) -> PeakExplanation:
    shares, points = explanation.shares[label], explanation.by_landmark(label)
    drawn = tiles(explanation, moment.window, label, TILES, SIDE)
    half = TILES // 2
    picture = np.concatenate([np.concatenate(drawn[:half], axis=1), np.concatenate(drawn[half:], axis=1)])
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return PeakExplanation(
        {name: share.total for name, share in shares.items()},
        {} if points is None else {name: float(points[list(own)].sum()) for name, own in REGIONS.items()},
        jpeg.tobytes(),
    )
