"""Arrays: their types, and a check of their shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def check(name: str, array: Array, shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise ValueError if an array has another shape or type; None in `shape` stands for any length."""
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ValueError(f"{name} should be {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")
