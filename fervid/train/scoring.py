"""A model's predictions for labelled samples, with the scores of analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fervid import clips, model
from fervid.clips import Face, Window
from fervid.errors import UsageError
from fervid.execute import Executor, results
from fervid.labels import CONTEMPT, EMOTIONS
from fervid.metrics import Predictions
from fervid.model import Model
from fervid.train import footage
from fervid.train.crops import views
from fervid.train.footage import Footage, Shard
from fervid.train.listener import SILENT, Listener
from fervid.types import READABLE, Array, Floats, Settings
from fervid.types.samples import Sample

AT_ONCE = 64  # windows in a batch, to limit memory


def labels_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the labels that occur, in their usual order."""
    present = {sample.label for sample in samples}
    return tuple(label for label in (*EMOTIONS, CONTEMPT) if label in present)


@dataclass(frozen=True)
class _Task:
    shard: Shard
    model: str
    device: str
    frames: str
    leave_out: bool
    crops: int


def predict(
    name: str | Path,
    samples: Sequence[Sample],
    labels: tuple[str, ...] | None,
    executor: Executor,
    *,
    device: str = "cpu",
    settings: Settings | None = None,
    cache: Path | None = None,
    fold: int = 0,
    listener: Listener = SILENT,
    frames: str = "all",
    leave_out: bool = False,
    crops: int = 1,
) -> Predictions:
    """Return a model's predictions, pooled over each sample's windows. By default, all labels that occur.

    For what time is worth, `frames` "middle" repeats the middle frame of each window, "reversed" reverses
    its frames, and "last" leaves only the last window of each sample, where an expression has grown. With
    `leave_out`, the joint model also predicts without each of its streams. With `crops`, a stream of faces
    reads five or ten crops of each window.
    """
    labels = labels or labels_of(samples)
    folder = str(model.find(name).resolve())
    spec = model.read_spec(folder)
    shards = footage.shards(samples, settings, cache)
    tasks = [_Task(shard, folder, device, frames, leave_out, crops) for shard in shards]
    parts, done = [], 0
    for task, part in zip(tasks, results(executor(_score, tasks)), strict=True):
        parts.append(part)
        done += len(task.shard.samples)
        listener.crop(done, len(samples))
    order = np.argsort([index for task in tasks for index in task.shard.indices])
    whole = {key: np.concatenate([part[key] for part in parts])[order] for key in parts[0]}
    for sample, trouble in zip(samples, whole["trouble"].tolist(), strict=True):
        if trouble and trouble != footage.NO_FACE:
            listener.warn(f"{sample.name}: {trouble}")
    names = [key for key in whole if key not in ("trouble", "rejected", "is_picture")]
    temperatures = [spec.temperature_of(is_picture) for is_picture in whole["is_picture"].tolist()]
    return Predictions(
        labels=labels,
        model_labels=spec.labels,
        names=tuple(sample.name for sample in samples),
        subjects=tuple(sample.subject or sample.name for sample in samples),
        fold=np.full(len(samples), fold, np.int64),
        truth=np.array([labels.index(sample.label) for sample in samples], np.int64),
        has_face=whole["trouble"] == "",
        rejected=whole["rejected"],
        logits={key: whole[key] for key in names},
        temperature=np.array(temperatures, np.float32),
        headline=spec.headline,
    )


def _score(task: _Task) -> dict[str, Array]:
    net, strips = model.load(task.model, task.device), task.shard.footage()
    if strips.without_crops is not None and net.reading("faces"):
        raise UsageError(
            f"{strips.without_crops} has no pictures, which {net.spec.name} needs: give other data"
        )
    last = task.frames == "last"
    seen = {
        kind: list(windows(strips, kind == "clip", last))
        for kind in sorted({stream.window for stream in net.spec.streams})
    }
    rows = seen["short" if "short" in seen else "clip"]
    owners = np.array([index for index, _ in rows], np.int64)
    readable = np.array([window.quality >= READABLE for _, window in rows], bool)
    alone: dict[str, Floats] = {}
    jointly: dict[str, Floats] = {}
    for kind, pairs in seen.items():
        own, joint = _heads(net, [window for _, window in pairs], kind, task)
        if pairs is not rows:  # what is said of a whole clip is said of each of its windows
            row = np.searchsorted([index for index, _ in pairs], owners)
            own, joint = ({name: values[row] for name, values in part.items()} for part in (own, joint))
        alone, jointly = alone | own, jointly | joint
    alone = {stream.name: alone[stream.name] for stream in net.spec.streams}
    straightness = clips.straightness_of([_shown(window, task.frames) for _, window in rows])
    by_window = alone | _fused(net, alone, model.shares(net.spec, jointly, straightness), task.leave_out)
    spec, count = net.spec, len(strips)
    return {
        "trouble": np.array(strips.troubles, dtype=object),
        "rejected": strips.has_strip & ~np.isin(np.arange(count), owners[readable]),
        "is_picture": np.array([len(pts) == 1 for pts in strips.pts], bool),
        **{
            name: model.pooled(logits, straightness, owners, count, spec.labels, spec.temperature)
            for name, logits in by_window.items()
        },
    }


def _heads(
    net: Model, seen: Sequence[Window], kind: str, task: _Task
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return the logits (M, C) of the streams with such windows, of their own tops and for the joint sum."""
    names = {stream.name: stream.reads for stream in net.spec.streams if stream.window == kind}
    empty = np.empty((0, len(net.spec.labels)), np.float32)
    own: dict[str, list[Floats]] = {name: [empty] for name in names}
    joint: dict[str, list[Floats]] = {name: [empty] for name in names}
    for start in range(0, len(seen), AT_ONCE):
        batch = [_shown(window, task.frames) for window in seen[start : start + AT_ONCE]]
        for name, reads in names.items():
            crops = task.crops if "faces" in reads else 1
            shown = (model.read(view, reads) for each in batch for view in views(each, crops))
            top, together = net.heads(name, shown)
            together = top if together is None else together
            own[name].append(top.reshape(len(batch), crops, -1).mean(1))
            joint[name].append(together.reshape(len(batch), crops, -1).mean(1))
    return _joined(own), _joined(joint)


def _joined(parts: dict[str, list[Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate(values) for name, values in parts.items()}


def _shown(window: Window, frames: str) -> Window:
    """Return the window with only these of its frames; it keeps its length."""
    if frames == "middle":
        return replace(window, rows=np.full_like(window.rows, window.rows[len(window.rows) // 2]))
    return replace(window, rows=window.rows[::-1]) if frames == "reversed" else window


def _fused(
    net: Model, alone: dict[str, Floats], jointly: dict[str, Floats], leave_out: bool
) -> dict[str, Floats]:
    """Return the logits of each fusion that the model has."""
    if net.spec.vote:
        members = model.member_answers(net.spec, jointly)
        return {rule: model.vote(members, rule) for rule in model.VOTES}
    if len(net.spec.streams) == 1:
        return {}
    fused = {"weighted": net.weighted(alone)}
    if net.spec.fusion == "joint":
        fused["joint"] = np.sum([jointly[name] for name in alone], axis=0, dtype=np.float32)
        for name in jointly if leave_out else ():
            fused[f"without {name}"] = fused["joint"] - jointly[name]
    return fused


def windows(strips: Footage, whole: bool = False, last: bool = False) -> Iterator[tuple[int, Window]]:
    """Yield every window of every strip, or one of each whole strip, and the index of its sample.

    With `last`, yield only the last window of a strip.
    """
    for index in np.flatnonzero(strips.has_strip).tolist():
        face = Face.of_strip(strips[index])
        moments = face.centres()[-1:] if last else None
        yield from ((index, window) for window in ([face.whole()] if whole else face.windows(moments)))
