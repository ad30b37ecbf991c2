"""Detection of shot boundaries: hard cuts and fades, on downscaled luma.

Every decision depends on up to `REACH` frames on either side, so that a span which decodes a halo finds the
same cuts as a run over the whole video.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fervid.types import Bytes, Floats, Frame

THUMBNAIL = (64, 36)  # pixels: enough to distinguish shots, and motion within a shot averages out
REACH = 2  # frames compared before and after a candidate

# A cut changes the thumbnail by this many grey levels on average, and this many times more than the frames
# around it change. A flash changes it twice in a row, so each change rules out the other as a cut.
CUT_LEVELS = 5.0
CUT_RATIO = 3.5
REST_LEVELS = 0.6  # added to the surroundings: coding noise between two still frames

FLAT_DEVIATION = 3.0  # grey levels: below it a frame is one plain tone, as at the bottom of a fade
RISE = 0.75  # grey levels of deviation that a fade gains within REACH frames, but a dim scene does not


@dataclass(frozen=True)
class _Seen:
    frame: Frame
    change: float | None  # mean grey levels against the frame before; None for the first
    deviation: float  # grey levels within the thumbnail


def thumbnail(luma: Bytes) -> Floats:
    """Return the picture at the size at which shots are compared."""
    across, down = THUMBNAIL
    # Single pixels first: averages of all would read the whole frame. Then 4 by 4, which is fast.
    coarse = cv2.resize(luma, (4 * across, 4 * down), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(coarse, THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)


def mark(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the same frames, with `cut` set on the first frame of each shot but the first."""
    waiting: deque[_Seen] = deque()  # up to REACH decided frames, the candidate, REACH frames after it
    position = 0  # of the next frame to decide
    for seen in _compare(frames):
        waiting.append(seen)
        if len(waiting) - position > REACH:
            yield _decide(waiting, position)
            position += 1
            if position > REACH:
                waiting.popleft()
                position -= 1
    while position < len(waiting):
        yield _decide(waiting, position)
        position += 1


def _compare(frames: Iterable[Frame]) -> Iterator[_Seen]:
    before: Floats | None = None
    for frame in frames:
        now = thumbnail(frame.luma)
        change = None if before is None else float(np.abs(now - before).mean())
        yield _Seen(frame, change, float(now.std()))
        before = now


def _decide(waiting: deque[_Seen], position: int) -> Frame:
    seen = waiting[position]
    if seen.frame.cut or _opens(waiting, position):
        return replace(seen.frame, cut=True)
    if seen.change is None or seen.change < CUT_LEVELS:
        return seen.frame
    around = [
        other.change
        for index, other in enumerate(waiting)
        if other.change is not None and 0 < abs(index - position) <= REACH
    ]
    # A video of two frames has no other changes to compare with: zero is taken.
    usual = max(float(np.mean(around)), max(around) / 2) if around else 0.0
    return replace(seen.frame, cut=seen.change > CUT_RATIO * usual + REST_LEVELS)


def _opens(waiting: deque[_Seen], position: int) -> bool:
    """Return whether this is the first frame with a picture after flat frames."""
    if position < REACH or waiting[position].deviation < FLAT_DEVIATION:
        return False
    # A single flat frame is a flash, and the shot continues after it.
    before = [waiting[index].deviation for index in range(position - REACH, position)]
    ahead = waiting[min(position + REACH, len(waiting) - 1)].deviation
    return max(before) < FLAT_DEVIATION and ahead - min(before) > RISE
