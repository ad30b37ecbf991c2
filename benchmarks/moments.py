"""Compare what a model reads in real clips with what a person saw at a hundred moments of them.

    python benchmarks/moments.py [--model M] [--media DIR] [--json FILE]

moments.json was written by eye, from single frames, before any model had read the clips. Each row has the
file, the time, the middle of the face, and the labels that the face may be given: the first is the closest.
A moment without a segment counts as wrong. The example clip is compared with its own truth as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fervid.analysis.run import analyze
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.metrics import ece
from fervid.types import Timeline

MOMENTS = Path(__file__).with_name("moments.json")
EXAMPLE = Path(__file__).parents[1] / "examples" / "clip.mp4"


@dataclass
class Agreement:
    """The moments at which a model agrees with a person."""

    count: int = 0
    close: int = 0  # of the labels that the face may be given
    first: int = 0  # the closest label
    mistakes: Counter[tuple[str, str]] = field(default_factory=Counter)
    sure: list[float] = field(default_factory=list)  # the score of each reading
    right: list[bool] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "moments": self.count,
            "agreement": self.close / self.count,
            "closest_label": self.first / self.count,
            "ece": ece(np.array(self.sure), np.array(self.right)),
            "mistakes": {f"{truth} read as {read}": n for (truth, read), n in self.mistakes.most_common()},
        }


def measure(media: Path, **options: object) -> Agreement:
    """Analyze every clip, and compare it with its moments."""
    rows = json.loads(MOMENTS.read_text(encoding="utf-8"))
    agreement = Agreement()
    for name, moments in groupby(rows, key=lambda row: row["file"]):
        timeline = analyze(media / name, **options)  # type: ignore[arg-type]
        for moment in moments:
            emotion, score = reading(timeline, moment["seconds"], moment["at"])
            is_right = emotion in moment["shows"]
            agreement.count += 1
            agreement.close += is_right
            agreement.first += emotion == moment["shows"][0]
            if emotion in EMOTIONS:
                agreement.sure.append(score)
                agreement.right.append(is_right)
            if not is_right:
                agreement.mistakes[moment["shows"][0], emotion] += 1
    return agreement


def example(**options: object) -> float:
    """Return the share of the example clip's frames with a face in which the reading is the clip's truth.

    An expression is the truth while it shows at least half, and neutral is for the rest of the time. Frames
    without a reading count as wrong.
    """
    truth = json.loads(EXAMPLE.with_suffix(".truth.json").read_text(encoding="utf-8"))
    timeline = analyze(EXAMPLE, **options)  # type: ignore[arg-type]
    right = []
    for shot in (shot for shot in truth["shots"] if shot["face"]):
        for frame in range(shot["start_frame"], shot["end_frame"]):
            seconds, shown = frame / truth["fps"], NEUTRAL
            for expression in shot["expressions"]:
                begin, end = (
                    expression["onset"] + expression["apex_start"],
                    expression["apex_end"] + expression["offset"],
                )
                if begin / 2 <= seconds < end / 2:
                    shown = expression["emotion"]
            pts = timeline.source.ticks(seconds)
            read = {segment.emotion for segment in timeline.segments if segment.start <= pts < segment.end}
            right.append(shown in read)
    return float(np.mean(right))


def reading(timeline: Timeline, seconds: float, at: tuple[int, int]) -> tuple[str, float]:
    """Return the emotion of the segment at this time and point, and its score; "nothing" if there is none."""
    pts = timeline.source.ticks(seconds)
    hulls = {curve.track: curve.hull for curve in timeline.curves}
    matches = []
    for segment in timeline.segments:
        x, y, width, height = hulls[segment.track].tolist()
        inside = x <= at[0] <= x + width and y <= at[1] <= y + height
        if segment.start <= pts < segment.end and inside:
            matches.append((width * height, segment))
    if not matches:
        return "nothing", 0.0
    segment = min(matches, key=lambda match: match[0])[1]
    curve = next(curve for curve in timeline.curves if curve.track == segment.track)
    nearest = int(np.argmin(np.abs(curve.pts - pts)))
    return segment.emotion, float(curve.scores[nearest].max())


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare a model with a person at moments of real clips.")
    parser.add_argument("--model", default="default", help="a model's name or path [default]")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"), help="the folder of the clips")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    figures = measure(options.media, model=options.model).as_json()
    print(
        f"agreement at {figures['moments']} moments: {figures['agreement']:.1%} "
        f"({figures['closest_label']:.1%} with the closest label), calibration error {figures['ece']:.3f}"
    )
    for mistake, count in figures["mistakes"].items():
        print(f"  {count:3} {mistake}")
    figures["example_clip"] = example(model=options.model)
    print(f"the example clip's truth in {figures['example_clip']:.1%} of its frames")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
