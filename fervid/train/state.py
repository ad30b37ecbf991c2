"""The checkpoint of a stage of training: one file, written completely or not at all, without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fervid import files
from fervid.errors import InputError, OutputError

History = dict[str, list[float]]

BETWEEN_CHECKPOINTS = 60.0  # seconds
DAMAGE = (
    SafetensorError,
    OSError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)


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
        data = path.read_bytes()  # safetensors opens no path that is not UTF-8
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        plain = _checked(json.loads(header["__metadata__"]["state"]))
        return State(**plain, tensors=load(data))
    except DAMAGE as failure:
        raise InputError(
            f"the checkpoint {path} is damaged: delete it, and its stage starts again"
        ) from failure


def _checked(plain: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a state that are not tensors; raise ValueError for what `write` does not write."""
    for name, default in vars(State()).items():
        if name != "tensors":
            _check(name, plain[name], default)
    for values in plain["history"].values():
        _check("history", values, [0.0])
    shortest = min(map(len, plain["history"].values()), default=None)
    if plain["finished"] and shortest is not None and not 0 <= plain["best_epoch"] < shortest:
        raise ValueError("the best epoch is not in its history")
    return plain


def _check(name: str, value: Any, default: Any) -> None:
    kind = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, kind) or (type(default) is int and not -1 <= value < 2**31):
        raise ValueError(f"{name} is {value!r:.40}")
    for part in value if isinstance(value, list) else ():
        _check(name, part, 0.0)


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
