"""A timeline as an ELAN annotation timeline (.eaf): a tier per person or track, and one of peaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TextIO
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fervid.export.timelines.shapes import NOTE
from fervid.export.timelines.tiers import clean, moments, player_seconds, tiers, unique
from fervid.files import encodable
from fervid.types import Timeline

PEAK = 40  # milliseconds that a peak is drawn as: ELAN has no points
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
DATE = "1970-01-01T00:00:00+00:00"  # ELAN wants one; the same timeline gives the same bytes
VOCABULARY = "visible expression"
UNDETERMINED = "http://cdb.iso.org/lg/CDB-00130975-001"  # the language of labels, as ELAN itself writes it
MIME_TYPES = {"mp4": "video/mp4", "matroska": "video/x-matroska", "webm": "video/webm", "mpeg": "video/mpeg"}

Row = tuple[int, int, str]  # milliseconds [start, end), text


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write the timeline on the player's clock, in milliseconds, with the video as its medium."""
    root = Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "fervid",
            "DATE": DATE,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{INSTANCE}}}noNamespaceSchemaLocation": SCHEMA,
        },
    )
    header = SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    _medium(timeline, header)
    order = SubElement(root, "TIME_ORDER")
    slots = _Slots(order)
    annotator = clean(f"fervid, model {timeline.model.name}")
    taken: set[str] = set()
    for tier in tiers(timeline):
        rows = [
            (
                round(player_seconds(timeline, segment.start) * 1000),
                round(player_seconds(timeline, segment.end) * 1000),
                segment.emotion,
            )
            for segment in tier.segments
        ]
        facts = {"ANNOTATOR": annotator, "LINGUISTIC_TYPE_REF": "expression", "PARTICIPANT": tier.who}
        _tier(root, {**facts, "TIER_ID": unique(tier.name, taken)}, _apart(rows), slots)
    peaks = _drawn([(round(time * 1000), text) for time, text in moments(timeline)])
    facts = {"ANNOTATOR": annotator, "LINGUISTIC_TYPE_REF": "peak", "TIER_ID": unique("peaks", taken)}
    _tier(root, facts, peaks, slots)
    slots.write()
    for name, value in (
        ("lastUsedAnnotationId", str(slots.annotations)),
        ("note", NOTE),
        ("model", clean(f"{timeline.model.name} {timeline.model.sha256}")),
    ):
        SubElement(header, "PROPERTY", {"NAME": name}).text = value
    _vocabulary(root, timeline.labels)
    ElementTree.indent(root)
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    stream.write(ElementTree.tostring(root, encoding="unicode"))
    stream.write("\n")


class _Slots:
    """The time slots of a timeline: every tier refers to them, and they stand in order before all tiers."""

    def __init__(self, order: Element) -> None:
        self._order = order
        self._uses: list[tuple[int, int, Element, str]] = []  # time, when asked for, whose attribute
        self.annotations = 0

    def use(self, milliseconds: int, annotation: Element, attribute: str) -> None:
        self._uses.append((milliseconds, len(self._uses), annotation, attribute))

    def write(self) -> None:
        """Number the slots by time, one for each use, as ELAN does."""
        for number, (milliseconds, _, annotation, attribute) in enumerate(sorted(self._uses, key=_when), 1):
            name = f"ts{number}"
            annotation.set(attribute, name)
            SubElement(self._order, "TIME_SLOT", {"TIME_SLOT_ID": name, "TIME_VALUE": str(milliseconds)})


def _when(use: tuple[int, int, Element, str]) -> tuple[int, int]:
    return use[:2]


def _medium(timeline: Timeline, header: Element) -> None:
    """Where ELAN looks for the video: in the folder of the .eaf, under the name that it had."""
    name = encodable(timeline.source.name)
    container = timeline.source.container
    mime = next((mime for part, mime in MIME_TYPES.items() if part in container), "video/*")
    place = "./" + quote(name)
    SubElement(
        header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": place, "MIME_TYPE": mime, "RELATIVE_MEDIA_URL": place}
    )


def _tier(root: Element, facts: dict[str, str], rows: Iterable[Row], slots: _Slots) -> None:
    tier = SubElement(root, "TIER", dict(sorted(facts.items())))
    for start, end, text in rows:
        slots.annotations += 1
        facts = {"ANNOTATION_ID": f"a{slots.annotations}"}
        annotation = SubElement(SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", facts)
        slots.use(start, annotation, "TIME_SLOT_REF1")
        slots.use(end, annotation, "TIME_SLOT_REF2")
        SubElement(annotation, "ANNOTATION_VALUE").text = text


def _apart(rows: Sequence[Row]) -> list[Row]:
    """Rows that neither overlap nor vanish once their times are whole milliseconds."""
    apart: list[Row] = []
    reached = 0
    for start, end, text in rows:
        start = max(start, reached)
        reached = max(end, start + 1)
        apart.append((start, reached, text))
    return apart


def _drawn(moments: Sequence[tuple[int, str]]) -> list[Row]:
    """Moments as short stretches, cut off where the next begins; those within one millisecond share one."""
    told: dict[int, str] = {}
    for time, text in moments:
        told[time] = f"{told[time]}; {text}" if time in told else text
    times = [*told, max(told, default=0) + PEAK]
    return [(time, min(time + PEAK, after), told[time]) for time, after in pairwise(times)]


def _vocabulary(root: Element, labels: Sequence[str]) -> None:
    """The kinds of tiers, and the emotions as a vocabulary that ELAN offers to whoever corrects them."""
    kind = {"GRAPHIC_REFERENCES": "false", "TIME_ALIGNABLE": "true"}
    SubElement(
        root,
        "LINGUISTIC_TYPE",
        {"CONTROLLED_VOCABULARY_REF": VOCABULARY, "LINGUISTIC_TYPE_ID": "expression", **kind},
    )
    SubElement(root, "LINGUISTIC_TYPE", {"LINGUISTIC_TYPE_ID": "peak", **kind})
    language = {"LANG_DEF": UNDETERMINED, "LANG_ID": "und", "LANG_LABEL": "undetermined (und)"}
    SubElement(root, "LANGUAGE", language)
    vocabulary = SubElement(root, "CONTROLLED_VOCABULARY", {"CV_ID": VOCABULARY})
    SubElement(vocabulary, "DESCRIPTION", {"LANG_REF": "und"}).text = NOTE
    for label in labels:
        entry = SubElement(vocabulary, "CV_ENTRY_ML", {"CVE_ID": f"cve_{label}"})
        SubElement(entry, "CVE_VALUE", {"LANG_REF": "und"}).text = label
