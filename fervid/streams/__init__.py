"""Streams: small networks, one per file, that turn what they read of a clip into logits.

A stream is a `Network` with a class attribute `reads`: "faces" for crops (B, L, S, S) at unit contrast, or
"displacement" for landmarks (B, L, 68, 2) against the person's neutral. It is built from the number of
classes and its sizes alone, which is all that a checkpoint's spec holds of it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from fervid.errors import ModelError

if TYPE_CHECKING:
    from fervid.streams.network import Network

READS = ("faces", "displacement")
_FILES = ("c3d", "c3d_full", "phrnn", "still", "still_mobilenet", "tiny_displacement", "tiny_faces")
_STREAMS: dict[str, type[Network]] = {}


def stream(name: str) -> Callable[[type[Network]], type[Network]]:
    """Register a network under a name."""

    def register(network: type[Network]) -> type[Network]:
        if name in _STREAMS:
            raise ValueError(f"two streams are called {name!r}")
        if getattr(network, "reads", None) not in READS:
            raise ValueError(f"stream {name!r} should say what it reads: one of {READS}")
        _STREAMS[name] = network
        return network

    return register


def names() -> tuple[str, ...]:
    """Every stream there is."""
    for file in _FILES:
        import_module(f"fervid.streams.{file}")
    return tuple(_STREAMS)


def build(name: str, classes: int, **sizes: int) -> Network:
    """A network by name, with random weights."""
    return registered(name)(classes, **sizes)


def registered(name: str) -> type[Network]:
    """The class of a network."""
    if name not in names():
        raise ModelError(f"unknown stream {name!r}; there are {', '.join(names())}")
    return _STREAMS[name]
