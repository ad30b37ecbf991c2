"""Cut a toy of AFEW out of the example clip: a folder laid out like the dataset, for trying programs on.

AFEW itself is given to researchers on request. Its parts hold a folder per emotion, and those hold clips of
films as AVI. Here each clip is three fifths of a second of the example clip, when its ground truth says so.

    python examples/toy_afew.py AFEW/
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import av

HERE = Path(__file__).parent
WORDS = {"happiness": "Happy", "surprise": "Surprise", "sadness": "Sad", "neutral": "Neutral"}
LENGTH = Fraction(3, 5)  # seconds of a clip
CALM = {"Train_AFEW": Fraction("0.2"), "Val_AFEW": Fraction("10.0")}  # when nothing shows
PARTS = {"Train_AFEW": Fraction(0), "Val_AFEW": Fraction("0.4")}  # seconds after an apex begins


def moments(part: str) -> dict[str, Fraction]:
    """When each emotion is to be seen in the example clip."""
    truth = json.loads((HERE / "clip.truth.json").read_text("utf-8"))
    shown = [found for shot in truth["shots"] for found in shot.get("expressions", ())]
    apexes = {found["emotion"]: Fraction(str(found["apex_start"])) for found in shown}
    return {"neutral": CALM[part]} | {name: apex + PARTS[part] for name, apex in apexes.items()}


def cut(start: Fraction, target: Path) -> None:
    """Write the pictures of [start, start + LENGTH) as AVI."""
    with av.open(HERE / "clip.mp4") as source, av.open(target, "w") as film:
        stream = film.add_stream("mpeg4", rate=25, options={"q:v": "2"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for frame in source.decode(video=0):
            place = round((Fraction(frame.pts * frame.time_base) - start) * 25)
            if 0 <= place < LENGTH * 25:
                frame.pts, frame.time_base, frame.pict_type = place, Fraction(1, 25), 0
                film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; it is made")
    folder: Path = parser.parse_args().folder
    number = 1
    for part in PARTS:
        for emotion, start in moments(part).items():
            place = folder / part / WORDS[emotion]
            place.mkdir(parents=True, exist_ok=True)
            cut(start, place / f"{number:09}.avi")
            number += 1


if __name__ == "__main__":
    main()
