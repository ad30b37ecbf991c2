"""Windows that `train_motion.py` trains on: how landmarks of real faces, puppets and drawings move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fervid import clips, synth
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.synth.actions import ease, mirror
from fervid.types import Array, Floats

LENGTH = clips.LENGTH
REST = EMOTIONS.index(NEUTRAL)
MOST_POSE = (30.0, 25.0)  # degrees of yaw and pitch: beyond them, points are too uncertain for differences
LEAST_QUALITY = 0.3
FEWEST_FRAMES = 4  # of a person: the neutral is the median of the frames
# How often each expression is drawn from pairs: few portraits show fear or disgust.
SHARES = (0.2, 0.1, 0.02, 0.38, 0.12, 0.18)
VOTES = 0.4  # the weight of FER+'s votes against FER2013's label
SMOOTHING = 0.04


class Material:
    """Draws windows (LENGTH, 68, 2) and their targets (C,) from every source."""

    def __init__(self, runs: Path, late: float) -> None:
        self.late = late
        packs = {path.stem: dict(np.load(path)) for path in sorted(runs.glob("*.npz"))}
        self.clips = {name: _by_clip(packs[name]) for name in ("acted", "drawn")}
        self.acted = synth.displacements(packs["stills"]["points"]).astype(np.float32)
        labels = packs["stills"]["label"]
        self.of_label = [np.flatnonzero(labels == label) for label in range(len(EMOTIONS))]
        self.stills, portraits = packs["stills"], packs["pairs"]
        usable = (np.abs(portraits["pose"][:, :2]) < MOST_POSE).all(1)
        usable &= portraits["quality"] > LEAST_QUALITY
        self.points = portraits["points"]
        resting: dict[str, list[int]] = {}
        for row in np.flatnonzero(usable & (portraits["label"] == REST) & (portraits["person"] != "")):
            resting.setdefault(str(portraits["person"][row]), []).append(int(row))
        self.resting = [rows for rows in resting.values() if len(rows) > 1]
        self.showing: list[list[tuple[int, list[int]]]] = [
            [
                (int(row), resting[str(portraits["person"][row])])
                for row in np.flatnonzero(usable & (portraits["label"] == label))
                if str(portraits["person"][row]) in resting
            ]
            for label in range(REST)
        ]
        self.people = _people(packs["people"]) if "people" in packs else []
        shares = np.where([bool(rows) for rows in self.showing], SHARES, 0.0)
        self.shares = shares / (shares.sum() or 1.0)

    def draw(self, random: np.random.Generator, sources: Mapping[str, float]) -> tuple[Floats, Floats]:
        """Draw a window, with the noise of a tracker, and its target."""
        source = str(random.choice(list(sources), p=list(sources.values())))
        moved: Array
        target: Array
        if source == "stills":
            moved, target = self._picture(random)
        elif source == "onsets":
            moved, target = self._onset(random)
        elif source == "people":
            moved, target = self._filmed(random)
        else:
            moved, label = self._pair(random) if source == "pairs" else self._clip(random, self.clips[source])
            target = np.eye(len(EMOTIONS))[label]
            if label != REST and source != "drawn" and random.random() < self.late:
                moved = moved - moved[random.integers(LENGTH)] * random.uniform(0.5, 1)
        moved = moved * random.uniform(0.85, 1.15) + _jitter(random, random.uniform(0.002, 0.012))
        moved = moved + random.normal(size=(1, *moved.shape[1:])) * random.uniform(0, 0.012)
        if random.random() < 0.5:
            moved = moved[:, mirror()] * np.array([-1, 1])
        smoothed = (1 - SMOOTHING) * target + SMOOTHING / len(EMOTIONS)
        return np.asarray(moved, np.float32), np.asarray(smoothed, np.float32)

    def _rest(self, random: np.random.Generator) -> Floats:
        """Draw the difference between two neutral pictures of one person."""
        rows = self.resting[random.integers(len(self.resting))]
        one, other = random.choice(rows, 2, replace=False)
        return np.asarray(self.points[other] - self.points[one])

    def _talk(self, random: np.random.Generator, least: int, most: int, low: float, high: float) -> Floats:
        """Draw a path through several faces of people who show nothing."""
        count = int(random.integers(least, most))
        return _path(random, [self._rest(random) * random.uniform(low, high) for _ in range(count)])

    def _pair(self, random: np.random.Generator) -> tuple[Floats, int]:
        """Draw a clip of a person's pictures: at rest, or with an expression that comes, stays, or goes."""
        if random.random() < 0.6 or not self.shares.any():
            base = self._rest(random) * random.uniform(0.3, 1) if random.random() < 0.6 else 0.0
            is_held = random.random() < 0.25
            return base + self._talk(random, *((1, 2) if is_held else (2, 7)), 0.2, 1.0), REST
        label = int(random.choice(REST, p=self.shares))
        row, neutrals = self.showing[label][random.integers(len(self.showing[label]))]
        shown = self.points[row] - self.points[random.choice(neutrals)]
        level = _level(random)
        base = self._rest(random) * random.uniform(0.1, 0.5) if random.random() < 0.4 else 0.0
        return shown * level[:, None, None] + base, label

    def _clip(self, random: np.random.Generator, pack: _Clips) -> tuple[Floats, int]:
        """Draw a window of a clip, from its person's neutral, the population's, or a wrong one."""
        rows = pack.rows[int(random.integers(len(pack.rows)))]
        label = int(pack.label[rows[0]])
        tries = random.choice(rows, 3)
        row = tries[0] if label == REST else tries[int(pack.motion[tries].argmax())]
        moved = pack.displacement[row].astype(np.float32)
        if random.random() < 0.35:
            moved = moved + pack.offset[row].astype(np.float32)
        elif random.random() < 0.5:
            moved = moved + self._rest(random) * random.uniform(0, 0.6)
        if random.random() < 0.3:
            moved = moved + self._talk(random, 2, 6, 0, 0.5)
        return moved, label

    def _filmed(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a path through frames of one person's video, and the mean of what they show."""
        moved, answers = self.people[random.integers(len(self.people))]
        count = int(random.choice([1, 2, 3, 4, 6], p=[0.2, 0.2, 0.2, 0.2, 0.2]))
        rows = random.choice(len(moved), min(count, len(moved)), replace=False)
        if count == 1:  # the face holds, or comes from rest
            return moved[rows[0]] * _level(random)[:, None, None], answers[rows[0]]
        steps = np.eye(len(rows), dtype=np.float32)[:, :, None]  # how much of each frame is shown
        path = _path(random, list(steps))[:, :, 0]
        return np.tensordot(path, moved[rows], 1), path.mean(0) @ answers[rows]

    def _onset(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a still of FER2013; its expression, as explained by action units, comes, stays or goes."""
        rows = self.of_label[random.choice([label for label, rows in enumerate(self.of_label) if len(rows)])]
        row = int(random.choice(rows))
        moved = self.acted[row] * _level(random)[:, None, None]
        if random.random() < 0.4:
            moved = moved + self._rest(random) * random.uniform(0.1, 0.5)
        if random.random() < 0.2:
            moved = moved + self._talk(random, 2, 6, 0, 0.4)
        return moved, self._target(row)

    def _target(self, row: int) -> Floats:
        """Return the target of a still: FER2013's label, and FER+'s votes."""
        target, votes = np.eye(len(EMOTIONS))[self.stills["label"][row]], self.stills["votes"][row]
        if votes.sum() > 0:
            target = (1 - VOTES) * target + VOTES * votes / votes.sum()
        return np.asarray(target, np.float32)

    def _picture(self, random: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw a still of FER2013, from the population's neutral."""
        row = int(random.integers(len(self.stills["label"])))
        moved = self.stills["points"][row] - clips.population_neutral()
        return np.repeat(moved[None], LENGTH, 0), self._target(row)


@dataclass(frozen=True)
class _Clips:
    """The windows of clips, and the rows of each clip."""

    displacement: Array
    offset: Array
    label: Array
    motion: Array
    rows: Sequence[Array]


def _by_clip(pack: Mapping[str, Array]) -> _Clips:
    order = np.argsort(pack["clip"], kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(pack["clip"][order])) + 1)
    return _Clips(pack["displacement"], pack["offset"], pack["label"], pack["motion"], rows)


def _people(pack: Mapping[str, Array]) -> list[tuple[Floats, Floats]]:
    """Return each person's displacements, (N, 68, 2), and what a frame network says of them, (N, C)."""
    people = []
    is_good = pack["quality"] > LEAST_QUALITY
    for person in np.unique(pack["person"]):
        rows = np.flatnonzero(is_good & (pack["person"] == person))
        if len(rows) >= FEWEST_FRAMES:
            points = pack["points"][rows]
            people.append(((points - np.median(points, 0)).astype(np.float32), pack["answers"][rows]))
    return people


def _eased(shares: Array) -> Floats:
    return np.array([ease(float(share)) for share in shares], np.float32)


def _level(random: np.random.Generator) -> Floats:
    """Draw the level of an expression over a window: held, rising, or rising and falling."""
    kind, time = random.random(), np.arange(LENGTH)
    if kind < 0.35:
        return np.ones(LENGTH, np.float32)
    begin, rise = random.uniform(-3, 8), random.uniform(2, 8)
    level = _eased((time - begin) / rise)
    if kind > 0.75:
        level = level * (1 - _eased((time - begin - rise - random.uniform(2, 8)) / random.uniform(3, 8)))
    return level


def _path(random: np.random.Generator, faces: Sequence[Floats]) -> Floats:
    """Return a smooth path through faces at random times of a window, (LENGTH, 68, 2)."""
    times = np.sort(random.uniform(-2, LENGTH + 1, len(faces)))
    path = np.empty((LENGTH, *faces[0].shape), np.float32)
    for step in range(LENGTH):
        after = int(np.searchsorted(times, step))
        if after in (0, len(faces)):
            path[step] = faces[min(after, len(faces) - 1)]
            continue
        gap = max(times[after] - times[after - 1], 0.5)
        share = ease(float((step - times[after - 1]) / gap))
        path[step] = (1 - share) * faces[after - 1] + share * faces[after]
    return path


def _jitter(random: np.random.Generator, size: float) -> Floats:
    """Return the error of a tracker, which lasts from frame to frame."""
    error = random.normal(size=(LENGTH, 68, 2))
    for step in range(1, LENGTH):
        error[step] = 0.6 * error[step - 1] + 0.8 * error[step]
    return np.asarray(size * error)
