"""Which tracks show one person: the nearest are joined first, and never two that are on screen together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fervid.timeline import covered
from fervid.types import Curve, Likeness, Person

# Two groups are one person's where their tracks lie nearer than this on average (root mean square).
# docs/people.md has the measurements: below, persons fall into pieces, above, different ones are joined.
SAME_PERSON = 0.42

Doubles = npt.NDArray[np.float64]


class _Groups:
    """Tracks in groups, each known by its size, mean and scatter: enough for exact mean squared distances.

    The memory is a few numbers for each track, not for each pair of them. A track is the mean of its faces:
    what blur and motion add to a single face is as large as the difference between persons, and lost in it.
    """

    def __init__(self, likenesses: Sequence[Likeness]) -> None:
        faces = [likeness.descriptor.astype(np.float64) for likeness in likenesses]
        self.members = [[place] for place in range(len(faces))]
        self.forbidden: list[set[int]] = [set() for _ in faces]
        self.is_there = np.ones(len(faces), bool)
        self.count = np.array([len(each) for each in faces], np.float64)  # of faces: a track's weight
        self.mean = np.array([each.mean(0) for each in faces])  # (N, 128)
        self.scatter = np.zeros(len(faces))  # of the tracks around that mean
        self.nearest = np.zeros(len(faces), np.int64)
        self.distance = np.full(len(faces), np.inf)

    def distances(self, place: int) -> Doubles:
        """Mean squared distances (N,) of one group's tracks from every other's; infinite where forbidden."""
        away = np.square(self.mean - self.mean[place]).sum(-1) + self.scatter + self.scatter[place]
        away[~self.is_there] = np.inf
        away[place] = np.inf
        away[list(self.forbidden[place])] = np.inf
        return np.round(away, 9)  # so that ties are ties on every machine

    def look(self, place: int) -> None:
        """Find a group's nearest."""
        away = self.distances(place)
        self.nearest[place], self.distance[place] = int(away.argmin()), away.min()

    def join(self, first: int, second: int) -> None:
        """Put the second group into the first."""
        share = self.count[second] / (self.count[first] + self.count[second])
        gap = float(np.square(self.mean[first] - self.mean[second]).sum())
        self.scatter[first] = (
            (1 - share) * self.scatter[first] + share * self.scatter[second] + share * (1 - share) * gap
        )
        self.mean[first] = (1 - share) * self.mean[first] + share * self.mean[second]
        self.count[first] += self.count[second]
        self.members[first] += self.members[second]
        self.is_there[second], self.distance[second] = False, np.inf
        for other in self.forbidden[second]:
            self.forbidden[other].add(first)
        self.forbidden[first] |= self.forbidden[second]
        # A joined group lies no nearer to any other than its parts did: only their own neighbours look again.
        for place in np.flatnonzero(self.is_there & np.isin(self.nearest, (first, second))):
            self.look(int(place))
        self.look(first)


def tell_apart(
    likenesses: Mapping[int, Likeness],
    together: Collection[tuple[int, int]],
    same_person: float = SAME_PERSON,
) -> list[list[int]]:
    """The tracks of each person; tracks without a readable face are nobody's.

    `together` are the pairs of tracks that are on screen at the same moment: never one person.
    """
    tracks = sorted(track for track, likeness in likenesses.items() if len(likeness))
    if not tracks:
        return []
    groups = _Groups([likenesses[track] for track in tracks])
    places = {track: place for place, track in enumerate(tracks)}
    for pair in together:
        if all(track in places for track in pair):
            first, second = (places[track] for track in pair)
            groups.forbidden[first].add(second)
            groups.forbidden[second].add(first)
    for place in range(len(tracks)):
        groups.look(place)
    while True:
        place = int(groups.distance.argmin())
        if not groups.distance[place] < same_person**2:
            break
        groups.join(*sorted((place, int(groups.nearest[place]))))
    return [
        sorted(tracks[member] for member in members)
        for members, is_there in zip(groups.members, groups.is_there, strict=True)
        if is_there
    ]


def number(
    groups: Sequence[Sequence[int]],
    curves: Sequence[Curve],
    likenesses: Mapping[int, Likeness],
    names: Mapping[int, str],
) -> tuple[Person, ...]:
    """The persons P1, P2, ... from the one who is on screen longest; `names` are by place in `groups`."""
    by_track = {curve.track: curve for curve in curves}
    found = []
    for place, tracks in enumerate(groups):
        ticks = covered([(by_track[track].start, by_track[track].end) for track in tracks])
        found.append((-ticks, min(by_track[track].start for track in tracks), tuple(tracks), place))
    persons = []
    for rank, (ticks, _, tracks, place) in enumerate(sorted(found), 1):
        seen = [likenesses[track] for track in tracks]
        best = max(seen, key=lambda likeness: (float(likeness.worth.max()), -int(likeness.pts[0])))
        row = int(best.worth.argmax())
        persons.append(
            Person(f"P{rank}", names.get(place), tracks, -ticks, int(best.pts[row]), best.box[row])
        )
    return tuple(persons)
