"""Whole clips as streams see them that learn no more: all that is targets or judged on top of them.

Nothing of it changes from one epoch to the next. So it is worked out once, every clip as analysis sees it,
and kept beside the checkpoints; several processes share the work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fervid.errors import InputError
from fervid.streams.network import Network
from fervid.train import state as states
from fervid.train.batches import Batch, Clips
from fervid.train.listener import Listener, Progress
from fervid.train.machine import Machine
from fervid.types import Ints

AT_ONCE = 128  # clips: an interruption never changes which windows share a batch

Features = Mapping[str, Tensor]  # stream -> the mean over the windows of each clip (N, F)


def features(
    networks: Mapping[str, Network],
    clips: Clips,
    batch: int,
    machine: Machine,
    checkpoint: Path,
    listener: Listener,
    exact: bool = True,
) -> Features:
    """Return the mean features of every clip, reusing those in the checkpoint.

    The mean is enough for a top: it is linear, so its answer for the mean is the mean of its answers. With
    `exact`, features have full precision, as in analysis; without, they are as coarse as in training.
    """
    parts = [
        checkpoint.with_name(f"{checkpoint.stem}.{part}of{machine.parts}{checkpoint.suffix}")
        for part in range(machine.parts)
    ]
    own = np.arange(machine.part, len(clips), machine.parts)
    state = states.read(parts[machine.part]) or states.State()
    features_of = {name: [rows] for name, rows in state.part("features").items()}
    written = time.monotonic()
    while state.step < len(own):
        some = own[state.step : state.step + AT_ONCE]
        for name, rows in _seen(networks, clips, some, batch, machine, exact).items():
            features_of.setdefault(name, []).append(rows)
        state.step += len(some)
        if state.step == len(own) or time.monotonic() - written > states.BETWEEN_CHECKPOINTS:
            state.keep("features", {name: torch.cat(rows) for name, rows in features_of.items()})
            states.write(parts[machine.part], state)
            written = time.monotonic()
        done = state.step / len(own)
        listener.tick(Progress("whole clips", 0, 0, done, math.nan, math.nan, math.nan))
    machine.wait()
    whole: dict[str, Tensor] = {}
    for part, path in enumerate(parts[: len(clips)]):
        kept = (states.read(path) or states.State()).part("features")
        for name in networks:
            rows = kept[name].to(machine.device)
            whole.setdefault(name, rows.new_empty(len(clips), rows.shape[1]))
            if len(rows) != len(whole[name][part :: machine.parts]):
                raise InputError(
                    f"the checkpoint {path} is of other data than this run: begin again with --overwrite"
                )
            whole[name][part :: machine.parts] = rows
    return whole


@torch.inference_mode()
def _seen(
    networks: Mapping[str, Network], clips: Clips, some: Ints, batch: int, machine: Machine, exact: bool
) -> Features:
    """Return the mean features of some clips: (S, F) for each stream."""
    totals: dict[str, Tensor] = {}
    count = np.zeros(len(clips), np.int64)
    row = np.zeros(len(clips), np.int64)
    row[some] = np.arange(len(some))
    for indices, ready in clips.plain(batch, machine.device, some, looks=None):
        np.add.at(count, indices, 1)
        owners = torch.from_numpy(row[indices]).to(machine.device)
        for name, network in networks.items():
            with nullcontext() if exact else machine.arithmetic(network):
                seen = network.features(ready[network.reads]).float()
            total = totals.setdefault(name, seen.new_zeros(len(some), seen.shape[1]))
            total.index_add_(0, owners, seen)
    windows = torch.from_numpy(count[some]).to(machine.device)[:, None]
    return {name: total / windows for name, total in totals.items()}


class Frozen:
    """Batches of kept features, drawn in the order in which the clips would be."""

    def __init__(self, clips: Clips, seen: Features) -> None:
        self.clips, self.seen = clips, seen

    def steps(self, batch: int) -> int:
        return self.clips.steps(batch)

    def epoch(self, number: int, batch: int, part: int = 0, parts: int = 1) -> Iterator[tuple[int, Ints]]:
        return self.clips.epoch(number, batch, part, parts)

    def drawn(self, number: int, draws: Ints, device: torch.device) -> Batch:
        """Return a batch of these draws; it is the same in every epoch."""
        indices = draws % len(self.clips)
        targets = torch.from_numpy(self.clips.targets[indices]).to(device)
        people = torch.from_numpy(self.clips.people[indices]).to(device)
        rows = torch.from_numpy(indices).to(device)
        return Batch(
            None, None, None, targets, people, {name: whole[rows] for name, whole in self.seen.items()}
        )
