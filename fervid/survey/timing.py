"""How long nets take for a window: alone, on one core, several models in turn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import torch

from fervid import clips, footage, model, streams
from fervid.labels import EMOTIONS
from fervid.model import Model, Spec, StreamSpec
from fervid.samples import Sample
from fervid.survey.systems import System
from fervid.threads import one_thread
from fervid.train import evaluate
from fervid.types import Array

WINDOWS = 2 * model.BATCH  # that are timed, in batches as analysis has them
PASSES = 5  # of which the fastest counts: whatever else the machine does only adds
ENOUGH = 10.0  # seconds after which no further pass begins

PARTS = ("faces", "points", "displacement")  # of a window, that nets read
Window = Mapping[str, Array]


def windows(samples: Sequence[Sample], cache: Path | None) -> list[Window]:
    """Return the first windows of samples that show a face; fewer, or none, where there are no more."""

    def every() -> Iterator[clips.Window]:
        for shard in footage.shards(samples, None, cache):
            yield from (window for _, window in evaluate.windows(shard.footage()))

    # Cut here, so that the nets alone are timed.
    return [{part: window[part] for part in PARTS} for window in islice(every(), WINDOWS)]


def untrained(system: System, sizes: Mapping[str, Mapping[str, int]]) -> Model:
    """Return a system with random weights, which take as long as any."""
    networks = {
        name: streams.build(name, len(EMOTIONS), **sizes.get(name, {})).eval().placed(torch.device("cpu"))
        for name in system.streams
    }
    own = tuple(StreamSpec(name, net.reads, sizes.get(name, {})) for name, net in networks.items())
    spec = Spec(system.name, EMOTIONS, own, "weighted", 1.0, False, {}, (), "")
    return Model(spec, networks, {}, torch.device("cpu"))


def milliseconds(models: Sequence[Model], windows: Sequence[Window]) -> list[float]:
    """Return what each model takes for a window: the fastest of a few passes, with the models in turn."""
    fastest = [float("inf")] * len(models)
    begun = time.perf_counter()
    with one_thread():
        for _ in range(PASSES):
            for index, net in enumerate(models):
                before = time.perf_counter()
                _answer(net, windows)
                fastest[index] = min(fastest[index], time.perf_counter() - before)
            if time.perf_counter() - begun > ENOUGH:
                break
    return [1000 * seconds / len(windows) for seconds in fastest]


def _answer(net: Model, windows: Sequence[Window]) -> None:
    said = {
        stream.name: net.logits(stream.name, [model.read(window, stream.reads) for window in windows])
        for stream in net.spec.streams
    }
    net.fuse(said)
