"""Streams: small networks, one per file, that turn what they read of a clip into logits.

A stream is a torch module with a class attribute `reads`: "faces" for crops (B, L, S, S) at unit contrast,
or "displacement" for landmarks (B, L, 68, 2) against the person's neutral. It is built from the number of
classes and its sizes alone, which is all that a checkpoint's spec holds of it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from fervid.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

READS = ("faces", "displacement")
_FILES = ("tiny_faces", "tiny_displacement")
_STREAMS: dict[str, type[nn.Module]] = {}


def stream(name: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Register a network under a name."""

    def register(network: type[nn.Module]) -> type[nn.Module]:
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


def build(name: str, classes: int, **sizes: int) -> nn.Module:
    """A network by name, with random weights."""
    if name not in names():
        raise ModelError(f"unknown stream {name!r}; there are {', '.join(names())}")
    return _STREAMS[name](classes, **sizes)
