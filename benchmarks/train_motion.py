"""Train the default model's landmark network on how real faces move, beside puppets and drawings.

    python benchmarks/train_motion.py points --data ../shared/data --runs runs/motion
    python benchmarks/train_motion.py train --phrnn runs/default/phrnn_open --runs runs/motion

Puppets and drawings move only by action units, and a net that knows nothing else takes every real mouth that
talks for a smile. The portraits show many people several times: the difference between two neutral pictures
of a person is what a face does when it does nothing, and that between a neutral and a smiling one is a smile.
Clips are put together from such differences, in `motion_clips.py`. Two faults of analysis are trained as
well: a neutral face that was estimated while the person talked, and one that was estimated while the
expression showed already.

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from default_stages import CROWD, DRAWN_FEW, sized
from motion_clips import Material
from torch import nn

from fervid import clips, model
from fervid.clips import Face
from fervid.faces import shape
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.streams.phrnn import PHRNN
from fervid.train.footage import Footage
from fervid.types import Array

STILLS = "ferplus:{data}/ferplus.npz?usage=Training"
PORTRAITS = "portraits:{data}/portraits.npz?classes=8"
FILMED = "landmarks68"  # frames of videos, several of each person
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
    return {
        **_still(strips),
        "answers": net.probabilities(net.fuse(logits, np.zeros(len(strips), np.float32))),
    }


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
