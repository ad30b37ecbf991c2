"""Train fervid's own 68-point predictor, and compare it with dlib's on unseen people.

    python benchmarks/train_landmarks.py --data ../shared/data -o fervid/models/landmarks/open68.safetensors
    python benchmarks/train_landmarks.py --data ../shared/data --judge FILE ... [--clip VIDEO ...]

The data is `landmarks68.npz`, pictures of faces with 68 points and a name each, and `portraits.npz`, pictures
without points. The hash of a name decides whether the person is in the training, validation or test part.
First a network is trained on annotated faces, as they are and set in motion. It then places the points of
portraits, which are set in motion, too, and it is trained further on all. Everything is kept in --runs, and a
run that was stopped resumes from there. README.md in this folder explains each figure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import fit_points
import numpy as np
import stretch_points
from fit_points import Pool
from measure_landmarks import (
    TEST,
    TRAINING,
    VALIDATION,
    Faces,
    in_motion,
    measure,
    movement,
    part_of,
    read,
    resting,
    resting_portraits,
    steadiness,
    table,
    unpacked,
)
from moving_faces import acts, drawings

from fervid.faces import points as network
from fervid.faces import shape
from fervid.faces.finder import predictor, upright_box
from fervid.faces.picture import CANVAS, canvas
from fervid.train.footage import PictureFinder
from fervid.types import Bytes, Floats

CHUNK = 150  # faces that are set in motion before their pictures are kept
LOOKS = 6  # canvases on which the points of a portrait are predicted, and as many mirrored
APART = (0.025, 0.04, np.radians(3.0))  # their spread, as FOLLOWED in moving_faces.py
UNSURE = 0.05  # eye distances: the mean spread of these predictions above which a portrait is left out
MISFIT = 0.2  # eye distances from any turned mean face above which it is left out


@dataclass(frozen=True)
class Recipe:
    """The amounts of everything."""

    faces: int = 900  # annotated faces that are set in motion
    portraits: int = 800  # portraits that are set in motion, of as many people
    motions: int = 8  # of each
    drawings: int = 3000  # of as many people
    first_steps: int = 3600  # of training without portraits
    steps: int = 1900  # of training with them
    still: float = 0.3  # share of annotated faces as they are in training
    drawn: float = 0.1  # share of drawings
    portrait: float = 0.3  # share of portraits in motion
    seed: int = 7


def moving(folder: Path, name: str, faces: Pool, recipe: Recipe) -> list[Pool]:
    """Return the faces in motion, in chunks."""
    pools = []
    for start in range(0, len(faces), CHUNK):
        part = range(start, min(start + CHUNK, len(faces)))
        made = (
            act
            for index in part
            for act in acts(
                np.asarray(faces.pictures[index]), faces.points[index], recipe.motions,
                np.random.default_rng([recipe.seed, index]),
            )
        )  # fmt: skip
        pools.append(fit_points.kept(folder, f"{name}-{start}", faces.pictures.shape[1], made))
        print(f"{name}: {part.stop} of {len(faces)} set in motion", flush=True)
    return pools


def shared(pools: list[Pool], share: float) -> list[tuple[Pool, float]]:
    """Return the pools with a share each, in all `share`."""
    total = sum(map(len, pools))
    return [(pool, share * len(pool) / total) for pool in pools]


def chosen_portraits(file: Path, recipe: Recipe) -> Bytes:
    """Return portraits of training people, one of each, in random order."""
    with np.load(file) as pack:
        people, pictures = pack["person"], unpacked(pack)
    chance = np.random.default_rng(recipe.seed)
    order = chance.permutation(len(people))
    _, first = np.unique(people[order], return_index=True)
    own = [which for which in order[np.sort(first)] if part_of(str(people[which])) == TRAINING]
    return pictures[own[: recipe.portraits]]


def at_rest(pictures: Bytes, file: Path, seed: int) -> Iterator[tuple[Bytes, Floats]]:
    """Yield the portraits with the mean of many predictions of the network in a file, if these agree."""
    predict, chance = network.load(file), np.random.default_rng(seed)
    predictor(file.name)(lambda: file)
    finder = PictureFinder(landmarks=file.name)
    mirror = shape.figures()["mirror"]
    for picture in pictures:
        around = upright_box(finder.fit(picture, finder.detect(picture)[0]))
        placed = []
        for _ in range(LOOKS):
            center, side, roll = around
            image, matrix = canvas(
                picture,
                (center + chance.normal(0, APART[0] * side, 2)).astype(np.float32),
                side * float(np.exp(chance.normal(0, APART[1]))),
                roll + float(chance.normal(0, APART[2])),
            )
            back = cv2.invertAffineTransform(matrix)
            mirrored = predict(np.ascontiguousarray(image[:, ::-1]))
            for points in (predict(image), (mirrored * [-1, 1] + [CANVAS - 1, 0])[mirror]):
                placed.append(points @ back[:, :2].T + back[:, 2])
        rest = np.mean(placed, 0).astype(np.float32)
        away = np.linalg.norm(np.array(placed) - rest, axis=-1).mean() / shape.eye_distance(rest)
        if away < UNSURE and shape.misfit_and_yaw(rest)[0] < MISFIT:
            yield picture, rest


def train(known: Faces, data: Path, recipe: Recipe, runs: Path, output: Path) -> None:
    """Run all stages, and write the predictor."""
    own = known.take((known.parts == TRAINING) & known.sound)
    still = Pool(own.pictures, own.points)
    order = np.random.default_rng(recipe.seed).permutation(len(own))[: recipe.faces]
    moved = moving(runs, "faces", Pool(own.pictures[order], own.points[order]), recipe)
    chance = np.random.default_rng(recipe.seed)
    side = known.pictures.shape[1]
    drawn = fit_points.kept(runs, "drawings", side, drawings(recipe.drawings, side, chance))
    rest = 1 - recipe.still - recipe.drawn
    annotated = [(still, recipe.still), (drawn, recipe.drawn)]
    first = fit_points.fit(
        [*annotated, *shared(moved, rest)], recipe.first_steps, recipe.seed, runs / "first"
    )
    pictures = chosen_portraits(data / "portraits.npz", recipe)
    fit_points.save(first, runs / "first.safetensors")
    looked_at = at_rest(pictures, runs / "first.safetensors", recipe.seed)
    portraits = fit_points.kept(runs, "rest", pictures.shape[1], looked_at)
    print(f"portraits: {len(portraits)} of {len(pictures)} kept", flush=True)
    acting = moving(runs, "portraits", portraits, recipe)
    mixture = [*annotated, *shared(moved, rest - recipe.portrait), *shared(acting, recipe.portrait)]
    net = fit_points.fit(
        mixture, recipe.steps, recipe.seed, runs / "second", start=runs / "first" / fit_points.STATE
    )
    gains = stretch_points.measured(network.Predictor(net), in_motion(resting(known, VALIDATION)))
    print("gains of movements:", *(f"{gain:.2f}" for gain, _ in gains), flush=True)
    stretch_points.stretch(net, gains)
    fit_points.save(net, output, mixture)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of landmarks68.npz")
    parser.add_argument("-o", "--output", type=Path, help="train, and write the predictor here")
    parser.add_argument("--runs", type=Path, help="the folder of the training's state")
    parser.add_argument("--judge", type=Path, nargs="+", help="only measure these predictors")
    parser.add_argument("--part", choices=[VALIDATION, TEST], default=TEST, help="the part to measure on")
    parser.add_argument(
        "--clip", type=Path, action="append", default=[], help="a video in which to measure tremble"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, unrounded")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"[default: {value}]"
        )
    given = parser.parse_args()
    if (given.output is None) == (given.judge is None):
        parser.error("give either --output, to train, or --judge, to measure predictors")
    if given.output is not None and given.runs is None:
        parser.error("give --runs, a folder for the state of the training")
    if not (given.data / "landmarks68.npz").is_file():
        parser.error(f"{given.data} has no landmarks68.npz")
    return given


def report(known: Faces, given: argparse.Namespace, figures: dict[str, Any], judged: list[Path]) -> None:
    """Measure dlib's predictor and those in files, and print all figures."""
    names = ["dlib"]
    for path in judged:
        predictor(path.name)(partial(Path, path))
        figures[path.name] = {"megabytes": path.stat().st_size / 1e6}
        names.append(path.name)
    figures |= measure(known, given.part, names)
    annotated = in_motion(resting(known, given.part))
    figures[f"{given.part}: annotated faces in motion"] = movement(annotated, names)
    portraits = in_motion(resting_portraits(given.data / "portraits.npz", given.part))
    figures[f"{given.part}: portraits in motion"] = movement(portraits, names)
    for clip in given.clip:
        figures[f"{clip.name}, percent of the eye distance"] = steadiness(clip, names)
    print(json.dumps(figures, indent=2) if given.json else "\n".join(table(figures)))


def main() -> None:
    given = arguments()
    cv2.setNumThreads(1)  # the training uses one core
    known = read(given.data / "landmarks68.npz")
    recipe = Recipe(**{name: getattr(given, name) for name in asdict(Recipe())})
    figures: dict[str, Any] = {
        "faces and people": {
            part: f"{(known.parts == part).sum()} of {len(set(known.people[known.parts == part]))}"
            for part in (TRAINING, VALIDATION, TEST)
        }
        | {"broken, or turned too far": int((~known.sound).sum())}
    }
    judged = given.judge
    if given.output is not None:
        given.runs.mkdir(parents=True, exist_ok=True)
        train(known, given.data, recipe, given.runs, given.output)
        judged = [given.output]
        figures["training"] = asdict(recipe)
    report(known, given, figures, judged)


if __name__ == "__main__":
    main()
