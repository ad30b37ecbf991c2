"""Test that results appear whole or not at all, and that nothing else is overwritten."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import media
import pytest
from conftest import ROOT, Call, environment

from fervid.cli.extract import PICTURES
from fervid.cli.shared import output
from fervid.errors import OutputError, UsageError


def left_behind(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    with output.open_text(str(target)) as stream:
        stream.write("é\n")
        stream.flush()
        assert not target.exists()
    assert target.read_bytes() == "é\n".encode()
    assert not left_behind(tmp_path)


def test_a_failure_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old")
    with (
        pytest.raises(RuntimeError, match="half way"),
        output.open_text(str(target), overwrite=True) as stream,
    ):
        stream.write("new")
        raise RuntimeError("half way")
    assert target.read_text() == "old"
    assert not left_behind(tmp_path)


def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with output.open_binary(str(tmp_path / "out")) as stream:
            stream.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, real = tmp_path / "out.json", tmp_path / "real" / "out.json"
    link.symlink_to(real)
    with output.open_text(str(link)) as stream:
        stream.write("through")
    assert link.is_symlink()
    assert real.read_text() == "through"


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    output.check_targets([str(pipe)], [], overwrite=False)
    with output.open_text(str(pipe)) as stream:
        stream.write("through")
    reader.join()
    assert received == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_an_error() -> None:
    with pytest.raises(OutputError, match=r"/dev/full.*[Nn]o space"), output.open_text("/dev/full") as stream:
        stream.write("x")


def test_a_failed_write_leaves_no_partial_file(tmp_path: Path) -> None:
    """Limit the file size, like a full disk, so that the write fails in the middle of the file."""
    script = "from fervid.cli.shared.output import *\nwith open_text('out.csv') as s: s.write('x' * 100000)"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); {script}"
    line = [sys.executable, "-c", limited]
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert "OutputError: cannot write out.csv: File too large" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_folder_appears_whole_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "faces"
    (target / "track_0001").mkdir(parents=True)
    (target / "track_0001" / "000000001.png").write_bytes(b"old")
    with output.open_folder(str(target), True, *PICTURES) as folder:
        (folder / "track_0002").mkdir()
        assert (target / "track_0001").exists()
    assert os.listdir(target) == ["track_0002"]
    with pytest.raises(RuntimeError), output.open_folder(str(target), True, *PICTURES) as folder:
        raise RuntimeError
    assert os.listdir(target) == ["track_0002"]
    assert not left_behind(tmp_path)


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    message = "made by another program meanwhile: use -y"
    with pytest.raises(OutputError, match=message), output.open_text(str(target)) as stream:
        stream.write("new")
        target.write_text("mine")
    assert target.read_text() == "mine"
    faces = tmp_path / "faces"
    opened = output.open_folder(str(faces), False, *PICTURES)
    with pytest.raises(OutputError, match=message), opened as folder:
        (folder / "track_0001").mkdir()
        faces.mkdir()
        (faces / "thesis.txt").write_text("mine")
    assert (faces / "thesis.txt").read_text() == "mine"
    assert not left_behind(tmp_path)


def test_other_files_in_a_folder_that_is_replaced_stay(tmp_path: Path) -> None:
    target = tmp_path / "faces"
    (target / "track_0001").mkdir(parents=True)
    (target / "track_0001" / "000000001.png").write_bytes(b"old")
    with output.open_folder(str(target), True, *PICTURES) as folder:
        (folder / "track_0002").mkdir()
        (folder / "track_0002" / "000000001.png").write_bytes(b"new")
        for name in ("thesis.txt", "track_0001/thesis.txt", "track_0002"):
            path = target / name
            path.mkdir() if name == "track_0002" else path.write_text("mine")
        (target / "track_0002" / "link.png").symlink_to("nowhere")
    assert (target / "thesis.txt").read_text() == (target / "track_0001" / "thesis.txt").read_text() == "mine"
    assert sorted(os.listdir(target / "track_0002")) == ["000000001.png", "link.png"]
    assert not (target / "track_0001" / "000000001.png").exists()
    assert not left_behind(tmp_path)


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "faces"
    (target / "track_0001").mkdir(parents=True)
    (target / "track_0001" / "000000001.png").touch()
    output.check_folder(str(target), True, *PICTURES)
    with pytest.raises(OutputError, match="-y"):
        output.check_folder(str(target), False, *PICTURES)
    (target / "track_0001" / "thesis.txt").touch()
    with pytest.raises(OutputError, match=r"fervid did not write .*track_0001"):
        output.check_folder(str(target), True, *PICTURES)


def error_of(targets: list[Path | str], inputs: list[Path | str] = [], overwrite: bool = False) -> str:  # noqa: B006
    with pytest.raises(OutputError) as caught:
        output.check_targets(map(str, targets), map(str, inputs), overwrite)
    return str(caught.value)


def test_an_existing_file_needs_permission(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.touch()
    assert "use -y" in error_of([target])
    output.check_targets([str(target)], [], overwrite=True)


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    movie = tmp_path / "movie.mp4"
    movie.write_bytes(b"precious")
    dotted, symbolic, hard = tmp_path / ".." / tmp_path.name / "movie.mp4", tmp_path / "a", tmp_path / "b"
    symbolic.symlink_to(movie)
    hard.hardlink_to(movie)
    for target in (movie, dotted, symbolic, hard):
        assert "is an input" in error_of([target], [movie], overwrite=True)


def test_a_log_file_is_never_an_input_or_an_output(tmp_path: Path) -> None:
    movie, log = tmp_path / "movie.mp4", tmp_path / "log"
    movie.touch()
    with pytest.raises(OutputError, match="log file"):
        output.check_log(str(movie), [str(movie)])
    with pytest.raises(UsageError, match="twice"):
        output.check_targets([str(log)], [str(movie)], True, str(log))


def test_a_target_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    assert "there is no folder" in error_of([tmp_path / "missing" / "out.json"])
    assert "is a folder" in error_of([tmp_path])
    (tmp_path / "file").touch()
    assert "there is no folder" in error_of([tmp_path / "file" / "out.json"])
    with pytest.raises(OutputError, match="is a file"):
        output.make_folder(str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot create"):
        output.make_folder(str(tmp_path / "file" / "below"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "no permission" in error_of([tmp_path / "out.json"])
    with pytest.raises(OutputError, match="no permission"):
        output.make_folder(str(tmp_path))
    tmp_path.chmod(0o700)


def test_one_target_for_two_outputs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        output.check_targets([str(tmp_path / "a"), f"{tmp_path}/./a"], [], overwrite=True)
    with pytest.raises(UsageError, match="twice"):
        output.check_targets(["-", "-"], [], overwrite=True)
    output.check_targets(["/dev/null", "/dev/null"], [], overwrite=False)


def test_the_tests_import_this_checkout() -> None:
    assert Path(output.__file__).is_relative_to(ROOT)


LONG = "x" * 251 + ".mp4"  # its outputs have longer names than a file may have
GOLDEN = ROOT / "tests" / "golden" / "clip.json"


@pytest.mark.parametrize(
    "words",
    [
        ("extract", "nothing.mp4", "-o"),
        ("extract", LONG, "-o"),
        ("analyze", "nothing.mp4", "-o"),
        ("analyze", LONG, "-o"),
        ("peaks", GOLDEN, "--video", "other.mp4", "--cut"),
        ("peaks", GOLDEN, "--video", "nothing.mp4", "--cut"),
        ("people", GOLDEN, "--video", "other.mp4", "--pictures"),
        ("train", "-d", "csv:nothing.csv", "-o"),
        ("train", "-d", "csv:data.csv", "-o"),
        ("finetune", "-d", "csv:data.csv", "-o"),
        ("bench", "survey", "-d", "csv:data.csv", "-o"),
        ("eval", "-d", "csv:nothing.csv", "--pictures"),
        ("eval", "-d", "csv:data.csv", "--protocol", "kfold:5", "--runs"),
    ],
    ids=lambda words: " ".join(str(word)[:12] for word in words[:2]),
)
def test_a_failed_command_leaves_no_empty_folder(words: tuple[str, ...], call: Call, tmp_path: Path) -> None:
    media.write(tmp_path / "other.mp4", media.pictures(3))
    (tmp_path / LONG).write_bytes(b"not a video")
    (tmp_path / "data.csv").write_text("path,label\nother.mp4,happiness\n")
    before = sorted(os.listdir())
    done = call(*words, "new/folder")
    assert done.returncode in (1, 2), done.stderr
    assert sorted(os.listdir()) == before, done.stderr


def test_a_folder_that_another_command_deletes_is_made_again(tmp_path: Path) -> None:
    folder = output.make_folder(str(tmp_path / "new"))
    folder.rmdir()
    output.check_targets([str(folder / "a.json")], [], overwrite=False)
    folder.rmdir()
    with output.open_text(str(folder / "a.json")) as stream:
        stream.write("x")
    assert os.listdir(folder) == ["a.json"]
