"""`ravdess`: RAVDESS, videos of 24 actors who speak and sing; file names are codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fervid.datasets import ALL, Dataset, Option, disk, layout
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "the folder with Actor_01/01-01-03-02-01-01-01.mp4 (or Video_Speech_Actor_01/Actor_01/...)"
DEPTH = 3  # folders between the root and the files, at most
NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-\d\d-\d\d-\d\d-(\d\d)")
MODALITIES = ("01", "02")  # with sound, without: the same pictures; the first is preferred
SOUND = "03"
CHANNELS = {"01": "speech", "02": "song"}
CALM = "calm"
CODES = {
    "01": "neutral",
    "02": CALM,
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}


@layout(
    "ravdess",
    "RAVDESS: videos of 24 actors, 7 classes",
    channel=Option("speech", "spoken, sung, or both", ("speech", "song", ALL)),
    calm=Option("skip", "leave calm out, or read it as neutral", ("skip", "neutral")),
)
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the videos, each once, with or without sound."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    takes: dict[str, tuple[str, Path]] = {}  # codes of a take -> modality and file
    for _, files in disk.tree(root, DEPTH):
        for file in files:
            codes = NAME.fullmatch(file.stem)
            if codes is not None and (codes[1] == SOUND or file.suffix.lower() == ".wav"):
                remarks.count("sound files, left out", file.name)
            elif codes is None or file.suffix.lower() not in VIDEOS or not _is_known(codes):
                remarks.count("files that are not videos of RAVDESS, left out", file.name)
            else:
                take = file.stem[3:]
                if take in takes:
                    remarks.count("videos with the same pictures as another, left out", file.name)
                takes[take] = min(takes.get(take, (codes[1], file)), (codes[1], file))
    if not takes:
        raise InputError(f"{display_name(path)} is not RAVDESS: expected {EXPECTED}; {disk.listing(root)}")
    samples = []
    for take, (_, file) in sorted(takes.items(), key=lambda item: (item[0][-2:], item[0])):
        channel, label, actor = CHANNELS[take[:2]], CODES[take[3:5]], f"Actor_{take[-2:]}"
        if options["channel"] not in (channel, ALL):
            remarks.count(f"videos of {channel}, left out (channel={options['channel']})", file.name)
        elif label == CALM and options["calm"] == "skip":
            remarks.count("calm videos, left out (calm=skip)", file.name)
        else:
            label = "neutral" if label == CALM else label
            # The name is the same with and without sound.
            samples.append(Sample(f"{actor}/{take}", label, OnDisk(str(file)), subject=actor))
    return Dataset(EMOTIONS, tuple(samples), remarks.texts())


def _is_known(codes: re.Match[str]) -> bool:
    return codes[1] in MODALITIES and codes[2] in CHANNELS and codes[3] in CODES
