"""`fervid compare`: measure how well a timeline agrees with manual annotations."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations
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
    """Seconds, positive or negative."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        from fervid.annotations import seconds

        try:
            return seconds(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds")


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
@click.option(
    "--tier",
    "tiers",
    metavar="NAME",
    multiple=True,
    help="Only this tier of the annotations; may be repeated.",
)
@click.option(
    "--person",
    "persons",
    metavar="PERSON",
    multiple=True,
    help="Compare with this person's segments; may be repeated.",
)
@click.option(
    "--track",
    "tracks",
    type=int,
    multiple=True,
    help="Compare with the segments of this track, by number; may be repeated.",
)
@click.option(
    "--offset",
    type=OffsetType(),
    default="0",
    show_default=True,
    help="Add this to every time of the annotations; may be negative.",
)
@click.option(
    "--clock",
    type=click.Choice(TIMES),
    help="Where the annotations' times begin.  [default: player for EAF and TextGrid, otherwise first-frame]",
)
@click.option(
    "--label",
    "words",
    multiple=True,
    metavar="WORD=EMOTION",
    help="Read this word of the annotations as this emotion; may be repeated.",
)
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
    """Measure how well the timeline INPUT agrees with manual annotations.

    ANNOTATIONS are ELAN documents (.eaf), Praat TextGrids (.TextGrid), or tables with columns start, end and
    label (.csv, .tsv), with a file or a tier for each annotator. Labels are matched by name. A tier with the
    name of a person or track of the timeline is compared with it. Any other tier is compared with the given
    --person or --track, or with all faces if no two are visible at once.
    """
    from fervid.annotations import read
    from fervid.annotations.pairing import Choice
    from fervid.annotations.pairing import compare as pair

    choice = Choice(tiers, persons, tracks, offset, clock, dict(map(_word, words)))
    for name in annotations:
        if annotations.count(name) > 1:
            raise UsageError(f"{name} is named twice: name each file once")
    with local_path(input) as path:
        timeline = read_timeline(path, input)
    comparison = pair(timeline, [read(name) for name in annotations], choice)
    if comparison.left_out:
        names = ", ".join(comparison.left_out)
        log.warning("left out, because nobody in the timeline has this name: %s", names)
    for rater in comparison.raters:
        _warn(rater)
    figures = report(timeline, comparison)
    show(json.dumps(figures, indent=2) if as_json else text_of(figures))


def _word(text: str) -> tuple[str, str]:
    """Return the word and the label of WORD=EMOTION."""
    from fervid.labels import label_of

    word, separator, emotion = text.rpartition("=")
    label = label_of(emotion)
    if not separator or not word.strip() or label is None:
        raise UsageError(f"--label {text!r}: write WORD=EMOTION, such as smile=happiness")
    return word.strip().casefold(), label


def _warn(rater: Rater) -> None:
    if rater.unknown:
        words = ", ".join(f"{word} ({count})" for word, count in sorted(rater.unknown.items()))
        log.warning(
            "%s: left out labels that are not emotions: %s; map them with --label WORD=EMOTION",
            rater.name,
            words,
        )
    if rater.overlaps:
        log.warning("%s: %d annotations overlap; the later one counts", rater.name, rater.overlaps)


def report(timeline: Timeline, comparison: Comparison) -> dict[str, Any]:
    """Return every figure, for JSON."""
    from fervid.annotations.pairing import unlabelled
    from fervid.export.timelines import fields

    source = fields.source(timeline.source)
    labels, step, ruler = comparison.labels, comparison.ruler.step, comparison.ruler
    agreements = [rater.agreement(labels) for rater in comparison.raters]
    between = []
    for rater, other in combinations(comparison.raters, 2):
        both = rater.agreement_with(other, labels)
        if both is not None:
            figures = both.report(step)
            kept = {name: figures[name] for name in ("frames", "accuracy", "kappa")}
            between.append({"annotators": [rater.name, other.name], **kept})
    return {
        "note": fields.NOTE,
        "source": {name: source[name] for name in ("name", "sha256", "clock_offset")},
        "model": {"name": timeline.model.name, "sha256": timeline.model.sha256},
        "labels": list(labels),
        "compared": {
            "start": round(float(ruler.start), 6),
            "seconds": round(float(ruler.count * step), 6),
            "frames": ruler.count,
        },
        "annotators": [
            {
                "name": rater.name,
                "tiers": [
                    {"tier": rating.tier, "compared_with": rating.compared_with} for rating in rater.ratings
                ],
                "left_out": dict(sorted(rater.unknown.items())),
                "overlapping": rater.overlaps,
                **agreement.report(step),
                "unlabelled_seconds": _seconds(unlabelled([rater], ruler), step),
            }
            for rater, agreement in zip(comparison.raters, agreements, strict=True)
        ],
        "together": {
            **sum(agreements[1:], agreements[0]).report(step),
            "unlabelled_seconds": _seconds(unlabelled(comparison.raters, ruler), step),
        },
        "between_annotators": between,
    }


def _seconds(frames: int, step: Fraction) -> float:
    return round(float(frames * step), 3)


def text_of(figures: dict[str, Any]) -> str:
    """Return the figures as tables of plain text."""
    raters = figures["annotators"]
    compared = figures["compared"]
    several = len(raters) > 1
    rows = [*raters, {"name": "together", **figures["together"]}] if several else raters
    width = max(10, *(len(row["name"]) for row in rows))
    lines = [
        f"{figures['source']['name']}: {compared['frames']} frames, {compared['seconds']:.3f} s; "
        f"model {figures['model']['name']}",
        "",
        f"{'annotator':<{width}}"
        + "".join(f"{name:>10}" for name in ("frames", "accuracy", "kappa", "macro F1", "found")),
    ]
    for row in rows:
        cells = (row["accuracy"], row["kappa"], row["macro_f1"], row["found"])
        lines.append(f"{row['name']:<{width}}{row['frames']:>10}" + "".join(map(_cell, cells)))
    for pair in figures["between_annotators"]:
        lines.append(
            f"between {' and '.join(pair['annotators'])}: accuracy {_figure(pair['accuracy'])}, "
            f"kappa {_figure(pair['kappa'])} over {pair['frames']} frames"
        )
    for rater in raters:
        lines.append(f"{rater['name']} compared: {', '.join(map(_pair, rater['tiers']))}")
    lines += ["", "coverage, in seconds"]
    for row in rows:
        parts = {part: coverage["seconds"] for part, coverage in row["coverage"].items()}
        lines.append(
            f"{row['name']:<{width}}  both {parts['both']:.1f}, annotator only "
            f"{parts['annotator_only']:.1f}, timeline only {parts['timeline_only']:.1f}, "
            f"neither {row['unlabelled_seconds']:.1f}"
        )
    lines += ["", *_emotions(figures["labels"], figures["together"]), "", figures["note"]]
    return "\n".join(lines)


def _emotions(labels: list[str], figures: dict[str, Any]) -> list[str]:
    """Return lines of figures per emotion and the confusion matrix, for emotions that occur."""
    from fervid.cli.shared.columns import grid

    counts = figures["confusion"]
    used = [index for index in range(len(labels)) if sum(counts[index]) + sum(row[index] for row in counts)]
    lines = [f"{'emotion':<12}" + "".join(f"{name:>11}" for name in ("frames", "precision", "recall", "F1"))]
    for label in (labels[index] for index in used):
        emotion = figures["per_emotion"][label]
        cells = "".join(f"{_figure(emotion[name]):>11}" for name in ("precision", "recall", "f1"))
        lines.append(f"{label:<12}{emotion['frames']:>11}{cells}")
    lines += ["", "confusion in frames: a row per annotated emotion, a column per emotion of the timeline"]
    names = [labels[index] for index in used]
    matrix = [[labels[row], *(str(counts[row][column]) for column in used)] for row in used]
    return lines + grid(["", *names], matrix, gap=2)


def _pair(tier: dict[str, str]) -> str:
    name, other = tier["tier"] or "rows", tier["compared_with"]
    return name if name == other else f"{name} with {other}"


def _cell(value: float | None) -> str:
    return f"{_figure(value):>10}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
