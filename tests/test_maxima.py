"""The search for maxima returns what SciPy does, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks, peak_widths

from fervid.timeline.maxima import Doubles, Maximum, find_maxima, smooth

# Few different values make plateaus and equal maxima, many make slopes.
CURVES = st.one_of(
    arrays.arrays(np.float64, st.integers(1, 60), elements=st.integers(0, 6).map(lambda n: n / 6)),
    arrays.arrays(np.float64, st.integers(1, 200), elements=st.floats(0, 1, width=32)),
)


def scipy_maxima(values: Doubles, height: float, prominence: float, distance: float) -> list[Maximum]:
    tops, facts = find_peaks(values, height=height, prominence=prominence, distance=distance)
    bases = (facts["prominences"], facts["left_bases"], facts["right_bases"])
    _, _, lefts, rights = peak_widths(values, tops, rel_height=0.8, prominence_data=bases)
    columns = (tops.tolist(), facts["prominences"].tolist(), lefts.tolist(), rights.tolist())
    return [Maximum(*row) for row in zip(*columns, strict=True)]


@given(CURVES, st.floats(0.05, 20))
def test_smoothing_equals_scipy(values: Doubles, sigma: float) -> None:
    assert np.array_equal(smooth(values, sigma), gaussian_filter1d(values, sigma, mode="nearest"))


@given(CURVES, st.sampled_from([0, 0.25, 0.5]), st.sampled_from([0.01, 0.1, 1 / 6, 0.5]))
def test_maxima_equal_scipy(values: Doubles, height: float, prominence: float) -> None:
    padded = np.pad(values, 1, constant_values=1 / 7)
    expected = scipy_maxima(padded, height, prominence, 1)
    assert list(find_maxima(padded, height, prominence, 1, 0.8)) == expected


@given(CURVES, st.floats(1, 30))
def test_near_maxima_equal_scipy(values: Doubles, distance: float) -> None:
    padded = np.pad(smooth(values, 2.0), 1)
    tops = padded[find_peaks(padded)[0]]
    if len(set(tops.tolist())) == len(tops):  # SciPy's order of equal heights depends on the processor
        assert list(find_maxima(padded, 0.25, 0.1, distance, 0.8)) == scipy_maxima(
            padded, 0.25, 0.1, distance
        )


def test_of_equal_maxima_that_are_near_the_later_stays() -> None:
    values = np.array([0, 1, 0.5, 1, 0])
    assert [maximum.top for maximum in find_maxima(values, 0.25, 0.1, 3, 0.8)] == [3]
