"""Test the damages of faces, and the table of a model on damaged faces."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import Call

from fervid.faces import shape
from fervid.train.robust import DAMAGES
from fervid.types import Bytes, Floats

EYES, MOUTH = slice(22, 34), slice(58, 72)  # rows of the face with a margin


def face() -> tuple[Bytes, Floats]:
    """Return a textured face (88, 88) and the mean face's landmarks in it."""
    side = shape.CROP + 2 * shape.MARGIN
    pixels = shape.CROP / shape.CROP_EYES
    middle = np.array([shape.CROP / 2, shape.CROP * shape.CROP_EYE_LINE]) + shape.MARGIN
    points = (shape.figures()["neutral"][:, :2] * pixels + middle).astype(np.float32)
    texture = np.random.default_rng(0).integers(60, 220, (side, side)).astype(np.uint8)
    return texture, points


@pytest.mark.parametrize("name", DAMAGES)
def test_every_damage_changes_the_face_more_the_stronger_it_is(name: str) -> None:
    damage, strengths = DAMAGES[name]
    picture, points = face()
    before = picture.copy()
    changes = []
    for strength in strengths:
        damaged = damage(picture, points, strength, np.random.default_rng(1))
        assert damaged.shape == picture.shape and damaged.dtype == np.uint8
        changes.append(np.abs(damaged.astype(float) - picture).mean())
    assert (picture == before).all()
    assert changes[0] > 3 and changes == sorted(changes)


@pytest.mark.parametrize(
    ("name", "covered", "kept"),
    [
        ("eyes covered", EYES, MOUTH),
        ("sunglasses", EYES, MOUTH),
        ("mouth covered", MOUTH, EYES),
        ("mask", MOUTH, EYES),
        ("hand", MOUTH, slice(0, 20)),
    ],
)
def test_covers_cover_their_part_alone(name: str, covered: slice, kept: slice) -> None:
    picture, points = face()
    damaged = DAMAGES[name][0](picture, points, 1.0, np.random.default_rng(1))
    changed = (damaged != picture)[:, 30:58]
    assert changed[covered].mean() > 0.4 and changed[kept].mean() < 0.1


def test_bench_robust_measures_every_damage(call: Call) -> None:
    data = "synth:posed?people=2&per_class=1"
    done = call("bench", "robust", "--data", data, "--most", "1", "--json", "-j", "1", "--no-cache")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    rows = {(row["name"], row["strength"]) for row in value["figures"]}
    assert ("undamaged", None) in rows
    assert {(name, strength) for name, (_, strengths) in DAMAGES.items() for strength in strengths} <= rows
    assert {name for name, _ in rows if name.startswith("yaw")}
    assert all(0 <= row["accuracy"] <= 1 and row["count"] <= 7 for row in value["figures"])


def test_bench_robust_needs_data(call: Call) -> None:
    assert call("bench", "robust").returncode == 2
