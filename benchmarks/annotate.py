"""Measure what `fervid annotate` costs, and the size and quality of the file that it writes.

    python benchmarks/annotate.py FILE [--model M] [--jobs N] [--settings S ...] [--json]

One run measures, on the same file: decoding alone, on one thread; the analysis and the annotation, each as a
user runs it, in its own processes; and how far the pictures that were written differ from those that were
drawn. With `--settings` it also encodes the drawn pictures with other settings of x264. README.md in this
folder explains each figure.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from av.video.frame import VideoFrame

    Luma = npt.NDArray[np.uint8]

EVERY = 12  # pictures, of which one is compared
WINDOW = 8  # pixels, the side of the squares in which SSIM compares two pictures
LEVELS = 255
RATE = Fraction(25)  # of encoded pictures; it changes nothing
PEAK = 99.0  # dB, of equal pictures


@dataclass(frozen=True)
class Cost:
    """The time of a whole command, or of a function, in seconds."""

    processor: float  # of all threads and processes
    elapsed: float


class Stopwatch:
    """Measures the block: this process and all its children that end in it."""

    def __enter__(self) -> Stopwatch:
        self._before, self._began = os.times(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        elapsed, after = time.perf_counter() - self._began, os.times()
        self.cost = Cost(sum(after[:4]) - sum(self._before[:4]), elapsed)


def decode(file: Path) -> tuple[Cost, int]:
    """Decode every picture on one thread, and drop it; return their number."""
    from fervid.video.opening import opened
    from fervid.video.reading import decoded

    with Stopwatch() as watch, opened(file) as (_, stream):
        count = sum(1 for _ in decoded(stream))
    return watch.cost, count


def command(*arguments: str | Path) -> Cost:
    """Run fervid as from a shell."""
    # -P: import the same fervid as this process, in any working folder.
    line = [sys.executable, "-P", "-m", "fervid", *map(str, arguments), "--quiet", "--no-progress"]
    with Stopwatch() as watch:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"fervid {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return watch.cost


def drawn(file: Path, timeline: Path, tracks: Path) -> Iterator[VideoFrame]:
    """Yield the pictures that `fervid annotate` encodes."""
    from fervid.cli.shared.reading import read_timeline
    from fervid.export.drawing.annotator import Annotator
    from fervid.export.frames import geometry
    from fervid.video import planning
    from fervid.video.planes import coding_at
    from fervid.video.redrawing import painted

    read = read_timeline(str(timeline), str(timeline))
    video = planning.plan_known(read.source, str(file))
    coding = coding_at(video, video.start)
    annotator = Annotator(read, geometry.read(str(tracks)).rows(), matrix=coding.matrix)
    size = annotator.painter.size
    for _, picture in painted(video, video.start, video.end, annotator.paint, size, coding):
        yield picture


def luma(picture: VideoFrame) -> Luma:
    from fervid.video.planes import planes_of

    return planes_of(picture)[0]


@dataclass
class Quality:
    """The difference of pictures from others, in luma."""

    errors: list[float] = field(default_factory=list)  # mean squared, of each pair
    similarities: list[float] = field(default_factory=list)  # SSIM of each pair

    def add(self, first: Luma, second: Luma) -> None:
        import numpy as np

        self.errors.append(float(np.square(first.astype(np.float32) - second).mean()))
        self.similarities.append(similarity(first, second))

    def figures(self) -> dict[str, float]:
        mean = sum(self.errors) / len(self.errors)
        return {
            "psnr": decibels(mean),
            "psnr_least": decibels(max(self.errors)),
            "ssim": sum(self.similarities) / len(self.similarities),
            "ssim_least": min(self.similarities),
        }


def decibels(error: float) -> float:
    """Return the ratio of the highest possible squared error to a mean squared error."""
    return min(PEAK, 10 * math.log10(LEVELS**2 / error)) if error else PEAK


def similarity(first: Luma, second: Luma) -> float:
    """Return the structural similarity of two pictures (Wang et al. 2004), over squares at every pixel."""
    import cv2
    import numpy as np

    def mean(picture: Any) -> Any:
        return cv2.boxFilter(picture, cv2.CV_32F, (WINDOW, WINDOW))

    one, other = first.astype(np.float32), second.astype(np.float32)
    low, high = (0.01 * LEVELS) ** 2, (0.03 * LEVELS) ** 2
    means = mean(one), mean(other)
    spread = mean(one * one) + mean(other * other) - means[0] ** 2 - means[1] ** 2
    common = mean(one * other) - means[0] * means[1]
    brightness = (2 * means[0] * means[1] + low) / (means[0] ** 2 + means[1] ** 2 + low)
    return float((brightness * (2 * common + high) / (spread + high)).mean())


def encode(pictures: Iterator[VideoFrame], settings: Sequence[str], paths: Sequence[Path]) -> list[float]:
    """Encode pictures on one thread, with each of the settings; return the processor seconds of each."""
    import av
    from av.codec.context import ThreadType

    first = next(pictures)
    seconds, outputs = [0.0] * len(settings), []
    for setting, path in zip(settings, paths, strict=True):
        options = dict(part.split("=", 1) for part in setting.split(","))
        output = av.open(path, "w")
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        stream.codec_context.thread_count, stream.codec_context.thread_type = 1, ThreadType.NONE
        outputs.append((output, stream))
    for number, picture in enumerate(chain([first], pictures, [None])):
        if picture is not None:
            picture.pts, picture.time_base = number, 1 / RATE
        for index, (output, stream) in enumerate(outputs):
            began = time.thread_time()
            packets = stream.encode(picture)
            seconds[index] += time.thread_time() - began
            output.mux(packets)
    for output, _ in outputs:
        output.close()
    return seconds


def compare(pictures: Iterator[VideoFrame], paths: Sequence[Path]) -> list[Quality]:
    """Return the quality of encoded files of the same pictures."""
    import av

    qualities, containers = [Quality() for _ in paths], [av.open(path) for path in paths]
    streams = [container.decode(video=0) for container in containers]
    for number, (picture, *encoded) in enumerate(zip(pictures, *streams, strict=True)):
        if number % EVERY == 0:
            for quality, other in zip(qualities, encoded, strict=True):
                quality.add(luma(picture), luma(other))
    for container in containers:
        container.close()
    return qualities


def measure(file: Path, model: str, jobs: int, settings: Sequence[str]) -> dict[str, Any]:
    """Return every figure, as in the JSON."""
    with tempfile.TemporaryDirectory() as folder:
        timeline, tracks, result = (Path(folder) / name for name in ("t.json", "g.npz", "annotated.mp4"))
        decoding, count = decode(file)
        targets = ("--timeline", timeline, "--tracks", tracks)
        analysis = command("analyze", file, "--model", model, "--jobs", str(jobs), "--no-cache", *targets)
        annotation = command("annotate", file, *targets, "--output", result)
        others = [Path(folder) / f"{number}.mp4" for number in range(len(settings))]
        seconds = encode(drawn(file, timeline, tracks), settings, others) if settings else []
        qualities = compare(drawn(file, timeline, tracks), [result, *others])
        source = file.stat().st_size
        return {
            "file": file.name,
            "model": model,
            "jobs": jobs,
            "frames": count,
            "decoding": asdict(decoding),
            "analysis": asdict(analysis),
            "annotation": asdict(annotation),
            "processor_ratio_to_decoding": annotation.processor / decoding.processor,
            "processor_ratio_to_analysis": annotation.processor / analysis.processor,
            "elapsed_ratio_to_decoding": annotation.elapsed / decoding.elapsed,
            "elapsed_ratio_to_analysis": annotation.elapsed / analysis.elapsed,
            "size_ratio_to_source": result.stat().st_size / source,
            **qualities[0].figures(),
            "settings": [
                {
                    "settings": setting,
                    "milliseconds_per_frame": 1000 * spent / count,
                    "size_ratio_to_source": path.stat().st_size / source,
                    **quality.figures(),
                }
                for setting, spent, path, quality in zip(
                    settings, seconds, others, qualities[1:], strict=True
                )
            ],
        }


def table(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of text."""
    yield f"{figures['file']}: {figures['frames']} frames; model {figures['model']}, jobs {figures['jobs']}"
    yield ""
    yield f"{'seconds':26}{'processor':>10}{'elapsed':>10}"
    for name in ("decoding", "analysis", "annotation"):
        yield f"{name:26}{figures[name]['processor']:10.2f}{figures[name]['elapsed']:10.2f}"
    for name in ("decoding", "analysis"):
        processor, elapsed = (figures[f"{kind}_ratio_to_{name}"] for kind in ("processor", "elapsed"))
        yield f"{f'annotation / {name}':26}{processor:10.3f}{elapsed:10.3f}"
    yield ""
    yield f"{'ms/frame':>10}{'size':>7}{'SSIM':>8}{'least':>8}{'PSNR':>7}{'least':>7}"
    for row in (figures, *figures["settings"]):
        spent = f"{row['milliseconds_per_frame']:.2f}" if row is not figures else ""
        yield "fervid annotate" if row is figures else row["settings"]
        yield (
            f"{spent:>10}{row['size_ratio_to_source']:7.3f}{row['ssim']:8.4f}{row['ssim_least']:8.4f}"
            f"{row['psnr']:7.2f}{row['psnr_least']:7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what `fervid annotate` costs, and what it writes.")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--model", help="a model's name or path [default if installed, otherwise untrained]")
    parser.add_argument("--jobs", type=int, help="worker processes of the analysis [one per core]")
    parser.add_argument(
        "--settings",
        nargs="+",
        default=[],
        metavar="NAME=VALUE,...",
        help="also encode the drawn pictures with these settings of x264, for example crf=20,preset=veryfast",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not options.file.is_file():
        parser.error(f"{options.file} is not a file")
    if importlib.util.find_spec("fervid") is None:
        parser.error("fervid is not installed for this Python: pip install .")
    from fervid import execute
    from fervid.model import installed

    model = options.model or ("default" if "default" in installed() else "untrained")
    figures = measure(options.file.resolve(), model, options.jobs or execute.cores(), options.settings)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
