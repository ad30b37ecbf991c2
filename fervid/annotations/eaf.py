"""ELAN annotation documents (.eaf)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fervid.annotations import Annotation, Sheet, Tier, ordered
from fervid.errors import InputError

Extent = tuple[Fraction, Fraction]  # milliseconds
LONGEST = 18  # digits of a time


def read(data: bytes, path: str) -> Sheet:
    """Read all tiers, including annotations that refer to others."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: unknown encodings
        raise InputError(
            f"{path} is not an ELAN document, or was cut off ({error}): save it again"
        ) from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise InputError(f"{path} is XML, but not an ELAN document")
    header = root.find("HEADER")
    units = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise InputError(f"{path} has times in {units}: save it with a newer ELAN, which writes milliseconds")
    try:
        return Sheet(path, _tiers(root, _origin(header)), is_on_player_clock=True)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}: {error}): save it again") from error


def _origin(header: Element | None) -> int:
    """Return the milliseconds of the first medium at zero of the annotations' clock."""
    media = [] if header is None else header.findall("MEDIA_DESCRIPTOR")
    return _milliseconds(media[0].get("TIME_ORIGIN")) if media else 0


def _milliseconds(text: str | None) -> int:
    """Return a whole number of milliseconds; none is zero."""
    if text is not None and len(text) > LONGEST:
        raise ValueError(f"{text[:40]} is not a time")
    return int(text or 0)


def _tiers(root: Element, origin: int) -> tuple[Tier, ...]:
    slots = {
        slot.attrib["TIME_SLOT_ID"]: slot.get("TIME_VALUE") for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
    }
    extents: dict[str, Extent] = {}
    for tier in root.iterfind("TIER"):
        extents.update(_aligned(tier, slots))
    _resolve(root, extents)
    return tuple(
        Tier(
            tier.attrib["TIER_ID"],
            ordered(
                [
                    Annotation((extents[name][0] + origin) / 1000, (extents[name][1] + origin) / 1000, text)
                    for name, text in _texts(tier)
                    if extents[name][1] > extents[name][0]
                ]
            ),
            who=tier.get("PARTICIPANT", "").strip(),
            annotator=tier.get("ANNOTATOR", "").strip(),
        )
        for tier in root.iterfind("TIER")
    )


def _texts(tier: Element) -> list[tuple[str, str]]:
    return [
        (annotation.attrib["ANNOTATION_ID"], (annotation.findtext("ANNOTATION_VALUE") or "").strip())
        for annotation in tier.iterfind("ANNOTATION/*")
    ]


def _aligned(tier: Element, slots: Mapping[str, str | None]) -> dict[str, Extent]:
    """Return the extents of a tier's annotations, with slots without a time spread evenly."""
    annotations = tier.findall("ANNOTATION/ALIGNABLE_ANNOTATION")
    used = {
        annotation.attrib[side] for annotation in annotations for side in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")
    }
    missing = used - set(slots)
    if missing:
        raise ValueError(f"there is no time slot {min(missing)}")
    names = [name for name in slots if name in used]  # in the order of time
    times = _filled([slots[name] for name in names])
    time = dict(zip(names, times, strict=True))
    return {
        annotation.attrib["ANNOTATION_ID"]: (
            time[annotation.attrib["TIME_SLOT_REF1"]],
            time[annotation.attrib["TIME_SLOT_REF2"]],
        )
        for annotation in annotations
    }


def _filled(values: Sequence[str | None]) -> list[Fraction]:
    """Return the times, with missing ones spread evenly between their neighbours."""
    known = [index for index, value in enumerate(values) if value is not None]
    if values and not known:
        raise ValueError("a tier has no times")
    times = [Fraction(_milliseconds(value)) for value in values]
    for before, after in pairwise(known):
        step = (times[after] - times[before]) / (after - before)
        for index in range(before + 1, after):
            times[index] = times[before] + step * (index - before)
    for index in range(known[0] if known else 0):
        times[index] = times[known[0]]
    for index in range(known[-1] + 1 if known else 0, len(values)):
        times[index] = times[known[-1]]
    return times


def _resolve(root: Element, extents: dict[str, Extent]) -> None:
    """Add the extents of annotations that refer to others: those of a parent share its extent evenly."""
    waiting: dict[tuple[str, str], list[str]] = {}  # parent and tier -> children, in order
    for tier in root.iterfind("TIER"):
        children: dict[str, list[str]] = defaultdict(list)
        for child in tier.iterfind("ANNOTATION/REF_ANNOTATION"):
            children[child.attrib["ANNOTATION_REF"]].append(child.attrib["ANNOTATION_ID"])
        for parent, names in children.items():
            waiting[parent, tier.attrib["TIER_ID"]] = names
    while waiting:
        ready = [key for key in waiting if key[0] in extents]
        if not ready:
            raise ValueError("annotations refer to others that do not exist")
        for key in ready:
            start, end = extents[key[0]]
            names = waiting.pop(key)
            step = (end - start) / len(names)
            for index, name in enumerate(names):
                extents[name] = (start + index * step, start + (index + 1) * step)
