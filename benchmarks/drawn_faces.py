"""Faces that a net draws, many of which show a rare expression: `train_sharp.py` learns from them.

The net is MobileStyleGAN (Belousov, 2021) in the PyPI package random-face 2021.7.21.1, Apache-2.0: it
learned from FFHQ's portraits, and draws people who do not exist. Most of them smile or look neutral, so a
linear relation between styles and EmoNet's answers tells where in the space of styles an expression is, and
faces are drawn from there. Each round learns the relation from all faces before it. It needs
`pip install openvino`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from emonet import KINDS, EmoNet, head, landmarks_of

from fervid.faces.finder import FaceFinder
from fervid.faces.shape import MARGIN
from fervid.model import softmax
from fervid.types import Array, Bytes, Floats

STYLE = 512  # numbers
LUMA = (0.299, 0.587, 0.114)
PLAIN, ROUNDS, EACH = 1400, 4, 800  # faces as they come, and those of each round that looks for expressions
MANY = 4096  # styles that tell how they vary
NEARER = 0.9  # of a plain face's distance to the mean style: extreme styles draw no faces
NEAREST, FARTHEST = 0.7, 1.0  # the same of the others
# How often a round looks for each kind: there are enough smiles.
WANTED = {
    "neutral": 0.08,
    "sadness": 0.2,
    "surprise": 0.2,
    "fear": 0.2,
    "disgust": 0.14,
    "anger": 0.16,
    "contempt": 0.02,
}
STRENGTH = (0.8, 12.0)  # how far a style may move for it
COMPONENTS, RIDGE = 200, 15.0
STEPS, LONGEST_STEP = 60, 0.15


class Drawer:
    """The net that draws."""

    SIDE = 256

    def __init__(self, folder: Path) -> None:
        import openvino

        core = openvino.Core()
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        self._map = core.compile_model(core.read_model(folder / "MappingNetwork.xml"), "CPU", exact)
        self._draw = core.compile_model(core.read_model(folder / "SynthesisNetwork.xml"), "CPU", exact)

    def styles(self, random: np.random.Generator, count: int) -> Floats:
        """Return styles of faces as they come, (N, STYLE)."""
        noise = random.normal(size=(count, 1, STYLE)).astype(np.float32)
        return np.concatenate([self._map(one)[0] for one in noise])

    def draw(self, style: Array) -> Bytes:
        """Return the grey picture of a style, (SIDE, SIDE)."""
        colours = self._draw(style[None].astype(np.float32))[0][0]
        grey = (np.tensordot(LUMA, colours, 1) / 2 + 0.5).clip(0, 1) * 255
        small = cv2.resize(grey, (self.SIDE, self.SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(small.round(), np.uint8)


@dataclass
class Relation:
    """What EmoNet answers to a style, as a linear relation of the style's main components."""

    mean: Array
    to_components: Array  # (STYLE, C): a component of unit deviation each
    to_style: Array  # (C, STYLE)
    slopes: Array  # (C, kinds)
    levels: Array  # (kinds)

    @classmethod
    def fit(cls, all_styles: Array, styles: Array, answers: Array) -> Relation:
        """Fit the relation to faces; `all_styles` are many, and have no answers."""
        mean = all_styles.mean(0)
        values, vectors = np.linalg.eigh(np.cov((all_styles - mean).T))
        order = np.argsort(values)[::-1][:COMPONENTS]
        deviations = np.sqrt(values[order] + 1e-6)
        to_components = vectors[:, order] / deviations
        columns = np.c_[(styles - mean) @ to_components, np.ones(len(styles))]
        centred = answers - answers.mean(1, keepdims=True)
        weights = np.linalg.solve(columns.T @ columns + RIDGE * np.eye(columns.shape[1]), columns.T @ centred)
        return cls(mean, to_components, (vectors[:, order] * deviations).T, weights[:-1], weights[-1])

    def moved(self, styles: Array, wanted: Array, strengths: Array) -> Floats:
        """Return the styles, moved to where EmoNet would answer what is wanted (N, kinds), or on the way."""
        start = (styles - self.mean) @ self.to_components
        way, strength = np.zeros_like(start), strengths[:, None]
        for _ in range(STEPS):
            missing = wanted - softmax((start + way) @ self.slopes + self.levels)
            way += (missing @ self.slopes.T - way / strength) * np.minimum(LONGEST_STEP * strength, 1.0)
        return np.asarray(styles + way @ self.to_style, np.float32)


def write(drawer: Drawer, net: EmoNet, runs: Path, many: int, plain: int, each: int) -> None:
    """Write the crops of drawn faces with their margin, and EmoNet's answers to them, round by round."""
    finder, styles, answers = FaceFinder(), np.zeros((0, STYLE), np.float32), np.zeros((0, len(KINDS)))
    all_styles = drawer.styles(np.random.default_rng(1), many)
    for number in range(ROUNDS + 1):
        path, random = runs / f"drawn-{number}.npz", np.random.default_rng(100 + number)
        if not path.exists():
            if number:
                chosen = _expressive(Relation.fit(all_styles, styles, answers), drawer, random, each)
            else:
                chosen = all_styles.mean(0) + NEARER * (all_styles[:plain] - all_styles.mean(0))
            faces = list(_read(drawer, finder, chosen))
            rows = [row for row, _, _ in faces]
            part = path.with_suffix(".part.npz")
            np.savez(
                part,
                faces=np.stack([crop for _, crop, _ in faces]),
                styles=chosen[rows],
                emonet=net(np.stack([picture for _, _, picture in faces])),
            )
            part.replace(path)
        with np.load(path) as done:
            styles = np.concatenate([styles, done["styles"]])
            answers = np.concatenate([answers, done["emonet"]])
        print(f"drawn: {len(styles)} faces", flush=True)


def _expressive(relation: Relation, drawer: Drawer, random: np.random.Generator, count: int) -> Floats:
    """Return styles of faces that are to show the wanted kinds, most of which are rare."""
    near = random.uniform(NEAREST, FARTHEST, (count, 1))
    styles = relation.mean + near * (drawer.styles(random, count) - relation.mean)
    kinds = random.choice([KINDS.index(kind) for kind in WANTED], count, p=list(WANTED.values()))
    strengths = np.exp(random.uniform(*np.log(STRENGTH), count))
    return relation.moved(styles, np.eye(len(KINDS))[kinds], strengths)


def _read(drawer: Drawer, finder: FaceFinder, styles: Array) -> Iterator[tuple[int, Bytes, Bytes]]:
    """Yield each face that is found: its row, its crop and its head."""
    for row, style in enumerate(styles):
        luma = drawer.draw(style)
        landmarks = landmarks_of(finder, luma)
        if landmarks is not None:
            yield row, finder.crop(luma, landmarks, MARGIN), head(luma, landmarks)
