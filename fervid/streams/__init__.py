"""Streams: small networks, one per file, that turn a clip into logits.

A stream is a `Network` with a class attribute `reads`, one of READS: "faces" for crops (B, L, S, S) at unit
contrast, "displacement" for landmarks (B, L, 68, 2) against the person's neutral, "points" for landmarks
(B, L, 68, 2) in the pixels of a crop, or "faces+points". It is built from the number of classes and its
sizes alone, so a checkpoint's spec stores nothing else. A stream's file is imported on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from fervid.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from fervid.streams.network import Network
    from fervid.streams.phrnn_numpy import PHRNN

READS = ("faces", "displacement", "points", "faces+points")
_FILES = (  # each named after the stream in it
    "aggregate_average",
    "aggregate_covariance",
    "aggregate_forest",
    "aggregate_gaussian",
    "aggregate_moments",
    "aggregate_spd",
    "aggregate_statistics",
    "aggregate_subspace",
    "c3d",
    "c3d_full",
    "cascaded_peak",
    "cnn_lstm",
    "compact",
    "compact_gru",
    "dap3d",
    "dtan",
    "dtgn",
    "flow",
    "inception3d",
    "irnn",
    "mscnn",
    "peak_piloted",
    "phrnn",
    "still",
    "still_facenet",
    "still_mobilenet",
    "tiny_displacement",
    "tiny_faces",
    "trajectory_map",
)
_OWN = frozenset(
    {"c3d", "phrnn", "still", "still_facenet", "tiny_displacement", "tiny_faces"}
)  # others are in `survey/`
_STREAMS: dict[str, type[Network]] = {}


def stream(name: str) -> Callable[[type[Network]], type[Network]]:
    """Register a network under the name of its file."""

    def register(network: type[Network]) -> type[Network]:
        if name in _STREAMS:
            raise ValueError(f"two streams are called {name!r}")
        if getattr(network, "reads", None) not in READS:
            raise ValueError(f"stream {name!r} must declare what it reads: one of {READS}")
        _STREAMS[name] = network
        return network

    return register


def names() -> tuple[str, ...]:
    """Return the names of all streams."""
    return _FILES


def join_inputs(parts: Sequence[Tensor]) -> Tensor:
    """Return a stream's one or two inputs as one tensor."""
    from fervid.streams.network import join

    return join(*parts) if len(parts) > 1 else parts[0]


def build(name: str, classes: int, **sizes: int) -> Network:
    """Build a network by name, with random weights."""
    return registered(name)(classes, **sizes)


def registered(name: str) -> type[Network]:
    """Return the class of a network."""
    if name not in _FILES:
        raise ModelError(f"unknown stream {name!r}: choose from {', '.join(_FILES)}")
    package = "fervid.streams" if name in _OWN else "fervid.streams.survey"
    import_module(f"{package}.{name}")
    return _STREAMS[name]


def in_numpy(name: str) -> type[PHRNN] | None:
    """Return the form of a network that needs no torch, if there is one."""
    from fervid.streams.phrnn_numpy import PHRNN

    return PHRNN if name == "phrnn" else None
