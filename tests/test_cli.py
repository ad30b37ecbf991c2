"""Test the command line without analyzing a video: help, exit codes, and one line per failure."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import jsonschema
import pytest
from click.testing import CliRunner
from conftest import CLIP, ROOT, Call, Done, Fervid, command, environment

from fervid import __version__
from fervid.cli.analyze import analyze, name_outputs, plan_targets
from fervid.cli.main import COMMANDS
from fervid.cli.main import fervid as program
from fervid.cli.shared.options import split_selection
from fervid.cli.shared.values import LimitType, NumberRange, RateType, TimePoint, TimePointType
from fervid.errors import UsageError
from fervid.export import TIMELINES, choose
from fervid.files.urls import Limit
from fervid.times import format_timecode
from fervid.types import Settings
from fervid.video.encoding import writing


def says(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check that a command failed with `code`, and with one line of error that contains `words`."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("fervid: error: ")
    for word in words:
        assert word in lines[0]


def with_closed_output(arguments: list[str], text: str = "", **more: str) -> tuple[int, bytes]:
    """Run the program with a pipe that nobody reads; return the exit code and the standard error."""
    pipe, line = subprocess.PIPE, command(arguments)
    with subprocess.Popen(line, env=environment(**more), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, errors = process.communicate(text.encode())
        return process.returncode, errors


def in_shell(arguments: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    line = " ".join([*command(arguments), redirection])
    return subprocess.run(["sh", "-c", line], env=environment(), capture_output=True, text=True)


# --- help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    done = CliRunner().invoke(program, [name, "-h"])
    assert done.exit_code == 0
    assert name in ("cache", "models") or "Examples:\n  fervid " in done.output
    assert name in ("cache", "models") or "--log-file" in done.output
    command = program.get_command(click.Context(program), name)
    assert command is not None and command.name == name


def test_help_is_the_same_after_a_command_was_used_without_the_program() -> None:
    command = program.get_command(click.Context(program), "schema")
    assert command is not None
    command.make_context("schema", [])
    assert CliRunner().invoke(program, ["schema", "-h"]).exit_code == 0


def test_version(call: Call) -> None:
    done = call("--version")
    assert (done.returncode, done.stdout) == (0, f"fervid {__version__}\n")


def test_no_command_shows_help(call: Call) -> None:
    done = call()
    assert done.returncode == 2
    assert "Use a timeline:" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(fervid: Fervid, shell: str) -> None:
    done = fervid("completion", shell)
    assert done.returncode == 0
    assert "_FERVID_COMPLETE" in done.stdout


def test_completion_knows_the_options(fervid: Fervid) -> None:
    words = {"_FERVID_COMPLETE": "bash_complete", "COMP_WORDS": "fervid analyze --min-", "COMP_CWORD": "2"}
    answers = [line.split("\t") for line in fervid(env=words).stdout.splitlines()]
    assert [kind_and_value[:2] for kind_and_value in answers] == [
        ["plain", "--min-face"],
        ["plain", "--min-segment"],
    ]


# --- times and rates


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90.5", TimePoint(seconds=Fraction(181, 2))),
        ("0", TimePoint(seconds=Fraction(0))),
        (".1", TimePoint(seconds=Fraction(1, 10))),
        ("2.5s", TimePoint(seconds=Fraction(5, 2))),
        ("90f", TimePoint(frame=90)),
        ("1:00", TimePoint(seconds=Fraction(60))),
        ("01:02:03.004", TimePoint(seconds=Fraction(3723004, 1000))),
        ("100:00:00", TimePoint(seconds=Fraction(360000))),
    ],
)
def test_times(text: str, moment: TimePoint) -> None:
    assert TimePointType().convert(text, None, None) == moment


TIMES = ["", "-1", "1e3", "nan", "inf", "90 f", "1:60", "1:2:3:4", "60:00:60", "f", "1.5f"]
LONG = ["9" * 5000, "9" * 5000 + "f", "9" * 5000 + ":00:00"]


@pytest.mark.parametrize("text", TIMES + LONG)
def test_invalid_times_are_an_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time: give seconds"):
        TimePointType().convert(text, None, None)


def test_rates() -> None:
    assert RateType().convert("24000/1001", None, None) == Fraction(24000, 1001)
    assert RateType().convert("12.5", None, None) == Fraction(25, 2)
    for text in ("0", "-5", "1/0", "nan", "inf", "x", "1e99999999", "1e-99999999"):
        with pytest.raises(click.BadParameter):
            RateType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5GB", Limit(size=5 * 10**9)),
        (" 2h , 1.5 mb", Limit(1_500_000, 7200)),
        ("30min,100", Limit(100, 1800)),
        ("90s", Limit(seconds=90)),
    ],
)
def test_limits(text: str, limit: Limit) -> None:
    assert LimitType().convert(text, None, None) == limit


@pytest.mark.parametrize("text", ["", "5XB", "2h,,", "-1", "1e999GB", "9" * 5000, "2d"])
def test_invalid_limits_are_an_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a limit: give a size, a time or both"):
        LimitType().convert(text, None, None)


@pytest.mark.parametrize("text", ["1e999", "inf", "nan", "-1"])
def test_a_number_is_finite(text: str) -> None:
    assert NumberRange(0).convert("0.5", None, None) == 0.5
    with pytest.raises(click.BadParameter):
        NumberRange(0).convert(text, None, None)


@pytest.mark.parametrize("missing", [(), ("min_segment", "people")])
def test_every_setting_is_an_option_with_the_same_default(missing: tuple[str, ...]) -> None:
    values = analyze.make_context("analyze", ["film.mp4"]).params
    assert Settings.__dataclass_fields__.keys() <= values.keys()
    for name in missing:  # not every command has these options
        del values[name]
    assert split_selection(values).settings("film.mp4") == Settings()
    assert not Settings.__dataclass_fields__.keys() & values.keys()


def test_settings_from_json_are_exact_again() -> None:
    settings = Settings(Fraction(1, 3), end=Fraction(21, 2), sample_fps=Fraction(30000, 1001), people=False)
    assert Settings.from_json(json.loads(json.dumps(settings.as_json()))) == settings
    with pytest.raises(TypeError):
        Settings.from_json({"mood": 1})


def test_a_printed_time_is_a_valid_option() -> None:
    assert format_timecode(3723.0045) == "01:02:03.004"
    assert TimePointType().convert(format_timecode(59.9996), None, None) == TimePoint(seconds=Fraction(60))


# --- where outputs go


def targets_of(*inputs: str, **options: str) -> list[str]:
    names = ("timeline", "form", "output_dir", "frames", "tracks")
    planned = plan_targets(inputs, **{name: options.get(name) for name in names})
    return [f"{targets.format} {' '.join(targets.all)}" for targets in planned]


def test_the_format_is_the_option_or_the_suffix_or_json() -> None:
    assert targets_of("a.mp4", timeline="x.jsonl") == ["jsonl x.jsonl"]
    assert targets_of("a.mp4", timeline="x.TextGrid") == ["textgrid x.TextGrid"]
    assert targets_of("a.mp4", timeline="x.csv", form="segments") == ["segments x.csv"]
    assert targets_of("a.mp4", timeline="x", form="eaf") == ["eaf x"]
    assert targets_of("a.mp4", timeline="-") == ["json -"]
    assert targets_of("a.mp4", frames="f.csv", tracks="t.npz") == ["json f.csv t.npz"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["analyze", "a.mp4", "-t", "x.json", "-f", "jsonl"],
        ["analyze", "a.mp4", "-t", "x.foo"],
        ["analyze", "a.mp4", "-t", "x.foo", "-f", "json"],
        ["export", "a.json", "-o", "x.csv", "-f", "vtt"],
        ["export", "a.json", "-o", "x.foo"],
        ["peaks", "a.json", "-o", "x.csv", "-f", "json"],
        ["peaks", "a.json", "-o", "x.TextGrid"],
    ],
    ids=" ".join,
)
def test_a_suffix_of_another_format_is_an_error_before_any_work(call: Call, arguments: list[str]) -> None:
    done = call(*arguments)
    assert done.returncode == 2  # the missing input was not read yet
    for words in (f"{arguments[3]} ", "the formats are ", "srt (.srt)"):
        assert words in done.stderr
    assert not os.listdir()


def test_a_pipe_takes_any_format(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.foo")
    for form in (None, "jsonl", "eaf"):
        assert choose(TIMELINES, str(tmp_path / "pipe.foo"), form, "json") == (form or "json")
    assert choose(TIMELINES, os.devnull, "srt") == "srt"


def test_outputs_are_named_after_inputs() -> None:
    assert name_outputs(["x/a.mp4", "b.mkv", "-"]) == ["a", "b", "stdin"]
    assert name_outputs(["a.mp4", "a.mov", "b.mp4"]) == ["a.mp4", "a.mov", "b"]
    assert name_outputs(["a.mp4", "A.mov"]) == ["a.mp4", "A.mov"]
    with pytest.raises(UsageError, match="several inputs are called"):
        name_outputs(["x/a.mp4", "y/a.mp4"])


def test_the_output_folder_is_created(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    assert targets_of("a.mp4", output_dir=str(folder)) == [f"json {folder / 'a.json'}"]
    assert targets_of("a.mp4", output_dir=str(folder), form="jsonl") == [f"jsonl {folder / 'a.jsonl'}"]
    windows = f"windows {folder / 'a.windows.csv'}"
    assert targets_of("a.mp4", output_dir=str(folder), form="windows") == [windows]
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["analyze", "a", "b", "-t", "x.json"], ["--timeline names one file", "--output-dir"]),
        (["analyze", "a", "b", "--frames", "x.csv"], ["--frames names one file"]),
        (["analyze", "a", "a"], ["named twice"]),
        (["analyze", "-", "-"], ["named twice"]),
        (["analyze", "a", "--tracks", "-"], ["--tracks cannot be written to standard output"]),
        (["analyze", "a", "-t", "x", "-o", "y"], ["use one of them"]),
        (["analyze", "a", "-f", "json", "--frames", "b.csv"], ["--format needs"]),
        (["analyze", "a", "-t", "x", "--frames", "x"], ["named twice"]),
        (["analyze", "a", "--no-cache", "--keep-cache"], ["cannot be combined"]),
        (["analyze", "a", "--no-people", "--gallery", "b"], ["--gallery and --no-people cannot be combined"]),
        (["analyze", "a", "--start", "2", "--end", "1"], ["--end (1 s) is not after --start (2 s)"]),
        (["analyze", "a", "--start", "later"], ["is not a time", "--help"]),
        (["analyze", "a", "--detector", "nothing"], ["unknown detector", "hog"]),
        (["analyze", "a", "--min-face", "2"], ["--min-face"]),
        (["analyze", "a", "--jobs", "0"], ["--jobs"]),
        (["analyze", "a", "--device", "tpu"], ["--device", "cuda"]),
        (["analyze"], ["INPUT"]),
        (["analyze", "a", "--nonsense"], ["--nonsense", "fervid analyze --help"]),
        (["nonsense"], ["nonsense", "fervid --help"]),
        (["extract", "a"], ["--output-dir"]),
        (["extract", "a", "-o", ".", "--what", "csv,gaze"], ["landmarks, csv, crops"]),
        (["peaks", "a", "--top", "0"], ["--top"]),
        (["completion", "tcsh"], ["bash"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_an_error_before_any_work(call: Call, arguments: list[str], words: list[str]) -> None:
    says(call(*arguments), 2, *words)
    assert not os.listdir()


# --- failures


def test_a_missing_file_is_one_line(call: Call) -> None:
    says(call("info", "missing.mp4"), 1, "missing.mp4", "no such file")


def test_a_name_with_spaces_needs_quotes(call: Call) -> None:
    Path("my film.mp4").touch()
    quoted = ("uotes around a name with spaces", "'my film.mp4'")
    says(call("my", "film.mp4"), 2, *quoted)
    says(call("my", "film.mp4", "-t", "out.json"), 2, *quoted)
    says(call("analyze", "my", "film.mp4", "--output-dir", "out"), 2, *quoted)
    says(call("peaks", "my", "film.mp4", "--top", "3"), 2, *quoted)
    says(call("report", "my", "film.mp4"), 2, *quoted)
    says(call("analyze", "my", "film.mp4", "-t", "out.json"), 2, *quoted)
    says(call("info", "other.mp4", "my", "film.mp4"), 2, *quoted)
    assert "quotes" not in call("info", "my film.mp4", "missing.mp4").stderr


def test_a_traceback_needs_vv(call: Call) -> None:
    quiet, loud = call("info", "missing.mp4", "-v"), call("-v", "info", "-v", "missing.mp4")
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr
    assert loud.stderr.splitlines()[-1] == quiet.stderr.splitlines()[-1]


def test_an_unexpected_error_asks_for_a_report(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr("fervid.export.timelines.json.schema", lambda: 1 / 0)
    says(call("schema"), 1, "error: unexpected ZeroDivisionError: division by zero; please report it")


def test_an_interruption_is_reported_even_if_an_extension_raises_another_error(
    monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    def load() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as interruption:
            raise ImportError("a part failed to import") from interruption

    monkeypatch.setattr("fervid.export.timelines.json.schema", load)
    assert call("schema") == Done(130, "", "fervid: interrupted\n")


def test_an_interruption_inside_a_callback_of_a_library_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, call: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """PyAV discards exceptions of the file it writes into, and the film would be finished."""

    signals = [signal.SIGINT]

    class Target(io.BytesIO):
        def write(self, data: Any) -> int:
            if signals:
                signal.raise_signal(signals.pop())
            return super().write(data)

    def write() -> None:
        with writing(Target(), "matroska", {}) as output:
            stream = output.add_stream("mpeg4", rate=25)
            stream.width = stream.height = 64
            picture = av.VideoFrame(64, 64, "yuv420p")
            for picture.pts in range(100_000):
                output.mux(stream.encode(picture))

    monkeypatch.setattr("fervid.export.timelines.json.schema", write)
    assert call("schema") == Done(130, "", "\nfervid: interrupted\n")
    assert capfd.readouterr().err == ""


def test_some_failures_are_code_3_and_are_named(call: Call) -> None:
    done = call("info", "one.mp4", CLIP, "two.mp4")
    assert done.returncode == 3
    assert "clip.mp4" in done.stdout
    missing = [line for line in done.stderr.splitlines() if "no such file" in line]
    assert missing[1].startswith("fervid: error: two.mp4")
    assert "2 of 3 inputs failed: one.mp4, two.mp4" in done.stderr


def test_failure_of_all_inputs_is_code_1(call: Call) -> None:
    assert call("info", "one.mp4", "two.mp4").returncode == 1


def test_the_log_file_has_tracebacks_and_is_appended_to(call: Call, tmp_path: Path) -> None:
    call("info", "missing.mp4", "-q", "--log-file", "log")
    written = (tmp_path / "log").read_text()
    assert "ERROR missing.mp4" in written
    assert "Traceback" in written
    call("--log-file", "log", "info", "missing.mp4")
    assert (tmp_path / "log").read_text().count("ERROR missing.mp4") == 2
    says(call("info", CLIP, "--log-file", "none/log"), 1, "log file none/log")


@pytest.mark.parametrize("more", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_a_closed_pipe_is_silent(more: dict[str, str]) -> None:
    """Without buffering the first write fails, otherwise the exit."""
    assert with_closed_output(["schema"], **more) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_for_standard_output() -> None:
    says(in_shell(["schema"], ">/dev/full"), 1, "cannot write standard output: No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_help_on_a_full_disk_is_one_error() -> None:
    says(in_shell(["--help"], ">/dev/full"), 1, "cannot write standard output: No space left on device")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(("words", "code"), [(["show", "missing.json"], 1), (["--nope"], 2)])
def test_messages_that_cannot_be_written_do_not_change_the_exit_code(words: list[str], code: int) -> None:
    assert in_shell(words, "2>/dev/full").returncode == code
    reader, writer = os.pipe()
    os.close(reader)
    assert subprocess.run(command(words), env=environment(), stderr=writer, check=False).returncode == code
    os.close(writer)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_file_on_a_full_disk_is_one_warning(call: Call) -> None:
    assert call("info", CLIP, "--log-file", "/dev/full").returncode == 0
    done = call("info", "missing.mp4", "--log-file", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "fervid: error: missing.mp4: there is no such file",
        "fervid: warning: cannot write the log file /dev/full: No space left on device",
    ]


def test_closed_standard_output_is_an_error() -> None:
    says(in_shell(["schema"], ">&-"), 1, "standard output is closed")


# --- commands without a video


def test_the_schema_is_a_schema(call: Call) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(call("schema").stdout))


def test_info_describes_a_file(call: Call) -> None:
    facts = json.loads(call("info", "--json", CLIP).stdout)
    assert facts["input"] == str(CLIP)
    assert (facts["width"], facts["height"]) == (640, 480)
    assert "640" in call("info", CLIP).stdout


def test_info_reads_standard_input(fervid: Fervid) -> None:
    done = fervid("info", "--json", "-", input=CLIP.read_bytes())
    assert json.loads(done.stdout)["name"] == "stdin"
    says(fervid("info", "-"), 1, "standard input is empty")


def test_doctor_reports_no_problem_here(call: Call) -> None:
    done = call("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["ok"] is True
    findings = {finding["name"]: finding for finding in report["findings"]}
    assert {"fervid", "python", "torch", "ffmpeg", "licence", "cuda", "arithmetic", "cores", "cache"} <= set(
        findings
    )
    assert {"detector yunet", "landmarks dlib", "landmarks open"} <= set(findings)
    assert "iBUG 300-W" in findings["licence"]["detail"]
    assert "libavcodec" in findings["ffmpeg"]["detail"]


def test_doctor_fails_if_something_is_broken(fervid: Fervid, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = fervid("doctor", env={"FERVID_CACHE_DIR": str(tmp_path / "file" / "cache")})
    assert done.returncode == 1
    assert next(line for line in done.stdout.splitlines() if line.startswith("broken")).split()[1] == "cache"


def test_doctor_reports_a_damaged_detector(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fervid.faces.detectors.YUNET_WHOLE", "faces/data/NOTICE")
    done = call("doctor")
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("broken"))
    assert "detector yunet" in line and "NOTICE is damaged: pip install" in line


def test_doctor_reports_a_missing_library(fervid: Fervid, tmp_path: Path) -> None:
    (tmp_path / "safetensors.py").write_text("raise ImportError('_rust.so is missing')")
    done = fervid("doctor", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.returncode == 1
    assert "_rust.so is missing; pip install --force-reinstall safetensors" in done.stdout


def test_only_what_is_named_dlib_needs_dlib(fervid: Fervid, tmp_path: Path) -> None:
    (tmp_path / "dlib.py").write_text("raise ImportError('no dlib here')")
    env = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "FERVID_CACHE_DIR": str(tmp_path / "cache")}
    report = json.loads(fervid("doctor", "--json", env=env).stdout)
    assert report["ok"] is True
    (finding,) = (row for row in report["findings"] if row["name"] == "landmarks dlib")
    assert finding["state"] == "note" and "fervid[dlib]" in finding["detail"]
    few = ["analyze", CLIP, "--model", "untrained", "--end", "0.4", "-t", tmp_path / "out.json"]
    assert fervid(*few, env=env).returncode == 0
    says(fervid(*few, "-y", "--detector", "hog", env=env), 1, "pip install 'fervid[dlib]'")
    says(fervid(*few, "-y", "--landmarks", "dlib", env=env), 1, "pip install 'fervid[dlib]'")


def test_models_are_listed_and_verified(call: Call) -> None:
    listed = json.loads(call("models", "list", "--json").stdout)
    untrained = next(model for model in listed["models"] if model["name"] == "untrained")
    assert untrained["trained"] is False
    assert "happiness" in untrained["labels"]
    assert "iBUG 300-W" in listed["notice"]
    assert "untrained" in call("models", "list").stdout
    assert "untrained: ok" in call("models", "verify").stdout
    says(call("models", "verify", "nonsense"), 1, "nonsense")


def test_the_crops_option_needs_crops(call: Call) -> None:
    done = call("extract", "any.mp4", "-o", "out", "--what", "csv", "--crops", "png")
    assert done.returncode == 2
    assert "--what leaves them out" in done.stderr


def test_a_near_miss_of_a_command_or_an_emotion_is_named(call: Call) -> None:
    says(call("analyse", CLIP), 2, "Did you mean 'fervid analyze'?")
    says(call("help"), 2, "Did you mean 'fervid --help'?")
    says(call("nothing.like.it"), 2, "There is no command or file 'nothing.like.it'.")
    says(call("peaks", CLIP, "--emotion", "hapiness"), 2, "Did you mean happiness?")


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon"])
def test_lengths_of_time_are_finite(call: Call, value: str) -> None:
    says(call("peaks", "out.json", "--min-gap", value), 2, "is not a number of seconds")
    says(call("analyze", CLIP, "--min-segment", value), 2, "is not a number of seconds")


def test_the_version_has_a_short_option(call: Call) -> None:
    assert call("-V").stdout == call("--version").stdout
