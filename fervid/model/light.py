"""A model without torch, for a process that runs only networks that have a form in numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fervid.model.predict import BATCH, Input, Model, batches
from fervid.types import Floats


class Forward(Protocol):
    """A network in numpy."""

    def features(self, clip: Floats) -> Floats:
        """Return the features (B, F) of windows (B, L, ...)."""

    def top(self, features: Floats) -> Floats:
        """Return the logits (B, C)."""


@dataclass(frozen=True)
class LightModel(Model):
    """A model that runs only networks in numpy; scores differ from those of torch in their last bits."""

    forwards: Mapping[str, Forward]
    joint_tops: Mapping[str, tuple[Floats, Floats]]  # weights (C, F) and bias

    def heads(self, stream: str, inputs: Iterable[Input], batch: int = BATCH) -> tuple[Floats, Floats | None]:
        """Return the logits of one stream from its own top layer, and from its joint one if there is one."""
        network, joint = self.forwards[stream], self.joint_tops.get(stream)
        empty = np.empty((0, len(self.spec.labels)), np.float32)
        own, together = [empty], [empty]
        for (clip,), count in batches(inputs, batch):
            features = network.features(clip)
            own.append(network.top(features)[:count])
            if joint is not None:
                weight, bias = joint
                together.append((features @ weight.T + bias)[:count])
        return np.concatenate(own), None if joint is None else np.concatenate(together)
