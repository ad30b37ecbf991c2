"""`fervid compare`: a timeline beside annotations that people made."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import log
from fervid.cli.shared.output import show
from fervid.cli.shared.reading import read_timeline
from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.annotations.pairing import Comparison, Rater
    from fervid.types import Timeline

TIMES = ("player", "first-frame")


class OffsetType(click.ParamType[Fraction]):
    """Seconds, of either sign."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        from fervid.annotations import seconds

        try:
            return seconds(str(value))
        except ValueError:
            self.fail(f"{value!r} is no number of seconds")


@options.command(
    "compare",
    examples="""
    fervid compare out.json human.eaf
    fervid compare out.json anna.TextGrid ben.TextGrid --person P1
    fervid compare out.json human.csv --offset -0.5 --json
    fervid compare out.json human.eaf --tier emotion --track 3 --label smile=happiness
    """,
)
@click.argument("input", metavar="INPUT")
@click.argument("annotations", metavar="ANNOTATIONS...", nargs=-1, required=True)
@click.option("--tier", "tiers", multiple=True, help="Only this tier of annotations; may be repeated.")
@click.option("--person", "persons", multiple=True, help="Whose segments to compare with; may be repeated.")
@click.option("--track", "tracks", type=int, multiple=True, help="The same by a track's number.")
@click.option(
    "--offset",
    type=OffsetType(),
    default="0",
    show_default=True,
    help="Seconds to add to every time of the annotations.",
)
@click.option(
    "--clock",
    type=click.Choice(TIMES),
    help="What the annotations' zero is.  [default: player for EAF and TextGrid, else first-frame]",
)
@click.option("--label", "words", multiple=True, metavar="WORD=EMOTION", help="Another word for an emotion.")
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
def compare(
    *,
    input: str,
    annotations: tuple[str, ...],
    tiers: tuple[str, ...],
    persons: tuple[str, ...],
    tracks: tuple[int, ...],
    offset: Fraction,
    clock: str | None,
    words: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell how far the timeline INPUT agrees with annotations made by hand.

    ANNOTATIONS are ELAN documents (.eaf), Praat TextGrids, or tables with columns start, end and label (.csv,
    .tsv), a file or a tier for each annotator. Labels are matched by name. Tiers that are called as people or
    tracks of the timeline are compared with those; a tier of any other name with all faces, where no two are
    seen at once, or with the --person or --track that is meant.
    """
    from fervid.annotations import read
    from fervid.annotations.pairing import Choice
    from fervid.annotations.pairing import compare as pair

    choice = Choice(tiers, persons, tracks, offset, clock, dict(map(_word, words)))
    for place in annotations:
        if annotations.count(place) > 1:
            raise UsageError(f"{place} is named twice: name each file once")
    with local_path(input) as path:
        timeline = read_timeline(path, input)
    found = pair(timeline, [read(place) for place in annotations], choice)
    if found.left_out:
        log.warning("left out, since nobody in the timeline is called so: %s", ", ".join(found.left_out))
    for rater in found.raters:
        _warn(rater)
    figures = report(timeline, found)
    show(json.dumps(figures, indent=2) if as_json else told(figures))


def _word(text: str) -> tuple[str, str]:
    """WORD=EMOTION."""
    from fervid.labels import label_of

    word, separator, emotion = text.rpartition("=")
    label = label_of(emotion)
    if not separator or not word.strip() or label is None:
        raise UsageError(f"--label {text!r}: write WORD=EMOTION, such as smile=happiness")
    return word.strip().casefold(), label


def _warn(rater: Rater) -> None:
    if rater.strangers:
        words = ", ".join(f"{word} ({count})" for word, count in sorted(rater.strangers.items()))
        log.warning(
            "%s: left out what is no emotion: %s; --label WORD=EMOTION takes a word in", rater.name, words
        )
    if rater.overlaps:
        log.warning("%s: %d annotations overlap; the later one counts", rater.name, rater.overlaps)


def report(timeline: Timeline, found: Comparison) -> dict[str, Any]:
    """Every figure, for JSON."""
    from fervid.export.timelines import shapes

    source = shapes.source(timeline.source)
    labels, step = found.labels, found.ruler.step
    agreements = [rater.agreement(labels) for rater in found.raters]
    between = []
    for place, one in enumerate(found.raters):
        for other in found.raters[place + 1 :]:
            both = one.beside(other, labels)
            if both is not None:
                figures = both.report(step)
                kept = {name: figures[name] for name in ("frames", "accuracy", "kappa")}
                between.append({"annotators": [one.name, other.name], **kept})
    return {
        "note": shapes.NOTE,
        "source": {name: source[name] for name in ("name", "sha256", "clock_offset")},
        "model": {"name": timeline.model.name, "sha256": timeline.model.sha256},
        "labels": list(labels),
        "compared": {
            "start": round(float(found.ruler.start), 6),
            "seconds": round(float(found.ruler.count * step), 6),
            "frames": found.ruler.count,
        },
        "annotators": [
            {
                "name": rater.name,
                "tiers": [{"tier": each.tier, "compared_with": each.whose} for each in rater.ratings],
                "left_out": dict(sorted(rater.strangers.items())),
                "overlapping": rater.overlaps,
                **agreement.report(step),
            }
            for rater, agreement in zip(found.raters, agreements, strict=True)
        ],
        "together": sum(agreements[1:], agreements[0]).report(step),
        "between_annotators": between,
    }


def told(figures: dict[str, Any]) -> str:
    """The figures for a person: tables of plain text."""
    raters = figures["annotators"]
    compared = figures["compared"]
    several = len(raters) > 1
    rows = [*raters, {"name": "together", **figures["together"]}] if several else raters
    width = max(10, *(len(each["name"]) for each in rows))
    lines = [
        f"{figures['source']['name']}: {compared['frames']} frames, {compared['seconds']:.3f} s; "
        f"model {figures['model']['name']}",
        "",
        f"{'annotator':<{width}}"
        + "".join(f"{name:>10}" for name in ("frames", "accuracy", "kappa", "macro F1", "found")),
    ]
    for each in rows:
        cells = (each["accuracy"], each["kappa"], each["macro_f1"], each["found"])
        lines.append(f"{each['name']:<{width}}{each['frames']:>10}" + "".join(map(_cell, cells)))
    for pair in figures["between_annotators"]:
        lines.append(
            f"between {' and '.join(pair['annotators'])}: accuracy {_figure(pair['accuracy'])}, "
            f"kappa {_figure(pair['kappa'])} over {pair['frames']} frames"
        )
    for each in raters:
        lines.append(f"{each['name']} compared: {', '.join(map(_pair, each['tiers']))}")
    lines += ["", "coverage, in seconds"]
    for each in rows:
        parts = {part: found["seconds"] for part, found in each["coverage"].items()}
        lines.append(
            f"{each['name']:<{width}}  both {parts['both']:.1f}, annotator only "
            f"{parts['annotator_only']:.1f}, timeline only {parts['timeline_only']:.1f}, "
            f"neither {parts['neither']:.1f}"
        )
    lines += ["", *_emotions(figures["labels"], figures["together"]), "", figures["note"]]
    return "\n".join(lines)


def _emotions(labels: list[str], figures: dict[str, Any]) -> list[str]:
    """Per emotion, and what was taken for what, for those that occur."""
    counts = figures["confusion"]
    places = [place for place in range(len(labels)) if sum(counts[place]) + sum(row[place] for row in counts)]
    lines = [f"{'emotion':<12}" + "".join(f"{name:>11}" for name in ("frames", "precision", "recall", "F1"))]
    for place in places:
        found = figures["per_emotion"][labels[place]]
        cells = "".join(f"{_figure(found[name]):>11}" for name in ("precision", "recall", "f1"))
        lines.append(f"{labels[place]:<12}{found['frames']:>11}{cells}")
    lines += ["", "confusion: a row per annotated emotion, in frames, as the timeline has it"]
    lines.append(" " * 12 + "".join(f"{labels[place][:9]:>10}" for place in places))
    for place in places:
        lines.append(f"{labels[place]:<12}" + "".join(f"{counts[place][column]:>10}" for column in places))
    return lines


def _pair(each: dict[str, str]) -> str:
    tier, whose = each["tier"] or "rows", each["compared_with"]
    return tier if tier == whose else f"{tier} with {whose}"


def _cell(value: float | None) -> str:
    return f"{_figure(value):>10}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
