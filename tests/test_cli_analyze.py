"""Test analyze, extract and peaks on the command line, with seconds of the example clip."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
import wave
from pathlib import Path
from typing import Any

import av
import cv2
import jsonschema
import numpy as np
import pytest
from conftest import CLIP, Call, Fervid, command, environment, made_in
from media import truncated
from media import write as write_video
from test_cli import in_shell, says

from fervid.cli.shared.analyzer import RESUMES
from fervid.export.timelines.json import schema

SHORT = ("--end", "1.2", "--jobs", "1")  # of the clip: one face, neutral to a smile
UNTRAINED = ("--model", "untrained")


@pytest.fixture(scope="module")
def timeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the timeline of the whole example clip."""
    folder = tmp_path_factory.mktemp("timeline")
    made_in(folder, "analyze", CLIP, *UNTRAINED, "-q", "-t", "out.json", "--no-cache")
    return folder / "out.json"


def read(path: Path) -> Any:
    timeline = json.loads(path.read_text("utf-8"))
    jsonschema.validate(timeline, schema())
    return timeline


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def black_video(count: int = 20) -> Path:
    """Write a video of plain pictures that grow brighter."""
    return write_video(Path("black.mkv"), [np.full((96, 128), level, np.uint8) for level in range(count)])


# --- analyze: results


def test_a_timeline_and_a_summary(call: Call) -> None:
    done = call("analyze", CLIP, *SHORT, "-t", "out.json")
    assert (done.returncode, done.stdout) == (0, "")
    for word in ("clip.mp4", "0:15.0", "1 track", "100%", "untrained", "wrote out.json"):
        assert word in done.stderr
    timeline = read(Path("out.json"))
    assert timeline["source"]["frames"]["decoded"] == 30
    assert timeline["model"]["trained"] is False
    assert os.listdir() == ["out.json"]


def test_quiet_prints_nothing(call: Call) -> None:
    done = call("-q", "analyze", CLIP, *SHORT, "-t", "out.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_a_target_the_timeline_is_beside_the_video(call: Call) -> None:
    os.mkdir("a b")
    shutil.copy(CLIP, "a b/film.mp4")
    done = call("analyze", "a b/film.mp4", *SHORT)
    assert done.returncode == 0
    assert sorted(os.listdir("a b")) == ["film.json", "film.mp4"]
    assert "now: fervid show 'a b/film.json'" in done.stderr
    assert "fervid report 'a b/film.json' --video 'a b/film.mp4'" in done.stderr
    says(call("a b/film.mp4", *SHORT), 1, "film.json exists already: use -y")
    assert call("a b/film.mp4", *SHORT, "-y").returncode == 0


def test_standard_input_needs_a_target(call: Call) -> None:
    says(call("analyze", "-"), 2, "--timeline FILE")


def test_the_suffix_chooses_the_format(call: Call) -> None:
    assert call("analyze", CLIP, *SHORT, "-t", "out.json").returncode == 0
    assert call("analyze", CLIP, *SHORT, "-t", "out.TextGrid").returncode == 0
    exported = call("export", "out.json", "-f", "textgrid").stdout
    assert Path("out.TextGrid").read_text("utf-8") == exported


def test_lines_on_standard_output_are_those_of_the_file(call: Call) -> None:
    assert call("analyze", CLIP, *SHORT, "-t", "out.jsonl").returncode == 0
    done = call("analyze", CLIP, *SHORT, "-t", "-", "-f", "jsonl")
    assert done.stdout == Path("out.jsonl").read_text("utf-8")
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert kinds[0] == "header"
    assert kinds[-1] == "summary"
    assert set(kinds[1:-1]) == {"segment"}


def test_frames_and_tracks(call: Call) -> None:
    assert call("analyze", CLIP, *SHORT, "--frames", "f.csv", "--tracks", "t.npz").returncode == 0
    rows = rows_of(Path("f.csv"))
    assert [int(row["frame"]) for row in rows] == list(range(30))
    assert {row["status"] for row in rows} == {"ok"}
    with np.load("t.npz") as pack:
        assert pack["landmarks"].shape == (30, 68, 2)
        times = (pack["pts"] - pack["start"]) / 12800
    assert [f"{time:.6f}" for time in times] == [row["time"] for row in rows]


def test_times_may_be_frames_or_timecodes(call: Call) -> None:
    for name, start, end in (("a", "1", "2"), ("b", "25f", "50f"), ("c", "0:01", "00:00:02.000")):
        call("analyze", CLIP, "--start", start, "--end", end, "-j", "1", "-t", f"{name}.json")
    texts = {Path(f"{name}.json").read_text() for name in "abc"}
    assert len(texts) == 1
    assert read(Path("a.json"))["source"]["frames"]["decoded"] == 25


def test_standard_input_is_a_file_like_any_other(fervid: Fervid, tmp_path: Path) -> None:
    shutil.copy(CLIP, tmp_path / "stdin")
    assert fervid("analyze", *UNTRAINED, "-", *SHORT, "-t", "a.json", input=CLIP.read_bytes()).returncode == 0
    assert fervid("analyze", *UNTRAINED, "stdin", *SHORT, "-t", "b.json").returncode == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_video_without_faces_is_a_valid_empty_timeline(call: Call) -> None:
    done = call("analyze", black_video(), "-t", "out.json")
    assert done.returncode == 0
    timeline = read(Path("out.json"))
    assert (timeline["tracks"], timeline["segments"], timeline["peaks"]) == ([], [], [])
    assert timeline["source"]["frames"]["decoded"] == 20


def test_a_truncated_file_is_analyzed_with_a_warning(call: Call) -> None:
    done = call("analyze", truncated(Path("cut.mkv"), black_video(100), 0.5), "-t", "out.json")
    assert done.returncode == 0
    assert "warning: cut.mkv is incomplete" in done.stderr
    assert read(Path("out.json"))["source"]["complete"] is False


# --- analyze: several inputs


def test_a_bad_file_does_not_stop_the_rest(call: Call) -> None:
    Path("bad.mp4").write_text("no video")
    shutil.copy(CLIP, "good.mp4")
    done = call("analyze", "bad.mp4", "missing.mp4", "good.mp4", *SHORT, "-o", "out")
    assert done.returncode == 3
    assert "2 of 3 inputs failed: bad.mp4, missing.mp4" in done.stderr
    assert os.listdir("out") == ["good.json"]


# --- errors, before and after the work


def test_an_existing_file_is_kept_without_y(call: Call) -> None:
    Path("out.json").write_text("mine")
    says(call("analyze", CLIP, *SHORT, "-t", "out.json"), 1, "out.json exists already: use -y")
    assert Path("out.json").read_text() == "mine"
    assert call("analyze", CLIP, *SHORT, "-t", "out.json", "-y").returncode == 0
    read(Path("out.json"))


def test_the_input_is_never_the_output(call: Call, clip: Path) -> None:
    before = clip.read_bytes()
    says(call("analyze", clip, "-y", "-t", clip), 1, "is an input")
    says(call("analyze", clip, "-y", "--log-file", clip), 1, "is an input")
    assert clip.read_bytes() == before


def test_a_missing_folder_is_an_error_before_the_work(call: Call) -> None:
    says(call("analyze", CLIP, "-t", "none/out.json"), 1, "there is no folder")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("option", ["-t", "--frames", "--tracks"])
def test_a_full_disk(call: Call, option: str) -> None:
    says(call("analyze", CLIP, *SHORT, option, "/dev/full"), 1, "/dev/full", "No space left")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_for_standard_output() -> None:
    done = in_shell(["-q", "analyze", str(CLIP), *UNTRAINED, *SHORT, "-t", "-"], ">/dev/full")
    says(done, 1, "cannot write standard output: No space left on device")


def make_text(path: Path) -> None:
    path.write_text("this is no video at all\n" * 50)


def make_sound(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))


def make_header(path: Path) -> None:
    """Write a video that declares a stream and contains no frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


@pytest.mark.parametrize(
    "make",
    [Path.touch, Path.mkdir, make_text, make_sound, make_header, lambda path: None],
    ids=["empty", "folder", "text", "sound", "no frames", "missing"],
)
def test_an_input_that_is_not_a_video_is_an_error(call: Call, make: Any) -> None:
    make(Path("input.mp4"))
    says(call("analyze", "input.mp4", "-t", "out.json"), 1, "input.mp4")
    assert not Path("out.json").exists()


@pytest.mark.parametrize("arguments", ["--start 15", "--start 16 --end 20", "--start 375f"])
def test_a_range_after_the_end_is_an_error(call: Call, arguments: str) -> None:
    says(call("analyze", CLIP, "-t", "out.json", *arguments.split()), 2)


def test_a_missing_frame_is_an_error(call: Call) -> None:
    says(call("analyze", CLIP, "-t", "out.json", "--end", "376f"), 2, "has 375 frames")


def test_a_missing_or_damaged_model_is_an_error(call: Call) -> None:
    says(call("analyze", CLIP, "-t", "out.json", "--model", "nonsense"), 1, "nonsense")
    Path("bad.safetensors").write_bytes(b"no weights")
    says(call("analyze", CLIP, "-t", "out.json", "--model", "bad.safetensors"), 1, "bad.safetensors")


def test_cuda_without_a_gpu_never_falls_back(call: Call) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    says(call("analyze", CLIP, "-t", "out.json", *SHORT, "--device", "cuda"), 1, "--device cpu")


# --- interruption


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interruption_is_clean(tmp_path: Path, kind: signal.Signals, jobs: str) -> None:
    """Interrupt a run after its first output: it exits with 130 and one line, and leaves no partial file."""
    line = command(["analyze", CLIP, *UNTRAINED, "-t", tmp_path / "out.jsonl", "--jobs", jobs])
    with subprocess.Popen(line, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob(".fervid-*.part")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(kind)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == f"fervid: interrupted: {RESUMES}"
    assert os.listdir(tmp_path) == []


def test_a_reader_that_closes_the_pipe_is_not_an_error() -> None:
    line = command(["analyze", CLIP, *UNTRAINED, *SHORT, "-q", "-t", "-", "-f", "jsonl"])
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert '"header"' in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


# --- the bar


def on_terminal(programs: str, *arguments: str | Path, **env: str) -> tuple[str, str]:
    """Run with a pipe and a terminal of 120 columns; return standard output and standard error."""
    import pty

    terminal, stderr = pty.openpty()
    program = str(shutil.which("fervid", path=programs))
    line = [program, "analyze", CLIP, *UNTRAINED, *SHORT, "-t", "-", "-f", "jsonl", *arguments]
    variables = environment(**{"TERM": "xterm", "COLUMNS": "120", **env})
    with subprocess.Popen(line, env=variables, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        os.close(stderr)
        screen = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # on Linux: the process has closed its end
                break
            if not piece:
                break
            screen += piece
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(terminal)
    assert process.returncode == 0, screen
    return output, screen.decode("utf-8")


def test_a_bar_is_shown_on_a_terminal_and_leaves_the_data_alone(call: Call, programs: str) -> None:
    data, screen = on_terminal(programs)
    assert re.search(r"clip\.mp4.*━.*100%.*\dx", screen)
    assert data == call("analyze", CLIP, *SHORT, "-t", "-", "-f", "jsonl").stdout


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_bar_moves_while_one_span_is_analysed(jobs: str, programs: str) -> None:
    _, screen = on_terminal(programs, "--end", "15", "--jobs", jobs)
    assert re.search(r"\b[1-9]\d?%", screen)


def test_no_bar_if_it_is_turned_off(programs: str) -> None:
    for arguments, terminal in (("-q",), {}), (("--no-progress",), {}), ((), {"TERM": "dumb"}):
        assert "━" not in on_terminal(programs, *arguments, **terminal)[1]


def test_no_escapes_in_a_pipe(call: Call) -> None:
    assert "\x1b" not in call("analyze", CLIP, "-t", "out.json", *SHORT).stderr


# --- extract


def test_extract_writes_all_kinds(call: Call) -> None:
    done = call("extract", CLIP, *SHORT, "-o", "out")
    assert (done.returncode, done.stdout) == (0, "")
    assert sorted(os.listdir("out")) == ["clip.csv", "clip.faces.npz", "clip.landmarks.npz"]
    with np.load("out/clip.faces.npz") as pack:
        faces, pts = pack["faces"], pack["pts"]
        assert faces.shape == (30, 64, 64)
        assert len(set(pack["track"].tolist())) == 1
    with np.load("out/clip.landmarks.npz") as pack:
        assert pack["pts"].tolist() == pts.tolist()
        assert pack["scores"].shape == (30, 0)
    assert [int(row["frame"]) for row in rows_of(Path("out/clip.csv"))] == list(range(1, 31))
    assert call("extract", CLIP, *SHORT, "-o", "png", "--what", "crops", "--crops", "png").returncode == 0
    pictures = sorted(Path("png/clip.faces").rglob("*.png"))
    assert [path.name for path in pictures] == [f"{frame:09d}.png" for frame in range(30)]
    assert (cv2.imread(str(pictures[7]), cv2.IMREAD_GRAYSCALE) == faces[7]).all()


def test_extract_replaces_only_with_y(call: Call) -> None:
    line = ("extract", CLIP, "--end", "0.2", "-j", "1", "-o", ".", "--what", "crops", "--crops", "png")
    assert call(*line).returncode == 0
    says(call(*line), 1, "use -y")
    assert call(*line, "-y").returncode == 0
    assert os.listdir() == ["clip.faces"]


# --- peaks


def test_peaks_of_a_timeline(call: Call, timeline: Path) -> None:
    expected = sorted((peak["prominence"] for peak in read(timeline)["peaks"]), reverse=True)
    done = call("peaks", timeline, "-f", "json")
    assert done.returncode == 0
    peaks = json.loads(done.stdout)["peaks"]
    assert peaks and [peak["prominence"] for peak in peaks] == expected
    assert call("peaks", timeline, "--top", "1", "-o", "peaks.csv").returncode == 0
    assert [row["pts"] for row in rows_of(Path("peaks.csv"))] == [str(peaks[0]["apex"]["pts"])]
    shown = call("peaks", timeline, "--top", "1").stdout
    assert peaks[0]["emotion"] in shown
    assert "00:00:" in shown


def test_peaks_are_the_same_from_the_video(call: Call, timeline: Path) -> None:
    video = shutil.copy(CLIP, "clip.mp4")
    from_video = call("peaks", video, "-f", "jsonl", "-q")
    assert (from_video.returncode, from_video.stderr) == (0, "")
    assert from_video.stdout == call("peaks", timeline, "-f", "jsonl").stdout
    assert Path("clip.json").read_bytes() == timeline.read_bytes()


def test_peaks_of_some_emotions(call: Call, timeline: Path) -> None:
    emotions = sorted({peak["emotion"] for peak in read(timeline)["peaks"]})
    done = call("peaks", timeline, "--emotion", emotions[0].upper(), "-f", "jsonl")
    assert {json.loads(line)["emotion"] for line in done.stdout.splitlines()} == {emotions[0]}
    says(call("peaks", timeline, "--emotion", "nonsense"), 2, "nonsense", "happiness")
    happy = call("peaks", timeline, "--emotion", "happy", "-f", "jsonl").stdout
    assert happy == call("peaks", timeline, "--emotion", "happiness", "-f", "jsonl").stdout


def test_a_damaged_timeline_is_an_error(call: Call, timeline: Path) -> None:
    Path("cut.json").write_bytes(timeline.read_bytes()[:500])
    says(call("peaks", "cut.json"), 1, "cut.json")
    Path("other.json").write_text("{}")
    says(call("peaks", "other.json"), 1, "not a timeline of fervid")


def test_no_peak_is_not_an_error(call: Call) -> None:
    done = call("peaks", black_video(), "-f", "csv")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("rank,time")
    assert "no peaks match" in done.stderr
