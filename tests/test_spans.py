"""The plan of spans, their results as arrays, and their entries in the cache."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tracks import face_at, video
from torch import Tensor

from fervid import cache, clips, model
from fervid.analysis import results, spans, stitch
from fervid.analysis.decoding import in_groups
from fervid.analysis.results import Span
from fervid.errors import OutputError, UsageError
from fervid.faces import shape, tracks
from fervid.types import Array, Curve, Frame, Settings, Tally, Track, Video

START = 700  # pts of the first frame


def film(seconds: float, keyframes: float = 2.0) -> Video:
    """Return a video of 10 frames a second, with pts in milliseconds."""
    planned = video(range(START, START + round(seconds * 1000), 100), Fraction(1, 1000))
    step = round(keyframes * 1000)
    return replace(
        planned, duration=round(seconds * 1000), keyframes=np.arange(START, planned.pts[-1] + 1, step)
    )


def bounds(
    planned: Video, start: str | None = None, end: str | None = None
) -> list[tuple[float, float | None]]:
    """Return the start and end of every span, in seconds from the first frame."""
    chosen = Settings(
        start=None if start is None else Fraction(start), end=None if end is None else Fraction(end)
    )
    plan = spans.plan(planned, chosen)
    assert [span.index for span in plan] == list(range(len(plan)))
    return [((s.start - START) / 1000, None if s.stop is None else (s.stop - START) / 1000) for s in plan]


def test_spans_begin_at_keyframes_nearest_to_multiples_of_30_seconds() -> None:
    assert bounds(film(100)) == [(0, 30), (30, 60), (60, 90), (90, None)]
    assert bounds(film(100, keyframes=7)) == [(0, 28), (28, 63), (63, 91), (91, None)]
    assert bounds(film(60, keyframes=9.9)) == [(0, 29.7), (29.7, None)]  # 60 s is the end
    assert bounds(film(60.1, keyframes=9.9)) == [(0, 29.7), (29.7, 59.4), (59.4, None)]


def test_a_short_video_is_one_span() -> None:
    assert bounds(film(0.1)) == [(0, None)]
    assert bounds(film(29)) == [(0, None)]


@pytest.mark.parametrize("keyframes", [0.1, 2, 7, 45, 61, 1000])
@pytest.mark.parametrize("seconds", [60, 100, 125.3])
def test_every_frame_is_in_one_span(seconds: float, keyframes: float) -> None:
    planned = film(seconds, keyframes)
    plan = spans.plan(planned, Settings())
    assert [sum(pts in span for span in plan) for pts in planned.pts.tolist()] == [1] * len(planned.pts)
    assert all(any(pts in span for pts in planned.pts.tolist()) for span in plan)
    assert len({span.start for span in plan}) == len(plan)
    assert all(span.start in planned.pts for span in plan)
    assert all(15000 <= spans.length(planned, span) <= 61000 for span in plan[:-1])
    assert sum(spans.length(planned, span) for span in plan) == planned.duration


def test_with_rare_keyframes_spans_begin_at_other_frames() -> None:
    assert bounds(film(100, keyframes=55)) == [(0, 55), (55, None)]  # near enough
    assert bounds(film(100, keyframes=1000)) == [(0, 30), (30, 60), (60, None)]  # no short span at the end
    assert bounds(film(200, keyframes=100)) == [
        *[(0, 30), (30, 60), (60, 100)],  # no short span before a keyframe
        *[(100, 120), (120, 150), (150, 180), (180, None)],
    ]


def passes(planned: Video, start: str | None = None) -> list[list[int]]:
    chosen = spans.plan(planned, Settings(start=None if start is None else Fraction(start)))
    return [[span.index for span in group] for group in spans.groups(planned, chosen)]


def test_a_decoding_pass_begins_at_a_keyframe() -> None:
    assert passes(film(100)) == [[0], [1], [2], [3]]
    assert passes(film(100, keyframes=1000)) == [[0, 1, 2]]
    assert passes(film(200, keyframes=100)) == [[0, 1, 2], [3, 4, 5, 6]]
    assert passes(film(200, keyframes=100), "35") == [[0, 1], [2, 3, 4, 5]]
    assert passes(film(200, keyframes=100), "110") == [[0, 1, 2, 3]]
    assert passes(replace(film(100), seekable=False)) == [[0, 1, 2]]


def test_start_and_end_do_not_move_the_grid() -> None:
    planned = film(100)
    assert bounds(planned, "35") == [(35, 60), (60, 90), (90, None)]
    assert bounds(planned, "30") == [(30, 60), (60, 90), (90, None)]
    assert bounds(planned, None, "65") == [(0, 30), (30, 60), (60, 65)]
    assert bounds(planned, None, "60") == [(0, 30), (30, 60)]
    assert bounds(planned, "35", "40") == [(35, 40)]
    assert bounds(planned, "29.95", "30.05") == [(29.95, 30), (30, 30.05)]
    assert bounds(planned, None, "5000") == [(0, 30), (30, 60), (60, 90), (90, 5000)]


def test_without_seeking_spans_begin_at_any_frame() -> None:
    whole = [(0, 30), (30, 60), (60, None)]
    assert bounds(replace(film(100), seekable=False)) == whole
    assert bounds(replace(film(100), seekable=False), "35", "40") == [(35, 40)]
    assert bounds(replace(film(100), keyframes=np.empty(0, np.int64))) == whole
    assert bounds(replace(film(60), seekable=False)) == [(0, None)]
    gap = (
        np.concatenate([np.arange(0, 20000, 100), np.arange(95000, 100000, 100)]) + START
    )  # no frame at 30, 60
    assert bounds(replace(film(100), seekable=False, pts=gap)) == [(0, 95), (95, None)]


def test_a_jump_of_the_clock_costs_nothing() -> None:
    """The gap has 57 million multiples of 30 seconds; spans begin only at frames."""
    jump = 1_700_000_010
    times = np.concatenate([np.arange(0, 70_000, 100), np.arange(0, 40_000, 100) + jump * 1000]) + START
    planned = replace(film(1), pts=times, duration=jump * 1000 + 40_000, keyframes=times[::20])
    whole = [(0, 30), (30, 60), (60, 68), (68, jump), (jump, jump + 30), (jump + 30, None)]
    assert bounds(planned) == whole
    assert bounds(replace(planned, seekable=False)) == [(0, 30), (30, 60), (60, jump), (jump, None)]


@given(
    steps=st.lists(st.sampled_from([1, 40, 100, 2_000, 14_999, 15_000, 30_000, 70_000]), max_size=300),
    tick=st.sampled_from([Fraction(1, 1000), Fraction(1001, 30_000), Fraction(1, 90_000), Fraction(7)]),
    every=st.integers(1, 50),
    seekable=st.booleans(),
)
def test_spans_are_those_of_the_whole_grid(
    steps: list[int], tick: Fraction, every: int, seekable: bool
) -> None:
    ticks = [max(1, round(step / 1000 / tick)) for step in steps]
    times = START + np.cumsum([0, *ticks])
    planned = replace(
        video(times.tolist(), tick), keyframes=times[::every], seekable=seekable, duration=sum(ticks) + 1
    )
    length = 30 / tick
    grid = [START + float(n * length) for n in range(1, int(planned.duration / length) + 1)]
    starts = {START}
    if seekable:
        starts |= {min(planned.keyframes.tolist(), key=lambda pts: abs(pts - at)) for at in grid}
    for low, high in pairwise([*sorted(starts), planned.end]):
        if high - low > 2 * length:
            inside = [at for at in grid if low + length / 2 <= at <= high - length / 2]
            after = [min((pts for pts in times.tolist() if pts >= at), default=high) for at in inside]
            starts |= {pts for pts in after if low < pts < high}
    assert [span.start for span in spans.plan(planned, Settings())] == sorted(starts)


@pytest.mark.parametrize(
    ("start", "end"), [("100", None), ("-1", None), ("500", "600"), ("9", "9"), ("9", "3"), (None, "0")]
)
def test_an_empty_selection_is_an_error(start: str | None, end: str | None) -> None:
    with pytest.raises(UsageError, match=r"--(start|end) "):
        bounds(film(100), start, end)


def test_frames_of_a_group_are_decoded_at_once_and_released_one_by_one() -> None:
    decoded: list[weakref.ref[Frame]] = []

    def frames() -> Iterator[Frame]:
        for pts in range(7):
            frame = Frame(pts, np.zeros((2, 2), np.uint8))
            decoded.append(weakref.ref(frame))
            yield frame

    for number, frame in enumerate(in_groups(frames(), 3)):
        assert frame.pts == number and len(decoded) == min(number // 3 * 3 + 3, 7)
        del frame
        alive = [reference for reference in decoded[:number] if reference() is not None]
        assert not alive
    assert number == 6


def test_the_halo_is_a_second_at_each_end() -> None:
    planned = film(100)
    first, middle, last = (Span(0, START, 30700), Span(1, 30700, 60700), Span(2, 60700, None))
    assert spans.with_halo(planned, first) == (START, 31700)
    assert spans.with_halo(planned, middle) == (29700, 61700)
    assert spans.with_halo(planned, last) == (59700, None)


@pytest.mark.parametrize("fps", [None, Fraction(5)])
def test_spans_of_one_pass_give_the_same_as_alone(
    monkeypatch: pytest.MonkeyPatch, fps: Fraction | None
) -> None:
    """Halos over several spans, a span without frames, and a span that begins after a gap."""
    times = [*range(START, 9000, 100), *range(40000, 43000, 100)]
    planned = replace(film(50), pts=np.array(times, np.int64), seekable=fps is not None)
    bounds = [START, 1200, 1300, 5000, 12000, 20000, 41000, 41050, None]
    chosen = [Span(at, low, high) for at, (low, high) in enumerate(pairwise(bounds)) if low is not None]
    on_grid = {pts for pts in times if fps is None or (pts - START) % 200 == 0 or pts == 40000}
    passes: list[tuple[int, int | None]] = []

    def frames(
        _: Video,
        low: int,
        high: int | None,
        tally: Callable[[Tally], None],
        wanted: frozenset[int] | None,
        undamaged: bool,
    ) -> Iterator[Frame]:
        assert not undamaged
        passes.append((low, high))
        assert wanted == (None if fps is None else on_grid)
        for pts in times:
            if wanted is not None and pts not in wanted and pts % 300:
                continue
            if low <= pts and (high is None or pts < high) and pts != 4100:  # 4100 cannot be decoded
                yield Frame(pts, np.full((48, 64), 200 if 3000 <= pts < 41000 else 20, np.uint8))
        tally(Tally(complete=high is not None))

    monkeypatch.setattr(spans.reading, "frames", frames)
    options = spans.Options(Settings(sample_fps=fps))
    steps = list(spans.analyze(planned, chosen, options))
    parts = [step.result for step in steps if step.result is not None]
    assert passes == [(START, None)]
    alone = [spans.analyze_span(planned, span, options) for span in chosen]
    assert len(passes) == 1 + len(chosen)
    for result, other in zip(parts, alone, strict=True):
        assert_same(results.pack(result), results.pack(other))
    assert [pts for result in parts for pts in result.pts.tolist()] == [pts for pts in times if pts != 4100]
    cuts = [3000, 41000 if fps is None else 41100]  # 41000 is left out
    assert [pts for result in parts for pts in result.cuts.tolist()] == cuts
    sampled = {pts for result in parts for pts in result.pts[result.flags == results.SAMPLED].tolist()}
    assert sampled == (on_grid | {4200}) - {4100}  # the next frame replaces the lost one
    assert sum((result.tally for result in parts), Tally()) == Tally(len(times) - 1, 0, 1, False)
    # And when the spans between them are stored already.
    some = [step.result for step in spans.analyze(planned, chosen[1::3], options) if step.result is not None]
    for result, other in zip(some, alone[1::3], strict=True):
        assert_same(results.pack(result), results.pack(other))


def test_a_span_reports_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = film(40)

    def frames(_: Video, low: int, high: int | None, *__: object, **___: object) -> Iterator[Frame]:
        for pts in planned.pts.tolist():
            if low <= pts and (high is None or pts < high):
                yield Frame(pts, np.full((48, 64), 20, np.uint8))

    monkeypatch.setattr(spans.reading, "frames", frames)
    shares = [
        step.share for step in spans.analyze(planned, [Span(0, START, 30700)], spans.Options(Settings()))
    ]
    assert len(shares) == 311 and shares[0] == 0 and shares[-1] == 1
    assert all(0 < after - before < 0.004 for before, after in pairwise(shares[:-1]))


def followed(number: int, pts: Sequence[int]) -> Track:
    random, count = np.random.default_rng(number), len(pts)
    return Track(
        number,
        np.array(pts, np.int64),
        random.random((count, 4)).astype(np.float32),
        np.stack([face_at(100, 90)] * count),
        random.random((count, 3)).astype(np.float32),
        random.random(count).astype(np.float32),
        random.integers(0, 2, count).astype(np.uint8),
    )


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the batches that each network of the untrained model reads."""
    counts: dict[str, int] = {}
    for name, network in model.load("untrained").networks.items():

        def counted(clip: Tensor, name: str = name, own: Callable[..., Tensor] = network.features) -> Tensor:
            assert len(clip) == (stitch.AT_ONCE if name == "tiny_displacement" else model.BATCH)
            counts[name] = counts.get(name, 0) + 1
            return own(clip)

        counts[name] = 0
        monkeypatch.setattr(network, "features", counted)
    return counts


# Three short tracks, one of which ends in the halo before the span and has no window in it.
SHORT = (range(START, 1700, 100), range(2000, 5000, 100), range(2500, 3400, 100))
SECOND = Span(1, 2000, None)


def test_the_windows_of_all_tracks_share_batches(
    monkeypatch: pytest.MonkeyPatch, batches: dict[str, int]
) -> None:
    planned, random = film(10), np.random.default_rng(2)
    faces = [
        tracks.Followed(
            followed(number, pts),
            random.integers(0, 255, (len(pts), shape.CROP, shape.CROP)).astype(np.uint8),
        )
        for number, pts in enumerate(SHORT)
    ]
    monkeypatch.setattr(spans.reading, "frames", lambda *_, **__: iter(()))
    monkeypatch.setattr(spans.tracks, "collect", lambda *_: faces)
    options = spans.Options(Settings(people=False), "untrained")
    span = spans.analyze_span(planned, SECOND, options)
    assert [len(moments) for moments in span.moments] == [0, 10, 3]
    assert batches == {"tiny_faces": 2, "tiny_displacement": 0}
    net = model.load("untrained")
    for face, moments, logits in zip(faces, span.moments, span.logits, strict=True):
        clip = clips.Face.of_track(planned, face.track, face.crops)
        alone = net.logits("tiny_faces", [window["faces"] for window in clip.windows(moments)])
        assert list(logits) == ["tiny_faces"] and logits["tiny_faces"].tobytes() == alone.tobytes()


def test_tracks_that_end_or_go_on_share_batches(batches: dict[str, int]) -> None:
    planned, random = film(60), np.random.default_rng(4)
    bounds = (Span(0, START, 30700), Span(1, 30700, None))
    shown = (range(START, 3000, 100), range(5000, 9000, 100), range(31000, 45000, 100))
    faces = [followed(number, pts) for number, pts in enumerate(shown)]
    moments = [clips.centres(planned, track.pts, START, None) for track in faces]
    logits = [{"tiny_faces": random.normal(size=(len(m), 7)).astype(np.float32)} for m in moments]

    def curves(chosen: Sequence[int]) -> list[Curve]:
        stitcher = stitch.Stitcher(planned, model.load("untrained"), Settings())
        for span in bounds:
            own = [at for at in chosen if int(faces[at].pts[0]) in span]
            stitcher.feed(
                span,
                replace(
                    result(0),
                    tracks=tuple(faces[at] for at in own),
                    moments=tuple(moments[at] for at in own),
                    logits=tuple(logits[at] for at in own),
                ),
            )
        stitcher.close()
        return stitcher.curves

    together = curves([0, 1, 2])
    windows = sum(map(len, moments))
    assert batches == {"tiny_faces": 0, "tiny_displacement": -(-windows // stitch.AT_ONCE)}
    alone = [curve for number in range(3) for curve in curves([number])]
    assert [len(curve.pts) for curve in together] == [len(m) for m in moments]
    assert len({curve.scores.tobytes() for curve in together}) == 3
    for curve, other in zip(together, alone, strict=True):
        assert curve.scores.tobytes() == other.scores.tobytes()


def result(tracks: int, crops: bool = False, nets: bool = True) -> results.SpanResult:
    random = np.random.default_rng(5)
    tracked = tuple(followed(number, range(number, 10 + 2 * number)) for number in range(tracks))
    return results.SpanResult(
        tally=Tally(20, 0, 3, False),
        pts=np.arange(20),
        flags=random.integers(0, 4, 20).astype(np.uint8),
        cuts=np.array([4, 9]),
        tracks=tracked,
        moments=tuple(np.arange(number) * 8 for number in range(tracks)),  # the first track has none
        logits=tuple(
            {name: random.normal(size=(number, 7)).astype(np.float32) for name in ("a", "b")} if nets else {}
            for number in range(tracks)
        ),
        crops=tuple(random.integers(0, 255, (len(track) - 2, 8, 8)).astype(np.uint8) for track in tracked)
        if crops
        else (),
    )


def assert_same(first: dict[str, Array], second: dict[str, Array]) -> None:
    assert list(first) == list(second)
    for name in first:
        assert first[name].dtype == second[name].dtype and np.array_equal(first[name], second[name]), name


@pytest.mark.parametrize("tracks", [0, 1, 3])
@pytest.mark.parametrize("crops", [False, True])
@pytest.mark.parametrize("nets", [False, True])
def test_a_result_survives_packing(tmp_path: Path, tracks: int, crops: bool, nets: bool) -> None:
    own = result(tracks, crops, nets)
    cache.write(tmp_path / "key" / "entry.span", results.pack(own))
    arrays = cache.read(tmp_path / "key" / "entry.span")
    assert arrays is not None
    back = results.unpack(arrays)
    assert_same(results.pack(back), results.pack(own))
    assert back.tally == own.tally
    assert [track.id for track in back.tracks] == [track.id for track in own.tracks]
    assert [len(moments) for moments in back.moments] == [len(moments) for moments in own.moments]
    assert [set(logits) for logits in back.logits] == [set(logits) for logits in own.logits]
    assert len(back.crops) == len(own.crops)


SMALL = {"pts": np.arange(9), "flags": np.ones(3, np.uint8)}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    path = tmp_path / "key" / "0-end.span"
    cache.write(path, SMALL)
    return path


def test_a_truncated_entry_counts_as_missing(entry: Path) -> None:
    whole = entry.read_bytes()
    for length in range(len(whole)):
        entry.write_bytes(whole[:length])
        assert cache.read(entry) is None, length
        assert not entry.exists()


@pytest.mark.parametrize("number", [0, 5, 7])
def test_an_entry_with_a_flipped_bit_counts_as_missing(entry: Path, number: int) -> None:
    whole = entry.read_bytes()
    refused = 0
    for index in range(len(whole)):
        hurt = bytearray(whole)
        hurt[index] ^= 1 << number
        entry.write_bytes(hurt)
        refused += cache.read(entry) is None and not entry.exists()
    assert refused == len(whole)


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"PK\x03\x04", b"\x80\x04N.", npy()],
    ids=["empty", "text", "zip", "pickle", "npy"],
)
def test_a_foreign_file_counts_as_missing(entry: Path, content: bytes) -> None:
    entry.write_bytes(content)
    assert cache.read(entry) is None
    assert not entry.exists()


def test_an_entry_is_written_completely_or_not_at_all(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = entry.read_bytes()

    def full(_: int) -> None:
        assert any(path.name.endswith(".part") for path in entry.parent.iterdir())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="free some space, or set FERVID_CACHE_DIR"):
        cache.write(entry, SMALL)
    assert entry.read_bytes() == before
    assert list(entry.parent.iterdir()) == [entry]
    with pytest.raises(OutputError):
        cache.write(entry.with_name("other.span"), SMALL)
    assert list(entry.parent.iterdir()) == [entry]


def test_writing_an_entry_leaves_no_other_files(entry: Path) -> None:
    assert list(entry.parent.iterdir()) == [entry]


def test_only_the_user_can_read_entries(tmp_path: Path) -> None:
    """They are biometric data. The temporary folder of a batch's worker is made with the first entry."""
    entry = tmp_path / "store" / "key" / "0-end.span"
    cache.write(entry, SMALL)
    assert [path.stat().st_mode & 0o777 for path in (entry.parent.parent, entry.parent, entry)] == [
        0o700,
        0o700,
        0o600,
    ]


def test_a_missing_entry_is_none(tmp_path: Path) -> None:
    assert cache.read(tmp_path / "nothing.span") is None


@pytest.mark.parametrize(
    ("keep", "resume", "succeeded", "left"),
    [
        (False, True, True, False),
        (True, True, True, True),
        (False, True, False, True),
        (False, False, False, False),
    ],
)
def test_entries_are_kept_or_deleted_at_the_end_of_a_run(
    tmp_path: Path, keep: bool, resume: bool, succeeded: bool, left: bool
) -> None:
    store = cache.Store(tmp_path / "store", keep, resume)
    store.lock("0" * 32)
    entry = store.entry("0" * 32, 0, None)
    cache.write(entry, SMALL)
    store.forget("0" * 32, succeeded)
    assert entry.exists() is left
