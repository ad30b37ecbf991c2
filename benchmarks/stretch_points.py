"""Undo the shrinkage of a network's movements: what it cannot see well it predicts near the mean.

A linear map enlarges each kind of movement about its usual distance, by as much as the network shrinks it on
validation people. It is part of the network's last layer, and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from measure_landmarks import Motions, agreement

from fervid.faces import points as network
from fervid.faces.finder import upright_box
from fervid.faces.picture import canvas
from fervid.types import Array

MOST = 2.0  # no movement is enlarged by more


@dataclass(frozen=True)
class Stretch:
    """A distance along an axis, the mean over pairs of points, and how points share its change."""

    axis: int  # 0: x, 1: y
    pairs: tuple[tuple[int, int], ...]
    shares: tuple[tuple[int, float], ...]

    def of(self, rows: Array) -> Array:
        """Return the distance in points (68, 2, ...)."""
        return sum(rows[end, self.axis] - rows[start, self.axis] for start, end in self.pairs) / len(
            self.pairs
        )


def brow(points: range, corners: tuple[int, int]) -> Stretch:
    """Return the stretch of a brow: its height above the corners of the eye."""
    pairs = tuple((point, corner) for point in points for corner in corners)
    return Stretch(1, pairs, tuple((point, -1.0) for point in points))


def stretches() -> list[Stretch]:
    """Return those of the lids, the brows and the mouth's width."""
    across = network.mean_points()[48:, 0]
    middle, width = (across[6] + across[0]) / 2, across[6] - across[0]
    mouth = tuple((48 + index, float((x - middle) / width)) for index, x in enumerate(across))
    lids = ((37, 41), (38, 40), (43, 47), (44, 46))
    return [
        *(Stretch(1, (pair,), ((pair[0], -0.7), (pair[1], 0.3))) for pair in lids),
        brow(range(17, 22), (36, 39)),
        brow(range(22, 27), (42, 45)),
        Stretch(0, ((48, 54),), mouth),
    ]


def measured(predict: network.Predictor, acted: Motions) -> list[tuple[float, float]]:
    """Return the gain of each stretch, and its usual distance in eye distances."""
    true, answers = [], []
    for _, motions in acted:
        for picture, points in motions:
            image, matrix = canvas(picture, *upright_box(points))
            true.append((points @ matrix[:, :2].T + matrix[:, 2]) / network.EYES)
            answers.append(predict(image) / network.EYES)
    faces = len(acted)
    rows = [np.moveaxis(np.array(points), 0, -1) for points in (answers, true)]  # (68, 2, N)
    factors = []
    for stretch in stretches():
        answered, wanted = (stretch.of(points).reshape(faces, -1) for points in rows)
        spread = agreement(answered, wanted)[1]
        factors.append((float(np.clip(1 / spread, 1, MOST)), float(wanted.mean())))
    return factors


def stretch(net: network.PointsNet, by: list[tuple[float, float]]) -> None:
    """Change the last layer of a network."""
    mean = torch.from_numpy(network.mean_points() / network.EYES).flatten()
    with torch.no_grad():
        bias = (net.top.bias + mean)[:, None]
        rows = torch.cat([net.top.weight, bias], 1).view(-1, 2, net.top.in_features + 1)
        changes = []
        for part, (gain, usual) in zip(stretches(), by, strict=True):
            away = part.of(rows)
            away[-1] -= usual
            changes += [(point, part.axis, share * (gain - 1) * away) for point, share in part.shares]
        for point, axis, change in changes:
            rows[point, axis] += change
        rows = rows.reshape(len(mean), -1)
        net.top.weight.copy_(rows[:, :-1])
        net.top.bias.copy_(rows[:, -1] - mean)
