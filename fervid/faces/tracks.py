"""Identities within a shot: faces followed from frame to frame, smoothed, and judged.

`follow` decides who is who while frames pass; `tracks` turns what it noted into `Track`s. No decision
looks further than a second back or ahead, so that spans which overlap by a second agree.
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
DETECT_EVERY_HEALTHY = Fraction(1)  # seconds, while every face on screen is well followed
BRIDGE = 1.0  # seconds for which a lost face keeps its identity

SAME = 0.3  # overlap (intersection over union) from which a detection is the face that is followed
FEW = 1000  # assignments: so many are simply tried
COLLISION = 0.55  # overlap at which two followed faces are one and the same
NEWCOMER = 1.3  # with `faces="largest"`: how many times larger a newcomer must be to take over

RECOGNISED = 0.4  # correlation plus overlap from which a newcomer is a face that was lost
LIKE = 0.6  # correlation with the face as last confirmed, below which it is looked at again
MOST_MISFIT = 0.30  # eye distances: no turned face, whatever it shows, lies further from the mean one
MOST_GROWTH = 1.25  # a face changes its size by no more from one frame to the next
MOST_STEP = 0.75  # eye distances that a face moves within one frame at most
SMALLEST = 5.0  # pixels between the eyes

SMOOTH_REACH = 3  # frames on either side
SMOOTH_SECONDS = 0.15  # and no further than this: at few frames a second nothing is smoothed away

# Quality: 1 above the better figure, 0 below the worse, their product over all four. Size and sharpness as
# portraits that nothing was learnt from are read: from 12 pixels on as well as at 50, and worse only in the
# least sharp tenth.
SIZE = (6.0, 16.0)  # pixels between the eyes
SHARPNESS = (3.0, 12.0)  # variance of the crop's Laplacian at unit contrast, times 1000
TURN = (60.0, 35.0)  # degrees away from the camera
JITTER = (0.10, 0.03)  # eye distances between a landmark and its smoothed place, root mean square


class Finder(Protocol):
    """What following needs of faces; `faces.FaceFinder` is it."""

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
    """One frame after following: its faces, or why there are none."""

    pts: int
    sampled: bool
    repeated: bool
    cut: bool
    faces: tuple[Sighting, ...] = ()


class Grid:
    """Multiples of a step of stream time: which frame is the first at or after one of them."""

    def __init__(self, video: Video, step: Fraction) -> None:
        self._start, self._ticks = video.start, step / video.time_base
        self._cell: int | None = None

    def passed(self, pts: int) -> bool:
        """Whether a multiple lies in (frame before, this frame]; the first frame asked about counts."""
        cell = (pts - self._start) * self._ticks.denominator // self._ticks.numerator
        passed = self._cell is None or cell > self._cell
        self._cell = cell
        return passed


@dataclass
class _Live:
    """A face that is being followed; the only state that changes."""

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
    """All that is known of the shot at hand."""

    finder: Finder
    only_largest: bool
    bridge: int  # ticks
    live: list[_Live] = field(default_factory=list)
    lost: list[_Live] = field(default_factory=list)
    count: int = 0

    def cut(self) -> None:
        self.live, self.lost = [], []

    def move(self, frame: Frame) -> None:
        """Carry every face from the frame before into this one; drop what drifted."""
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
        """Where two followed faces became one, the one that looks less like itself is lost."""
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
        """Compare what is followed with what the detector sees."""
        found = self.finder.detect(frame.luma)
        boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
        matched = match(boxes, np.array([face.box for face in self.live], np.float32).reshape(-1, 4))
        for place, index in matched:
            face = self.live[index]
            # Placed anew from what is seen now: where a face was followed from is forgotten, so that spans
            # which began elsewhere agree from here on.
            landmarks = self.finder.fit(frame.luma, boxes[place])
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
        taken = {place for place, _ in matched}
        for place, box in enumerate(boxes):
            if place not in taken:
                self._welcome(frame, box)
        if self.only_largest:
            self._keep_largest()

    def _welcome(self, frame: Frame, box: Floats) -> None:
        landmarks = self.finder.fit(frame.luma, box)
        crop, own = self.finder.crop(frame.luma, landmarks), self.finder.box(landmarks)
        if not _sane(landmarks, frame.luma):
            return
        if self.live and overlap(own[None], np.array([face.box for face in self.live])).max() > COLLISION:
            return  # a second look at a face that is followed already
        like = _normalised(crop)
        back = self._recognised(own, like)
        if back is None:
            track, self.count = self.count, self.count + 1
        else:
            self.lost.remove(back)
            track = back.track
        self.live.append(_Live(track, landmarks, own, crop, like, frame.pts))

    def _recognised(self, box: Floats, like: Floats) -> _Live | None:
        """The lost face that this newcomer is: near where it was lost, and alike."""

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
    """Who is where, frame by frame; identities end at cuts."""
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
        seen = tuple(face.sighting() for face in sorted(scene.live, key=lambda face: face.track))
        yield Observed(frame.pts, True, False, frame.cut, seen)


def _all_well(scene: _Scene) -> bool:
    # A face lost of late may come back at any moment, and keeps its identity only if that is seen in time.
    return bool(scene.live) and not scene.lost and all(face.healthy for face in scene.live)


def _normalised(crop: Bytes) -> Floats:
    small = cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (small - small.mean()) / max(float(small.std()), 1.0)


def _sane(landmarks: Floats, luma: Bytes) -> bool:
    """Whether these points can be a face in this picture at all."""
    distance = float(shape.eye_distance(landmarks[None])[0])
    middle = landmarks[17:].mean(0)
    inside = bool((middle >= 0).all() and middle[0] < luma.shape[1] and middle[1] < luma.shape[0])
    return inside and distance >= SMALLEST and float(shape.misfit(landmarks[None])[0]) < MOST_MISFIT


def _plausible(before: Floats, now: Floats, luma: Bytes) -> bool:
    """Whether a face can have gone from `before` to `now` within one frame."""
    if not _sane(now, luma):
        return False
    spread = [float(np.sqrt(points[17:].var(0).sum())) for points in (before, now)]
    growth = spread[1] / max(spread[0], 1e-3)
    step = float(np.hypot(*(now[17:].mean(0) - before[17:].mean(0)))) / max(spread[0], 1e-3)
    return 1 / MOST_GROWTH < growth < MOST_GROWTH and step < 2 * MOST_STEP


def overlap(first: Floats, second: Floats) -> Floats:
    """Intersection over union of boxes: (M, 4), (N, 4) -> (M, N)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(first[:, 2:], axis=-1)[:, None] + np.prod(second[:, 2:], axis=-1)[None]
    return (common / np.maximum(areas - common, 1e-9)).astype(np.float32)


def match(first: Floats, second: Floats) -> list[tuple[int, int]]:
    """The pairs of boxes that overlap best altogether, each of at least SAME."""
    return match_by(overlap(first, second), SAME)


def match_by(similarity: Floats, least: float) -> list[tuple[int, int]]:
    """The one-to-one pairs with the greatest sum of similarity, without those below `least`."""
    if 0 in similarity.shape:
        return []
    useful = np.where(similarity >= least, similarity, 0)  # a hopeless pair must not spoil a good one
    small, large = sorted(useful.shape)
    pairs = _few(useful) if perm(large, small) <= FEW else _many(useful)
    return [(a, b) for a, b in pairs if similarity[a, b] >= least]


def _few(useful: Floats) -> list[tuple[int, int]]:
    """Every assignment tried: spares nearly all runs the import of scipy.optimize, 0.5 s and 35 MB."""
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
    """The tracks in what was observed, smoothed, with pose and quality."""
    rows: dict[int, list[tuple[int, Sighting]]] = defaultdict(list)
    for one in observed:
        for face in one.faces:
            rows[face.track].append((one.pts, face))
    return [_finish(video, number, seen) for number, seen in sorted(rows.items())]


def _finish(video: Video, number: int, seen: list[tuple[int, Sighting]]) -> Followed:
    pts = np.array([moment for moment, _ in seen], np.int64)
    raw = np.stack([face.landmarks for _, face in seen])
    crops = np.stack([face.crop for _, face in seen])
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
    boxes = np.stack([face.box for _, face in seen]).astype(np.float32)
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
    """Landmarks (N, 68, 2) under a local quadratic (Savitzky-Golay), without delay.

    The fit reaches SMOOTH_REACH frames and at most `reach` ticks to either side; where that leaves fewer
    than five frames, the point stays as it was measured.
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
