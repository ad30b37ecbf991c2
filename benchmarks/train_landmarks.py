"""Train fervid's own 68-point predictor, and measure it beside dlib's on people that it has not seen.

    python benchmarks/train_landmarks.py --data ../shared/data -o fervid/models/landmarks/open68.dat
    python benchmarks/train_landmarks.py --data ../shared/data --judge FILE.dat [--clip VIDEO ...]

The data is `landmarks68.npz`: pictures of faces with 68 points and a name each. A name's hash decides whether
that person is learnt from, tuned on or tested on. Faces are found as fervid finds them in pictures, and shown
to dlib's trainer on the very canvas on which fervid asks a predictor; mirrored and moved about as well. All
that is drawn at random comes from --seed. README.md beside this file says what each figure means.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from fervid.faces import shape, tracks
from fervid.faces.finder import CANVAS_FACE, FaceFinder, canvas, predictor, upright_box
from fervid.footage import PictureFinder
from fervid.types import Array, Bytes, Floats
from fervid.video import planning, reading

# A name's hash modulo 10 -> its part: a tenth of the people to test on, a tenth to tune on.
TEST, VALIDATION, TRAINING = "test", "validation", "training"
PARTS = {0: TEST, 1: VALIDATION}

# The pack's points lie to the right of what they name, by this many eye distances: two of its pixels. So says
# a predictor that learnt from pictures and their mirror pictures alike, which cannot favour a side (0.045, on
# the people to tune on), and so does dlib's (0.041).
ASIDE = 0.044

# Points further from any turned mean face than this many eye distances are no face; a mouth wide open comes
# to 0.27. And beyond shape.MOST_TURN the hidden half is guessed.
BROKEN = 0.3

# How fervid's own boxes lie about the true ones: shares of the side, of its logarithm, and radians.
SHIFT, GROWTH, TURN = 0.025, 0.05, np.radians(4.0)

INNER = slice(17, 68)  # without the jaw line
OUTER_CORNERS = [36, 45]
OFFSET_FACES = 800  # training faces from which the difference of two conventions is learnt
RIDGE = 1.0  # of the linear map between conventions, where each face is a row in eye distances

# Distances that expressions change: a pair of points each.
MOVES = {"mouth opening": (62, 66), "mouth width": (48, 54), "eye opening": (43, 47), "brow height": (24, 44)}


@dataclass(frozen=True)
class Recipe:
    """dlib's own settings, and how many views of each face it is shown."""

    cascades: int = 12
    trees: int = 180  # of each cascade
    depth: int = 3
    shrinkage: float = 0.1
    oversampling: int = 1  # shapes from which a view is begun; one is the mean shape, as in use
    translation: float = 0.0  # by which these are moved, as a share
    pool: int = 400  # pixels of which the trees choose pairs
    splits: int = 20  # that are tried at each node
    nearness: float = 0.1  # lambda: how near two pixels of a pair should be
    padding: float = 0.0  # around the face's box, within which pixels lie
    views: int = 4  # canvases of a face; as many again of its mirror picture
    seed: int = 7

    def options(self) -> Any:
        """The same as dlib's trainer takes it."""
        options = dlib.shape_predictor_training_options()
        options.cascade_depth = self.cascades
        options.num_trees_per_cascade_level = self.trees
        options.tree_depth = self.depth
        options.nu = self.shrinkage
        options.oversampling_amount = self.oversampling
        options.oversampling_translation_jitter = self.translation
        options.feature_pool_size = self.pool
        options.num_test_splits = self.splits
        options.lambda_param = self.nearness
        options.random_seed = str(self.seed)
        options.landmark_relative_padding_mode = False  # of the box, which is known, not of the points
        options.feature_pool_region_padding = self.padding
        options.num_threads = 1  # the result does not depend on it; the machine's other work does
        options.be_verbose = False
        return options


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures of faces, whose they are, their points, and the box that fervid finds."""

    pictures: Bytes  # (N, H, W)
    people: Array  # (N,) of str
    points: Floats  # (N, 68, 2)
    boxes: Floats  # (N, 4)
    found: Array  # (N,) of bool: whether the detector saw the face; else the box is the whole picture

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, which: Array) -> Faces:
        """Some of them."""
        return Faces(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    @property
    def parts(self) -> Array:
        """TRAINING, VALIDATION or TEST of each."""
        return np.array([part_of(str(person)) for person in self.people])

    @property
    def sound(self) -> Array:
        """Which annotations look like a face of which both halves are seen."""
        turned = np.radians(np.abs(shape.head_pose(self.points)[:, 0])) > shape.MOST_TURN
        return (shape.misfit(self.points) <= BROKEN) & ~turned


def straightened(points: Floats) -> Floats:
    """The annotated points where they were meant to be."""
    return (points - ASIDE * shape.eye_distance(points)[:, None, None] * [1, 0]).astype(np.float32)


def part_of(person: str) -> str:
    """The part that a person belongs to, whatever else there is in the data."""
    return PARTS.get(zlib.crc32(person.encode()) % 10, TRAINING)


def read(file: Path) -> Faces:
    """The pack, with a box of each face: the found one nearest to its points, where there are several."""
    with np.load(file) as pack:
        people, offset, blob = pack["person"], pack["offset"], pack["webp"]
        points = straightened(pack["points"].astype(np.float32))
    pictures = np.stack(
        [
            np.asarray(cv2.imdecode(blob[low:high], cv2.IMREAD_GRAYSCALE), np.uint8)
            for low, high in pairwise(offset)
        ]
    )
    finder, boxes, found = PictureFinder(), [], []
    for picture, own in zip(pictures, points, strict=True):
        middle = own[INNER].mean(0)
        box, score = min(
            finder.detect(picture), key=lambda one: float(np.hypot(*(one[0][:2] + one[0][2:] / 2 - middle)))
        )
        boxes.append(box)
        found.append(score > 0)
    return Faces(pictures, people, points, np.stack(boxes), np.array(found))


def mirrored(picture: Bytes, points: Floats, box: Floats) -> tuple[Bytes, Floats, Floats]:
    """The face as a mirror shows it: the left eye's points become the right one's."""
    last = picture.shape[1] - 1
    turned = (points * [-1, 1] + [last, 0])[shape.figures()["mirror"]].astype(np.float32)
    return (
        np.ascontiguousarray(picture[:, ::-1]),
        turned,
        np.array([last + 1 - box[0] - box[2], *box[1:]], np.float32),
    )


def views(
    picture: Bytes, points: Floats, box: Floats, count: int, chance: np.random.Generator
) -> Iterator[tuple[Bytes, Floats]]:
    """Canvases as fervid makes them, and the points on them.

    The first is that of a face just found; the others are those of a face that is followed, each as far off
    as the points of a frame before would have it.
    """
    places = [(box[:2] + box[2:] / np.float32(2), float(box[2:].mean()), 0.0)]
    center, side, roll = upright_box(points)
    for _ in range(count - 1):
        places.append(
            (
                (center + chance.normal(0, SHIFT * side, 2)).astype(np.float32),
                side * float(np.exp(chance.normal(0, GROWTH))),
                roll + float(chance.normal(0, TURN)),
            )
        )
    for one in places:
        image, matrix = canvas(picture, *one)
        yield image, (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def train(known: Faces, recipe: Recipe) -> Any:
    """dlib's trainer on every view of every face."""
    chance = np.random.default_rng(recipe.seed)
    canvases, shapes = [], []
    for picture, points, box in zip(known.pictures, known.points, known.boxes, strict=True):
        for image, own, around in ((picture, points, box), mirrored(picture, points, box)):
            for seen, placed in views(image, own, around, recipe.views, chance):
                corners = [dlib.point(round(float(x)), round(float(y))) for x, y in placed]
                canvases.append(seen)
                shapes.append([dlib.full_object_detection(CANVAS_FACE, dlib.points(corners))])
    return dlib.train_shape_predictor(canvases, shapes, recipe.options())


def found(known: Faces, landmarks: str) -> Floats:
    """The points (N, 68, 2) that fervid finds with a registered predictor: twice looked at, as in a video."""
    finder = FaceFinder(landmarks=landmarks)
    return np.stack([finder.fit(*one) for one in zip(known.pictures, known.boxes, strict=True)])


def upright(points: Floats, by: Floats) -> Floats:
    """Points (N, 68, 2) as the faces `by` see them: from between the eyes, along them, in eye distances."""
    left, right = shape.eye_centres(by)
    along = (right - left)[:, None]  # (N, 1, 2)
    away = points - ((left + right) / 2)[:, None]
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    at = np.stack([(away * along).sum(-1), (away * across).sum(-1)], -1)
    return np.asarray(at / np.square(along).sum(-1)[..., None], np.float32)


class Convention:
    """What one predictor's points differ by from the annotations throughout, learnt from training faces.

    Two conventions of the same 68 points are no fault of either; judged without this, the predictor that was
    trained on the annotations' own convention would be flattered.
    """

    def __init__(self, said: Floats, true: Floats) -> None:
        at, wanted = upright(said, said), upright(true, said)
        self.offset = (wanted - at).mean(0)  # (68, 2)
        self._rows = self._features(at)
        gram = self._rows.T @ self._rows + RIDGE * np.eye(self._rows.shape[1])
        self._map = np.linalg.solve(gram, self._rows.T @ (wanted - at).reshape(len(at), -1))

    @staticmethod
    def _features(at: Floats) -> Array:
        return np.hstack([at.reshape(len(at), -1), np.ones((len(at), 1))]).astype(np.float64)

    def shifted(self, said: Floats) -> Floats:
        """The points less their mean offset."""
        return self._back(said, upright(said, said) + self.offset)

    def mapped(self, said: Floats) -> Floats:
        """The points after the linear map that brings them nearest to the annotations."""
        at = upright(said, said)
        return self._back(said, at + (self._features(at) @ self._map).reshape(at.shape))

    @staticmethod
    def _back(by: Floats, at: Floats) -> Floats:
        left, right = shape.eye_centres(by)
        along = (right - left)[:, None]
        across = np.stack([-along[..., 1], along[..., 0]], -1)
        middle = ((left + right) / 2)[:, None]
        return np.asarray(middle + at[..., :1] * along + at[..., 1:] * across, np.float32)


def errors(said: Floats, true: Floats) -> dict[str, float]:
    """Mean and median distance of points to the true ones, over the eye distance, in percent."""
    away = 100 * np.linalg.norm(said - true, axis=-1)  # (N, 68)
    eyes = away / shape.eye_distance(true)[:, None]
    corners = true[:, OUTER_CORNERS]
    return {
        "mean, 68 points": float(eyes.mean()),
        "median, 68 points": float(np.median(eyes.mean(1))),
        "mean, 51 inner points": float(eyes[:, INNER].mean()),
        "median, 51 inner points": float(np.median(eyes[:, INNER].mean(1))),
        "mean, 68 points, over the outer corners": float(
            (away / np.linalg.norm(corners[:, 1] - corners[:, 0], axis=-1)[:, None]).mean()
        ),
        "faces beyond 10 %": float(100 * (eyes.mean(1) > 10).mean()),
    }


def judge(known: Faces, part: str, names: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Which faces -> whose points -> their errors."""
    own = known.take(known.parts == part)
    learnt = known.take((known.parts == TRAINING) & known.sound & known.found)
    chosen = np.random.default_rng(0).permutation(len(learnt))[:OFFSET_FACES]
    learnt = learnt.take(np.sort(chosen))
    groups = {
        f"{part}: sound annotations": own.sound,
        f"{part}: sound, and seen by the detector": own.sound & own.found,
        f"{part}: all": np.ones(len(own), bool),
    }
    said: dict[str, Floats] = {}
    for name in names:
        said[name] = found(own, name)
        convention = Convention(found(learnt, name), learnt.points)
        said[f"{name}, less its mean offset"] = convention.shifted(said[name])
        said[f"{name}, after its best linear map"] = convention.mapped(said[name])
    return {
        f"{group} ({which.sum()} faces)": {
            name: errors(points[which], own.points[which]) for name, points in said.items()
        }
        for group, which in groups.items()
    }


def followed(clip: Path, landmarks: str) -> tuple[Floats, float]:
    """The points of the largest face through a clip (T, 68, 2), as tracking asks for them, and their rate."""
    finder = FaceFinder(landmarks=landmarks)
    points: list[Floats] = []
    planned = planning.plan(clip)
    for frame in reading.frames(planned):
        if points and finder.verify(frame.luma, points[-1]):
            points.append(finder.follow(frame.luma, points[-1]))
            continue
        seen = finder.detect(frame.luma)
        if not seen:
            raise SystemExit(f"{clip.name} should show a face in every frame")
        points.append(finder.fit(frame.luma, max(seen, key=lambda one: float(one[0][2:].prod()))[0]))
    return np.stack(points), len(points) / planned.seconds(planned.end)


def steadiness(clip: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """How much each predictor's points tremble through a clip, and how alike they see expressions move."""
    tracks_of = {name: followed(clip, name) for name in names}
    measures: dict[str, dict[str, float]] = {}
    moves: dict[str, dict[str, Floats]] = {}
    for name, (points, rate) in tracks_of.items():
        pts = np.arange(len(points), dtype=np.int64)
        distance = shape.eye_distance(points)[:, None]
        smooth = tracks.smooth(pts, points, round(rate * tracks.SMOOTH_SECONDS))
        tremble = 100 * np.linalg.norm(points - smooth, axis=-1) / distance
        step = 100 * np.linalg.norm(np.diff(points, axis=0), axis=-1) / distance[1:]
        measures[name] = {
            "frames": len(points),
            "tremble, 68 points": float(np.sqrt(np.square(tremble).mean())),
            "tremble, 51 inner points": float(np.sqrt(np.square(tremble[:, INNER]).mean())),
            "step from frame to frame, 51 inner points": float(step[:, INNER].mean()),
        }
        flat = shape.without_pose(smooth)
        moves[name] = {
            move: np.linalg.norm(flat[:, one] - flat[:, other], axis=-1)
            for move, (one, other) in MOVES.items()
        }
    first, *others = names
    for other in others:
        for move in MOVES:
            pair = moves[first][move], moves[other][move]
            measures[other][f"{move}: correlation with {first}"] = float(np.corrcoef(*pair)[0, 1])
            measures[other][f"{move}: spread over that of {first}"] = float(pair[1].std() / pair[0].std())
    return measures


def table(figures: dict[str, Any]) -> Iterator[str]:
    """The figures as text."""
    for title, rows in figures.items():
        yield f"\n{title}"
        for name, row in rows.items():
            if not isinstance(row, dict):
                yield f"  {name:<44} {row}"
                continue
            yield f"  {name}"
            for label, value in row.items():
                yield f"    {label:<58} {value:8.3f}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds landmarks68.npz")
    parser.add_argument("-o", "--output", type=Path, help="train, and write the predictor here")
    parser.add_argument("--judge", type=Path, help="train nothing, and measure this predictor")
    parser.add_argument("--part", choices=[VALIDATION, TEST], default=TEST, help="whom to measure on")
    parser.add_argument(
        "--clip", type=Path, action="append", default=[], help="a video to look at tremble in"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, unrounded")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"[default: {value}]")
    given = parser.parse_args()
    if (given.output is None) == (given.judge is None):
        parser.error("give either --output, to train, or --judge, to measure what there is")
    if not (given.data / "landmarks68.npz").is_file():
        parser.error(f"{given.data} holds no landmarks68.npz")
    return given


def main() -> None:
    given = arguments()
    known = read(given.data / "landmarks68.npz")
    recipe = Recipe(**{name: getattr(given, name) for name in asdict(Recipe())})
    facts: dict[str, Any] = {
        "faces and people": {
            part: f"{(known.parts == part).sum()} of {len(set(known.people[known.parts == part]))}"
            for part in (TRAINING, VALIDATION, TEST)
        }
        | {
            "broken, or turned too far": int((~known.sound).sum()),
            "not seen by the detector": int((~known.found).sum()),
        }
    }
    target = given.judge
    if given.output is not None:
        target = given.output
        target.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        trained = train(known.take((known.parts == TRAINING) & known.sound), recipe)
        trained.save(str(target))
        facts["training"] = asdict(recipe) | {"seconds": round(time.perf_counter() - began)}
    predictor("own")(lambda: target)
    facts["file"] = {"megabytes": target.stat().st_size / 1e6}
    figures = facts | judge(known, given.part, ["dlib", "own"])
    for clip in given.clip:
        figures[f"{clip.name}, percent of the eye distance"] = steadiness(clip, ["dlib", "own"])
    print(json.dumps(figures, indent=2) if given.json else "\n".join(table(figures)))


if __name__ == "__main__":
    main()
