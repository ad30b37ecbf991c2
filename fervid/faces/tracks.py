"""Tracks within a shot: faces followed from frame to frame, smoothed, with pose and quality.

`follow` assigns faces to tracks while frames pass; `collect` turns its observations into `Track`s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from fervid.faces import shape
from fervid.faces.detection import Search
from fervid.faces.scene import Finder, Scene, Sighting
from fervid.types import READABLE, Bytes, Floats, Frame, Ints, Settings, Status, Track, Video

DETECT_EVERY = Fraction(1, 5)  # seconds
DETECT_EVERY_HEALTHY = Fraction(1, 2)  # seconds, while every face on screen is followed well
# Between searches at every angle. A shot without an upright face begins with a full one.
FULL_EVERY, QUICK_EVERY = Fraction(4), Fraction(2)  # seconds, while there is no face
QUICK_EVERY_BESIDE = Fraction(6)  # seconds, beside a face
BRIDGE = 1.0  # seconds for which a lost face keeps its identity

SMOOTH_REACH = 3  # frames on either side
SMOOTH_SECONDS = 0.15  # and no further than this, so that little is smoothed at low frame rates

# Quality is a product of four factors, each 0 at the first figure and 1 at the second. Size and sharpness
# were chosen on portraits outside the training set: accuracy from 12 pixels on is as at 50, and is lower only
# in the least sharp tenth.
SIZE = (6.0, 16.0)  # pixels between the eyes
SHARPNESS = (3.0, 12.0)  # variance of the crop's Laplacian at unit contrast, times 1000
TURN = (60.0, 35.0)  # degrees away from the camera
JITTER = (0.10, 0.03)  # eye distances between a landmark and its smoothed position, root mean square


@dataclass(frozen=True, eq=False)
class Observed:
    """One frame after following: its faces, or flags for why it has none."""

    pts: int
    sampled: bool
    repeated: bool
    cut: bool
    faces: tuple[Sighting, ...] = ()


class Grid:
    """Multiples of a step of stream time, to find the first frame at or after each."""

    def __init__(self, video: Video, step: Fraction) -> None:
        self._start, self._ticks = video.start, step / video.time_base
        self._cell: int | None = None

    def passed(self, pts: int) -> bool:
        """Return whether a multiple is in (frame before, this frame]; True for the first frame."""
        cell = (pts - self._start) * self._ticks.denominator // self._ticks.numerator
        passed = self._cell is None or cell > self._cell
        self._cell = cell
        return passed


def follow(video: Video, frames: Iterable[Frame], finder: Finder, settings: Settings) -> Iterator[Observed]:
    """Yield each frame with its faces and their tracks; tracks end at cuts."""
    scene = Scene(finder, settings.faces == "largest", video.length(BRIDGE))
    usual, seldom = Grid(video, DETECT_EVERY), Grid(video, DETECT_EVERY_HEALTHY)
    full, quick, quick_beside = (Grid(video, step) for step in (FULL_EVERY, QUICK_EVERY, QUICK_EVERY_BESIDE))
    sample = None if settings.sample_fps is None else Grid(video, 1 / settings.sample_fps)
    # Detection that waits for a sampled frame, what for, and a shot without any.
    is_due, search, is_new = True, Search.UPRIGHT, True
    for frame in frames:
        if frame.cut:
            scene.cut()
        passed, passed_seldom = usual.passed(frame.pts), seldom.passed(frame.pts)
        passed_full, passed_quick, passed_beside = (
            grid.passed(frame.pts) for grid in (full, quick, quick_beside)
        )
        if passed_full and not scene.live:
            search = Search.FULL
        elif passed_beside if scene.live else passed_quick:
            search = max(search, Search.QUICK)
        is_new |= frame.cut
        is_due |= search > Search.UPRIGHT or is_new or (passed_seldom if scene.is_well else passed)
        sampled = sample is None or sample.passed(frame.pts)
        if not sampled or frame.repeated:
            yield Observed(frame.pts, sampled, frame.repeated, frame.cut)
            continue
        scene.move(frame)
        if is_due:
            scene.detect(frame, search)
            # Most shots show an upright face, which takes an eleventh of the time to find.
            if is_new and search < Search.FULL and not scene.live:
                scene.detect(frame, Search.FULL)
            is_due, search, is_new = False, Search.UPRIGHT, False
        sightings = tuple(face.sighting() for face in sorted(scene.live, key=lambda face: face.track))
        yield Observed(frame.pts, True, False, frame.cut, sightings)


@dataclass(frozen=True, eq=False)
class Followed:
    """A finished track of one `follow`, with its crops."""

    track: Track
    crops: Bytes  # (N, S, S)


def collect(video: Video, observed: Iterable[Observed]) -> list[Followed]:
    """Return the tracks of the observed frames, smoothed, with pose and quality."""
    rows: dict[int, list[tuple[int, Sighting]]] = defaultdict(list)
    for frame in observed:
        for face in frame.faces:
            rows[face.track].append((frame.pts, face))
    return [_finish(video, number, faces) for number, faces in sorted(rows.items())]


def _finish(video: Video, number: int, faces: list[tuple[int, Sighting]]) -> Followed:
    pts = np.array([pts for pts, _ in faces], np.int64)
    raw = np.stack([face.landmarks for _, face in faces])
    crops = np.stack([face.crop for _, face in faces])
    landmarks = smooth(pts, raw, video.length(SMOOTH_SECONDS))
    pose = shape.head_pose(landmarks)
    distance = shape.eye_distance(landmarks)
    off = np.sqrt(np.square(raw - landmarks)[:, 17:].sum(-1).mean(-1)) / np.maximum(distance, 1)
    quality = (
        _ramp(distance, *SIZE)
        * _ramp(_sharpness(crops), *SHARPNESS)
        * _ramp(np.hypot(pose[:, 0], pose[:, 1]), *TURN)
        * _ramp(off, *JITTER)
        * ~np.array([face.is_turned for _, face in faces])
    ).astype(np.float32)
    status = np.where(quality >= READABLE, Status.OK, Status.LOW_QUALITY).astype(np.uint8)
    boxes = np.stack([face.box for _, face in faces]).astype(np.float32)
    return Followed(Track(number, pts, boxes, landmarks, pose, quality, status), crops)


def _ramp(values: Floats, worse: float, better: float) -> Floats:
    return np.clip((values - worse) / (better - worse), 0, 1).astype(np.float32)


def _sharpness(crops: Bytes) -> Floats:
    figures = []
    for crop in crops:
        picture = crop.astype(np.float32)
        picture = (picture - picture.mean()) / max(float(picture.std()), 8.0)
        figures.append(1000 * float(cv2.Laplacian(picture, cv2.CV_32F).var()) / 4)
    return np.array(figures, np.float32)


def smooth(pts: Ints, landmarks: Floats, reach: int) -> Floats:
    """Smooth landmarks (N, 68, 2) by a local quadratic (Savitzky-Golay), without delay.

    The fit reaches SMOOTH_REACH frames and at most `reach` ticks to either side; with fewer than five frames,
    the point stays as measured.
    """
    count = len(pts)
    flat = landmarks.reshape(count, -1).astype(np.float64)
    result = flat.copy()
    offsets = np.arange(-SMOOTH_REACH, SMOOTH_REACH + 1)
    rows = np.arange(count)[:, None] + offsets  # (N, 7)
    inside = (rows >= 0) & (rows < count)
    rows = rows.clip(0, count - 1)
    away = (pts[rows] - pts[:, None]).astype(np.float64)  # (N, 7) ticks
    weight = (inside & (np.abs(away) <= reach)).astype(np.float64)
    enough = (weight.sum(1) >= 5) & (weight[:, :SMOOTH_REACH].any(1)) & (weight[:, SMOOTH_REACH + 1 :].any(1))
    if enough.any():
        scaled = away[enough] / max(reach, 1)
        basis = np.stack([np.ones_like(scaled), scaled, scaled**2], axis=2)  # (M, 7, 3)
        weighted = basis * weight[enough][:, :, None]
        # The fitted value at zero is the first coefficient: one row of the pseudo-inverse per frame.
        normal = np.einsum("mki,mkj->mij", weighted, basis)
        kernel = np.einsum("mi,mki->mk", np.linalg.inv(normal)[:, 0], weighted)  # (M, 7)
        result[enough] = np.einsum("mk,mkd->md", kernel, flat[rows[enough]])
    return result.reshape(landmarks.shape).astype(np.float32)
