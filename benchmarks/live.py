"""Measure how late the lines of `fervid live` come, and how many frames it drops.

    python benchmarks/live.py FILE [--rate 25] [--seconds 60] [--model M] [--json]

It encodes FILE as a camera would (H.264 without B-frames, in MPEG-TS), writes each picture into the standard
input of `fervid live -` at the moment at which a camera would deliver it, and takes the time until the line
of that picture can be read. FILE is repeated until `--seconds` are full. The first seconds do not count, in
which FFmpeg looks at the stream and the first faces are found.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

SKIPPED = 3.0  # seconds at the start that do not count
CAMERA = {"preset": "ultrafast", "tune": "zerolatency", "g": "25"}


def pieces(file: Path, rate: Fraction, count: int) -> Iterator[bytes]:
    """Yield the bytes of each picture in the stream of a camera."""
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format="mpegts", options={"flush_packets": "1"}) as output:
        video, done = None, 0
        while done < count:
            with av.open(str(file)) as source:
                for picture in source.decode(source.streams.video[0]):
                    if video is None:
                        video = output.add_stream("libx264", rate=rate, options=CAMERA)
                        video.width, video.height, video.pix_fmt = picture.width, picture.height, "yuv420p"
                        video.codec_context.thread_count = 1
                    frame = picture.reformat(video.width, video.height, "yuv420p")
                    frame.pts, frame.time_base = done, 1 / rate
                    output.mux(video.encode(frame))
                    yield stream.getvalue()
                    stream.seek(0)
                    stream.truncate()
                    done += 1
                    if done == count:
                        return


def resident(process: int) -> int | None:
    """Return the memory of a process in bytes, on Linux."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def watch(stream: list[bytes], rate: Fraction, options: list[str]) -> dict[str, Any]:
    """Play a stream into `fervid live`; return the figures."""
    line = [sys.executable, "-P", "-m", "fervid", "live", "-", "--quiet", *options]
    sent: list[float] = []
    came: list[tuple[float, dict[str, Any]]] = []
    memory: list[int | None] = []
    before = os.times()
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        output = process.stdout

        def read() -> None:
            for text in output:
                came.append((time.monotonic(), json.loads(text)))

        reader = threading.Thread(target=read)
        reader.start()
        began = time.monotonic() + 10.0  # networks are loaded before the camera is opened
        for index, piece in enumerate(stream):
            time.sleep(max(0.0, began + float(index / rate) - time.monotonic()))
            sent.append(time.monotonic())
            process.stdin.write(piece)
            process.stdin.flush()
            if index in (len(stream) // 4, len(stream) - 1):
                memory.append(resident(process.pid))
        process.stdin.close()
        reader.join()
    if process.returncode:
        raise SystemExit(f"fervid live failed with exit code {process.returncode}")
    after = os.times()
    return figures(sent, came, memory, sum(after[2:4]) - sum(before[2:4]), rate)


def figures(
    sent: list[float],
    came: list[tuple[float, dict[str, Any]]],
    memory: list[int | None],
    processor: float,
    rate: Fraction,
) -> dict[str, Any]:
    """Return the latencies, in seconds, and the counts."""
    skipped = int(SKIPPED * rate)
    lines = [(when, line) for when, line in came if line["type"] == "frame"]
    frames = [when - sent[line["frame"]] for when, line in lines if line["frame"] >= skipped]
    number = {line["pts"]: line["frame"] for _, line in lines}
    segments = []
    for when, line in came:
        if line["type"] == "segment":
            inside = [frame for pts, frame in number.items() if pts < line["end"]["pts"]]
            if inside and max(inside) >= skipped:
                segments.append(when - sent[max(inside)])
    end = came[-1][1]
    known = [value for value in memory if value is not None]
    return {
        "frames": len(sent),
        "dropped": sum(line["dropped"] for _, line in lines if line["frame"] >= skipped),
        "with_faces": end["frames"]["with_faces"],
        "frame": spread(frames),
        "segment": spread(segments),
        "processor": processor / (len(sent) / float(rate)),
        "memory": [value / 2**20 for value in known],
    }


def spread(values: list[float]) -> dict[str, float] | None:
    if len(values) < 2:
        return None
    return {
        "median": statistics.median(values),
        "p95": statistics.quantiles(values, n=20)[-1],
        "max": max(values),
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as a table."""
    print(f"{'':10} {'median':>8} {'95 %':>8} {'most':>8}")
    for kind in ("frame", "segment"):
        if result[kind] is not None:
            row = " ".join(f"{result[kind][name]:7.2f}s" for name in ("median", "p95", "max"))
            print(f"{kind:10} {row}")
    print(f"{result['dropped']} of {result['frames']} frames dropped, {result['with_faces']} with faces")
    print(f"{result['processor']:.0%} of one core, with the start")
    if len(result["memory"]) == 2:
        print("memory after a quarter and at the end: {:.0f} and {:.0f} MiB".format(*result["memory"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=Fraction, default=Fraction(25), help="frames a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    stream = list(pieces(arguments.file, arguments.rate, int(arguments.seconds * arguments.rate)))
    result = watch(stream, arguments.rate, ["--model", arguments.model])
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
