"""An audience as a timeline of the film, so that every format, editor and command can use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fervid.audience.analyze import Audience, Moment, summary
from fervid.timeline import Smoother, intensity
from fervid.types import (
    Array,
    Curve,
    Floats,
    ModelInfo,
    Peak,
    Person,
    Segment,
    Settings,
    Source,
    Tally,
    Timeline,
    Video,
)

AUDIENCE = 1  # the track of the whole audience; the segments of viewers follow


def as_timeline(audience: Audience, film: Video, model: ModelInfo) -> Timeline:
    """Return the mean face of the audience as a track, with its moments as peaks; segments are tracks, too.

    The quality of a track is the share of its viewers with data; below three in ten it is unreadable.
    """
    count = len(audience.viewers)
    settings = Settings(people=False)
    parts = [(AUDIENCE, f"Audience ({count} viewers)", audience.mean, audience.count / count)]
    if audience.group_count > 1:
        for number in range(1, audience.group_count + 1):
            viewers = audience.group(number)
            mean, _, present = summary(np.stack([viewer.values for viewer in viewers]).astype(np.float64))
            name = f"Segment {number} ({len(viewers)} viewers)"
            parts.append((AUDIENCE + number, name, mean, present / len(viewers)))
    source = Source(**{name: getattr(film, name) for name in Source.__dataclass_fields__})
    curves = [curve_of(audience, film, track, mean, share) for track, _, mean, share in parts]
    segments = [segment for curve in curves for segment in segments_of(curve, film, audience, settings)]
    return Timeline(
        source=source,
        model=model,
        settings=settings.as_json(),
        tally=Tally(decoded=film.planned, with_faces=film.planned),
        shots=np.array([film.start], np.int64),
        curves=tuple(curves),
        segments=tuple(sorted(segments, key=lambda segment: (segment.start, segment.track))),
        peaks=tuple(peak_of(moment, curves[0], film) for moment in audience.moments),
        people=tuple(
            Person(f"P{track}", name, (track,), film.duration, film.start, box_of(film))
            for track, name, _, _ in parts
        ),
    )


def box_of(film: Source) -> Floats:
    """Return a box around the whole picture: an audience has no position in it."""
    return np.array([0, 0, film.width, film.height], np.float32)


def curve_of(audience: Audience, film: Source, track: int, mean: Array, share: Array) -> Curve:
    """Return the curve of a mean (T, K), at the times at which some viewer has data."""
    pts = np.array([film.ticks(float(seconds)) for seconds in audience.times], np.int64)
    known = ~np.isnan(mean[:, 0]) & (np.diff(pts, prepend=pts[0] - 1) > 0)
    scores = mean[known, : len(audience.labels)].astype(np.float32)
    valence, arousal = mean[known, len(audience.labels) :].astype(np.float32).T
    return Curve(
        track=track,
        start=film.start,
        end=film.end,
        frames=film.planned,
        hull=box_of(film),
        pts=pts[known],
        scores=scores,
        quality=share[known].astype(np.float32),
        valence=valence.copy(),
        arousal=arousal.copy(),
        intensity=intensity(scores, audience.labels),
        person=f"P{track}",
    )


def segments_of(curve: Curve, film: Video, audience: Audience, settings: Settings) -> list[Segment]:
    """Return the stretches in which one expression is the highest of a mean face."""
    smoother = Smoother(film, curve.track, audience.labels, settings)
    segments = smoother.feed(curve.pts, curve.scores, curve.quality, film.pts)
    return [replace(segment, person=curve.person) for segment in segments + smoother.close(film.end)]


def peak_of(moment: Moment, curve: Curve, film: Source) -> Peak:
    """Return a moment as a peak of the audience's track."""
    apex = film.ticks(moment.apex)

    def at(values: Array) -> float:
        return float(np.interp(apex, curve.pts, values))

    return Peak(
        track=curve.track,
        emotion=moment.emotion,
        onset=film.ticks(moment.onset),
        apex=apex,
        offset=max(apex, film.ticks(moment.offset)),
        score=moment.score,
        prominence=moment.prominence,
        valence=at(curve.valence),
        arousal=at(curve.arousal),
        intensity=at(curve.intensity),
        person=curve.person,
    )
