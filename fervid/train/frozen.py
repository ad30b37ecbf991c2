"""The features of trained streams, for training and validating the layers on top of them.

They are the same in every epoch, so they are computed once, from every window of a clip as in analysis, and
stored beside the checkpoints. Several processes share the work.
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
from fervid.train.batches import Batch, Clips, is_over_time
from fervid.train.listener import Listener, Progress
from fervid.train.machine import Machine
from fervid.types import Ints

AT_ONCE = 128  # clips: fixed, so that an interruption does not change the batches

Features = Mapping[str, Tensor]  # stream -> the mean over the windows of each clip (N, F)


def compute_features(
    networks: Mapping[str, Network],
    clips: Clips,
    batch: int,
    machine: Machine,
    checkpoint: Path,
    listener: Listener,
    exact: bool = True,
) -> Features:
    """Return the features of trained streams for every clip; resume from the checkpoint.

    The mean over windows is enough for a top, which is linear. With `exact`, for validation,
    features have full precision, as in analysis; otherwise they have the precision of training.
    """
    parts = [
        checkpoint.with_name(f"{checkpoint.stem}.{part}of{machine.parts}{checkpoint.suffix}")
        for part in range(machine.parts)
    ]
    own = np.arange(machine.part, len(clips), machine.parts)
    state = states.read(parts[machine.part]) or states.State()
    features = {name: [rows] for name, rows in state.part("features").items()}
    written = time.monotonic()
    while state.step < len(own):
        indices = own[state.step : state.step + AT_ONCE]
        for name, rows in _mean_features(networks, clips, indices, batch, machine, exact).items():
            features.setdefault(name, []).append(rows)
        state.step += len(indices)
        if state.step == len(own) or time.monotonic() - written > states.BETWEEN_CHECKPOINTS:
            state.keep("features", {name: torch.cat(rows) for name, rows in features.items()})
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
                    f"the checkpoint {path} has other data than this run: start again with --overwrite"
                )
            whole[name][part :: machine.parts] = rows
    return whole


@torch.inference_mode()
def _mean_features(
    networks: Mapping[str, Network], clips: Clips, indices: Ints, batch: int, machine: Machine, exact: bool
) -> Features:
    """Return the mean features of some clips: (S, F) of each stream."""
    means: dict[str, Tensor] = {}
    row = np.zeros(len(clips), np.int64)
    row[indices] = np.arange(len(indices))
    for whole in (False, True):
        group = {n: net for n, net in networks.items() if (clips.whole and is_over_time(net)) == whole}
        if not group:
            continue
        totals: dict[str, Tensor] = {}
        count = np.zeros(len(clips), np.int64)
        for owners, ready in clips.plain(batch, machine.device, indices, looks=None, whole=whole):
            np.add.at(count, owners, 1)
            rows = torch.from_numpy(row[owners]).to(machine.device)
            for name, network in group.items():
                with nullcontext() if exact else machine.autocast(network):
                    values = network.features(ready[network.reads]).float()
                total = totals.setdefault(name, values.new_zeros(len(indices), values.shape[1]))
                total.index_add_(0, rows, values)
        windows = torch.from_numpy(count[indices]).to(machine.device)[:, None]
        means |= {name: total / windows for name, total in totals.items()}
    return {name: means[name] for name in networks}


class Frozen:
    """The features of clips, drawn in the same order as the clips."""

    def __init__(self, clips: Clips, features: Features) -> None:
        self.clips, self.features = clips, features

    def steps(self, batch: int) -> int:
        return self.clips.steps(batch)

    def epoch(self, number: int, batch: int, part: int = 0, parts: int = 1) -> Iterator[tuple[int, Ints]]:
        return self.clips.epoch(number, batch, part, parts)

    def drawn(self, number: int, draws: Ints, device: torch.device) -> Batch:
        """Return the batch of these draws, which is the same in every epoch."""
        indices = draws % len(self.clips)
        targets = torch.from_numpy(self.clips.targets[indices]).to(device)
        people = torch.from_numpy(self.clips.people[indices]).to(device)
        rows = torch.from_numpy(indices).to(device)
        return Batch(
            None, None, None, targets, people, {name: whole[rows] for name, whole in self.features.items()}
        )
