"""Spans that share a decoding pass: which do, and that their results are the same as alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import test_spans
from media import Picture, damaged, pictures, write

from fervid.analysis import results, spans, tasks
from fervid.analysis.results import Span
from fervid.types import Array, Frame, Settings, Video
from fervid.video import planning, reading

OPTIONS = spans.Options(Settings(min_face=0.5))  # faces are not what matters
GOP = 25
Arrays = Mapping[str, Array]
CODECS = {
    "h264": ("film.mp4", "libx264", {"bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}),
    "vp9": ("film.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4": ("film.avi", "mpeg4", {"bf": "0"}),
    "mpeg2video": ("film.ts", "mpeg2video", {"bf": "2"}),
    "libdav1d": ("film.mkv", "libsvtav1", {"preset": "12", "svtav1-params": "lp=1"}),
}


@pytest.fixture(autouse=True)
def short_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "LENGTH", 2)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int | None]]:
    """Note the range of every decoding pass."""
    begun: list[tuple[int, int | None]] = []
    real = reading.frames

    def noted(video: Video, low: int, high: int | None, *others: object, **named: object) -> Iterator[Frame]:
        begun.append((low, high))
        return real(video, low, high, *others, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "frames", noted)
    return begun


def film(seconds: float, keyframes: float = 1.0, codec: str = "h264") -> Video:
    return replace(test_spans.film(seconds, keyframes), codec=codec)


def planned(path: Path) -> tuple[Video, list[Span]]:
    video = planning.plan(path)
    return video, spans.plan(video, Settings())


def analyzed(video: Video, wanted: Sequence[Span], options: spans.Options = OPTIONS) -> list[Arrays]:
    steps = spans.analyze(video, wanted, options)
    return [results.pack(step.result) for step in steps if step.result is not None]


def alone(video: Video, wanted: Sequence[Span], options: spans.Options = OPTIONS) -> list[Arrays]:
    return [results.pack(spans.analyze_span(video, span, options)) for span in wanted]


def assert_same(some: Sequence[Arrays], others: Sequence[Arrays]) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.keys() == other.keys()
        assert all(one[key].tobytes() == other[key].tobytes() for key in one)


def lengths(video: Video, jobs: int) -> list[int]:
    """Return the number of spans in each pass."""
    plan = spans.plan(video, Settings())
    shared = spans.passes(video, plan, jobs)
    assert [span for group in shared for span in group] == plan
    return [len(group) for group in shared]


@pytest.mark.parametrize(
    ("jobs", "expected"), [(0, [1] * 12), (1, [8, 3, 1]), (2, [4, 3, 2, 1, 1, 1]), (9, [1] * 12)]
)
def test_passes_get_shorter_towards_the_end(jobs: int, expected: list[int]) -> None:
    assert lengths(film(24), jobs) == expected


def test_a_long_film_has_passes_of_a_few_spans() -> None:
    assert max(lengths(film(400), 1)) == spans.MOST_JOINED


@pytest.mark.parametrize("codec", ["vp8", "hevc", "mjpeg"])
def test_spans_of_a_decoder_that_hides_damage_share_no_pass(codec: str) -> None:
    assert lengths(film(24, codec=codec), 1) == [1] * 12


def test_spans_around_a_hole_share_no_pass() -> None:
    """A packet may be lost there, which no decoder reports."""
    video = film(24)
    video = replace(video, pts=np.delete(video.pts, 155))  # at 15.5 s, in the eighth of twelve spans
    assert lengths(video, 1) == [7, 1, 1, 2, 1]


def test_spans_without_keyframes_share_a_pass_whatever_the_decoder() -> None:
    assert lengths(film(24, keyframes=100, codec="vp8"), 0) == [12]


@pytest.mark.parametrize("fps", [None, Fraction(5)])
@pytest.mark.parametrize("codec", CODECS)
def test_spans_of_one_pass_have_the_results_that_they_have_alone(
    tmp_path: Path, codec: str, fps: Fraction | None, passes: list[tuple[int, int | None]]
) -> None:
    name, encoder, options = CODECS[codec]
    path = write(
        tmp_path / name, moving(200), codec=encoder, pixel_format="yuv420p", rate=25, gop=GOP, options=options
    )
    video, plan = planned(path)
    assert video.codec == codec and codec in reading.REPORTING
    assert len(spans.groups(video, plan)) == len(plan) >= 4
    options = replace(OPTIONS, settings=replace(OPTIONS.settings, sample_fps=fps))
    together = analyzed(video, plan, options)
    assert len(passes) == 1
    assert_same(together, alone(video, plan, options))
    assert len(passes) == 1 + len(plan)


def test_after_damage_spans_are_decoded_alone(tmp_path: Path, passes: list[tuple[int, int | None]]) -> None:
    video, plan = planned(damaged(tmp_path / "hurt.mp4", h264(tmp_path), 0.6, 600))
    together, begun = analyzed(video, plan), len(passes)
    assert 1 < begun <= len(plan)  # what was finished before the damage is not decoded again
    assert_same(together, alone(video, plan))


@pytest.mark.parametrize("at", [0.2, 0.45, 0.7])
@pytest.mark.parametrize("length", [2, 20, 300])
def test_damage_changes_nothing_about_who_shares_a_pass(tmp_path: Path, at: float, length: int) -> None:
    video, plan = planned(damaged(tmp_path / "hurt.mp4", h264(tmp_path), at, length))
    assert_same(analyzed(video, plan), alone(video, plan))


def test_only_spans_that_follow_one_another_share_a_pass(
    tmp_path: Path, passes: list[tuple[int, int | None]]
) -> None:
    video, plan = planned(h264(tmp_path))
    wanted = [plan[0], plan[1], plan[3]]
    together = analyzed(video, wanted)
    assert len(passes) == 2
    assert_same(together, alone(video, wanted))


def test_the_progress_of_a_task_never_falls(tmp_path: Path) -> None:
    video, plan = planned(damaged(tmp_path / "hurt.mp4", h264(tmp_path), 0.6, 600))
    task = tasks.Task(video, tuple(plan), OPTIONS, {})
    progress = list(tasks.work(task))
    assert progress == sorted(progress)
    assert progress[-1] == sum(spans.length(video, span) for span in plan)


def h264(folder: Path) -> Path:
    name, encoder, options = CODECS["h264"]
    return write(
        folder / name, moving(200), codec=encoder, pixel_format="yuv420p", rate=25, gop=GOP, options=options
    )


def moving(count: int) -> list[Picture]:
    return pictures(count, 160, 128)
