"""Measure how long `fervid audience` takes, from the timelines of the viewers.

    python benchmarks/audience.py [--viewers 100] [--minutes 10] [--permutations 1000] [--json]

It makes timelines of random viewers, who smile together at some moments, and a film of the same length, and
runs the command as a user does. The time is processor time, so that it holds on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

RATE = Fraction(25)
EVERY = 8  # frames between windows: 0.32 s
TOGETHER = 12  # smiles of all
ALONE = 30  # smiles of each


def make_film(path: Path, seconds: float) -> None:
    """Write a small film of plain pictures."""
    import av

    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(round(seconds * RATE)):
            picture = av.VideoFrame(64, 48, "yuv420p")
            output.mux(stream.encode(picture))
        output.mux(stream.encode())


def make_viewer(path: Path, seconds: float, together: np.ndarray, generator: np.random.Generator) -> None:
    """Write the timeline of a viewer."""
    from fervid.export.timelines import json as writer
    from fervid.labels import EMOTIONS
    from fervid.timeline import intensity, valence_arousal
    from fervid.types import Curve, ModelInfo, Settings, Source, Tally, Timeline

    frames = round(seconds * RATE)
    pts = np.arange(0, frames, EVERY)
    times = pts / float(RATE)
    smile = np.zeros(len(pts))
    for moment in [*together, *generator.uniform(0, seconds, ALONE)]:
        smile += generator.uniform(0.2, 0.8) * np.exp(-0.5 * ((times - moment) / 1.5) ** 2)
    scores = np.full((len(pts), len(EMOTIONS)), 0.01)
    scores[:, EMOTIONS.index("happiness")] = smile.clip(0.01, 0.94)
    scores[:, EMOTIONS.index("neutral")] += 1 - scores.sum(1)
    scores = scores.astype(np.float32)
    valence, arousal = valence_arousal(scores, EMOTIONS)
    source = Source(
        name=path.stem + ".mp4",
        sha256=path.stem.zfill(64),
        container="mov,mp4",
        codec="h264",
        time_base=1 / RATE,
        start=0,
        duration=frames,
        clock_offset=Fraction(0),
        rate=RATE,
        width=640,
        height=480,
        rotation=0,
        planned=frames,
    )
    curve = Curve(
        track=1,
        start=0,
        end=frames,
        frames=frames,
        hull=np.array([200, 100, 200, 200], np.float32),
        pts=pts,
        scores=scores,
        quality=(generator.uniform(size=len(pts)) < 0.95).astype(np.float32),
        valence=valence,
        arousal=arousal,
        intensity=intensity(scores, EMOTIONS),
    )
    model = ModelInfo("random", "0" * 64, True, EMOTIONS, ("random",), {})
    shots, settings = np.zeros(1, np.int64), Settings().as_json()
    timeline = Timeline(source, model, settings, Tally(frames, frames), shots, (curve,), (), ())
    with path.open("w", encoding="utf-8") as stream:
        writer.write(timeline, stream)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--permutations", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seconds, generator = 60 * arguments.minutes, np.random.default_rng(1)
    together = generator.uniform(0, seconds, TOGETHER)
    with tempfile.TemporaryDirectory() as folder:
        film, names = Path(folder) / "film.mp4", []
        make_film(film, seconds)
        for index in range(arguments.viewers):
            names.append(Path(folder) / f"{index}.json")
            make_viewer(names[-1], seconds, together, generator)
        line = [sys.executable, "-P", "-m", "fervid", "audience", *map(str, names), "--film", str(film)]
        line += [
            "-o",
            str(Path(folder) / "out.json"),
            "--permutations",
            str(arguments.permutations),
            "--quiet",
        ]
        before = os.times()
        subprocess.run(line, check=True)
        after = os.times()
        whole = json.loads((Path(folder) / "out.json").read_text("utf-8"))
    result = {
        "viewers": arguments.viewers,
        "minutes": arguments.minutes,
        "processor_seconds": sum(after[2:4]) - sum(before[2:4]),
        "moments": len(whole["audience"]["moments"]),
        "planted": TOGETHER,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['viewers']} viewers of {result['minutes']:g} minutes: "
            f"{result['processor_seconds']:.1f} s of processor time; "
            f"{result['moments']} moments, of {TOGETHER} that were planted"
        )


if __name__ == "__main__":
    main()
