"""Measure options of training on small networks and little data.

    python benchmarks/small_trainings.py labels|crops|starts|committee [--data DIR] [--most N] [--epochs N]
        [--width N] [--batch N] [--rate X] [--folder DIR] [--json FILE]

`committee` draws its data; the others need the pack ferplus.npz in the data folder. README.md in this folder
explains the figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fervid import datasets, execute, metrics, model
from fervid.execute import Executor
from fervid.labels import EMOTIONS
from fervid.metrics import Predictions
from fervid.train import folders, run, scoring
from fervid.train.augment import AUGMENTATIONS
from fervid.train.machine import Machine, open_machine
from fervid.train.recipe import Recipe

LABELS: dict[str, dict[str, Any]] = {
    "label": {"soft_labels": 0.0},
    "mix": {"soft_labels": 0.5},
    "votes": {"soft_labels": 1.0},
    "latent": {"latent": True},
}
USUAL = "usual"  # the folder of the training without changes
Row = dict[str, float | int | str]


def _pictures(args: argparse.Namespace) -> tuple[Recipe, str]:
    """Return the recipe of a small frame network, and its test data: pictures of FER2013."""
    pack = f"ferplus:{args.data / 'ferplus.npz'}"
    recipe = Recipe(
        data=(f"{pack}?usage=Training&most={args.most}",),
        streams=("still",),
        sizes={"still": {"width": args.width, "blocks": 1}},
        epochs=args.epochs,
        batch=args.batch,
        rate=args.rate,
        augmentation="mild",
        average=0.99,
    )
    return recipe, f"{pack}?usage=PublicTest&most={args.most * 7 // 10}"


def _landmarks(args: argparse.Namespace) -> tuple[Recipe, str]:
    """Return the recipe of a landmark network, and its test data: other drawn people."""
    data = f"synth:medium?faces=no&people=20&per_class={args.most // 5}"
    recipe = Recipe(data=(data,), streams=("dtgn",), epochs=args.epochs, augmentation="mild", average=0.99)
    return recipe, f"{data}&seed=1"


class Bench:
    """A usual recipe, test samples, and a folder of finished trainings."""

    def __init__(self, args: argparse.Namespace, executor: Executor, machine: Machine) -> None:
        self.folder, self.executor, self.machine = args.folder, executor, machine
        part = _landmarks if args.part == "committee" else _pictures
        self.recipe, tested = part(args)
        self.tests = datasets.read(tested).samples

    def trained(self, name: str, **changes: Any) -> Path:
        """Return the folder of a training, which is resumed or reused."""
        recipe = replace(self.recipe, **changes)
        folder = self.folder / (USUAL if recipe == self.recipe else name)  # which several parts need
        material = run.prepare(recipe)
        if not (folder / folders.RECIPE).is_file():
            folders.begin(folder, recipe, material)
        if not folders.is_done(folder):
            cache = self.folder / "strips"
            run.train(recipe, material, folder, self.executor, self.machine, cache=cache)
        return folder

    def figures(self, folder: Path) -> tuple[Predictions, float]:
        """Return predictions for the test samples, and the share that agrees with the majority of votes."""
        cache = self.folder / "strips"
        predictions = scoring.predict(folder, self.tests, EMOTIONS, self.executor, cache=cache)
        most = [max(s.votes, key=lambda label: s.votes[label], default=s.label) for s in self.tests]
        guesses = [EMOTIONS[index] if index >= 0 else "" for index in metrics.predicted(predictions)]
        return predictions, float(np.mean([a == b for a, b in zip(most, guesses, strict=True)]))

    def row(self, name: str, folder: Path) -> Row:
        """Return a row of the table: percent right by each label set, and the calibration error."""
        predictions, majority = self.figures(folder)
        said = metrics.report(predictions)
        low, high = said["interval"]["accuracy"]
        return {
            "net": name,
            "label %": round(100 * said["accuracy"], 1),
            "interval": f"{100 * low:.1f} to {100 * high:.1f}",
            "mean recall %": round(100 * said["mean_recall"], 1),
            "majority %": round(100 * majority, 1),
            "log loss": round(metrics.log_loss(predictions), 3),
        }


def labels(bench: Bench) -> Iterator[Row]:
    """Compare what a network learns from one label set, both mixed, and the latent truth."""
    for name, changes in LABELS.items():
        yield bench.row(name, bench.trained(name, **changes))


def crops(bench: Bench) -> Iterator[Row]:
    """Compare random crops and mirror images alone with the other augmentations."""
    for name in AUGMENTATIONS:
        yield bench.row(name, bench.trained(name, augmentation=name))


def starts(bench: Bench) -> Iterator[Row]:
    """Compare starts from random weights, from an autoencoder, and from a net that identifies people.

    The autoencoder costs as much again as the training, so a row has twice the epochs instead. The net that
    identifies people is ten times as slow, and gets a quarter of the epochs.
    """
    large = {"streams": ("still_facenet",), "sizes": {}, "epochs": max(1, bench.recipe.epochs // 4)}
    for name, changes in (
        ("still", {}),
        ("still, denoising", {"start_from": ("denoising",)}),
        ("still, twice the epochs", {"epochs": 2 * bench.recipe.epochs}),
        ("still_facenet, facenet", large | {"start_from": ("facenet",)}),
        ("still_facenet", large),
    ):
        yield bench.row(name, bench.trained(name.replace(", ", "_"), **changes))


def committee(bench: Bench, size: int = 3, taught: int = 2) -> Iterator[Row]:
    """Compare members with their committee, and networks that it taught with the members."""
    whole = bench.trained("committee", committee=size)
    for number in range(1, size + 1):
        yield bench.row(f"member {number}", whole / f"member_{number}")
    predictions, _ = bench.figures(whole)
    for rule in model.VOTES:
        right = metrics.predicted(predictions, rule) == predictions.truth
        yield {"net": rule, "label %": round(100 * float(right.mean()), 1)}
    yield bench.row("committee", whole)
    for number in range(1, taught + 1):
        folder = bench.trained(f"taught_{number}", teacher=str(whole), seed=number - 1)
        yield bench.row(f"taught {number}", folder)


PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "labels": labels,
    "crops": crops,
    "starts": starts,
    "committee": committee,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument(
        "--most", type=int, default=200, help="training pictures of each label; a fifth as many drawn takes"
    )
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--width", type=int, default=8, help="of the frame network")
    parser.add_argument("--batch", type=int, default=64, help="pictures")
    parser.add_argument("--rate", type=float, default=1.0, help="a factor for the learning rate")
    parser.add_argument("--folder", type=Path, default=Path("small_trainings"), help="kept, and resumed")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[Row] = []
    with execute.serial() as executor, open_machine("cpu", 1) as machine:
        bench = Bench(args, executor, machine)
        print(f"{len(bench.tests)} test samples", flush=True)
        for row in PARTS[args.part](bench):
            rows.append(row)
            print(json.dumps(row), flush=True)
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
