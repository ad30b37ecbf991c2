"""Measure what 8-bit integers do to a model's scores, and how much faster it is with them.

    python benchmarks/quantized.py --data ../shared/data [--model M] [--most 100]

Compares the model with itself in single precision, on pictures of FER2013's public test and their onsets (up
to --most of each label): accuracy, how often both agree, and how far the scores are from each other. The
times are of one core, batches of 8 clips, in turns. The last line is for a processor that has only AVX2.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fervid import clips, datasets, model
from fervid.model import Model
from fervid.train import footage
from fervid.train.scoring import windows
from fervid.types import Floats
from fervid.types.samples import Sample

TURNS = 9
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
SCORES = "scores.npy"  # what a process with another processor writes


def scores(net: Model, samples: tuple[Sample, ...], cache: Path | None = None) -> Floats:
    """Return the scores of each sample that has a face, (N, C): the means of its windows' logits."""
    rows: list[Floats] = []
    for shard in footage.shards(samples, None, cache):
        strips = shard.footage()
        indices, seen = zip(*windows(strips), strict=True)
        fused = net.fuse(
            {s.name: net.logits(s.name, (model.read(w, s.reads) for w in seen)) for s in net.spec.streams},
            clips.straightness_of(seen),
        )
        means = [fused[np.array(indices) == index].mean(0) for index in sorted(set(indices))]
        rows.append(net.probabilities(np.array(means)))
    return np.concatenate(rows)


def truths(net: Model, samples: tuple[Sample, ...]) -> list[int]:
    """Return the label of each sample that has a face."""
    labels: list[int] = []
    for shard in footage.shards(samples, None, None):
        strips = shard.footage()
        kept = np.flatnonzero(strips.has_strip).tolist()
        labels += [net.spec.labels.index(strips.samples[index].label) for index in kept]
    return labels


def seconds(net: Model) -> float:
    """Return the time of a batch of clips."""
    chance = np.random.default_rng(0)
    faces = list(chance.integers(0, 256, (model.BATCH, 16, 64, 64)).astype(np.uint8))
    points = list(chance.normal(0, 0.05, (model.BATCH, 16, 68, 2)).astype(np.float32))
    start = time.perf_counter()
    for stream in net.spec.streams:
        net.logits(stream.name, faces if stream.reads == "faces" else points)
    return time.perf_counter() - start


def compare(name: str, first: Floats, second: Floats, truth: list[int] | None = None) -> None:
    """Print how two sets of scores agree."""
    apart = np.abs(first - second).max(axis=1)
    both = 100 * (first.argmax(1) == second.argmax(1)).mean()
    line = f"{name}: the same label {both:.1f} %, "
    line += f"scores apart {apart.mean():.4f} on average, {apart.max():.3f} at most"
    if truth is not None:
        right = [100 * (each.argmax(1) == truth).mean() for each in (first, second)]
        line += f", accuracy {right[0]:.1f} and {right[1]:.1f} %"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of ferplus.npz")
    parser.add_argument("--model", default="default", help="a model's name or path [default]")
    parser.add_argument("--most", type=int, default=100, help="samples of each label [100]")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)  # for the other processor
    options = parser.parse_args()
    whole, spec = model.load(options.model), f"ferplus:{options.data}/ferplus.npz?usage=PublicTest"
    kinds = {
        "pictures": datasets.read(f"{spec}&most={options.most}").samples,
        "onsets": datasets.read(f"{spec}&motion=yes&most={options.most}").samples,
    }
    if options.write is not None:
        np.save(options.write, scores(whole, kinds["onsets"]))
        return
    exact = model.load_exactly(options.model)
    print("single precision and 8-bit integers")
    for kind, samples in kinds.items():
        compare(kind, scores(exact, samples), scores(whole, samples), truths(exact, samples))
    pairs = np.array([[seconds(net) for net in (exact, whole)] for _ in range(TURNS)])
    print(f"time of a clip: {np.median(pairs[:, 1] / pairs[:, 0]):.2f} of that in single precision")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / SCORES
        again = [sys.executable, __file__, *sys.argv[1:], "--write", str(target)]
        subprocess.run(again, env=os.environ | OLDER, check=True)
        compare(
            "onsets, this processor and one with AVX2 alone", scores(whole, kinds["onsets"]), np.load(target)
        )


if __name__ == "__main__":
    main()
