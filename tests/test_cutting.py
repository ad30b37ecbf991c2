"""Test pieces of a video: copies begin at keyframes, encoded pieces at the exact frame, both with sound."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from textwrap import indent
from typing import Any

import av
import cv2
import media
import numpy as np
import pytest
from conftest import CLIP, Call, environment
from make_golden import GOLDEN

from fervid.cli.shared import cutting as names
from fervid.cli.shared import output
from fervid.errors import InputError, OutputError
from fervid.types import Peak, Video
from fervid.video import cutting, planning, reading
from fervid.video.sound import sounds

Maker = Callable[[Path], Path]
RAGGED = [0, 1, 2, 5, 6, 9, 14, 15, 16, 20, *range(22, 82, 2)]  # 40 frames at a variable rate, each 1/25 s


def lossless(path: Path, **more: Any) -> Path:
    return media.write(path, media.pictures(40), **more)


MAKERS: dict[str, Maker] = {
    "mp4": lambda folder: lossless(folder / "a.mp4", options=media.B_FRAMES, audio_seconds=2),
    "open_gop": lambda folder: lossless(folder / "a.mp4", options=media.OPEN_GOP),
    "mkv_without_decoding_times": lambda folder: lossless(folder / "a.mkv", options=media.B_FRAMES),
    "transport_stream": lambda folder: lossless(folder / "a.ts", options=media.B_FRAMES),
    "webm": lambda folder: lossless(folder / "a.webm", codec="libvpx", options={"crf": "4", "b": "2M"}),
    "variable_rate": lambda folder: lossless(folder / "a.mp4", pts=RAGGED, audio_seconds=3),
    "late_start": lambda folder: lossless(folder / "a.mp4", pts=range(75, 115), audio_seconds=5),
    "avi_with_mpeg4": lambda folder: lossless(folder / "a.avi", codec="mpeg4", options={"q:v": "2"}),
}


def index_of(luma: media.Picture) -> int:
    """Return the number that `media.picture` draws at the top."""
    return sum(int(luma[1, bit * 4 + 1] > 128) << bit for bit in range(6))


def shown(plan: Video) -> list[tuple[Fraction, int]]:
    """Return each frame's time from the first, and its index in the source."""
    frames = reading.frames(plan)
    return [((frame.pts - plan.start) * plan.time_base, index_of(frame.luma)) for frame in frames]


def between(source: Video, start: float | str, stop: float | str) -> cutting.Piece:
    """Return the piece between two times in seconds."""
    return cutting.at_frames(source, source.ticks(Fraction(start)), source.ticks(Fraction(stop)))


def cut(source: Video, pieces: list[cutting.Piece], target: Path, exact: bool) -> Path:
    with output.open_binary(str(target)) as stream:
        work = cutting.encode if exact else cutting.copy
        work(source, pieces, stream, target.suffix, {"comment": "a test"})
    return target


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_an_encoded_cut_has_exactly_the_frames_at_their_times(maker: Maker, tmp_path: Path) -> None:
    source = planning.plan(maker(tmp_path))
    start, stop = source.ticks(Fraction("0.41")), source.ticks(Fraction("1.02"))
    piece = cutting.at_frames(source, start, stop)
    frames = shown(planning.plan(cut(source, [piece], tmp_path / "cut.mp4", exact=True)))
    whole = [(source.ticks(time), index) for time, index in shown(source)]
    expected = [(pts, index) for pts, index in whole if start <= pts < stop]
    assert [index for _, index in frames] == [index for _, index in expected]
    first = expected[0][0]
    for (time, _), (pts, _) in zip(frames, expected, strict=True):
        assert abs(time - (pts - first) * source.time_base) <= Fraction(1, 1000)


def test_pixels_of_an_encoded_cut_are_those_of_the_source(tmp_path: Path) -> None:
    source = planning.plan(lossless(tmp_path / "a.mp4"))
    piece = between(source, 0.5, 1)
    plan = planning.plan(cut(source, [piece], tmp_path / "cut.mp4", exact=True))
    pairs = zip(reading.frames(plan), reading.frames(source, piece.start, piece.stop), strict=True)
    for frame, original in pairs:
        assert np.abs(frame.luma.astype(int) - original.luma).mean() < 2


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_a_copy_has_all_frames_from_the_keyframe_on(maker: Maker, tmp_path: Path) -> None:
    path = maker(tmp_path)
    source = planning.plan(path)
    start, stop = source.ticks(Fraction("0.7")), source.ticks(Fraction("1.1"))
    piece = cutting.at_keyframes(source, start, stop)
    suffix = cutting.copy_suffix(source)
    assert suffix == (path.suffix if path.suffix != ".avi" else ".mkv")
    assert cutting.copy_obstacle(source, suffix) is None
    assert piece.start in source.keyframes
    assert piece.start <= start
    copied = planning.plan(cut(source, [piece], tmp_path / f"cut{suffix}", exact=False))
    whole = list(reading.frames(source, piece.start))
    frames = list(reading.frames(copied))
    wanted = sum(frame.pts < stop for frame in whole)
    assert wanted <= len(frames) <= wanted + 3  # B-frames may need later frames
    for frame, origin in zip(frames, whole, strict=False):
        assert np.array_equal(frame.luma, origin.luma)
        moved = (frame.pts - copied.start) * copied.time_base
        assert abs(moved - (origin.pts - piece.start) * source.time_base) <= Fraction(1, 1000)


@pytest.mark.parametrize("exact", [False, True], ids=["copied", "encoded"])
def test_the_turn_of_a_phone_s_video_is_kept(exact: bool, tmp_path: Path) -> None:
    source = planning.plan(lossless(tmp_path / "a.mp4", matrix=(0, 1, -1, 0), gop=5))
    piece = between(source, "0.4", 1)
    plan = planning.plan(cut(source, [piece], tmp_path / "cut.mp4", exact))
    assert (plan.rotation, plan.width, plan.height) == (90, 48, 64)
    first, origin = next(reading.frames(plan)), next(reading.frames(source, piece.start))
    assert np.abs(first.luma.astype(int) - origin.luma).mean() < 2


def test_a_requested_turn_is_written(tmp_path: Path) -> None:
    source = planning.plan(lossless(tmp_path / "a.mp4"), rotate="270")
    piece = cutting.at_frames(source, source.start, source.ticks(1))
    for exact in (False, True):
        plan = planning.plan(cut(source, [piece], tmp_path / f"{exact}.mp4", exact))
        assert plan.rotation == 270


def test_square_pixels_and_odd_sizes_are_kept(tmp_path: Path) -> None:
    how = {"pixel_format": "yuv444p", "aspect": Fraction(4, 3)}
    source = planning.plan(media.write(tmp_path / "odd.mp4", media.pictures(8, 51, 37), **how))
    piece = cutting.at_frames(source, source.start, source.end)
    plan = planning.plan(cut(source, [piece], tmp_path / "cut.mp4", exact=True))
    assert (plan.width, plan.height) == (round(50 * 4 / 3), 36)
    assert len(list(reading.frames(plan))) == 8


def tone(path: Path, seconds: float, start: float = 0.0, rate: int = 16000) -> Path:
    """Write a video with sound from `start` on that rises in pitch, so that the pitch gives the time."""
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25, options=dict(media.LOSSLESS))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for index in range(round(seconds * 25)):
            frame = media.frame_of(media.picture(index))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        times = np.arange(round((seconds - start) * rate)) / rate + start
        wave = (np.sin(2 * np.pi * (200 + 100 * times) * times) * 12000).astype(np.int16)
        for at in range(0, len(wave), 800):
            block = np.ascontiguousarray(wave[None, at : at + 800])
            packed = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            packed.sample_rate, packed.time_base = rate, Fraction(1, rate)
            packed.pts = round(start * rate) + at
            out.mux(sound.encode(packed))
        out.mux(sound.encode())
    return path


def samples(path: Path) -> tuple[Any, int]:
    plan = planning.plan(path)
    (sound,) = sounds(plan)
    length = plan.duration * plan.time_base
    return np.concatenate(list(sound.samples(Fraction(0), length)), axis=1)[0], sound.rate


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_of_an_encoded_cut_keeps_its_times(suffix: str, tmp_path: Path) -> None:
    source = planning.plan(tone(tmp_path / "a.mkv", 4.0))
    pieces = [between(source, "0.8", "1.6"), between(source, "2.4", "3.2")]
    wave, rate = samples(cut(source, pieces, tmp_path / f"cut{suffix}", exact=True))
    whole, _ = samples(tmp_path / "a.mkv")
    edges = [int(seconds * rate) for seconds in (0.8, 1.6, 2.4, 3.2)]
    expected = np.concatenate([whole[edges[0] : edges[1]], whole[edges[2] : edges[3]]])
    assert abs(len(wave) - len(expected)) <= rate // 500
    count = min(len(wave), len(expected))
    for part in (slice(rate // 10, rate // 2), slice(rate, count - rate // 10)):
        assert np.corrcoef(wave[:count][part], expected[:count][part])[0, 1] > 0.98


def test_sound_that_begins_late_is_silence_before(tmp_path: Path) -> None:
    source = planning.plan(tone(tmp_path / "a.mkv", 3.0, start=1.5))
    piece = between(source, 1, 2)
    wave, rate = samples(cut(source, [piece], tmp_path / "cut.mp4", exact=True))
    assert np.abs(wave[: int(0.45 * rate)]).max() < 0.01
    assert np.abs(wave[int(0.55 * rate) :]).max() > 0.1


def test_sound_of_a_copy_is_kept(tmp_path: Path) -> None:
    source = planning.plan(tone(tmp_path / "a.mkv", 4.0))
    piece = cutting.at_keyframes(source, source.ticks(2), source.ticks(3))
    wave, rate = samples(cut(source, [piece], tmp_path / "cut.mkv", exact=False))
    whole, _ = samples(tmp_path / "a.mkv")
    begin = round((piece.start - source.start) * source.time_base * rate)
    part = slice(rate // 2, rate - 800)
    assert np.corrcoef(wave[part], whole[begin:][part])[0, 1] > 0.98


def test_pieces_that_touch_are_one() -> None:
    pieces = [cutting.Piece(50, 60), cutting.Piece(0, 10), cutting.Piece(10, 20), cutting.Piece(5, 8)]
    assert cutting.merged(pieces) == [cutting.Piece(0, 20), cutting.Piece(50, 60)]


def test_a_time_between_two_frames_gives_the_frame_shown_then(tmp_path: Path) -> None:
    source = planning.plan(lossless(tmp_path / "a.mp4"))
    step = source.length(Fraction(1, 25))
    piece = cutting.at_frames(source, source.start + step * 3 + 1, source.start + step * 3 + 2)
    assert piece == cutting.Piece(source.start + step * 3, source.start + step * 4)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 3, 1, 2, 6, 4, 5], [-1, 0, 1, 2, 3, 4, 5]),
        ([0, 4, 2, 1, 3], [-2, -1, 0, 1, 2]),
    ],
)
def test_decoding_is_not_after_display(times: list[int], expected: list[int]) -> None:
    decoding = cutting.decoding_times(times)
    assert decoding == expected
    assert all(read <= show for read, show in zip(decoding, times, strict=True))


def test_an_obstacle_to_copying_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    folder.mkdir()
    for index in range(3):
        media.write_still(folder / f"{index}.png", media.picture(index))
    source = planning.plan(folder)
    assert "no stream" in str(cutting.copy_obstacle(source, ".mkv"))
    piece = cutting.at_frames(source, source.start, source.end)
    target = cut(source, [piece], tmp_path / "cut.mp4", exact=True)
    assert [index for _, index in shown(planning.plan(target))] == [0, 1, 2]
    webm = planning.plan(MAKERS["webm"](tmp_path))
    assert ".mp4 cannot contain" in str(cutting.copy_obstacle(webm, ".mp4"))
    assert cutting.copy_obstacle(replace(webm, seekable=False), ".webm")


def test_a_full_disk_is_reported_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    # Enough that writing fails before the end as well.
    noise = list(np.random.default_rng(0).integers(0, 255, (20, 128, 128), np.uint8))
    source = planning.plan(media.write(tmp_path / "a.mp4", noise))
    piece = cutting.at_frames(source, source.start, source.end)

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OutputError("cannot write x: No space left on device")

    for work in (cutting.copy, cutting.encode):
        with pytest.raises(OutputError, match="No space left"):
            work(source, [piece], Full(), ".mp4", {})
    assert capfd.readouterr().err == ""


def moment(onset: int, offset: int, person: str | None = None, emotion: str = "happiness") -> Peak:
    return Peak(3, emotion, onset, (onset + offset) // 2, offset, 0.9, 0.5, 0.7, 0.4, 0.9, person)


@pytest.mark.parametrize(
    ("person", "name"),
    [
        (None, "001_happiness_T3_00-00-01"),
        ("P1", "001_happiness_P1_00-00-01"),
        ("../../etc/Åsa <b>", "001_happiness_etc-Åsa-b_00-00-01"),
        ("///", "001_happiness_unnamed_00-00-01"),
        ("a" * 300, f"001_happiness_{'a' * 40}_00-00-01"),
    ],
)
def test_names_of_clips_are_safe(person: str | None, name: str, tmp_path: Path) -> None:
    source = planning.plan(lossless(tmp_path / "a.mp4"))
    peak = moment(source.ticks(1), source.ticks(Fraction("1.2")), person)
    assert names.name_of(peak, 1, source) == name


def test_pads_stay_within_the_video(tmp_path: Path) -> None:
    source = planning.plan(lossless(tmp_path / "a.mp4"))
    peak = moment(source.ticks(Fraction("0.2")), source.ticks(Fraction("1.4")))
    assert names.padded(peak, (Fraction(5), Fraction(5)), source) == (source.start, source.end)
    wide = names.padded(peak, (Fraction("0.1"), Fraction(0)), source)
    assert wide == (source.ticks(Fraction("0.1")), source.ticks(Fraction("1.4")))


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a timeline of the example clip with two moments added by hand."""
    golden = json.loads(GOLDEN.read_text("utf-8"))
    source = golden["source"]
    step = 512  # ticks of a frame

    def time(frame: int) -> dict[str, float]:
        return {"seconds": frame / 25, "pts": source["start"]["pts"] + frame * step}

    assert source["time_base"] == "1/12800"
    facts = {"score": 0.9, "prominence": 0.5, "valence": 0.1, "arousal": 0.1, "intensity": 0.9}
    happy = {"emotion": "happiness", "onset": time(40), "apex": time(50), "offset": time(60)}
    surprised = {"emotion": "surprise", "onset": time(55), "apex": time(62), "offset": time(75)}
    golden["peaks"] = [{"track": 1, "person": None, **moment, **facts} for moment in (happy, surprised)]
    path = tmp_path_factory.mktemp("timeline") / "out.json"
    path.write_text(json.dumps(golden), encoding="utf-8")
    return path


def test_moments_become_clips_and_a_reel(timeline: Path, call: Call) -> None:
    cuts = ("--video", CLIP, "--cut", "clips", "--montage", "reel.mp4", "--exact", "--pad", "0,0.2")
    done = call("peaks", timeline, *cuts, "-f", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert "wrote 2 clips into clips" in done.stderr
    assert "wrote reel.mp4: 2 moments, 1.6 s" in done.stderr
    clips = sorted(os.listdir("clips"))
    assert clips == ["001_happiness_T1_00-00-02.mp4", "002_surprise_T1_00-00-02.mp4"]
    source = planning.plan(CLIP)
    for name, frames in ((f"clips/{clips[0]}", range(40, 65)), ("reel.mp4", range(40, 80))):
        plan = planning.plan(Path(name))
        assert len(plan.pts) == len(frames)
        origin = reading.frames(source, int(source.pts[frames[0]]))
        for frame, original in zip(reading.frames(plan), origin, strict=False):
            assert np.abs(frame.luma.astype(int) - original.luma).mean() < 2
    with av.open(f"clips/{clips[0]}") as clip:
        assert "visible" in clip.metadata["title"]
        assert "do not say what a person feels" in clip.metadata["comment"]
    again = call("peaks", timeline, "--video", CLIP, "--cut", "clips", "--exact", "-o", "/dev/null")
    assert again.returncode == 1 and "use -y" in again.stderr.splitlines()[-1]


def test_a_reel_has_a_limit_of_its_length(timeline: Path, call: Call) -> None:
    reel = ("peaks", timeline, "--video", CLIP, "--montage", "reel.mp4", "--exact", "--pad", "0", "-y")
    done = call(*reel, "--length", "1")
    assert done.returncode == 0, done.stderr
    assert "wrote reel.mp4: 1 of 2 moments, 0.8 s" in done.stderr
    assert len(planning.plan(Path("reel.mp4")).pts) == 20
    whole = call(*reel, "--length", "1.4")
    assert "wrote reel.mp4: 2 moments, 1.4 s" in whole.stderr
    tiny = call(*reel, "--length", "0.5")
    assert tiny.returncode == 1 and "no moment fits into 0.5 s: the shortest lasts 0.8 s" in tiny.stderr


def test_a_clip_that_would_begin_a_second_early_is_encoded(timeline: Path, call: Call) -> None:
    """The keyframe is 1.1 s before the moment with the default pad of half a second."""
    cut = ("peaks", timeline, "--video", CLIP, "--cut", "clips", "--top", "1", "-o", "/dev/null", "-y")
    done = call(*cut)
    assert done.returncode == 0, done.stderr
    assert (
        "encoded to begin at the exact frames (--copy is faster, but begins up to 1.1 s early)" in done.stderr
    )
    (clip,) = Path("clips").iterdir()
    assert len(planning.plan(clip).pts) == 45
    copied = call(*cut, "--copy")
    assert "at keyframes up to 1.1 s early (use --exact to avoid this)" in copied.stderr
    assert len(planning.plan(clip).pts) > 60
    near = call(*cut, "--pad", "0.7,0")
    assert "at keyframes up to 0.9 s early" in near.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--cut", "clips"), 2, "--video"),
        (("--exact",), 2, "--cut or --montage"),
        (("--length", "9"), 2, "add --montage"),
        (("--video", CLIP, "--montage", "reel.mp4", "--length", "0"), 2, "--length"),
        (("--copy",), 2, "--cut or --montage"),
        (("--copy", "--exact", "--cut", "clips"), 2, "cannot be combined"),
        (("--video", CLIP), 2, "--cut or --montage"),
        (("--video", CLIP, "--montage", "reel.gif"), 2, ".mp4"),
        (("--video", CLIP, "--cut", "out.json"), 1, "is a file"),
        (("--video", "gone.mp4", "--cut", "clips"), 1, "gone.mp4"),
        (("--video", "other.mp4", "--cut", "clips"), 1, "not the video of this timeline"),
        (("--video", CLIP, "--montage", "no/reel.mp4"), 1, "no folder"),
        (("--video", CLIP, "--montage", CLIP, "-y"), 1, "is an input"),
        (("--video", CLIP, "--montage", "reel.mp4", "--emotion", "fear"), 1, "no peaks match"),
        (("--video", CLIP, "--cut", "clips", "--pad", "soon"), 2, "is not a pad"),
        (("--video", CLIP, "--montage", "reel.webm", "--exact"), 2, ".webm file cannot contain H.264"),
    ],
)
def test_an_error_in_cutting_is_one_line(
    options: tuple[str | Path, ...], code: int, words: str, timeline: Path, call: Call
) -> None:
    Path("out.json").write_text(timeline.read_text("utf-8"), "utf-8")
    lossless(Path("other.mp4"))
    done = call("peaks", "out.json", "-o", "peaks.csv", *options)
    assert done.returncode == code, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("fervid: error: ")]
    assert len(errors) == 1
    assert words in errors[0]
    assert not Path("reel.mp4").exists()


def test_another_video_is_an_error(tmp_path: Path) -> None:
    path = lossless(tmp_path / "a.mp4")
    video = planning.plan(path)
    assert planning.plan_known(video, path).sha256 == video.sha256
    turned = planning.plan_known(replace(video, rotation=180), path)
    assert (turned.rotation, turned.rotate) == (180, "180")
    with pytest.raises(InputError, match=r"is not the video of this timeline, which is of a\.mp4"):
        planning.plan_known(replace(video, sha256="0" * 64), path)


@pytest.mark.parametrize(
    "change", [{"width": 66}, {"height": 1}, {"start": 1}, {"time_base": Fraction(1, 7)}]
)
def test_a_timeline_that_contradicts_its_video_is_damaged(tmp_path: Path, change: dict[str, Any]) -> None:
    """Such a timeline failed only when something was drawn into the video."""
    made = planning.plan(lossless(tmp_path / "a.mp4"))
    with pytest.raises(InputError, match=r"timeline of a\.mp4 is damaged: .* has another size or clock"):
        planning.plan_known(replace(made, **change), made.path)


@pytest.mark.parametrize("count", [1, 2])
def test_stills_keep_the_rate_that_they_were_analyzed_at(tmp_path: Path, count: int) -> None:
    for number in range(count):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64), 90 + number, np.uint8))
    video = planning.plan(tmp_path, rotate="90", frame_rate=Fraction(24000, 1001))
    again = planning.plan_known(video, tmp_path)
    assert (again.time_base, again.rotate, again.duration) == (Fraction(1001, 24000), "90", count)


WRITE = """
import os, sys
from fervid.video import planning
path, target, cores = sys.argv[1:]
suffix = target[-4:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
video = planning.plan(path)
with open(target, "wb") as stream:
"""


def encoded_twice(path: Path, lines: str, suffix: str) -> list[bytes]:
    """Write a file with some lines of Python, on one core and on all, and with other values in new memory."""
    if sys.platform != "linux":
        pytest.skip("sets the cores, and what new memory contains")
    results = []
    for fill, cores in (("1", "1"), ("170", "99")):
        target = path.with_name(f"{fill}{suffix}")
        subprocess.run(
            [sys.executable, "-c", WRITE + indent(lines.strip(), "    "), path, target, cores],
            env=environment(MALLOC_PERTURB_=fill),  # glibc fills new memory with it
            check=True,
        )
        results.append(target.read_bytes())
    return results


CUT = """
from fervid.video import cutting
cutting.encode(video, [cutting.Piece(video.start, video.end)], stream, suffix, {})
"""


def test_the_bytes_of_a_clip_depend_neither_on_unset_memory_nor_on_cores(tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mp4", media.pictures(12, 400, 398))
    first, second = encoded_twice(path, CUT, ".mp4")
    assert first == second
