"""Timecode: labels of frames at every rate, and what containers tell of theirs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import pictures, write
from opentimelineio.opentime import RationalTime

from fervid.errors import UsageError
from fervid.export.editors import timecode
from fervid.export.editors.timecode import DROPPING, RATES, Timecode
from fervid.video import planning

NTSC24, NTSC30, NTSC60 = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)
WAYS = [(rate, drops) for rate in RATES for drops in ([False, True] if rate in DROPPING else [False])]
NAMES = [f"{float(rate):.5g}{' drop' if drops else ''}" for rate, drops in WAYS]


@pytest.mark.parametrize(("rate", "drops"), WAYS, ids=NAMES)
def test_labels_are_those_of_opentimelineio(rate: Fraction, drops: bool) -> None:
    numbering = Timecode(rate, drops)
    minute = 60 * numbering.nominal
    day = min(numbering.day, int(86399 * rate))  # by the clock, OpenTimelineIO begins again after 24 hours
    frames = {*range(0, day, 9973), day - 1}
    frames |= {near + at for at in range(0, 12 * minute, minute) for near in range(-20, 20) if near + at >= 0}
    for frame in frames:
        label = numbering.label(frame)
        assert label == RationalTime(frame, float(rate)).to_timecode(float(rate), drops)
        assert numbering.frame(label) == frame


def test_drop_frame_leaves_out_labels_as_the_standard_says() -> None:
    numbering = Timecode(NTSC30, drops=True)
    labels = {1799: "00:00:59;29", 1800: "00:01:00;02", 107892: "01:00:00;00"}
    labels |= {17981: "00:09:59;29", 17982: "00:10:00;00"}
    assert {frame: numbering.label(frame) for frame in labels} == labels
    double = Timecode(NTSC60, drops=True)
    assert [double.label(frame) for frame in (3599, 3600)] == ["00:00:59;59", "00:01:00;04"]
    # An hour of drop-frame labels is an hour of the clock, to within a frame.
    assert abs(numbering.seconds(numbering.frame("01:00:00;00")) - 3600) < Fraction(1, 100)
    assert Timecode(NTSC30).label(107892) == "00:59:56:12"


@settings(deadline=None, derandomize=True)
@given(st.sampled_from(WAYS), st.integers(0, 10**7), st.integers(0, 10**6))
def test_every_label_gives_its_frame(way: tuple[Fraction, bool], first: int, frame: int) -> None:
    plain = Timecode(*way)
    numbering = Timecode(*way, first=first % plain.day)
    assert numbering.frame(numbering.label(frame)) == frame
    assert numbering.beginning(numbering.label(0)) == numbering


@pytest.mark.parametrize("ticks", [None, 1000, 90000, 12800, 600])
@pytest.mark.parametrize(("rate", "drops"), WAYS, ids=NAMES)
def test_no_marker_of_a_long_film_is_a_frame_off(rate: Fraction, drops: bool, ticks: int | None) -> None:
    """From pts, which a coarse clock rounds, to the label and back, over two hours."""
    numbering = Timecode(rate, drops, first=86399)
    base = 1 / Fraction(ticks or rate)
    start = 1001
    for frame in [*range(0, round(7200 * rate), 499), round(5400 * rate), round(7200 * rate)]:
        pts = start + round(frame / rate / base)
        assert numbering.frame(numbering.label(numbering.frame_at((pts - start) * base))) == frame


@pytest.mark.parametrize(
    ("rate", "label", "complaint"),
    [
        (NTSC30, "00:01:00;00", "does not exist in drop-frame"),
        (NTSC60, "00:01:00;03", "does not exist in drop-frame"),
        (Fraction(25), "00:00:00:25", "25 frames a second"),
        (Fraction(25), "00:00:00;10", "write : before the frames"),
        (NTSC24, "00:00:00;10", "23.976 frames a second do not allow"),
        (Fraction(25), "24:00:00:00", "not a timecode"),
        (Fraction(25), "1:00:00", "not a timecode"),
        (Fraction(25), "", "not a timecode"),
    ],
)
def test_what_is_no_label_is_refused(rate: Fraction, label: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Timecode(rate).beginning(label)


def test_a_timecode_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no rate"):
        Timecode(Fraction(15))
    with pytest.raises(ValueError, match="drops no labels"):
        Timecode(NTSC24, drops=True)


def test_labels_begin_anew_after_a_day() -> None:
    numbering = Timecode(Fraction(25)).beginning("23:59:59:20")
    assert [numbering.label(frame) for frame in (4, 5, 6)] == ["23:59:59:24", "00:00:00:00", "00:00:00:01"]
    assert numbering.frame("00:00:00:00") == 5


@pytest.mark.parametrize(
    ("declared", "counted", "holds_all"),
    [
        ("24000/1001", NTSC24, True),
        ("2997/125", NTSC24, True),
        ("23.98", NTSC24, True),
        ("24", Fraction(24), True),
        ("29.97", NTSC30, True),
        ("59.94", NTSC60, True),
        ("12.5", Fraction(25), True),
        ("15", Fraction(30), True),
        ("120", Fraction(60), False),
        ("119.88", NTSC60, False),
        ("26.4", Fraction(25), False),
        ("29.61", NTSC30, False),
        ("1000", Fraction(50), False),
    ],
)
def test_a_video_is_counted_at_the_nearest_rate(declared: str, counted: Fraction, holds_all: bool) -> None:
    assert timecode.rate_near(Fraction(declared)) == counted
    assert timecode.holds_all(Fraction(declared)) is holds_all


@pytest.mark.parametrize(
    ("label", "rate", "other", "expected"),
    [
        ("01:00:00;10", NTSC30, NTSC30, "01:00:00;10"),
        ("01:00:00:12", Fraction(24), Fraction(25), "01:00:00:12"),
        ("01:00:00;15", NTSC30, Fraction(25), "01:00:00:12"),
        ("01:00:01:60", Fraction(120), Fraction(60), "01:00:01:30"),
        ("00:01:00;02", NTSC30, NTSC60, "00:01:00;04"),
        ("00:01:00;04", NTSC60, NTSC30, "00:01:00;02"),
        ("01:00:00:30", Fraction(25), Fraction(25), "01:00:00:30"),  # refused where it is read
    ],
)
def test_a_timecode_moves_to_another_rate(label: str, rate: Fraction, other: Fraction, expected: str) -> None:
    assert timecode.moved(label, rate, other) == expected


# What containers tell


def labelled(path: Path, rate: Fraction | int, reel: str | None = None, **tags: str) -> Path:
    """Write a second of video in a container that has tags."""
    codec = "mpeg2video" if path.suffix == ".mxf" else "libx264"
    with av.open(path, "w") as out:
        out.metadata.update(tags)
        stream = out.add_stream(codec, rate=Fraction(rate), width=64, height=48)
        stream.pix_fmt = "yuv420p"
        if reel is not None:
            stream.metadata["reel_name"] = reel
        for luma in pictures(10):
            picture = av.VideoFrame.from_ndarray(np.repeat(luma[:, :, None], 3, axis=2), format="rgb24")
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("suffix", "rate", "label"),
    [
        ("mov", NTSC24, "01:00:00:12"),
        ("mov", NTSC30, "01:00:00;10"),
        ("mov", NTSC30, "01:00:00:10"),
        ("mov", NTSC60, "10:01:00;04"),
        ("mp4", 25, "09:59:59:24"),
        ("mkv", 50, "01:00:00:49"),
        ("mxf", 25, "00:00:10:00"),
    ],
)
def test_the_start_timecode_comes_from_the_container(
    tmp_path: Path, suffix: str, rate: Fraction | int, label: str
) -> None:
    planned = planning.plan(labelled(tmp_path / f"film.{suffix}", rate, timecode=label))
    assert planned.timecode == label
    assert planning.properties(planned.path)["timecode"] == label


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_the_reel_comes_from_the_container(tmp_path: Path, suffix: str) -> None:
    path = labelled(tmp_path / f"film.{suffix}", 25, "A001\nC002", timecode="01:00:00:00")
    assert planning.plan(path).reel == "A001 C002"


@pytest.mark.parametrize("label", ["yesterday", "99:00:00:00", "01:00:00"])
def test_what_is_no_timecode_is_passed_by(tmp_path: Path, label: str) -> None:
    planned = planning.plan(labelled(tmp_path / "film.mkv", 25, timecode=label))
    assert (planned.timecode, planned.reel, planned.audio_channels) == (None, None, 0)


def test_channels_of_sound_are_counted(tmp_path: Path) -> None:
    assert planning.plan(write(tmp_path / "film.mp4", pictures(10), audio_seconds=1)).audio_channels == 1


@pytest.mark.parametrize(
    ("pts", "varies"),
    [
        ([0, 41, 83, 125, 166, 208], False),  # 24 a second, in milliseconds
        ([0, 40, 80, 200, 240, 280], True),  # two are left out
        ([0, 33, 66, 166, 266, 366], True),
        ([0], False),
    ],
)
def test_a_rate_that_varies_is_seen(tmp_path: Path, pts: list[int], varies: bool) -> None:
    path = write(tmp_path / "film.mkv", pictures(len(pts)), pts=pts, time_base=Fraction(1, 1000))
    assert planning.plan(path).has_variable_rate is varies
