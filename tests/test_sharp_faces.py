"""Test the teachers and the material of the last stage of the default model's frame networks."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import ROOT
from small_emonet import small_emonet

from fervid.faces.finder import FaceFinder


@pytest.fixture(scope="module")
def scripts() -> Iterator[Callable[[str], ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module


def test_answers_are_in_the_order_of_the_kinds(scripts: Callable[[str], ModuleType], tmp_path: Path) -> None:
    emonet = scripts("emonet")
    net = small_emonet(tmp_path / "net.pth")
    pictures = np.random.default_rng(0).integers(0, 256, (19, emonet.SIDE, emonet.SIDE), np.uint8)
    answers = emonet.EmoNet(tmp_path / "net.pth")(pictures)
    assert answers.shape == (19, len(emonet.KINDS)) and answers.dtype == np.float32
    with torch.inference_mode():
        grey = torch.from_numpy(pictures)[:, None].expand(-1, 3, -1, -1).float() / 255
        plain = net(grey)["expression"].numpy()
    for column, kind in enumerate(emonet.KINDS):
        assert np.allclose(answers[:, column], plain[:, emonet.ORDER.index(kind)], atol=0.05), kind


def test_a_head_is_wider_than_its_landmarks(scripts: Callable[[str], ModuleType]) -> None:
    emonet = scripts("emonet")
    luma = np.zeros((400, 400), np.uint8)
    luma[100:300, 150:250] = 255  # as high as the landmarks' box, and half as wide
    landmarks = np.array([[150.0, 100.0], [250.0, 300.0]])
    picture = emonet.head(luma, landmarks) > 127
    rows, columns = (np.flatnonzero(picture.any(axis)) for axis in (1, 0))
    assert picture.shape == (emonet.SIDE, emonet.SIDE)
    assert len(rows) == pytest.approx(emonet.SIDE / emonet.ACROSS, abs=2)
    assert len(columns) == pytest.approx(len(rows) / 2, abs=2)
    assert columns.mean() == pytest.approx(emonet.SIDE / 2, abs=1.5)
    # The face is below the middle, so that there is room for the hair.
    assert rows.mean() == pytest.approx(emonet.SIDE * (0.5 + emonet.RAISED), abs=1.5)


def test_pictures_without_a_face_have_no_head(scripts: Callable[[str], ModuleType]) -> None:
    assert scripts("emonet").head_of_close_up(FaceFinder(), np.full((96, 96), 90, np.uint8)) is None


def test_styles_move_to_where_an_expression_is(scripts: Callable[[str], ModuleType]) -> None:
    drawn, random = scripts("drawn_faces"), np.random.default_rng(0)
    kinds = len(drawn.KINDS)
    styles = random.normal(0, 0.5, (1500, drawn.STYLE))
    slopes = np.zeros((drawn.STYLE, kinds))
    slopes[random.choice(drawn.STYLE, kinds, replace=False), np.arange(kinds)] = 3.0
    styles[:, slopes.any(1)] *= 3  # what the answers depend on varies most
    answers = styles @ slopes
    answers[:, drawn.KINDS.index("happiness")] += 4
    relation = drawn.Relation.fit(styles, styles[:1000], answers[:1000])
    begin, fear = styles[1000:1200], drawn.KINDS.index("fear")
    wanted = np.eye(kinds)[np.full(len(begin), fear)]
    shares = []
    for strength in (0.0, 1.0, 8.0):
        moved = relation.moved(begin, wanted, np.full(len(begin), max(strength, 1e-6)))
        shares.append(
            float(
                (
                    (moved @ slopes + [4.0 * (kind == "happiness") for kind in drawn.KINDS]).argmax(1) == fear
                ).mean()
            )
        )
        assert np.linalg.norm(moved - begin, axis=1).max() < 3 * np.linalg.norm(styles, axis=1).mean()
    assert shares[0] < 0.2 and shares[0] < shares[1] <= shares[2] and shares[2] > 0.9, shares


def test_shares_of_what_is_looked_for_are_whole(scripts: Callable[[str], ModuleType]) -> None:
    drawn = scripts("drawn_faces")
    assert sum(drawn.WANTED.values()) == pytest.approx(1) and set(drawn.WANTED) <= set(drawn.KINDS)
