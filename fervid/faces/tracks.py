"""Tracks within a shot: faces followed from frame to frame, smoothed, with pose and quality.

`follow` assigns faces to tracks while frames pass; `collect` turns its observations into `Track`s. No
decision depends on frames more than a second away, so that spans which overlap by a second agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import permutations
from math import perm
from typing import Protocol

import cv2
import numpy as np

from fervid.faces import shape
from fervid.types import READABLE, Bytes, Floats, Frame, Ints, Settings, Status, Track, Video

DETECT_EVERY = Fraction(2, 5)  # seconds
DETECT_EVERY_HEALTHY = Fraction(1)  # seconds, while every face on screen is followed well
BRIDGE = 1.0  # seconds for which a lost face keeps its identity

SAME = 0.3  # overlap (intersection over union) from which a detection is the face that is followed
FEW = 1000  # up to this number of assignments, all are tried
COLLISION = 0.55  # overlap from which two followed faces are one
NEWCOMER = 1.3  # with `faces="largest"`: how many times larger a newcomer must be to take over

RECOGNISED = 0.4  # correlation plus overlap from which a new face is one that was lost
LIKE = 0.6  # correlation with the face as last confirmed, below which it is verified
MOST_MISFIT = 0.30  # eye distances: no real face, turned or expressive, is further from the mean face
MOST_GROWTH = 1.25  # the most that a face's size changes from one frame to the next
MOST_STEP = 0.75  # eye distances that a face moves within one frame at most
SMALLEST = 5.0  # pixels between the eyes

SMOOTH_REACH = 3  # frames on either side
SMOOTH_SECONDS = 0.15  # and no further than this, so that little is smoothed at low frame rates

# Quality is a product of four factors, each 0 at the first figure and 1 at the second. Size and sharpness
# were chosen on portraits outside the training set: accuracy from 12 pixels on is as at 50, and is lower only
# in the least sharp tenth.
SIZE = (6.0, 16.0)  # pixels between the eyes
SHARPNESS = (3.0, 12.0)  # variance of the crop's Laplacian at unit contrast, times 1000
TURN = (60.0, 35.0)  # degrees away from the camera
JITTER = (0.10, 0.03)  # eye distances between a landmark and its smoothed position, root mean square


class Finder(Protocol):
    """The methods of `FaceFinder` that following needs."""

    def detect(self, luma: Bytes) -> list[tuple[Floats, float]]: ...
    def verify(self, luma: Bytes, landmarks: Floats) -> bool: ...
    def fit(self, luma: Bytes, box: Floats) -> Floats: ...
    def follow(self, luma: Bytes, landmarks: Floats) -> Floats: ...
    def crop(self, luma: Bytes, landmarks: Floats) -> Bytes: ...
    def box(self, landmarks: Floats) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Sighting:
    """One followed face in one frame."""

    track: int  # counted within one call of `follow`
    landmarks: Floats  # (68, 2)
    box: Floats  # (4,)
    crop: Bytes  # (S, S)


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


@dataclass
class _Live:
    """A face that is being followed."""

    track: int
    landmarks: Floats
    box: Floats
    crop: Bytes
    like: Floats  # the crop as last confirmed, normalised
    seen: int  # pts of the last frame in which it was seen
    healthy: bool = True

    def sighting(self) -> Sighting:
        return Sighting(self.track, self.landmarks, self.box, self.crop)


@dataclass
class _Scene:
    """The state of the current shot."""

    finder: Finder
    only_largest: bool
    bridge: int  # ticks
    live: list[_Live] = field(default_factory=list)
    lost: list[_Live] = field(default_factory=list)
    count: int = 0

    def cut(self) -> None:
        self.live, self.lost = [], []

    def move(self, frame: Frame) -> None:
        """Follow every face from the frame before into this one; drop those that drifted."""
        kept: list[_Live] = []
        for face in self.live:
            landmarks = self.finder.follow(frame.luma, face.landmarks)
            crop = self.finder.crop(frame.luma, landmarks)
            similarity = float((_normalised(crop) * face.like).mean())
            face.healthy = similarity >= LIKE
            plausible = _plausible(face.landmarks, landmarks, frame.luma)
            if plausible and (face.healthy or self.finder.verify(frame.luma, landmarks)):
                face.landmarks, face.crop = landmarks, crop
                face.box, face.seen = self.finder.box(landmarks), frame.pts
                kept.append(face)
            else:
                self.lost.append(face)
        self.live = kept
        self._part_collisions()
        self.lost = [face for face in self.lost if frame.pts - face.seen <= self.bridge]

    def _part_collisions(self) -> None:
        """Drop one of two followed faces that became one: the less similar to its confirmed face."""
        for first in list(self.live):
            for second in list(self.live):
                if first.track >= second.track or first not in self.live or second not in self.live:
                    continue
                if overlap(first.box[None], second.box[None])[0, 0] > COLLISION:
                    similarity = [float((_normalised(f.crop) * f.like).mean()) for f in (first, second)]
                    loser = first if similarity[0] < similarity[1] else second
                    self.live.remove(loser)
                    self.lost.append(loser)

    def detect(self, frame: Frame) -> None:
        """Match the followed faces with new detections; add the faces that are new."""
        detections = self.finder.detect(frame.luma)
        boxes = np.array([box for box, _ in detections], np.float32).reshape(-1, 4)
        matched = match(boxes, np.array([face.box for face in self.live], np.float32).reshape(-1, 4))
        for detected, index in matched:
            face = self.live[index]
            # Landmarks are fitted again from this frame alone and forget earlier ones, so that spans which
            # began at other frames agree from here on.
            landmarks = self.finder.fit(frame.luma, boxes[detected])
            if _plausible(face.landmarks, landmarks, frame.luma):
                face.landmarks, face.box = landmarks, self.finder.box(landmarks)
                face.crop = self.finder.crop(frame.luma, landmarks)
            face.healthy, face.like = True, _normalised(face.crop)
        confirmed = {index for _, index in matched}
        for index, face in enumerate(list(self.live)):
            if index not in confirmed:
                face.healthy = False
                if not self.finder.verify(frame.luma, face.landmarks):
                    self.live.remove(face)
                    self.lost.append(face)
        taken = {detected for detected, _ in matched}
        for detected, box in enumerate(boxes):
            if detected not in taken:
                self._add(frame, box)
        if self.only_largest:
            self._keep_largest()

    def _add(self, frame: Frame, box: Floats) -> None:
        landmarks = self.finder.fit(frame.luma, box)
        crop, own = self.finder.crop(frame.luma, landmarks), self.finder.box(landmarks)
        if not _sane(landmarks, frame.luma):
            return
        if self.live and overlap(own[None], np.array([face.box for face in self.live])).max() > COLLISION:
            return  # a second detection of a face that is already followed
        like = _normalised(crop)
        lost = self._find_lost(own, like)
        if lost is None:
            track, self.count = self.count, self.count + 1
        else:
            self.lost.remove(lost)
            track = lost.track
        self.live.append(_Live(track, landmarks, own, crop, like, frame.pts))

    def _find_lost(self, box: Floats, like: Floats) -> _Live | None:
        """Return the lost face that a new one continues: near where it was lost, and similar."""

        def score(face: _Live) -> float:
            return float((like * face.like).mean()) + float(overlap(box[None], face.box[None])[0, 0])

        side = max(float(box[2]), 1.0)
        near = [
            face
            for face in self.lost
            if np.hypot(*(box[:2] + box[2:] / 2 - face.box[:2] - face.box[2:] / 2)) < 1.5 * side
            and 0.6 < face.box[2] / side < 1.7
        ]
        best = max(near, key=lambda face: (score(face), -face.track), default=None)
        return best if best is not None and score(best) > RECOGNISED else None

    def _keep_largest(self) -> None:
        if len(self.live) > 1:
            eldest = min(self.live, key=lambda face: face.track)
            largest = max(self.live, key=lambda face: (float(face.box[2]), -face.track))
            self.live = [largest if largest.box[2] > NEWCOMER * eldest.box[2] else eldest]


def follow(video: Video, frames: Iterable[Frame], finder: Finder, settings: Settings) -> Iterator[Observed]:
    """Yield each frame with its faces and their tracks; tracks end at cuts."""
    scene = _Scene(finder, settings.faces == "largest", video.length(BRIDGE))
    usual, seldom = Grid(video, DETECT_EVERY), Grid(video, DETECT_EVERY_HEALTHY)
    sample = None if settings.sample_fps is None else Grid(video, 1 / settings.sample_fps)
    due = True  # detection that waits for a sampled frame
    for frame in frames:
        if frame.cut:
            scene.cut()
        is_due, is_due_healthy = usual.passed(frame.pts), seldom.passed(frame.pts)
        due = due or frame.cut or (is_due_healthy if _all_well(scene) else is_due)
        sampled = sample is None or sample.passed(frame.pts)
        if not sampled or frame.repeated:
            yield Observed(frame.pts, sampled, frame.repeated, frame.cut)
            continue
        scene.move(frame)
        if due:
            scene.detect(frame)
            due = False
        sightings = tuple(face.sighting() for face in sorted(scene.live, key=lambda face: face.track))
        yield Observed(frame.pts, True, False, frame.cut, sightings)


def _all_well(scene: _Scene) -> bool:
    # A face that was just lost may come back at any frame, and keeps its track only if it is detected in
    # time.
    return bool(scene.live) and not scene.lost and all(face.healthy for face in scene.live)


def _normalised(crop: Bytes) -> Floats:
    small = cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (small - small.mean()) / max(float(small.std()), 1.0)


def _sane(landmarks: Floats, luma: Bytes) -> bool:
    """Return whether these points can be a face in this picture."""
    distance = float(shape.eye_distance(landmarks[None])[0])
    middle = landmarks[17:].mean(0)
    inside = bool((middle >= 0).all() and middle[0] < luma.shape[1] and middle[1] < luma.shape[0])
    return inside and distance >= SMALLEST and float(shape.misfit(landmarks[None])[0]) < MOST_MISFIT


def _plausible(before: Floats, now: Floats, luma: Bytes) -> bool:
    """Return whether a face can move from `before` to `now` within one frame."""
    if not _sane(now, luma):
        return False
    spread = [float(np.sqrt(points[17:].var(0).sum())) for points in (before, now)]
    growth = spread[1] / max(spread[0], 1e-3)
    step = float(np.hypot(*(now[17:].mean(0) - before[17:].mean(0)))) / max(spread[0], 1e-3)
    return 1 / MOST_GROWTH < growth < MOST_GROWTH and step < 2 * MOST_STEP


def overlap(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union of boxes: (M, 4), (N, 4) -> (M, N)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(first[:, 2:], axis=-1)[:, None] + np.prod(second[:, 2:], axis=-1)[None]
    return (common / np.maximum(areas - common, 1e-9)).astype(np.float32)


def match(first: Floats, second: Floats) -> list[tuple[int, int]]:
    """Return the pairs of boxes with the greatest total overlap, each of at least SAME."""
    return match_by(overlap(first, second), SAME)


def match_by(similarity: Floats, least: float) -> list[tuple[int, int]]:
    """Return the one-to-one pairs with the greatest total similarity, without those below `least`."""
    if 0 in similarity.shape:
        return []
    useful = np.where(similarity >= least, similarity, 0)  # a bad pair must not displace a good one
    small, large = sorted(useful.shape)
    pairs = _few(useful) if perm(large, small) <= FEW else _many(useful)
    return [(a, b) for a, b in pairs if similarity[a, b] >= least]


def _few(useful: Floats) -> list[tuple[int, int]]:
    """Try every assignment: this saves nearly all runs the import of scipy.optimize, 0.5 s and 35 MB."""
    if useful.shape[0] > useful.shape[1]:
        return sorted((a, b) for b, a in _few(useful.T))
    choices = permutations(range(useful.shape[1]), useful.shape[0])
    best = max(choices, key=lambda choice: sum(float(useful[a, b]) for a, b in enumerate(choice)))
    return list(enumerate(best))


def _many(useful: Floats) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    return [(int(a), int(b)) for a, b in zip(*linear_sum_assignment(-useful), strict=True)]


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
