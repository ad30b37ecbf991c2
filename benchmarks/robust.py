"""Measure a model on damaged faces, and write the table into its card.

    python benchmarks/robust.py [--data DIR] [--model M] [--card FILE] [--plot FILE] [--json FILE]

Needs the packs ferplus.npz and portraits.npz. README.md in this folder explains the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fervid import datasets, execute, model
from fervid.labels import EMOTIONS
from fervid.train import footage
from fervid.train.robust import Figure, measure, picture, table

SECTION, BEFORE = "## Damaged and turned faces", "## Why it is built this way"
SEED = 3  # of the acted portraits: used for no choice
TEXT = """{section}

`python benchmarks/robust.py --data DIR --card FILE` measures this table: {faces} pictures of FER2013's
public-test part and {clips} acted portraits, evenly spread over the labels. Their faces are found as they
are, then damaged, and landmarks are moved as the damage moves their prediction. Rows of yaw and pitch are
undamaged faces, by the turn of the head. The strength is the share of light, contrast, resolution or JPEG
quality that is lost, or the width of a blur in eye distances. ECE is the expected calibration error.

{rows}

"""


def measured(name: str, specs: Sequence[tuple[str, int]], jobs: int | None) -> list[list[Figure]]:
    """Return the figures of a model on some data, each with at most `most` samples of a label."""
    net, results = model.load(name), []
    with execute.open_executor(jobs) as executor:
        for spec, most in specs:
            samples = datasets.read(spec).samples
            kept = []
            for label in EMOTIONS:
                own = [sample for sample in samples if sample.label == label]
                count = min(most, len(own))
                kept += [own[index * len(own) // count] for index in range(count)]
            strips = footage.cut(kept, executor)
            results.append(list(measure(net, strips, EMOTIONS, lambda row: print(row, file=sys.stderr))))
    return results


def section(stills: Sequence[Figure], clips: Sequence[Figure]) -> str:
    """Return the section of the card."""
    moving = {(figure.name, figure.strength): figure for figure in clips}
    rows = [
        "| face | strength | FER2013 | recall | ECE | acted | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in stills:
        other = moving.get((figure.name, figure.strength))
        name, _, low = figure.name.partition(" from ")
        turned = f"{low}° to {figure.strength:g}°" if low else ""
        strength = turned or ("" if figure.strength in (None, 1.0) else f"{figure.strength:g}")
        acted = "| |" if other is None else f"{100 * other.accuracy:.0f} % | {other.error:.2f} |"
        rows.append(
            f"| {name} | {strength} | {100 * figure.accuracy:.0f} % | {100 * figure.mean_recall:.0f} % "
            f"| {figure.error:.2f} | {acted}"
        )
    counts = {"faces": stills[0].count, "clips": clips[0].count}
    return TEXT.format(section=SECTION, rows="\n".join(rows), **counts)


def with_section(card: str, text: str) -> str:
    """Return a card with this section, instead of the old one or before BEFORE."""
    start = card.find(SECTION)
    stop = card.index(BEFORE) if start < 0 else card.index("\n## ", start) + 1
    return card[: stop if start < 0 else start] + text + card[stop:]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--most", type=int, default=40, help="pictures of each label")
    parser.add_argument("--acted", type=int, default=4, help="acted portraits of each label")
    parser.add_argument("--jobs", type=int, help="processes that find the faces")
    parser.add_argument("--card", type=Path, help="write the table into this card")
    parser.add_argument("--plot", type=Path, help="draw the pictures, as .png, .svg or .pdf")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    stills = f"ferplus:{options.data / 'ferplus.npz'}?usage=PublicTest"
    acted = f"acted:{options.data / 'portraits.npz'}?part=test&seed={SEED}&per_class={options.acted}"
    both = measured(options.model, [(stills, options.most), (acted, options.acted)], options.jobs)
    text = section(*both)
    print(text)
    if options.card is not None:
        options.card.write_text(with_section(options.card.read_text("utf-8"), text), encoding="utf-8")
    if options.plot is not None:
        title = f"{options.model} on {both[0][0].count} pictures of FER2013's public test"
        options.plot.write_bytes(picture.draw(title, both[0], options.plot.suffix.removeprefix(".")))
    if options.json is not None:
        values = [
            table.as_json(options.model, [spec], part)
            for spec, part in zip(("stills", "acted"), both, strict=True)
        ]
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
