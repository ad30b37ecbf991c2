"""Pairs of an annotation tier and the timeline's segments that it is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from fervid.annotations import Annotation, Sheet, Tier
from fervid.annotations.counts import NONE, Agreement, Labels, Ruler, Stretch
from fervid.errors import InputError, UsageError
from fervid.export.timelines import fields
from fervid.export.timelines.tiers import clean, names, tiers, unique
from fervid.labels import CONTEMPT, EMOTIONS, label_of
from fervid.types import Segment, Timeline

ORDER = (*EMOTIONS, CONTEMPT)
MOST_FRAMES = 100_000_000  # five days at 240 a second
ALL = "all faces"  # compared with a tier that names no person, if no two faces are seen at once


@dataclass(frozen=True)
class Choice:
    """The user's options: what to compare, and how to read the annotations."""

    tiers: Sequence[str] = ()
    persons: Sequence[str] = ()
    tracks: Sequence[int] = ()
    offset: Fraction = Fraction(0)  # seconds added to the annotations' times
    clock: str | None = None  # "player" or "first-frame"; None: by the kind of file
    words: Mapping[str, str] = field(default_factory=dict)  # more words for emotions, in lower case


@dataclass(frozen=True, eq=False)
class Rating:
    """A tier and the segments that it is compared with, frame by frame."""

    tier: str
    compared_with: str  # a tier of the timeline, chosen people, or ALL
    annotated: Labels
    seen: Labels


@dataclass(frozen=True, eq=False)
class Rater:
    """An annotator: the compared tiers, and the parts of them that could not be compared."""

    name: str
    path: str
    ratings: tuple[Rating, ...]
    unknown: Mapping[str, int]  # words that are not an emotion -> how often
    overlaps: int  # annotations that begin before the previous one has ended

    def agreement(self, labels: tuple[str, ...]) -> Agreement:
        """Return the agreement with the timeline over all tiers."""
        first, *rest = (Agreement.of(labels, rating.annotated, rating.seen) for rating in self.ratings)
        return sum(rest, first)

    def agreement_with(self, other: Rater, labels: tuple[str, ...]) -> Agreement | None:
        """Return the agreement with another annotator on the same people, None if there are none."""
        theirs = {rating.compared_with: rating for rating in other.ratings}
        agreements = [
            Agreement.of(labels, rating.annotated, theirs[rating.compared_with].annotated)
            for rating in self.ratings
            if rating.compared_with in theirs
        ]
        return sum(agreements[1:], agreements[0]) if agreements else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """A timeline and its annotators."""

    labels: tuple[str, ...]
    ruler: Ruler
    raters: tuple[Rater, ...]
    left_out: tuple[str, ...]  # tiers without a matching person, if other tiers have one


def compare(timeline: Timeline, sheets: Sequence[Sheet], choice: Choice) -> Comparison:
    """Pair tiers with people: by the options, else by name, else with all faces if they do not overlap."""
    known = [tier.name for sheet in sheets for tier in sheet.tiers]
    for name in choice.tiers:
        if name not in known:
            raise UsageError(f"there is no tier {name!r}: choose one of {_list(known)}")
    ruler = measure(timeline)
    annotated = {
        label for sheet in sheets for tier in _chosen(sheet, choice) for label in _labels(tier, choice)
    }
    labels = tuple(label for label in ORDER if label in annotated.union(timeline.labels))
    people = _People(timeline, choice)
    taken: set[str] = set()
    raters: list[Rater] = []
    left_out: list[str] = []
    for sheet in sheets:
        usable = [tier for tier in _chosen(sheet, choice) if any(_labels(tier, choice))]
        if not usable:
            raise InputError(
                f"{sheet.path} has no emotion in "
                + (f"the tier {_list(choice.tiers)}" if choice.tiers else "any of its tiers")
                + f": known words are {_list(ORDER)}; add others with --label WORD=EMOTION"
            )
        matched = people.pair(sheet, usable)
        compared = {id(tier) for tier, _ in matched}
        left_out += [f"{sheet.path}: {clean(tier.name)}" for tier in usable if id(tier) not in compared]
        path = Path(sheet.path)
        is_unique = sum(Path(other.path).stem == path.stem for other in sheets) == 1
        groups = _by_rater(matched, sheet.path, path.stem if is_unique else path.name, choice)
        for name, pairs in groups.items():
            ratings = tuple(
                Rating(
                    clean(tier.name),
                    target,
                    ruler.paint(_stretches(tier, sheet, timeline, labels, choice)),
                    ruler.paint(people.stretches(target, labels)),
                )
                for tier, target in pairs
            )
            unknown = Counter(
                clean(annotation.text)
                for tier, _ in pairs
                for annotation in tier.annotations
                if not _label(annotation, choice)
            )
            unknown.pop("", None)
            overlaps = sum(_overlaps(tier) for tier, _ in pairs)
            raters.append(Rater(unique(clean(name), taken), sheet.path, ratings, unknown, overlaps))
    return Comparison(labels, ruler, tuple(raters), tuple(left_out))


def unlabelled(raters: Sequence[Rater], ruler: Ruler) -> int:
    """Return the number of frames without any label, neither by an annotator nor in the timeline."""
    is_labelled = np.zeros(ruler.count, bool)
    for rater in raters:
        for rating in rater.ratings:
            is_labelled |= (rating.annotated != NONE) | (rating.seen != NONE)
    return int((~is_labelled).sum())


def measure(timeline: Timeline) -> Ruler:
    """Return the frames of the analyzed part, at the video's mean rate."""
    source, settings = timeline.source, timeline.settings
    length = source.duration * source.time_base
    start = Fraction(str(settings.get("start") or 0))
    end = length if settings.get("end") is None else min(length, Fraction(str(settings["end"])))
    if end <= start:
        raise InputError("the timeline covers no time: analyze the video again")
    count = 1 if source.rate is None else max(1, round((end - start) * source.rate))
    if count > MOST_FRAMES:
        raise InputError(
            f"the timeline has {count} frames, more than fervid compares: analyze the video again"
        )
    return Ruler(start, (end - start) / count, count)


class _People:
    """The segments that tiers can be compared with, by name."""

    def __init__(self, timeline: Timeline, choice: Choice) -> None:
        self._timeline, self._called = timeline, names(timeline)
        self._segments: dict[str, Sequence[Segment]] = {ALL: timeline.segments}
        self._by_name: dict[
            str, str
        ] = {}  # name of a tier, name or id of a person, in lower case -> key of _segments
        self._chosen = ""
        self._are_tiers_chosen = bool(choice.tiers)
        if choice.persons or choice.tracks:
            self._choose(choice)
            return
        for tier in tiers(timeline):
            self._segments[tier.name] = tier.segments
            self._by_name[tier.name.casefold()] = tier.name
            for alias in (tier.who, tier.segments[0].person):
                if alias:
                    self._by_name.setdefault(alias.casefold(), tier.name)

    def _choose(self, choice: Choice) -> None:
        """Add the segments of all chosen people and tracks under one name."""
        curves = self._timeline.curves
        wanted: set[int] = set()
        for person in choice.persons:
            theirs = {curve.track for curve in curves if person in (curve.person, self._called[curve.track])}
            if not theirs:
                raise UsageError(
                    f"there is no person {person!r} in the timeline: choose one of {self._all()}"
                )
            wanted |= theirs
        for track in choice.tracks:
            if track not in self._called:
                raise UsageError(f"there is no track {track} in the timeline: choose one of {self._all()}")
            wanted.add(track)
        self._chosen = " + ".join([*choice.persons, *(f"track {track}" for track in choice.tracks)])
        self._segments[self._chosen] = [
            segment for segment in self._timeline.segments if segment.track in wanted
        ]
        aliases = {*choice.persons, *(self._called[track] for track in wanted)}
        aliases |= {curve.person for curve in curves if curve.track in wanted and curve.person}
        self._by_name = {alias.casefold(): self._chosen for alias in aliases}

    def _all(self) -> str:
        return _list(self._called.values()) or "none: no face was found"

    def pair(self, sheet: Sheet, usable: Sequence[Tier]) -> list[tuple[Tier, str]]:
        """Return each compared tier with the name of its segments."""
        if self._chosen and self._are_tiers_chosen:
            return [(tier, self._chosen) for tier in usable]
        matched = [
            (tier, target)
            for tier in usable
            if (target := self._by_name.get(tier.name.casefold()) or self._by_name.get(tier.who.casefold()))
        ]
        if matched:
            return matched
        if self._chosen:
            return [(tier, self._chosen) for tier in usable]
        if self._crowded():
            raise UsageError(
                f"{sheet.path} does not name a person, and several faces are seen at once: "
                f"give --person or --track, one of {self._all()}"
            )
        return [(tier, ALL) for tier in usable]

    def _crowded(self) -> bool:
        ordered = sorted(self._timeline.segments, key=lambda segment: segment.start)
        reached, track = None, -1
        for segment in ordered:
            if reached is not None and segment.start < reached and segment.track != track:
                return True
            reached, track = max(segment.end, reached or segment.end), segment.track
        return False

    def stretches(self, target: str, labels: tuple[str, ...]) -> list[Stretch]:
        """Return the timeline's stretches by confidence, so that the more confident of two tracks counts."""
        clock = self._timeline.source
        return [
            (
                (segment.start - clock.start) * clock.time_base,
                (segment.end - clock.start) * clock.time_base,
                labels.index(segment.emotion),
            )
            for segment in sorted(self._segments[target], key=lambda segment: segment.confidence)
        ]


def _by_rater(
    pairs: Sequence[tuple[Tier, str]], path: str, called: str, choice: Choice
) -> dict[str, list[tuple[Tier, str]]]:
    """Return the pairs of a file by annotator: as the file names them, else by chosen tier."""
    annotators = {tier.annotator for tier, _ in pairs}
    groups: dict[str, list[tuple[Tier, str]]] = {}
    for tier, target in pairs:
        name = tier.annotator or called if len(annotators) > 1 else called
        groups.setdefault(name, []).append((tier, target))
    if not any(_shared(group) for group in groups.values()):
        return groups
    if choice.tiers:
        return {f"{called} {tier.name}": [(tier, target)] for tier, target in pairs}
    first, second, target = next(shared for group in groups.values() if (shared := _shared(group)))
    raise UsageError(
        f"{path}: the tiers {first!r} and {second!r} are both of {target}: choose with --tier; "
        "several tiers count as several annotators"
    )


def _shared(group: Sequence[tuple[Tier, str]]) -> tuple[str, str, str] | None:
    """Return two tiers compared with the same person and its name, None if there are none."""
    seen: dict[str, str] = {}
    for tier, target in group:
        if target in seen:
            return seen[target], tier.name, target
        seen[target] = tier.name
    return None


def _label(annotation: Annotation, choice: Choice) -> str | None:
    return choice.words.get(annotation.text.casefold()) or label_of(annotation.text)


def _labels(tier: Tier, choice: Choice) -> Iterator[str]:
    return (label for annotation in tier.annotations if (label := _label(annotation, choice)))


def _chosen(sheet: Sheet, choice: Choice) -> list[Tier]:
    return [tier for tier in sheet.tiers if not choice.tiers or tier.name in choice.tiers]


def _stretches(
    tier: Tier, sheet: Sheet, timeline: Timeline, labels: tuple[str, ...], choice: Choice
) -> list[Stretch]:
    """Return the annotations of a tier that are emotions, in seconds from the first frame."""
    shift = choice.offset
    is_on_player_clock = sheet.is_on_player_clock if choice.clock is None else choice.clock == "player"
    if is_on_player_clock:
        shift -= fields.clock_offset(timeline.source)
    return [
        (annotation.start + shift, annotation.end + shift, labels.index(label))
        for annotation in tier.annotations
        if (label := _label(annotation, choice))
    ]


def _overlaps(tier: Tier) -> int:
    count, reached = 0, None
    for annotation in tier.annotations:
        count += reached is not None and annotation.start < reached
        reached = annotation.end if reached is None else max(reached, annotation.end)
    return count


def _list(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
