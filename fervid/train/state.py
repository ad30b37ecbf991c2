"""The checkpoint of a stage of training: one file, written completely or not at all, without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from fervid import files
from fervid.errors import InputError, OutputError

History = dict[str, list[float]]

BETWEEN_CHECKPOINTS = 60.0  # seconds


@dataclass
class State:
    """The progress of a stage; tensors are named `part/name`."""

    epoch: int = 0
    step: int = 0  # within the epoch
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # of the epoch: loss, correct, clips
    best: float = -1.0
    best_epoch: int = -1
    gained: int = -1  # the last epoch that was strictly better than all before
    finished: bool = False
    history: History = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of one part."""
        start = f"{name}/"
        return {
            key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)
        }

    def keep(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Replace the tensors of one part by copies of `tensors`."""
        for key in [key for key in self.tensors if key.startswith(f"{name}/")]:
            del self.tensors[key]
        for key, value in tensors.items():
            self.tensors[f"{name}/{key}"] = value.detach().to("cpu", copy=True).contiguous()


_PLAIN = ("epoch", "step", "sums", "best", "best_epoch", "gained", "finished", "history")


def write(path: Path, state: State) -> None:
    """Write the state, completely or not at all."""
    header = json.dumps({name: getattr(state, name) for name in _PLAIN})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, save(state.tensors or {"none": torch.zeros(1)}, {"state": header}))
    except OSError as failure:
        raise OutputError(f"cannot write the checkpoint {path}: {failure.strerror}") from failure


def read(path: Path) -> State | None:
    """Return the state of an interrupted stage; None if there is no checkpoint."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stream:
            plain: dict[str, Any] = json.loads(stream.metadata()["state"])
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as failure:
        raise InputError(
            f"the checkpoint {path} is damaged: delete it, and its stage starts again"
        ) from failure
    return State(**plain, tensors=tensors)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the errors of loading a checkpoint that does not fit the run into an InputError."""
    try:
        yield
    except (RuntimeError, KeyError, ValueError) as failure:
        raise InputError(
            f"the checkpoint {path} has other labels or sizes than this run, so its data has changed: start "
            "again with --overwrite"
        ) from failure
