"""Measure whether a model's second score shows a compound expression, against the votes of FER+'s taggers.

    python benchmarks/compound.py [--model M] [--data DIR] [--count N] [--json FILE]

Needs the pack ferplus.npz in the data folder. README.md in this folder explains the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid import datasets, model
from fervid.clips import Face
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.train.footage import strip_of
from fervid.types.samples import Sample

MOVED = tuple(label for label in EMOTIONS if label != NEUTRAL)
EACH, BOTH = 0.3, 0.8  # shares of the votes that each part, and both, have in a compound picture
PURE = 0.8  # share of the votes that a picture of one expression has
LEAST = (0.1, 0.15, 0.2, 0.25, 0.3)  # thresholds of the second score


def chosen(data: Path, count: int) -> tuple[list[Sample], npt.NDArray[np.float64], int]:
    """Return samples and shares of votes for MOVED: first compound ones, then as many of one expression."""
    samples = datasets.read(f"ferplus:{data / 'ferplus.npz'}?usage=PublicTest").samples
    shares = np.array([[sample.votes.get(label, 0.0) for label in MOVED] for sample in samples])
    ordered = np.sort(shares, axis=1)[:, ::-1]
    compound = np.flatnonzero((ordered[:, 1] >= EACH) & (ordered[:, :2].sum(axis=1) >= BOTH))
    pure = np.flatnonzero(ordered[:, 0] >= PURE)
    size = min(count, len(compound), len(pure))
    rows = np.concatenate(
        [part[np.linspace(0, len(part) - 1, size).astype(int)] for part in (compound, pure)]
    )
    return [samples[row] for row in rows.tolist()], shares[rows], size


def scores_of(name: str, samples: list[Sample]) -> npt.NDArray[np.float64]:
    """Return the model's scores (N, 6) of MOVED."""
    net = model.load(name)
    windows = []
    for sample in samples:
        windows.append(next(Face.of_strip(strip_of(sample)).windows()))
    logits = {
        spec.name: net.logits(spec.name, [model.read(window, spec.reads) for window in windows])
        for spec in net.spec.streams
    }
    scores = net.probabilities(net.fuse(logits))
    return scores[:, [net.spec.labels.index(label) for label in MOVED]].astype(np.float64)


def figures(shares: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], size: int) -> dict[str, Any]:
    """Return how well the second score identifies compound pictures, and their second expression."""
    first, second = np.sort(scores, axis=1)[:, ::-1][:, :2].T
    is_compound = np.arange(len(scores)) < size
    pairs = [tuple(sorted(row)) for row in np.argsort(-shares, axis=1)[:size, :2].tolist()]
    guesses = [tuple(sorted(row)) for row in np.argsort(-scores, axis=1)[:size, :2].tolist()]
    tops = np.argmax(scores[:size], axis=1).tolist()
    partner = {
        top: Counter(pair[pair[0] == top] for pair in pairs if top in pair).most_common(1)[0][0]
        for top in set(tops)
        if any(top in pair for pair in pairs)
    }
    usual = [tuple(sorted((top, partner.get(top, top)))) for top in tops]
    greater = second[:size, None] - second[None, size:]
    return {
        "pictures": {"compound": size, "one expression": len(scores) - size},
        "the score of the second is higher in a compound picture": float((greater > 0).mean()),
        "one of the pair is the first": float(np.mean([t in p for t, p in zip(tops, pairs, strict=True)])),
        "the first two are the pair": float(np.mean([g == p for g, p in zip(guesses, pairs, strict=True)])),
        "the first and its usual partner are the pair": float(
            np.mean([u == p for u, p in zip(usual, pairs, strict=True)])
        ),
        "by threshold": {
            str(least): {
                "called compound, of compound": float((second[is_compound] >= least).mean()),
                "called compound, of one expression": float((second[~is_compound] >= least).mean()),
                "called compound, and of the right pair": float(
                    np.mean(
                        [g == p and s >= least for g, p, s in zip(guesses, pairs, second[:size], strict=True)]
                    )
                ),
            }
            for least in LEAST
        },
        "mean of the first score": float(first.mean()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=150, help="pictures of each kind")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    samples, shares, size = chosen(options.data, options.count)
    measured = figures(shares, scores_of(options.model, samples), size)
    text = json.dumps(measured, indent=1)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
