"""Action units of all faces of a video, from its rows of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fervid.faces import shape
from fervid.types import Clock, Curve, Floats, Ints, Rows, Status
from fervid.units.blinks import can_count, find_blinks
from fervid.units.fitting import LIDS, UNITS, average, intensities, neutral_face

Chunks = Callable[[], Iterable[Rows]]

MOST = 4000  # the most faces for estimating a person's neutral face
SMOOTHED = 0.12  # seconds over which intensities are averaged, except the lids'


@dataclass
class _Sample:
    """Pose-free faces of one person, evenly spread over the video."""

    faces: list[Floats] = field(default_factory=list)
    step: int = 1
    seen: int = 0

    def add(self, faces: Floats) -> None:
        """Add faces; when there are too many, every second one is dropped."""
        first = -self.seen % self.step
        self.seen += len(faces)
        self.faces += list(faces[first :: self.step])
        while len(self.faces) > MOST:
            self.faces, self.step = self.faces[::2], 2 * self.step


@dataclass(frozen=True, eq=False)
class TrackUnits:
    """The action units of one track, a row per readable frame."""

    pts: Ints  # (N,) ascending
    values: Floats  # (N, U) intensities
    blinks: Ints | None  # (B,) pts; None: the frames are too far apart to show blinks


@dataclass(frozen=True, eq=False)
class VideoUnits:
    """The action units of a video, by track."""

    tracks: Mapping[int, TrackUnits]
    names: Sequence[str] = UNITS

    def of(self, rows: Rows) -> Floats:
        """Return the intensities (N, U) of rows, nan where no face can be read."""
        values = np.full((len(rows), len(self.names)), np.nan, np.float32)
        for number in np.unique(rows.track).tolist():
            track, own = self.tracks.get(number), np.flatnonzero(rows.track == number)
            if track is not None:
                at = np.searchsorted(track.pts, rows.pts[own]).clip(max=len(track.pts) - 1)
                known = track.pts[at] == rows.pts[own]
                values[own[known]] = track.values[at[known]]
        return values

    def at(self, number: int, pts: int) -> dict[str, float]:
        """Return the intensities of a track in its frame at `pts`; empty where no face can be read."""
        track = self.tracks.get(number)
        row = 0 if track is None else int(np.searchsorted(track.pts, pts))
        if track is None or row == len(track.pts) or track.pts[row] != pts:
            return {}
        return dict(zip(self.names, track.values[row].tolist(), strict=True))

    def added_to(self, curve: Curve) -> Curve:
        """Return the curve with its track's blinks, and in each window the units' mean intensity.

        Windows without a readable frame are interpolated, as their scores are.
        """
        track = self.tracks.get(curve.track)
        if track is None:
            return replace(curve, units=dict.fromkeys(self.names, np.zeros(len(curve.pts), np.float32)))
        edges = (curve.pts[1:] + curve.pts[:-1]) // 2
        low = np.searchsorted(track.pts, np.concatenate([track.pts[:1], edges]))
        high = np.searchsorted(track.pts, np.concatenate([edges, track.pts[-1:] + 1]))
        has_frames = high > low
        sums = np.concatenate(
            [np.zeros((1, len(self.names))), np.cumsum(track.values, axis=0, dtype=np.float64)]
        )
        means = (sums[high] - sums[low])[has_frames] / (high - low)[has_frames, None]
        filled = [np.interp(curve.pts, curve.pts[has_frames], column) for column in means.T]
        units = {name: column.astype(np.float32) for name, column in zip(self.names, filled, strict=True)}
        return replace(curve, units=units, blinks=track.blinks)


def measure(
    chunks: Chunks, clock: Clock, people: Mapping[int, str] | None = None, units: Sequence[str] = UNITS
) -> VideoUnits:
    """Measure the action units of all faces.

    `chunks` is called twice and must give the same rows. Each person in `people` (track -> person) has one
    neutral face, and so has each other track.
    """
    owner: dict[int, str | int] = dict(people or {})
    neutrals = neutral_faces(chunks, owner)
    parts: dict[int, list[tuple[Ints, Floats]]] = {}
    for number, rows in faces_of(chunks()):
        faces = shape.without_pose(rows.landmarks)
        values = intensities(faces, neutrals[owner.get(number, number)], units)
        parts.setdefault(number, []).append((rows.pts, values))
    return VideoUnits({number: _track(clock, parts[number], units) for number in sorted(parts)}, units)


def neutral_faces(chunks: Chunks, owner: Mapping[int, str | int]) -> dict[str | int, Floats]:
    """Return the neutral face (68, 2) of each person, and of each track that has no `owner`."""
    samples: dict[str | int, _Sample] = {}
    for number, rows in faces_of(chunks()):
        samples.setdefault(owner.get(number, number), _Sample()).add(shape.without_pose(rows.landmarks))
    return {who: neutral_face(np.stack(sample.faces)) for who, sample in samples.items()}


def _track(clock: Clock, parts: list[tuple[Ints, Floats]], units: Sequence[str]) -> TrackUnits:
    pts, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    lids = units.index(LIDS)
    if len(pts) < 2:
        return TrackUnits(pts, values, None)
    step = float(np.median(np.diff(pts)) * clock.time_base)
    smooth = average(values, 2 * int(SMOOTHED / step / 2) + 1).astype(np.float32)
    smooth[:, lids] = values[:, lids]
    blinks = find_blinks(clock, pts, values[:, lids]) if can_count(clock, pts) else None
    return TrackUnits(pts, smooth, blinks)


def faces_of(chunks: Iterable[Rows]) -> Iterable[tuple[int, Rows]]:
    """Yield the readable faces of each track in each chunk, by number."""
    for rows in chunks:
        readable = (rows.track >= 0) & (rows.status == Status.OK) & np.isfinite(rows.landmarks[:, 0, 0])
        for number in np.unique(rows.track[readable]).tolist():
            yield number, rows_at(rows, readable & (rows.track == number))


def rows_at(rows: Rows, chosen: np.ndarray) -> Rows:
    """Return the chosen rows."""
    return Rows(**{name: getattr(rows, name)[chosen] for name in rows.__dataclass_fields__})
