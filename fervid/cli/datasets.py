"""`fervid datasets`: list the dataset layouts, and check a dataset."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared.options import Group, command, completer
from fervid.cli.shared.output import STANDARD, open_text, show

if TYPE_CHECKING:
    from rich.table import Table

    from fervid.datasets import Dataset, Spec
    from fervid.types.samples import Sample


@click.group(cls=Group, epilog="fervid datasets list\nfervid datasets check folder:clips/")
def datasets() -> None:
    """List the dataset layouts that fervid reads, and check a dataset.

    A dataset is written NAME:PATH[?option=value&option=value].
    """


@command("list", examples="fervid datasets list --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_layouts(as_json: bool) -> None:
    """List the layouts and their options."""
    from fervid.datasets import layouts

    known = layouts()
    if as_json:
        import json

        facts = [
            {
                "name": layout.name,
                "description": layout.description,
                "options": {
                    name: {
                        "default": option.default,
                        "choices": list(option.choices),
                        "meaning": option.meaning,
                    }
                    for name, option in layout.options.items()
                },
            }
            for layout in known
        ]
        show(json.dumps({"layouts": facts}, indent=2))
        return
    table = _table("name", "what it is", "options (default first)")
    for layout in known:
        options = [
            f"{name}={'|'.join([option.default, *(c for c in option.choices if c != option.default)])}"
            for name, option in layout.options.items()
        ]
        table.add_row(layout.name, layout.description, "\n".join(options))
    _print(table)


@command(
    "check",
    examples="""
    fervid datasets check folder:clips/
    fervid datasets check 'fer2013:fer2013.csv?usage=PublicTest'
    fervid datasets check 'ckplus:CK+/?classes=7&frames=peak' --json
    """,
)
@click.argument("spec", shell_complete=completer("datasets"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_dataset(spec: str, as_json: bool) -> None:
    """Read a dataset without decoding its pictures; print counts, and what is unusual.

    SPEC is NAME:PATH[?option=value&option=value]. Quote it if it contains ? or &.
    """
    from fervid.datasets import parse, read

    parsed, dataset = parse(spec), read(spec)
    facts = _facts(parsed, dataset)
    if as_json:
        import json

        show(json.dumps(facts, indent=2))
        return
    show(f"{facts['samples']:,} samples: {_kinds(facts['kinds'])}")
    show(_people(facts))
    _print(_counts(dataset))
    for remark in dataset.remarks:
        show(f"- {remark}")


def _facts(spec: Spec, dataset: Dataset) -> dict[str, Any]:
    parts = {sample.split for sample in dataset.samples}
    return {
        "layout": spec.name,
        "path": spec.path,
        "options": dict(spec.options),
        "labels": list(dataset.labels),
        "samples": len(dataset.samples),
        "samples_per_label": _per_label(dataset, dataset.samples),
        "samples_per_split": {
            part: _per_label(dataset, [sample for sample in dataset.samples if sample.split == part])
            for part in sorted(part for part in parts if part is not None)
        },
        "samples_with_votes": sum(bool(sample.votes) for sample in dataset.samples),
        "subjects": len({sample.subject for sample in dataset.samples} - {None}),
        "samples_without_subject": sum(sample.subject is None for sample in dataset.samples),
        "kinds": dict(Counter(_kind(sample) for sample in dataset.samples)),
        "remarks": list(dataset.remarks),
    }


def _per_label(dataset: Dataset, samples: Any) -> dict[str, int]:
    counts = Counter(sample.label for sample in samples)
    return {label: counts[label] for label in dataset.labels}


def _kind(sample: Sample) -> str:
    import os

    from fervid.files import STILLS
    from fervid.types.samples import Drawn, OnDisk

    match sample.pixels:
        case OnDisk(path) if os.path.splitext(path)[1].lower() not in STILLS:
            return "folders" if os.path.isdir(path) else "videos"
        case Drawn():
            return "drawn"
    return "pictures"


def _kinds(kinds: dict[str, int]) -> str:
    words = {"folders": "folders of pictures", "drawn": "to be drawn"}
    return ", ".join(f"{count:,} {words.get(kind, kind)}" for kind, count in kinds.items())


def _people(facts: dict[str, Any]) -> str:
    if not facts["subjects"]:
        return "people: not known"
    unknown = facts["samples_without_subject"]
    return f"people: {facts['subjects']:,}" + (f", not known for {unknown:,} samples" if unknown else "")


def _counts(dataset: Dataset) -> Table:
    """Make a table with a row per label and a column per part."""
    parts = sorted({sample.split for sample in dataset.samples}, key=lambda part: (part is None, part or ""))
    headings = ["no part" if part is None else part for part in parts]
    headings = ["samples"] if parts == [None] else headings + ["all"] * (len(parts) > 1)
    table = _table("label", *headings)
    for column in table.columns[1:]:
        column.justify = "right"
    counts = Counter((sample.label, sample.split) for sample in dataset.samples)
    for label in dataset.labels:
        row = [counts[label, part] for part in parts]
        table.add_row(label, *(f"{n:,}" for n in row + [sum(row)] * (len(parts) > 1)))
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table


def _print(table: Table) -> None:
    from fervid.cli.shared.console import console

    with open_text(STANDARD) as stream:
        console(stream).print(table)


for _command in (list_layouts, check_dataset):
    datasets.add_command(_command)
