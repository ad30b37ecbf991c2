"""How a timeline's nouns look in JSON: the one place that knows, for every format made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from fervid.files import encodable
from fervid.types import Array, Curve, Floats, Ints, ModelInfo, Peak, Person, Segment, Tally, Timeline, Video

SCHEMA_VERSION = "1.1"
NOTE = (
    "Scores describe visible facial expression as a model reads it from the picture. "
    "They do not say what a person feels, thinks or intends."
)
DECIMALS = 6  # of seconds, scores and all that follows from them
BOX_DECIMALS = 2  # of a pixel

Object = dict[str, Any]


@dataclass(frozen=True)
class Clock:
    """What turns pts into seconds from the video's first frame."""

    time_base: Fraction
    start: int

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> Clock:
        """The clock that a timeline's `source` tells of."""
        time_base = Fraction(source["time_base"])
        if time_base <= 0:
            raise ValueError(f"a time base should be positive, got {time_base}")
        return cls(time_base, int(source["start"]["pts"]))

    def seconds(self, pts: int) -> float:
        return number((int(pts) - self.start) * self.time_base)

    def times(self, pts: Ints) -> Array:
        """Seconds of many pts, (N,) f64."""
        return (pts - self.start) * self.time_base.numerator / self.time_base.denominator

    def time(self, pts: int) -> Object:
        return {"seconds": self.seconds(pts), "pts": int(pts)}


def number(value: float | Fraction | np.floating[Any], decimals: int = DECIMALS) -> float:
    """A number as text holds it: rounded, and never a negative zero."""
    return round(float(value), decimals) + 0.0


def scores(values: Array, labels: Sequence[str]) -> Object:
    """Scores (C,) by the emotion's name."""
    return {label: number(value) for label, value in zip(labels, values, strict=True)}


def source(video: Video) -> Object:
    """What is known of a video before any of its frames is decoded."""
    clock = Clock(video.time_base, video.start)
    return {
        "name": encodable(video.name),
        "sha256": video.sha256,
        "container": video.container,
        "codec": video.codec,
        "time_base": f"{video.time_base.numerator}/{video.time_base.denominator}",
        "start": clock.time(video.start),
        "duration": {"seconds": number(video.duration * video.time_base), "pts": int(video.duration)},
        "clock_offset": number(video.clock_offset),
        "rate": None if video.rate is None else f"{video.rate.numerator}/{video.rate.denominator}",
        "variable_rate": video.has_variable_rate,
        "timecode": video.timecode,
        "reel": None if video.reel is None else encodable(video.reel),
        "audio_channels": video.audio_channels,
        "size": {"width": int(video.width), "height": int(video.height)},
        "rotation": int(video.rotation),
        "frames": {"planned": len(video.pts)},
    }


def counts(video: Video, tally: Tally) -> Object:
    """How the video's frames fared."""
    return {
        "planned": len(video.pts),
        "decoded": tally.decoded,
        "with_faces": tally.with_faces,
        "undecodable": tally.undecodable,
    }


def model(info: ModelInfo) -> Object:
    return {
        "name": info.name,
        "sha256": info.sha256,
        "trained": info.trained,
        "labels": list(info.labels),
        "streams": list(info.streams),
        "licences": dict(info.licences),
    }


def shots(timeline: Timeline) -> list[Object]:
    """Each shot from its first frame to the next one's, the last to where the analysis ended."""
    video, starts = timeline.video, timeline.shots.tolist()
    clock = Clock(video.time_base, video.start)
    stop = timeline.settings.get("end")
    end = video.end if stop is None else min(video.end, video.ticks(float(str(stop))))
    ends = [*starts, end][1:]
    return [
        {"start": clock.time(start), "end": clock.time(until)}
        for start, until in zip(starts, ends, strict=True)
    ]


def people(timeline: Timeline) -> list[Object]:
    clock = Clock(timeline.video.time_base, timeline.video.start)
    return [person(one, clock) for one in timeline.people]


def person(one: Person, clock: Clock) -> Object:
    """Who it is, and where to look for a picture; what the face is known by stands nowhere."""
    return {
        "id": one.id,
        "name": one.name,
        "tracks": list(one.tracks),
        "on_screen": {"seconds": number(one.ticks * clock.time_base), "pts": one.ticks},
        "portrait": {"time": clock.time(one.pts), "box": box(one.box)},
    }


def box(values: Floats) -> Object:
    """A box (4,) in pixels."""
    names = ("x", "y", "width", "height")
    return {name: number(value, BOX_DECIMALS) for name, value in zip(names, values, strict=True)}


def names(people: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What to call each person, by id: the name that was given, else the id."""
    return {str(person["id"]): str(person.get("name") or person["id"]) for person in people}


def track(curve: Curve, clock: Clock) -> Object:
    """One track without its curve."""
    return {
        "id": curve.track,
        "person": curve.person,
        "start": clock.time(curve.start),
        "end": clock.time(curve.end),
        "frames": curve.frames,
        "box": box(curve.hull),
        "quality": number(curve.quality.mean(dtype=np.float64)) if len(curve.quality) else None,
    }


def whole_curve(curve: Curve, clock: Clock, labels: Sequence[str]) -> Object:
    """A track's curve, as arrays of one length."""
    return {
        "pts": curve.pts,
        "seconds": clock.times(curve.pts),
        "scores": {label: curve.scores[:, column] for column, label in enumerate(labels)},
        "valence": curve.valence,
        "arousal": curve.arousal,
        "intensity": curve.intensity,
        "quality": curve.quality,
    }


def segment(stretch: Segment, clock: Clock, labels: Sequence[str]) -> Object:
    return {
        "track": stretch.track,
        "person": stretch.person,
        "start": clock.time(stretch.start),
        "end": clock.time(stretch.end),
        "emotion": stretch.emotion,
        "scores": scores(stretch.scores, labels),
        "confidence": number(stretch.confidence),
        "valence": number(stretch.valence),
        "arousal": number(stretch.arousal),
        "intensity": number(stretch.intensity),
        "frames": stretch.frames,
    }


def peak(moment: Peak, clock: Clock) -> Object:
    return {
        "track": moment.track,
        "person": moment.person,
        "emotion": moment.emotion,
        "onset": clock.time(moment.onset),
        "apex": clock.time(moment.apex),
        "offset": clock.time(moment.offset),
        "score": number(moment.score),
        "prominence": number(moment.prominence),
        "valence": number(moment.valence),
        "arousal": number(moment.arousal),
        "intensity": number(moment.intensity),
    }
