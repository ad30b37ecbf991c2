"""Train the default model's landmark network on how real faces move, beside puppets and drawings.

    python benchmarks/train_motion.py points --data ../shared/data --runs runs/motion
    python benchmarks/train_motion.py train --phrnn runs/default/phrnn_open --runs runs/motion

Puppets and drawings move only by action units, and a net that knows nothing else takes every real mouth that
talks for a smile. The portraits show many people several times: the difference between two neutral pictures
of a person is what a face does when it does nothing, and that between a neutral and a smiling one is a smile.
Clips are put together from such differences. Two faults of analysis are trained as well: a neutral face that
was estimated while the person talked, and one that was estimated while the expression showed already.

Most of this is too tidy: in films people turn, talk and look about at once. The last stage moves between
frames of one person's video, which have no labels: a frame network says what each shows.

`points` cuts the landmarks of all datasets; `train` runs the stages below, and writes a model of each under
--runs. It resumes after an interruption at the stage that was not finished. --small takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fervid import clips, model, synth
from fervid.clips import Face
from fervid.faces import shape
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.streams.phrnn import PHRNN
from fervid.synth.actions import ease, mirror
from fervid.train.footage import Footage
from fervid.types import Array, Floats

LENGTH = clips.LENGTH
REST = EMOTIONS.index(NEUTRAL)
STILLS = "ferplus:{data}/ferplus.npz?usage=Training"
PORTRAITS = "portraits:{data}/portraits.npz?classes=8"
FILMED = "landmarks68"  # frames of videos, several of each person
MOST_POSE = (30.0, 25.0)  # degrees of yaw and pitch: beyond them, points are too uncertain for differences
LEAST_QUALITY = 0.3
FEWEST_FRAMES = 4  # of a person: the neutral is the median of the frames
# How often each expression is drawn from pairs: few portraits show fear or disgust.
SHARES = (0.2, 0.1, 0.02, 0.38, 0.12, 0.18)
VOTES = 0.4  # the weight of FER+'s votes against FER2013's label
SMOOTHING = 0.04
BATCH, STEPS = 128, 200  # of an epoch
WARM_UP, DECAY, LONGEST_GRADIENT, AVERAGE = 0.05, 1e-2, 2.0, 0.998


@dataclass(frozen=True)
class Stage:
    """A stage of training: the shares of its sources, and how often the neutral was estimated too late."""

    name: str
    sources: Mapping[str, float]
    late: float
    seed: int
    motion: int = 0  # PHRNN's size of that name
    epochs: int = 5
    rate: float = 1e-3


STAGES = (
    Stage("pairs", {"acted": 0.3, "drawn": 0.1, "stills": 0.2, "pairs": 0.4}, 0.0, 0),
    # Smiles that began before the track did were still read as neutral.
    Stage("late", {"acted": 0.35, "drawn": 0.05, "stills": 0.2, "pairs": 0.4}, 0.2, 1),
    # Beside a frame network, the landmarks of a face at rest only add errors.
    Stage("moving", {"acted": 0.45, "drawn": 0.1, "pairs": 0.45}, 0.25, 2, motion=8),
    # Few pairs are angry, afraid or sad: real onsets of these were read as something else.
    Stage(
        "onsets",
        {"acted": 0.2, "drawn": 0.05, "pairs": 0.15, "onsets": 0.6},
        0.25,
        3,
        motion=8,
        epochs=10,
        rate=2e-3,
    ),
    # People who talk and turn were surprised.
    Stage(
        "people",
        {"acted": 0.25, "drawn": 0.05, "pairs": 0.15, "onsets": 0.25, "people": 0.3},
        0.25,
        4,
        motion=8,
        epochs=10,
        rate=2e-3,
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the landmark network on how real faces move.")
    commands = parser.add_subparsers(dest="command", required=True)
    points = commands.add_parser("points", help="cut the landmarks of all datasets")
    training = commands.add_parser("train", help="train the stages")
    for command in (points, training):
        command.add_argument("--runs", type=Path, default=Path("runs/motion"), help="[runs/motion]")
        command.add_argument("--small", action="store_true", help="a few samples, one short epoch")
    points.add_argument("--data", type=Path, required=True, help="the folder of the packs")
    points.add_argument("--still", type=Path, required=True, help="a model of `still`: it labels frames")
    points.add_argument("--jobs", type=int, help="worker processes [one per core]")
    training.add_argument("--phrnn", type=Path, required=True, help="a model of `phrnn` to start from")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    if options.command == "points":
        cut(options.data, options.runs, options.jobs, options.small)
        np.savez(options.runs / "people.npz", **filmed(options.data, options.still, options.jobs))
    else:
        torch.set_num_threads(1)
        train(options.runs, options.phrnn, options.small)


def cut(data: Path, runs: Path, jobs: int | None, small: bool) -> None:
    """Write the windows of acted and drawn clips, and the pose-free points of pictures."""
    from train_default import CROWD, DRAWN_FEW, sized

    from fervid import datasets, execute
    from fervid.train import footage

    with execute.open_executor(jobs) as executor:
        for name, specs in {
            "acted": CROWD,
            "drawn": DRAWN_FEW,
            "stills": (STILLS,),
            "pairs": (PORTRAITS,),
        }.items():
            chosen = [sized(spec, small).format(data=data) for spec in specs]
            samples = [sample for spec in chosen for sample in datasets.read(spec).samples]
            if name == "pairs":  # the other people are kept for validation and tests
                samples = [sample for sample in samples if sample.split == "training"]
            strips = footage.cut(samples, executor)
            strips = strips.take(np.flatnonzero(strips.has_strip))
            arrays = _moving(strips) if name in ("acted", "drawn") else _still(strips)
            np.savez(runs / f"{name}.npz", **arrays)  # type: ignore[arg-type]
            print(f"{name}: {len(strips)} of {len(samples)} samples", flush=True)


def filmed(data: Path, still: Path, jobs: int | None) -> dict[str, Array]:
    """Return the pose-free points of frames of videos, and a frame network's answers."""
    from fervid import execute
    from fervid.datasets import packs
    from fervid.train import footage
    from fervid.types.samples import Picture, Sample

    pack = packs.read(str(data / f"{FILMED}.npz"), {"images": (3, "u"), "person": (1, "U")})
    samples = tuple(
        Sample(f"{row:05}", NEUTRAL, Picture(np.ascontiguousarray(picture)), subject=str(pack["person"][row]))
        for row, picture in enumerate(pack["images"])
    )
    with execute.open_executor(jobs) as executor:
        strips = footage.cut(samples, executor)
    strips = strips.take(np.flatnonzero(strips.has_strip))
    net = model.load(still)
    inner = slice(shape.MARGIN, -shape.MARGIN)
    logits = {"still": net.logits("still", (faces[:, inner, inner] for faces in strips.faces))}
    return {**_still(strips), "answers": net.probabilities(net.fuse(logits))}


def _moving(strips: Footage) -> dict[str, Array]:
    """Return every window of every strip: displacement, label, clip, motion, and the neutral's own offset."""
    rows: dict[str, list[Any]] = {"displacement": [], "offset": [], "label": [], "clip": [], "motion": []}
    for index, sample in enumerate(strips.samples):
        face = Face.of_strip(strips[index])
        neutral = face.neutral
        for window in face.windows():
            moved = window.displacement(neutral)
            rows["displacement"].append(moved.astype(np.float16))
            rows["offset"].append((neutral - clips.population_neutral()).astype(np.float16))
            rows["label"].append(EMOTIONS.index(sample.label))
            rows["clip"].append(index)
            rows["motion"].append(np.sqrt(np.square(moved[:, shape.INNER]).sum(2).mean()))
    return {name: np.array(values) for name, values in rows.items()}


def _still(strips: Footage) -> dict[str, Array]:
    """Return the pose-free points of pictures, with pose, quality, labels, votes and people."""
    points = np.stack([landmarks[0] for landmarks in strips.landmarks])
    votes = [[sample.votes.get(emotion, 0.0) for emotion in EMOTIONS] for sample in strips.samples]
    labels = [EMOTIONS.index(s.label) if s.label in EMOTIONS else -1 for s in strips.samples]
    return {
        "points": shape.without_pose(points),
        "pose": shape.head_pose(points),
        "quality": np.array([quality[0] for quality in strips.quality]),
        "label": np.array(labels),
        "votes": np.array(votes, np.float32),
        "person": np.array([sample.subject or "" for sample in strips.samples]),
    }


class Material:
    """Draws windows (LENGTH, 68, 2) and their targets (C,) from every source."""

    def __init__(self, runs: Path, late: float) -> None:
        self.late = late
        packs = {path.stem: dict(np.load(path)) for path in sorted(runs.glob("*.npz"))}
        self.clips = {name: _by_clip(packs[name]) for name in ("acted", "drawn")}
        self.acted = synth.displacements(packs["stills"]["points"]).astype(np.float32)
        labels = packs["stills"]["label"]
        self.of_label = [np.flatnonzero(labels == label) for label in range(len(EMOTIONS))]
        self.stills, portraits = packs["stills"], packs["pairs"]
        usable = (np.abs(portraits["pose"][:, :2]) < MOST_POSE).all(1)
        usable &= portraits["quality"] > LEAST_QUALITY
        self.points = portraits["points"]
        resting: dict[str, list[int]] = {}
        for row in np.flatnonzero(usable & (portraits["label"] == REST) & (portraits["person"] != "")):
            resting.setdefault(str(portraits["person"][row]), []).append(int(row))
        self.resting = [rows for rows in resting.values() if len(rows) > 1]
        self.showing: list[list[tuple[int, list[int]]]] = [
            [
                (int(row), resting[str(portraits["person"][row])])
                for row in np.flatnonzero(usable & (portraits["label"] == label))
                if str(portraits["person"][row]) in resting
            ]
            for label in range(REST)
        ]
        self.people = _people(packs["people"]) if "people" in packs else []
        shares = np.where([bool(rows) for rows in self.showing], SHARES, 0.0)
        self.shares = shares / (shares.sum() or 1.0)

    def draw(self, random: np.random.Generator, sources: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Draw a window, with the noise of a tracker, and its target."""
        source = str(random.choice(list(sources), p=list(sources.values())))
        moved: Array
        target: Array
        if source == "stills":
            moved, target = self._picture(random)
        elif source == "onsets":
            moved, target = self._onset(random)
        elif source == "people":
            moved, target = self._filmed(random)
        else:
            moved, label = self._pair(random) if source == "pairs" else self._clip(random, self.clips[source])
            target = np.eye(len(EMOTIONS))[label]
            if label != REST and source != "drawn" and random.random() < self.late:
                moved = moved - moved[random.integers(LENGTH)] * random.uniform(0.5, 1)
        moved = moved * random.uniform(0.85, 1.15) + _jitter(random, random.uniform(0.002, 0.012))
        moved = moved + random.normal(size=(1, *moved.shape[1:])) * random.uniform(0, 0.012)
        if random.random() < 0.5:
            moved = moved[:, mirror()] * np.array([-1, 1])
        smoothed = (1 - SMOOTHING) * target + SMOOTHING / len(EMOTIONS)
        return np.asarray(moved, np.float32), np.asarray(smoothed, np.float32)

    def _rest(self, random: np.random.Generator) -> Floats:
        """Draw the difference between two neutral pictures of one person."""
        rows = self.resting[random.integers(len(self.resting))]
        one, other = random.choice(rows, 2, replace=False)
        return np.asarray(self.points[other] - self.points[one])

    def _talk(self, random: np.random.Generator, least: int, most: int, low: float, high: float) -> Floats:
        """Draw a path through several faces of people who show nothing."""
        count = int(random.integers(least, most))
        return _path(random, [self._rest(random) * random.uniform(low, high) for _ in range(count)])

    def _pair(self, random: np.random.Generator) -> tuple[Floats, int]:
        """Draw a clip of a person's pictures: at rest, or with an expression that comes, stays, or goes."""
        if random.random() < 0.6 or not self.shares.any():
            base = self._rest(random) * random.uniform(0.3, 1) if random.random() < 0.6 else 0.0
            is_held = random.random() < 0.25
            return base + self._talk(random, *((1, 2) if is_held else (2, 7)), 0.2, 1.0), REST
        label = int(random.choice(REST, p=self.shares))
        row, neutrals = self.showing[label][random.integers(len(self.showing[label]))]
        shown = self.points[row] - self.points[random.choice(neutrals)]
        level = _level(random)
        base = self._rest(random) * random.uniform(0.1, 0.5) if random.random() < 0.4 else 0.0
        return shown * level[:, None, None] + base, label

    def _clip(self, random: np.random.Generator, pack: _Clips) -> tuple[Floats, int]:
        """Draw a window of a clip, from its person's neutral, the population's, or a wrong one."""
        rows = pack.rows[int(random.integers(len(pack.rows)))]
        label = int(pack.label[rows[0]])
        tries = random.choice(rows, 3)
        row = tries[0] if label == REST else tries[int(pack.motion[tries].argmax())]
        moved = pack.displacement[row].astype(np.float32)
        if random.random() < 0.35:
            moved = moved + pack.offset[row].astype(np.float32)
        elif random.random() < 0.5:
            moved = moved + self._rest(random) * random.uniform(0, 0.6)
        if random.random() < 0.3:
            moved = moved + self._talk(random, 2, 6, 0, 0.5)
        return moved, label

    def _filmed(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a path through frames of one person's video, and the mean of what they show."""
        moved, answers = self.people[random.integers(len(self.people))]
        count = int(random.choice([1, 2, 3, 4, 6], p=[0.2, 0.2, 0.2, 0.2, 0.2]))
        rows = random.choice(len(moved), min(count, len(moved)), replace=False)
        if count == 1:  # the face holds, or comes from rest
            return moved[rows[0]] * _level(random)[:, None, None], answers[rows[0]]
        steps = np.eye(len(rows), dtype=np.float32)[:, :, None]  # how much of each frame is shown
        path = _path(random, list(steps))[:, :, 0]
        return np.tensordot(path, moved[rows], 1), path.mean(0) @ answers[rows]

    def _onset(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a still of FER2013; its expression, as explained by action units, comes, stays or goes."""
        rows = self.of_label[random.choice([label for label, rows in enumerate(self.of_label) if len(rows)])]
        row = int(random.choice(rows))
        moved = self.acted[row] * _level(random)[:, None, None]
        if random.random() < 0.4:
            moved = moved + self._rest(random) * random.uniform(0.1, 0.5)
        if random.random() < 0.2:
            moved = moved + self._talk(random, 2, 6, 0, 0.4)
        return moved, self._target(row)

    def _target(self, row: int) -> Floats:
        """Return the target of a still: FER2013's label, and FER+'s votes."""
        target, votes = np.eye(len(EMOTIONS))[self.stills["label"][row]], self.stills["votes"][row]
        if votes.sum() > 0:
            target = (1 - VOTES) * target + VOTES * votes / votes.sum()
        return np.asarray(target, np.float32)

    def _picture(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a still of FER2013, from the population's neutral."""
        row = int(random.integers(len(self.stills["label"])))
        moved = self.stills["points"][row] - clips.population_neutral()
        return np.repeat(moved[None], LENGTH, 0), self._target(row)


@dataclass(frozen=True)
class _Clips:
    """The windows of clips, and the rows of each clip."""

    displacement: Array
    offset: Array
    label: Array
    motion: Array
    rows: Sequence[Array]


def _by_clip(pack: Mapping[str, Array]) -> _Clips:
    order = np.argsort(pack["clip"], kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(pack["clip"][order])) + 1)
    return _Clips(pack["displacement"], pack["offset"], pack["label"], pack["motion"], rows)


def _people(pack: Mapping[str, Array]) -> list[tuple[Floats, Floats]]:
    """Return each person's displacements, (N, 68, 2), and what a frame network says of them, (N, C)."""
    people = []
    is_good = pack["quality"] > LEAST_QUALITY
    for person in np.unique(pack["person"]):
        rows = np.flatnonzero(is_good & (pack["person"] == person))
        if len(rows) >= FEWEST_FRAMES:
            points = pack["points"][rows]
            people.append(((points - np.median(points, 0)).astype(np.float32), pack["answers"][rows]))
    return people


def _eased(shares: Array) -> Floats:
    return np.array([ease(float(share)) for share in shares], np.float32)


def _level(random: np.random.Generator) -> Floats:
    """Draw the level of an expression over a window: held, rising, or rising and falling."""
    kind, time = random.random(), np.arange(LENGTH)
    if kind < 0.35:
        return np.ones(LENGTH, np.float32)
    begin, rise = random.uniform(-3, 8), random.uniform(2, 8)
    level = _eased((time - begin) / rise)
    if kind > 0.75:
        level = level * (1 - _eased((time - begin - rise - random.uniform(2, 8)) / random.uniform(3, 8)))
    return level


def _path(random: np.random.Generator, faces: Sequence[Floats]) -> Floats:
    """Return a smooth path through faces at random times of a window, (LENGTH, 68, 2)."""
    times = np.sort(random.uniform(-2, LENGTH + 1, len(faces)))
    path = np.empty((LENGTH, *faces[0].shape), np.float32)
    for step in range(LENGTH):
        after = int(np.searchsorted(times, step))
        if after in (0, len(faces)):
            path[step] = faces[min(after, len(faces) - 1)]
            continue
        gap = max(times[after] - times[after - 1], 0.5)
        share = ease(float((step - times[after - 1]) / gap))
        path[step] = (1 - share) * faces[after - 1] + share * faces[after]
    return path


def _jitter(random: np.random.Generator, size: float) -> Floats:
    """Return the error of a tracker, which lasts from frame to frame."""
    error = random.normal(size=(LENGTH, 68, 2))
    for step in range(1, LENGTH):
        error[step] = 0.6 * error[step - 1] + 0.8 * error[step]
    return np.asarray(size * error)


def train(runs: Path, start: Path, small: bool) -> None:
    """Run the stages, and write their nets as models."""
    log_path = runs / "history.json"
    log = json.loads(log_path.read_text("utf-8")) if log_path.exists() else {}
    for stage in STAGES:
        if stage.name not in log:
            log[stage.name] = fit(stage, runs, start, small)
            log_path.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
        start = runs / stage.name


def fit(stage: Stage, runs: Path, start: Path, small: bool) -> list[dict[str, float]]:
    """Train a stage, write its averaged weights as a model, and return its losses."""
    from safetensors.torch import load_file

    torch.manual_seed(stage.seed)
    spec = model.read_spec(start)
    sizes = {**spec.streams[0].sizes, **({"motion": stage.motion} if stage.motion else {})}
    net = PHRNN(len(EMOTIONS), **sizes)
    stored = load_file(start / model.WEIGHTS)
    net.load_state_dict({name.removeprefix("phrnn."): value.float() for name, value in stored.items()})
    average = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), stage.rate, weight_decay=DECAY)
    material, history = Material(runs, stage.late), []
    epochs, steps = (1, 2) if small else (stage.epochs, STEPS)
    for epoch in range(epochs):
        random, began, total = np.random.default_rng([stage.seed, epoch]), time.monotonic(), 0.0
        for step, (moved, targets) in enumerate(_batches(material, stage, random, steps)):
            done = (epoch * steps + step) / (epochs * steps)
            rising = min(1.0, done / WARM_UP + 0.01)
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * rising * 0.5 * (1 + math.cos(math.pi * done))
            loss = -(targets * net(moved).log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            total += float(loss.detach())
            number = epoch * steps + step
            kept = min(AVERAGE, (1 + number) / (10 + number))
            with torch.no_grad():
                for name, value in net.state_dict().items():
                    average[name].lerp_(value, 1 - kept)
        history.append({"epoch": epoch + 1, "loss": total / steps})
        print(f"{stage.name}: {history[-1]} {time.monotonic() - began:.0f} s", flush=True)
    tensors = {f"phrnn.{name}": value.numpy() for name, value in average.items()}
    stream = replace(spec.streams[0], sizes=sizes)
    model.save(runs / stage.name, replace(spec, streams=(stream,)), tensors)
    return history


def _batches(
    material: Material, stage: Stage, random: np.random.Generator, steps: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for _ in range(steps):
        drawn = [material.draw(random, stage.sources) for _ in range(BATCH)]
        yield tuple(torch.from_numpy(np.stack(column)) for column in zip(*drawn, strict=True))  # type: ignore[misc]


if __name__ == "__main__":
    main()
