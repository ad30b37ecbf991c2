"""Measure whether the second score of a segment shows a compound expression.

    python benchmarks/compound.py [--data DIR] [--media DIR] [--model M] [--count N] [--takes N] [--json FILE]

Three questions: on pictures about which FER+'s taggers were divided, on portraits that act two expressions at
once, and in real clips. Needs the packs ferplus.npz and portraits.npz. README.md in this folder explains each
figure.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid import analysis, datasets, model
from fervid.cache import Store
from fervid.clips import Face, straightness_of
from fervid.datasets import packs
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.synth import sequences
from fervid.train.footage import strip_of
from fervid.types import Settings
from fervid.types.samples import Sample

MOVED = tuple(label for label in EMOTIONS if label != NEUTRAL)
# The compound categories of Du, Tao and Martinez (PNAS 2014) that are pairs of basic ones.
PAIRS = (
    ("happiness", "surprise"), ("happiness", "disgust"), ("sadness", "fear"), ("sadness", "anger"),
    ("sadness", "surprise"), ("sadness", "disgust"), ("fear", "anger"), ("fear", "surprise"),
    ("fear", "disgust"), ("anger", "surprise"), ("anger", "disgust"), ("disgust", "surprise"),
)  # fmt: skip
EACH, BOTH = 0.3, 0.8  # shares of the votes that each part, and both, have in a compound picture
PURE = 0.8  # share of the votes that a picture of one expression has
LEAST = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)  # thresholds of the second score
DIFFICULTY = "posed"  # the strongest expressions: an upper bound
SEED = 7
SETTINGS = Settings(people=False)

Scores = npt.NDArray[np.float64]  # (N, 6) of MOVED
Pair = tuple[str, str]


def tagged(net: model.Model, data: Path, count: int) -> tuple[Scores, list[Pair], Scores]:
    """Return scores of pictures that divided the taggers, the two labels of each, and scores of others."""
    samples = datasets.read(f"ferplus:{data / 'ferplus.npz'}?usage=PublicTest").samples
    shares = np.array([[sample.votes.get(label, 0.0) for label in MOVED] for sample in samples])
    ordered = np.sort(shares, axis=1)[:, ::-1]
    divided = np.flatnonzero((ordered[:, 1] >= EACH) & (ordered[:, :2].sum(axis=1) >= BOTH))
    agreed = np.flatnonzero(ordered[:, 0] >= PURE)
    size = min(count, len(divided), len(agreed))
    chosen = [part[np.linspace(0, len(part) - 1, size).astype(int)].tolist() for part in (divided, agreed)]
    pairs = [pair_of(shares[row]) for row in chosen[0]]
    compound, pure = (scores_of(net, [samples[row] for row in rows]) for rows in chosen)
    return compound, pairs, pure


def acted(net: model.Model, data: Path, takes: int) -> tuple[Scores, list[Pair], Scores]:
    """Return the same of neutral portraits that act two expressions at once, or one."""
    for first, second in PAIRS:
        sequences.RECIPES[f"{first}+{second}"] = joined(first, second)  # type: ignore[index]
        sequences.PHASES[f"{first}+{second}"] = sequences.PHASES[first]  # type: ignore[index]
    spec = f"acted:{data / 'portraits.npz'}?part=test&only=happiness&per_class={takes}"
    faces = datasets.read(spec).samples

    def moving(label: str, take: int) -> Sample:
        name = f"{SEED}/{take}/{label}/{faces[take].name}"
        return packs.moved(faces[take], name, f"act/{DIFFICULTY}/{zlib.crc32(name.encode())}/{label}")

    compound = [moving("+".join(pair), take) for pair in PAIRS for take in range(takes)]
    pure = [moving(label, take) for label in MOVED for take in range(takes)]
    pairs = [tuple(sorted(pair)) for pair in PAIRS for _ in range(takes)]
    return scores_of(net, compound), pairs, scores_of(net, pure)


def joined(first: str, second: str) -> sequences.Recipe:
    """Return the recipe of two expressions at once: each action unit as in the one that uses it more."""
    units: dict[str, tuple[float, float]] = {}
    for unit, share, weight in (*sequences.RECIPES[first], *sequences.RECIPES[second]):
        old = units.get(unit, (0.0, 0.0))
        units[unit] = max(old[0], share), max(old[1], weight)
    return tuple((unit, *both) for unit, both in units.items())


def scores_of(net: model.Model, samples: Sequence[Sample]) -> Scores:
    """Return the mean scores of each sample's expressive windows, as of a segment; nan without a face."""
    columns = [net.spec.labels.index(label) for label in MOVED]
    rest = net.spec.labels.index(NEUTRAL)
    means = []
    for sample in samples:
        face = Face.of_strip(strip_of(sample))
        if not len(face.pts):
            means.append(np.full(len(MOVED), np.nan))
            continue
        windows = list(face.windows())
        logits = {
            spec.name: net.logits(spec.name, [model.read(window, spec.reads) for window in windows])
            for spec in net.spec.streams
        }
        scores = net.probabilities(net.fuse(logits, straightness_of(windows)))
        shown = scores.argmax(axis=1) != rest
        means.append((scores[shown] if shown.any() else scores).mean(axis=0)[columns])
    return np.array(means, np.float64)


def pair_of(values: npt.NDArray[np.float64]) -> Pair:
    """Return the two labels with the highest values, in alphabetical order."""
    return tuple(sorted(MOVED[column] for column in np.argsort(-values)[:2].tolist()))


def figures(compound: Scores, pairs: Sequence[Pair], pure: Scores) -> dict[str, Any]:
    """Return how well the second score identifies compound samples, and their second expression."""
    has_face = ~np.isnan(compound).any(axis=1)
    pairs = [pair for pair, shown in zip(pairs, has_face, strict=True) if shown]
    compound, pure = compound[has_face], pure[~np.isnan(pure).any(axis=1)]
    seconds, others = (np.sort(scores, axis=1)[:, -2] for scores in (compound, pure))
    is_right = np.array([pair_of(row) == pair for row, pair in zip(compound, pairs, strict=True)])
    partners = {
        top: dict(Counter(next(iter({*pair} - {top})) for pair in pairs if top in pair).most_common(1))
        for top in MOVED
    }
    usual = [
        tuple(sorted((top, next(iter(partners[top]), top))))
        for top in (MOVED[column] for column in compound.argmax(axis=1).tolist())
    ]
    return {
        "samples": {"compound": len(compound), "one expression": len(pure)},
        "the second score is higher in a compound one": area(seconds, others),
        "the first score is one of the pair": float(
            np.mean([MOVED[row.argmax()] in pair for row, pair in zip(compound, pairs, strict=True)])
        ),
        "the first two scores are the pair": float(is_right.mean()),
        "the first score and its usual partner are the pair": float(
            np.mean([guess == pair for guess, pair in zip(usual, pairs, strict=True)])
        ),
        "called": {str(least): called(seconds, others, is_right, least) for least in LEAST},
    }


def area(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Return how often a value of the first kind is higher than one of the second: 0.5 is chance."""
    return float((first[:, None] > second[None]).mean() + (first[:, None] == second[None]).mean() / 2)


def called(
    seconds: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64],
    is_right: npt.NDArray[Any],
    least: float,
) -> dict[str, float]:
    """Return the shares of samples that a threshold of the second score calls compound."""
    return {
        "of compound": float((seconds >= least).mean()),
        "of compound, with the right pair": float(((seconds >= least) & is_right).mean()),
        "of one expression": float((others >= least).mean()),
    }


def filmed(name: str, media: Path) -> dict[str, Any]:
    """Return how many segments of real clips each threshold would call compound, and the likeliest."""
    segments = 0
    likely: list[tuple[float, str, float, float, str, str]] = []
    for path in sorted(media.iterdir()):
        if path.suffix not in (".mp4", ".webm", ".mkv", ".mov"):
            continue
        with analysis.start(str(path), model=name, settings=SETTINGS, store=Store.temporary()) as run:
            timeline = run.timeline
        columns = [timeline.labels.index(label) for label in MOVED]
        for segment in timeline.segments:
            if segment.emotion == NEUTRAL:
                continue
            segments += 1
            scores = segment.scores[columns].astype(np.float64)
            second = float(np.sort(scores)[-2])
            if second >= LEAST[0]:
                middle = timeline.source.seconds((segment.start + segment.end) // 2)
                length = (segment.end - segment.start) * float(timeline.source.time_base)
                likely.append((second, path.name, round(middle, 2), round(length, 2), *pair_of(scores)))
    likely.sort(reverse=True)
    return {
        "segments that are not neutral": segments,
        "called": {str(least): sum(row[0] >= least for row in likely) for least in LEAST},
        "highest second scores": likely[:20],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--media", type=Path, help="a folder of real clips")
    parser.add_argument("--count", type=int, default=150, help="pictures of each kind")
    parser.add_argument("--takes", type=int, default=6, help="acted portraits of each pair and expression")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    net = model.load(options.model)
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "acted": lambda: figures(*acted(net, options.data, options.takes)),
        "FER+": lambda: figures(*tagged(net, options.data, options.count)),
    }
    if options.media is not None:
        parts["real clips"] = lambda: filmed(options.model, options.media)
    results: dict[str, dict[str, Any]] = {}
    for part, measure in parts.items():
        results[part] = measure()
        print(json.dumps({part: results[part]}, indent=1), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
