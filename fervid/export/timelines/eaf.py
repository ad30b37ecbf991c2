"""A timeline as an ELAN annotation file (.eaf): a tier per person or track, and a tier of peaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import TextIO
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fervid.export.timelines.fields import NOTE
from fervid.export.timelines.tiers import clean, moments, player_seconds, tiers, unique
from fervid.files import encodable
from fervid.types import Timeline

PEAK = 40  # milliseconds that a peak takes up: ELAN has no points
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
DATE = "1970-01-01T00:00:00+00:00"  # required; fixed, so that the same timeline gives the same bytes
VOCABULARY = "visible expression"
UNDETERMINED = "http://cdb.iso.org/lg/CDB-00130975-001"  # the language of labels, as ELAN writes it
MIME_TYPES = {"mp4": "video/mp4", "matroska": "video/x-matroska", "webm": "video/webm", "mpeg": "video/mpeg"}

Row = tuple[int, int, str]  # milliseconds [start, end), text


def write(timeline: Timeline, stream: TextIO) -> None:
    """Write the timeline in milliseconds of the player's clock, linked to the video."""
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
        _tier(root, {**facts, "TIER_ID": unique(tier.name, taken)}, _separate(rows), slots)
    peaks = _peak_rows([(round(time * 1000), text) for time, text in moments(timeline)])
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
    """The time slots that all tiers refer to: ELAN lists them by time, before the tiers."""

    def __init__(self, order: Element) -> None:
        self._order = order
        self._uses: list[tuple[int, int, Element, str]] = []  # milliseconds, order of use, element, attribute
        self.annotations = 0

    def use(self, milliseconds: int, annotation: Element, attribute: str) -> None:
        self._uses.append((milliseconds, len(self._uses), annotation, attribute))

    def write(self) -> None:
        """Give each use a slot, numbered by time, as ELAN does."""
        for number, (milliseconds, _, annotation, attribute) in enumerate(
            sorted(self._uses, key=itemgetter(0, 1)), 1
        ):
            name = f"ts{number}"
            annotation.set(attribute, name)
            SubElement(self._order, "TIME_SLOT", {"TIME_SLOT_ID": name, "TIME_VALUE": str(milliseconds)})


def _medium(timeline: Timeline, header: Element) -> None:
    """Link the video: ELAN looks for its name in the folder of the .eaf."""
    name = encodable(timeline.source.name)
    container = timeline.source.container
    mime = next((mime for part, mime in MIME_TYPES.items() if part in container), "video/*")
    url = "./" + quote(name)
    SubElement(header, "MEDIA_DESCRIPTOR", {"MEDIA_URL": url, "MIME_TYPE": mime, "RELATIVE_MEDIA_URL": url})


def _tier(root: Element, facts: dict[str, str], rows: Iterable[Row], slots: _Slots) -> None:
    tier = SubElement(root, "TIER", dict(sorted(facts.items())))
    for start, end, text in rows:
        slots.annotations += 1
        facts = {"ANNOTATION_ID": f"a{slots.annotations}"}
        annotation = SubElement(SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", facts)
        slots.use(start, annotation, "TIME_SLOT_REF1")
        slots.use(end, annotation, "TIME_SLOT_REF2")
        SubElement(annotation, "ANNOTATION_VALUE").text = text


def _separate(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without overlaps, each at least a millisecond long: rounding can cause both."""
    separate: list[Row] = []
    reached = 0
    for start, end, text in rows:
        start = max(start, reached)
        reached = max(end, start + 1)
        separate.append((start, reached, text))
    return separate


def _peak_rows(moments: Sequence[tuple[int, str]]) -> list[Row]:
    """Return peaks as short rows, cut off where the next begins; peaks of one millisecond share a row."""
    texts: dict[int, str] = {}
    for time, text in moments:
        texts[time] = f"{texts[time]}; {text}" if time in texts else text
    times = [*texts, max(texts, default=0) + PEAK]
    return [(time, min(time + PEAK, after), texts[time]) for time, after in pairwise(times)]


def _vocabulary(root: Element, labels: Sequence[str]) -> None:
    """Write the kinds of tiers, and the labels as a vocabulary that ELAN offers to annotators."""
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
