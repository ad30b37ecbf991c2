"""The time of networks per window: alone, on one core, several models in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from fervid import clips, model, streams
from fervid.labels import EMOTIONS
from fervid.model import Model, Spec, StreamSpec
from fervid.process import one_thread
from fervid.train import footage, scoring
from fervid.train.survey.systems import System
from fervid.types import Array
from fervid.types.samples import Sample

WINDOWS = 2 * model.BATCH  # to time, in batches as in analysis
PASSES = 5  # the fastest counts: other load on the machine only adds
ENOUGH = 10.0  # seconds after which no further pass starts

PARTS = ("faces", "points", "displacement")  # of a window that networks read
Window = Mapping[str, Array]


def windows(samples: Sequence[Sample], cache: Path | None) -> list[Window]:
    """Return the first WINDOWS windows of samples with a face, or fewer if there are no more."""

    def every_window() -> Iterator[clips.Window]:
        for shard in footage.shards(samples, None, cache):
            yield from (window for _, window in scoring.windows(shard.footage()))

    # Cut here, so that only the networks are timed.
    return [{part: window[part] for part in PARTS} for window in islice(every_window(), WINDOWS)]


def untrained(system: System, sizes: Mapping[str, Mapping[str, int]]) -> Model:
    """Return a system with random weights, which is as fast as a trained one."""
    networks = {
        name: streams.build(name, len(EMOTIONS), **sizes.get(name, {})).eval().placed(torch.device("cpu"))
        for name in system.streams
    }
    own = tuple(StreamSpec(name, net.reads, sizes.get(name, {})) for name, net in networks.items())
    spec = Spec(system.name, EMOTIONS, own, "weighted", 1.0, False, {}, (), "")
    return Model(spec, networks, {}, torch.device("cpu"))


def milliseconds(models: Sequence[Model], windows: Sequence[Window]) -> list[float]:
    """Return the milliseconds of each model per window: the fastest of a few passes, models in turn."""
    fastest = [float("inf")] * len(models)
    started = time.perf_counter()
    with one_thread():
        for _ in range(PASSES):
            for index, net in enumerate(models):
                before = time.perf_counter()
                _run(net, windows)
                fastest[index] = min(fastest[index], time.perf_counter() - before)
            if time.perf_counter() - started > ENOUGH:
                break
    return [1000 * seconds / len(windows) for seconds in fastest]


def _run(net: Model, windows: Sequence[Window]) -> None:
    logits = {
        stream.name: net.logits(stream.name, [model.read(window, stream.reads) for window in windows])
        for stream in net.spec.streams
    }
    net.fuse(logits, np.zeros(len(windows), np.float32))
