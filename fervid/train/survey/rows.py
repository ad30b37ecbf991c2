"""The rows of a survey: each system is trained and evaluated by the protocol, timed, and stored.

The folder of a survey contains its settings and, for each system, a folder of runs and a row. Finished rows
are reused, and interrupted runs resume.
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
from fervid.train import evaluate, reports, scoring
from fervid.train.listener import SILENT, Listener
from fervid.train.machine import Machine
from fervid.train.material import Material, digest
from fervid.train.recipe import Recipe
from fervid.train.survey import timing
from fervid.train.survey.systems import PAIR, SMALL, System, everything
from fervid.types import Ints
from fervid.types.samples import Sample

SURVEY, ROW = "survey.json", "row.json"  # the settings and the whole table; one row
# Fields of a recipe that differ between systems, are stored elsewhere, or are not used by a survey.
NOT_SHARED = (
    "data",
    "validation",
    "labels",
    "streams",
    "sizes",
    "fusion",
    "fixed_tops",
    "start_from",
    "finetune",
)


@dataclass(frozen=True, eq=False)
class Setup:
    """The data and settings that all systems of a survey share."""

    specs: tuple[str, ...]
    samples: tuple[Sample, ...]
    protocol: str
    recipe: Recipe  # its streams are replaced by those of each system
    is_small: bool  # whether networks have small sizes, which are fast
    folder: Path
    executor: Executor
    machine: Machine
    cache: Path | None = None
    listener: Listener = SILENT

    @property
    def sizes(self) -> Mapping[str, Mapping[str, int]]:
        return SMALL if self.is_small else {}

    def facts(self) -> dict[str, Any]:
        """Return the data and settings that must be the same for all rows of a table."""
        labels = scoring.labels_of(self.samples)
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
    """The result of a system; arrays have a value for each clip, in the order of the tests."""

    system: System
    reads: tuple[str, ...]  # by each of its streams
    sizes: Mapping[str, Mapping[str, int]]
    parameters: int
    milliseconds: float | None  # per window; None if no clip shows a face
    ratio: float | None  # to the default pair; None if that cannot read these clips
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
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items()
        }
        system = System(tuple(value["system"]["streams"]), value["system"]["fusion"])
        arrays = {name: np.array(value[name], np.int64) for name in ("truth", "said")}
        return cls(**(kept | arrays | {"system": system}))


@dataclass(frozen=True)
class Failure:
    """A system that could not be trained or evaluated, and why."""

    system: System
    reason: str


class Survey:
    """A survey and its folder; each row is made once."""

    def __init__(self, setup: Setup) -> None:
        self.setup, self.failures = setup, dict[str, Failure]()
        self.parts = evaluate.divide(protocols.plan(setup.samples, setup.protocol), setup.recipe)
        self.facts = setup.facts()
        self._begin()

    def _begin(self) -> None:
        """Create the folder, or check that it contains the same survey."""
        folder, record = self.setup.folder, self.setup.folder / SURVEY
        if record.is_file():
            try:
                value = json.loads(record.read_text(encoding="utf-8"))
                before = {name: value[name] for name in self.facts}
                # Some settings are newer than the survey.
                before["settings"] = _defaults() | before["settings"]
            except (ValueError, KeyError, TypeError) as failure:
                raise InputError(f"{record} is damaged: delete it, or name another folder") from failure
            if before != json.loads(json.dumps(self.facts)):
                raise UsageError(
                    f"the survey in {folder} was started with other {_difference(before, self.facts)}: name "
                    "another folder"
                )
            return
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputError(f"{folder} is not a survey, and not empty: name a new folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files.write(record, json.dumps(self.facts, indent=1) + "\n")
        except (FileExistsError, NotADirectoryError) as failure:
            raise OutputError(f"{folder} is a file: name a folder") from failure
        except OSError as failure:
            raise OutputError(f"cannot write a survey to {folder}: {failure.strerror}") from failure

    def row(self, system: System) -> Row | Failure:
        """Return the row of a system, from an earlier run or trained now."""
        if system.name in self.failures:
            return self.failures[system.name]
        if (stored := self._stored(system)) is not None:
            return stored
        try:
            row = self._make(system)
        except FervidError as failure:
            return self._failed(system, failure)
        except OSError:
            raise  # such as a full disk: every other system would fail as well
        except Exception as failure:  # the other systems do not depend on it
            unexpected = UnexpectedError(f"unexpected {type(failure).__name__}: {failure}")
            unexpected.__cause__ = failure
            return self._failed(system, unexpected)
        files.write(self.runs(system) / ROW, json.dumps(row.as_json()) + "\n")
        return row

    def rows(self) -> list[Row | Failure]:
        """Return all rows in the folder, and the failures of this run."""
        rows = [self._stored(system) or self.failures.get(system.name) for system in everything()]
        return [row for row in rows if row is not None]

    def runs(self, system: System) -> Path:
        """Return the folder of a system."""
        return self.setup.folder / system.name

    def _stored(self, system: System) -> Row | None:
        path = self.runs(system) / ROW
        if not path.is_file():
            return None
        try:
            return Row.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as failure:
            raise InputError(f"{path} is damaged: delete it to make the row again") from failure

    def _failed(self, system: System, failure: FervidError) -> Failure:
        self.setup.listener.warn(f"{system.name} failed: {failure}")
        self.failures[system.name] = Failure(system, " ".join(str(failure).split()))
        return self.failures[system.name]

    def _make(self, system: System) -> Row:
        """Train, evaluate and time a system, after the systems that it is based on."""
        setup = self.setup
        for stream in system.bases:
            if isinstance(self.row(stream), Failure):
                raise InputError(f"its stream {stream.name} failed")
        sizes = {name: setup.sizes[name] for name in system.streams if name in setup.sizes}
        recipe = replace(
            setup.recipe,
            streams=system.streams,
            sizes=sizes,
            fusion=system.fusion or setup.recipe.fusion,
        )
        predictions = evaluate.by_protocol(
            setup.protocol,
            setup.samples,
            recipe,
            self.runs(system),
            setup.executor,
            setup.machine,
            cache=setup.cache,
            listener=setup.listener,
            bases=[self.runs(stream) for stream in system.bases],
        )
        part, _ = self.parts[0]
        net = model.load(evaluate.folder_of(part, self.runs(system)))
        milliseconds, ratio = self._times(net)
        weights = [value.numel() for network in net.networks.values() for value in network.parameters()]
        return Row(
            system=system,
            reads=tuple(stream.reads for stream in net.spec.streams),
            sizes=sizes,
            parameters=sum(weights),
            milliseconds=milliseconds,
            ratio=ratio,
            labels=predictions.labels,
            subjects=predictions.subjects,
            truth=predictions.truth,
            said=metrics.predicted(predictions),
            device=setup.machine.device.type,
        )

    def _times(self, net: model.Model) -> tuple[float | None, float | None]:
        """Return milliseconds per window, and their ratio to the default pair's."""
        part, _ = self.parts[0]
        windows = timing.windows(part.test, self.setup.cache)
        if not windows:
            return None, None
        if not windows[0]["faces"].size:  # landmarks alone
            return round(timing.milliseconds([net], windows)[0], 6), None
        own, pair = timing.milliseconds([net, timing.untrained(PAIR, self.setup.sizes)], windows)
        return round(own, 6), round(own / pair, 6)


def _defaults() -> dict[str, Any]:
    """Return the defaults of the settings that all systems share."""
    return {name: value for name, value in Recipe().as_json().items() if name not in NOT_SHARED}


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the difference between the facts of two surveys: the data, or the names of settings."""
    if before["data"] != now["data"]:
        return "data"
    names = before["settings"].keys() | now["settings"].keys()
    changed = sorted(n for n in names if before["settings"].get(n) != now["settings"].get(n))
    return f"settings ({', '.join(changed)})"
