"""`acted`: the neutral faces of a pack of portraits, animated with each emotion."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

from fervid.datasets import ALL, DIGITS, Dataset, Option, layout, packs, portraits, synth
from fervid.errors import InputError, UsageError
from fervid.files import display_name
from fervid.labels import CONTEMPT, EMOTIONS, NEUTRAL


@layout(
    "acted",
    "neutral portraits of such a pack, animated by the sequences of synth",
    difficulty=Option(
        "medium", "how strong the expressions are, and how much else moves", synth.DIFFICULTIES
    ),
    per_class=Option("60", "samples of each label, shared among the people", least=1),
    classes=Option("7", "6 without neutral, 7 with it, 8 also with contempt", ("6", "7", "8")),
    only=Option(ALL, "only samples of this label", (ALL, *EMOTIONS, CONTEMPT)),
    seed=Option("0", "seed of the animations", least=0, most=10**DIGITS),
    part=packs.PART,
    half=packs.HALF,
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """List the samples; they are drawn later."""
    cast = [
        sample
        for sample in portraits.people(path)
        if sample.label == NEUTRAL
        and options["part"] in (ALL, sample.split)
        and options["half"] in (ALL, packs.half_of(sample.subject or sample.name))
    ]
    if not cast:
        part = options["part"] + (f", {options['half']} half" if options["half"] != ALL else "")
        raise InputError(f"{display_name(path)} has no neutral portrait of the part {part}")
    labels = synth.LABELS[options["classes"]]
    if options["only"] not in (ALL, *labels):
        raise UsageError(f"only={options['only']} is none of the {len(labels)} classes: give classes= too")
    difficulty, seed, count = options["difficulty"], options["seed"], int(options["per_class"])
    samples = []
    for label in labels if options["only"] == ALL else (options["only"],):
        for take in range(count):
            # Every label has the same faces, so that identity does not predict it.
            face = cast[(take * max(1, len(cast) // count)) % len(cast)]
            name = f"{difficulty}/{seed}/{take}/{label}/{face.name}"
            motion = f"act/{difficulty}/{zlib.crc32(name.encode())}/{label}"
            # A face without a name counts as one person, in all samples that show it.
            subject = face.subject or face.name
            samples.append(replace(packs.moved(face, name, motion), label=label, subject=subject))
    return Dataset(labels, tuple(samples))
