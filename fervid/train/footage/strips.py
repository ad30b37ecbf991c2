"""Cut the strip of a sample: its main face, in a video, a picture or a part of either.

The main face is the track with the largest sum of box areas, not counting frames with unreadable landmarks.
In a small picture where the detector finds no face, it is tried again with a border around the picture; then
the whole picture is taken as the face's box.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np

from fervid import synth
from fervid.errors import InputError
from fervid.faces import tracks
from fervid.faces.detection import Search
from fervid.faces.detectors import Detection
from fervid.faces.finder import FaceFinder
from fervid.faces.shape import CROP, MARGIN, alignment
from fervid.types import Bytes, Floats, Frame, Settings, Track, Video
from fervid.types.samples import Drawn, OnDisk, Picture, Sample, Strip
from fervid.video import planning, reading, shots

FACE_PICTURE = 256  # pixels; a picture up to this size is assumed to show a face
AROUND = 0.5  # of the size of a face's box, kept on each side
BORDER = 0.25  # of the side, added around a small picture
ENLARGED = 160  # pixels: the side of that picture before the border, a good size for the detector


@dataclass(frozen=True)
class PictureFinder(FaceFinder):
    """A finder for pictures of one face, which finds it in small pictures, too."""

    known: tuple[float, ...] | None = None  # left, top, width, height of the face in the picture

    def detect(self, luma: Bytes, search: Search = Search.UPRIGHT) -> list[Detection]:
        detections = self._in_box(super().detect(luma, search))
        if detections or max(luma.shape) > FACE_PICTURE:
            return detections
        scale = ENLARGED / max(luma.shape)
        large = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        border = int(BORDER * ENLARGED)
        around = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
        within = replace(self, min_face=FaceFinder.min_face)
        back = np.array([[1, 0, -border], [0, 1, -border]]) / scale
        detections = self._in_box(
            [face.moved(back) for face in FaceFinder.detect(within, np.asarray(around, np.uint8))]
        )
        height, width = luma.shape
        whole = Detection(np.array(self.known or (0, 0, width, height), np.float32), 0.0)
        return detections or [whole]

    def guess(self, luma: Bytes, face: Detection) -> Floats:
        """Return a face's own landmarks, even if it is turned far: a picture has no better moment."""
        return self.fit(luma, face)

    def _in_box(self, detections: list[Detection]) -> list[Detection]:
        """Return the detections with the centre inside the known box."""
        if self.known is None:
            return detections
        left, top, width, height = self.known
        middles = [(face.box[:2] + face.box[2:] / 2 - (left, top)) / (width, height) for face in detections]
        pairs = zip(detections, middles, strict=True)
        return [face for face, middle in pairs if 0 <= middle.min() <= middle.max() <= 1]


def strip_of(sample: Sample, settings: Settings | None = None) -> Strip:
    """Return the strip of a sample's main face; it is empty if there is no face."""
    wanted = settings or Settings()
    match sample.pixels:
        case Drawn(name):
            return synth.strip_of(name)
        case Picture(luma, motion, rest):
            still = _of_picture(sample.name, luma, PictureFinder.of(wanted), wanted)
            if not (motion and len(still)):
                return still
            if rest is None:
                return synth.in_motion(still, motion)
            before = _of_picture(sample.name, rest, PictureFinder.of(wanted), wanted)
            return synth.grown(before, still, motion) if len(before) else before
        case OnDisk() as file:
            if file.box is None:
                return _of_file(sample.name, file, wanted)
            luma, known = _boxed(sample.name, file.path, file.box)
            finder = replace(PictureFinder.of(wanted), known=known)
            return _of_picture(sample.name, luma, finder, wanted)


def _of_picture(name: str, luma: Bytes, finder: FaceFinder, wanted: Settings) -> Strip:
    """Return the face of a picture as a strip of one frame."""
    luma = np.ascontiguousarray(luma)
    return _follow(_picture(name, luma), iter([Frame(0, luma)]), finder, wanted)


def _of_file(name: str, file: OnDisk, wanted: Settings) -> Strip:
    """Return the strip of a file's main face."""
    video, frames = _frames(name, file)
    kind = PictureFinder if len(video.pts) == 1 else FaceFinder
    return _follow(video, frames, kind.of(wanted), wanted)


def _follow(video: Video, frames: Iterator[Frame], finder: FaceFinder, wanted: Settings) -> Strip:
    """Follow the faces of a video; return the strip of the main face."""
    wide: dict[tuple[int, int], tuple[Bytes, np.ndarray]] = {}

    def watched(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            last[0] = frame
            yield frame

    last: list[Frame] = [Frame(0, np.zeros((1, 1), np.uint8))]
    observed = []
    for frame in tracks.follow(video, shots.mark(watched(frames)), finder, wanted):
        observed.append(frame)
        for face in frame.faces:
            # The crop with a margin needs the picture; the crop of tracking is its middle.
            matrix, _ = alignment(face.landmarks, MARGIN)
            wide[face.track, frame.pts] = (finder.crop(last[0].luma, face.landmarks, MARGIN), matrix)
    return _main_strip(video, tracks.collect(video, observed), wide)


def empty_strip(time_base: Fraction = Fraction(1, 25)) -> Strip:
    """Return a strip of no frames."""
    side = CROP + 2 * MARGIN
    faces, landmarks = np.empty((0, side, side), np.uint8), np.empty((0, 68, 2), np.float32)
    return Strip(time_base, np.empty(0, np.int64), faces, landmarks)


def _main_strip(
    video: Video,
    followed: Sequence[tracks.Followed],
    wide: dict[tuple[int, int], tuple[Bytes, np.ndarray]],
) -> Strip:
    if not followed:
        return empty_strip(video.time_base)

    def size(track: Track) -> tuple[float, float, int]:
        areas = track.box[:, 2:].prod(1)
        return float(areas[track.quality > 0].sum()), float(areas.sum()), -track.id

    main = max((face.track for face in followed), key=size)
    cut = [wide[main.id, pts] for pts in main.pts.tolist()]
    landmarks = [
        points @ matrix[:, :2].T + matrix[:, 2]
        for points, (_, matrix) in zip(main.landmarks, cut, strict=True)
    ]
    return Strip(
        video.time_base,
        main.pts,
        np.stack([crop for crop, _ in cut]),
        np.stack(landmarks).astype(np.float32),
        main.quality,
    )


def _frames(name: str, file: OnDisk) -> tuple[Video, Iterator[Frame]]:
    """Return a file as a planned video, and the frames of the part that the sample names."""
    video = planning.plan(file.path, frame_rate=file.rate)
    start = None if file.start is None else video.ticks(file.start)
    stop = None if file.end is None else video.ticks(file.end)
    count, frames = len(video.pts), file.frames
    if frames is None and file.share is not None:
        frames = _frames_of(file.share, count)
    if frames is not None:
        low, high = frames
        if not 0 <= low < high <= count:
            raise InputError(f"{name}: {file.path} has no frames {low} to {high}")
        start = int(video.pts[low])
        stop = int(video.pts[high]) if high < count else None
        video = video.between(start, stop)
    return video, reading.frames(video, start, stop)


def _frames_of(share: tuple[Fraction, Fraction], count: int) -> tuple[int, int]:
    """Return the range of frames of a share of `count` frames, at least one frame."""
    low = min(math.floor(share[0] * count), count - 1)
    return low, max(low + 1, math.ceil(share[1] * count))


def _boxed(
    name: str, path: str, box: tuple[int, int, int, int]
) -> tuple[Bytes, tuple[float, float, float, float]]:
    """Return the picture around the box of a face, at most FACE_PICTURE in size, and the box in it."""
    first = next(reading.frames(planning.plan(path)), None)
    if first is None:
        raise InputError(f"{name}: {path} cannot be decoded; copy it again")
    (left, top, width, height), (rows, columns) = box, first.luma.shape
    if left >= columns or top >= rows or left + width <= 0 or top + height <= 0:
        raise InputError(f"{name}: the box {box} is outside the picture {path}, {columns}x{rows}")
    over, aside = round(AROUND * height), round(AROUND * width)
    low, first_row = max(0, left - aside), max(0, top - over)
    luma = first.luma[first_row : top + height + over, low : left + width + aside]
    scale = min(1.0, FACE_PICTURE / max(luma.shape))
    if scale < 1:
        size = [max(1, round(scale * side)) for side in reversed(luma.shape)]
        luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    within = ((left - low) * scale, (top - first_row) * scale, width * scale, height * scale)
    return np.ascontiguousarray(luma), within


def _picture(name: str, luma: Bytes) -> Video:
    """Return a picture as a video of one frame."""
    pts = np.zeros(1, np.int64)
    height, width = luma.shape
    return Video(
        path=name,
        name=name,
        sha256="",
        time_base=Fraction(1, 25),
        start=0,
        duration=1,
        width=width,
        height=height,
        rotation=0,
        container="picture",
        codec="none",
        rate=None,
        clock_offset=Fraction(0),
        pts=pts,
        keyframes=pts,
    )
