"""Geometric changes of clips: one move per frame, for its pixels and its landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fervid.faces import shape
from fervid.train.augment.chance import sent
from fervid.train.augment.settings import Augmentation
from fervid.types import LANDMARKS, Array, Floats

DRAWS = 32  # random numbers for a clip's moves
WAVES = 2  # a clip's wandering is the sum of this many waves
WAVE = 16  # frames in which each wave makes 0.25 to 1.5 periods


@dataclass(frozen=True)
class Moves:
    """The moves of clips, from the centre of the given crop to the centre of the smaller one."""

    frames: Floats  # (B, L, 2, 3)
    flipped: Array  # (B,) whether left and right are swapped
    strain: Floats  # (B, 2, 2) the part that changes the shape of the face


def draw(settings: Augmentation, dice: Floats, length: int, side: int) -> Moves:
    """Return the moves of draws (B, DRAWS) in [0, 1)."""
    flipped = dice[:, 0] < settings.flip
    even = 2 * dice[:, 1:7] - 1
    # A strain without rotation, so that it applies to the neutral, which has no pose; areas do not change.
    wider, across = settings.aspect / 2 * even[:, 4], settings.shear / 2 * even[:, 5]
    strain = np.stack([1 + wider, across, across, 1 - wider], axis=1).reshape(-1, 2, 2)
    strain = strain / np.sqrt(1 - wider**2 - across**2)[:, None, None]

    most = np.array([np.radians(settings.rotation), np.log1p(settings.scale), *[settings.shift * side] * 2])
    stray = settings.wander * np.array([1, 1, side, side]) * _waves(dice[:, 7:], length)
    angle, growth, right, down = np.moveaxis((most * even[:, :4])[:, None] + stray, 2, 0)  # each (B, L)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
    linear = np.exp(growth)[..., None, None] * turn.reshape(*angle.shape, 2, 2) @ strain[:, None]
    frames = np.concatenate([linear, np.stack([right, down], axis=-1)[..., None]], axis=-1)
    frames[flipped, :, 0] *= -1
    return Moves(frames.astype(np.float32), flipped, strain.astype(np.float32))


def _waves(dice: Floats, length: int) -> Array:
    """Return four slow waves about 0 over the frames of each clip: (B, L, 4)."""
    shares = dice[:, : 8 * WAVES].reshape(-1, 1, 4, 2, WAVES).astype(np.float64)
    turns = (0.25 + 1.25 * shares[..., 1, :]) * (np.arange(length)[:, None, None] / WAVE)
    waves = np.sin(2 * np.pi * (shares[..., 0, :] + turns)).mean(-1)
    return np.asarray(waves - waves.mean(1, keepdims=True))


def warp(faces: Tensor, moves: Moves, side: int) -> Tensor:
    """Move each frame and cut out its middle, edges repeated: (B, L, M, M) -> (B, L, side, side)."""
    batch, length, whole, _ = faces.shape
    forth = moves.frames.reshape(-1, 2, 3).astype(np.float64)
    linear = np.linalg.inv(forth[:, :, :2])
    back = np.concatenate([linear, -linear @ forth[:, :, 2:]], axis=2) / ((whole - 1) / 2)  # into -1..1
    a = sent(back, faces.device)[..., None, None]  # (B * L, 2, 3, 1, 1)
    steps = torch.arange(side, device=faces.device) - (side - 1) / 2
    grid = torch.empty(batch * length, side, side, 2, device=faces.device)
    for axis in range(2):
        torch.add(a[:, axis, 0] * steps, a[:, axis, 1] * steps[:, None] + a[:, axis, 2], out=grid[..., axis])
    pictures = functional.grid_sample(
        faces.reshape(-1, 1, whole, whole).float(), grid, padding_mode="border", align_corners=True
    )
    return pictures.view(batch, length, side, side)


def middle(faces: Tensor, moves: Moves, side: int) -> Tensor:
    """Cut out the middle of each frame, flipped or not: (B, L, M, M) -> (B, L, side, side)."""
    margin = (faces.shape[-1] - side) // 2
    pictures = faces[..., margin : margin + side, margin : margin + side].float()
    turned = torch.from_numpy(moves.flipped).to(faces.device).view(-1, 1, 1, 1)
    return torch.where(turned, pictures.flip(-1), pictures)


def move_landmarks(landmarks: Tensor, moves: Moves, whole: int, side: int) -> Tensor:
    """Move landmarks (B, L, 68, 2) of crops `whole` pixels wide, to pixels of the smaller crops."""
    a = sent(moves.frames, landmarks.device)[:, :, None]  # (B, L, 1, 2, 3)
    x, y = (landmarks - (whole - 1) / 2).unbind(-1)
    points = a[..., 0] * x[..., None] + a[..., 1] * y[..., None] + a[..., 2] + (side - 1) / 2
    return _swap_sides(points, moves.flipped)


def move_neutral(neutral: Tensor, moves: Moves) -> Tensor:
    """Return the neutral (B, 68, 2) of the moved faces; it has no pose to change."""
    sign = np.where(moves.flipped, -1, 1)[:, None] * np.array([1, 0]) + np.array([0, 1])  # (B, 2)
    a = sent(sign[:, :, None] * moves.strain, neutral.device)[:, None]  # (B, 1, 2, 2)
    x, y = neutral.unbind(-1)
    return _swap_sides(a[..., 0] * x[..., None] + a[..., 1] * y[..., None], moves.flipped)


def _swap_sides(points: Tensor, flipped: Array) -> Tensor:
    """Swap left and right landmarks of flipped clips, points (B, ..., 68, 2)."""
    order = np.where(flipped[:, None], shape.figures()["mirror"], np.arange(LANDMARKS)).astype(np.int64)
    index = torch.from_numpy(order).to(points.device)
    return points.gather(-2, index.view(len(order), *[1] * (points.ndim - 3), LANDMARKS, 1).expand_as(points))
