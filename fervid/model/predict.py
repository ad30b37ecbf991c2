"""A loaded model, and what it answers: logits per stream, their fusion, calibrated scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fervid import clips, streams
from fervid.model.spec import Spec, StreamSpec
from fervid.types import Array, Floats

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fervid.streams.network import Network

BATCH = 8  # every batch is padded to this: a score must not depend on its neighbours' number
Input = Array | tuple[Array, ...]  # of one window: what a stream reads, or the several things that it reads


@dataclass(frozen=True)
class Model:
    """A model with its weights loaded; it computes on one thread, whatever the caller's torch does."""

    spec: Spec
    networks: Mapping[str, Network]
    joint: Mapping[str, nn.Linear]  # the tops that were trained together; empty where the fusion is weighted
    device: torch.device

    def reading(self, *what: str) -> list[StreamSpec]:
        """Return the streams that read one of these, such as "faces", among other things or alone."""
        return [stream for stream in self.spec.streams if not set(what).isdisjoint(parts(stream.reads))]

    def logits(self, stream: str, inputs: Sequence[Input]) -> Floats:
        """Return what one stream says of windows, each (L, ...), to be fused: (N, C)."""
        alone, joint = self.heads(stream, inputs)
        return alone if joint is None else joint

    def heads(self, stream: str, inputs: Sequence[Input]) -> tuple[Floats, Floats | None]:
        """Return what one stream says of windows by its own top, and by its joint one if there is one."""
        import torch

        from fervid.threads import one_thread

        network, joint = self.networks[stream], self.joint.get(stream)
        light = next(each.illumination for each in self.spec.streams if each.name == stream)
        empty = np.empty((0, len(self.spec.labels)), np.float32)
        own, together = [empty], [empty]
        with one_thread(), torch.inference_mode():
            for batch, count in _batches(inputs):
                ready = [
                    torch.from_numpy(clips.contrast(part, light) if part.dtype == np.uint8 else part)
                    for part in batch
                ]
                features = network.features(streams.joined(ready).to(self.device))
                own.append(network.top(features)[:count].float().cpu().numpy())
                if joint is not None:
                    together.append(joint(features)[:count].float().cpu().numpy())
        return np.concatenate(own), None if joint is None else np.concatenate(together)

    def fuse(self, logits: Mapping[str, Floats]) -> Floats:
        """Return the fused logits from those of the streams."""
        if self.spec.fusion == "joint":
            return np.sum([logits[stream.name] for stream in self.spec.streams], axis=0, dtype=np.float32)
        return self.weighted(logits)

    def weighted(self, logits: Mapping[str, Floats]) -> Floats:
        """Return the weighted sum of the streams' own logits."""
        terms = [np.float32(stream.weight) * logits[stream.name] for stream in self.spec.streams]
        return np.sum(terms, axis=0, dtype=np.float32)

    def probabilities(self, fused: Floats) -> Floats:
        """Return calibrated scores (N, C) that sum to one in each row."""
        scaled = fused.astype(np.float64) / self.spec.temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def parts(reads: str) -> list[str]:
    """Return the single things that a stream reads."""
    return reads.split("+")


def read(window: Mapping[str, Array] | clips.Window, reads: str) -> Input:
    """Return what a stream reads of a window, which holds everything by name."""
    wanted = tuple(window[part] for part in parts(reads))
    return wanted[0] if len(wanted) == 1 else wanted


def _batches(inputs: Sequence[Input]) -> Iterator[tuple[list[Any], int]]:
    """Yield stacks of exactly BATCH windows, the last filled up with copies, and how many of each are real.

    There is one stack for each thing that is read.
    """
    for start in range(0, len(inputs), BATCH):
        some = [each if isinstance(each, tuple) else (each,) for each in inputs[start : start + BATCH]]
        filled = some + [some[-1]] * (BATCH - len(some))
        yield [np.stack(column) for column in zip(*filled, strict=True)], len(some)
