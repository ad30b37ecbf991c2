"""Figures of a model on damaged faces, and on faces by the pose of their head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from fervid import metrics, model
from fervid.clips import Face, straightness_of
from fervid.faces import shape
from fervid.faces.finder import FaceFinder
from fervid.metrics import Confusion
from fervid.model import Model
from fervid.train.footage import Footage
from fervid.train.robust.damages import DAMAGES, Damage
from fervid.types import Array, Bytes, Floats
from fervid.types.samples import Strip

UNDAMAGED = "undamaged"
POSES = {"yaw": (0, 10, 20, 30, 90), "pitch": (0, 10, 20, 90)}  # degrees: the edges of bins
WINDOWS = 64  # in memory at once
SEED = 0


@dataclass(frozen=True)
class Figure:
    """Accuracy and calibration of the samples with one damage, or one pose."""

    name: str
    strength: float | None
    count: int
    accuracy: float
    mean_recall: float
    error: float  # expected calibration error


def measure(
    net: Model, footage: Footage, labels: Sequence[str], note: Callable[[str], None] = lambda name: None
) -> Iterator[Figure]:
    """Yield the figures of undamaged faces, of each pose, and of each damage.

    Landmarks are moved as the damage moves the prediction of them. Samples without a face are left out: the
    effect of damage on detection is not measured.
    """
    indices = np.flatnonzero(footage.has_strip)
    truth = np.array([labels.index(footage.samples[index].label) for index in indices.tolist()], np.int64)
    note(UNDAMAGED)
    scores = _scores(net, footage, indices, labels, None)
    yield _figure(UNDAMAGED, None, truth, scores, labels)
    yield from _by_pose(footage, indices, truth, scores, labels)
    predicted = {index: _predicted(footage[index].faces, footage[index]) for index in indices.tolist()}
    for name, (damage, strengths) in DAMAGES.items():
        for strength in strengths:
            note(f"{name} {strength:g}")
            harm = partial(_harmed, damage, strength, predicted)
            yield _figure(name, strength, truth, _scores(net, footage, indices, labels, harm), labels)


def _by_pose(
    footage: Footage, indices: Array, truth: Array, scores: Floats, labels: Sequence[str]
) -> Iterator[Figure]:
    poses = np.array(
        [np.median(shape.head_pose(footage[index].landmarks), axis=0) for index in indices.tolist()]
    )
    for column, (name, edges) in enumerate(POSES.items()):
        angle = np.abs(poses[:, column])
        for low, high in pairwise(edges):
            chosen = (angle >= low) & (angle < high)
            if chosen.any():
                yield _figure(f"{name} from {low}", float(high), truth[chosen], scores[chosen], labels)


Harm = Callable[[int, Strip], Strip]


def _harmed(
    damage: Damage, strength: float, predicted: Mapping[int, Floats], index: int, strip: Strip
) -> Strip:
    """Return the strip of a sample with damaged faces; all frames are damaged alike."""
    seed = int(np.random.default_rng([SEED, index]).integers(1 << 31))
    pairs = zip(strip.faces, strip.landmarks, strict=True)
    faces = [damage(face, points, strength, np.random.default_rng(seed)) for face, points in pairs]
    return _with_faces(strip, np.stack(faces), predicted[index])


def _with_faces(strip: Strip, faces: Bytes, predicted: Floats) -> Strip:
    """Return a strip with damaged faces; `predicted` are the landmarks that are predicted without the damage.

    Its own landmarks come from whole frames and are more exact than any that are predicted on crops. So only
    the difference between predictions on the crops, with and without the damage, is added to them.
    """
    return replace(strip, faces=faces, landmarks=strip.landmarks + (_predicted(faces, strip) - predicted))


def _predicted(faces: Bytes, strip: Strip) -> Floats:
    """Return the landmarks (N, 68, 2) that are predicted on the faces of a strip, damaged or not."""
    finder = FaceFinder()
    pairs = zip(faces, strip.landmarks, strict=True)
    return np.stack([finder.follow(face, points) for face, points in pairs])


def _scores(net: Model, footage: Footage, indices: Array, labels: Sequence[str], harm: Harm | None) -> Floats:
    """Return the scores (N, C) of the data's labels, each pooled over the sample's windows."""
    fused, straightness, owners = [], [], []
    for row, index in enumerate(indices.tolist()):
        strip = footage[index]
        if harm is not None:
            strip = harm(index, strip)
        face = Face.of_strip(strip)
        windows = list(face.windows())[:WINDOWS]
        logits = {
            stream.name: net.logits(stream.name, [model.read(window, stream.reads) for window in windows])
            for stream in net.spec.streams
        }
        straightness.append(straightness_of(windows))
        fused.append(net.fuse(logits, straightness[-1]))
        owners += [row] * len(windows)
    spec, count = net.spec, len(indices)
    by_window, moved = np.concatenate(fused), np.concatenate(straightness)
    whole = model.pooled(by_window, moved, np.array(owners), count, spec.labels, spec.temperature)
    whole = whole[:, [spec.labels.index(label) for label in labels]]
    are_pictures = [len(footage.pts[index]) == 1 for index in indices.tolist()]
    temperatures = np.array([[spec.temperature_of(is_picture)] for is_picture in are_pictures])
    return np.asarray(model.softmax(whole, temperatures), np.float32)


def _figure(name: str, strength: float | None, truth: Array, scores: Floats, labels: Sequence[str]) -> Figure:
    guesses = scores.argmax(axis=1)
    confusion = Confusion.of(tuple(labels), truth, guesses)
    error = metrics.ece(scores.max(axis=1), guesses == truth)
    return Figure(name, strength, len(truth), confusion.accuracy, confusion.mean_recall, error)
