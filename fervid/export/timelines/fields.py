"""The fields of a timeline as JSON values; other formats take their numbers and times from here, too."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from fervid.errors import InputError
from fervid.files import encodable
from fervid.types import (
    Array,
    Clock,
    Curve,
    Floats,
    Ints,
    ModelInfo,
    Peak,
    Person,
    Phases,
    Segment,
    Source,
    Timeline,
)

SCHEMA_VERSION = "1.3"
PHASES = ("onset", "apex", "release", "offset")
NOTE = (
    "Scores describe visible facial expression as a model reads it from the picture. "
    "They do not say what a person feels, thinks or intends."
)
DECIMALS = 6  # of seconds and scores
BOX_DECIMALS = 2  # of a pixel

Object = dict[str, Any]


def seconds(clock: Clock, pts: int) -> float:
    """Return the seconds from the video's first frame to `pts`, rounded as in JSON."""
    return number((int(pts) - clock.start) * clock.time_base)


def times(clock: Clock, pts: Ints) -> Array:
    """Return the seconds (N,) float64 from the video's first frame to each of `pts`."""
    return (pts - clock.start) * clock.time_base.numerator / clock.time_base.denominator


def time(clock: Clock, pts: int) -> Object:
    return {"seconds": seconds(clock, pts), "pts": int(pts)}


def clock_offset(source: Source) -> Fraction:
    """Return the seconds by which a player's clock is ahead, rounded as in JSON."""
    return Fraction(str(number(source.clock_offset)))


def number(value: float | Fraction | np.floating[Any], decimals: int = DECIMALS) -> float:
    """Return the number rounded for output, never a negative zero."""
    return round(float(value), decimals) + 0.0


def scores(values: Array, labels: Sequence[str]) -> Object:
    """Return scores (C,) by label."""
    return {label: number(value) for label, value in zip(labels, values, strict=True)}


def source(video: Source) -> Object:
    """Return the facts about a video that are known before its frames are decoded."""
    return {
        "name": encodable(video.name),
        "sha256": video.sha256,
        "container": video.container,
        "codec": video.codec,
        "time_base": f"{video.time_base.numerator}/{video.time_base.denominator}",
        "start": time(video, video.start),
        "duration": {"seconds": number(video.duration * video.time_base), "pts": int(video.duration)},
        "clock_offset": number(video.clock_offset),
        "rate": None if video.rate is None else f"{video.rate.numerator}/{video.rate.denominator}",
        "variable_rate": video.has_variable_rate,
        "timecode": video.timecode,
        "reel": None if video.reel is None else encodable(video.reel),
        "audio_channels": video.audio_channels,
        "size": {"width": int(video.width), "height": int(video.height)},
        "rotation": int(video.rotation),
        "frames": {"planned": video.planned},
    }


def whole_source(timeline: Timeline) -> Object:
    """Return the facts about a timeline's video after the analysis."""
    return {**source(timeline.source), "frames": counts(timeline), "complete": timeline.tally.complete}


def counts(timeline: Timeline) -> Object:
    """Return the counts of the video's frames."""
    return {
        "planned": timeline.source.planned,
        "decoded": timeline.tally.decoded,
        "with_faces": timeline.tally.with_faces,
        "undecodable": timeline.tally.undecodable,
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
    """Return each shot, from its first frame to the next shot's; the last ends with the analysis."""
    starts = timeline.shots.tolist()
    return [
        {"start": time(timeline.source, start), "end": time(timeline.source, end)}
        for start, end in zip(starts, [*starts, timeline.end][1:], strict=True)
    ]


def people(timeline: Timeline) -> list[Object]:
    return [person(known, timeline.source) for known in timeline.people]


def person(known: Person, clock: Clock) -> Object:
    """Return a person without the face descriptors, which no output contains."""
    return {
        "id": known.id,
        "name": known.name,
        "tracks": list(known.tracks),
        "on_screen": {"seconds": number(known.ticks * clock.time_base), "pts": known.ticks},
        "portrait": {"time": time(clock, known.pts), "box": box(known.box)},
    }


def box(values: Floats) -> Object:
    """Return a box (4,) in pixels."""
    names = ("x", "y", "width", "height")
    return {name: number(value, BOX_DECIMALS) for name, value in zip(names, values, strict=True)}


def track(curve: Curve, clock: Clock) -> Object:
    """Return a track without its curve."""
    mean = curve.mean_quality
    if mean is None and len(curve.quality):
        mean = curve.quality.mean(dtype=np.float64)
    return {
        "id": curve.track,
        "person": curve.person,
        "start": time(clock, curve.start),
        "end": time(clock, curve.end),
        "frames": curve.frames,
        "box": box(curve.hull),
        "quality": None if mean is None else number(mean),
        **({} if curve.blinks is None else {"blinks": [time(clock, pts) for pts in curve.blinks.tolist()]}),
    }


def curves(timeline: Timeline) -> tuple[Curve, ...]:
    """Return the curves; raise InputError for a timeline of JSON Lines, which has none."""
    if not timeline.has_curves:
        raise InputError(
            "JSON Lines have no curves, which this format needs: "
            "write the timeline as JSON (`fervid analyze -t out.json`), or export `segments`"
        )
    return timeline.curves


def whole_curve(curve: Curve, clock: Clock, labels: Sequence[str]) -> Object:
    """Return a track's curve as arrays of the same length."""
    return {
        "pts": curve.pts,
        "seconds": times(clock, curve.pts),
        "scores": {label: curve.scores[:, column] for column, label in enumerate(labels)},
        "valence": curve.valence,
        "arousal": curve.arousal,
        "intensity": curve.intensity,
        "quality": curve.quality,
        **({"units": dict(curve.units)} if curve.units else {}),
    }


def segment(stretch: Segment, clock: Clock, labels: Sequence[str]) -> Object:
    return {
        "track": stretch.track,
        "person": stretch.person,
        "start": time(clock, stretch.start),
        "end": time(clock, stretch.end),
        "emotion": stretch.emotion,
        "scores": scores(stretch.scores, labels),
        "confidence": number(stretch.confidence),
        "uncertain": stretch.is_uncertain,
        "valence": number(stretch.valence),
        "arousal": number(stretch.arousal),
        "intensity": number(stretch.intensity),
        "frames": stretch.frames,
        **({} if stretch.phases is None else {"phases": phases(stretch.phases, clock)}),
    }


def phases(moments: Phases, clock: Clock) -> Object:
    return {name: time(clock, getattr(moments, name)) for name in PHASES}


def peak(moment: Peak, clock: Clock) -> Object:
    return {
        "track": moment.track,
        "person": moment.person,
        "emotion": moment.emotion,
        "onset": time(clock, moment.onset),
        "apex": time(clock, moment.apex),
        "offset": time(clock, moment.offset),
        "score": number(moment.score),
        "prominence": number(moment.prominence),
        "valence": number(moment.valence),
        "arousal": number(moment.arousal),
        "intensity": number(moment.intensity),
    }
