"""From one sample to its strip: the main face of a video, of a picture, or of a part of either.

The main face is the one that is largest for longest. Where a sample is a picture of a face, and the detector
does not find it, a border is put around it, and at last the whole picture is taken for the face's box.
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
from fervid.faces.finder import Detection, FaceFinder
from fervid.faces.shape import CROP, MARGIN, alignment
from fervid.samples import Drawn, OnDisk, Picture, Sample, Strip
from fervid.types import Bytes, Frame, Settings, Video
from fervid.video import planning, reading, shots

FACE_PICTURE = 256  # pixels: a picture no larger than this is one of a face, whatever the detector says
AROUND = 0.5  # of the box of a face, kept of the picture on each side
BORDER = 0.25  # of the side, put around a picture whose face fills it
ENLARGED = 160  # pixels: the side of such a picture before the border, which the detector is good at
TURNS = ("auto", "90", "270")  # as the file says; then, where a clip may lie on its side, either way
STEADY = 0.5  # the share of frames with a face that shows which way is up


@dataclass(frozen=True)
class PictureFinder(FaceFinder):
    """A finder for pictures of one face: it looks harder."""

    known: tuple[float, ...] | None = None  # left, top, width, height: where the face is, if that is told

    def detect(self, luma: Bytes) -> list[Detection]:
        found = self._meant(super().detect(luma))
        if found or max(luma.shape) > FACE_PICTURE:
            return found
        scale = ENLARGED / max(luma.shape)
        large = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        border = int(BORDER * ENLARGED)
        around = cv2.copyMakeBorder(large, border, border, border, border, cv2.BORDER_REPLICATE)
        within = replace(self, min_face=FaceFinder.min_face)
        found = [
            (np.concatenate([(box[:2] - border) / scale, box[2:] / scale]).astype(np.float32), score)
            for box, score in FaceFinder.detect(within, np.asarray(around, np.uint8))
        ]
        height, width = luma.shape
        return self._meant(found) or [(np.array(self.known or (0, 0, width, height), np.float32), 0.0)]

    def _meant(self, found: list[Detection]) -> list[Detection]:
        """The faces whose middle lies where the face is told to be."""
        if self.known is None:
            return found
        left, top, width, height = self.known
        middles = [(box[:2] + box[2:] / 2 - (left, top)) / (width, height) for box, _ in found]
        return [
            one for one, middle in zip(found, middles, strict=True) if 0 <= middle.min() <= middle.max() <= 1
        ]


def strip_of(sample: Sample, settings: Settings | None = None) -> Strip:
    """The main face of a sample; a strip of no frames where there is none."""
    wanted = settings or Settings()
    match sample.pixels:
        case Drawn(name):
            return synth.strip_of(name)
        case Picture(luma, motion):
            still = _of_picture(sample.name, luma, PictureFinder.of(wanted), wanted)
            return synth.in_motion(still, motion) if motion and len(still) else still
        case OnDisk() as file:
            if file.box is None:
                return _of_file(sample.name, file, wanted)
            luma, known = _boxed(sample.name, file.path, file.box)
            finder = replace(PictureFinder.of(wanted), known=known)
            return _of_picture(sample.name, luma, finder, wanted)


def _of_picture(name: str, luma: Bytes, finder: FaceFinder, wanted: Settings) -> Strip:
    """Return the face of a picture as a strip of one frame."""
    luma = np.ascontiguousarray(luma)
    return _followed(_picture(name, luma), iter([Frame(0, luma)]), finder, wanted)


def _of_file(name: str, file: OnDisk, wanted: Settings) -> Strip:
    """Return the main face of a file, turned until there is one if it may lie on its side."""
    best: Strip | None = None
    for rotate in TURNS[:1] if file.is_upright else TURNS:
        planned, frames = _frames(name, file, rotate)
        kind = PictureFinder if len(planned.pts) == 1 else FaceFinder
        strip = _followed(planned, frames, kind.of(wanted), wanted)
        if best is None or len(strip) > len(best):
            best = strip
        if len(best) >= STEADY * len(planned.pts):
            break
    assert best is not None
    return best


def _followed(planned: Video, frames: Iterator[Frame], finder: FaceFinder, wanted: Settings) -> Strip:
    """The main face of a planned video."""
    wide: dict[tuple[int, int], tuple[Bytes, np.ndarray]] = {}

    def watched(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            now[0] = frame
            yield frame

    now: list[Frame] = [Frame(0, np.zeros((1, 1), np.uint8))]
    observed = []
    for one in tracks.follow(planned, shots.mark(watched(frames)), finder, wanted):
        observed.append(one)
        for seen in one.faces:
            # Here the picture is still at hand; the narrow crop that tracking made is the middle of this one.
            matrix, _ = alignment(seen.landmarks, MARGIN)
            wide[seen.track, one.pts] = (finder.crop(now[0].luma, seen.landmarks, MARGIN), matrix)
    return _main_strip(planned, tracks.collect(planned, observed), wide)


def nothing(time_base: Fraction = Fraction(1, 25)) -> Strip:
    """A strip of no frames."""
    side = CROP + 2 * MARGIN
    faces, landmarks = np.empty((0, side, side), np.uint8), np.empty((0, 68, 2), np.float32)
    return Strip(time_base, np.empty(0, np.int64), faces, landmarks)


def _main_strip(
    planned: Video,
    followed: Sequence[tracks.Followed],
    wide: dict[tuple[int, int], tuple[Bytes, np.ndarray]],
) -> Strip:
    if not followed:
        return nothing(planned.time_base)
    main = max(followed, key=lambda one: (float(one.track.box[:, 2:].prod(1).sum()), -one.track.id)).track
    cut = [wide[main.id, pts] for pts in main.pts.tolist()]
    landmarks = [
        points @ matrix[:, :2].T + matrix[:, 2]
        for points, (_, matrix) in zip(main.landmarks, cut, strict=True)
    ]
    return Strip(
        planned.time_base,
        main.pts,
        np.stack([crop for crop, _ in cut]),
        np.stack(landmarks).astype(np.float32),
        main.quality,
    )


def _frames(name: str, file: OnDisk, rotate: str) -> tuple[Video, Iterator[Frame]]:
    """Return the planned video of a file, and the frames of the part that is meant."""
    planned = planning.plan(file.path, rotate, file.rate)
    start = None if file.start is None else planned.ticks(file.start)
    stop = None if file.end is None else planned.ticks(file.end)
    if file.frames is not None or file.share is not None:
        low, high = file.frames or _counted(file.share, len(planned.pts))
        if not 0 <= low < high <= len(planned.pts):
            raise InputError(f"{name}: there are no frames {low} to {high} in {file.path}")
        start = int(planned.pts[low])
        stop = int(planned.pts[high]) if high < len(planned.pts) else None
        planned = planned.between(start, stop)
    return planned, reading.frames(planned, start, stop)


def _counted(share: tuple[Fraction, Fraction] | None, count: int) -> tuple[int, int]:
    """Which of so many frames a share means: at least one."""
    assert share is not None
    low = min(math.floor(share[0] * count), count - 1)
    return low, max(low + 1, math.ceil(share[1] * count))


def _boxed(
    name: str, path: str, box: tuple[int, int, int, int]
) -> tuple[Bytes, tuple[float, float, float, float]]:
    """A picture around the box of a face, no larger than a picture of a face, and the box in it."""
    first = next(reading.frames(planning.plan(path)), None)
    if first is None:
        raise InputError(f"{name}: {path} cannot be decoded; copy it again")
    (left, top, width, height), (rows, columns) = box, first.luma.shape
    if left >= columns or top >= rows or left + width <= 0 or top + height <= 0:
        raise InputError(f"{name}: the box {box} lies outside of the picture {path}, {columns}x{rows}")
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
    """A picture as a video of one frame."""
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
