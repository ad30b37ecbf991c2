"""The one unit of work: a range of a video, analysed as a pure function of the file and the range.

A span decodes a halo on both sides, so that tracks can be matched over the seam, and emits only frames and
windows that lie inside itself. What comes back are small arrays; crops stay here, unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fervid import clips, faces, model, shots, tracks, video
from fervid.errors import UsageError
from fervid.types import Array, Bytes, Ints, Settings, Span, Tally, Track, Video

LENGTH = 30  # seconds from one boundary to the next, as near as keyframes allow
HALO = Fraction(1)  # seconds decoded beyond each end

SAMPLED, REPEATED = 1, 2  # bits of a frame's flags


@dataclass(frozen=True)
class Options:
    """What a span needs to know besides the video and its range."""

    settings: Settings
    model: str | None = None  # a folder; None: no nets
    device: str = "cpu"
    crops: bool = False


@dataclass(frozen=True, eq=False)
class SpanResult:
    """What a span found; tracks are those of the halo as well, the rest lies inside the span."""

    tally: Tally  # `with_faces` is left to the stitch, which knows the selection
    pts: Ints  # (F,) of the frames
    flags: Bytes  # (F,) SAMPLED, REPEATED
    cuts: Ints  # (K,)
    tracks: tuple[Track, ...]
    moments: tuple[Ints, ...]  # per track: window centres
    logits: tuple[Mapping[str, Array], ...]  # per track: stream that reads faces -> (N, C)
    crops: tuple[Bytes, ...]  # per track: (N, S, S) of its frames inside the span; empty unless asked for


def plan(planned: Video, settings: Settings) -> list[Span]:
    """The spans of the selected part; `--start` and `--end` select from the grid and do not move it."""
    first, last = selection(planned, settings)
    bounds = {planned.start}
    if planned.seekable and len(planned.keyframes):
        step = LENGTH / planned.time_base
        for multiple in range(1, int(planned.duration / step) + 1):
            wanted = planned.start + float(multiple * step)
            bounds.add(int(planned.keyframes[np.argmin(np.abs(planned.keyframes - wanted))]))
    starts = sorted(bound for bound in bounds if bound >= planned.start)
    spans: list[Span] = []
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        low = max(start, first)
        high = last if stop is None else (stop if last is None else min(stop, last))
        if (high is None or low < high) and (stop is None or first < stop):
            spans.append(Span(len(spans), low, high))
    return spans


def selection(planned: Video, settings: Settings) -> tuple[int, int | None]:
    """The selected pts range; None at its end: whatever the file still holds."""
    first = planned.start if settings.start is None else planned.ticks(settings.start)
    last = None if settings.end is None else planned.ticks(settings.end)
    length = planned.seconds(planned.end)
    if first < planned.start or first >= planned.end:
        raise UsageError(
            f"--start {float(settings.start or 0):g} s lies outside of the video, which lasts {length:.3f} s"
        )
    if last is not None and last <= first:
        raise UsageError(f"--end {float(settings.end or 0):g} s should come after --start")
    return first, last


def with_halo(planned: Video, span: Span) -> tuple[int, int | None]:
    """What a span decodes."""
    halo = planned.length(HALO)
    return max(planned.start, span.start - halo), None if span.stop is None else span.stop + halo


def analyze_span(planned: Video, span: Span, options: Options) -> SpanResult:
    """Decode, find faces, follow them, cut windows, run the nets that need pictures."""
    start, stop = with_halo(planned, span)
    tallies: list[Tally] = []
    finder = faces.FaceFinder(options.settings.min_face, options.settings.detector)
    decoded = video.frames(planned, start, stop, tallies.append)
    observed = list(tracks.follow(planned, shots.mark(decoded), finder, options.settings))
    followed = tracks.collect(planned, observed)
    inside = [one for one in observed if one.pts in span]
    moments = [clips.centres(planned, one.track.pts, span.start, span.stop) for one in followed]
    tally = sum(tallies, Tally())
    lost = tally.undecodable
    if lost and (start < span.start or span.stop is not None):
        # The halo's damage is counted by the span that it lies in.
        came = np.array([one.pts for one in inside], np.int64)
        lost = len(np.setdiff1d(planned.pts[within(planned.pts, span)], came))
    return SpanResult(
        tally=Tally(len(inside), 0, lost, tally.complete),
        pts=np.array([one.pts for one in inside], np.int64),
        flags=np.array([SAMPLED * one.sampled + REPEATED * one.repeated for one in inside], np.uint8),
        cuts=np.array([one.pts for one in inside if one.cut], np.int64),
        tracks=tuple(one.track for one in followed),
        moments=tuple(moments),
        logits=tuple(_logits(planned, one, at, options) for one, at in zip(followed, moments, strict=True)),
        crops=tuple(one.crops[within(one.track.pts, span)] for one in followed) if options.crops else (),
    )


def within(pts: Ints, span: Span) -> slice:
    """The rows of ascending `pts` that lie in the span."""
    high = len(pts) if span.stop is None else int(np.searchsorted(pts, span.stop))
    return slice(int(np.searchsorted(pts, span.start)), high)


def _logits(planned: Video, one: tracks.Followed, moments: Ints, options: Options) -> Mapping[str, Array]:
    if options.model is None:
        return {}
    net = model.load(options.model, options.device)
    reading = net.reading("faces")
    if not reading:
        return {}
    # One padded batch at a time: the windows of a long track, all at once, would be its crops tenfold.
    parts: dict[str, list[Array]] = {stream.name: [] for stream in reading}
    for low in range(0, len(moments), model.BATCH):
        cut = list(clips.windows(planned, one.track, one.crops, moments[low : low + model.BATCH]))
        for stream in reading:
            parts[stream.name].append(net.logits(stream.name, [clip.faces for clip in cut]))
    empty = np.empty((0, len(net.spec.labels)), np.float32)
    return {name: np.concatenate([empty, *answers]) for name, answers in parts.items()}


def pack(result: SpanResult) -> dict[str, Array]:
    """A result as flat arrays, for a file or a wire."""
    counts = np.array([len(track) for track in result.tracks], np.int64)
    windows = np.array([len(moments) for moments in result.moments], np.int64)
    tally = result.tally
    arrays: dict[str, Array] = {
        "tally": np.array([tally.decoded, tally.with_faces, tally.undecodable, tally.complete], np.int64),
        "pts": result.pts,
        "flags": result.flags,
        "cuts": result.cuts,
        "track.id": np.array([track.id for track in result.tracks], np.int64),
        "track.count": counts,
        "window.count": windows,
        "window.pts": np.concatenate([np.empty(0, np.int64), *result.moments]),
    }
    for name in _COLUMNS:
        columns = [getattr(track, name) for track in result.tracks]
        arrays[f"track.{name}"] = np.concatenate(columns) if columns else np.empty(0, np.float32)
    for name in sorted({name for logits in result.logits for name in logits}):
        arrays[f"logits.{name}"] = np.concatenate([logits[name] for logits in result.logits])
    if result.crops:
        arrays["crops.count"] = np.array([len(crops) for crops in result.crops], np.int64)
        arrays["crops"] = np.concatenate(result.crops)
    return arrays


_COLUMNS = ("pts", "box", "landmarks", "pose", "quality", "status")


def unpack(arrays: Mapping[str, Array]) -> SpanResult:
    """The inverse of `pack`."""

    def split(name: str, counts: str) -> list[Array]:
        return np.split(arrays[name], np.cumsum(arrays[counts])[:-1]) if len(arrays[counts]) else []

    columns = {name: split(f"track.{name}", "track.count") for name in _COLUMNS}
    found = tuple(
        Track(int(number), **{name: columns[name][place] for name in _COLUMNS})
        for place, number in enumerate(arrays["track.id"])
    )
    names = [name.removeprefix("logits.") for name in arrays if name.startswith("logits.")]
    logits = {name: split(f"logits.{name}", "window.count") for name in names}
    decoded, with_faces, undecodable, complete = (int(value) for value in arrays["tally"])
    return SpanResult(
        tally=Tally(decoded, with_faces, undecodable, bool(complete)),
        pts=arrays["pts"],
        flags=arrays["flags"],
        cuts=arrays["cuts"],
        tracks=found,
        moments=tuple(split("window.pts", "window.count")),
        logits=tuple({name: logits[name][place] for name in names} for place in range(len(found))),
        crops=tuple(split("crops", "crops.count")) if "crops" in arrays else (),
    )
