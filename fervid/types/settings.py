"""The settings of an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Settings:
    """The options that change the result; they are part of every cache key and of the timeline."""

    start: Fraction | None = None  # seconds from the first frame
    end: Fraction | None = None
    sample_fps: Fraction | None = None  # None: every frame
    faces: str = "all"  # or "largest": only the largest face of each frame
    min_face: float = 0.1  # share of the frame's height
    detector: str = "yunet"
    landmarks: str = "open"  # the predictor of the 68 points
    min_segment: float = 0.3  # seconds
    people: bool = True  # whether persons are identified across tracks

    def as_json(self) -> dict[str, object]:
        """Return the settings as JSON values; fractions become numbers."""
        return {k: float(v) if isinstance(v, Fraction) else v for k, v in vars(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings of JSON values, with exact fractions; raise TypeError for unknown ones."""
        exact = {
            name: Fraction(values[name]).limit_denominator(1_000_000)
            for name, field in cls.__dataclass_fields__.items()
            if field.type == "Fraction | None" and values.get(name) is not None
        }
        return cls(**{**values, **exact})
