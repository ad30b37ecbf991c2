"""The start of a live analysis: everything is loaded before the origin is opened, so no frame has to wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np

from fervid.clips import LENGTH, population_neutral
from fervid.faces.finder import FaceFinder
from fervid.faces.shape import CROP
from fervid.live.analysis import LiveAnalysis, Options
from fervid.live.frame_queue import FrameQueue, Reader
from fervid.model import Model, check_short_windows, info, load, read
from fervid.types import LANDMARKS, Array, Settings
from fervid.video.feed import Feed
from fervid.video.origins import Origin

BLANK = 320  # pixels: the side of the picture on which the detector is tried


@contextmanager
def start(
    origin: Origin,
    stopped: Event,
    *,
    model: str | Path = "default",
    device: str = "cpu",
    options: Options,
    rotate: str = "auto",
    drops: bool = True,
    reconnect: int = 5,
) -> Iterator[LiveAnalysis]:
    """Read an origin in a thread during the block; `stopped` ends it."""
    check_short_windows(model)
    facts, net = info(model), load(model, device)
    _warm_up(net, options.settings)
    feed, queue = Feed(origin, rotate, stopped), FrameQueue(stopped, drops)
    analysis = LiveAnalysis(feed, queue, net, facts, options, stopped)
    with Reader(feed, queue, stopped, reconnect):
        yield analysis


def _warm_up(model: Model, settings: Settings) -> None:
    """Use everything once: the first use loads files, and takes a hundred times as long as later ones."""
    finder, blank = FaceFinder.of(settings), np.zeros((BLANK, BLANK), np.uint8)
    finder.detect(blank)
    finder.follow(blank, population_neutral() * np.float32(BLANK / 4) + np.float32(BLANK / 2))
    points = np.zeros((LENGTH, LANDMARKS, 2), np.float32)
    inputs: dict[str, Array] = {
        "faces": np.zeros((LENGTH, CROP, CROP), np.uint8),
        "points": points,
        "displacement": points,
    }
    for stream in model.spec.streams:
        model.logits(stream.name, [read(inputs, stream.reads)], batch=1)
