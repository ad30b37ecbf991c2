"""A timeline: the scores of tracks, their segments and peaks, and the people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fervid.types.arrays import Floats, Ints, check
from fervid.types.video import Source

CERTAIN = 0.5  # a segment of lower confidence is uncertain: all other labels together are likelier
PERSON = re.compile(r"P[0-9]+")  # the id of a person


@dataclass(frozen=True, eq=False)
class Curve:
    """The scores of a track over time, a row per window, with the track's range of time and position."""

    track: int
    start: int  # half-open [start, end) in pts
    end: int
    frames: int
    hull: Floats  # (4,) the smallest box around all boxes of the track
    pts: Ints  # (N,) window centres
    scores: Floats  # (N, C) calibrated, rows sum to 1
    quality: Floats  # (N,)
    valence: Floats  # (N,) -1 .. 1
    arousal: Floats  # (N,) -1 .. 1
    intensity: Floats  # (N,) 1 - neutral
    person: str | None = None
    mean_quality: float | None = None  # read from a timeline; None: the mean of `quality`
    units: Mapping[str, Floats] = field(default_factory=dict)  # action unit -> (N,) 0 .. 5, if measured
    blinks: Ints | None = None  # (B,) pts; None: not counted
    motion: Floats | None = None  # (N,) eye distances from the neutral face; not in files
    straightness: Floats | None = None  # (N,) how far the face gets of how far it moves; not in files

    def __post_init__(self) -> None:
        count = len(self.pts)
        check("hull", self.hull, (4,), np.float32)
        check("pts", self.pts, (None,), np.int64)
        check("scores", self.scores, (count, None), np.float32)
        names = ("quality", "valence", "arousal", "intensity", "motion", "straightness")
        for name, values in {**{name: getattr(self, name) for name in names}, **self.units}.items():
            if values is not None:
                check(name, values, (count,), np.float32)


@dataclass(frozen=True)
class Phases:
    """The moments of an expression, in pts: it rises from onset to apex, holds to release, ends at offset."""

    onset: int
    apex: int
    release: int
    offset: int

    def __post_init__(self) -> None:
        if not self.onset <= self.apex <= self.release <= self.offset:
            raise ValueError(f"the moments of an expression should be in order, got {self}")


@dataclass(frozen=True, eq=False)
class Segment:
    """A stretch [start, end) of a track in which the face shows one emotion."""

    track: int
    start: int
    end: int
    emotion: str
    scores: Floats  # (C,) means over the stretch
    confidence: float
    valence: float
    arousal: float
    intensity: float
    frames: int
    person: str | None = None
    phases: Phases | None = None  # of an expression, if they were measured

    @property
    def is_uncertain(self) -> bool:
        """Whether its confidence is below CERTAIN, rounded as in files: a timeline read back agrees."""
        return round(self.confidence, 6) < CERTAIN


@dataclass(frozen=True)
class Peak:
    """A moment at which one emotion of a track stands out."""

    track: int
    emotion: str
    onset: int
    apex: int
    offset: int
    score: float
    prominence: float
    valence: float
    arousal: float
    intensity: float
    person: str | None = None


@dataclass(frozen=True, eq=False)
class Person:
    """A person and all their tracks, in every shot."""

    id: str  # P1, P2, ...: P1 is on screen longest
    name: str | None  # None unless the user gave one
    tracks: tuple[int, ...]  # ascending
    ticks: int  # time on screen
    pts: int  # the frame that shows the face best
    box: Floats  # (4,) of the face in that frame

    def __post_init__(self) -> None:
        check("box", self.box, (4,), np.float32)


@dataclass(frozen=True)
class ModelInfo:
    """The facts about a model that a timeline contains."""

    name: str
    sha256: str
    trained: bool
    labels: tuple[str, ...]
    streams: tuple[str, ...]
    licences: Mapping[str, str]  # part of the model -> terms


@dataclass(frozen=True)
class Tally:
    """Counts of the decoded frames of a video or a part of it; tallies add up."""

    decoded: int = 0
    with_faces: int = 0
    undecodable: int = 0
    complete: bool = True  # False if the file ends early

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.decoded + other.decoded,
            self.with_faces + other.with_faces,
            self.undecodable + other.undecodable,
            self.complete and other.complete,
        )


@dataclass(frozen=True, eq=False)
class Timeline:
    """The result of analysing one video, just made or read from a file."""

    source: Source
    model: ModelInfo
    settings: Mapping[str, Any]  # `Settings` as JSON
    tally: Tally
    shots: Ints  # (K,) pts of each shot's first frame, ascending
    curves: tuple[Curve, ...]
    segments: tuple[Segment, ...]
    peaks: tuple[Peak, ...]
    people: tuple[Person, ...] = ()
    has_curves: bool = True  # False: read from JSON Lines, which has no rows of curves

    @property
    def labels(self) -> tuple[str, ...]:
        """The emotions, in the order of the columns of scores."""
        return self.model.labels

    @property
    def names(self) -> dict[str, str]:
        """The name of each person by id, or the id where the user gave no name."""
        return {person.id: person.name or person.id for person in self.people}

    @property
    def end(self) -> int:
        """The pts at which the analysis ended."""
        end = self.settings.get("end")
        return self.source.end if end is None else min(self.source.end, self.source.ticks(float(end)))
