"""Standard input has a limit, and data that is no video is not copied to its end."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import media
import numpy as np
import pytest
from conftest import Call
from test_cli import says

from fervid.errors import InputError
from fervid.files.urls import Limit
from fervid.video import spooling

COMMANDS = (
    ("info", "-"),
    ("analyze", "-", "-t", "out.json"),
    ("extract", "-", "-o", "out"),
    ("annotate", "-", "-o", "film.mp4"),
    ("explain", "-", "--at", "1"),
    ("people", "-"),
    ("show", "-"),
    ("export", "-", "-f", "srt"),
    ("compare", "-", "human.csv"),
)
LARGE = {"b": "100M", "qmin": "1", "qmax": "2"}  # an encoder's options for large packets


class Endless(io.RawIOBase):
    """A stream without an end; reading far into it fails the test."""

    def __init__(self, part: Callable[[int], bytes], most: int) -> None:
        self.part, self.left = part, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        assert self.left > 0, "read on and on"
        self.left -= len(buffer)
        buffer[:] = self.part(len(buffer))
        return len(buffer)


def endless(part: Callable[[int], bytes], most: int = 4 * spooling.HEAD) -> io.BufferedReader:
    return io.BufferedReader(Endless(part, most))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_zeros_without_an_end(words: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(endless(bytes)))
    says(call(*words), 1, "standard input is neither a video nor a timeline")


@pytest.mark.parametrize("part", [np.random.default_rng(0).bytes, lambda size: (b"y\n" * size)[:size]])
def test_other_data_without_an_end(part: Callable[[int], bytes], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a video nor a timeline"):
        spooling.spool(endless(part), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_timeline_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "MOST_TEXT", 2 * spooling.HEAD)
    with pytest.raises(InputError, match="more than 4,194,304 bytes: a timeline is smaller"):
        spooling.spool(endless(lambda size: b"{" * size), tmp_path)
    assert not list(tmp_path.iterdir())


def test_standard_input_has_the_limit_of_downloads(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(bytes(1001))))
    words = ("analyze", "-", "-t", "out.json", "--max-download", "1kB")
    says(call(*words), 1, "standard input has more than 1,000 bytes: ", "set --max-download")


def test_standard_input_has_a_limit_of_time(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes longer than 0 s"):
        spooling.spool(io.BytesIO(b"film"), tmp_path, Limit(seconds=0))


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),  # its index is at the end
        ("mkv", "ffv1", "yuv420p"),
        ("ts", "mpeg2video", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("gif", "gif", "gray"),
        ("wmv", "msmpeg4v3", "yuv420p"),
        ("mxf", "mpeg2video", "yuv420p"),
        ("mpg", "mpeg2video", "yuv420p"),
        ("flv", "libx264", "yuv420p"),
        ("y4m", "rawvideo", "yuv420p"),
        ("h264", "libx264", "yuv420p"),
        ("png", "png", "rgb24"),
        ("bmp", "bmp", "bgr24"),
    ],
)
def test_a_large_video_is_copied_whole(suffix: str, codec: str, pixels: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    film = tmp_path / f"film.{suffix}"
    if suffix in ("png", "bmp"):
        media.write_still(film, chance.integers(0, 255, (1200, 1600), np.uint8), codec, pixels)
    else:
        noise = [chance.integers(0, 255, (480, 640), np.uint8) for _ in range(25)]
        options = LARGE if codec not in ("libx264", "ffv1") else None
        media.write(film, noise, codec=codec, options=options, pixel_format=pixels)
    data = film.read_bytes()
    assert len(data) > spooling.HEAD
    assert spooling.spool(io.BytesIO(data), tmp_path).read_bytes() == data
