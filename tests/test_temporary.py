"""Temporary folders: nothing is left in them, however a program ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import environment

from fervid import execute
from fervid.cache import Store
from fervid.errors import OutputError
from fervid.execute import Progress
from fervid.files import temporary

KEY = "0" * 32

MAKE = """
import sys
from fervid.files.temporary import Temporary
made = Temporary()
(made.path / "face").touch()
print(made.path, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True)
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the folder for temporary files, here and in other processes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def other_program() -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a program that has a temporary folder."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", MAKE], env=environment(), stdin=pipe, stdout=pipe
    ) as program:
        assert program.stdout is not None
        yield program, Path(program.stdout.readline().decode().rstrip())
        program.kill()


def test_a_folder_is_removed_after_its_block(top: Path) -> None:
    with pytest.raises(KeyboardInterrupt), temporary.folder() as folder:
        (folder / "a").mkdir()
        (folder / "a" / "face").touch()
        raise KeyboardInterrupt
    assert list(top.iterdir()) == []


def test_a_second_signal_while_a_folder_is_removed_leaves_nothing(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, signals = os.rename, iter([KeyboardInterrupt])

    def interrupted(*arguments: Path) -> None:
        for signal in signals:
            raise signal
        rename(*arguments)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), temporary.folder() as folder:
        (folder / "face").touch()
    assert list(top.iterdir()) == []


def test_a_program_that_ends_normally_removes_its_folder(top: Path) -> None:
    with other_program() as (program, folder):
        assert (folder / "face").exists()
        program.communicate(b"\n")
    assert list(top.iterdir()) == []


def test_the_folder_of_a_killed_program_is_removed_by_the_next(top: Path) -> None:
    mine = [top / "fervid-run-thesis", top / "fervid-run-0123", top / "thesis"]
    for path in mine:
        path.mkdir()
    with other_program() as (program, folder):
        temporary.sweep()
        assert (folder / "face").exists()  # it is in use
        program.kill()
        program.wait()
        assert (folder / "face").exists()
        with temporary.folder():
            assert not folder.exists()
    assert sorted(top.iterdir()) == sorted(mine)


def test_an_interrupted_removal_is_finished(top: Path) -> None:
    (top / f"fervid-run-{'1' * 16}.gone" / "a").mkdir(parents=True)
    (top / f"fervid-run-{'2' * 16}.lock").touch()
    temporary.sweep()
    assert list(top.iterdir()) == []


def test_nothing_is_removed_that_cannot_be_locked_or_is_of_another_user(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = top / f"fervid-run-{'1' * 16}"
    folder.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 7)
        temporary.sweep()
    assert folder.exists()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refuse)
        temporary.sweep()
    assert folder.exists()
    temporary.sweep()
    assert not folder.exists()


def test_links_are_not_followed(top: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    precious = tmp_path_factory.mktemp("precious")
    (precious / "thesis").touch()
    (top / f"fervid-run-{'1' * 16}").symlink_to(precious)
    (top / f"fervid-run-{'2' * 16}").mkdir()
    (top / f"fervid-run-{'2' * 16}" / "link").symlink_to(precious)
    temporary.sweep()
    assert (precious / "thesis").exists()
    assert not (top / f"fervid-run-{'2' * 16}").exists()


def test_a_folder_that_cannot_be_made_names_the_way_out(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(top / "missing"))
    with pytest.raises(OutputError, match="set TMPDIR to another folder"), temporary.folder():
        pass


def test_a_store_for_one_run_is_locked_while_it_is_used(top: Path) -> None:
    store = Store.temporary()
    store.lock(KEY)
    store.lock("1" * 32)
    store.entry(KEY, 0, None).touch()
    temporary.sweep()
    assert store.entry(KEY, 0, None).exists()
    store.forget(KEY, succeeded=True)
    assert list(top.iterdir()) == []


def leave_a_face(seconds: float) -> Iterator[float]:
    """Work in a temporary folder, as an analysis without a cache does."""
    with temporary.folder() as folder:
        (folder / "face").touch()
        yield 1.0
        time.sleep(seconds)
        yield 2.0


def test_what_a_killed_worker_was_writing_is_deleted(top: Path) -> None:
    with execute.open_executor(2) as executor:
        events = executor(leave_a_face, [0, 600, 600])
        for event in events:
            if isinstance(event, Progress) and event.index == 1:
                break
        assert list(top.rglob("face"))
        events.close()  # type: ignore[attr-defined]
        assert not list(top.rglob("face"))
    assert list(top.iterdir()) == []


def test_what_a_hanging_worker_was_writing_is_deleted(top: Path) -> None:
    with execute.open_executor(2) as executor:
        ends = [event for event in executor(leave_a_face, [600, 0], 1.0) if not isinstance(event, Progress)]
        assert len(ends) == 2
        assert not list(top.rglob("face"))
    assert list(top.iterdir()) == []
