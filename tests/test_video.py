"""Test undamaged files: times and pixels as written, and spans that join to the whole."""

from __future__ import annotations

import gc
import pickle
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from media import B_FRAMES, FRAGMENTED, LOSSLESS, OPEN_GOP, Picture, damaged, edit, picture, pictures, write

from fervid.errors import UsageError
from fervid.types import Frame, Tally, Video
from fervid.video import planning, reading

MEDIA = Path(__file__).parents[2] / "shared" / "media"


def whole(path: Path, **options: str) -> tuple[Video, list[Frame], Tally]:
    planned = planning.plan(path, **options)
    tallies: list[Tally] = []
    frames = list(reading.frames(planned, tally=tallies.append))
    (tally,) = tallies
    return planned, frames, tally


def same(frame: Frame, other: Frame) -> bool:
    facts = (frame.pts, frame.cut, frame.repeated) == (other.pts, other.cut, other.repeated)
    return facts and np.array_equal(frame.luma, other.luma)


def assert_spans_join(path: Path, spans: int = 8, seed: int = 1, share: float = 1) -> None:
    """Check that spans cut at random and around keyframes give the frames, pixels and counts of one pass."""
    planned, frames, tally = whole(path)
    chosen = random.Random(seed).sample(planned.pts.tolist(), min(spans, len(planned.pts)))
    chosen += [at + shift for at in planned.keyframes.tolist()[1:5] for shift in (-1, 0, 1)]
    bounds = [None, *sorted({at for at in chosen if at > planned.start}), None]
    tallies: list[Tally] = []
    joined = [f for low, high in pairwise(bounds) for f in reading.frames(planned, low, high, tallies.append)]
    assert len(joined) == len(frames) > 0
    assert [frame.pts for frame in joined] == [frame.pts for frame in frames]
    equal = [same(first, second) for first, second in zip(joined, frames, strict=True)]
    assert sum(equal) >= share * len(frames)
    assert sum(tallies, Tally()) == tally


def reference(path: Path) -> list[tuple[int | None, bytes]]:
    """Return times and Y planes of a plain decode of 8-bit planar video, with none of our code.

    In frames of H.264 to which no other refers, the edges of blocks are not smoothed.
    """
    with av.open(path) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name == "h264":
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        return [
            (frame.pts, frame.to_ndarray()[: frame.height, : frame.width].tobytes())
            for frame in container.decode(stream)
        ]


def test_frames_to_which_others_refer_are_smoothed(tmp_path: Path) -> None:
    """So all frames are nearly those of a full decode, and others do not depend on what is left out."""
    path = write(tmp_path / "film.mp4", pictures(48), options={**B_FRAMES, "crf": "36"})
    with av.open(path) as container:
        full = [
            (frame.pict_type, frame.to_ndarray()[: frame.height, : frame.width].astype(int))
            for frame in container.decode(container.streams.video[0])
        ]
    frames = whole(path)[1]
    changed = [
        (kind, float(np.abs(frame.luma - luma).mean()))
        for frame, (kind, luma) in zip(frames, full, strict=True)
        if not np.array_equal(frame.luma, luma)
    ]
    assert 0 < len(changed) < len(frames)
    assert max(share for _, share in changed) < 2
    assert {kind for kind, _ in changed} == {PictureType.B}


# --- time


@pytest.mark.parametrize(
    ("suffix", "pts", "time_base", "factor", "clock"),
    [
        (".mp4", range(30), Fraction(1, 25), 512, Fraction(1, 12800)),
        (".mkv", range(30), Fraction(1, 25), 40, Fraction(1, 1000)),
        (".mp4", range(30), Fraction(1001, 24000), 1001, Fraction(1, 24000)),
        (".mkv", [0, 40, 55, 300, 301, 999], Fraction(1, 1000), 1, Fraction(1, 1000)),
        (".mp4", [0, 40, 55, 300, 301], Fraction(1, 16000), 1, Fraction(1, 16000)),
        (".mp4", range(50, 80), Fraction(1, 25), 512, Fraction(1, 12800)),
        (".ts", range(50, 80), Fraction(1, 25), 3600, Fraction(1, 90000)),
        (".mkv", [700, 740, 781], Fraction(1, 1000), 1, Fraction(1, 1000)),
    ],
    ids=["cfr", "cfr-mkv", "ntsc", "vfr-mkv", "vfr-mp4", "offset-mp4", "offset-ts", "offset-mkv"],
)
def test_times_are_those_that_were_written(
    tmp_path: Path, suffix: str, pts: Sequence[int], time_base: Fraction, factor: int, clock: Fraction
) -> None:
    path = write(tmp_path / f"film{suffix}", pictures(len(pts)), pts=pts, time_base=time_base)
    planned, frames, tally = whole(path)
    expected = [at * factor for at in pts]
    assert planned.time_base == clock
    assert planned.pts.tolist() == expected == [frame.pts for frame in frames]
    assert (planned.start, planned.seekable) == (expected[0], True)
    assert planned.seconds(expected[-1]) == float((pts[-1] - pts[0]) * time_base)
    assert planned.clock_offset == 0  # the picture alone: its first frame is the container's first moment
    assert tally == Tally(decoded=len(pts))
    assert all(np.array_equal(frame.luma, picture(at)) for at, frame in enumerate(frames))


def test_duration_ends_with_the_last_frame(tmp_path: Path) -> None:
    planned = planning.plan(write(tmp_path / "film.mp4", pictures(30), options=B_FRAMES))
    assert planned.duration * planned.time_base == Fraction(30, 25)
    assert planned.rate == 25


def test_rate_is_the_mean_of_a_varying_one(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", pictures(5), pts=[0, 10, 400, 410, 1000], time_base=Fraction(1, 1000))
    assert planning.plan(path).rate == 4
    assert planning.properties(path)["variable_rate"] is True


def test_a_jump_of_the_clock_leaves_no_mean_rate(tmp_path: Path) -> None:
    """The mean would be zero, and no timeline can be read with it."""
    pts = [0, 40, 80, 1_700_000_000_000, 1_700_000_000_040]
    path = write(tmp_path / "film.mkv", pictures(5), pts=pts, time_base=Fraction(1, 1000))
    planned = planning.plan(path)
    assert planned.pts.tolist() == pts
    assert planned.rate is None


def test_clock_offset_counts_from_the_first_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", pictures(10), pts=range(25, 35), audio_seconds=2)
    planned = planning.plan(path)
    # The sound begins at 0, or one priming frame of AAC (128 ms) before.
    assert Fraction(1) <= planned.clock_offset <= Fraction(1128, 1000)
    assert planned.seconds(planned.start) == 0


def test_frames_hidden_by_an_edit_list_are_not_planned(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures(35), pts=range(-5, 30), options=B_FRAMES)
    planned, frames, tally = whole(path)
    assert planned.pts.tolist() == [at * 512 for at in range(30)] == [frame.pts for frame in frames]
    assert tally == Tally(decoded=30)
    assert_spans_join(path)


def test_two_edits(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures(96), options=B_FRAMES)
    edit(path, [(960, 1024), (960, 1024 + 60 * 512)])  # frames 0..23, then 60..83
    planned, frames, _ = whole(path)
    assert [frame.pts for frame in frames] == planned.pts.tolist()
    assert planned.pts.tolist()[:24] == [at * 512 for at in range(24)]
    assert 46 <= len(frames) <= 48  # FFmpeg may round a seam's frame away
    assert np.abs(frames[-1].luma.astype(int) - picture(83)).mean() < 4
    assert [(frame.pts, frame.luma.tobytes()) for frame in frames] == reference(path)
    assert_spans_join(path)


def test_repeated_times_keep_their_frames(tmp_path: Path) -> None:
    pts = [0, 1, 2, 3, 4, 5, 6, 7]  # at 1700 a second, in a container of milliseconds
    path = write(tmp_path / "film.mkv", pictures(8), pts=pts, time_base=Fraction(1, 1700))
    planned, frames, tally = whole(path)
    assert [frame.pts for frame in frames] == [0, 1, 1, 2, 2, 3, 4, 4] == planned.pts.tolist()
    assert [frame.repeated for frame in frames] == [at in (2, 4, 7) for at in range(8)]
    assert not planned.seekable
    assert tally == Tally(decoded=8)
    assert all(np.array_equal(frame.luma, picture(at)) for at, frame in enumerate(frames))
    assert_spans_join(path)


def test_missing_times_are_filled(tmp_path: Path) -> None:
    options = {"avoid_negative_ts": "disabled"}  # so that negative times come out as none at all
    path = write(tmp_path / "film.mkv", pictures(20), pts=range(-5, 15), container_options=options)
    planned, frames, _ = whole(path)
    assert [frame.pts for frame in frames] == [at * 40 for at in range(-5, 15)] == planned.pts.tolist()
    assert not planned.seekable
    assert_spans_join(path)


@pytest.mark.parametrize("name", ["film.h264", "film.avi"])
def test_wrong_times_are_counted(tmp_path: Path, name: str) -> None:
    """Check raw H.264, which has no times, and AVI, which has only those of decoding."""
    container = "h264" if name.endswith("h264") else None
    path = write(tmp_path / name, pictures(30), options=B_FRAMES, container=container)
    planned, frames, tally = whole(path)
    assert not planned.seekable
    assert [planned.seconds(frame.pts) for frame in frames] == pytest.approx([at / 25 for at in range(30)])
    assert planned.pts.tolist() == [frame.pts for frame in frames]
    assert [frame.luma.tobytes() for frame in frames] == [luma for _, luma in reference(path)]
    assert planned.duration * planned.time_base == Fraction(30, 25)
    assert tally == Tally(decoded=30)
    assert_spans_join(path)


# --- spans

REFRESH = {"crf": "18", "x264-params": "intra-refresh=1:keyint=15"}
VARYING = [at * 40 + at * at for at in range(60)]
HEVC = "log-level=none:open-gop=1:bframes=3:b-adapt=0:keyint=10"
# name, which begins with the suffix -> codec, its options, and other options of `write`
FILMS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "mp4 lossless": ("libx264", LOSSLESS, {}),
    "mp4 B-frames": ("libx264", B_FRAMES, {}),
    "mp4 open group": ("libx264", OPEN_GOP, {}),
    "mp4 intra refresh": ("libx264", REFRESH, {}),
    "mp4 one keyframe": ("libx264", B_FRAMES, {"gop": 600}),
    "mp4 fragmented": ("libx264", B_FRAMES, {"container_options": FRAGMENTED}),
    "mp4 offset": ("libx264", B_FRAMES, {"pts": range(90, 150)}),
    "mp4 mpeg4": ("mpeg4", {"bf": "2"}, {}),
    "mov hevc open group": ("libx265", {"preset": "ultrafast", "x265-params": HEVC}, {}),
    "ts h264": ("libx264", OPEN_GOP, {}),
    "ts mpeg2": ("mpeg2video", {"bf": "2"}, {}),
    "avi mpeg4": ("mpeg4", {"bf": "2"}, {}),
    "avi ffv1": ("ffv1", {}, {}),
    "mkv B-frames": ("libx264", B_FRAMES, {}),
    "mkv varying": ("libx264", B_FRAMES, {"pts": VARYING, "time_base": Fraction(1, 1000)}),
    "webm vp8": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}, {}),
    "webm vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, {}),
    "flv": ("libx264", B_FRAMES, {}),
}


@pytest.mark.parametrize("name", FILMS)
def test_spans_join_to_the_whole(tmp_path: Path, name: str) -> None:
    codec, options, more = FILMS[name]
    path = tmp_path / f"film.{name.split()[0]}"
    write(path, pictures(60), codec=codec, options=options, **more)
    planned, frames, tally = whole(path)
    assert [(frame.pts, frame.luma.tobytes()) for frame in frames] == reference(path)
    assert planned.pts.tolist() == [frame.pts for frame in frames]
    assert planned.seekable
    assert tally == Tally(decoded=len(frames))
    assert not any(frame.cut or frame.repeated for frame in frames)
    assert_spans_join(path)


# Films in which no frame refers to some others, and decoding can leave these out.
LEAVING_OUT = {"mp4 B-frames", "mp4 open group", "mp4 intra refresh", "mp4 one keyframe", "mp4 fragmented"}
LEAVING_OUT |= {"mp4 offset", "mp4 mpeg4", "mov hevc open group", "ts h264", "ts mpeg2", "avi mpeg4"}
LEAVING_OUT |= {"mkv B-frames", "mkv varying", "flv"}


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("every", [2, 7])
def test_wanted_frames_are_as_in_a_whole_pass(tmp_path: Path, name: str, every: int) -> None:
    codec, options, more = FILMS[name]
    path = tmp_path / f"film.{name.split()[0]}"
    write(path, pictures(60), codec=codec, options=options, **more)
    planned, frames, _ = whole(path)
    pts = planned.pts.tolist()
    wanted = {*pts[::every], *random.Random(every).sample(pts, 60 // every)}
    tallies: list[Tally] = []
    bounds = [None, pts[20], pts[21], pts[41], None]
    some = [
        f
        for low, high in pairwise(bounds)
        for f in reading.frames(planned, low, high, tallies.append, wanted)
    ]
    assert wanted <= {frame.pts for frame in some}
    assert all(same(frame, frames[pts.index(frame.pts)]) for frame in some)
    assert (len(some) < len(frames)) == (name in LEAVING_OUT)
    assert sum(tallies, Tally()) == Tally(decoded=len(some))


@pytest.mark.parametrize("name", ["mp4 B-frames", "mkv B-frames", "ts h264", "avi mpeg4"])
def test_long_before_a_span_only_frames_that_others_refer_to_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    codec, options, more = FILMS[name]
    path = tmp_path / f"film.{name.split()[0]}"
    write(path, pictures(60), codec=codec, options=options, **{**more, "gop": 600})
    planned, decoded = planning.plan(path), []
    clocked = reading._clocked

    def noted(*arguments: Any) -> Iterator[tuple[int, av.VideoFrame]]:
        for time, shown in clocked(*arguments):
            decoded.append(time)
            yield time, shown

    monkeypatch.setattr(reading, "_clocked", noted)
    pts = planned.pts.tolist()
    assert [time for time, _ in reading.timed(planned, pts[-2])] == pts[-3:]
    late = pts[-2] - planned.length(reading.SECONDS_BEFORE)
    assert decoded[0] in planned.keyframes and set(decoded) < set(pts)
    assert [time for time in decoded if time >= late] == [time for time in pts if time >= late]
    assert len(decoded) < len(pts) - 10


def test_after_damage_before_a_span_frames_are_those_of_one_pass(tmp_path: Path) -> None:
    """Which frames the decoder gives after damage depends on all before, with those that none refers to."""
    sound = write(tmp_path / "film.flv", pictures(150), rate=10, gop=60, options=B_FRAMES)
    # Whether the decoder gives a damaged frame depends on what was in memory: one of these loses some.
    hurt = (whole(damaged(tmp_path / "hurt.flv", sound, at, 700)) for at in (0.775, 0.785, 0.79, 0.772, 0.77))
    planned, frames = next((planned, frames) for planned, frames, _ in hurt if len(frames) < len(planned.pts))
    for start in planned.pts[planned.pts > planned.pts[40]].tolist():
        assert [frame.pts for frame in reading.frames(planned, start)] == [
            frame.pts for frame in frames if frame.pts >= start
        ]


def test_a_container_whose_times_change_after_a_seek_is_read_in_one_pass(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mpg", pictures(60), codec="mpeg2video", options={"bf": "2"})
    planned, frames, _ = whole(path)
    assert [(frame.pts, frame.luma.tobytes()) for frame in frames] == reference(path)
    assert not planned.seekable
    assert_spans_join(path)


def test_every_frame_as_its_own_span(tmp_path: Path) -> None:
    path = write(tmp_path / "film.ts", pictures(40), options=OPEN_GOP)
    planned, frames, _ = whole(path)
    for frame in frames:
        (single,) = reading.frames(planned, frame.pts, frame.pts + 1)
        assert same(single, frame)


def test_a_span_needs_only_its_own_plan(tmp_path: Path) -> None:
    planned = planning.plan(write(tmp_path / "film.mp4", pictures(40), options=B_FRAMES))
    low, high = int(planned.pts[10]), int(planned.pts[20])
    sent: Video = pickle.loads(pickle.dumps(planned.between(low, high)))
    tallies: list[Tally] = []
    assert [f.pts for f in reading.frames(sent, low, high, tallies.append)] == planned.pts[10:20].tolist()
    assert tallies == [Tally(decoded=10)]


def test_empty_spans_have_no_frames(tmp_path: Path) -> None:
    planned = planning.plan(write(tmp_path / "film.mp4", pictures(10)))
    tallies: list[Tally] = []
    for low, high in ((512, 512), (1024, 512), (planned.end, None), (-900, -100)):
        assert list(reading.frames(planned, low, high, tallies.append)) == []
    assert tallies == [Tally()] * 4


@pytest.mark.skipif(not MEDIA.is_dir(), reason="the real clips are not here")
@pytest.mark.parametrize("name", ["cap13.webm", "no_face.mp4", "signing.mkv"])
def test_real_clips(name: str) -> None:
    assert_spans_join(MEDIA / name, spans=3)


# --- pixels

Matrix = tuple[int, int, int, int]
# Where the eight display matrices put the pixel (x, y) of the coded picture: x' = a x + c y, y' = b x + d y.
MATRICES: dict[Matrix, int] = {
    (1, 0, 0, 1): 0,
    (0, 1, -1, 0): 90,
    (-1, 0, 0, -1): 180,
    (0, -1, 1, 0): 270,
    (-1, 0, 0, 1): 0,
    (1, 0, 0, -1): 180,
    (0, 1, 1, 0): 270,
    (0, -1, -1, 0): 90,
}


def displayed(luma: Picture, matrix: Matrix) -> Picture:
    """Turn a picture by the definition of the matrix, pixel by pixel."""
    a, b, c, d = matrix
    height, width = luma.shape
    rows, columns = np.mgrid[:height, :width]
    across, down = a * columns + c * rows, b * columns + d * rows
    across, down = across - across.min(), down - down.min()
    shown = np.zeros((int(down.max()) + 1, int(across.max()) + 1), np.uint8)
    shown[down, across] = luma
    return shown


@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_upright(tmp_path: Path, matrix: Matrix) -> None:
    planned, frames, _ = whole(write(tmp_path / "film.mp4", pictures(3, 96, 64), matrix=matrix))
    for at, frame in enumerate(frames):
        expected = displayed(picture(at, 96, 64), matrix)
        assert np.array_equal(frame.luma, expected)
        assert (planned.height, planned.width) == expected.shape
    assert planned.rotation == MATRICES[matrix]


@pytest.mark.parametrize("rotate", ["0", "90", "180", "270"])
def test_rotation_can_be_overridden(tmp_path: Path, rotate: str) -> None:
    path = write(tmp_path / "film.mp4", pictures(3, 96, 64), matrix=(0, 1, -1, 0))
    planned, frames, _ = whole(path, rotate=rotate)
    expected = np.rot90(picture(2, 96, 64), -int(rotate) // 90)
    assert np.array_equal(frames[2].luma, expected)
    assert (planned.height, planned.width, planned.rotation) == (*expected.shape, int(rotate))


def test_rotation_is_a_right_angle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rotate must be one of"):
        planning.plan(write(tmp_path / "film.mp4", pictures(1)), rotate="45")


@pytest.mark.parametrize(
    ("aspect", "turned", "size"),
    [
        (Fraction(4, 3), False, (128, 72)),
        (Fraction(1, 2), False, (96, 144)),
        (Fraction(4, 3), True, (72, 128)),
        (Fraction(1, 1000), False, (96, 72)),  # a damaged header
    ],
)
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, turned: bool, size: tuple[int, int]) -> None:
    matrix = (0, 1, -1, 0) if turned else None
    bar = np.full((72, 96), 30, np.uint8)
    bar[:, 48:] = 220
    planned, frames, _ = whole(write(tmp_path / "film.mp4", [bar] * 2, aspect=aspect, matrix=matrix))
    assert (planned.width, planned.height) == size == frames[0].luma.shape[::-1]
    across = frames[0].luma.mean(axis=1 if turned else 0)  # the edge stays in the middle
    assert abs(int((across < 125).sum()) - max(len(across) // 2, 1)) <= 1


@pytest.mark.parametrize("size", [(131, 77), (17, 33), (96, 64)])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p", "gray"])
def test_any_size(tmp_path: Path, size: tuple[int, int], pixel_format: str) -> None:
    path = write(tmp_path / "film.mkv", pictures(3, *size), codec="ffv1", pixel_format=pixel_format)
    planned, frames, _ = whole(path)
    assert (planned.width, planned.height) == size
    assert all(np.array_equal(frame.luma, picture(at, *size)) for at, frame in enumerate(frames))


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p10le", "yuv422p12le", "yuv444p16le", "gray10le", "gray12le", "gray16le", "yuv410p", "yuva420p"],
)
def test_deep_and_odd_formats_keep_their_luma(tmp_path: Path, pixel_format: str) -> None:
    path = write(tmp_path / "film.mkv", pictures(3), codec="ffv1", pixel_format=pixel_format)
    _, frames, _ = whole(path)
    assert all(np.array_equal(frame.luma, picture(at)) for at, frame in enumerate(frames))


@pytest.mark.parametrize("full_range", [False, True])
def test_luma_is_as_coded_whatever_the_range(tmp_path: Path, full_range: bool) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    path = write(tmp_path / "film.mp4", [ramp, ramp], full_range=full_range)
    assert np.array_equal(whole(path)[1][1].luma, ramp)
    assert planning.properties(path)["range"] == ("full" if full_range else "unknown")


@pytest.mark.parametrize(
    ("film", "codec", "kind", "error"),
    [
        ("film.mkv", "ffv1", "bgra", 1),
        ("film.avi", "rawvideo", "bgr24", 1),
        ("film.avi", "rawvideo", "yuyv422", 1),
        ("film.png", "apng", "rgb24", 1),
        ("film.gif", "gif", "rgb8", 64),  # four to eight levels a colour
    ],
)
def test_colour_is_converted_once(tmp_path: Path, film: str, codec: str, kind: str, error: int) -> None:
    container = "apng" if codec == "apng" else None
    path = write(tmp_path / film, pictures(4), codec=codec, pixel_format=kind, container=container)
    planned, frames, tally = whole(path)
    assert tally == Tally(decoded=4)
    assert [planned.seconds(frame.pts) for frame in frames] == [0, 0.04, 0.08, 0.12]
    for at, frame in enumerate(frames):
        assert np.abs(frame.luma.astype(int) - picture(at)).max() <= error
    assert_spans_join(path)


def test_interlaced_frames_give_their_top_field(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures(4), options={**LOSSLESS, "x264-params": "tff=1"})
    _, frames, _ = whole(path)
    for at, frame in enumerate(frames):
        field = picture(at)[0::2].astype(float)
        assert np.array_equal(frame.luma[0::2], field)
        below = np.vstack([field[1:], field[-1:]])
        assert np.abs(frame.luma[1::2] - (field + below) / 2).max() <= 0.5
    assert planning.properties(path)["interlaced"] is True
    assert_spans_join(path)


def test_the_plane_is_a_view_and_can_be_kept(tmp_path: Path) -> None:
    _, frames, _ = whole(write(tmp_path / "film.mp4", pictures(40)))
    assert all(not frame.luma.flags.owndata and not frame.luma.flags.writeable for frame in frames)
    assert all(np.array_equal(frame.luma, picture(at)) for at, frame in enumerate(frames))


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def decoded_frames() -> list[av.VideoFrame]:
    return [thing for thing in gc.get_objects() if type(thing) is av.VideoFrame]


@pytest.mark.parametrize(("pixels", "held"), [(reading.PIXELS_HELD, reading.HELD), (3 * 64 * 48, 3), (1, 1)])
def test_frames_do_not_wait_for_the_garbage_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int, held: int
) -> None:
    """Check for reference cycles: a decoded frame in one costs 3 MB at 1080p until it is collected."""
    planned = planning.plan(write(tmp_path / "film.mp4", pictures(40)))
    monkeypatch.setattr(reading, "PIXELS_HELD", pixels)
    with no_garbage_collector():
        others = len(decoded_frames())
        # Counting reads all objects of the process.
        frames = (len(decoded_frames()) for index, _ in enumerate(reading.frames(planned)) if index % 5 == 2)
        assert held <= max(frames) - others <= held + 2


@pytest.mark.parametrize("matrix", [None, (0, 1, -1, 0)])
def test_the_decoder_does_not_wait_for_the_garbage_collector(tmp_path: Path, matrix: Matrix | None) -> None:
    """Check that no frame is left, which would keep its decoder's memory: tens of megabytes at 1080p."""
    planned = planning.plan(write(tmp_path / "film.mp4", pictures(40), matrix=matrix))
    with no_garbage_collector():
        assert sum(1 for _ in reading.frames(planned, *planned.pts[[15, 30]].tolist())) == 15
        assert all((frame.width, frame.height) == (16, 16) for frame in decoded_frames())


# --- facts


def test_properties(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    path = write(film, pictures(30), options=B_FRAMES, audio_seconds=1, aspect=Fraction(4, 3))
    facts = planning.properties(path)
    expected = {
        "name": "film.mp4",
        "codec": "h264",
        "frames": 30,
        "declared_frames": 30,
        "duration": 1.2,
        "rate": 25.0,
        "variable_rate": False,
        "keyframes": 3,
        "rotation": 0,
        "width": 85,
        "height": 48,
        "coded_width": 64,
        "pixel_aspect": "4/3",
        "pixel_format": "yuv420p",
        "bit_depth": 8,
        "interlaced": False,
        "audio_streams": 1,
        "complete": True,
        "sha256": planning.plan(path).sha256,
    }
    assert {name: facts[name] for name in expected} == expected


def test_planning_reports_its_progress(tmp_path: Path) -> None:
    shares: list[float] = []
    planning.plan(write(tmp_path / "film.mp4", pictures(3)), tick=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
