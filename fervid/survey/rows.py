"""One system after the other: trained by the protocol, scored on what it held back, timed, and kept.

A folder holds a survey: its settings, a folder of runs for each system, and what came of it. What is done is
not done again, and a run that was broken off goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fervid import __version__, files, metrics, model
from fervid.datasets import protocols
from fervid.errors import FervidError, InputError, OutputError, UnexpectedError, UsageError
from fervid.execute import Executor
from fervid.samples import Sample
from fervid.survey import timing
from fervid.survey.systems import PAIR, SMALL, System, everything
from fervid.train import evaluate, reports
from fervid.train.listener import SILENT, Listener
from fervid.train.machine import Machine
from fervid.train.material import Material, digest
from fervid.train.recipe import Recipe
from fervid.types import Ints

SURVEY, ROW = "survey.json", "row.json"  # the settings and the whole table; what came of one system
# Of a recipe, what is a system's own, or said elsewhere, or never used by a survey.
NOT_SHARED = ("data", "validation", "labels", "streams", "sizes", "fusion", "start_from", "finetune")


@dataclass(frozen=True, eq=False)
class Ground:
    """What all systems of a survey share."""

    specs: tuple[str, ...]
    samples: tuple[Sample, ...]
    protocol: str
    recipe: Recipe  # its streams are replaced by a system's
    is_small: bool  # whether nets have sizes at which they are quick
    folder: Path
    executor: Executor
    machine: Machine
    cache: Path | None = None
    listener: Listener = SILENT

    @property
    def sizes(self) -> Mapping[str, Mapping[str, int]]:
        return SMALL if self.is_small else {}

    def facts(self) -> dict[str, Any]:
        """Return what rows have to share to stand in one table."""
        labels = evaluate.labels_of(self.samples)
        counts = {label: sum(sample.label == label for sample in self.samples) for label in labels}
        shared = {name: value for name, value in self.recipe.as_json().items() if name not in NOT_SHARED}
        return {
            "data": {
                "specs": list(reports.named(self.specs)),
                "sha256": digest(Material(labels, self.samples, ())),
                "clips": len(self.samples),
                "people": len({sample.subject or sample.name for sample in self.samples}),
                "labels": counts,
            },
            "settings": {
                "protocol": self.protocol,
                "size": "smoke" if self.is_small else "full",
                **shared,
            },
        }


@dataclass(frozen=True, eq=False)
class Row:
    """What came of a system; arrays have a value for each clip, in the order of the tests."""

    system: System
    reads: tuple[str, ...]  # by each of its streams
    sizes: Mapping[str, Mapping[str, int]]
    parameters: int
    milliseconds: float | None  # a window; None where no clip shows a face
    ratio: float | None  # to the default pair; None where that cannot read these clips
    labels: tuple[str, ...]
    subjects: tuple[str, ...]
    truth: Ints  # (N,) into labels
    said: Ints  # (N,) into labels, or metrics.NO_FACE
    device: str  # where it was trained
    versions: Mapping[str, str] = field(
        default_factory=lambda: {"fervid": __version__, "torch": torch.__version__}
    )

    def as_json(self) -> dict[str, Any]:
        value = asdict(self)
        return value | {"truth": self.truth.tolist(), "said": self.said.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Row:
        kept: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in value.items()
        }
        system = System(tuple(value["system"]["streams"]), value["system"]["fusion"])
        arrays = {name: np.array(value[name], np.int64) for name in ("truth", "said")}
        return cls(**(kept | arrays | {"system": system}))


@dataclass(frozen=True)
class Failure:
    """A system that could not be trained or scored, and why."""

    system: System
    reason: str


class Survey:
    """A survey in its folder, which makes each row once."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.failures = ground, dict[str, Failure]()
        self.parts = evaluate.divide(protocols.plan(ground.samples, ground.protocol), ground.recipe)
        self.facts = ground.facts()
        self._begin()

    def _begin(self) -> None:
        """Make the folder, or go on with the survey in it."""
        folder, record = self.ground.folder, self.ground.folder / SURVEY
        if record.is_file():
            try:
                value = json.loads(record.read_text(encoding="utf-8"))
                before = {name: value[name] for name in self.facts}
            except (ValueError, KeyError, TypeError) as failure:
                raise InputError(f"{record} is damaged: delete it, or name another folder") from failure
            if before != json.loads(json.dumps(self.facts)):
                raise UsageError(
                    f"the survey in {folder} was begun with other {_difference(before, self.facts)}: name "
                    "another folder"
                )
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputError(f"{folder} holds other things than a survey: name a new folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.write(record, json.dumps(self.facts, indent=1) + "\n")
        except (FileExistsError, NotADirectoryError) as failure:
            raise OutputError(f"{folder} is a file: name a folder") from failure
        except OSError as failure:
            raise OutputError(f"cannot write a survey to {folder}: {failure.strerror}") from failure

    def row(self, system: System) -> Row | Failure:
        """Return what came of a system, in an earlier run or now."""
        if system.name in self.failures:
            return self.failures[system.name]
        if (kept := self._kept(system)) is not None:
            return kept
        try:
            row = self._made(system)
        except FervidError as failure:
            return self._failed(system, failure)
        except OSError:
            raise  # the disk is full, or gone: no system would fare better
        except Exception as failure:  # the other systems do not depend on it
            unexpected = UnexpectedError(f"unexpected {type(failure).__name__}: {failure}")
            unexpected.__cause__ = failure
            return self._failed(system, unexpected)
        files.write(self.runs(system) / ROW, json.dumps(row.as_json()) + "\n")
        return row

    def rows(self) -> list[Row | Failure]:
        """Return all that came of systems in this folder, and what failed just now."""
        rows = [self._kept(system) or self.failures.get(system.name) for system in everything()]
        return [row for row in rows if row is not None]

    def runs(self, system: System) -> Path:
        """Return the folder of a system."""
        return self.ground.folder / system.name

    def _kept(self, system: System) -> Row | None:
        path = self.runs(system) / ROW
        if not path.is_file():
            return None
        try:
            return Row.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as failure:
            raise InputError(f"{path} is damaged: delete it, and the row is made again") from failure

    def _failed(self, system: System, failure: FervidError) -> Failure:
        self.ground.listener.warn(f"{system.name} failed: {failure}")
        self.failures[system.name] = Failure(system, " ".join(str(failure).split()))
        return self.failures[system.name]

    def _made(self, system: System) -> Row:
        """Train, score and time a system, after those that it takes over."""
        ground = self.ground
        for stream in system.bases:
            if isinstance(self.row(stream), Failure):
                raise InputError(f"its stream {stream.name} failed")
        sizes = {name: ground.sizes[name] for name in system.streams if name in ground.sizes}
        recipe = replace(
            ground.recipe,
            streams=system.streams,
            sizes=sizes,
            fusion=system.fusion or ground.recipe.fusion,
        )
        said = evaluate.by_protocol(
            ground.protocol,
            ground.samples,
            recipe,
            self.runs(system),
            ground.executor,
            ground.machine,
            cache=ground.cache,
            listener=ground.listener,
            bases=[self.runs(stream) for stream in system.bases],
        )
        part, _ = self.parts[0]
        net = model.load(evaluate.folder_of(part, self.runs(system)))
        taken, ratio = self._times(net)
        weights = [value.numel() for network in net.networks.values() for value in network.parameters()]
        return Row(
            system=system,
            reads=tuple(stream.reads for stream in net.spec.streams),
            sizes=sizes,
            parameters=sum(weights),
            milliseconds=taken,
            ratio=ratio,
            labels=said.labels,
            subjects=said.subjects,
            truth=said.truth,
            said=metrics.predicted(said),
            device=ground.machine.device.type,
        )

    def _times(self, net: model.Model) -> tuple[float | None, float | None]:
        """Return milliseconds a window, and how many times the default pair's these are."""
        part, _ = self.parts[0]
        windows = timing.windows(part.test, self.ground.cache)
        if not windows:
            return None, None
        if not windows[0]["faces"].size:  # landmarks alone
            return round(timing.milliseconds([net], windows)[0], 6), None
        own, pair = timing.milliseconds([net, timing.untrained(PAIR, self.ground.sizes)], windows)
        return round(own, 6), round(own / pair, 6)


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the name of what has changed of the facts of a survey."""
    if before["data"] != now["data"]:
        return "data"
    names = before["settings"].keys() | now["settings"].keys()
    changed = sorted(n for n in names if before["settings"].get(n) != now["settings"].get(n))
    return f"settings ({', '.join(changed)})"
