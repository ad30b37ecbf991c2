"""What a predictor of landmarks gets wrong: partly the same all through a clip, partly anew in each frame."""

from __future__ import annotations

import torch
from torch import Tensor

from fervid.augment.chance import normal, sent
from fervid.augment.settings import Augmentation
from fervid.faces import shape
from fervid.types import LANDMARKS, Floats

DRAWS = 4  # numbers that a clip's errors are made of
EYES = shape.CROP / shape.CROP_EYES  # pixels of a crop per eye distance
JAW = 17  # the first landmarks: nothing marks where along the jaw they lie
MEMORY = 0.9  # of a frame's error, what the next one may keep


def wobble(settings: Augmentation, dice: Floats, length: int, device: torch.device) -> Tensor:
    """Errors in pixels (B, L, 68, 2), from draws (B, DRAWS) in [0, 1)."""
    draws = sent(dice, device)
    bias, first, *others = normal(draws[:, 0], (length + 1) * LANDMARKS * 2).chunk(length + 1, dim=1)
    memory = MEMORY * draws[:, 1:2]
    errors = [first]
    for fresh in others:
        errors.append(memory * errors[-1] + torch.sqrt(1 - memory**2) * fresh)
    noise = torch.stack(errors, dim=1) * (settings.landmark_noise * draws[:, 2]).view(-1, 1, 1)
    whole = noise + bias[:, None] * (settings.landmark_bias * draws[:, 3]).view(-1, 1, 1)
    trust = torch.full((LANDMARKS, 1), EYES, device=device)
    trust[:JAW] *= 2
    return trust * whole.view(-1, length, LANDMARKS, 2)
