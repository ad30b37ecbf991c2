"""Illumination normalisation by name: what the light did to a picture is taken out of it.

Each method works on each picture alone. Its result is scaled, by a number that is the same for every
picture, so that a usual face deviates from its mean by tens: those who bring clips to unit deviation can
then tell an empty picture from a low one, whatever the method.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from fervid.errors import UsageError
from fervid.types import Bytes, Floats

LEVELS = 256
HALF_LEVEL = 0.5  # what differs by less than this was rounded away by the camera

GCN_SHARE = 10.0  # variance of grey levels below which a picture is not brought to full contrast
NEIGHBOURHOOD = 9  # pixels: the side of what local contrast compares with

# Tan and Triggs (2010): gamma, the two widths in pixels, and how extreme values are tamed.
GAMMA = 0.2
NARROW, WIDE = 1.0, 2.0
ALPHA, LIMIT = 0.1, 10.0

# Chen, Er and Wu (2006): the coefficients on the first seven diagonals, 35 besides the mean, are light.
LIGHT_DIAGONALS = 7
LOG_MEAN = float(np.log(128.0))

SMOOTHNESS = 10.0  # weight of the light's squared gradient against its distance from the picture

Method = Callable[[Floats], Floats]
_METHODS: dict[str, tuple[Method, float]] = {}


def method(name: str, scale: float) -> Callable[[Method], Method]:
    """Register a method (N, S, S) -> (N, S, S), and what brings its unit to about that of grey levels."""

    def register(function: Method) -> Method:
        if name in _METHODS:
            raise ValueError(f"two illumination methods are called {name!r}")
        _METHODS[name] = function, scale
        return function

    return register


def names() -> tuple[str, ...]:
    """Every method there is."""
    return tuple(_METHODS)


def normalise(name: str, faces: Bytes | Floats) -> Floats:
    """Pictures (..., S, S) in grey levels 0..255 without their light, finite whatever they hold."""
    if name not in _METHODS:
        raise UsageError(f"unknown illumination method {name!r}; there are {', '.join(_METHODS)}")
    if faces.ndim < 2 or faces.shape[-1] != faces.shape[-2]:
        raise ValueError(f"faces should be (..., S, S), got {faces.shape}")
    function, scale = _METHODS[name]
    pictures = faces.reshape(-1, *faces.shape[-2:]).astype(np.float32)
    return (np.float32(scale) * function(pictures)).astype(np.float32).reshape(faces.shape)


def contrast(faces: Bytes, light: str = "none") -> Floats:
    """Return crops (B, L, S, S) at zero mean and unit deviation per window, whatever light or range they had.

    `light` names the normalisation of illumination that comes before.
    """
    picture = normalise(light, faces)
    mean = picture.mean(axis=(1, 2, 3), keepdims=True)
    deviation = picture.std(axis=(1, 2, 3), keepdims=True)
    return (picture - mean) / np.maximum(deviation, 1.0)


@cache
def cosines(side: int) -> Floats:
    """The orthonormal cosine basis, a wave per row: (S, S)."""
    order = np.arange(side)
    waves = np.cos(np.pi / side * order[:, None] * (order + 0.5)) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


@method("none", 1.0)
def _as_it_is(pictures: Floats) -> Floats:
    return pictures


@method("he", 255.0)
def _equalised(pictures: Floats) -> Floats:
    """Histogram equalisation to [0, 1]; a picture of one level keeps it."""
    count, side, _ = pictures.shape
    levels = np.rint(pictures).clip(0, LEVELS - 1).astype(np.int64)
    place = levels + LEVELS * np.arange(count)[:, None, None]
    histogram = np.bincount(place.ravel(), minlength=count * LEVELS).reshape(count, LEVELS)
    below = histogram.cumsum(axis=1)  # pixels at each level or under it
    least = np.take_along_axis(below, (histogram > 0).argmax(axis=1)[:, None], axis=1)
    table = (below - least) / np.maximum(side * side - least, 1)
    table = np.where(least == side * side, np.arange(LEVELS) / (LEVELS - 1), table)
    return table.astype(np.float32).ravel()[place]


@method("linear", 255.0)
def _stretched(pictures: Floats) -> Floats:
    """Linear mapping of the darkest pixel to 0 and the brightest to 1; a flat picture becomes 0."""
    low = pictures.min(axis=(1, 2), keepdims=True)
    high = pictures.max(axis=(1, 2), keepdims=True)
    return (pictures - low) / np.maximum(high - low, HALF_LEVEL)


@method("he_linear", 255.0)
def _half_and_half(pictures: Floats) -> Floats:
    """Kuo, Lai and Sarkis (2018): equalisation overdoes local contrast, half of it does not."""
    return (_equalised(pictures) + _stretched(pictures)) / np.float32(2)


@method("gcn", 50.0)
def _global_contrast(pictures: Floats) -> Floats:
    """Zero mean and unit deviation."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    variance = np.square(centred).mean(axis=(1, 2), keepdims=True)
    return centred / np.sqrt(GCN_SHARE + variance)


@method("local_contrast", 50.0)
def _local_contrast(pictures: Floats) -> Floats:
    """Distance from the neighbourhood's mean in its deviations, which count as the picture's at least."""
    centred = pictures - _blurred(pictures)
    deviation = np.sqrt(_blurred(np.square(centred)))
    usual = deviation.mean(axis=(1, 2), keepdims=True)
    return centred / np.maximum(np.maximum(deviation, usual), HALF_LEVEL)


@method("dog", 15.0)
def _difference_of_gaussians(pictures: Floats) -> Floats:
    """Tan and Triggs (2010); one grey level is added, since the slope of a power is endless at black."""
    lifted = (pictures + 1) ** np.float32(GAMMA)
    bands = _blurred(lifted, NARROW) - _blurred(lifted, WIDE)
    rounding = GAMMA * HALF_LEVEL / LEVELS ** (1 - GAMMA)  # half a level, where it counts the least
    for limit in (np.inf, LIMIT):
        size = np.minimum(np.abs(bands), limit)
        mean = np.mean(size**ALPHA, axis=(1, 2), keepdims=True) ** (1 / ALPHA)
        bands = bands / np.maximum(mean, rounding)
    return np.asarray(LIMIT * np.tanh(bands / LIMIT), np.float32)


@method("dct", 250.0)
def _without_slow_waves(pictures: Floats) -> Floats:
    """The logarithm without its slowest cosine waves, in the logarithm's domain."""
    rows = cosines(pictures.shape[-1])[: LIGHT_DIAGONALS + 1]  # (K, S)
    order = np.arange(len(rows))
    light = (order[:, None] + order <= LIGHT_DIAGONALS).astype(np.float32)
    logarithm = np.log1p(pictures)
    slow = rows.T @ (light[: len(rows)] * (rows @ logarithm @ rows.T)) @ rows
    return logarithm - slow + np.float32(LOG_MEAN)


@method("diffusion", 250.0)
def _reflectance(pictures: Floats) -> Floats:
    """The picture over the smooth light nearest to it (isotropic diffusion), in shares of that light."""
    side = pictures.shape[-1]
    waves = cosines(side)
    # The equations of the light, (1 - SMOOTHNESS * Laplacian) light = picture with nothing flowing over the
    # border, are diagonal in the cosine basis.
    stiffness = 2 - 2 * np.cos(np.pi * np.arange(side) / side)
    gain = (1 / (1 + SMOOTHNESS * (stiffness[:, None] + stiffness))).astype(np.float32)
    light = waves.T @ (gain * (waves @ pictures @ waves.T)) @ waves
    return (pictures + 1) / (np.maximum(light, 0) + 1)


def _blurred(pictures: Floats, width: float = 0.0) -> Floats:
    """Gaussian means; width 0 takes NEIGHBOURHOOD pixels and the deviation that goes with them."""
    kernel = (0, 0) if width else (NEIGHBOURHOOD, NEIGHBOURHOOD)
    result = np.empty_like(pictures)
    for picture, target in zip(pictures, result, strict=True):
        cv2.GaussianBlur(picture, kernel, width, dst=target, borderType=cv2.BORDER_REFLECT)
    return result
