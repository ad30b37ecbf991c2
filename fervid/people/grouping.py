"""Grouping of tracks by person: the nearest are joined first, but never two that are on screen together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fervid.people.descriptors import Descriptors
from fervid.timeline import covered
from fervid.types import Curve, Person

# Two groups are one person if their tracks are nearer than this on average (root mean square).
# docs/people.md has the measurements: a lower value splits persons, a higher one joins different persons.
SAME_PERSON = 0.42

Doubles = npt.NDArray[np.float64]


class _Groups:
    """Groups of tracks, each with its size, mean and scatter: enough for exact mean squared distances.

    Memory grows with the tracks, not with the pairs of them. A track is the mean of its faces: in a single
    face, blur and motion weigh as much as the difference between persons, and the mean cancels them.
    """

    def __init__(self, descriptors: Sequence[Descriptors]) -> None:
        faces = [track.descriptor.astype(np.float64) for track in descriptors]
        self.members = [[index] for index in range(len(faces))]
        self.forbidden: list[set[int]] = [set() for _ in faces]
        self.is_alive = np.ones(len(faces), bool)  # until joined to another
        self.count = np.array([len(track) for track in faces], np.float64)  # of faces: a track's weight
        self.mean = np.array([track.mean(0) for track in faces])  # (N, 128)
        self.scatter = np.zeros(len(faces))  # of the tracks around that mean
        self.nearest = np.zeros(len(faces), np.int64)
        self.distance = np.full(len(faces), np.inf)

    def distances(self, group: int) -> Doubles:
        """Return the mean squared distances (N,) of a group from every other; infinite where forbidden."""
        squared = np.square(self.mean - self.mean[group]).sum(-1) + self.scatter + self.scatter[group]
        squared[~self.is_alive] = np.inf
        squared[group] = np.inf
        squared[list(self.forbidden[group])] = np.inf
        return np.round(squared, 9)  # so that ties are ties on every machine

    def find_nearest(self, group: int) -> None:
        """Find the group that is nearest to `group`."""
        squared = self.distances(group)
        self.nearest[group], self.distance[group] = int(squared.argmin()), squared.min()

    def join(self, first: int, second: int) -> None:
        """Move the second group's tracks into the first."""
        share = self.count[second] / (self.count[first] + self.count[second])
        gap = float(np.square(self.mean[first] - self.mean[second]).sum())
        self.scatter[first] = (
            (1 - share) * self.scatter[first] + share * self.scatter[second] + share * (1 - share) * gap
        )
        self.mean[first] = (1 - share) * self.mean[first] + share * self.mean[second]
        self.count[first] += self.count[second]
        self.members[first] += self.members[second]
        self.is_alive[second], self.distance[second] = False, np.inf
        for other in self.forbidden[second]:
            self.forbidden[other].add(first)
        self.forbidden[first] |= self.forbidden[second]
        # A joined group is no nearer to any other than its parts were: only their neighbours need an update.
        for group in np.flatnonzero(self.is_alive & np.isin(self.nearest, (first, second))):
            self.find_nearest(int(group))
        self.find_nearest(first)


def group_tracks(
    descriptors: Mapping[int, Descriptors],
    together: Collection[tuple[int, int]],
    same_person: float = SAME_PERSON,
) -> list[list[int]]:
    """Return the tracks of each person, without the tracks that have no readable face.

    `together` are the pairs of tracks that are on screen at the same moment: never one person.
    """
    tracks = sorted(track for track, faces in descriptors.items() if len(faces))
    if not tracks:
        return []
    groups = _Groups([descriptors[track] for track in tracks])
    indices = {track: index for index, track in enumerate(tracks)}
    for pair in together:
        if all(track in indices for track in pair):
            first, second = (indices[track] for track in pair)
            groups.forbidden[first].add(second)
            groups.forbidden[second].add(first)
    for index in range(len(tracks)):
        groups.find_nearest(index)
    while True:
        group = int(groups.distance.argmin())
        if not groups.distance[group] < same_person**2:
            break
        groups.join(*sorted((group, int(groups.nearest[group]))))
    return [
        sorted(tracks[member] for member in members)
        for members, is_alive in zip(groups.members, groups.is_alive, strict=True)
        if is_alive
    ]


def number_persons(
    groups: Sequence[Sequence[int]],
    curves: Sequence[Curve],
    descriptors: Mapping[int, Descriptors],
    names: Mapping[int, str],
) -> tuple[Person, ...]:
    """Return the persons P1, P2, ..., longest on screen first; `names` are by index in `groups`."""
    by_track = {curve.track: curve for curve in curves}
    ranks = []
    for index, tracks in enumerate(groups):
        ticks = covered([(by_track[track].start, by_track[track].end) for track in tracks])
        ranks.append((-ticks, min(by_track[track].start for track in tracks), tuple(tracks), index))
    persons = []
    for rank, (ticks, _, tracks, index) in enumerate(sorted(ranks), 1):
        candidates = [descriptors[track].picture for track in tracks]
        best = max(filter(None, candidates), key=lambda picture: (picture.score, -picture.pts))
        persons.append(Person(f"P{rank}", names.get(index), tracks, -ticks, best.pts, best.box))
    return tuple(persons)
