"""Pictures of a report: a frame for each peak, with a box around its face, and a face for each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from fervid.export.page.rows import Row, rows
from fervid.export.timelines.people import square
from fervid.types import Bytes, Curve, Floats, Peak, Timeline

WIDTH = 320  # pixels of a peak's picture
FACE = 72  # pixels of a row's picture
MOST_FACES = 60  # rows with a picture
QUALITY = 78  # of the JPEG, 0 to 100

Detect = Callable[[Bytes], Sequence[Floats]]  # luma (H, W) -> boxes (4,)
Box = tuple[float, float, float, float]  # x, y, width, height as shares of the picture


@dataclass(frozen=True)
class Pictures:
    """The pictures of a report, as JPEG."""

    peaks: Mapping[int, bytes] = field(default_factory=dict)  # apex -> the frame
    marks: Mapping[tuple[int, int], Box] = field(default_factory=dict)  # apex, track -> the face in it
    faces: Mapping[Row, bytes] = field(default_factory=dict)


def moments(timeline: Timeline, peaks: Iterable[Peak]) -> list[int]:
    """Return the pts of the frames that `make` needs."""
    return [*(peak.apex for peak in peaks), *(pts for pts, _, _ in _portraits(timeline).values())]


def make(
    timeline: Timeline, peaks: Iterable[Peak], frames: Iterable[tuple[int, Bytes]], detect: Detect
) -> Pictures:
    """Return the pictures of peaks and rows from frames in colour (H, W, 3), each with its pts."""
    at_apex: dict[int, set[int]] = defaultdict(set)  # apex -> tracks
    for peak in peaks:
        at_apex[peak.apex].add(peak.track)
    faces_at: dict[int, list[tuple[Row, Floats, bool]]] = defaultdict(list)
    for row, (pts, box, is_face) in _portraits(timeline).items():
        faces_at[pts].append((row, box, is_face))
    pictures: dict[int, bytes] = {}
    marks: dict[tuple[int, int], Box] = {}
    faces: dict[Row, bytes] = {}
    for pts, image in frames:
        boxes: Sequence[Floats] = ()
        if pts in at_apex or any(not is_face for _, _, is_face in faces_at[pts]):
            boxes = detect(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
        face_of = match([curve for curve in timeline.curves if curve.start <= pts < curve.end], boxes)
        if pts in at_apex:
            tall = max(1, round(WIDTH * image.shape[0] / image.shape[1]))
            pictures[pts] = _jpeg(cv2.resize(image, (WIDTH, tall), interpolation=cv2.INTER_AREA))
            marks |= {
                (pts, track): _shares(face_of[track], image) for track in at_apex[pts] if track in face_of
            }
        for row, box, is_face in faces_at[pts]:
            face = box if is_face else next((face_of[track] for track in row.tracks if track in face_of), box)
            faces[row] = _jpeg(cv2.resize(square(image, face), (FACE, FACE), interpolation=cv2.INTER_AREA))
    return Pictures(pictures, marks, faces)


def match(curves: Sequence[Curve], boxes: Sequence[Floats]) -> dict[int, Floats]:
    """Return the box of each track: the detected face that fits its hull best, or else the hull itself.

    A timeline has no box per frame, only the hull of all boxes of a track, so a detected face belongs to a
    track if its centre is in the hull; the pairs that overlap most are joined first.
    """
    pairs = sorted(
        (
            (-_overlap(curve.hull, box), curve.track, index)
            for curve in curves
            for index, box in enumerate(boxes)
            if _contains(curve.hull, box)
        ),
    )
    face_of: dict[int, Floats] = {}
    taken: set[int] = set()
    for _, track, index in pairs:
        if track not in face_of and index not in taken:
            face_of[track] = boxes[index]
            taken.add(index)
    return {curve.track: face_of.get(curve.track, curve.hull) for curve in curves}


def _portraits(timeline: Timeline) -> dict[Row, tuple[int, Floats, bool]]:
    """Return the pts and box of the picture of each person and single track; False: the box is a hull."""
    best = {track: person for person in timeline.people for track in person.tracks}
    curves = {curve.track: curve for curve in timeline.curves}
    portraits: dict[Row, tuple[int, Floats, bool]] = {}
    for row in [row for row in rows(timeline) if row.kind != "faces"][:MOST_FACES]:
        curve = curves[row.tracks[0]]
        if row.kind == "person" and curve.track in best:
            person = best[curve.track]
            portraits[row] = person.pts, person.box, True
        elif len(curve.pts):
            portraits[row] = int(curve.pts[int(curve.quality.argmax())]), curve.hull, False
    return portraits


def _contains(hull: Floats, box: Floats) -> bool:
    middle = box[:2] + box[2:] / 2
    return bool((middle >= hull[:2]).all() and (middle <= hull[:2] + hull[2:]).all())


def _overlap(first: Floats, second: Floats) -> float:
    """Return the intersection of two boxes over their union."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / max(float(np.prod(first[2:]) + np.prod(second[2:])) - shared, 1e-6)


def _shares(box: Floats, image: Bytes) -> Box:
    height, width = image.shape[:2]
    x, y, wide, tall = (
        round(float(value / size), 4) for value, size in zip(box, (width, height) * 2, strict=True)
    )
    return x, y, wide, tall


def _jpeg(image: Bytes) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be a JPEG")
    return bytes(data.tobytes())
