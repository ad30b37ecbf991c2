"""Damage films at random, and compare frames of spans that share a decoding pass with those of spans alone.

    python benchmarks/passes.py [--files N] [--seed S] [--all]

Twelve seconds in each codec whose spans share a pass are damaged: mostly some bits in the middle, else as
`fuzz.py` does. For each encoder this prints the files, the passes that met no damage that their decoder
reports, the spans that passes gave to their end, and how many of those have other frames alone: with any, the
exit code is 1. With `--all` codecs whose spans share no pass are read as if they did.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import cv2
import fuzz_damage
import numpy as np

from fervid.analysis import spans
from fervid.analysis.results import Span
from fervid.errors import FervidError
from fervid.types import Settings, Video
from fervid.video import planning, reading

SPAN = 2  # seconds
SIZE, FRAMES, RATE, GOP = (160, 120), 300, 25, 25
OPEN = f"keyint={GOP}:open-gop=1:scenecut=0"
QUIET = "log-level=none:pools=none:frame-threads=1"
FILMS: tuple[tuple[str, str, dict[str, str]], ...] = (  # suffix, encoder and its options
    (".mp4", "libx264", {"bf": "3", "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0"}),
    (".ts", "libx264", {"bf": "3", "x264-params": OPEN}),
    (".mkv", "libx264", {"bf": "3", "x264-params": f"{OPEN}:slices=4"}),
    (".ts", "mpeg2video", {"bf": "2"}),
    (".avi", "mpeg4", {"bf": "0"}),
    (".mp4", "mpeg4", {"bf": "2"}),
    (".webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    (".mp4", "libsvtav1", {"preset": "12", "svtav1-params": "lp=1"}),
)
HIDING: tuple[tuple[str, str, dict[str, str]], ...] = (
    (".mp4", "libx265", {"preset": "fast", "x265-params": f"{QUIET}:{OPEN}:bframes=3"}),
    (".webm", "libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    (".avi", "mjpeg", {}),
)
ANYWHERE = (
    *(fuzz_damage.flip, fuzz_damage.noise, fuzz_damage.zero, fuzz_damage.cut_middle),
    *(fuzz_damage.repeat, fuzz_damage.swap, fuzz_damage.insert),
)
IN_THE_MIDDLE = 0.6  # of the files


def write(path: Path, encoder: str, options: dict[str, str]) -> None:
    """Write a film of a pattern that moves, with a cut every three seconds."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(encoder, rate=RATE, options={"g": str(GOP), **options})  # type: ignore[call-overload]
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for index in range(FRAMES):
            if index % 75 == 0:
                coarse = random.integers(0, 255, (12, 16, 3), np.uint8)
                whole = cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)
            x, y = round(60 + 50 * np.sin(index / 17)), round(40 + 40 * np.cos(index / 11))
            picture = np.ascontiguousarray(whole[y : y + SIZE[1], x : x + SIZE[0]])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))
    if encoder == "libsvtav1" and hasattr(os, "sched_setscheduler"):
        # As root it gives its caller real-time priority for ever, and processes started later inherit it.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def damaged(data: bytes, chance: Random) -> bytes:
    if chance.random() >= IN_THE_MIDDLE:
        return chance.choice(ANYWHERE)(data, chance)
    changed, at = bytearray(data), chance.randrange(len(data) // 10, len(data) - 100)
    for _ in range(chance.choice((1, 1, 2, 4, 30, 200))):
        if at < len(data):
            changed[at] ^= 1 << chance.randrange(8)
            at += chance.randrange(1, 300)
    return bytes(changed)


Seen = list[tuple[int, bool, bytes]]


def frames(video: Video, wanted: Sequence[Span], settings: Settings, undamaged: bool) -> Iterator[list[Seen]]:
    """Yield the frames of each span so far, after each frame; only those of finished spans are complete."""
    ranges = [spans.with_halo(video, span) for span in wanted]
    seen: list[Seen] = [[] for _ in wanted]
    chosen = spans._sampled(video, settings)
    low, high = ranges[0][0], ranges[-1][1]
    for frame in reading.frames(video, low, high, None, chosen, undamaged):
        digest = hashlib.sha256(np.ascontiguousarray(frame.luma).tobytes()).digest()
        for own, (first, last) in zip(seen, ranges, strict=True):
            if frame.pts >= first and (last is None or frame.pts < last):
                own.append((frame.pts, frame.cut, digest))
        yield seen


def compare(video: Video, settings: Settings, count: Counter[str]) -> None:
    for series in spans._series(video, spans.plan(video, settings)):
        parts = spans.groups(video, series)
        if len(parts) == 1:
            continue
        together: list[Seen] = []
        finished = 0
        try:
            for together in frames(video, series, settings, True):
                while (high := spans.with_halo(video, series[finished])[1]) and _has(together, high):
                    finished += 1
            finished = len(series)
            count["whole"] += 1
        except reading.DamageError:
            pass
        alone: list[Seen] = []
        for part in parts:
            alone += ([[] for _ in part], *frames(video, part, settings, False))[-1]
        count["spans"] += finished
        count["differ"] += sum(together[at] != alone[at] for at in range(finished))


def _has(seen: Sequence[Seen], pts: int) -> bool:
    """Return whether a frame at or after `pts` has come."""
    return max((own[-1][0] for own in seen if own), default=pts - 1) >= pts


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare spans of damaged films, together and alone.")
    parser.add_argument("--files", type=int, default=1000, help="damaged files [1000]")
    parser.add_argument("--seed", type=int, default=0, help="[0]")
    parser.add_argument("--all", action="store_true", help="also codecs whose spans share no pass")
    options = parser.parse_args()
    spans.LENGTH = SPAN
    if options.all:
        reading.REPORTING |= {"hevc", "vp8", "mjpeg"}
    counts: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        films = FILMS + HIDING if options.all else FILMS
        intact = [Path(folder) / f"{number}{suffix}" for number, (suffix, _, _) in enumerate(films)]
        for path, (_, encoder, encoding) in zip(intact, films, strict=True):
            write(path, encoder, encoding)
        for index in range(options.files):
            chance = Random(f"{options.seed}/{index}")
            source = chance.choice(intact)
            codec = films[intact.index(source)][1]
            count = counts.setdefault(codec, Counter())
            hurt = Path(folder) / f"hurt{source.suffix}"
            hurt.write_bytes(damaged(source.read_bytes(), chance))
            count["files"] += 1
            before = count["differ"]
            settings = Settings(sample_fps=chance.choice((None, None, Fraction(5))))
            with suppress(FervidError):  # some cannot be read at all
                compare(planning.plan(hurt), settings, count)
            if count["differ"] > before:
                print(f"{codec}: spans of file {index} differ", file=sys.stderr, flush=True)
    print(f"{'encoder':12}{'files':>8}{'whole':>8}{'spans':>8}{'differ':>8}")
    for codec, count in sorted(counts.items()):
        print(f"{codec:12}" + "".join(f"{count[key]:8}" for key in ("files", "whole", "spans", "differ")))
    sys.exit(any(count["differ"] for count in counts.values()))


if __name__ == "__main__":
    main()
