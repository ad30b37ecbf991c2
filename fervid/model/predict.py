"""A loaded model: the logits of its streams, their fusion, and calibrated scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from fervid import clips, streams
from fervid.errors import ModelError
from fervid.model import voting, yielding
from fervid.model.softmax import softmax
from fervid.model.spec import Spec, StreamSpec
from fervid.types import Array, Floats

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fervid.streams.network import Network

BATCH = 8  # every batch is padded to this size: scores must not depend on the number of windows
Input = Array | tuple[Array, ...]  # one window: the array that a stream reads, or several


@dataclass(frozen=True)
class Model:
    """A model with its weights loaded; it always runs on one thread."""

    spec: Spec
    networks: Mapping[str, Network]
    joint: Mapping[str, nn.Linear]  # top layers trained together; empty for weighted fusion
    device: torch.device | str

    def reading(self, *inputs: str) -> list[StreamSpec]:
        """Return the streams that read one of these inputs, such as "faces", alone or with others."""
        return [stream for stream in self.spec.streams if not set(inputs).isdisjoint(parts(stream.reads))]

    def logits(self, stream: str, inputs: Iterable[Input], batch: int = BATCH) -> Floats:
        """Return the logits of one stream for fusion, (N, C), from windows (L, ...).

        Batches are padded to the size `batch`; scores of other sizes differ in their last bits.
        """
        own, joint = self.heads(stream, inputs, batch)
        return own if joint is None else joint

    def heads(self, stream: str, inputs: Iterable[Input], batch: int = BATCH) -> tuple[Floats, Floats | None]:
        """Return the logits of one stream from its own top layer, and from its joint one if there is one."""
        import torch

        from fervid.process import one_thread

        network, joint = self.networks[stream], self.joint.get(stream)
        illumination = next(s.illumination for s in self.spec.streams if s.name == stream)
        empty = np.empty((0, len(self.spec.labels)), np.float32)
        own, together = [empty], [empty]
        with one_thread(), torch.inference_mode():
            for columns, count in batches(inputs, batch):
                ready = [
                    torch.from_numpy(clips.contrast(part, illumination) if part.dtype == np.uint8 else part)
                    for part in columns
                ]
                features = network.features(streams.join_inputs(ready).to(self.device))
                own.append(network.top(features)[:count].float().cpu().numpy())
                if joint is not None:
                    together.append(joint(features)[:count].float().cpu().numpy())
        return np.concatenate(own), None if joint is None else np.concatenate(together)

    def fuse(self, logits: Mapping[str, Floats], straightness: Floats) -> Floats:
        """Return the fused logits (N, C) of the streams; those of a committee by its vote.

        `straightness` (N,) is that of the windows.
        """
        if self.spec.vote:
            return voting.vote(voting.member_answers(self.spec, logits), self.spec.vote)
        if self.spec.fusion == "joint":
            shares = yielding.shares(self.spec, logits, straightness)
            return np.sum([shares[stream.name] for stream in self.spec.streams], axis=0, dtype=np.float32)
        return self.weighted(logits)

    def weighted(self, logits: Mapping[str, Floats]) -> Floats:
        """Return the weighted sum of the streams' own logits."""
        terms = [np.float32(stream.weight) * logits[stream.name] for stream in self.spec.streams]
        return np.sum(terms, axis=0, dtype=np.float32)

    def probabilities(self, fused: Floats) -> Floats:
        """Return calibrated scores, (N, C); each row sums to 1."""
        scores = softmax(fused, self.spec.temperature).astype(np.float32)
        if not np.isfinite(scores).all():
            raise ModelError(f"the scores of model {self.spec.name} are not numbers: fetch the model again")
        return scores


def parts(reads: str) -> list[str]:
    """Return the names of the inputs of a stream: "faces+points" reads two."""
    return reads.split("+")


def read(window: Mapping[str, Array] | clips.Window, reads: str) -> Input:
    """Return the input of a stream from a window."""
    wanted = tuple(window[part] for part in parts(reads))
    return wanted[0] if len(wanted) == 1 else wanted


def batches(inputs: Iterable[Input], size: int) -> Iterator[tuple[list[Any], int]]:
    """Yield batches of `size` windows, one array per input, and the number of windows without the padding."""
    rest = iter(inputs)
    while windows := [w if isinstance(w, tuple) else (w,) for w in islice(rest, size)]:
        padded = windows + [windows[-1]] * (size - len(windows))
        yield [np.stack(column) for column in zip(*padded, strict=True)], len(windows)
