"""Errors of a landmark predictor: one part is constant over a clip, the other changes by frame."""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.faces import shape
from fervid.train.augment.chance import normal, sent
from fervid.train.augment.settings import Augmentation
from fervid.types import LANDMARKS, Floats

DRAWS = 4  # random numbers for a clip's errors
EYES = shape.CROP / shape.CROP_EYES  # pixels of a crop per eye distance
JAW = 17  # the first landmarks: their position along the jaw is not well defined
MEMORY = 0.9  # greatest share of a frame's error that the next frame keeps


def wobble(settings: Augmentation, dice: Floats, length: int, device: torch.device) -> Tensor:
    """Return errors in pixels (B, L, 68, 2), from draws (B, DRAWS) in [0, 1)."""
    draws = sent(dice, device)
    bias, first, *others = normal(draws[:, 0], (length + 1) * LANDMARKS * 2).chunk(length + 1, dim=1)
    memory = MEMORY * draws[:, 1:2]
    errors = [first]
    for fresh in others:
        errors.append(memory * errors[-1] + torch.sqrt(1 - memory**2) * fresh)
    noise = torch.stack(errors, dim=1) * (settings.landmark_noise * draws[:, 2]).view(-1, 1, 1)
    whole = noise + bias[:, None] * (settings.landmark_bias * draws[:, 3]).view(-1, 1, 1)
    size = torch.full((LANDMARKS, 1), EYES, device=device)
    size[:JAW] *= 2
    return size * whole.view(-1, length, LANDMARKS, 2)
