"""Live analysis: of scripted faces without a network, then the command on pipes and a local server."""

from __future__ import annotations

import http.server
import io
import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import media
import numpy as np
import pytest
from conftest import Call, command, environment
from rich.console import Console
from test_tracks import Stage, Walk, hidden, stand

from fervid import clips
from fervid.cli.shared.live_view import View
from fervid.errors import InputError
from fervid.faces import shape, tracks
from fervid.labels import EMOTIONS
from fervid.live import analysis
from fervid.live.analysis import LiveAnalysis, Options
from fervid.live.events import Begun, Ended, Event, Gap, LiveFace, LiveFrame, LiveSegment
from fervid.live.following import LOOKAHEAD
from fervid.live.frame_queue import MOST, FeedEnd, FrameQueue, Reader
from fervid.live.latencies import Latencies
from fervid.live.neutral import Neutral
from fervid.live.record import JOINED, Windows
from fervid.model import StreamSpec
from fervid.types import Array, Floats, Frame, ModelInfo, Settings, Status, Video
from fervid.video.feed import Arrival, Feed
from fervid.video.origins import Origin
from fervid.video.source import digest

INFO = ModelInfo("hand", "cd" * 32, True, EMOTIONS, ("one", "moves"), {})
RATE = 25
ALONE = Settings(people=False)


class Nets:
    """A model with scores that follow from the mean picture and from the displacement."""

    def __init__(self) -> None:
        streams = (StreamSpec("one", "faces", {}), StreamSpec("moves", "displacement", {}))
        self.spec = SimpleNamespace(labels=EMOTIONS, streams=streams)

    def reading(self, *inputs: str) -> list[StreamSpec]:
        return [stream for stream in self.spec.streams if stream.reads in inputs]

    def logits(self, stream: str, inputs: Iterable[Array], batch: int) -> Floats:
        assert batch == 1
        rows = [np.arange(len(EMOTIONS)) * np.abs(window).mean() for window in inputs]
        return np.array(rows, np.float32).reshape(-1, len(EMOTIONS))

    def fuse(self, logits: dict[str, Floats], straightness: Floats) -> Floats:
        assert len(straightness) == len(logits["one"])
        return logits["one"] + logits["moves"]

    def probabilities(self, fused: Floats) -> Floats:
        powers = np.exp(fused - fused.max(1, keepdims=True))
        return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def film() -> Video:
    """Return what a feed knows at its first frame."""
    none = np.empty(0, np.int64)
    facts: dict[str, Any] = {
        "path": "",
        "name": "stdin",
        "sha256": "",
        "container": "matroska",
        "codec": "vp9",
    }
    return Video(
        **facts,
        time_base=Fraction(1, RATE),
        start=0,
        duration=0,
        clock_offset=Fraction(0),
        rate=Fraction(RATE),
        width=640,
        height=480,
        rotation=0,
        pts=none,
        keyframes=none,
    )


class Script:
    """A queue that gives what a script says: frames, None for silence, or the end; and counts."""

    def __init__(self, items: Iterable[Arrival | FeedEnd | None]) -> None:
        self._items = iter(items)
        self.taken, self.dropped, self.deepest = -1, 0, 1

    def take(self, patience: float) -> Arrival | FeedEnd | None:
        item = next(self._items, FeedEnd())
        self.taken = item.number if isinstance(item, Arrival) else self.taken
        return item


@contextmanager
def live_analysis(
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    items: Iterable[Arrival | FeedEnd | None],
    keeps: bool = False,
    settings: Settings = ALONE,
) -> Iterator[tuple[LiveAnalysis, Script]]:
    monkeypatch.setattr(analysis, "FaceFinder", SimpleNamespace(of=lambda settings: stage))
    feed: Any = SimpleNamespace(
        video=film(), origin=Origin("camera"), count=0, damaged=0, sha256=lambda: "ab" * 32
    )
    script, nets = Script(items), Nets()
    waiting, model = script, nets
    options = Options(settings, keeps=keeps)
    yield LiveAnalysis(feed, waiting, model, INFO, options, threading.Event()), script  # type: ignore[arg-type]


def arrivals(stage: Stage, indices: Iterable[int]) -> Iterator[Arrival]:
    for index in indices:
        yield Arrival(Frame(index, stage.luma(index)), index, 0.0)


def kinds(events: Iterable[Event]) -> Counter[str]:
    return Counter(type(event).__name__ for event in events)


def test_every_frame_is_reported_once_in_order_with_the_track_of_an_analysis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def walk(seconds: float) -> tuple[float, float]:
        return 200 + 30 * seconds, 200 + 5 * np.sin(9 * seconds)

    stage = Stage([walk])
    with live_analysis(monkeypatch, stage, arrivals(stage, range(100)), keeps=True) as (live, _):
        events = list(live.events())
    frames = [event for event in events if isinstance(event, LiveFrame)]
    assert [frame.pts for frame in frames] == list(range(100))
    assert all(len(frame.faces) == 1 and frame.faces[0].track == 1 for frame in frames)
    settings = Settings()
    seen = tracks.follow(film(), (Frame(i, stage.luma(i)) for i in range(100)), stage, settings)
    (followed,) = tracks.collect(film(), seen)
    for name in ("box", "pose"):
        live = np.stack([getattr(frame.faces[0], name) for frame in frames])
        np.testing.assert_allclose(live, getattr(followed.track, name), atol=1e-3)
    quality = np.array([frame.faces[0].quality for frame in frames])
    np.testing.assert_allclose(quality, followed.track.quality, atol=1e-4)
    ended = events[-1]
    assert isinstance(ended, Ended) and ended.timeline is not None
    (curve,) = ended.timeline.curves
    assert curve.pts.tolist() == clips.centres(film(), followed.track.pts, 0, None).tolist()
    assert (curve.start, curve.end, curve.frames) == (0, 100, 100)
    assert curve.motion is not None and len(curve.motion) == len(curve.pts)
    assert sum(segment.frames for segment in ended.timeline.segments) == 100
    assert kinds(events)["LiveSegment"] == len(ended.timeline.segments) == ended.segments
    assert ended.timeline.source.duration == 100


def test_no_frame_waits_longer_than_its_windows_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latency in frames, not in time: a window's reach, the stride of windows and the shots' two frames."""
    stage = Stage([stand(), hidden(stand(500.0), 1.5, 2.0), hidden(stand(100.0), 0.0, 1.3)])
    with live_analysis(monkeypatch, stage, arrivals(stage, range(150))) as (live, script):
        waits = [
            script.taken - event.number
            for event in live.events()
            if isinstance(event, LiveFrame) and script.taken < 149  # the end reports the rest at once
        ]
    assert len(waits) > 100
    assert max(waits) <= (LOOKAHEAD + clips.windows.STRIDE) * RATE + 3


def test_memory_is_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """People come and go for four minutes; the third and fourth minute need no more than the first two."""

    def visits(x: float, period: float) -> Walk:
        return lambda seconds: None if seconds % period < 2 else (x, 200.0)

    stage = Stage([visits(120.0, 15.0), visits(320.0, 7.0), visits(520.0, 31.0)])
    most: list[Counter[str]] = [Counter(), Counter()]
    with live_analysis(monkeypatch, stage, arrivals(stage, range(4 * 60 * RATE // 2))) as (live, script):
        for _ in live.events():
            half = most[script.taken >= 60 * RATE]
            half.update({name: max(0, count - half[name]) for name, count in live.kept.items()})
        windows = [len(face._windows) for face in live._open.values()]
    assert not windows
    limits = {"entered": 4, "pending": 26, "tracks": 6, "waiting": 1, "arrivals": analysis.REMEMBERED}
    assert all(most[1][name] <= limit for name, limit in limits.items()), most[1]
    assert most[1]["rows"] <= most[0]["rows"] + RATE


def test_frames_between_the_sampled_ones_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage([stand()])
    settings = Settings(people=False, sample_fps=Fraction(5))
    with live_analysis(monkeypatch, stage, arrivals(stage, range(100)), settings=settings) as (live, _):
        *events, ended = live.events()
    assert isinstance(ended, Ended)
    assert ended.frames == kinds(events)["LiveFrame"] == 20


def test_silence_and_breaks_end_tracks_and_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage([stand()])
    items: list[Arrival | FeedEnd | None] = [
        *arrivals(stage, range(40)),
        None,
        None,
        *arrivals(stage, range(90, 130)),
        FeedEnd(InputError("the cable is out"), is_final=False),
        *arrivals(stage, range(200, 240)),
        FeedEnd(InputError("the cable is out for good")),
    ]
    with live_analysis(monkeypatch, stage, items) as (live, _):
        events = list(live.events())
    gaps = [event for event in events if isinstance(event, Gap)]
    assert [(gap.pts, gap.reason) for gap in gaps] == [
        (39, "no frame for 5 s"),
        (129, "the cable is out"),
        (239, "the cable is out for good"),
    ]
    assert sum(isinstance(event, Begun) for event in events) == 1
    numbers = [event.faces[0].track for event in events if isinstance(event, LiveFrame)]
    assert numbers == [1] * 40 + [2] * 40 + [3] * 40
    first = events.index(gaps[0])
    assert kinds(events[:first])["LiveFrame"] == 40  # all that came before a gap is reported before it
    assert [event.segment.end for event in events[:first] if isinstance(event, LiveSegment)][-1] == 40
    ended = events[-1]
    assert isinstance(ended, Ended) and not ended.is_complete and ended.gaps == 3
    dropped = [event.dropped for event in events if isinstance(event, LiveFrame)]
    assert sum(dropped) == 50 + 70


def test_a_source_without_a_frame_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for over, message in (
        (FeedEnd(InputError("no such camera")), "no such camera"),
        (FeedEnd(), "no picture"),
    ):
        with (
            live_analysis(monkeypatch, Stage([]), [over]) as (live, _),
            pytest.raises(InputError, match=message),
        ):
            list(live.events())


def test_the_oldest_waiting_frame_is_dropped_but_never_the_end() -> None:
    waiting = FrameQueue(threading.Event())
    stage = Stage([])
    for arrival in arrivals(stage, range(20)):
        waiting.put(arrival)
    waiting.put(FeedEnd())
    taken = [waiting.take(1.0) for _ in range(MOST + 1)]
    assert [item.number for item in taken if isinstance(item, Arrival)] == list(range(20 - MOST, 20))
    assert isinstance(taken[-1], FeedEnd)
    assert waiting.dropped == 20 - MOST and waiting.deepest <= MOST + 1
    assert waiting.take(0.0) is None


def test_without_drops_the_source_waits() -> None:
    waiting = FrameQueue(threading.Event(), drops=False)
    stage = Stage([])

    def write() -> None:
        for arrival in arrivals(stage, range(50)):
            waiting.put(arrival)

    thread = threading.Thread(target=write)
    thread.start()
    taken = [waiting.take(30.0) for _ in range(50)]
    thread.join()
    assert [item.number for item in taken if isinstance(item, Arrival)] == list(range(50))
    assert waiting.dropped == 0 and waiting.deepest <= MOST


def test_the_neutral_face_is_learnt_and_then_fixed() -> None:
    stage, moved = Stage([stand()]), np.random.default_rng(3).normal(0, 1, (400, 68, 2)).astype(np.float32)
    stage.drift = lambda index, landmarks: landmarks + moved[index]
    seen = tracks.follow(film(), (Frame(i, stage.luma(i)) for i in range(400)), stage, Settings())
    (followed,) = tracks.collect(film(), seen)
    neutral, track = Neutral(film(), 0), followed.track
    np.testing.assert_array_equal(neutral.face, clips.population_neutral())
    for first in range(0, 400, 8):
        neutral.learn(track.take(slice(first, first + 8)))
    young = track.take((track.pts < clips.NEUTRAL_SECONDS * RATE) & (track.quality > 0))
    wanted = clips.neutral(film(), young.pts, shape.without_pose(young.landmarks))
    np.testing.assert_allclose(neutral.face, wanted, atol=1e-6)
    assert neutral.rows == 0


def test_latencies_and_windows_are_kept_as_they_are() -> None:
    latencies = Latencies()
    assert latencies.summary() is None
    for hundredths in range(100):
        latencies.add(hundredths / 100 + 0.005)
    latencies.add(1000.0)
    summary = latencies.summary()
    assert summary is not None
    assert (round(summary.median, 2), round(summary.high, 2), summary.most) == (0.51, 0.96, 1000.0)
    windows = Windows()
    for index in range(2 * JOINED + 3):
        value = np.full(1, index, np.float32)
        windows.add(np.array([index]), np.full((1, 7), index, np.float32), value, value + 1, value + 2)
    pts, scores, quality, motion, straightness = windows.columns()
    assert pts.tolist() == quality.tolist() == scores[:, 0].tolist() == list(range(2 * JOINED + 3))
    assert (motion == quality + 1).all() and (straightness == quality + 2).all()


# The feed.


@pytest.fixture
def matroska(tmp_path: Path) -> Path:
    return media.write(tmp_path / "stream.mkv", media.pictures(50))


@contextmanager
def piped(path: Path, data: bytes) -> Iterator[Path]:
    """Make a named pipe into which a thread writes."""
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)

    def write() -> None:
        with suppress(BrokenPipeError), open(pipe, "wb", buffering=0) as stream:
            for start in range(0, len(data), 1000):
                stream.write(data[start : start + 1000])

    thread = threading.Thread(target=write)
    thread.start()
    yield pipe
    thread.join()


def test_a_pipe_is_read_once_exactly_and_identified(matroska: Path) -> None:
    with piped(matroska, matroska.read_bytes()) as pipe:
        feed = Feed(Origin(str(pipe)), "auto", threading.Event())
        came = list(feed.session())
    assert [arrival.number for arrival in came] == list(range(50))
    for index, arrival in enumerate(came):
        np.testing.assert_array_equal(arrival.frame.luma, media.picture(index))
    assert feed.video is not None and feed.video.container.startswith("matroska")
    assert feed.sha256() == digest(matroska)
    assert [arrival.moment for arrival in came] == sorted(arrival.moment for arrival in came)


def test_a_device_of_ffmpeg_and_a_pipe_of_text(tmp_path: Path) -> None:
    device = Origin("testsrc=size=64x48:rate=25:duration=1", "lavfi")
    assert device.is_device and device.can_reopen
    feed = Feed(device, "auto", threading.Event())
    assert len(list(feed.session())) == 25 and len(feed.sha256()) == 64
    text = tmp_path / "notes.txt"
    with piped(text, b"no video at all\n" * 400) as pipe, pytest.raises(InputError, match="cannot open"):
        list(Feed(Origin(str(pipe)), "auto", threading.Event()).session())


def test_times_ascend_past_a_clock_that_was_set_anew(tmp_path: Path) -> None:
    times = [0, 40, 80, 80_000_000, 80_000_040]
    path = media.write(tmp_path / "a.mkv", media.pictures(5), pts=times, time_base=Fraction(1, 1000), gop=1)
    feed = Feed(Origin(str(path), is_paced=False), "auto", threading.Event())
    came = list(feed.session())
    assert [arrival.frame.pts for arrival in came] == [0, 40, 80, 120, 160]
    assert [arrival.frame.cut for arrival in came] == [False, False, False, True, False]


class Breaking(http.server.BaseHTTPRequestHandler):
    """Serves a stream that breaks off in its middle, then a whole one."""

    data = b""
    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(self.data[: len(self.data) // 2 if self.calls == 1 else None])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(matroska: Path) -> Iterator[str]:
    Breaking.data, Breaking.calls = matroska.read_bytes(), 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://me:secret@127.0.0.1:{running.server_address[1]}/live.mkv"
        running.shutdown()
        thread.join()


def test_a_broken_url_is_opened_again_and_time_goes_on(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fervid.live.frame_queue.FIRST_PAUSE", 0.0)
    stopped = threading.Event()
    feed, waiting = Feed(Origin(server), "auto", stopped), FrameQueue(stopped, drops=False)
    items: list[Arrival | FeedEnd | None] = []
    with Reader(feed, waiting, stopped, reconnect=2):
        while not items or not (isinstance(items[-1], FeedEnd) and items[-1].is_final):
            items.append(waiting.take(60.0))
    broken = next(item for item in items if isinstance(item, FeedEnd))
    assert not broken.is_final and "secret" not in str(broken.error)
    frames = [item.frame for item in items if isinstance(item, Arrival)]
    assert len(frames) > 50 and [frame.cut for frame in frames].count(True) == 1
    assert (np.diff([frame.pts for frame in frames]) > 0).all()
    assert items[-1] == FeedEnd() and Breaking.calls == 2


def test_a_camera_that_does_not_answer_is_named(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/stream"
        done = call("live", url, "--patience", "1", "--model", "untrained")
    assert done.returncode == 1 and "no answer within 1 s" in done.stderr, done.stderr


# The command.


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def remuxed(source: Path, target: Path) -> Path:
    """Copy the pictures of a film into another container."""
    with av.open(source) as old, av.open(target, "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target


def test_the_lines_and_the_timeline_of_a_pipe(call: Call, tmp_path: Path, short: Path) -> None:
    source = remuxed(short, tmp_path / "film.mkv")
    with piped(source, source.read_bytes()) as pipe:
        done = call("live", pipe, "--no-drop", "--timeline", "live.json", "--patience", "600")
    assert done.returncode == 0, done.stderr
    written = lines(done.stdout)
    count = Counter(line["type"] for line in written)
    assert (count["live"], count["end"], count["gap"]) == (1, 1, 0)
    assert written[0]["type"] == "live" and written[0]["source"]["name"] == "pipe"
    faces = [line for line in written if line["type"] == "frame" and line["faces"]]
    assert faces and set(faces[0]["faces"][0]["scores"]) == set(EMOTIONS)
    assert abs(sum(faces[0]["faces"][0]["scores"].values()) - 1) < 1e-3
    end = written[-1]
    assert end["frames"]["analyzed"] == count["frame"] and end["frames"]["dropped"] == 0
    assert end["latency"]["median"] <= end["latency"]["p95"] <= end["latency"]["max"]
    timeline = json.loads((tmp_path / "live.json").read_text())
    assert len(timeline["segments"]) == count["segment"] == end["segments"] > 0
    assert call("analyze", source, "-t", "file.json", "--no-people").returncode == 0
    file = json.loads((tmp_path / "file.json").read_text())
    assert timeline["source"]["sha256"] == file["source"]["sha256"]
    assert [track["frames"] for track in timeline["tracks"]] == [track["frames"] for track in file["tracks"]]
    assert [t["curve"]["pts"] for t in timeline["tracks"]] == [t["curve"]["pts"] for t in file["tracks"]]
    # The timeline is one like any other: the film can be shown with it.
    assert call("report", "live.json", "--video", source, "-o", "page.html").returncode == 0


@pytest.mark.parametrize("is_closed", [False, True], ids=["interrupted", "reader gone"])
def test_a_stream_without_an_end_is_ended(matroska: Path, tmp_path: Path, is_closed: bool) -> None:
    line = command(["live", "-", "--timeline", "t.json", "--no-drop", "--quiet", "--model", "untrained"])
    line += ["--patience", "600"]  # a busy machine is no silence
    data = matroska.read_bytes()
    with subprocess.Popen(
        line,
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(data[: len(data) // 2])
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["type"] == "live"
        if is_closed:
            process.stdout.close()
            with suppress(BrokenPipeError):
                process.stdin.write(data[len(data) // 2 :])
                process.stdin.flush()  # and it stays open
            rest = ""
        else:
            assert json.loads(process.stdout.readline())["type"] == "frame"
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read().decode()
        errors = process.stderr.read().decode()
        process.stdin.close()
    assert process.returncode == 0, errors
    assert errors == ""
    if not is_closed:
        assert lines(rest)[-1]["type"] == "end"
    assert json.loads((tmp_path / "t.json").read_text())["source"]["frames"]["decoded"] > 0


def test_what_cannot_be_watched_is_said(call: Call, tmp_path: Path) -> None:
    for arguments, code, message in (
        (["live", "nothing.mkv"], 1, "there is no file"),
        (["live", str(tmp_path)], 1, "is a folder"),
        (["live", "http://127.0.0.1:9/x?key=hidden"], 1, "cannot open"),
        (["live", "a", "--input-option", "framerate"], 2, "NAME=VALUE"),
        (["live", "a", "--lines", "word"], 2, "frame, segment"),
        (["live", "a", "-t", "a.foo"], 2, "unknown suffix"),
    ):
        done = call(*arguments)
        assert done.returncode == code and message in done.stderr, done.stderr
        assert "hidden" not in done.stderr


def test_the_view_shows_an_uncertain_reading_in_light_blocks() -> None:
    view = View(Console(file=io.StringIO(), width=100, color_system=None))
    view.show(Begun(film(), INFO, {}))
    scores = np.full(len(EMOTIONS), 0.1, np.float32)
    scores[EMOTIONS.index("happiness")] = 0.4
    for index in range(30):
        face = LiveFace(3, Status.OK, np.zeros(4, np.float32), np.zeros(3, np.float32), 0.9, scores)
        view.show(LiveFrame(index, index, 0, (face,), 0.75))
    text = view.draw().plain
    assert "happiness   40% ░░░░······" in text and "hhh" in text and "H" not in text


def test_the_view_shows_the_faces_of_now_and_the_last_seconds() -> None:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    view = View(console)
    assert "waiting" in view.draw().plain
    view.show(Begun(film(), INFO, {}))
    scores = np.full(len(EMOTIONS), 0.02, np.float32)
    scores[EMOTIONS.index("happiness")] = 0.88
    box, pose = np.zeros(4, np.float32), np.zeros(3, np.float32)
    for index in range(200):
        face = LiveFace(3, Status.OK, box, pose, 0.9 if index < 100 else 0.1, scores)
        view.show(LiveFrame(index, index, int(index == 7), (face,), 0.75))
        if index == 99:
            assert "happiness" in view.draw().plain and "H" * 10 in view.draw().plain
    text = view.draw().plain
    assert "1 dropped" in text and "latency 0.75 s" in text and "unreadable" in text
    for index in range(200, 400):
        view.show(LiveFrame(index, index, 0, (), 0.75))
    assert "no face" in view.draw().plain
    assert "standard input" in text and max(map(len, text.splitlines())) <= 100
