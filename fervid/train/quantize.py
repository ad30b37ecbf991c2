"""Let a trained model compute in 8-bit integers, by the ranges that its layers' inputs have in some data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from fervid import model, quantized, streams
from fervid.errors import UsageError
from fervid.packing import pack
from fervid.train import footage
from fervid.train.scoring import windows
from fervid.types.samples import Sample


def quantizable(name: str | Path) -> list[str]:
    """Return the names of a model's streams that can be quantized; raise UsageError if there are none."""
    names = [
        stream.name
        for stream in model.read_spec(name).streams
        if streams.registered(stream.network).can_quantize(**stream.sizes)
    ]
    if not names:
        raise UsageError(
            f"{name} has no stream that computes in 8-bit integers: c3d, still and still_facenet do"
        )
    return names


def quantize(name: str | Path, samples: Sequence[Sample], target: Path, cache: Path | None = None) -> None:
    """Write a model with weights of 8 bits, and the ranges of its layers' inputs for these samples."""
    folder, net = model.find(name), model.load_exactly(name)
    networks = {stream: net.networks[stream] for stream in quantizable(name)}
    with ExitStack() as hooks:
        ranges = {
            stream: hooks.enter_context(quantized.measured(network)) for stream, network in networks.items()
        }
        for shard in footage.shards(samples, None, cache):
            strips = shard.footage()
            for read in (each for each in net.spec.streams if each.name in networks):
                views = (window for _, window in windows(strips, read.window == "clip"))
                net.heads(read.name, (model.read(view, read.reads) for view in views))
    for stream, found in ranges.items():
        if not found:
            raise UsageError(f"the data has no face that stream {stream} of {name} can read: give other data")
    measured = {
        f"{stream}.{quantized.RANGES}": quantized.encode(networks[stream], found).numpy()
        for stream, found in ranges.items()
    }
    whole = {
        f"{stream}.{name}.weight": (numbers.numpy(), steps.numpy())
        for stream, network in networks.items()
        for name, (numbers, steps) in quantized.whole_weights(network).items()
    }
    model.save(target, net.spec, pack(model.read_tensors(folder), whole) | measured)
