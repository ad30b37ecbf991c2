"""The timeline, put together from its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fervid.timeline.peaks import find_peaks
from fervid.types import Curve, Ints, ModelInfo, Person, Segment, Settings, Source, Tally, Timeline


def build(
    source: Source,
    model: ModelInfo,
    settings: Settings,
    tally: Tally,
    shots: Ints,
    curves: Sequence[Curve],
    segments: Sequence[Segment],
    people: Sequence[Person] = (),
) -> Timeline:
    """Build the timeline: set the person of each part, find the peaks, and sort."""
    person = {track: known.id for known in people for track in known.tracks}
    curves = [replace(curve, person=person.get(curve.track)) for curve in curves]
    segments = [replace(segment, person=person.get(segment.track)) for segment in segments]
    peaks = [peak for curve in curves for peak in find_peaks(source, curve, model.labels)]
    return Timeline(
        source=source,
        model=model,
        settings=settings.as_json(),
        tally=tally,
        shots=shots,
        curves=tuple(sorted(curves, key=lambda curve: curve.track)),
        segments=tuple(sorted(segments, key=lambda segment: (segment.start, segment.track))),
        peaks=tuple(sorted(peaks, key=lambda peak: (peak.apex, peak.track, peak.emotion))),
        people=tuple(people),
    )
