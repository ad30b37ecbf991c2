"""Let a trained model compute in 8-bit integers, by the ranges that its layers' inputs have in some data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from safetensors.numpy import load_file

from fervid import model, quantized
from fervid.errors import UsageError
from fervid.model import Model
from fervid.streams.network import Network
from fervid.train import footage
from fervid.train.scoring import windows
from fervid.types.samples import Sample


def load(name: str | Path) -> tuple[Model, dict[str, Network]]:
    """Return a model in single precision, and those of its networks that can be quantized."""
    net = model.load_exactly(name)
    networks = {stream: network for stream, network in net.networks.items() if network.can_quantize}
    if not networks:
        raise UsageError(f"{name} has no stream that computes in 8-bit integers: c3d and still do")
    return net, networks


def quantize(name: str | Path, samples: Sequence[Sample], target: Path, cache: Path | None = None) -> None:
    """Write a model with the ranges of its convolutions' inputs for these samples."""
    folder = model.find(name)
    net, networks = load(name)
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
    model.save(target, net.spec, load_file(folder / model.WEIGHTS) | measured)
