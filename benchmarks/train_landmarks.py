"""Train fervid's own 68-point predictor, and compare it with dlib's on unseen people.

    python benchmarks/train_landmarks.py --data ../shared/data -o fervid/models/landmarks/open68.dat
    python benchmarks/train_landmarks.py --data ../shared/data --judge FILE.dat [--clip VIDEO ...]

The data is `landmarks68.npz`: pictures of faces with 68 points and a name each. The hash of a name decides
whether the person is in the training, validation or test part. Faces are detected as in fervid's pictures,
and given to dlib's trainer on the same kind of canvas as in an analysis, also mirrored and moved. Everything
random comes from --seed. README.md in this folder explains each figure.
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
from fervid.faces.detectors import Detection
from fervid.faces.finder import CANVAS_FACE, FaceFinder, predictor, upright_box
from fervid.faces.picture import canvas
from fervid.footage import PictureFinder
from fervid.types import Array, Bytes, Floats
from fervid.video import planning, reading

# A name's hash modulo 10 -> its part: a tenth of the people for test, a tenth for validation.
TEST, VALIDATION, TRAINING = "test", "validation", "training"
PARTS = {0: TEST, 1: VALIDATION}

# The pack's points are too far to the right by this many eye distances, two of its pixels. Two predictors
# agree: one trained on pictures and their mirror images, which cannot favour a side (0.045, on the validation
# people), and dlib's (0.041).
ASIDE = 0.044

# Points farther from every turned mean face than this many eye distances are not a face; a wide-open mouth
# reaches 0.27. Beyond shape.MOST_TURN, annotators guess the hidden half.
BROKEN = 0.3

# The spread of fervid's own boxes around the true ones: shares of the side, of its logarithm, and radians.
SHIFT, GROWTH, TURN = 0.025, 0.05, np.radians(4.0)

INNER = slice(17, 68)  # without the jaw line
OUTER_CORNERS = [36, 45]
OFFSET_FACES = 800  # training faces for estimating the difference of two conventions
RIDGE = 1.0  # penalty of the linear map between conventions, with a row per face, in eye distances

# Distances that expressions change: a pair of points each.
MOVES = {"mouth opening": (62, 66), "mouth width": (48, 54), "eye opening": (43, 47), "brow height": (24, 44)}


@dataclass(frozen=True)
class Recipe:
    """The settings of dlib's trainer, and the number of views of each face."""

    cascades: int = 12
    trees: int = 180  # of each cascade
    depth: int = 3
    shrinkage: float = 0.1
    oversampling: int = 1  # start shapes of a view; 1 is the mean shape, as in use
    translation: float = 0.0  # random shift of the start shapes, as a share
    pool: int = 400  # pixels from which the trees choose pairs
    splits: int = 20  # tried at each node
    nearness: float = 0.1  # lambda: the preference for near pixels in a pair
    padding: float = 0.0  # around the face's box, from which pixels are chosen
    views: int = 4  # canvases of a face; and the same number of its mirror image
    seed: int = 7

    def options(self) -> Any:
        """Return the settings as dlib's options."""
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
        options.landmark_relative_padding_mode = (
            False  # relative to the box, which is known, not to the points
        )
        options.feature_pool_region_padding = self.padding
        options.num_threads = 1  # the result does not depend on it, and the machine does other work
        options.be_verbose = False
        return options


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures of faces, with the person, the points and the detected box of each."""

    pictures: Bytes  # (N, H, W)
    people: Array  # (N,) of str
    points: Floats  # (N, 68, 2)
    boxes: Floats  # (N, 4)
    found: Array  # (N,) of bool: whether the face was detected; otherwise the box is the whole picture

    def __len__(self) -> int:
        return len(self.pictures)

    def take(self, which: Array) -> Faces:
        """Return the chosen faces."""
        return Faces(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    @property
    def parts(self) -> Array:
        """The part of each face: TRAINING, VALIDATION or TEST."""
        return np.array([part_of(str(person)) for person in self.people])

    @property
    def sound(self) -> Array:
        """A mask of the annotations that look like a face with both halves visible."""
        turned = np.radians(np.abs(shape.head_pose(self.points)[:, 0])) > shape.MOST_TURN
        return (shape.misfit(self.points) <= BROKEN) & ~turned


def straightened(points: Floats) -> Floats:
    """Return the annotated points without their shift to the right."""
    return (points - ASIDE * shape.eye_distance(points)[:, None, None] * [1, 0]).astype(np.float32)


def part_of(person: str) -> str:
    """Return the part of a person, which does not depend on the other data."""
    return PARTS.get(zlib.crc32(person.encode()) % 10, TRAINING)


def read(file: Path) -> Faces:
    """Read the pack, and detect each face: of several boxes, use the one nearest to its points."""
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
        face = min(
            finder.detect(picture),
            key=lambda face: float(np.hypot(*(face.box[:2] + face.box[2:] / 2 - middle))),
        )
        boxes.append(face.box)
        found.append(face.score > 0)
    return Faces(pictures, people, points, np.stack(boxes), np.array(found))


def mirrored(picture: Bytes, points: Floats, box: Floats) -> tuple[Bytes, Floats, Floats]:
    """Return the mirror image of a face, in which the left eye's points become the right eye's."""
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
    """Yield canvases as in an analysis, with the points on them.

    The first is that of a newly detected face. The others are those of a tracked face, each off by as much as
    the points of the previous frame would be.
    """
    boxes = [(box[:2] + box[2:] / np.float32(2), float(box[2:].mean()), 0.0)]
    center, side, roll = upright_box(points)
    for _ in range(count - 1):
        boxes.append(
            (
                (center + chance.normal(0, SHIFT * side, 2)).astype(np.float32),
                side * float(np.exp(chance.normal(0, GROWTH))),
                roll + float(chance.normal(0, TURN)),
            )
        )
    for around in boxes:
        image, matrix = canvas(picture, *around)
        yield image, (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def train(known: Faces, recipe: Recipe) -> Any:
    """Run dlib's trainer on every view of every face."""
    chance = np.random.default_rng(recipe.seed)
    canvases, shapes = [], []
    for picture, points, box in zip(known.pictures, known.points, known.boxes, strict=True):
        for image, own, around in ((picture, points, box), mirrored(picture, points, box)):
            for seen, placed in views(image, own, around, recipe.views, chance):
                corners = [dlib.point(round(float(x)), round(float(y))) for x, y in placed]
                canvases.append(seen)
                shapes.append([dlib.full_object_detection(CANVAS_FACE, dlib.points(corners))])
    return dlib.train_shape_predictor(canvases, shapes, recipe.options())


def predicted(known: Faces, landmarks: str) -> Floats:
    """Return the points (N, 68, 2) of a registered predictor, run twice as in a video."""
    finder = FaceFinder(landmarks=landmarks)
    return np.stack(
        [
            finder.fit(picture, Detection(box, 0.0))
            for picture, box in zip(known.pictures, known.boxes, strict=True)
        ]
    )


def upright(points: Floats, by: Floats) -> Floats:
    """Return points (N, 68, 2) in the frames of the faces `by`: origin between the eyes, in eye distances."""
    left, right = shape.eye_centres(by)
    along = (right - left)[:, None]  # (N, 1, 2)
    away = points - ((left + right) / 2)[:, None]
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    at = np.stack([(away * along).sum(-1), (away * across).sum(-1)], -1)
    return np.asarray(at / np.square(along).sum(-1)[..., None], np.float32)


class Convention:
    """The systematic difference of a predictor's points from the annotations, estimated on training faces.

    A different convention of the 68 points is not an error. Without this correction, the comparison would
    favour the predictor that was trained on the annotations.
    """

    def __init__(self, points: Floats, true: Floats) -> None:
        at, wanted = upright(points, points), upright(true, points)
        self.offset = (wanted - at).mean(0)  # (68, 2)
        self._rows = self._features(at)
        gram = self._rows.T @ self._rows + RIDGE * np.eye(self._rows.shape[1])
        self._map = np.linalg.solve(gram, self._rows.T @ (wanted - at).reshape(len(at), -1))

    @staticmethod
    def _features(at: Floats) -> Array:
        return np.hstack([at.reshape(len(at), -1), np.ones((len(at), 1))]).astype(np.float64)

    def shifted(self, points: Floats) -> Floats:
        """Return the points less their mean offset."""
        return self._back(points, upright(points, points) + self.offset)

    def mapped(self, points: Floats) -> Floats:
        """Return the points after the linear map that brings them nearest to the annotations."""
        at = upright(points, points)
        return self._back(points, at + (self._features(at) @ self._map).reshape(at.shape))

    @staticmethod
    def _back(by: Floats, at: Floats) -> Floats:
        left, right = shape.eye_centres(by)
        along = (right - left)[:, None]
        across = np.stack([-along[..., 1], along[..., 0]], -1)
        middle = ((left + right) / 2)[:, None]
        return np.asarray(middle + at[..., :1] * along + at[..., 1:] * across, np.float32)


def errors(points: Floats, true: Floats) -> dict[str, float]:
    """Return mean and median errors in percent of the eye distance."""
    away = 100 * np.linalg.norm(points - true, axis=-1)  # (N, 68)
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


def measure(known: Faces, part: str, names: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Return group of faces -> predictor -> its errors."""
    own = known.take(known.parts == part)
    training = known.take((known.parts == TRAINING) & known.sound & known.found)
    chosen = np.random.default_rng(0).permutation(len(training))[:OFFSET_FACES]
    training = training.take(np.sort(chosen))
    groups = {
        f"{part}: sound annotations": own.sound,
        f"{part}: sound, and detected": own.sound & own.found,
        f"{part}: all": np.ones(len(own), bool),
    }
    points_of: dict[str, Floats] = {}
    for name in names:
        points_of[name] = predicted(own, name)
        convention = Convention(predicted(training, name), training.points)
        points_of[f"{name}, less its mean offset"] = convention.shifted(points_of[name])
        points_of[f"{name}, after its best linear map"] = convention.mapped(points_of[name])
    return {
        f"{group} ({which.sum()} faces)": {
            name: errors(points[which], own.points[which]) for name, points in points_of.items()
        }
        for group, which in groups.items()
    }


def followed(clip: Path, landmarks: str) -> tuple[Floats, float]:
    """Return the points of the largest face through a clip (T, 68, 2), as in tracking, and their rate."""
    finder = FaceFinder(landmarks=landmarks)
    points: list[Floats] = []
    planned = planning.plan(clip)
    for frame in reading.frames(planned):
        if points and finder.look(frame.luma, points[-1]) is not None:
            points.append(finder.follow(frame.luma, points[-1]))
            continue
        seen = finder.detect(frame.luma)
        if not seen:
            raise SystemExit(f"{clip.name} should show a face in every frame")
        points.append(finder.fit(frame.luma, max(seen, key=lambda face: float(face.box[2:].prod()))))
    return np.stack(points), len(points) / planned.seconds(planned.end)


def steadiness(clip: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Return the tremble of each predictor's points in a clip, and how similarly they follow expressions."""
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
            move: np.linalg.norm(flat[:, start] - flat[:, end], axis=-1)
            for move, (start, end) in MOVES.items()
        }
    first, *others = names
    for other in others:
        for move in MOVES:
            pair = moves[first][move], moves[other][move]
            measures[other][f"{move}: correlation with {first}"] = float(np.corrcoef(*pair)[0, 1])
            measures[other][f"{move}: spread over that of {first}"] = float(pair[1].std() / pair[0].std())
    return measures


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of text."""
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
    parser.add_argument("--data", type=Path, required=True, help="the folder of landmarks68.npz")
    parser.add_argument("-o", "--output", type=Path, help="train, and write the predictor here")
    parser.add_argument("--judge", type=Path, help="only measure this predictor")
    parser.add_argument("--part", choices=[VALIDATION, TEST], default=TEST, help="the part to measure on")
    parser.add_argument(
        "--clip", type=Path, action="append", default=[], help="a video in which to measure tremble"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, unrounded")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"[default: {value}]")
    given = parser.parse_args()
    if (given.output is None) == (given.judge is None):
        parser.error("give either --output, to train, or --judge, to measure a predictor")
    if not (given.data / "landmarks68.npz").is_file():
        parser.error(f"{given.data} has no landmarks68.npz")
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
            "not detected": int((~known.found).sum()),
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
    figures = facts | measure(known, given.part, ["dlib", "own"])
    for clip in given.clip:
        figures[f"{clip.name}, percent of the eye distance"] = steadiness(clip, ["dlib", "own"])
    print(json.dumps(figures, indent=2) if given.json else "\n".join(table(figures)))


if __name__ == "__main__":
    main()
