"""Measure the rejection rule: shrink and blur faces, and count how often the model is then wrong.

    python benchmarks/rejection.py [--model M] [--data ../shared/data] [--jobs N] [--most N] [--json FILE]

Puts portraits of people that are not in the training set into the middle of a frame, as they are and in worse
states. Needs portraits.npz. README.md in this folder explains the columns.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fervid import datasets, execute
from fervid.labels import EMOTIONS
from fervid.train import evaluate
from fervid.types import Bytes
from fervid.types.samples import Picture

FRAME = (360, 480)  # height and width
GREY = 110
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6)


def shrunk(side: int) -> Callable[[Bytes, np.random.Generator], Bytes]:
    def change(face: Bytes, random: np.random.Generator) -> Bytes:
        return np.asarray(cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA), np.uint8)

    return change


def blurred(share: float) -> Callable[[Bytes, np.random.Generator], Bytes]:
    """Return a Gaussian blur of this share of the face's side."""

    def change(face: Bytes, random: np.random.Generator) -> Bytes:
        return np.asarray(cv2.GaussianBlur(face, (0, 0), share * len(face)), np.uint8)

    return change


def moved(share: float) -> Callable[[Bytes, np.random.Generator], Bytes]:
    """Return a motion blur of this share of the face's side."""

    def change(face: Bytes, random: np.random.Generator) -> Bytes:
        length = max(2, round(share * len(face)))
        kernel = np.zeros((length, length), np.float32)
        angle = random.uniform(0, np.pi)
        middle = (length - 1) / 2
        for step in np.linspace(-middle, middle, 4 * length):
            y, x = round(middle + step * np.sin(angle)), round(middle + step * np.cos(angle))
            kernel[y, x] = 1
        return np.asarray(cv2.filter2D(face, -1, kernel / kernel.sum()), np.uint8)

    return change


STATES: dict[str, Callable[[Bytes, np.random.Generator], Bytes]] = {
    "as they are": lambda face, random: face,
    **{f"{side} pixels wide": shrunk(side) for side in (96, 64, 48, 36)},
    **{f"out of focus, {share:.0%} of the width": blurred(share) for share in (0.01, 0.02, 0.04)},
    **{f"smeared, {share:.0%} of the width": moved(share) for share in (0.05, 0.1)},
}


def framed(face: Bytes) -> Bytes:
    """Return a frame with the face in its middle."""
    picture = np.full(FRAME, GREY, np.uint8)
    top, left = (FRAME[0] - face.shape[0]) // 2, (FRAME[1] - face.shape[1]) // 2
    picture[top : top + face.shape[0], left : left + face.shape[1]] = face
    return picture


def measure(name: str, data: Path, executor: execute.Executor, most: int) -> dict[str, Any]:
    """Return every figure, as in the JSON."""
    samples = datasets.read(f"portraits:{data / 'portraits.npz'}?part=test&most={most}").samples
    rows: dict[str, dict[str, float | int | None]] = {}
    correct, sure = [], []
    for state, change in STATES.items():
        random = np.random.default_rng(0)
        worse = tuple(
            replace(sample, pixels=Picture(framed(change(sample.pixels.luma, random))))
            for sample in samples
            if sample.label in EMOTIONS
        )
        predictions = evaluate.predict(name, worse, EMOTIONS, executor)
        logits = predictions.logits[predictions.headline]
        right = logits.argmax(1) == predictions.truth
        read = predictions.has_face & ~predictions.rejected
        rows[state] = {
            "faces": len(worse),
            "found": float(predictions.has_face.mean()),
            "read": float(read.mean()),
            "right_where_read": share(right[read]),
            "right_where_rejected": share(right[predictions.has_face & predictions.rejected]),
        }
        scaled = logits[predictions.has_face] / predictions.temperature[predictions.has_face, None]
        chances = np.exp(scaled - scaled.max(1, keepdims=True))
        sure.append(
            np.where(read[predictions.has_face], (chances / chances.sum(1, keepdims=True)).max(1), 0.0)
        )
        correct.append(right[predictions.has_face])
    order = np.argsort(-np.concatenate(sure), kind="stable")
    ranked = np.concatenate(correct)[order]
    coverage = {f"{part:.0%}": float(ranked[: round(part * len(ranked))].mean()) for part in SHARES}
    return {"model": name, "rows": rows, "coverage": coverage}


def share(right: np.ndarray[Any, Any]) -> float | None:
    return float(right.mean()) if len(right) else None


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of Markdown."""
    yield "| portraits | found % | read % | right % of those read | of those rejected |"
    yield "|---|---|---|---|---|"
    for state, row in figures["rows"].items():
        keys = ("found", "read", "right_where_read", "right_where_rejected")
        cells = ["-" if row[key] is None else f"{100 * row[key]:.1f}" for key in keys]
        yield f"| {state} | " + " | ".join(cells) + " |"
    yield ""
    shares = ", ".join(f"{part} {100 * value:.1f}" for part, value in figures["coverage"].items())
    yield (
        "Right % of a share of all faces found, in all states, without first the rejected and then the least "
        f"confident: {shares}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the rejection rule.")
    parser.add_argument("--model", default="default", help="a model's name or path [default]")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the pack")
    parser.add_argument("--jobs", type=int, help="worker processes [one per core]")
    parser.add_argument("--most", type=int, default=400, help="portraits [400]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    if not (options.data / "portraits.npz").is_file():
        parser.error(f"there is no portraits.npz in {options.data}")
    with execute.open_executor(options.jobs) as executor:
        figures = measure(options.model, options.data, executor, options.most)
    print("\n".join(table(figures)))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
