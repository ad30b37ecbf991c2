"""The start of a live analysis: load everything first, then open the origin; so no frame waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np

from fervid.clips import LENGTH, population_neutral
from fervid.faces.finder import FaceFinder
from fervid.faces.shape import CROP
from fervid.live.waiting import Reader, Waiting
from fervid.live.watching import Options, Watch
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
) -> Iterator[Watch]:
    """Read an origin in a thread during the block; `stopped` ends it."""
    check_short_windows(model)
    facts, net = info(model), load(model, device)
    _warm_up(net, options.settings)
    feed, waiting = Feed(origin, rotate, stopped), Waiting(stopped, drops)
    watch = Watch(feed, waiting, net, facts, options, stopped)
    with Reader(feed, waiting, stopped, reconnect):
        yield watch


def _warm_up(model: Model, settings: Settings) -> None:
    """Use everything once: first uses load files, and take a hundred times as long as later ones."""
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
