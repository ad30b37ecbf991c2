"""The checkpoint of a training stage: one file, written whole or not at all, never unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
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

BETWEEN_CHECKPOINTS = 60.0  # seconds of work that an interruption may cost


@dataclass
class State:
    """How far a stage has come; its tensors are named `part/name`."""

    epoch: int = 0
    step: int = 0  # within the epoch
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])  # of the epoch: loss, right, clips
    best: float = -1.0
    best_epoch: int = -1
    gained: int = -1  # the last epoch that was better than all before, and not merely as good
    finished: bool = False
    history: History = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a part."""
        mark = f"{name}/"
        return {key.removeprefix(mark): value for key, value in self.tensors.items() if key.startswith(mark)}

    def keep(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Replace the tensors of a part by copies of these."""
        for key in [key for key in self.tensors if key.startswith(f"{name}/")]:
            del self.tensors[key]
        for key, value in tensors.items():
            self.tensors[f"{name}/{key}"] = value.detach().to("cpu", copy=True).contiguous()


_PLAIN = ("epoch", "step", "sums", "best", "best_epoch", "gained", "finished", "history")


def write(path: Path, state: State) -> None:
    """Write the state, whole or not at all."""
    header = json.dumps({name: getattr(state, name) for name in _PLAIN})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, save(state.tensors or {"none": torch.zeros(1)}, {"state": header}))
    except OSError as failure:
        raise OutputError(
            f"cannot write the checkpoint {path}: {failure.strerror}; free some space"
        ) from failure


def read(path: Path) -> State | None:
    """Return the state of an interrupted stage, or None."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stream:
            plain: dict[str, Any] = json.loads(stream.metadata()["state"])
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as failure:
        raise InputError(
            f"the checkpoint {path} is damaged; delete it, and its stage begins again"
        ) from failure
    return State(**plain, tensors=tensors)
