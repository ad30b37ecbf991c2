"""Measure how fast fervid analyzes a video, compared with only decoding it.

    python benchmarks/throughput.py FILE [--model M] [--jobs N] [--json]

One run measures, on the same file: decoding alone, on all cores; the whole analysis as a user runs it, in its
own processes, with its peak memory; and each stage's share of a worker's time, on one span. README.md in this
folder explains each figure. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from stage_clock import OTHER, Clock, cost_of_timing
from used_memory import Memory

READ_AT_ONCE = 1 << 24  # bytes

# Stage -> its functions. Each stage is charged its own time, without that of timed functions that it calls.
STAGES: dict[str, tuple[str, ...]] = {
    "decode": ("fervid.video.reading:frames",),
    "upright luma": ("fervid.video.reading:upright",),
    "downscale, shots": ("fervid.video.shots:mark",),
    "detection": ("fervid.faces.finder:FaceFinder.detect",),
    "detection, one face": ("fervid.faces.finder:FaceFinder.look",),
    "landmarks": ("fervid.faces.finder:FaceFinder.fit_all", "fervid.faces.finder:FaceFinder.follow_all"),
    "crops": ("fervid.faces.finder:FaceFinder.crop",),
    "people": (
        "fervid.faces.finder:FaceFinder.portrait",
        "fervid.faces.finder:describe",
        "fervid.people:group_tracks",
        "fervid.people:number_persons",
    ),
    "following": ("fervid.faces.tracks:follow",),
    "smoothing, pose, quality": ("fervid.faces.tracks:collect",),
    "windows": ("fervid.clips.windows:centres", "fervid.clips.windows:Window.__getitem__"),
    "nets": ("fervid.model:Model.logits",),
    "span files": (
        "fervid.analysis.results:pack",
        "fervid.analysis.results:unpack",
        "fervid.cache:write",
        "fervid.cache:read",
    ),
    "stitch": ("fervid.analysis.stitch:Stitcher.feed", "fervid.analysis.stitch:Stitcher.close"),
    "timeline": (
        "fervid.timeline.smoothing:Smoother.feed",
        "fervid.timeline.smoothing:Smoother.close",
        "fervid.timeline:build",
    ),
    "export": ("fervid.export.timelines.json:write",),
}


@dataclass(frozen=True)
class Decoding:
    seconds: float
    frames: int


def decode(file: Path) -> Decoding:
    """Decode every frame and drop it, with as many threads as the decoder chooses."""
    import av

    began, frames = time.perf_counter(), 0
    with av.open(str(file)) as container:
        stream = container.streams.best("video")
        if stream is None:
            raise SystemExit(f"{file} has no video track")
        stream.codec_context.thread_count = 0
        stream.codec_context.thread_type = "AUTO"
        for packet in container.demux(stream):
            try:
                frames += len(packet.decode())
            except av.error.InvalidDataError:
                continue  # fervid skips damaged packets, too
    if not frames:
        raise SystemExit(f"{file}: no frame can be decoded")
    return Decoding(time.perf_counter() - began, frames)


@dataclass(frozen=True)
class Analysis:
    seconds: float  # from the start of the process to its end
    frames: int
    duration: float  # seconds of video
    width: int
    height: int
    cpu_seconds: float  # of all processes
    peak_memory: int | None  # bytes; None if it cannot be measured
    processes: int | None  # at most at a time


def analyze(file: Path, model: str, jobs: int) -> Analysis:
    """Run the whole analysis as from a shell, without a cache."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "timeline.json"
        # -P: import the same fervid as this process, in any working folder.
        command = [sys.executable, "-P", "-m", "fervid", "analyze", str(file), "--model", model]
        command += ["--timeline", str(target), "--no-cache", "--jobs", str(jobs), "--quiet", "--no-progress"]
        before, began = os.times(), time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            with Memory(process.pid) as memory:
                _, errors = process.communicate()
        finally:
            process.kill()  # does nothing if it has ended
        seconds, after = time.perf_counter() - began, os.times()
        if process.returncode:
            raise SystemExit(f"fervid analyze failed: {errors.decode(errors='replace').strip()}")
        source = json.loads(target.read_text(encoding="utf-8"))["source"]
    return Analysis(
        seconds=seconds,
        frames=source["frames"]["decoded"],
        duration=source["duration"]["seconds"],
        width=source["size"]["width"],
        height=source["size"]["height"],
        cpu_seconds=after[2] - before[2] + after[3] - before[3],
        peak_memory=memory.peak if memory.is_measured else None,
        processes=memory.processes if memory.is_measured else None,
    )


@dataclass(frozen=True)
class Stage:
    name: str
    seconds: float
    calls: int  # of its functions; for a generator, its values


@dataclass(frozen=True)
class Sample:
    """One span, analyzed from planning to JSON in one worker."""

    planning: float  # seconds to list and hash the whole file, once per run before any worker starts
    start: float  # seconds from the first frame
    end: float
    frames: int
    stages: tuple[Stage, ...]
    overhead: float  # share of the time that the timing itself took


def begin(model: str) -> None:
    """Do all that a worker does once: load the libraries, the networks and the predictor."""
    import numpy as np

    from fervid.faces.detectors import Detection
    from fervid.faces.finder import PORTRAIT, FaceFinder, describe
    from fervid.model import load

    load(model)
    finder = FaceFinder()
    blank = np.zeros((80, 80), np.uint8)
    finder.detect(blank)
    finder.fit(blank, Detection(np.array([10, 10, 60, 60], np.float32), 0.0))
    describe(np.zeros((PORTRAIT, PORTRAIT), np.uint8))


def sample(file: Path, model: str) -> Sample:
    """Analyze the span in the middle of a file, and time every stage."""
    import scipy.optimize  # noqa: F401  # imported here, so that no stage is charged for it

    from fervid import analysis
    from fervid.analysis import spans
    from fervid.cache import Store
    from fervid.export.timelines import json as export
    from fervid.types import Settings
    from fervid.video import planning

    began = time.perf_counter()
    planned = planning.plan(file)
    planning_seconds = time.perf_counter() - began
    grid = spans.plan(planned, Settings())
    span = grid[(len(grid) - 1) // 2]

    def seconds(pts: int) -> Fraction:
        return (pts - planned.start) * planned.time_base

    settings = Settings(seconds(span.start), None if span.stop is None else seconds(span.stop))
    if [(part.start, part.stop) for part in spans.plan(planned, settings)] != [(span.start, span.stop)]:
        raise RuntimeError("the sample is not one span")
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "cache", resume=False)
        with analysis.start(file, model=model, settings=settings, store=store) as run, clock.over(STAGES):
            timeline = run.timeline
            export.write(timeline, io.StringIO())
    return Sample(
        planning=planning_seconds,
        start=float(seconds(span.start)),
        end=float(seconds(planned.end if span.stop is None else span.stop)),
        frames=timeline.tally.decoded,
        stages=tuple(Stage(name, clock.seconds[name], clock.calls[name]) for name in (*STAGES, OTHER)),
        overhead=clock.calls.total() * cost_of_timing() / sum(clock.seconds.values()),
    )


def measure(file: Path, model: str | None, jobs: int | None) -> dict[str, Any]:
    """Return every figure, as in the JSON."""
    from fervid import execute
    from fervid.model import installed

    model = model or ("default" if "default" in installed() else "untrained")
    jobs = jobs or execute.cores()
    with file.open("rb") as stream:  # so that every measurement finds it in memory
        while stream.read(READ_AT_ONCE):
            pass
    decoding = decode(file)
    whole = analyze(file, model, jobs)
    with execute.pool(1) as executor:  # a worker process of fervid's; a single task would run in this process
        began = time.perf_counter()
        results = execute.results(executor(work, [(begin, (model,)), (sample, (file, model))]))
        next(results)
        start = time.perf_counter() - began
        part = next(results)
    return report(file, model, jobs, decoding, whole, start, part)


def work(task: tuple[Callable[..., Any], tuple[Any, ...]]) -> Any:
    """Call a function: an executor takes one function for all of its tasks."""
    function, arguments = task
    return function(*arguments)


def report(
    file: Path, model: str, jobs: int, decoding: Decoding, whole: Analysis, start: float, part: Sample
) -> dict[str, Any]:
    """Return the measured figures, with those derived from them."""
    from fervid import execute

    total = sum(stage.seconds for stage in part.stages)
    decode_rate, rate = decoding.frames / decoding.seconds, whole.frames / whole.seconds
    return {
        "file": file.name,
        "model": model,
        "jobs": jobs,
        "cores": execute.cores(),
        "decode": {**asdict(decoding), "frames_per_second": decode_rate},
        "analysis": {
            **asdict(whole),
            "frames_per_second": rate,
            "times_real_time": whole.duration / whole.seconds if whole.duration else None,
        },
        "ratio": rate / decode_rate,
        "planning_seconds": part.planning,
        "worker_start_seconds": start,
        "sample": {
            "start": part.start,
            "end": part.end,
            "frames": part.frames,
            "seconds": total,
            "overhead": part.overhead,
            "stages": [
                {
                    **asdict(stage),
                    "share": stage.seconds / total,
                    "milliseconds_per_frame": 1000 * stage.seconds / max(part.frames, 1),
                }
                for stage in part.stages
            ],
        },
    }


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of text."""
    alone, whole, part = figures["decode"], figures["analysis"], figures["sample"]
    yield (
        f"{figures['file']}: {whole['width']}x{whole['height']}, {whole['frames']} frames, "
        f"{whole['duration']:.1f} s; "
        f"model {figures['model']}, jobs {figures['jobs']}, cores {figures['cores']}"
    )
    yield ""
    yield f"{'':26}{'seconds':>10}{'frames/s':>10}"
    yield f"{'pure decode, all cores':26}{alone['seconds']:10.2f}{alone['frames_per_second']:10.1f}"
    speed = whole["times_real_time"]
    yield (
        f"{'whole analysis':26}{whole['seconds']:10.2f}{whole['frames_per_second']:10.1f}"
        + ("" if speed is None else f"   {speed:.2f}x real time")
        + f", {whole['cpu_seconds'] / whole['seconds']:.2f} cores busy"
    )
    yield f"{'  planning and hash':26}{figures['planning_seconds']:10.2f}"
    yield f"{'  start of a worker':26}{figures['worker_start_seconds']:10.2f}"
    yield f"{'ratio analysis / decode':26}{'':10}{figures['ratio']:10.3f}"
    memory = whole["peak_memory"]
    if memory is None:
        yield f"{'peak memory':26}not measured: this system has no /proc with children"
    else:
        yield f"{'peak memory':26}{memory / 2**20:10.0f} MiB, in up to {whole['processes']} processes"
    yield ""
    yield (
        f"One worker on {part['start']:.1f} to {part['end']:.1f} s, {part['frames']} frames "
        f"in {part['seconds']:.2f} s (the timing itself: {100 * part['overhead']:.1f} %)"
    )
    yield f"{'':26}{'share':>10}{'ms/frame':>10}{'calls':>10}"
    for stage in part["stages"]:
        yield (
            f"{stage['name']:26}{100 * stage['share']:8.1f} %{stage['milliseconds_per_frame']:10.3f}"
            f"{stage['calls']:10d}"
        )
    each = 1000 * part["seconds"] / max(part["frames"], 1)
    yield f"{'all':26}{100:8.1f} %{each:10.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Compare the speed of analyzing a video with that of decoding it."
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--model", help="a model's name or path [default if installed, otherwise untrained]")
    parser.add_argument("--jobs", type=int, help="worker processes [one per core]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if not options.file.is_file():
        parser.error(f"{options.file} is not a file")
    if options.jobs is not None and options.jobs < 1:
        parser.error("--jobs should be at least 1")
    if importlib.util.find_spec("fervid") is None:
        parser.error("fervid is not installed for this Python: pip install .")
    figures = measure(options.file.resolve(), options.model, options.jobs)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
