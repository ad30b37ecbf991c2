"""The data types of datasets: a labelled face, where its pixels come from, and its crops over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from fervid.types import LANDMARKS, Bytes, Floats, Ints, check


@dataclass(frozen=True)
class OnDisk:
    """The file of a sample: a video, a picture or a folder of pictures, or a part of one."""

    path: str
    start: Fraction | None = None  # seconds, for a part of a video
    end: Fraction | None = None
    frames: tuple[int, int] | None = None  # half-open range of a folder's pictures
    rate: Fraction | None = None  # pictures per second of a folder of them
    share: tuple[Fraction, Fraction] | None = None  # a part of the frames, if their number is unknown
    box: tuple[int, int, int, int] | None = None  # left, top, width, height of the face in a picture

    def __post_init__(self) -> None:
        if self.share is not None and not 0 <= self.share[0] < self.share[1] <= 1:
            raise ValueError(f"the share of {self.path} should be within 0 and 1, got {self.share}")
        if self.box is not None and min(self.box[2:]) < 1:
            raise ValueError(f"the box in {self.path} should have pixels, got {self.box}")


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory, for datasets that store pixels in a table."""

    luma: Bytes  # (H, W)
    motion: str = ""  # the motion that `synth` animates it with; empty: none
    rest: Bytes | None = None  # (H, W), a neutral picture of the same person, where the motion begins

    def __post_init__(self) -> None:
        check("luma", self.luma, (None, None), np.uint8)
        if self.rest is not None:
            check("rest", self.rest, (None, None), np.uint8)


@dataclass(frozen=True)
class Drawn:
    """A face that `synth` draws."""

    name: str  # which drawing, as `synth` names it


@dataclass(frozen=True, eq=False)
class Sample:
    """One labelled face of a dataset: its emotion, its person, and where its pixels come from."""

    name: str  # unique within the dataset and the same on every machine, so never an absolute path
    label: str
    pixels: OnDisk | Picture | Drawn
    votes: Mapping[str, float] = field(default_factory=dict)  # label -> share; empty: all for `label`
    subject: str | None = None  # the person; None: unknown
    split: str | None = None  # the part of the dataset, by the dataset's own name
    origin: str = ""  # the dataset, when several are read together
    affect: tuple[float, float] | None = None  # annotated valence and arousal, -1 .. 1
    columns: Mapping[str, str] = field(default_factory=dict)  # other columns of a table, such as age

    def __post_init__(self) -> None:
        if self.votes and abs(sum(self.votes.values()) - 1) > 1e-6:
            raise ValueError(f"the votes of sample {self.name} should sum to 1, got {self.votes}")


@dataclass(frozen=True, eq=False)
class Strip:
    """The face of a sample over time: crops aligned as in analysis, with a margin for augmentation."""

    time_base: Fraction
    pts: Ints  # (N,) strictly ascending; (0,) if no face was found
    faces: Bytes  # (N, M, M) aligned crops
    landmarks: Floats  # (N, 68, 2) in the pixels of the crops
    quality: Floats | None = None  # (N,) 0 unreadable .. 1 good; None: all good

    def __post_init__(self) -> None:
        count = len(self.pts)
        if self.quality is None:
            object.__setattr__(self, "quality", np.ones(count, np.float32))
        assert self.quality is not None
        check("quality", self.quality, (count,), np.float32)
        check("pts", self.pts, (None,), np.int64)
        side = self.faces.shape[-1]
        check("faces", self.faces, (count, side, side), np.uint8)
        check("landmarks", self.landmarks, (count, LANDMARKS, 2), np.float32)
        if (np.diff(self.pts) <= 0).any():
            raise ValueError("a strip's pts should be strictly ascending")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def start(self) -> int:
        """The pts of the first frame."""
        return int(self.pts[0]) if len(self.pts) else 0
