"""Cut a toy AFEW out of the example clip: a folder with the layout of the dataset, for trying programs.

AFEW itself is given to researchers on request. Each of its parts has a folder per emotion with clips of films
as AVI. Here each clip is three fifths of a second of the example clip, at an apex from its ground truth.

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
NEUTRAL = {"Train_AFEW": Fraction("0.2"), "Val_AFEW": Fraction("10.0")}  # seconds into the clip
PARTS = {"Train_AFEW": Fraction(0), "Val_AFEW": Fraction("0.4")}  # seconds after the beginning of an apex


def moments(part: str) -> dict[str, Fraction]:
    """Return the time in the example clip from which to cut each emotion."""
    truth = json.loads((HERE / "clip.truth.json").read_text("utf-8"))
    expressions = [expression for shot in truth["shots"] for expression in shot.get("expressions", ())]
    apexes = {shown["emotion"]: Fraction(str(shown["apex_start"])) for shown in expressions}
    return {"neutral": NEUTRAL[part]} | {name: apex + PARTS[part] for name, apex in apexes.items()}


def cut(start: Fraction, target: Path) -> None:
    """Write the frames of [start, start + LENGTH) as AVI."""
    with av.open(HERE / "clip.mp4") as source, av.open(target, "w") as film:
        stream = film.add_stream("mpeg4", rate=25, options={"q:v": "2"})
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for frame in source.decode(video=0):
            index = round((Fraction(frame.pts * frame.time_base) - start) * 25)
            if 0 <= index < LENGTH * 25:
                frame.pts, frame.time_base, frame.pict_type = index, Fraction(1, 25), 0
                film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; it is created")
    folder: Path = parser.parse_args().folder
    number = 1
    for part in PARTS:
        for emotion, start in moments(part).items():
            target = folder / part / WORDS[emotion]
            target.mkdir(parents=True, exist_ok=True)
            cut(start, target / f"{number:09}.avi")
            number += 1


if __name__ == "__main__":
    main()
