"""Timelines made by hand, for the tests of what draws them."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from fervid import export
from fervid.export.timelines import reading
from fervid.labels import EMOTIONS
from fervid.timeline import build, intensity, valence_arousal
from fervid.types import Curve, Floats, Ints, ModelInfo, Person, Segment, Settings, Tally, Timeline, Video

Labels = tuple[str, ...]
MODEL = ModelInfo("hand", "cd" * 32, True, EMOTIONS, ("one",), {"code": "MIT"})


def video_at(pts: Ints, time_base: Fraction, **changes: object) -> Video:
    """Return a video that is on no disk, with a frame every `pts[1] - pts[0]` ticks."""
    video = Video(
        path="/nowhere/film.mp4",
        name="film.mp4",
        sha256="ab" * 32,
        time_base=time_base,
        start=int(pts[0]),
        duration=int(len(pts) * np.diff(pts[:2]).sum()),
        width=1920,
        height=1080,
        rotation=0,
        container="mov,mp4",
        codec="h264",
        rate=Fraction(25),
        clock_offset=Fraction(0),
        pts=pts,
        keyframes=pts[:1],
    )
    return replace(video, **changes)


def video_of(name: str = "film.mp4") -> Video:
    """Return a video of twelve seconds."""
    return video_at(np.arange(300), Fraction(1, 25), path=f"/nowhere/{name}", name=name)


def curve_at(track: int, pts: Ints, scores: Floats, labels: Labels = EMOTIONS, **fields: Any) -> Curve:
    """Return a curve; `fields` are those that do not follow from the scores."""
    valence, arousal = valence_arousal(scores, labels)
    values = {"valence": valence, "arousal": arousal, "intensity": intensity(scores, labels)}
    return Curve(track=track, pts=pts, scores=scores, **values, **fields)


def tick(video: Video, seconds: float) -> int:
    return video.ticks(Fraction(seconds).limit_denominator(1000))


def stretch(video: Video, track: int, start: float, end: float, emotion: str) -> Segment:
    scores = np.full(len(EMOTIONS), 0.02, np.float32)
    scores[EMOTIONS.index(emotion)] = 0.88
    valence, arousal = valence_arousal(scores[None], EMOTIONS)
    return Segment(
        track=track,
        start=tick(video, start),
        end=tick(video, end),
        emotion=emotion,
        scores=scores,
        confidence=0.88,
        valence=float(valence[0]),
        arousal=float(arousal[0]),
        intensity=float(1 - scores[-1]),
        frames=25,
    )


def track_of(video: Video, segments: list[Segment], end: float) -> Curve:
    """Return a track with the curve that its segments describe."""
    step = video.length(Fraction(32, 100))
    pts = np.arange(segments[0].start, segments[-1].end, step, dtype=np.int64)
    scores = np.stack([next(each for each in segments if each.start <= at < each.end).scores for at in pts])
    return curve_at(
        segments[0].track,
        pts,
        scores,
        start=segments[0].start,
        end=tick(video, end),
        frames=100,
        hull=np.array([10, 10, 50, 50], np.float32),
        quality=np.full(len(pts), 0.8, np.float32),
    )


def timeline_of(video: Video, *people: str | None) -> Timeline:
    """Return two tracks: three expressions in 8 s; and one in 4 s, after which the face cannot be read."""
    first = [
        stretch(video, 0, 0, 2, "neutral"),
        stretch(video, 0, 2, 5, "happiness"),
        stretch(video, 0, 5, 8, "sadness"),
    ]
    second = [stretch(video, 1, 6, 10, "surprise")]
    return build(
        video,
        MODEL,
        Settings(),
        Tally(300, 250, 0, True),
        np.array([video.start, tick(video, 6)], np.int64),
        [track_of(video, first, 8), track_of(video, second, 11)],
        [*first, *second],
        [
            Person(f"P{track + 1}", name, (track,), 0, video.start, np.zeros(4, np.float32))
            for track, name in enumerate(people)
            if name is not None
        ],
    )


def doubtful_of(video: Video, *people: str | None) -> Timeline:
    """Return `timeline_of` with a sadness that is uncertain, 5 s to 8 s, score 0.41."""
    timeline = timeline_of(video, *people)
    scores = np.full(len(EMOTIONS), 0.59 / 6, np.float32)
    scores[EMOTIONS.index("sadness")] = 0.41
    segments = tuple(
        replace(segment, scores=scores, confidence=0.41) if segment.emotion == "sadness" else segment
        for segment in timeline.segments
    )
    return replace(timeline, segments=segments)


def faceless(video: Video) -> Timeline:
    """Return the timeline of a film without faces that ends early, by an untrained model."""
    start = np.array([video.start], np.int64)
    untrained = replace(MODEL, trained=False)
    return build(video, untrained, Settings(), Tally(200, 0, 7, False), start, [], [])


def text_of(timeline: Timeline, form: str = "json") -> str:
    stream = io.StringIO()
    export.TIMELINES[form].write(timeline, stream)
    return stream.getvalue()


def read(text: str) -> Timeline:
    return reading.read(io.StringIO(text))


def read_back(timeline: Timeline, form: str = "json") -> Timeline:
    return read(text_of(timeline, form))
