"""Sequences of stills that begin neutral and end at the apex, and the samples that each gives."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from fervid.datasets import Option
from fervid.labels import NEUTRAL
from fervid.samples import OnDisk, Sample

FRAMES = Option("all", "the sequence, or its last 3 pictures as stills", ("all", "peak"))
PEAK = 3  # last pictures that count as the apex


def samples(
    name: str,
    label: str,
    pictures: Sequence[Path],
    person: str,
    rate: Fraction,
    frames: str,
    has_neutral: bool,
) -> list[Sample]:
    """A sequence as a clip, or as stills of its apex; and its first picture as a neutral face."""
    if frames == "all":
        folder = str(pictures[0].parent)
        found = [Sample(name, label, OnDisk(folder, rate=rate), subject=person)]
        if has_neutral:
            first = f"{name}/first"
            still = OnDisk(folder, frames=(0, 1), rate=rate)
            found.append(Sample(first, NEUTRAL, still, subject=person))
        return found
    stills = [(label, file) for file in pictures[-PEAK:]]
    if has_neutral and len(pictures) > PEAK:
        stills.append((NEUTRAL, pictures[0]))
    return [Sample(f"{name}/{file.name}", shows, OnDisk(str(file)), subject=person) for shows, file in stills]
