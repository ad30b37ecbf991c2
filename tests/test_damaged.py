"""Damage that `benchmarks/fuzz.py` has found fervid to handle wrongly, each made again by code."""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import av
import media
import numpy as np
import pytest
from conftest import Call
from media import damaged, pictures, write

from fervid import cache
from fervid.analysis import spans
from fervid.errors import InputError
from fervid.faces import detection
from fervid.faces.detectors import detectors
from fervid.times import MOST_SECONDS, MOST_TICKS
from fervid.types import Frame, Settings
from fervid.video import encoding, opening, packets, planning, reading, redrawing
from fervid.video.encoding import VideoWriter


def test_a_box_that_ends_beyond_every_file(tmp_path: Path) -> None:
    box = struct.pack(">I4sQ", 1, b"free", 2**64 - 1)
    path = tmp_path / "film.mp4"
    path.write_bytes(struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\0\0") + box + bytes(100))
    with pytest.raises(InputError, match="without its index"):
        planning.plan(path)
    reading.source.ends_early(path)


def test_an_object_that_ends_beyond_every_file_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "film.wmv", pictures(3), codec="msmpeg4v3", pixel_format="yuv420p")
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, 46, 2**62)  # the size of the first object in the header
    path.write_bytes(data)
    assert len(planning.plan(path).pts) == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("time", [2**62, 2**63 - 1, 10**15])
def test_times_that_no_timeline_can_express_are_counted_instead(tmp_path: Path, time: int) -> None:
    path = write(tmp_path / "film.ivf", pictures(3), codec="libvpx", pixel_format="yuv420p")
    data = path.read_bytes()
    last = 32
    for _ in range(2):  # a frame: its size, its time, its bytes
        last += 12 + struct.unpack_from("<I", data, last)[0]
    path.write_bytes(data[: last + 4] + struct.pack("<Q", time) + data[last + 12 :])
    video = planning.plan(path)
    assert len(video.pts) == 3
    assert video.duration <= MOST_TICKS
    assert video.duration * video.time_base <= MOST_SECONDS
    assert [frame.pts for frame in reading.frames(video)] == video.pts.tolist()


def test_pictures_that_are_too_large_are_not_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "film.avi", pictures(3), codec="mjpeg", pixel_format="yuvj420p")
    sides = struct.pack(">HH", 65500, 65500)
    path.write_bytes(
        re.sub(rb"(\xff\xc0\x00\x11\x08)....", lambda match: match[1] + sides, path.read_bytes())
    )
    with pytest.raises(InputError, match=r"too large|can be decoded"):
        planning.plan(path)


@pytest.mark.parametrize("limit", ["MOST_PIXELS"])
def test_a_film_that_is_too_large_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    path = write(tmp_path / "film.mp4", pictures(3))
    monkeypatch.setattr(opening, limit, 64 * 48 - 1)
    monkeypatch.setattr(planning, limit, 64 * 48 - 1)
    with pytest.raises(InputError, match="64 x 48 pixels, which are too large"):
        planning.plan(path)


@pytest.mark.parametrize("shape", [(2, 65535), (65535, 2), (34, 65535), (16, 16368), (1080, 1920)])
def test_the_pictures_that_a_detector_reads_have_a_limit(shape: tuple[int, int]) -> None:
    luma = np.zeros(shape, np.uint8)
    views = list(detection._views(luma, detectors()["yunet"], 0.1, detection.Search.FULL))
    assert views
    most = 4 * luma.size * detection.MOST_TURNED
    assert all(picture.size <= min(most, detection.MOST_SEARCHED * 1.01) for picture, _, _ in views)


def test_an_avi_without_its_index_is_decoded_in_one_pass(tmp_path: Path) -> None:
    """Every seek leads to its start: spans of their own would decode all before them again."""
    path = write(tmp_path / "film.avi", pictures(120), codec="mjpeg", pixel_format="yuvj420p", rate=1)
    assert planning.plan(path).seekable
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"idx1")])
    video = planning.plan(path)
    assert len(video.pts) >= 119
    assert len(spans.groups(video, spans.plan(video, Settings()))) == 1


def test_packets_wait_for_a_few_later_ones_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would read all of the tiny blocks, and compare each with all before, for one packet's time."""
    path = write(
        tmp_path / "film.avi",
        pictures(12),
        codec="mpeg4",
        pixel_format="yuv420p",
        options={"bf": "2"},
        gop=60,
    )
    with av.open(str(path)) as container:  # av lets FFmpeg add the times
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert None not in times
    assert times != sorted(times)
    files = []

    def opened(name: Path, mode: str) -> BinaryIO:
        files.append(name.open(mode))
        return files[-1]

    monkeypatch.setattr(opening, "open", opened, raising=False)
    with opening.opened(path) as (_, stream):
        assert [packet.pts for packet in packets.demuxed(stream) if packet.size] == times
    data = path.read_bytes()
    index = data.rindex(b"idx1")
    path.write_bytes(data[:index] + (b"00dc" + struct.pack("<IBx", 1, 0x55)) * 20_000 + data[index:])
    with opening.opened(path) as (_, stream):
        blocks = packets.demuxed(stream)
        assert len(list(islice(blocks, 12))) == 12
        assert files[-1].tell() < path.stat().st_size / 2
        assert sum(packet.size == 1 for packet in blocks) >= 19_000


def test_what_cannot_be_decoded_is_read_a_few_times_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "film.mkv", pictures(2000), codec="mjpeg", pixel_format="yuvj420p", rate=1)
    data = path.read_bytes()
    head = [match.start() for match in re.finditer(rb"\xff\xd8\xff", data)][3]
    # Pictures after the third lose their headers, and nothing else.
    path.write_bytes(
        data[:head] + data[head:].replace(b"\xff\xd8\xff", bytes(3)).replace(b"\xff\xc0", bytes(2))
    )
    video = planning.plan(path)
    groups = spans.groups(video, spans.plan(video, Settings()))
    assert video.seekable
    assert len(groups) > 50
    count = 0
    demuxed = reading.demuxed

    def counted(stream: Any) -> Iterator[Any]:
        nonlocal count
        for packet in demuxed(stream):
            count += 1
            yield packet

    monkeypatch.setattr(reading, "demuxed", counted)
    frames = 0
    for group in groups:
        low, high = spans.with_halo(video, group[0])[0], spans.with_halo(video, group[-1])[1]
        frames += sum(frame.pts in group[0] for frame in reading.frames(video, low, high))
    assert frames == 3
    assert count < 700 * len(groups)  # else 10,000: each attempt would read to the end


def test_a_face_that_cannot_be_explained_leaves_nothing_in_the_cache(
    call: Any, tmp_path: Path, cache: Path
) -> None:
    write(tmp_path / "film.mp4", [media.picture(0)] * 25)
    done = call("explain", "film.mp4", "--at", "0.2")
    assert (done.returncode, "no face can be read" in done.stderr) == (1, True)
    assert not list(cache.rglob("*.span"))


def test_a_film_that_cannot_be_encoded_leaves_no_results_in_the_cache(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERVID_CACHE_DIR", str(tmp_path / "cache"))
    tall = [np.full((32766, 2), grey, np.uint8) for grey in (0, 100, 200)]
    path = write(tmp_path / "tall.avi", tall, codec="huffyuv", pixel_format="yuv422p")
    done = call("annotate", path, "-o", tmp_path / "annotated.mp4", "--model", "untrained")
    assert done.returncode == 1 and "cannot be encoded as mp4" in done.stderr, done.stderr
    folder = cache.default_folder()
    assert folder.is_relative_to(tmp_path)
    assert not [entry for entry in folder.rglob("*") if entry.suffix == ".span"]


def test_few_large_pictures_are_in_memory_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film of 16383 x 4096 took 2.2 GiB: eight pictures waited, and the encoder kept some per thread."""
    assert [redrawing.ahead_of(*size) for size in ((3840, 2160), (7680, 4320), (16383, 4096))] == [4, 1, 0]
    path = write(tmp_path / "film.mkv", pictures(12), codec="ffv1", pixel_format="yuv420p")
    video = planning.plan(path)
    events: list[int] = []
    threads: list[int] = []
    add = VideoWriter.add

    def added(writer: VideoWriter, *values: Any) -> None:
        events.append(-1)
        threads.append(writer._stream.codec_context.thread_count)
        add(writer, *values)

    def redraw(target: str) -> int:
        events.clear()
        with open(tmp_path / target, "wb") as stream:
            redrawing.redraw(
                video, 0, video.end, lambda *_: events.append(1), (64, 48), stream, ".mkv", {}, None
            )
        return max(sum(events[:count]) for count in range(len(events)))

    monkeypatch.setattr(VideoWriter, "add", added)
    assert redraw("small.mkv") > 1
    monkeypatch.setattr(encoding, "LARGE", 64 * 48 - 1)
    monkeypatch.setattr(redrawing, "AHEAD_PIXELS", 64 * 48 - 1)
    assert redraw("large.mkv") == 1
    assert threads == 12 * [encoding.THREADS] + 12 * [1]


def test_damaged_frames_do_not_depend_on_how_long_earlier_ones_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder leaves old contents of its memory in damaged parts, and reuses what nothing holds."""
    sound = write(tmp_path / "film.avi", pictures(40), rate=10, codec="ffv1")
    hurt = planning.plan(damaged(tmp_path / "hurt.avi", sound, 0.5, 3000))

    def decoded(held: int) -> tuple[bytes, ...]:
        kept: deque[Frame] = deque(maxlen=held)
        shown = []
        for frame in reading.frames(hurt):
            shown.append(frame.luma.tobytes())
            kept.append(frame)
        return tuple(shown)

    readers = (0, 3, reading.HELD - 1)
    assert len({decoded(held) for held in readers}) == 1
    monkeypatch.setattr(reading, "HELD", 1)
    assert len({decoded(held) for held in readers}) > 1
