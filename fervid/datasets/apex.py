"""Samples from sequences of stills that begin neutral and end at the apex."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from fervid.datasets import Option
from fervid.labels import NEUTRAL
from fervid.types.samples import OnDisk, Sample

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
    """Return a sequence as a clip or as stills of its apex, and its first picture as a neutral face."""
    if frames == "all":
        folder = str(pictures[0].parent)
        samples = [Sample(name, label, OnDisk(folder, rate=rate), subject=person)]
        if has_neutral:
            still = OnDisk(folder, frames=(0, 1), rate=rate)
            samples.append(Sample(f"{name}/first", NEUTRAL, still, subject=person))
        return samples
    stills = [(label, file) for file in pictures[-PEAK:]]
    if has_neutral and len(pictures) > PEAK:
        stills.append((NEUTRAL, pictures[0]))
    return [Sample(f"{name}/{file.name}", shown, OnDisk(str(file)), subject=person) for shown, file in stills]
