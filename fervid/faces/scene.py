"""The faces of a shot: detected, followed from frame to frame, verified, and recovered when lost.

No decision depends on frames more than a second away, so that spans which overlap by a second agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from fervid.faces import shape
from fervid.faces.boxes import match, overlap
from fervid.faces.detection import Search
from fervid.faces.detectors import Detection, upright_box
from fervid.types import Bytes, Floats, Frame

COLLISION = 0.55  # the least overlap of two followed faces that have become one
NEWCOMER = 1.3  # with `faces="largest"`: how many times larger a newcomer must be to take over

RECOGNISED = 0.4  # the least correlation plus overlap of a new face with a lost one that it continues
LIKE = 0.6  # correlation with the face as last confirmed, below which it is verified
MOST_MISFIT = 0.30  # eye distances: no real face, turned or expressive, is further from the mean face
MOST_GROWN = 1.3  # times: a larger change of size since a face was confirmed is verified
MOST_GROWTH = 1.25  # the most that a face's size changes from one frame to the next
MOST_STEP = 0.75  # eye distances that a face moves within one frame at most
SMALLEST = 5.0  # pixels between the eyes
SMALLEST_BOX = 2.5 * SMALLEST  # pixels: the same for a face in profile, as the eyes overlap there
# The 68 points are wrong, because the face is turned too far or hidden, from this yaw of the detector's five
# points on, or where the same five of the 68 are further from them than this: on 500 faces with known points
# no good fit is, and in films no fit to a profile is good.
MOST_YAW = 50.0  # degrees
MOST_APART = 0.12  # mean distance, in sides of the box
TURNING = 30.0  # degrees of yaw: faces that are turned farther are verified more often


_Fitted = tuple[Floats, bool]  # landmarks, and whether the face is turned too far for its own


class Finder(Protocol):
    """The methods of `FaceFinder` that following needs."""

    def detect(self, luma: Bytes, search: Search) -> list[Detection]: ...
    def look(self, luma: Bytes, landmarks: Floats) -> Detection | None: ...
    def fit_all(self, luma: Bytes, faces: Sequence[Detection]) -> list[Floats]: ...
    def guess(self, luma: Bytes, face: Detection) -> Floats: ...
    def follow_all(self, luma: Bytes, faces: Sequence[Floats]) -> list[Floats]: ...
    def crop(self, luma: Bytes, landmarks: Floats) -> Bytes: ...
    def box(self, landmarks: Floats) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Sighting:
    """One followed face in one frame."""

    track: int  # counted within one call of `follow`
    landmarks: Floats  # (68, 2)
    box: Floats  # (4,)
    crop: Bytes  # (S, S)
    is_turned: bool = False  # too far for landmarks of its own: they are the mean face's, at the head's pose


@dataclass
class _Live:
    """A face that is being followed."""

    track: int
    landmarks: Floats
    box: Floats
    crop: Bytes
    like: Floats  # the crop as last confirmed, normalised
    side: float  # of the box as last confirmed
    seen: int  # pts of the last frame in which it was seen
    healthy: bool = True
    is_turned: bool = False

    def sighting(self) -> Sighting:
        return Sighting(self.track, self.landmarks, self.box, self.crop, self.is_turned)


@dataclass
class Scene:
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
        facing = [face for face in self.live if not face.is_turned]
        followed = self.finder.follow_all(frame.luma, [face.landmarks for face in facing])
        moved = dict(zip(map(id, facing), followed, strict=True))
        kept: list[_Live] = []
        for face in self.live:
            (kept if self._step(face, frame, moved.get(id(face))) else self.lost).append(face)
        self.live = kept
        self._part_collisions()
        self.lost = [face for face in self.lost if frame.pts - face.seen <= self.bridge]

    def _step(self, face: _Live, frame: Frame, landmarks: Floats | None) -> bool:
        """Move a face to its landmarks in this frame; return False if it is lost."""
        if landmarks is not None:
            crop = self.finder.crop(frame.luma, landmarks)
            box = self.finder.box(landmarks)
            growth = float(box[2]) / face.side
            if _similarity(crop, face.like) >= LIKE and 1 / MOST_GROWN < growth < MOST_GROWN:
                yaw = _plausible_yaw(face.landmarks, landmarks, frame.luma)
                if yaw is not None:
                    face.healthy = yaw < TURNING
                    face.landmarks, face.crop, face.box, face.seen = landmarks, crop, box, frame.pts
                    return True
        return self._look(face, frame)

    def _look(self, face: _Live, frame: Frame) -> bool:
        """Verify a followed face in a small picture around it; return False if it is not there."""
        face.healthy = False
        detection = self.finder.look(frame.luma, face.landmarks)
        return detection is not None and self._take(face, frame, *self._fit(frame, [detection]))

    def _take(self, face: _Live, frame: Frame, fitted: _Fitted | None) -> bool:
        """Move a followed face to its detection; return False if it cannot have moved that far.

        Landmarks are fitted from this frame alone and forget earlier ones, so that spans which began at other
        frames agree from here on.
        """
        if fitted is None:
            return False
        landmarks, is_turned = fitted
        may_jump = is_turned or face.is_turned
        if not may_jump and _plausible_yaw(face.landmarks, landmarks, frame.luma) is None:
            return False
        face.landmarks, face.is_turned = landmarks, is_turned
        face.box, face.crop = self.finder.box(landmarks), self.finder.crop(frame.luma, landmarks)
        face.seen = frame.pts
        return True

    def _fit(self, frame: Frame, detections: Sequence[Detection]) -> list[_Fitted | None]:
        """Return landmarks of detections, and whether a face is turned too far for its own; None: no face."""
        facing = [face for face in detections if not _is_profile(face)]
        found = dict(zip(map(id, facing), self.finder.fit_all(frame.luma, facing), strict=True))
        return [self._checked(frame, face, found.get(id(face))) for face in detections]

    def _checked(self, frame: Frame, detection: Detection, landmarks: Floats | None) -> _Fitted | None:
        """Return the landmarks if they fit the detection, or those that are guessed for a turned face."""
        if detection.points is None:
            assert landmarks is not None
            return None if _sane_yaw(landmarks, frame.luma) is None else (landmarks, False)
        _, side, _ = upright_box(detection.points)
        if landmarks is not None:
            apart = np.linalg.norm(shape.five(landmarks) - detection.points, axis=1).mean() / side
            if apart < MOST_APART and _sane_yaw(landmarks, frame.luma) is not None:
                return landmarks, False
        if side < SMALLEST_BOX or not _is_inside(shape.posed(detection.points), frame.luma):
            return None
        return self.finder.guess(frame.luma, detection), True

    def _part_collisions(self) -> None:
        """Drop one of two followed faces that became one: the less similar to its confirmed face."""
        for first in list(self.live):
            for second in list(self.live):
                if first.track >= second.track or first not in self.live or second not in self.live:
                    continue
                if overlap(first.box[None], second.box[None])[0, 0] > COLLISION:
                    similarity = [_similarity(face.crop, face.like) for face in (first, second)]
                    loser = first if similarity[0] < similarity[1] else second
                    self.live.remove(loser)
                    self.lost.append(loser)

    def detect(self, frame: Frame, search: Search) -> None:
        """Match the followed faces with new detections; add the faces that are new."""
        detections = self.finder.detect(frame.luma, search)
        boxes = np.array([face.box for face in detections], np.float32).reshape(-1, 4)
        fitted = self._fit(frame, detections)
        matched = match(boxes, np.array([face.box for face in self.live], np.float32).reshape(-1, 4))
        for index, position in matched:
            face = self.live[position]
            self._take(face, frame, fitted[index])
            face.healthy = not face.is_turned
            face.like, face.side = _normalised(face.crop), float(face.box[2])
        confirmed = {position for _, position in matched}
        for position, face in enumerate(list(self.live)):
            if position not in confirmed and not self._look(face, frame):
                self.live.remove(face)
                self.lost.append(face)
        taken = {index for index, _ in matched}
        for index, new in enumerate(fitted):
            if index not in taken and new is not None:
                self._add(frame, *new)
        if self.only_largest:
            self._keep_largest()

    def _add(self, frame: Frame, landmarks: Floats, is_turned: bool) -> None:
        crop, own = self.finder.crop(frame.luma, landmarks), self.finder.box(landmarks)
        if self.live and overlap(own[None], np.array([face.box for face in self.live])).max() > COLLISION:
            return  # a second detection of a face that is already followed
        like = _normalised(crop)
        lost = self._find_lost(own, like)
        if lost is None:
            track, self.count = self.count, self.count + 1
        else:
            self.lost.remove(lost)
            track = lost.track
        side, is_healthy = float(own[2]), not is_turned
        self.live.append(_Live(track, landmarks, own, crop, like, side, frame.pts, is_healthy, is_turned))

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

    @property
    def is_well(self) -> bool:
        """Whether every face is followed well.

        A face that was just lost may return at any frame, and keeps its track only if it is detected in time.
        """
        return bool(self.live) and not self.lost and all(face.healthy for face in self.live)


def _is_profile(face: Detection) -> bool:
    """Return whether a detected face is turned too far for landmarks of its own."""
    if face.points is None:
        return False
    posed = shape.posed(face.points)
    return abs(float(shape.head_pose(posed[None])[0, 0])) >= MOST_YAW


def _similarity(crop: Bytes, like: Floats) -> float:
    """Return the correlation of a crop with a normalised one."""
    return float((_normalised(crop) * like).mean())


def _normalised(crop: Bytes) -> Floats:
    small = cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
    return (small - small.mean()) / max(float(small.std()), 1.0)


def _sane_yaw(landmarks: Floats, luma: Bytes) -> float | None:
    """Return by how many degrees a face is turned aside; None if the points are no face of this picture."""
    if float(shape.eye_distance(landmarks[None])[0]) < SMALLEST or not _is_inside(landmarks, luma):
        return None
    misfit, yaw = shape.misfit_and_yaw(landmarks)
    return abs(yaw) if misfit < MOST_MISFIT else None


def _is_inside(landmarks: Floats, luma: Bytes) -> bool:
    middle = landmarks[17:].mean(0)
    return bool((middle >= 0).all() and middle[0] < luma.shape[1] and middle[1] < luma.shape[0])


def _plausible_yaw(before: Floats, now: Floats, luma: Bytes) -> float | None:
    """Return the yaw of a face that moves from `before` to `now` within one frame; None if none can."""
    yaw = _sane_yaw(now, luma)
    (first, small), (second, large) = _middle_and_spread(before), _middle_and_spread(now)
    step = float(np.hypot(*(second - first))) / small
    can_move = 1 / MOST_GROWTH < large / small < MOST_GROWTH and step < 2 * MOST_STEP
    return yaw if can_move else None


def _middle_and_spread(landmarks: Floats) -> tuple[Floats, float]:
    """Return the mean of the inner points, and their root mean square distance from it."""
    inner = landmarks[17:]
    middle = inner.mean(0)
    return middle, max(float(np.sqrt(np.square(inner - middle).mean(0).sum())), 1e-3)
