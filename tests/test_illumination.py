"""Every method against a plain one, on pictures that are hard, and under a light that it should take out."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy import fft, ndimage, sparse
from scipy.sparse.linalg import spsolve

from fervid.clips import illumination
from fervid.errors import UsageError
from fervid.types import Bytes, Floats

SIDE = 64
AGAINST_LIGHT = ("local_contrast", "dog", "dct", "diffusion")  # the others keep its gradient


def pictures(count: int = 6, side: int = SIDE) -> Bytes:
    """Return pictures with shapes and fine texture of many levels."""
    random = np.random.default_rng(5)
    coarse = ndimage.gaussian_filter(random.normal(size=(count, side, side)), (0, 4, 4))
    fine = ndimage.gaussian_filter(random.normal(size=(count, side, side)), (0, 1, 1))
    mixed = coarse / coarse.std() + 0.5 * fine / fine.std()
    return np.clip(128 + 40 * mixed, 0, 255).astype(np.uint8)


def light(side: int = SIDE) -> npt.NDArray[np.float64]:
    """Return a light that is six times as strong in one corner as in the opposite one."""
    steps = np.linspace(-1, 1, side)
    return np.exp(0.6 * steps + 0.3 * steps[:, None] - 0.9)


def standard(values: Floats) -> npt.NDArray[np.float64]:
    """Return each picture at zero mean and unit deviation."""
    wide = values.astype(np.float64)
    centred = wide - wide.mean((1, 2), keepdims=True)
    return np.asarray(centred / centred.std((1, 2), keepdims=True))


@pytest.mark.parametrize("name", illumination.names())
def test_a_result_is_finite_whatever_the_picture(name: str) -> None:
    flat = [np.full((SIDE, SIDE), level, np.uint8) for level in (0, 1, 128, 255)]
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    dot = np.zeros((SIDE, SIDE), np.uint8)
    dot[20, 30] = 255
    result = illumination.normalise(name, np.stack([*flat, noise, dot, 255 - dot]))
    assert result.dtype == np.float32 and np.isfinite(result).all()
    assert (result[:4].std((1, 2)) < 0.1).all(), "an empty picture stays empty: nothing is made of rounding"
    assert (result[4:].std((1, 2)) > 2).all(), "and one that holds something does not become empty"


@pytest.mark.parametrize("name", illumination.names())
def test_a_picture_does_not_depend_on_the_others(name: str) -> None:
    faces = pictures(6)
    kept = faces.copy()
    together = illumination.normalise(name, faces.reshape(2, 3, SIDE, SIDE))
    assert together.shape == (2, 3, SIDE, SIDE)
    alone = np.stack([illumination.normalise(name, face) for face in faces])
    assert np.array_equal(together.reshape(6, SIDE, SIDE), alone)
    assert np.array_equal(illumination.normalise(name, faces), alone)
    assert np.array_equal(faces, kept)
    assert illumination.normalise(name, faces[:0]).shape == (0, SIDE, SIDE)


@pytest.mark.parametrize("name", illumination.names())
def test_a_usual_picture_deviates_by_tens(name: str) -> None:
    deviation = illumination.normalise(name, pictures()).std((1, 2))
    assert (deviation > 10).all() and (deviation < 200).all()


@pytest.mark.parametrize("name", AGAINST_LIGHT)
def test_a_light_from_one_side_goes(name: str) -> None:
    faces = pictures().astype(np.float32)
    lit = (faces * light()).astype(np.float32)

    def left(method: str) -> float:
        plain, under_it = (standard(illumination.normalise(method, each)) for each in (faces, lit))
        return float(np.sqrt(np.square(plain - under_it).mean()))

    assert left(name) < 0.35 * left("none")


def test_none_changes_nothing() -> None:
    assert np.array_equal(illumination.normalise("none", pictures()), pictures())


def test_equalisation_is_that_of_opencv_and_flat() -> None:
    faces = pictures()
    result = illumination.normalise("he", faces)
    for face, equalised in zip(faces, result, strict=True):
        assert np.abs(equalised - cv2.equalizeHist(face)).max() < 1
        shares = [(equalised <= level).mean() for level in range(0, 256, 16)]
        assert np.abs(shares - np.arange(0, 256, 16) / 255).max() < 0.03
    again = illumination.normalise("he", result)
    assert np.abs(again - result).max() < 2


def test_stretching_takes_the_whole_range_and_stops_there() -> None:
    result = illumination.normalise("linear", pictures() // 3 + 40)
    assert (result.min((1, 2)) == 0).all() and (result.max((1, 2)) == 255).all()
    assert illumination.normalise("linear", result) == pytest.approx(result, abs=1e-4)


def test_half_and_half_is_the_mean_of_both() -> None:
    both = [illumination.normalise(name, pictures()) for name in ("he", "linear")]
    assert illumination.normalise("he_linear", pictures()) == pytest.approx(np.mean(both, axis=0), abs=1e-3)


def test_global_contrast_has_its_moments() -> None:
    faces = np.concatenate([pictures(), pictures() // 8])
    result = illumination.normalise("gcn", faces) / 50
    variance = faces.astype(np.float64).var((1, 2))
    assert result.mean((1, 2)) == pytest.approx(0, abs=1e-4)
    assert result.var((1, 2)) == pytest.approx(variance / (variance + 10), rel=1e-3)


def test_local_contrast_is_that_of_a_plain_loop() -> None:
    face = pictures(1, 20)[0].astype(np.float64)
    weights = cv2.getGaussianKernel(9, 0) @ cv2.getGaussianKernel(9, 0).T

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        parts = np.lib.stride_tricks.sliding_window_view(np.pad(values, 4, mode="symmetric"), (9, 9))
        return np.asarray((parts * weights).sum((2, 3)))

    centred = face - mean(face)
    deviation = np.sqrt(mean(centred**2))
    wanted = 50 * centred / np.maximum(deviation, deviation.mean())
    assert illumination.normalise("local_contrast", face.astype(np.uint8)) == pytest.approx(wanted, abs=0.01)


def test_difference_of_gaussians_is_that_of_a_plain_one() -> None:
    face = pictures(1)[0]
    powers = (face.astype(np.float64) + 1) ** 0.2
    bands = ndimage.gaussian_filter(powers, 1.0) - ndimage.gaussian_filter(powers, 2.0)
    bands /= np.mean(np.abs(bands) ** 0.1) ** 10
    bands /= np.mean(np.minimum(np.abs(bands), 10) ** 0.1) ** 10
    wanted = 15 * 10 * np.tanh(bands / 10)
    assert illumination.normalise("dog", face) == pytest.approx(wanted, abs=0.1)


def test_slow_cosine_waves_go_and_nothing_else() -> None:
    face = pictures(1)[0]
    waves = fft.dctn(np.log1p(face.astype(np.float64)), norm="ortho")
    for row in range(8):
        waves[row, : 8 - row] = 0
    waves[0, 0] = np.log(128) * SIDE
    wanted = 250 * fft.idctn(waves, norm="ortho")
    assert illumination.normalise("dct", face) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("side", [16, 33])
def test_diffusion_solves_its_equations(side: int) -> None:
    face = pictures(1, side)[0]
    step = sparse.diags([-np.ones(side - 1), np.ones(side - 1)], [0, 1], (side - 1, side))
    second, same = step.T @ step, sparse.identity(side)
    along = sparse.kron(same, second) + sparse.kron(second, same)
    equations = sparse.identity(side * side) + 10 * along
    smooth = spsolve(sparse.csc_matrix(equations), face.ravel().astype(np.float64)).reshape(side, side)
    wanted = 250 * (face + 1.0) / (smooth + 1)
    assert illumination.normalise("diffusion", face) == pytest.approx(wanted, rel=1e-4)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="choose one of none, he, linear"):
        illumination.normalise("candle", pictures())
    with pytest.raises(ValueError, match="faces should be"):
        illumination.normalise("he", pictures()[:, 3:])
    with pytest.raises(ValueError, match="two illumination methods"):
        illumination.method("he", 1.0)(lambda faces: faces)
