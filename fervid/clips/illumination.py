"""Methods of illumination normalisation, by name.

Each method works on each picture alone. Its result is multiplied by a constant, so that a usual face has a
standard deviation of some tens: `contrast` can then distinguish an empty picture from one of low contrast.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from fervid.errors import UsageError
from fervid.types import Bytes, Floats

LEVELS = 256
HALF_LEVEL = 0.5  # the rounding error of a camera

GCN_SHARE = 10.0  # variance of grey levels below which a picture does not get full contrast
NEIGHBOURHOOD = 9  # pixels: the side of the neighbourhood for local contrast

# Tan and Triggs (2010): gamma, the two widths in pixels, and the compression of extreme values.
GAMMA = 0.2
NARROW, WIDE = 1.0, 2.0
ALPHA, LIMIT = 0.1, 10.0

# Chen, Er and Wu (2006): the first seven diagonals, 35 coefficients besides the mean, are illumination.
LIGHT_DIAGONALS = 7
LOG_MEAN = float(np.log(128.0))

SMOOTHNESS = 10.0  # weight of the squared gradient of illumination against its distance from the picture

Method = Callable[[Floats], Floats]
_METHODS: dict[str, tuple[Method, float]] = {}


def method(name: str, scale: float) -> Callable[[Method], Method]:
    """Register a method (N, S, S) -> (N, S, S) with the factor that scales its result to grey levels."""

    def register(function: Method) -> Method:
        if name in _METHODS:
            raise ValueError(f"two illumination methods are called {name!r}")
        _METHODS[name] = function, scale
        return function

    return register


def names() -> tuple[str, ...]:
    """Return the names of all methods."""
    return tuple(_METHODS)


def normalise(name: str, faces: Bytes | Floats) -> Floats:
    """Return pictures (..., S, S) of grey levels 0..255 with normalised illumination; always finite."""
    if name not in _METHODS:
        raise UsageError(f"unknown illumination method {name!r}: choose one of {', '.join(_METHODS)}")
    if faces.ndim < 2 or faces.shape[-1] != faces.shape[-2]:
        raise ValueError(f"faces should be (..., S, S), got {faces.shape}")
    function, scale = _METHODS[name]
    pictures = faces.reshape(-1, *faces.shape[-2:]).astype(np.float32)
    return (np.float32(scale) * function(pictures)).astype(np.float32).reshape(faces.shape)


def contrast(faces: Bytes, illumination: str = "none") -> Floats:
    """Normalise the illumination of crops (B, L, S, S), then each window to zero mean and unit deviation."""
    picture = normalise(illumination, faces)
    mean = picture.mean(axis=(1, 2, 3), keepdims=True)
    deviation = picture.std(axis=(1, 2, 3), keepdims=True)
    return (picture - mean) / np.maximum(deviation, 1.0)


@cache
def cosines(side: int) -> Floats:
    """Return the orthonormal cosine basis, a wave per row: (S, S)."""
    order = np.arange(side)
    waves = np.cos(np.pi / side * order[:, None] * (order + 0.5)) * np.sqrt(2 / side)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


@method("none", 1.0)
def _unchanged(pictures: Floats) -> Floats:
    return pictures


@method("he", 255.0)
def _equalised(pictures: Floats) -> Floats:
    """Equalise the histogram to [0, 1]; a picture of a single level keeps it."""
    count, side, _ = pictures.shape
    levels = np.rint(pictures).clip(0, LEVELS - 1).astype(np.int64)
    bins = levels + LEVELS * np.arange(count)[:, None, None]
    histogram = np.bincount(bins.ravel(), minlength=count * LEVELS).reshape(count, LEVELS)
    below = histogram.cumsum(axis=1)  # pixels at or below each level
    least = np.take_along_axis(below, (histogram > 0).argmax(axis=1)[:, None], axis=1)
    table = (below - least) / np.maximum(side * side - least, 1)
    table = np.where(least == side * side, np.arange(LEVELS) / (LEVELS - 1), table)
    return table.astype(np.float32).ravel()[bins]


@method("linear", 255.0)
def _stretched(pictures: Floats) -> Floats:
    """Map the darkest pixel to 0 and the brightest to 1, linearly; a flat picture becomes 0."""
    low = pictures.min(axis=(1, 2), keepdims=True)
    high = pictures.max(axis=(1, 2), keepdims=True)
    return (pictures - low) / np.maximum(high - low, HALF_LEVEL)


@method("he_linear", 255.0)
def _half_and_half(pictures: Floats) -> Floats:
    """Average both: equalisation alone exaggerates local contrast (Kuo, Lai and Sarkis 2018)."""
    return (_equalised(pictures) + _stretched(pictures)) / np.float32(2)


@method("gcn", 50.0)
def _global_contrast(pictures: Floats) -> Floats:
    """Normalise to zero mean and unit deviation."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    variance = np.square(centred).mean(axis=(1, 2), keepdims=True)
    return centred / np.sqrt(GCN_SHARE + variance)


@method("local_contrast", 50.0)
def _local_contrast(pictures: Floats) -> Floats:
    """Normalise by mean and deviation of the neighbourhood; the least deviation is the picture's mean one."""
    centred = pictures - _blurred(pictures)
    deviation = np.sqrt(_blurred(np.square(centred)))
    usual = deviation.mean(axis=(1, 2), keepdims=True)
    return centred / np.maximum(np.maximum(deviation, usual), HALF_LEVEL)


@method("dog", 15.0)
def _difference_of_gaussians(pictures: Floats) -> Floats:
    """Filter as Tan and Triggs (2010); one grey level is added, since a power has infinite slope at 0."""
    lifted = (pictures + 1) ** np.float32(GAMMA)
    bands = _blurred(lifted, NARROW) - _blurred(lifted, WIDE)
    rounding = GAMMA * HALF_LEVEL / LEVELS ** (1 - GAMMA)  # half a level, where gamma is flattest
    for limit in (np.inf, LIMIT):
        size = np.minimum(np.abs(bands), limit)
        mean = np.mean(size**ALPHA, axis=(1, 2), keepdims=True) ** (1 / ALPHA)
        bands = bands / np.maximum(mean, rounding)
    return np.asarray(LIMIT * np.tanh(bands / LIMIT), np.float32)


@method("dct", 250.0)
def _without_slow_waves(pictures: Floats) -> Floats:
    """Remove the slowest cosine waves from the logarithm of the picture."""
    rows = cosines(pictures.shape[-1])[: LIGHT_DIAGONALS + 1]  # (K, S)
    order = np.arange(len(rows))
    light = (order[:, None] + order <= LIGHT_DIAGONALS).astype(np.float32)
    logarithm = np.log1p(pictures)
    slow = rows.T @ (light[: len(rows)] * (rows @ logarithm @ rows.T)) @ rows
    return logarithm - slow + np.float32(LOG_MEAN)


@method("diffusion", 250.0)
def _reflectance(pictures: Floats) -> Floats:
    """Divide the picture by its smoothed illumination (isotropic diffusion)."""
    side = pictures.shape[-1]
    waves = cosines(side)
    # The equations (1 - SMOOTHNESS * Laplacian) light = picture, with no flow across the border, are diagonal
    # in the cosine basis.
    stiffness = 2 - 2 * np.cos(np.pi * np.arange(side) / side)
    gain = (1 / (1 + SMOOTHNESS * (stiffness[:, None] + stiffness))).astype(np.float32)
    light = waves.T @ (gain * (waves @ pictures @ waves.T)) @ waves
    return (pictures + 1) / (np.maximum(light, 0) + 1)


def _blurred(pictures: Floats, width: float = 0.0) -> Floats:
    """Blur by a Gaussian; width 0 means a kernel of NEIGHBOURHOOD pixels and OpenCV's width for it."""
    kernel = (0, 0) if width else (NEIGHBOURHOOD, NEIGHBOURHOOD)
    result = np.empty_like(pictures)
    for picture, target in zip(pictures, result, strict=True):
        cv2.GaussianBlur(picture, kernel, width, dst=target, borderType=cv2.BORDER_REFLECT)
    return result
