"""The faces that `train_frames.py` trains on, and what other projects' nets say about them, as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from default_stages import CROWD, sized
from expression_detector import ExpressionDetector
from face_api import SmallNet

from fervid.labels import EMOTIONS
from fervid.train.footage import Footage
from fervid.types import Array, Bytes, Floats

PACKS = {
    "fer": "ferplus:{data}/ferplus.npz?usage=Training",
    "portraits": "portraits:{data}/portraits.npz?classes=8",
    "landmarks": "landmarks68",  # unlabelled: taught by the answers alone
}
ACTED = "acted"
CHECKS = {"check": "ferplus:{data}/ferplus.npz?usage=PublicTest"}
EACH = 3  # frames of an acted clip: two while its expression is strong, and any
STRONG_LEVEL = 0.9  # of the clip's strongest
BATCH = 128


def cut_faces(data: Path, runs: Path, jobs: int | None, small: bool) -> None:
    """Cut the faces of every pack, with the margin that augmentation needs, and write one file for each."""
    from fervid import datasets, execute
    from fervid.datasets import packs
    from fervid.train import footage
    from fervid.types.samples import Picture, Sample

    with execute.open_executor(jobs) as executor:
        for name, spec in {**PACKS, **CHECKS}.items():
            if spec == "landmarks68":
                pictures = packs.read(str(data / f"{spec}.npz"), {"images": (3, "u")})["images"]
                samples = tuple(
                    Sample(f"{row:05}", EMOTIONS[-1], Picture(np.ascontiguousarray(picture)))
                    for row, picture in enumerate(pictures)
                )
            else:
                samples = datasets.read(spec.format(data=data)).samples
            strips = footage.cut(samples, executor)
            rows = np.flatnonzero(strips.has_strip)
            np.savez(
                runs / f"{name}.npz",
                faces=np.stack([strips.faces[row][0] for row in rows]),
                name=np.array([strips.samples[row].name for row in rows]),
                label=np.array([strips.samples[row].label for row in rows]),
                split=np.array([strips.samples[row].split or "" for row in rows]),
                votes=np.array([_votes(strips.samples[row].votes) for row in rows], np.float32),
            )
            print(f"{name}: {len(rows)} faces of {len(samples)} pictures", flush=True)
        specs = [sized(spec, small).format(data=data) for spec in CROWD]
        samples = tuple(sample for spec in specs for sample in datasets.read(spec).samples)
        np.savez(runs / f"{ACTED}.npz", **_acting(footage.cut(samples, executor)))  # type: ignore[arg-type]


def _acting(strips: Footage) -> dict[str, Array]:
    """Return some frames of each acted clip, with its label and how strong the expression is in them."""
    from fervid.synth import motion
    from fervid.synth.people import person
    from fervid.synth.sequences import trajectory
    from fervid.types.samples import Picture

    rows: dict[str, list[Any]] = {"faces": [], "label": [], "level": []}
    random = np.random.default_rng(0)
    for index in np.flatnonzero(strips.has_strip).tolist():
        sample, count = strips.samples[index], len(strips.pts[index])
        assert isinstance(sample.pixels, Picture)
        _, difficulty, seed, label = sample.pixels.motion.split("/")
        own = np.random.default_rng([1, int(seed)])  # as the clip was made
        level = trajectory(person(own), label, difficulty, own).level[:: motion.EVERY]
        strong = np.flatnonzero(level >= STRONG_LEVEL * level.max())
        for frame in (*random.choice(strong, EACH - 1), random.integers(count)):
            rows["faces"].append(strips.faces[index][int(frame)])
            rows["label"].append(label)
            rows["level"].append(level[int(frame)])
    return {name: np.array(values) for name, values in rows.items()}


def _votes(votes: Mapping[str, float]) -> list[float]:
    """Return the shares of the taggers' votes; zeros if there are none."""
    total = sum(votes.get(emotion, 0.0) for emotion in EMOTIONS)
    return [votes.get(emotion, 0.0) / (total or 1.0) for emotion in EMOTIONS]


def write_answers(net: Path, detector: Path, runs: Path) -> None:
    """Write the small net's logits and the logarithms of the detector's scores for all faces."""
    teachers: dict[str, Callable[[Bytes], Floats]] = {
        "answers": SmallNet(net),
        "detected": ExpressionDetector(detector),
    }
    for name in PACKS:
        faces = load(runs, name)["faces"]
        for kind, teacher in teachers.items():
            logits = [teacher(faces[low : low + BATCH]) for low in range(0, len(faces), BATCH)]
            np.save(runs / f"{kind}-{name}.npy", np.concatenate(logits))
        print(f"{name}: {len(faces)} answers", flush=True)


def load(runs: Path, name: str) -> dict[str, Array]:
    with np.load(runs / f"{name}.npz") as pack:
        return {key: pack[key] for key in pack.files}
