"""Measure the report of a long film: its size, and the times to parse, paint and draw it.

    python benchmarks/report.py [--hours 2] [--people 10] [--rounds 7] [--keep page.html] [--json]

The timeline is synthetic: people come and go in shots of some seconds, and each expressive segment has a
peak. Pictures have their usual sizes, but no content. The installed Chromium opens the page through
Playwright (extra `fervid[test]`), without a GPU or a video, in turn with an empty page. Figures are medians
over the rounds, each in a new browser.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fervid.export import TIMELINES
from fervid.export.page import pictures, report
from fervid.export.page.rows import rows
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.timeline import build, intensity, valence_arousal
from fervid.timeline.peaks import rank
from fervid.types import Curve, ModelInfo, Peak, Person, Segment, Settings, Tally, Timeline, Video

STEP = 8000  # ticks of a window: 0.32 s at 1/25000
BASE = Fraction(1, 25000)
FRAME = 1000  # ticks
HULL = np.array([500, 100, 500, 500], np.float32)
FACE = 2500  # bytes of a row's picture, about
PICTURE = 10_000  # bytes of a peak's picture, about


def video_of(hours: float) -> Video:
    """Return a video of 25 frames a second that is on no disk."""
    pts = np.arange(0, round(hours * 3600 / BASE), FRAME, dtype=np.int64)
    return Video(
        path="/nowhere/film.mp4", name="film.mp4", sha256="ab" * 32, time_base=BASE, start=0,
        duration=len(pts) * FRAME, width=1920, height=1080, rotation=0, container="mov,mp4", codec="h264",
        rate=Fraction(25), clock_offset=Fraction(0), pts=pts, keyframes=pts[:1],
    )  # fmt: skip


def timeline_of(video: Video, people: int) -> Timeline:
    """Return a timeline with one or two of `people` on screen in each shot."""
    draws = np.random.default_rng(1)
    shots, owners = [0], []
    curves: list[Curve] = []
    segments: list[Segment] = []
    while shots[-1] < video.end - 40 * STEP:
        length = STEP * int(draws.integers(6, 30))
        for person in draws.choice(people, int(draws.integers(1, 3)), replace=False).tolist():
            curve, own = track_of(len(curves), shots[-1], length, draws)
            curves.append(curve)
            segments += own
            owners.append(person)
        shots.append(shots[-1] + length)
    box = np.array([600, 200, 300, 300], np.float32)
    persons = []
    for person in range(people):
        tracks = tuple(track for track, owner in enumerate(owners) if owner == person)
        if not tracks:
            continue  # never on screen in so short a film
        ticks = sum(curves[track].end - curves[track].start for track in tracks)
        persons.append(Person(f"P{person + 1}", None, tracks, ticks, curves[tracks[0]].start, box))
    model = ModelInfo("synthetic", "cd" * 32, True, EMOTIONS, ("one",), {"code": "MIT"})
    tally = Tally(len(video.pts), len(video.pts), 0, True)
    timeline = build(video, model, Settings(), tally, np.array(shots, np.int64), curves, segments, persons)
    return replace(timeline, peaks=tuple(peaks_of(timeline)))


def track_of(
    track: int, start_of_track: int, length: int, draws: np.random.Generator
) -> tuple[Curve, list[Segment]]:
    """Return a track with one expression after another, each of some windows."""
    pts = np.arange(start_of_track, start_of_track + length, STEP, dtype=np.int64)
    main = np.repeat(draws.integers(0, len(EMOTIONS), len(pts) // 5 + 1), 5)[: len(pts)]
    scores = draws.random((len(pts), len(EMOTIONS))).astype(np.float32) * 0.2
    scores[np.arange(len(pts)), main] += 1
    scores /= scores.sum(axis=1, keepdims=True)
    valence, arousal = valence_arousal(scores, EMOTIONS)
    curve = Curve(
        track, start_of_track, start_of_track + length, length // FRAME, HULL, pts, scores,
        np.full(len(pts), 0.8, np.float32), valence, arousal, intensity(scores, EMOTIONS),
    )  # fmt: skip
    segments = []
    for first in range(0, len(pts), 5):
        part = scores[first : first + 5].mean(axis=0)
        emotion = EMOTIONS[main[first]]
        value, energy = valence_arousal(part[None], EMOTIONS)
        start, end = int(pts[first]), min(int(pts[first]) + 5 * STEP, start_of_track + length)
        measures = float(part.max()), float(value[0]), float(energy[0]), float(1 - part[-1])
        segments.append(Segment(track, start, end, emotion, part, *measures, 40))
    return curve, segments


def peaks_of(timeline: Timeline) -> list[Peak]:
    """Return a peak in the middle of each expressive segment."""
    peaks = []
    for known in timeline.segments:
        if known.emotion != NEUTRAL:
            moments = known.start, (known.start + known.end) // 2, known.end
            measures = known.confidence, 0.5, known.valence, known.arousal, known.intensity
            peaks.append(Peak(known.track, known.emotion, *moments, *measures, known.person))
    return peaks


def page_of(timeline: Timeline, has_pictures: bool = True) -> str:
    """Return the page, with pictures of the usual sizes and any content."""
    peaks = rank(timeline.peaks, timeline.source.time_base)
    shown = pictures.Pictures(
        {peak.apex: bytes(PICTURE) for peak in peaks[:60]},
        {(peak.apex, peak.track): (0.3, 0.2, 0.2, 0.3) for peak in peaks[:60]},
        {row: bytes(FACE) for row in rows(timeline)[: pictures.MOST_FACES]},
    )
    stream = io.StringIO()
    report.write(timeline, stream, report.Extras(peaks, shown if has_pictures else pictures.Pictures()))
    return stream.getvalue()


EMPTY = "<!doctype html><html lang=en><meta charset=utf-8><title>Empty</title><p>Nothing.</p></html>"
LOADED = """() => {
  const load = performance.getEntriesByType('navigation')[0];
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  return { parse: load.domContentLoadedEventEnd - load.responseStart, paint: paint.startTime };
}"""
# The median of 21 times to draw what is in view; the page's own functions, without waiting for the screen.
DRAWN = """(seconds) => {
  show(LOW, LOW + seconds);
  const times = [];
  for (let round = 0; round < 21; round += 1) {
    const start = performance.now();
    for (const painter of painters) painter();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[10];
}"""
VIEWS = {"all of it": 1e9, "half an hour": 1800, "five minutes": 300}  # seconds in view


def opened(page: Path, has_script: bool) -> dict[str, float]:
    """Open a page in a new Chromium and return its times in milliseconds."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        # Root cannot use the sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.set_default_timeout(300_000)
        tab.goto(page.as_uri())
        tab.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        times: dict[str, float] = tab.evaluate(LOADED)
        if has_script:
            times |= {view: tab.evaluate(DRAWN, seconds) for view, seconds in VIEWS.items()}
        browser.close()
        return times


def measure(page: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return the median times of an empty page and of `page`, opened in turn."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.html"
        empty.write_text(EMPTY, encoding="utf-8")
        opened(empty, False)  # the first start of Chromium reads its files from the disk
        times = [(opened(empty, False), opened(page, True)) for _ in range(rounds)]
    return {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in zip(("empty", "report"), zip(*times, strict=True), strict=True)
    }


def sizes_of(timeline: Timeline) -> dict[str, int]:
    """Return the counts of the parts of a timeline, and the bytes of its JSON."""
    TIMELINES["json"].write(timeline, stream := io.StringIO())
    return {
        "tracks": len(timeline.curves),
        "segments": len(timeline.segments),
        "peaks": len(timeline.peaks),
        "windows": sum(len(curve.pts) for curve in timeline.curves),
        "timeline_bytes": len(stream.getvalue().encode()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="keep the page here")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args()
    timeline = timeline_of(video_of(given.hours), given.people)
    with tempfile.TemporaryDirectory() as folder:
        page = given.keep or Path(folder) / "page.html"
        page.write_text(page_of(timeline), encoding="utf-8")
        bare = len(page_of(timeline, has_pictures=False).encode())
        figures = {
            "hours": given.hours,
            "people": given.people,
            **sizes_of(timeline),
            "page_bytes": page.stat().st_size,
            "page_bytes_without_pictures": bare,
            "milliseconds": measure(page, given.rounds),
        }
    print(json.dumps(figures, indent=2) if given.json else described(figures))


def described(figures: dict[str, Any]) -> str:
    """Return the figures as lines of text."""
    megabytes = {name: figures[name] / 1e6 for name in figures if "_bytes" in name}
    empty, long = figures["milliseconds"]["empty"], figures["milliseconds"]["report"]
    lines = [
        f"{figures['hours']:g} h, {figures['people']} people: "
        + ", ".join(f"{figures[name]:,} {name}" for name in ("tracks", "segments", "peaks", "windows")),
        f"timeline {megabytes['timeline_bytes']:.1f} MB, page {megabytes['page_bytes']:.2f} MB, "
        f"{megabytes['page_bytes_without_pictures']:.2f} MB of it without pictures",
        *(
            f"{what} {long[key]:.0f} ms, {long[key] / empty[key]:.1f} times an empty page ({empty[key]:.0f})"
            for key, what in (("parse", "parsed, with its script run, after"), ("paint", "first paint after"))
        ),
        "to draw " + ", ".join(f"{view} {long[view]:.1f} ms" for view in VIEWS),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
