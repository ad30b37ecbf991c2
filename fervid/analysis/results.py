"""A span and its result; and the result as flat arrays, to be stored or sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fervid.people.descriptors import Descriptors
from fervid.people.picture import Picture
from fervid.types import Array, Bytes, Ints, Tally, Track

SAMPLED, REPEATED = 1, 2  # bits of a frame's flags


@dataclass(frozen=True)
class Span:
    """A range [start, stop) of pts that is analyzed as one piece of work."""

    index: int
    start: int
    stop: int | None  # None: the end of the file

    def __contains__(self, pts: int) -> bool:
        return pts >= self.start and (self.stop is None or pts < self.stop)

    def within(self, pts: Ints) -> slice:
        """Return the rows of ascending `pts` inside the span."""
        high = len(pts) if self.stop is None else int(np.searchsorted(pts, self.stop))
        return slice(int(np.searchsorted(pts, self.start)), high)


@dataclass(frozen=True, eq=False)
class SpanResult:
    """The result of analysing a span; tracks include the halo, everything else is inside the span."""

    tally: Tally  # `with_faces` is 0: stitching counts it
    pts: Ints  # (F,) of the frames
    flags: Bytes  # (F,) SAMPLED, REPEATED
    cuts: Ints  # (K,)
    tracks: tuple[Track, ...]
    moments: tuple[Ints, ...]  # per track: window centres
    logits: tuple[Mapping[str, Array], ...]  # per track: stream without neutral -> (N, C)
    crops: tuple[Bytes, ...]  # per track: (N, S, S) inside the span; empty unless requested
    descriptors: tuple[Descriptors, ...] = ()  # per track, inside the span; empty unless requested


def pack(result: SpanResult) -> dict[str, Array]:
    """Return a result as flat arrays by name."""
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
    if result.descriptors:
        arrays[_COUNT] = np.array([len(some) for some in result.descriptors], np.int64)
        for name in _DESCRIPTORS:
            arrays[f"{_PREFIX}{name}"] = np.concatenate([getattr(some, name) for some in result.descriptors])
        arrays |= _pack_pictures([some.picture for some in result.descriptors])
    return arrays


_COLUMNS = ("pts", "box", "landmarks", "pose", "quality", "status")
_DESCRIPTORS = ("pts", "box", "worth", "descriptor")
_PREFIX, _COUNT = "likeness.", "likeness.count"  # names of the descriptors' arrays in stored results


def _pack_pictures(pictures: Sequence[Picture | None]) -> dict[str, Array]:
    known = [picture for picture in pictures if picture is not None]
    return {
        "picture.count": np.array([picture is not None for picture in pictures], np.int64),
        "picture.pts": np.array([picture.pts for picture in known], np.int64),
        "picture.box": np.array([picture.box for picture in known], np.float32).reshape(-1, 4),
        "picture.score": np.array([picture.score for picture in known], np.float32),
    }


def _unpack_pictures(arrays: Mapping[str, Array]) -> Iterator[Picture | None]:
    rows = zip(arrays["picture.pts"], arrays["picture.box"], arrays["picture.score"], strict=True)
    for count in arrays["picture.count"]:
        if count:
            pts, box, score = next(rows)
            yield Picture(int(pts), box, float(score))
        else:
            yield None


def unpack(arrays: Mapping[str, Array]) -> SpanResult:
    """Return the result of these arrays, the inverse of `pack`."""

    def split(name: str, counts: str) -> list[Array]:
        return np.split(arrays[name], np.cumsum(arrays[counts])[:-1]) if len(arrays[counts]) else []

    columns = {name: split(f"track.{name}", "track.count") for name in _COLUMNS}
    tracks = tuple(
        Track(int(number), **{name: columns[name][index] for name in _COLUMNS})
        for index, number in enumerate(arrays["track.id"])
    )
    names = [name.removeprefix("logits.") for name in arrays if name.startswith("logits.")]
    logits = {name: split(f"logits.{name}", "window.count") for name in names}
    decoded, with_faces, undecodable, complete = (int(value) for value in arrays["tally"])
    return SpanResult(
        tally=Tally(decoded, with_faces, undecodable, bool(complete)),
        pts=arrays["pts"],
        flags=arrays["flags"],
        cuts=arrays["cuts"],
        tracks=tracks,
        moments=tuple(split("window.pts", "window.count")),
        logits=tuple({name: logits[name][index] for name in names} for index in range(len(tracks))),
        crops=tuple(split("crops", "crops.count")) if "crops" in arrays else (),
        descriptors=tuple(
            Descriptors(*columns)
            for columns in zip(
                *(split(f"{_PREFIX}{name}", _COUNT) for name in _DESCRIPTORS),
                _unpack_pictures(arrays),
                strict=True,
            )
        )
        if _COUNT in arrays
        else (),
    )
