"""Test that the benchmarks measure what they describe; no test depends on speed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import CLIP, ROOT, environment

from fervid.video import planning, reading

SCRIPT = ROOT / "benchmarks" / "throughput.py"
FRAMES = 50  # of the short clip


@contextmanager
def imported(path: Path) -> Iterator[ModuleType]:
    """Import a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


@pytest.fixture(scope="module")
def throughput() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        with imported(SCRIPT) as module:
            yield module


@pytest.fixture(scope="module")
def stage_clock() -> Iterator[ModuleType]:
    with imported(SCRIPT.with_name("stage_clock.py")) as module:
        yield module


@pytest.fixture(scope="module")
def used_memory() -> Iterator[ModuleType]:
    with imported(SCRIPT.with_name("used_memory.py")) as module:
        yield module


def run(folder: Path, *arguments: str | Path, script: Path = SCRIPT) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-W", "error", script, *arguments]
    return subprocess.run(line, cwd=folder, env=environment(), capture_output=True, encoding="utf-8")


@pytest.fixture(scope="module")
def figures(short: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("benchmark")
    done = run(folder, short, "--model", "untrained", "--jobs", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(folder.iterdir())
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def test_decoding_and_analysis_read_every_frame(figures: dict[str, Any]) -> None:
    assert (figures["model"], figures["jobs"]) == ("untrained", 1)
    assert [figures[way]["frames"] for way in ("decode", "analysis", "sample")] == [FRAMES] * 3
    analysis, decode = (figures[way]["frames_per_second"] for way in ("analysis", "decode"))
    assert figures["ratio"] == pytest.approx(analysis / decode)
    assert figures["analysis"]["seconds"] > figures["planning_seconds"] > 0
    assert figures["worker_start_seconds"] > 0


def test_the_shares_add_up_and_no_stage_is_missed(figures: dict[str, Any], throughput: ModuleType) -> None:
    stages = {stage["name"]: stage for stage in figures["sample"]["stages"]}
    assert list(stages) == [*throughput.STAGES, throughput.OTHER]
    assert sum(stage["share"] for stage in stages.values()) == pytest.approx(1)
    assert all(stage["share"] >= 0 for stage in stages.values())
    # A face need not ever be in doubt.
    seldom = {"detection, one face", throughput.OTHER}
    assert {name for name, stage in stages.items() if not stage["calls"]} <= seldom
    assert stages["upright luma"]["calls"] == FRAMES


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_analysis_holds_memory(figures: dict[str, Any]) -> None:
    assert figures["analysis"]["peak_memory"] > 50 << 20
    assert figures["analysis"]["processes"] >= 1


def test_the_table_has_every_figure(figures: dict[str, Any], throughput: ModuleType) -> None:
    text = "\n".join(throughput.table(figures))
    for line in ("pure decode, all cores", "whole analysis", "ratio analysis / decode", "peak memory"):
        assert line in text
    for stage in throughput.STAGES:
        assert stage in text
    unmeasured = {**figures, "analysis": {**figures["analysis"], "peak_memory": None, "processes": None}}
    assert "not measured" in "\n".join(throughput.table(unmeasured))


def test_time_goes_to_the_innermost_stage(stage_clock: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(stage_clock.time, "process_time", lambda: float(next(ticks)))
    clock = stage_clock.Clock()

    def inner() -> Iterator[int]:
        yield from (1, 2)

    values = clock.timed("inner", inner)
    outer = clock.timed("outer", lambda: sum(values()))
    assert outer() == 3
    # outer | inner 1 | outer | inner 2 | outer | inner ends | outer: a tick each.
    assert clock.seconds == {"outer": 4, "inner": 3}
    assert clock.calls == {"outer": 1, "inner": 3}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_counts_descendants(used_memory: ModuleType) -> None:
    hold = "import sys; held = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}], check=True)"
    line, pipe = [sys.executable, "-c", start], subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()  # held from here on
        child = used_memory.family(process.pid)
        sizes = [used_memory.size_of(number) for number in child]
        process.stdin.close()
    assert process.returncode == 0
    assert len(child) == 2
    alone = [size[0] for size in sizes]
    assert alone[1] > 64 << 20 > alone[0]
    assert used_memory.size_of(process.pid) is None


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path, "missing.mp4")
    assert done.returncode == 2
    assert "missing.mp4 is not a file" in done.stderr


def test_short_commands_are_measured_in_turn(short: Path, tmp_path: Path) -> None:
    startup = ROOT / "benchmarks" / "startup.py"
    done = run(tmp_path, short, "--model", "untrained", "--runs", "1", "--json", script=startup)
    assert (done.returncode, done.stderr) == (0, "")
    commands = json.loads(done.stdout)["commands"]
    unit, *others = commands.values()
    assert (unit["ratio"], unit["cpu_ratio"]) == (1, 1)
    assert [*commands][1:] == ["fervid analyze CLIP", "fervid peaks TIMELINE", "fervid --help"]
    for row in others:
        assert row["ratio"] == pytest.approx(row["seconds"] / unit["seconds"])
        assert row["cpu_ratio"] == pytest.approx(row["cpu_seconds"] / unit["cpu_seconds"])


def test_clips_for_a_batch_are_two_seconds_with_bytes_of_their_own(tmp_path: Path) -> None:
    with imported(ROOT / "benchmarks" / "batch.py") as module:
        planned = [planning.plan(clip) for clip in module.make_clips(tmp_path, 5, CLIP)]
    assert len({plan.sha256 for plan in planned}) == 5
    for plan in planned:
        frames = list(reading.frames(plan))
        assert len(frames) == len(plan.pts) == 50
        assert float(plan.duration * plan.time_base) == pytest.approx(2)


def test_detectors_are_compared_on_portraits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, target = ROOT.parent / "shared" / "data", tmp_path / "figures.json"
    if not (data / "landmarks68.npz").is_file():
        pytest.skip("the pack landmarks68.npz is not there")
    words = ["--data", data, "--media", tmp_path / "none", "--people", "1", "--json", target]
    monkeypatch.setattr(sys, "argv", ["detection.py", *map(str, words)])
    with imported(ROOT / "benchmarks" / "detection.py") as script:
        monkeypatch.setattr(script, "SMALLEST", 40)  # pictures are enlarged half as much
        script.main()
    portraits = json.loads(target.read_text("utf-8"))["portraits"]
    assert portraits["pictures"] == 19
    assert portraits["recall"]["roll 90"]["yunet"] > portraits["recall"]["roll 90"]["hog"] == 0
    assert portraits["recall"]["size 80"]["upright"] == 1


def test_outputs_of_two_versions_are_compared_byte_for_byte(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "before": {"a.mp4/show.out": b"1 person\nhappy\n", "a.mp4/same": b"x", "b.mp4/show.out": b"2\n"},
        "after": {"a.mp4/show.out": b"1 person\nhappily\n", "a.mp4/same": b"x", "b.mp4/show.out": b"\xff"},
    }
    files["before"]["b.mp4/cut/1.webm"] = files["after"]["b.mp4/new"] = b"y"
    for version, contents in files.items():
        for name, data in contents.items():
            (tmp_path / version / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / version / name).write_bytes(data)
    before, after = tmp_path / "before", tmp_path / "after"
    with imported(ROOT / "benchmarks" / "outputs.py") as script:
        comparison = script.compare(before, after)
        script.print_comparison(comparison, before, after)
    assert capsys.readouterr().out.splitlines() == [
        "files: 1 same, 2 different, 1 only before, 1 only after",
        "",
        "show.out differs in 2: a.mp4, b.mp4",
        "  a.mp4/show.out, line 2 from character 5: 'y' -> 'ily'",
        "",
        "only before: b.mp4/cut/1.webm",
        "",
        "only after: b.mp4/new",
    ]


def test_spans_of_damaged_films_are_the_same_together_and_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "--files", "40", script=SCRIPT.with_name("passes.py"))
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    files, _, compared, differ = (sum(int(row[column]) for row in rows) for column in range(1, 5))
    assert (files, differ) == (40, 0) and compared > 50
