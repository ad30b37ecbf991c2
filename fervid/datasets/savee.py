"""`savee`: SAVEE, videos of four speaking men with markers painted on their faces."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fervid.datasets import Dataset, disk, layout
from fervid.datasets.remarks import Remarks
from fervid.errors import InputError
from fervid.files import VIDEOS, display_name
from fervid.labels import EMOTIONS
from fervid.types.samples import OnDisk, Sample

EXPECTED = "SAVEE's folder, with AudioVisualClip/DC/a1.avi, AudioVisualClip/JE/, ..."
DEPTH = 4  # folders between the root and the files, at most
ACTORS = ("DC", "JE", "JK", "KL")
NAME = re.compile(rf"(?:({'|'.join(ACTORS)})[ _-]?)?(sa|su|a|d|f|h|n)(\d{{1,2}})", re.IGNORECASE)
CODES = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
CLIPS = 480


@layout("savee", "SAVEE: videos of 4 men with painted markers, 7 classes")
def read(path: str, options: Mapping[str, str]) -> Dataset:
    """Read the videos; the actor is the folder of a file, or the start of its name."""
    root, remarks = disk.folder(path, EXPECTED), Remarks()
    samples: dict[str, Sample] = {}
    for folder, files in disk.tree(root, DEPTH):
        for file in files:
            parts = NAME.fullmatch(file.stem)
            actor = (parts[1] if parts and parts[1] else folder.name).upper()
            if file.suffix.lower() == ".wav":
                remarks.count("sound files, left out", file.name)
            elif parts is None or file.suffix.lower() not in VIDEOS:
                remarks.count("files that are not videos of SAVEE, left out", file.name)
            elif actor not in ACTORS:
                remarks.count(f"videos of none of the actors {', '.join(ACTORS)}, left out", file.name)
            else:
                code = parts[2].lower()
                name = f"{actor}/{code}{int(parts[3]):02}"
                if name in samples:
                    remarks.count("clips found twice, read once", name)
                else:
                    samples[name] = Sample(name, CODES[code], OnDisk(str(file)), subject=actor)
    if not samples:
        raise InputError(f"{display_name(path)} is not SAVEE: expected {EXPECTED}; {disk.listing(root)}")
    if len(samples) != CLIPS:
        remarks.add(f"{len(samples)} videos; the whole set has {CLIPS}, 120 of each actor")
    remarks.add("markers are painted on the faces: a network may learn them, and no other set has them")
    return Dataset(EMOTIONS, tuple(samples.values()), remarks.texts())
