"""Measure predictors of the 68 points on people that fervid's own one never saw, and in clips.

README.md in this folder explains each figure. train_landmarks.py is the command.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from moving_faces import acts

from fervid.faces import shape, tracks
from fervid.faces.detectors import Detection
from fervid.faces.finder import FaceFinder
from fervid.train.footage import PictureFinder
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

INNER = slice(17, 68)  # without the jaw line
OUTER_CORNERS = [36, 45]
OFFSET_FACES = 800  # training faces for estimating the difference of two conventions
RIDGE = 1.0  # penalty of the linear map between conventions, with a row per face, in eye distances

# Distances that expressions change, each the mean over pairs of points. The corners of the eyes do not blink.
MOVES = {
    "mouth opening": ((61, 67), (62, 66), (63, 65)),
    "mouth width": ((48, 54),),
    "eye opening": ((37, 41), (38, 40), (43, 47), (44, 46)),
    "brow height": ((19, 36), (21, 39), (22, 42), (24, 45)),
}
RESTING, MOTIONS = 4, 10  # pictures of each person that are set in motion, and motions of each
PORTRAITS = 150  # that are set in motion, of as many people
SEED = 11


@dataclass(frozen=True, eq=False)
class Faces:
    """Pictures of faces, with the person and the points of each."""

    pictures: Bytes  # (N, H, W)
    people: Array  # (N,) of str
    points: Floats  # (N, 68, 2)

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
        misfit = np.array([shape.misfit_and_yaw(face)[0] for face in self.points])
        return (misfit <= BROKEN) & ~turned


def straightened(points: Floats) -> Floats:
    """Return the annotated points without their shift to the right."""
    return (points - ASIDE * shape.eye_distance(points)[:, None, None] * [1, 0]).astype(np.float32)


def part_of(person: str) -> str:
    """Return the part of a person, which does not depend on the other data."""
    return PARTS.get(zlib.crc32(person.encode()) % 10, TRAINING)


def read(file: Path) -> Faces:
    """Read the pack."""
    with np.load(file) as pack:
        return Faces(unpacked(pack), pack["person"], straightened(pack["points"].astype(np.float32)))


def unpacked(pack: Any) -> Bytes:
    """Return the pictures of a pack, (N, H, W)."""
    blob = pack["webp"]
    return np.stack(
        [
            np.asarray(cv2.imdecode(blob[low:high], cv2.IMREAD_GRAYSCALE), np.uint8)
            for low, high in pairwise(pack["offset"])
        ]
    )


def detected(known: Faces) -> tuple[list[Detection], Array]:
    """Return the detection of each face, of several the one nearest to its points, and a mask of success.

    Otherwise its box is the whole picture.
    """
    finder, faces, is_detected = PictureFinder(), [], []
    for picture, own in zip(known.pictures, known.points, strict=True):
        middle = own[INNER].mean(0)
        face = min(
            finder.detect(picture),
            key=lambda face: float(np.hypot(*(face.box[:2] + face.box[2:] / 2 - middle))),
        )
        faces.append(face)
        is_detected.append(face.score > 0)
    return faces, np.array(is_detected)


def predicted(pictures: Bytes, faces: list[Detection], landmarks: str) -> Floats:
    """Return the points (N, 68, 2) of a registered predictor, run twice as in a video."""
    finder = FaceFinder(landmarks=landmarks)
    return np.stack([finder.fit(picture, face) for picture, face in zip(pictures, faces, strict=True)])


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
    faces, is_detected = detected(own)
    training = known.take((known.parts == TRAINING) & known.sound)
    chosen = np.random.default_rng(0).permutation(len(training))[:OFFSET_FACES]
    training = training.take(np.sort(chosen))
    training_faces, _ = detected(training)
    groups = {
        f"{part}: sound annotations": own.sound,
        f"{part}: sound, and detected": own.sound & is_detected,
        f"{part}: all": np.ones(len(own), bool),
    }
    points_of: dict[str, Floats] = {}
    for name in names:
        points_of[name] = predicted(own.pictures, faces, name)
        convention = Convention(predicted(training.pictures, training_faces, name), training.points)
        points_of[f"{name}, less its mean offset"] = convention.shifted(points_of[name])
        points_of[f"{name}, after its best linear map"] = convention.mapped(points_of[name])
    return {
        f"{group} ({which.sum()} faces)": {
            name: errors(points[which], own.points[which]) for name, points in points_of.items()
        }
        for group, which in groups.items()
    }


def moves_of(points: Floats) -> dict[str, Floats]:
    """Return each of MOVES through the faces (N, 68, 2), without head pose, in eye distances."""
    flat = shape.without_pose(points)
    return {
        move: np.mean([np.linalg.norm(flat[:, start] - flat[:, end], axis=-1) for start, end in pairs], 0)
        for move, pairs in MOVES.items()
    }


def agreement(of: Floats, true: Floats) -> tuple[float, float]:
    """Return correlation and share of the spread of a move (N, T), about the mean of each of N faces.

    Both are 0 of a move without spread.
    """
    away, wanted = (move - move.mean(1, keepdims=True) for move in (of, true))
    spreads = np.sqrt(np.square(away).sum()), np.sqrt(np.square(wanted).sum())
    if not all(spreads):
        return 0.0, 0.0
    return float((away * wanted).sum() / (spreads[0] * spreads[1])), float(spreads[0] / spreads[1])


def resting(known: Faces, part: str) -> list[tuple[Bytes, Floats]]:
    """Return annotated faces of a part: RESTING of each person."""
    own = known.take((known.parts == part) & known.sound)
    chance = np.random.default_rng(SEED)
    return [
        (own.pictures[which], own.points[which])
        for person in np.unique(own.people)
        for which in chance.permutation(np.flatnonzero(own.people == person))[:RESTING]
    ]


def resting_portraits(file: Path, part: str) -> list[tuple[Bytes, Floats]]:
    """Return portraits of a part, one of each person, with dlib's points."""
    with np.load(file) as pack:
        people, pictures = pack["person"], unpacked(pack)
    own = [index for index, person in enumerate(people) if part_of(str(person)) == part]
    _, first = np.unique(people[own], return_index=True)
    chosen = np.random.default_rng(SEED).permutation(np.array(own)[first])[:PORTRAITS]
    finder = PictureFinder(landmarks="dlib")
    return [(picture, finder.fit(picture, finder.detect(picture)[0])) for picture in pictures[chosen]]


Motions = list[tuple[Floats, list[tuple[Bytes, Floats]]]]  # of each face: points at rest; pictures and points


def in_motion(faces: list[tuple[Bytes, Floats]]) -> Motions:
    """Return MOTIONS of each face, but of none that is turned too far."""
    chance = np.random.default_rng(SEED)
    acted = [(rest, list(acts(picture, rest, MOTIONS, chance))) for picture, rest in faces]
    return [(rest, motions) for rest, motions in acted if motions]


def movement(acted: Motions, names: list[str]) -> dict[str, dict[str, float]]:
    """Return how far each predictor's points follow the motions of faces.

    The prediction starts from the points at rest, and is repeated around its own points.
    """
    true = np.stack([points for _, motions in acted for _, points in motions])
    wanted = moves_of(true)
    rows: dict[str, dict[str, float]] = {}
    for name in names:
        finder = FaceFinder(landmarks=name)
        points = np.stack(
            [
                finder.follow(picture, finder.follow(picture, rest))
                for rest, motions in acted
                for picture, _ in motions
            ]
        )
        rows[name] = {"motions": len(true)} | errors(points, true)
        for move, values in moves_of(points).items():
            pair = agreement(values.reshape(-1, MOTIONS), wanted[move].reshape(-1, MOTIONS))
            rows[name][f"{move}: correlation with the truth"] = pair[0]
            rows[name][f"{move}: spread over that of the truth"] = pair[1]
    return rows


def followed(clip: Path, landmarks: str) -> tuple[Floats, float, float]:
    """Return the points of the largest face through a clip (T, 68, 2), as in tracking, and their rate.

    Also return the median time of a prediction, in milliseconds of this thread.
    """
    finder = FaceFinder(landmarks=landmarks)
    points: list[Floats] = []
    spent: list[float] = []
    planned = planning.plan(clip)
    for frame in reading.frames(planned):
        if points and finder.look(frame.luma, points[-1]) is not None:
            began = time.thread_time()
            points.append(finder.follow(frame.luma, points[-1]))
            spent.append(time.thread_time() - began)
            continue
        seen = finder.detect(frame.luma)
        if not seen:
            raise SystemExit(f"{clip.name} should show a face in every frame")
        points.append(finder.fit(frame.luma, max(seen, key=lambda face: float(face.box[2:].prod()))))
    return np.stack(points), len(points) / planned.seconds(planned.end), 1000 * float(np.median(spent))


def steadiness(clip: Path, names: list[str]) -> dict[str, dict[str, float]]:
    """Return the tremble of each predictor's points in a clip, and how similarly they follow expressions."""
    tracks_of = {name: followed(clip, name) for name in names}
    measures: dict[str, dict[str, float]] = {}
    moves: dict[str, dict[str, Floats]] = {}
    for name, (points, rate, spent) in tracks_of.items():
        pts = np.arange(len(points), dtype=np.int64)
        distance = shape.eye_distance(points)[:, None]
        smooth = tracks.smooth(pts, points, round(rate * tracks.SMOOTH_SECONDS))
        tremble = 100 * np.linalg.norm(points - smooth, axis=-1) / distance
        step = 100 * np.linalg.norm(np.diff(points, axis=0), axis=-1) / distance[1:]
        measures[name] = {
            "frames": len(points),
            "milliseconds of a prediction": spent,
            "tremble, 68 points": float(np.sqrt(np.square(tremble).mean())),
            "tremble, 51 inner points": float(np.sqrt(np.square(tremble[:, INNER]).mean())),
            "step from frame to frame, 51 inner points": float(step[:, INNER].mean()),
        }
        moves[name] = moves_of(smooth)
    first, *others = names
    for other in others:
        for move in MOVES:
            pair = agreement(moves[other][move][None], moves[first][move][None])
            measures[other][f"{move}: correlation with {first}"] = pair[0]
            measures[other][f"{move}: spread over that of {first}"] = pair[1]
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
