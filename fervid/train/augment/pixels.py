"""Changes to the pixels of clips, in the order of scene, light, lens, sensor and file.

A change takes the clips that drew it, (n, L, S, S) in 0..255, its strength, and draws (n, DRAWS) in [0, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fervid.clips import illumination
from fervid.train.augment.chance import grain, sent

DRAWS = 8  # random numbers for each change of a clip; the last decides whether it is applied
WHITE = 255.0
LEVELS = 256

Change = Callable[[Tensor, float, Tensor], Tensor]
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    """Register a change under its name, which is also the name of its strength in the settings."""
    name = function.__name__
    if name in CHANGES:
        raise ValueError(f"two changes are called {name!r}")
    CHANGES[name] = function
    return function


def _per_clip(values: Tensor) -> Tensor:
    """Reshape one number per clip for arithmetic with pictures: (n,) -> (n, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)


def _even(values: Tensor) -> Tensor:
    """Scale draws to -1..1."""
    return 2 * values - 1


def _axis(side: int, device: torch.device) -> Tensor:
    """Return pixel centres on an axis from -1 to 1."""
    return (torch.arange(side, device=device) + 0.5) * (2 / side) - 1


def _along(angle: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Return each pixel's position along and across one direction per clip: (n, S, S) each."""
    cosine, sine = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    x, y = steps, steps[:, None]
    return cosine * x + sine * y, cosine * y - sine * x


@change
def occlusion(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Hide a tilted rectangle or ellipse, the same in all frames, by one grey, noise, or skin.

    The skin is the clip itself, upside down: with another clip's, the result would depend on the batch.
    """
    steps = _axis(pictures.shape[-1], pictures.device)
    cosine, sine = torch.cos(math.pi * dice[:, 0]), torch.sin(math.pi * dice[:, 0])
    along, across = _along(math.pi * dice[:, 0], steps)
    x, y = _even(dice[:, 1]), _even(dice[:, 2])
    sizes = strength * (0.3 + 0.7 * dice[:, 3:5])[..., None, None]
    a = (along - (cosine * x + sine * y)[:, None, None]).abs() / sizes[:, 0]
    b = (across - (cosine * y - sine * x)[:, None, None]).abs() / sizes[:, 1]
    is_round = (dice[:, 5] < 0.5)[:, None, None]
    hidden = torch.where(is_round, a * a + b * b, torch.maximum(a, b)) < 1

    kind, grey = _per_clip(dice[:, 6] * 3), _per_clip(torch.frac(dice[:, 6] * 3) * WHITE)
    noise = grey + 50 * grain(pictures, dice[:, 4])
    content = torch.where(kind < 1, grey, torch.where(kind < 2, noise, pictures.flip(-2, -1)))
    return torch.where(hidden[:, None], content, pictures)


@change
def gradient(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Darken to one side; the other side keeps its light, so that nothing is clipped to white."""
    along, across = _along(2 * math.pi * dice[:, 0], _axis(pictures.shape[-1], pictures.device))
    bend = (dice[:, 1] - 0.5)[:, None, None]  # from a valley to a ridge across the direction of the fall
    fall = along + 1 + bend * across * across
    return pictures * torch.exp(-(strength * dice[:, 2])[:, None, None] * fall)[:, None]


@change
def light(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Change exposure and tone curve: gain, offset and gamma."""
    # Half as far up as down, as white is clipped.
    gain = torch.exp(strength * (1.5 * dice[:, 0] - 1))
    gamma, offset = torch.exp(strength * _even(dice[:, 1])), 32 * strength * _even(dice[:, 2])
    exposed = (pictures * _per_clip(gain) + _per_clip(offset)).clamp_(0, WHITE)
    return WHITE * (exposed / WHITE) ** _per_clip(gamma)


@change
def contrast(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Scale the distance from the clip's mean."""
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return mean + (pictures - mean) * _per_clip(torch.exp(strength * _even(dice[:, 0])))


@change
def blur(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Blur as a lens out of focus does."""
    width = strength * dice[:, 0]
    none = torch.zeros_like(width)
    return _smeared(pictures, width, none, none, math.ceil(3 * strength))


@change
def motion(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Blur along a line, as a move while the shutter is open does."""
    length, angle = strength * dice[:, 0], math.pi * dice[:, 1]
    return _smeared(pictures, torch.zeros_like(length), length, angle, math.ceil(strength / 2) + 1)


def _smeared(pictures: Tensor, width: Tensor, length: Tensor, angle: Tensor, reach: int) -> Tensor:
    """Spread each picture along a line and by a Gaussian about it, up to `reach` pixels."""
    count, frames, side, _ = pictures.shape
    width = width.clamp_min(0.3)[:, None, None]  # a narrower kernel would fall between pixels
    along, across = _along(
        angle, torch.arange(-reach, reach + 1, device=pictures.device, dtype=torch.float32)
    )
    beyond = (along.abs() - length[:, None, None] / 2).clamp_min(0)
    kernel = torch.exp(-(beyond**2 + across**2) / (2 * width**2))
    kernel = (kernel / kernel.sum((1, 2), keepdim=True))[:, None].repeat_interleave(frames, 0)
    padded = functional.pad(pictures, [reach] * 4, mode="replicate").view(
        1, count * frames, *[side + 2 * reach] * 2
    )
    return functional.conv2d(padded, kernel, groups=count * frames).view(pictures.shape)


@change
def lowres(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Make each face smaller and as large again, as if it were small in its video."""
    side = pictures.shape[-1]
    smaller = (side * (1 - strength * dice[:, 0])).round().long().clamp_min(1)
    resize = _resizes(side, pictures.device)[smaller][:, None]  # (n, 1, S, S)
    return resize @ pictures @ resize.transpose(-1, -2)


@cache
def _resizes(side: int, device: torch.device) -> Tensor:
    """Return the matrices that resize a column of `side` pixels to n and back: (side + 1, side, side)."""
    columns = torch.eye(side)[None]
    matrices = [torch.zeros(1, side, side)]
    for n in range(1, side + 1):
        small = functional.interpolate(columns[None], size=(n, side), mode="bilinear", antialias=True)
        matrices.append(functional.interpolate(small, size=(side, side), mode="bilinear")[0])
    return torch.cat(matrices).to(device)


@change
def gaussian(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Add a sensor's noise."""
    return pictures + _per_clip(strength * dice[:, 0]) * grain(pictures, dice[:, 1])


@change
def salt_and_pepper(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Turn some pixels black or white."""
    noise = grain(pictures, dice[:, 1])
    rare = _per_clip(torch.special.erfinv(1 - strength * dice[:, 0]) * 2**0.5)
    return torch.where(noise.abs() > rare, torch.where(noise > 0, WHITE, 0.0), pictures)


@change
def speckle(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Add noise in proportion to the light."""
    return pictures * (1 + _per_clip(strength * dice[:, 0]) * grain(pictures, dice[:, 1]))


# ITU-T T.81, table K.1: the steps of luminance at quality 50.
STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
BLOCK = 8
LOWEST_QUALITY = 4.0  # at a lower quality a face is a few squares


@change
def compression(pictures: Tensor, strength: float, dice: Tensor) -> Tensor:
    """Compress as JPEG does, with blocks at any offset: in a video they do not follow the face."""
    return jpeg(pictures, 100 * (1 - strength * dice[:, 0]), (dice[:, 1:3] * BLOCK).long())


def jpeg(pictures: Tensor, quality: Tensor, offset: Tensor) -> Tensor:
    """Apply JPEG to clips (n, L, S, S) at quality (n,) in 0..100; a block's corner is at -offset."""
    side, device = pictures.shape[-1], pictures.device
    blocks = -(-(side + BLOCK - 1) // BLOCK)  # each way, for any offset
    padded = torch.arange(blocks * BLOCK, device=device)
    y, x = ((padded - offset[:, axis, None]).clamp(0, side - 1) for axis in (0, 1))  # (n, P) each
    # Indices of each block's pixels in the picture, and of the picture's pixels in the blocks.
    source = (y.view(-1, blocks, 1, BLOCK, 1) * side + x.view(-1, 1, blocks, 1, BLOCK)).flatten(1)
    pixels = torch.arange(side, device=device)
    v, u = (pixels + offset[:, axis, None] for axis in (0, 1))  # (n, S) each
    row, column = v // BLOCK * blocks * BLOCK**2 + v % BLOCK * BLOCK, u // BLOCK * BLOCK**2 + u % BLOCK
    target = (row[:, :, None] + column[:, None]).flatten(1)

    def picked(values: Tensor, index: Tensor) -> Tensor:
        return values.flatten(2).gather(2, index[:, None].expand(-1, values.shape[1], -1))

    steps, waves = _steps(quality.clamp_min(LOWEST_QUALITY)), _block_waves(device)
    cut = picked(pictures - 128, source).view(*pictures.shape[:2], -1, BLOCK**2)  # (n, L, blocks, 64)
    kept = torch.round(cut @ waves.T / steps) * steps
    return picked(kept @ waves + 128, target).view(pictures.shape)


def _steps(quality: Tensor) -> Tensor:
    """Return the coefficients' quantisation steps: (n,) -> (n, 1, 1, 64), as libjpeg scales its table."""
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    table = torch.tensor(STEPS, device=quality.device, dtype=torch.float32).flatten()
    return torch.floor((table * _per_clip(percent) + 50) / 100).clamp(1, WHITE)


@cache
def _block_waves(device: torch.device) -> Tensor:
    """Return the orthonormal cosine waves of a block, a wave per row: (64, 64)."""
    waves = illumination.cosines(BLOCK)
    return sent(np.kron(waves, waves), device)


VARIANTS = ("none", "he", "linear", "he_linear")  # methods of `illumination`


def in_a_variant(pictures: Tensor, which: Tensor) -> Tensor:
    """Return each clip raw, equalised, stretched, or the mean of both (Kuo, Lai and Sarkis, 2018).

    `which` are draws (n,) in [0, 1), which choose one of VARIANTS.
    """
    kind = (which * 4).long()
    result = pictures.clone()
    for share, value in ((1.0, 1), (0.0, 2), (0.5, 3)):
        rows = (kind == value).nonzero()[:, 0]
        if len(rows):
            chosen = pictures[rows]
            mixed = torch.zeros_like(chosen)
            if share > 0:
                mixed += share * _equalised(chosen)
            if share < 1:
                mixed += (1 - share) * _stretched(chosen)
            result[rows] = mixed
    return result


def _equalised(pictures: Tensor) -> Tensor:
    side = pictures.shape[-1]
    levels = pictures.round().clamp(0, LEVELS - 1).long().flatten(2)  # (n, L, S * S)
    counts = torch.zeros(*levels.shape[:2], LEVELS, device=pictures.device)
    counts = counts.scatter_add_(2, levels, torch.ones_like(levels, dtype=torch.float32))
    below = counts.cumsum(2)
    least = below.gather(2, levels.amin(2, keepdim=True))
    table = (below - least) / (side * side - least).clamp_min(1)
    plain = torch.arange(LEVELS, device=pictures.device) / (LEVELS - 1)
    table = torch.where(least == side * side, plain, table)
    return WHITE * table.gather(2, levels).view(pictures.shape)


def _stretched(pictures: Tensor) -> Tensor:
    low, high = pictures.amin((2, 3), keepdim=True), pictures.amax((2, 3), keepdim=True)
    return WHITE * ((pictures - low) / (high - low).clamp_min(0.5))
