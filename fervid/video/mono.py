"""The sound of a video as one channel, for finding a time in it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from fervid.errors import InputError
from fervid.files import display_name
from fervid.types import Floats, Video
from fervid.video.sound import sounds


def mono(video: Video, rate: int, seconds: float | None = None) -> Floats:
    """Return the first audio stream from the video's first frame on, (N,) at `rate` samples per second."""
    streams = sounds(video)
    if not streams:
        raise InputError(
            f"{display_name(Path(video.path).name)} has no sound: give its offset with --offsets"
        )
    stop = video.duration * video.time_base
    if seconds is not None:
        stop = min(stop, Fraction(seconds))
    sound = replace(streams[0], rate=rate, layout="mono")
    blocks = [np.empty(0, np.float32), *(block[0] for block in sound.samples(Fraction(0), stop))]
    return np.concatenate(blocks)
