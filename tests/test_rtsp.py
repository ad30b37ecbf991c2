"""Live analysis of a real RTSP server, where GStreamer's is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import Call
from test_live import lines, remuxed

from fervid.live.frame_queue import FeedEnd, FrameQueue, Reader
from fervid.types import Frame
from fervid.video.feed import Arrival, Feed
from fervid.video.origins import Origin

SERVER = Path(__file__).with_name("rtsp.py")
PYTHONS = (sys.executable, "/usr/bin/python3")  # Debian's has GStreamer if it is installed


@pytest.fixture(scope="module")
def python() -> str:
    """Return a Python that can run the server."""
    reason = ""
    for path in PYTHONS:
        if Path(path).is_file():
            done = subprocess.run([path, SERVER, "--check"], capture_output=True, text=True)
            if done.returncode == 0:
                return path
            reason = done.stderr.strip().splitlines()[-1]
    pytest.skip(f"no RTSP server of GStreamer: {reason}")


@contextmanager
def serving(python: str, *arguments: str | Path) -> Iterator[str]:
    """Yield the URL of a server; it is killed at the end, as when a camera loses power."""
    with subprocess.Popen([python, SERVER, *arguments], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def test_a_film_is_read_over_rtsp(python: str, call: Call, tmp_path: Path, short: Path) -> None:
    film = remuxed(short, tmp_path / "film.mkv")
    with serving(python, "--film", film) as url:
        done = call("live", url, "--no-drop", "--patience", "60", "-o", "-", "-t", "live.json")
    assert done.returncode == 0, done.stderr
    written = lines(done.stdout)
    assert written[0]["source"]["container"] == "rtsp" and written[0]["source"]["name"] == "stream"
    faces = [line for line in written if line["type"] == "frame" and line["faces"]]
    assert "happiness" in {line["faces"][0].get("emotion") for line in faces}
    end = written[-1]
    assert (end["complete"], end["gaps"], end["frames"]["damaged"]) == (True, 0, 0)
    assert end["frames"]["analyzed"] == 50
    timeline = json.loads((tmp_path / "live.json").read_text())
    assert timeline["source"]["duration"]["seconds"] == pytest.approx(2.0, abs=0.001)


def test_a_camera_that_closes_the_stream_is_opened_again(
    python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film ends; a camera without further pictures is broken."""
    monkeypatch.setattr("fervid.live.frame_queue.FIRST_PAUSE", 0.1)
    monkeypatch.setattr("fervid.live.frame_queue.LONGEST_PAUSE", 0.1)
    stopped = threading.Event()
    waiting = FrameQueue(stopped, drops=False)
    frames: list[Frame] = []
    ends: list[FeedEnd] = []

    def take(frame_count: int, end_count: int) -> None:
        while len(frames) < frame_count or len(ends) < end_count:
            item = waiting.take(60.0)
            assert item is not None
            if isinstance(item, Arrival):
                frames.append(item.frame)
            else:
                ends.append(item)

    with ExitStack() as camera:
        url = camera.enter_context(serving(python))
        feed = Feed(Origin(url.replace("//", "//me:secret@")), "auto", stopped)
        with Reader(feed, waiting, stopped, reconnect=10_000):
            take(10, 0)
            assert not ends
            camera.close()
            take(10, 1)
            before = len(frames)
            with serving(python, "--port", str(urlsplit(url).port)):
                take(before + 10, 1)
    assert not any(end.is_final for end in ends)
    assert str(ends[0].error) == f"{url} broke: the stream was closed"  # without the password
    assert [index for index, frame in enumerate(frames) if frame.cut] == [before]
    assert (np.diff([frame.pts for frame in frames]) > 0).all()
