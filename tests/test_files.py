"""Names as text, and atomic writes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import environment

from fervid import files
from fervid.files import writing


def test_a_name_in_a_message_is_one_printable_line() -> None:
    assert files.display_name(Path("ü 五.mp4")) == "ü 五.mp4"
    assert files.display_name("a\x1b[31m\nb\udce9\ud800\u200b") == "a\ufffd[31m\ufffdb\ufffd\ufffd\ufffd"


def test_bytes_of_a_name_that_are_not_utf_8_are_escaped() -> None:
    assert files.encodable("ü\udce9\ud800") == "ü\\xe9\\ud800"


def test_text_on_one_line_has_single_spaces_and_is_printable() -> None:
    assert files.one_line(" a\r\nb\tc\x00d\u200b ") == "a b cd"
    assert files.one_line("b\tc\x00d\u200b ", " ") == "b c d"


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with files.open_atomic(target) as stream:
        stream.write(b"new")
        stream.flush()
        assert not target.exists()
    files.write(tmp_path / "b.txt", "ü\n")
    assert target.read_bytes() == b"new" and (tmp_path / "b.txt").read_bytes() == "ü\n".encode()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.open_atomic(target) as stream:
        stream.write(b"new")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


def test_a_file_is_written_in_the_given_folder(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with files.open_atomic(tmp_path / "a.json", within=tmp_path / "state"):
        assert os.listdir(tmp_path) == ["state"] and len(os.listdir(tmp_path / "state")) == 1
    assert os.listdir(tmp_path / "state") == []


def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    for has_links in (True, False):
        if not has_links:
            monkeypatch.setattr(os, "link", refuse)
        target = tmp_path / f"{has_links}.json"
        with pytest.raises(FileExistsError), files.open_atomic(target, replaces=False) as stream:
            stream.write(b"new")
            target.write_bytes(b"mine")
        assert target.read_bytes() == b"mine"
        target.unlink()
        with files.open_atomic(target, replaces=False) as stream:
            stream.write(b"new")
        assert target.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["False.json", "True.json"]


def test_a_link_that_was_made_although_the_answer_was_lost_is_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def twice(*arguments: Path) -> None:
        link(*arguments)
        link(*arguments)

    monkeypatch.setattr(os, "link", twice)
    with files.open_atomic(tmp_path / "a", replaces=False) as stream:
        stream.write(b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}
    (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(FileExistsError), files.open_atomic(tmp_path / "b", replaces=False):
        pass


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
def test_a_new_file_has_the_access_rights_of_the_one_that_it_replaces(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    target.chmod(mode)
    with files.open_atomic(target) as stream:
        stream.write(b"new")
        (part,) = (path for path in tmp_path.iterdir() if path != target)
        assert not stat.S_IMODE(part.stat().st_mode) & ~(mode | 0o600)  # nobody else may read it meanwhile
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"new", mode)


WRITE = """
import sys
from pathlib import Path
from fervid import files
from fervid.files import writing
with files.open_atomic(Path(
    "a.json"
    "a.json"
)) as stream, files.open_atomic_folder(Path("faces"), str.isdigit) as folder:
    stream.write(b"new")
    (folder / "1").touch()
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_what_a_killed_program_was_writing_is_deleted_by_the_next(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", WRITE], cwd=tmp_path, env=environment(), stdin=pipe, stdout=pipe
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"written\n"
        mine = tmp_path / ".fervid-thesis.part"
        mine.touch()
        writing._sweep.cache_clear()
        files.write(tmp_path / "b", "")
        assert len(os.listdir(tmp_path)) == 4  # a program that is running keeps its files
        writer.kill()
    writing._sweep.cache_clear()
    files.write(tmp_path / "b", "")
    assert sorted(os.listdir(tmp_path)) == [mine.name, "b"]


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record what would survive a power failure."""
    events = []

    def record(name: str) -> None:
        call = getattr(os, name)

        def recorded(*arguments: Any, **options: Any) -> Any:
            if name == "fsync":
                status = os.fstat(arguments[0])
                is_folder = stat.S_ISDIR(status.st_mode)
                events.append("sync the folder" if is_folder else f"sync {status.st_size} bytes")
            else:
                events.append(name)
            return call(*arguments, **options)

        monkeypatch.setattr(os, name, recorded)

    for name in ("fsync", "replace", "link", "rename", "mkdir", "sync"):
        record(name)
    files.write(tmp_path / "a", "old")
    assert events == ["sync 3 bytes", "replace", "sync the folder"]
    events.clear()
    with files.open_atomic(tmp_path / "b", replaces=False) as stream:
        stream.write(b"news")
    assert events == ["sync 4 bytes", "link", "sync the folder"]
    events.clear()
    with files.open_atomic_folder(tmp_path / "c", str.isdigit):
        pass
    assert events == ["mkdir", "sync", "rename", "sync the folder"]
    events.clear()
    files.make_folder(tmp_path / "d" / "e")
    assert events == ["mkdir", "sync the folder"] * 2


def test_a_lock_without_a_file_system_s_help_is_not_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    lock = files.take_lock(tmp_path / "a")
    assert lock is not None and lock.is_real
    lock.release()
    monkeypatch.setattr("fcntl.flock", refuse)
    lock = files.take_lock(tmp_path / "a")
    assert lock is not None and not lock.is_real
    part = tmp_path / f".fervid-{'0' * 12}.part"
    part.touch()
    files.write(tmp_path / "b", "")
    assert part.exists()  # it may be in use
    lock.release(remove=True)
    assert sorted(os.listdir(tmp_path)) == [part.name, "b"]


def test_errors_of_the_file_are_explained_and_those_of_the_block_are_not(tmp_path: Path) -> None:
    def explain(error: OSError) -> Exception:
        return RuntimeError(f"cannot write: {error.strerror}")

    missing, folder = tmp_path / "missing" / "a", tmp_path / "a"
    folder.mkdir()
    for path in (missing, folder):
        with pytest.raises(RuntimeError, match="cannot write: "), files.open_atomic(path, explain):
            pass
    with pytest.raises(PermissionError), files.open_atomic(tmp_path / "b", explain):
        raise PermissionError
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_may_be_deeper_than_calls(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 1200)
    files.make_folder(deep)
    assert deep.is_dir()
    for folder in [deep, *deep.parents][:1200]:
        folder.rmdir()
