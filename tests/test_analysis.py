"""The whole analysis on real faces: workers, resuming, ends of spans, and containers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from weakref import finalize

import av
import cv2
import jsonschema
import numpy as np
import pytest
import torch
from conftest import CLIP
from media import LOSSLESS, Picture, damaged, truncated, write, write_still

from fervid import analysis, cache, clips, execute, export, model
from fervid.analysis import Run, results, spans, stitch
from fervid.analysis import run as run_of_a_video
from fervid.analysis.results import Span
from fervid.cache import Store
from fervid.export.frames import geometry
from fervid.export.timelines.json import schema
from fervid.faces import shape
from fervid.timeline.peaks import find_peaks
from fervid.types import Array, Curve, Frame, Settings, Status, Tally, Timeline, Video
from fervid.video import reading

MODEL = "untrained"
SMALL = (320, 240)
LARGE = Settings(min_face=0.3)  # the face is larger, and larger faces are detected in a tenth of the time
CLOSE, WIDE = 190, 240  # frames of the example clip: the end of its first shot, the start of its last


@pytest.fixture(scope="session")
def faces() -> list[Picture]:
    """Return the luma of the example clip at half size."""
    with av.open(str(CLIP)) as container:
        whole = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    return [cv2.resize(luma, SMALL, interpolation=cv2.INTER_AREA) for luma in whole]


def back_and_forth(faces: list[Picture], low: int, high: int, count: int) -> Iterator[Picture]:
    """Yield frames forwards and backwards, without jumps."""
    last = high - 1 - low
    for step in range(count):
        yield faces[low + last - abs(last - step % (2 * last))]


@pytest.fixture(scope="session")
def shown(faces: list[Picture]) -> list[Picture]:
    """Return 20 seconds at 10 frames a second, with a cut at 6 s."""
    return [*back_and_forth(faces, 0, CLOSE, 60), *back_and_forth(faces, WIDE, len(faces), 140)]


@pytest.fixture(scope="session")
def film(faces: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 70 seconds at 2 frames a second: a shot longer than a span, and after a cut at 46 s another."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    pictures = [*back_and_forth(faces, 0, CLOSE, 92), *back_and_forth(faces, WIDE, len(faces), 48)]
    return write(path, pictures, rate=2, gop=4, options={"crf": "20", "preset": "ultrafast"})


@dataclass(frozen=True)
class Outcome:
    """All outputs of a run."""

    timeline: Timeline
    texts: Mapping[str, str]
    tracks: bytes
    rows: Mapping[str, Array]
    row_count: int
    progress: Sequence[float]


def begin(path: Path, store: Store, **options: Any) -> AbstractContextManager[Run]:
    return analysis.start(path, **{"model": MODEL, "settings": LARGE, "store": store, **options})


def outcome(run: Run, progress: Sequence[float] = ()) -> Outcome:
    whole, labels = run.timeline, run.timeline.model.labels
    texts = {}
    for name in ("json", "jsonl"):
        export.TIMELINES[name].write(whole, text := io.StringIO())
        texts[name] = text.getvalue()
    export.FRAMES["frames"].write(run.rows(), run.video, labels, text := io.StringIO())
    texts["frames"] = text.getvalue()
    packed = io.BytesIO()
    geometry.write(run.rows, run.row_count, run.video, labels, packed)
    with np.load(io.BytesIO(packed.getvalue())) as pack:
        rows = {name: pack[name] for name in pack.files}
    return Outcome(whole, texts, packed.getvalue(), rows, run.row_count, progress)


def analyse(path: Path, folder: Path, executor: execute.Executor | None = None, **options: Any) -> Outcome:
    progress: list[float] = []
    store = Store(folder, keep=True)
    with begin(path, store, executor=executor, tick=progress.append, **options) as run:
        return outcome(run, progress)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[execute.Executor]:
    with execute.open_executor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def three_workers() -> Iterator[execute.Executor]:
    with execute.open_executor(3) as executor:
        yield executor


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the entries of `whole`, which tests copy and do not change."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def whole(film: Path, store: Path) -> Outcome:
    return analyse(film, store)


def entries(folder: Path) -> dict[str, int]:
    """Return the time at which each result was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*/*") if path.suffix == ".span"}


def assert_moves(progress: Sequence[float], total: float) -> None:
    """Check that a bar moves within spans, and never back."""
    assert all(before < after for before, after in pairwise(progress))
    assert progress[0] > 0 and progress[-1] == total
    assert set(progress) - {30, 40, 60, 70}  # ends of spans


def assert_same(first: Outcome, second: Outcome) -> None:
    assert first.texts == second.texts
    assert first.tracks == second.tracks


def segments(result: Timeline) -> list[tuple[float, float, str]]:
    clock = result.source
    return [(clock.seconds(s.start), clock.seconds(s.end), s.emotion) for s in result.segments]


# --- one film of several spans


def test_the_film_has_several_spans_and_a_shot_longer_than_one(whole: Outcome, store: Path) -> None:
    assert len(entries(store)) == 3
    clock = whole.timeline.source
    assert [clock.seconds(pts) for pts in whole.timeline.shots.tolist()] == [0, 46]
    # One track per shot: tracks are joined at 30 s and 60 s.
    assert [(clock.seconds(c.start), clock.seconds(c.end)) for c in whole.timeline.curves] == [
        (0, 46),
        (46, 70),
    ]
    assert whole.timeline.segments


@pytest.mark.parametrize("workers", ["two_workers", "three_workers"])
def test_the_bytes_do_not_depend_on_the_workers(
    film: Path, whole: Outcome, tmp_path: Path, workers: str, request: pytest.FixtureRequest
) -> None:
    parallel = analyse(film, tmp_path, request.getfixturevalue(workers))
    assert_same(parallel, whole)
    assert_moves(parallel.progress, 70)


def test_the_bytes_do_not_depend_on_the_callers_threads(film: Path, whole: Outcome, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with begin(film, Store(tmp_path)) as run:
            assert {torch.get_num_threads() for _ in run.segments()} == {3}  # also between its steps
            assert_same(outcome(run), whole)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_interrupted_run_resumes(film: Path, whole: Outcome, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def tick(reached: float) -> None:
        if reached > 35:
            raise Interrupted

    with (
        pytest.raises(Interrupted),
        begin(film, Store(tmp_path), tick=tick) as run,
    ):
        assert run.timeline
    done = entries(tmp_path)
    assert len(done) == 1
    with begin(film, Store(tmp_path, keep=True)) as run:
        assert_same(outcome(run), whole)
    after = entries(tmp_path)
    assert len(after) == 3 and done.items() <= after.items()  # not written again


def test_missing_and_damaged_results_are_computed_again(
    film: Path, whole: Outcome, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in store.glob("*/*.span"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    first, _, last = sorted(tmp_path.glob("*/*.span"), key=lambda path: int(path.name.split("-")[0]))
    first.unlink()
    last.write_bytes(last.read_bytes()[:-1000])
    calls: list[int] = []

    def counted(planned: Video, wanted: list[Span], options: spans.Options) -> Iterator[spans.Step]:
        calls.extend(span.index for span in wanted)
        return real(planned, wanted, options)

    real = spans.analyze
    monkeypatch.setattr(spans, "analyze", counted)
    assert_same(analyse(film, tmp_path), whole)
    assert calls == [0, 2]
    assert analyse(film, tmp_path).timeline.segments
    assert calls == [0, 2]


def apex_of_a_plateau(result: Timeline, curve: Curve) -> int:
    """Return the apex if the whole track were one expression, which its motion decides."""
    scores = np.full_like(curve.scores, 0.01)
    scores[:, 0] = 1 - 0.01 * (scores.shape[1] - 1)
    quality = np.ones_like(curve.quality)
    (peak,) = find_peaks(result.source, replace(curve, scores=scores, quality=quality), result.labels)
    (still,) = find_peaks(
        result.source, replace(curve, scores=scores, quality=quality, motion=None), result.labels
    )
    assert peak.apex in curve.pts and peak.apex != still.apex
    return peak.apex


def test_spans_give_the_same_as_one_pass(
    film: Path, whole: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "LENGTH", 10000)
    unsplit = analyse(film, tmp_path)
    assert len(entries(tmp_path)) == 1
    assert len(unsplit.timeline.curves) == len(whole.timeline.curves)
    for name in ("frame", "pts", "track", "status"):
        assert np.array_equal(unsplit.rows[name], whole.rows[name]), name
    # Measured: no difference. Each detection locates a face from scratch, so that a span agrees with one pass
    # from the first detection in its halo.
    shown = whole.rows["track"] > 0
    eyes = shape.eye_distance(whole.rows["landmarks"][shown])
    off = np.abs(unsplit.rows["landmarks"] - whole.rows["landmarks"])[shown].max((1, 2)) / eyes
    assert off.max() < 0.001
    for curve, other in zip(unsplit.timeline.curves, whole.timeline.curves, strict=True):
        assert np.array_equal(curve.pts, other.pts)
        assert np.abs(curve.scores - other.scores).max() < 0.001
        assert curve.motion is not None and other.motion is not None and curve.motion.max() > 0.01
        assert np.abs(curve.motion - other.motion).max() < 0.0001
        assert curve.straightness is not None and other.straightness is not None
        assert 0 <= curve.straightness.min() < 0.5 < curve.straightness.max() <= 1
        assert np.abs(curve.straightness - other.straightness).max() < 0.01
        assert apex_of_a_plateau(unsplit.timeline, curve) == apex_of_a_plateau(whole.timeline, other)
    assert segments(unsplit.timeline) == segments(whole.timeline)
    assert [peak.apex for peak in unsplit.timeline.peaks] == [peak.apex for peak in whole.timeline.peaks]


# --- progress


def test_the_bar_moves_within_spans_and_never_back(whole: Outcome) -> None:
    assert_moves(whole.progress, 70)
    # In this process every frame is reported; a tenth of a span is for the networks.
    assert max(np.diff([0, *whole.progress])) < 4


def test_one_span_alone_moves_the_bar(seconds: list[Picture], tmp_path: Path) -> None:
    with execute.open_executor(2) as executor:
        progress = analyse(write(tmp_path / "film.mp4", seconds), tmp_path, executor).progress
    assert len(progress) > 40 and progress[-1] == 2


def test_repeated_and_stored_work_keeps_the_bar_in_bounds(film: Path, tmp_path: Path) -> None:
    def halting(
        function: Callable[[object], Generator[float]], tasks: Iterable[object], deadline: float | None = None
    ) -> Iterator[object]:
        """Run tasks as workers that die once in every task."""
        for index, task in enumerate(tasks):
            for done in islice(function(task), 30):
                yield execute.Progress(index, done)
            for done in function(task):
                yield execute.Progress(index, done)
            yield execute.Done(index, [])

    halting.has_workers, halting.is_remote, halting.jobs = True, False, 1  # type: ignore[attr-defined]
    progress: list[float] = []
    half = replace(LARGE, end=Fraction(60))
    store = Store(tmp_path, keep=True)
    with begin(film, store, settings=half, executor=halting, tick=progress.append) as run:
        assert run.timeline
    assert all(before < after for before, after in pairwise(progress))
    assert progress[-1] == run.selected_seconds == 60
    again = analyse(film, tmp_path).progress
    assert again[:2] == [30, 60] and again[2] < 61 and again[-1] == 70


# --- few keyframes, or none that can be sought

SPAN = 5  # seconds
SELDOM = {**LOSSLESS, "x264-params": "scenecut=0:keyint=infinite"}


@dataclass(frozen=True)
class Wrapped:
    """The same pictures in three containers."""

    often: Path
    seldom: Path
    unsought: Path  # some times are missing: seeking is not reliable


@pytest.fixture(scope="session")
def wrapped(shown: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Wrapped:
    folder = tmp_path_factory.mktemp("wrapped")
    return Wrapped(
        write(folder / "often.mp4", shown, rate=10, gop=10),
        write(folder / "seldom.mp4", shown, rate=10, gop=100000, options=SELDOM),
        write(
            folder / "unsought.mkv",
            shown,
            rate=10,
            pts=range(-5, 195),
            container_options={"avoid_negative_ts": "disabled"},  # negative times are read as missing
        ),
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten spans so that the film has four; only in this process, not in workers."""
    monkeypatch.setattr(spans, "LENGTH", SPAN)


@dataclass(frozen=True)
class Watched:
    """A run over short spans, and how it decoded."""

    outcome: Outcome
    spans: int
    passes: int
    alive: int  # frames in memory after the run
    most: int  # frames in memory at the same time


def watch(path: Path, folder: Path) -> Watched:
    alive = most = passes = 0
    real = reading.frames

    def counted(*arguments: Any, **named: Any) -> Iterator[Frame]:
        nonlocal alive, most, passes
        passes += 1
        for frame in real(*arguments, **named):
            alive, most = alive + 1, max(most, alive + 1)
            finalize(frame.luma, gone)
            yield frame
            del frame

    def gone() -> None:
        nonlocal alive
        alive -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spans, "LENGTH", SPAN)
        patch.setattr(reading, "frames", counted)
        result = analyse(path, folder)
    return Watched(result, len(entries(folder)), passes, alive, most)


@pytest.fixture(scope="session")
def often(wrapped: Wrapped, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return watch(wrapped.often, tmp_path_factory.mktemp("often"))


@pytest.fixture(scope="session")
def seldom(wrapped: Wrapped, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return watch(wrapped.seldom, tmp_path_factory.mktemp("seldom"))


@pytest.fixture(scope="session")
def unsought(wrapped: Wrapped, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return watch(wrapped.unsought, tmp_path_factory.mktemp("unsought"))


@pytest.mark.parametrize("name", ["seldom", "unsought"])
def test_a_stretch_without_keyframes_gives_what_keyframes_give(
    often: Watched, name: str, request: pytest.FixtureRequest
) -> None:
    run: Watched = request.getfixturevalue(name)
    result, expected = run.outcome, often.outcome
    clock, other = result.timeline.source, expected.timeline.source
    assert len(clock.keyframes) == 1 if name == "seldom" else not clock.seekable
    assert (run.spans, run.passes) == (4, 1) and often.passes > 1
    # Spans overlap by 20 frames, but only those around a cut and those decoded at once are in memory. The
    # decoder holds as many, so that what it leaves in damaged frames does not depend on this.
    assert run.alive == 0 and run.most <= reading.HELD
    assert result.timeline.tally == expected.timeline.tally == Tally(200, expected.timeline.tally.with_faces)
    for column in ("frame", "track", "status", "box", "landmarks"):
        assert np.array_equal(result.rows[column], expected.rows[column], equal_nan=True), column
    assert [clock.seconds(pts) for pts in clock.pts.tolist()] == [
        other.seconds(at) for at in other.pts.tolist()
    ]
    assert [clock.seconds(pts) for pts in result.timeline.shots.tolist()] == [0, 6]
    assert len(result.timeline.curves) == len(expected.timeline.curves) == 2
    for curve, same in zip(result.timeline.curves, expected.timeline.curves, strict=True):
        assert np.abs(curve.scores - same.scores).max() < 0.001
    both = zip(segments(result.timeline), segments(expected.timeline), strict=True)
    assert all(own == pytest.approx(same, abs=0.002) for own, same in ((a[:2], b[:2]) for a, b in both))


@pytest.mark.usefixtures("short")
def test_a_killed_run_over_a_long_stretch_resumes(
    wrapped: Wrapped, seldom: Watched, two_workers: execute.Executor, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def tick(reached: float) -> None:
        if reached > 12:
            raise Killed

    store = Store(tmp_path, keep=True)
    with pytest.raises(Killed), begin(wrapped.seldom, store, tick=tick) as run:
        assert run.timeline
    done = entries(tmp_path)
    assert len(done) == 2
    assert_same(analyse(wrapped.seldom, tmp_path, two_workers), seldom.outcome)
    after = entries(tmp_path)
    assert len(after) == 4 and done.items() <= after.items()
    # And after two entries, with one between them, are lost.
    paths = sorted(tmp_path.glob("*/*.span"), key=lambda path: int(path.name.split("-")[0]))
    paths[1].unlink()
    paths[3].unlink()
    assert_same(analyse(wrapped.seldom, tmp_path), seldom.outcome)


@pytest.mark.usefixtures("short")
def test_the_spans_of_a_long_stretch_come_one_by_one(wrapped: Wrapped, tmp_path: Path) -> None:
    seen = []
    progress: list[float] = []
    with begin(wrapped.unsought, Store(tmp_path), tick=progress.append) as run:
        for segment in run.segments():
            seen.append((run.video.seconds(segment.end), progress[-1]))
    assert all(before < after for before, after in pairwise(progress)) and progress[-1] == 20
    assert seen[0][1] < 20  # not only at the end


@pytest.mark.usefixtures("short")
def test_a_part_of_a_long_stretch(wrapped: Wrapped, often: Watched, tmp_path: Path) -> None:
    part = replace(LARGE, start=Fraction(4), end=Fraction(12))
    result = analyse(wrapped.seldom, tmp_path, settings=part)
    assert len(entries(tmp_path)) == 3
    assert result.timeline.tally.decoded == 80 and result.timeline.tally.complete
    whole = often.outcome
    inside = (whole.rows["frame"] >= 40) & (whole.rows["frame"] < 120)
    assert np.array_equal(result.rows["frame"], whole.rows["frame"][inside])
    assert np.allclose(result.rows["landmarks"], whole.rows["landmarks"][inside], atol=1e-3, equal_nan=True)


def test_a_damaged_stretch_has_the_tally_of_one_pass(
    shown: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged frames are counted once, wherever spans begin."""
    sound = write(tmp_path / "film.avi", shown[:120], rate=10, codec="ffv1")
    hurt = damaged(tmp_path / "hurt.avi", sound, 0.5, 60_000)
    monkeypatch.setattr(spans, "LENGTH", 10000)
    whole = analyse(hurt, tmp_path / "whole").timeline
    monkeypatch.setattr(spans, "LENGTH", SPAN)
    parts = analyse(hurt, tmp_path / "parts").timeline
    assert len(entries(tmp_path / "parts")) > len(entries(tmp_path / "whole")) == 1
    assert parts.tally == whole.tally
    tallies: list[Tally] = []
    decoded = sum(1 for _ in reading.frames(whole.source, tally=tallies.append))
    assert (parts.tally.decoded, parts.tally.undecodable) == (decoded, tallies[0].undecodable)
    assert parts.tally.undecodable > 0


def test_beside_workers_only_the_networks_of_the_stitcher_are_loaded(
    shown: list[Picture], two_workers: execute.Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def noted(name: str, device: str, reads: str) -> model.Model:
        loaded.append(reads)
        return model.load(name, device, reads)

    monkeypatch.setattr(run_of_a_video, "load", noted)
    options = {**LOSSLESS, "x264-params": "scenecut=0"}
    path = write(tmp_path / "film.mp4", shown[:134], rate=1, gop=67, options=options)
    for number, executor in enumerate((None, two_workers)):
        analyse(path, tmp_path / str(number), executor)
    with execute.open_executor(1) as alone:
        analyse(path, tmp_path / "alone", alone)
    assert loaded == ["", stitch.READS, ""]


def test_long_stretches_in_workers_give_the_same(
    shown: list[Picture], two_workers: execute.Executor, tmp_path: Path
) -> None:
    """Two stretches of over a minute at one frame a second, because workers have spans of full length."""
    options = {**LOSSLESS, "x264-params": "scenecut=0"}
    path = write(tmp_path / "film.mp4", shown[:134], rate=1, gop=67, options=options)
    whole = analyse(path, tmp_path / "one")
    planned = whole.timeline.source
    passes = spans.groups(planned, spans.plan(planned, LARGE))
    assert [len(group) for group in passes] == [2, 2] and len(entries(tmp_path / "one")) == 4
    assert_same(analyse(path, tmp_path / "two", two_workers), whole)


def test_frames_left_out_between_samples_change_nothing(
    shown: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check a film with B-frames and rare keyframes, against decoding every frame."""
    options = {"crf": "18", "bf": "3", "preset": "ultrafast", "x264-params": "b-adapt=0:scenecut=0"}
    path = write(tmp_path / "film.mp4", shown, rate=10, gop=75, options=options)
    monkeypatch.setattr(spans, "LENGTH", 8)
    settings = Settings(sample_fps=Fraction(5, 2))
    decoded = 0
    real = reading.upright

    def counted(*arguments: Any) -> Any:
        nonlocal decoded
        decoded += 1
        return real(*arguments)

    monkeypatch.setattr(reading, "upright", counted)
    short = analyse(path, tmp_path / "short", settings=settings)
    few = decoded
    planned = short.timeline.source
    assert isinstance(planned, Video) and len(entries(tmp_path / "short")) > 1
    for span in spans.plan(planned, settings):
        stored = cache.read(next((tmp_path / "short").glob(f"*/{span.start}-*")))
        alone = results.pack(spans.analyze_span(planned, span, spans.Options(settings, MODEL)))
        assert stored is not None and all(np.array_equal(stored[name], alone[name]) for name in alone)
    decoded = 0
    monkeypatch.setattr(reading, "LEAVING_OUT", frozenset())
    long = analyse(path, tmp_path / "long", settings=settings)
    assert 0.5 < few / decoded < 0.8
    assert short.texts["frames"] == long.texts["frames"] and short.tracks == long.tracks
    assert short.timeline.tally == long.timeline.tally
    assert short.timeline.tally.decoded == len(planned.pts) == 200
    (cut,), (exact,) = short.timeline.shots[1:], long.timeline.shots[1:]
    assert 0 <= cut - exact <= planned.length(1 / Fraction(5, 2))


def test_no_segment_spans_a_cut(whole: Outcome) -> None:
    for segment in whole.timeline.segments:
        assert not any(segment.start < cut < segment.end for cut in whole.timeline.shots.tolist())
    assert len({segment.track for segment in whole.timeline.segments}) == 2


def test_every_planned_frame_has_a_row(whole: Outcome) -> None:
    planned, rows = whole.timeline.source.pts, whole.rows
    assert whole.timeline.tally.decoded == len(planned) == 140
    assert whole.timeline.tally.undecodable == 0 and whole.timeline.tally.complete
    assert sorted(set(rows["frame"].tolist())) == list(range(140))
    assert np.array_equal(planned[rows["frame"]], rows["pts"])
    assert whole.texts["frames"].count("\n") == 1 + whole.row_count == 1 + len(rows["pts"])
    shown = np.unique(rows["frame"][rows["track"] >= 0])
    assert len(shown) == whole.timeline.tally.with_faces
    assert (np.isnan(rows["box"][:, 0]) == (rows["track"] < 0)).all()
    assert (np.isfinite(rows["scores"]).all(1) == (rows["track"] >= 0)).all()


def test_a_selection_gives_the_same_on_its_part(film: Path, whole: Outcome, tmp_path: Path) -> None:
    part = analyse(film, tmp_path, settings=replace(LARGE, start=Fraction(30), end=Fraction(40)))
    clock = whole.timeline.source
    inside = (whole.rows["pts"] >= clock.ticks(30)) & (whole.rows["pts"] < clock.ticks(40))
    assert np.array_equal(part.rows["frame"], whole.rows["frame"][inside])
    assert np.allclose(part.rows["landmarks"], whole.rows["landmarks"][inside], atol=1e-3)


# --- one face in many containers


@pytest.fixture(scope="session")
def seconds(faces: list[Picture]) -> list[Picture]:
    """Return two seconds in which a smile begins."""
    return faces[15:65]


@pytest.fixture(scope="session")
def plain(seconds: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("plain")
    return analyse(write(folder / "plain.mp4", seconds), folder / "cache")


MATRICES = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("turn", MATRICES)
def test_a_rotated_film_gives_the_same(
    seconds: list[Picture], plain: Outcome, tmp_path: Path, turn: int
) -> None:
    lying = [np.ascontiguousarray(np.rot90(luma, turn // 90)) for luma in seconds]
    turned = analyse(write(tmp_path / "turned.mp4", lying, matrix=MATRICES[turn]), tmp_path / "cache")
    assert turned.timeline.source.rotation == turn
    assert segments(turned.timeline) == segments(plain.timeline)
    assert np.abs(turned.rows["box"] - plain.rows["box"]).max() < 2


def test_an_mpeg_ts_gives_the_curves_of_an_mp4(
    seconds: list[Picture], plain: Outcome, tmp_path: Path
) -> None:
    other = analyse(write(tmp_path / "film.ts", seconds, pts=range(250, 300)), tmp_path / "cache")
    assert other.timeline.source.start != 0 and other.timeline.source.container == "mpegts"
    (curve,), (expected,) = other.timeline.curves, plain.timeline.curves
    times = [
        [run.timeline.source.seconds(pts) for pts in curve.pts.tolist()]
        for run, curve in ((other, curve), (plain, expected))
    ]
    assert times[0] == pytest.approx(times[1], abs=1e-4)
    assert np.abs(curve.scores - expected.scores).max() < 1e-6


def test_full_range_reads_like_limited_range(seconds: list[Picture], tmp_path: Path) -> None:
    """The same scene in both kinds of coding gives nearly the same scores."""
    scenes = [np.clip(luma.astype(np.float32) / 255, 0, 1) for luma in seconds[:30]]
    limited = [np.rint(16 + 219 * scene).astype(np.uint8) for scene in scenes]
    full = [np.rint(255 * scene).astype(np.uint8) for scene in scenes]
    runs, crops = [], []
    for name, luma in (("limited", limited), ("full", full)):
        path = write(tmp_path / f"{name}.mp4", luma, full_range=name == "full")
        with begin(path, Store.temporary(), crops=True) as run:
            runs.append(outcome(run))
            crops.append(clips.contrast(np.concatenate([chunk.faces for chunk in run.crops()])[None]))
    limited_run, full_run = runs
    (first,), (second,) = limited_run.timeline.curves, full_run.timeline.curves
    eyes = float(shape.eye_distance(limited_run.rows["landmarks"]).mean())
    # Measured: 0.005 eye distances, 0.05 deviations of grey, 0.04 of scores.
    figures = (
        float(np.abs(limited_run.rows["landmarks"] - full_run.rows["landmarks"]).mean()) / eyes,
        float(np.abs(crops[0] - crops[1]).mean()),
        float(np.abs(first.scores - second.scores).mean()),
    )
    assert figures[0] < 0.015 and figures[1] < 0.1 and figures[2] < 0.12, figures


def test_a_black_film_gives_a_valid_empty_timeline(tmp_path: Path) -> None:
    black = analyse(write(tmp_path / "black.mp4", [np.full((48, 64), 16, np.uint8)] * 30), tmp_path / "cache")
    timeline = black.timeline
    assert (timeline.curves, timeline.segments, timeline.peaks) == ((), (), ())
    assert timeline.shots.tolist() == [0] and timeline.tally.decoded == 30 and timeline.tally.with_faces == 0
    assert set(black.rows["status"].tolist()) == {Status.NO_FACE} and black.row_count == 30
    jsonschema.validate(json.loads(black.texts["json"]), schema())


@pytest.mark.parametrize("count", [1, 3])
def test_stills(faces: list[Picture], tmp_path: Path, count: int) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for index in range(count):
        write_still(folder / f"{index}.png", faces[50 + index], pixel_format="gray")
    still = analyse(folder / "0.png" if count == 1 else folder, tmp_path / "cache")
    (curve,) = still.timeline.curves
    assert curve.frames == count == still.row_count == still.timeline.tally.with_faces
    assert len(still.timeline.segments) == 1
    jsonschema.validate(json.loads(still.texts["json"]), schema())


def test_a_truncated_film_is_incomplete(seconds: list[Picture], tmp_path: Path) -> None:
    film = write(tmp_path / "film.ts", seconds)
    cut = analyse(truncated(tmp_path / "cut.ts", film, 0.6), tmp_path / "cache").timeline
    assert not cut.tally.complete
    assert 20 < cut.tally.with_faces <= cut.tally.decoded < 50
    assert analyse(film, tmp_path / "cache").timeline.tally.complete
