"""Test files that are damaged, misleading, or not videos at all."""

from __future__ import annotations

import io
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import av
import cv2
import media
import numpy as np
import pytest
from av.video.stream import VideoStream
from media import B_FRAMES, FRAGMENTED, OPEN_GOP, damaged, picture, pictures, truncated, write
from test_video import assert_spans_join, same, whole

from fervid.errors import InputError, OutputError, UsageError
from fervid.types import Tally
from fervid.video import clock, planning, reading, source, spooling
from fervid.video.opening import opened
from fervid.video.packets import demuxed

AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0  # root ignores permissions


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        planning.plan(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


# --- unreadable files


def test_a_missing_file(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "nothing\n.mp4")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    assert "is empty" in refusal(tmp_path / "film.mp4")


TEXTS = ("Dear diary\n" * 40, "ünïcode " * 700)
LISTS = ("ffconcat version 1.0\nfile film.mp4\n", "#EXTM3U\n#EXTINF:5,\nfilm.ts\n")


@pytest.mark.parametrize("text", [*TEXTS, *LISTS], ids=["prose", "unicode", "concat", "playlist"])
def test_text_is_no_video_and_opens_no_other_file(tmp_path: Path, text: str) -> None:
    for name in ("film.mp4", "film.ts"):
        write(tmp_path / name, pictures(2))
    path = tmp_path / "text.mp4"
    path.write_text(text, "utf-8")
    assert "is text, not a video" in refusal(path)


def test_subtitles_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "film.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n\n2\n00:00:03,000 --> 00:00:04,000\nthere\n")
    assert "contains no video track" in refusal(path)


def test_noise_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(np.random.default_rng(3).bytes(9000))
    assert "is not a video that can be read" in refusal(path)


def test_an_mp4_without_its_index(tmp_path: Path) -> None:
    path = truncated(tmp_path / "cut.mp4", write(tmp_path / "film.mp4", pictures(20)), 0.5)
    assert "without its index (moov)" in refusal(path)


def test_sound_alone(tmp_path: Path) -> None:
    assert "contains only sound" in refusal(media.write_sound(tmp_path / "song.m4a"))


@pytest.mark.parametrize(("name", "as_track"), [("song.mp4", False), ("song.mkv", True)])
def test_a_cover_is_not_a_video(tmp_path: Path, name: str, as_track: bool) -> None:
    cover = media.write_still(tmp_path / "cover.jpg", picture(0), "mjpeg", "yuvj444p")
    assert "contains only sound" in refusal(media.write_sound(tmp_path / name, cover, as_track))


def test_a_cover_beside_a_video_is_skipped(tmp_path: Path) -> None:
    cover = media.write_still(tmp_path / "cover.jpg", picture(0, 200, 200), "mjpeg", "yuvj444p")
    film = write(tmp_path / "film.mp4", pictures(5))
    path = tmp_path / "both.mp4"
    with av.open(path, "w") as out, av.open(cover) as still, av.open(film) as moving:
        tracks = [out.add_stream_from_template(given.streams.video[0]) for given in (still, moving)]
        tracks[0].disposition = av.stream.Disposition.attached_pic
        for given, track in zip((still, moving), tracks, strict=True):
            for packet in given.demux(given.streams.video[0]):
                if packet.size:
                    packet.stream = track
                    out.mux(packet)
    planned, frames, _ = whole(path)
    assert (planned.width, planned.height, len(frames)) == (64, 48, 5)


def test_a_file_without_a_decodable_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures(20))
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    length = int.from_bytes(data[at - 8 : at - 4], "big") - 8
    data[at : at + length] = bytes(length)
    path.write_bytes(data)
    assert "no frame of" in refusal(path)


@pytest.mark.skipif(AS_ROOT, reason="no access right stops root")
def test_no_permission(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", pictures(2))
    path.chmod(0)
    assert "no permission" in refusal(path)


def test_permission_denied_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    path = write(tmp_path / "film.mp4", pictures(1))
    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", refuse)
        assert "no permission to read" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_must_come_by_standard_input(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")


NO_TEXT = os.fsdecode(b"\xff\xfe.mp4")


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "-rf.mp4", "100%d.mp4", "two\nlines.mp4", "pipe:0", "*?[x].mp4", NO_TEXT]
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    film = write(tmp_path / "film.mp4", pictures(4))
    try:
        path = film.rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system refuses the name")
    planned, frames, _ = whole(path)
    assert len(frames) == 4
    assert planning.properties(path)["name"] == planned.name
    planned.name.encode()  # can be written anywhere


# --- damage


@pytest.mark.parametrize(
    "name", ["film.mp4", "film.mkv", "film.ts", "film.flv", "film.webm", "film.avi", "film.gif"]
)
def test_a_truncated_file_gives_its_frames_and_is_reported(tmp_path: Path, name: str) -> None:
    codec = {"webm": "libvpx", "avi": "mpeg4", "gif": "gif"}.get(name.split(".")[1], "libx264")
    film = write(
        tmp_path / name,
        pictures(60),
        codec=codec,
        options=B_FRAMES if codec == "libx264" else {},
        pixel_format="rgb8" if codec == "gif" else "yuv420p",
        container_options={"movflags": "+faststart"} if name.endswith("mp4") else {},
        audio_seconds=2.4 if name.endswith(("mkv", "ts", "mp4")) else 0,
    )
    assert whole(film)[2] == Tally(decoded=60)
    cut = truncated(tmp_path / f"cut.{name}", film, 0.61)
    planned, frames, tally = whole(cut)
    assert 10 < len(frames) < 60
    assert not tally.complete
    assert tally.decoded == len(frames)
    assert tally.undecodable <= 1  # the packet that was cut
    assert planning.properties(cut)["complete"] is False
    assert_spans_join(cut)
    tallies: list[Tally] = []
    list(reading.frames(planned, None, int(planned.pts[5]), tallies.append))
    assert tallies == [Tally(decoded=5)]  # only the last span reaches the end


def test_a_fragmented_mp4_that_is_cut(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", pictures(60), options=B_FRAMES, container_options=FRAGMENTED)
    assert whole(film)[2].complete
    assert not whole(truncated(tmp_path / "cut.mp4", film, 0.6))[2].complete


def test_sound_longer_than_the_picture_is_no_truncation(tmp_path: Path) -> None:
    for name in ("film.mkv", "film.mp4", "film.ts"):
        film = write(tmp_path / name, pictures(10), audio_seconds=3)
        assert whole(film)[2] == Tally(decoded=10)


def test_a_live_recording_is_whole(tmp_path: Path) -> None:
    """Check a Matroska file without a length in its header."""
    film = write(tmp_path / "film.mkv", pictures(10), container_options={"live": "1"})
    assert whole(film)[2] == Tally(decoded=10)
    assert_spans_join(film)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts", "film.flv", "film.avi"])
@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_garbage_in_the_middle(tmp_path: Path, name: str, at: float) -> None:
    codec, options = ("mpeg4", {"bf": "2"}) if name.endswith("avi") else ("libx264", B_FRAMES)
    film = write(tmp_path / name, pictures(120), codec=codec, options=options)
    bad = damaged(tmp_path / f"bad.{name}", film, at, 700)
    planned, frames, tally = whole(bad)
    assert 60 < len(frames) <= len(planned.pts) <= 120
    assert tally.decoded + tally.undecodable == len(planned.pts)
    times = [frame.pts for frame in frames]
    assert times == sorted(times)
    last = np.abs(frames[-1].luma.astype(int) - picture(119)).mean()
    assert last < 10  # the end is reached, at its own time
    if planned.seekable:
        assert frames[-1].pts == whole(film)[1][-1].pts
    # The decoder's replacement for lost pictures depends on where it began, but only on that.
    assert_spans_join(bad, share=0.8)
    assert all(same(first, second) for first, second in zip(whole(bad)[1], frames, strict=True))


def test_lost_frames_are_counted(tmp_path: Path) -> None:
    """Check that none of a group's frames is decoded, and each is counted, if its packets are garbage."""
    film = write(tmp_path / "film.mkv", pictures(36), codec="libvpx", gop=12)
    data = bytearray(film.read_bytes())
    with opened(film) as (container, stream):
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    for packet in packets[12:24]:
        at = data.index(packet)
        data[at + 3 : at + len(packet)] = b"\xff" * (len(packet) - 3)
    film.write_bytes(data)
    planned, frames, tally = whole(film)
    assert tally.decoded == len(frames) < 36
    assert tally.undecodable == 36 - len(frames)
    assert len(planned.pts) == 36
    assert_spans_join(film)


def test_demuxing_continues_past_errors_but_not_for_ever() -> None:
    class Container:
        """A container that fails at times, as av does with damaged containers and late streams."""

        flags = 0

        def __init__(self, *events: object) -> None:
            self.events = iter(events)

        def demux(self, _: object) -> Iterator[object]:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event

    damage, late = av.error.InvalidDataError(1, "damage"), IndexError()
    a, b, c, d = (SimpleNamespace(pts=pts) for pts in range(4))
    stream = SimpleNamespace(container=Container(a, damage, b, *[late] * 200, c, *[damage] * 64, d))
    assert list(demuxed(cast(VideoStream, stream))) == [a, b, c]


def test_a_broadcast_cut_in_the_middle(tmp_path: Path) -> None:
    film = write(tmp_path / "film.ts", pictures(60), options=OPEN_GOP, gop=15)
    data = film.read_bytes()
    film.write_bytes(data[len(data) // 3 // 188 * 188 :])
    planned, frames, tally = whole(film)
    assert planned.pts.tolist() == [frame.pts for frame in frames]
    assert tally == Tally(decoded=len(frames))
    assert 10 < len(frames) < 50
    assert_spans_join(film)


@pytest.mark.parametrize("suffix", [".ts", ".h264"])
def test_a_change_of_size_is_a_cut(tmp_path: Path, suffix: str) -> None:
    container = "h264" if suffix == ".h264" else None
    sizes = [(64, 48), (80, 60), (64, 48)]
    parts = [
        write(tmp_path / f"{at}{suffix}", pictures(20, *size), options=B_FRAMES, container=container)
        for at, size in enumerate(sizes)
    ]
    film = tmp_path / f"film{suffix}"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    planned, frames, tally = whole(film)
    assert (planned.width, planned.height) == (64, 48)
    assert {frame.luma.shape for frame in frames} == {(48, 64)}
    assert [at for at, frame in enumerate(frames) if frame.cut] == [20, 40]
    assert [planned.seconds(frame.pts) for frame in frames] == pytest.approx([at / 25 for at in range(60)])
    assert tally == Tally(decoded=60)
    assert_spans_join(film)


def test_a_change_of_size_where_seeking_works(tmp_path: Path) -> None:
    first = write(tmp_path / "1.ts", pictures(24), gop=12)
    second = write(tmp_path / "2.ts", pictures(24, 80, 60), pts=range(24, 48), gop=12)
    film = tmp_path / "film.ts"
    film.write_bytes(first.read_bytes() + second.read_bytes())
    planned, frames, _ = whole(film)
    assert planned.seekable
    assert [frame.pts for frame in frames if frame.cut] == [24 * 3600]
    assert_spans_join(film)


# --- clocks, without a file


def packets(*rows: tuple[int | None, int | None]) -> clock.Packets:
    none = clock.MISSING
    records = [
        (none if pts is None else pts, none if dts is None else dts, 0, 0, 1, at == 0, False)
        for at, (pts, dts) in enumerate(rows)
    ]
    return np.array(records, clock.PACKET)


def test_second_fields_without_times_are_no_frames() -> None:
    rows = [(at * 3600, at * 3600) if field == 0 else (None, None) for at in range(9) for field in (0, 1)]
    times = clock.read(packets(*rows), Fraction(1, 90000), Fraction(25), is_interlaced=True)
    assert times.pts.tolist() == [at * 3600 for at in range(9)]
    assert times.is_exact


def test_times_that_jump_wildly_are_counted() -> None:
    rows = [(at, at) for at in range(100)]
    rows[3] = (5000, 3)
    times = clock.read(packets(*rows), Fraction(1, 25), Fraction(25), is_interlaced=False)
    assert times.is_counted
    assert len(times.pts) == 100
    assert times.time_base != Fraction(1, 25)


def test_a_few_missing_times_are_filled() -> None:
    rows = [(at * 40, at * 40) for at in range(20)]
    rows[7] = rows[8] = (None, None)
    rows[12] = (None, 480)
    times = clock.read(packets(*rows), Fraction(1, 1000), Fraction(25), is_interlaced=False)
    assert times.pts.tolist() == [at * 40 for at in range(20)]
    assert not times.is_exact


# --- stills


def test_a_folder_of_stills(tmp_path: Path) -> None:
    for at in (10, 9, 2, 1):
        media.write_still(tmp_path / f"S005_{at}.png", picture(at), pixel_format="gray")
    for debris in (".DS_Store", "Thumbs.db", "._S005_1.png", "notes.txt"):
        (tmp_path / debris).write_bytes(b"debris")
    (tmp_path / "folder.png").mkdir()
    planned, frames, tally = whole(tmp_path)
    assert [frame.pts for frame in frames] == [0, 1, 2, 3] == planned.pts.tolist()
    for frame, at in zip(frames, (1, 2, 9, 10), strict=True):
        assert np.array_equal(frame.luma, picture(at))
    assert (planned.time_base, planned.rate, planned.duration) == (Fraction(1, 25), 25, 4)
    assert (planned.name, planned.codec, planned.seekable) == (tmp_path.name, "png", True)
    assert tally == Tally(decoded=4)
    assert planning.plan(tmp_path, frame_rate=Fraction(10)).time_base == Fraction(1, 10)
    assert planning.properties(tmp_path)["frames"] == 4
    with pytest.raises(UsageError, match="above 0"):
        planning.plan(tmp_path, frame_rate=Fraction(0))
    assert_spans_join(tmp_path)


def test_the_hash_of_a_folder_covers_names_and_contents(tmp_path: Path) -> None:
    media.write_still(tmp_path / "1.png", picture(1))
    media.write_still(tmp_path / "2.png", picture(2))
    first = planning.plan(tmp_path).sha256
    renamed = (tmp_path / "2.png").rename(tmp_path / "3.png")
    second = planning.plan(tmp_path).sha256
    media.write_still(renamed, picture(4))
    third = planning.plan(tmp_path).sha256
    assert len({first, second, third}) == 3
    (tmp_path / ".hidden").touch()
    assert planning.plan(tmp_path).sha256 == third


def test_a_broken_still_is_counted_and_a_larger_one_resized(tmp_path: Path) -> None:
    media.write_still(tmp_path / "0.png", picture(0))
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    media.write_still(tmp_path / "3.png", picture(3, 128, 96))
    planned, frames, tally = whole(tmp_path)
    assert [(frame.pts, frame.cut) for frame in frames] == [(0, False), (3, True)]
    assert {frame.luma.shape for frame in frames} == {(48, 64)}
    assert tally == Tally(decoded=2, undecodable=2)
    (only,) = reading.frames(planned, 3)
    assert only.cut


def test_folders_without_pictures(tmp_path: Path) -> None:
    assert "contains no pictures: name a video" in refusal(tmp_path)
    write(tmp_path / "film.mp4", pictures(1))
    assert "name its videos (1) one by one" in refusal(tmp_path)
    (tmp_path / "1.png").write_bytes(b"nothing")
    assert "no picture in" in refusal(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".pgm", ".webp"])
def test_a_single_still(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"face%03d{suffix}"  # a name that FFmpeg would read as a pattern
    smooth = cv2.GaussianBlur(picture(7), (9, 9), 0)
    path.write_bytes(cv2.imencode(suffix, smooth)[1].tobytes())
    planned, frames, tally = whole(path)
    assert (len(frames), planned.rate, planned.pts.tolist()) == (1, None, [0])
    assert tally == Tally(decoded=1)
    assert np.abs(frames[0].luma.astype(int) - smooth).mean() < (16 if suffix == ".webp" else 3)


@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (6, -1), (3, 2), (8, 1)])
def test_a_photograph_is_upright(tmp_path: Path, orientation: int, quarters: int) -> None:
    """Check the turn that a phone writes into EXIF."""
    path = media.write_still(tmp_path / "face.jpg", picture(7, 96, 64), "mjpeg", "yuvj444p")
    data = path.read_bytes()
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\1" + b"\1\x12\0\3\0\0\0\1\0" + bytes([orientation]) + bytes(6)
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tags) + 2).to_bytes(2, "big") + tags + data[2:])
    planned, frames, _ = whole(path)
    expected = np.rot90(picture(7, 96, 64), quarters)
    assert frames[0].luma.shape == expected.shape == (planned.height, planned.width)
    assert np.abs(frames[0].luma.astype(int) - expected).mean() < 4
    assert planned.rotation == -quarters * 90 % 360


def test_deep_stills(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(cv2.imencode(".png", picture(7).astype(np.uint16) << 8)[1].tobytes())
    assert np.abs(whole(path)[1][0].luma.astype(int) - picture(7)).max() <= 1


def test_an_animation_keeps_its_delays(tmp_path: Path) -> None:
    pts = [0, 10, 15, 80]
    gif = {"codec": "gif", "pixel_format": "rgb8", "time_base": Fraction(1, 100)}
    path = write(tmp_path / "film.gif", pictures(4), pts=pts, **gif)
    planned, frames, _ = whole(path)
    assert [frame.pts for frame in frames] == pts
    assert planned.time_base == Fraction(1, 100)


# --- standard input


def test_spooled_input_is_a_file_like_any_other(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", pictures(5))
    with open(film, "rb") as stream:
        path = spooling.spool(stream, tmp_path)
    assert path.parent == tmp_path
    assert path.read_bytes() == film.read_bytes()
    assert len(whole(path)[1]) == 5


def test_empty_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="standard input is empty"):
        spooling.spool(io.BytesIO(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_input_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, source.ROOM_LEFT + source.CHUNK))
    assert spooling.spool(io.BytesIO(bytes(source.CHUNK)), tmp_path).stat().st_size == source.CHUNK
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, source.ROOM_LEFT))
    with pytest.raises(OutputError, match="is too full for standard input"):
        spooling.spool(io.BytesIO(bytes(source.CHUNK)), tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_temporary_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="set TMPDIR to another folder"):
        spooling.spool(io.BytesIO(b"film"), tmp_path / "nowhere")
