"""The cache: entries, the size limit, and several runs at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Call, environment

from fervid import cache as disk
from fervid import files
from fervid.cache import Store, entries
from fervid.errors import UsageError, WorkerError

ARRAYS = {"pts": np.arange(1000)}
KEYS = ["0" * 32, "1" * 32, "2" * 32]

HOLD = """
import sys
import threading
from pathlib import Path
from fervid.cache import Store
Store(Path(sys.argv[1]), lender=sys.argv[3]).lock(sys.argv[2])
print("held", flush=True)
sys.stdin.readline()
"""

LEND = """
import os, sys
from pathlib import Path
from fervid.cache import Store
with Store(Path(sys.argv[1])).lend() as lent:
    print(lent.lender, flush=True)
    sys.stdin.readline()
    os._exit(1)
"""


@pytest.fixture
def store(cache: Path) -> Store:
    """Return a cache of three videos; the first was used longest ago."""
    store = Store(cache)
    for age, key in enumerate(reversed(KEYS)):
        disk.write(store.entry(key, 0, None), ARRAYS)
        os.utime(cache / key, (1000 - age, 1000 - age))
    return store


@contextmanager
def other_run(folder: Path, key: str, lender: str = "") -> Iterator[None]:
    """Run another process that uses the results of a key."""
    with process(HOLD, folder, key, lender) as (_, line):
        assert line == "held"
        yield


@contextmanager
def process(script: str, *arguments: str | Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a script in another process, wait for its first line, and kill it at the end."""
    line, pipe = [sys.executable, "-c", script, *map(str, arguments)], subprocess.PIPE
    with subprocess.Popen(line, env=environment(), cwd=ROOT, stdin=pipe, stdout=pipe) as run:
        assert run.stdout is not None
        yield run, run.stdout.readline().decode().rstrip()
        run.kill()


def there(folder: Path) -> list[str]:
    return [key for key in KEYS if (folder / key / "0-end.span").exists()]


def test_least_recently_used_videos_are_deleted_first(store: Store, cache: Path) -> None:
    size = disk.usage(cache).span_bytes // 3
    store.trim(2 * size + 100)
    assert there(cache) == KEYS[1:]
    store.trim(2 * size + 100)
    assert there(cache) == KEYS[1:]
    store.trim(0)
    assert there(cache) == []


def test_results_in_use_are_not_deleted(store: Store, cache: Path) -> None:
    with other_run(cache, KEYS[0]):
        store.trim(0)
        assert there(cache) == KEYS[:1]
        assert disk.usage(cache).in_use == 1
        disk.clear(cache)
        store.lock(KEYS[0])
        store.forget(KEYS[0], succeeded=True)
        assert there(cache) == KEYS[:1]
    store.trim(0)  # the other run was killed
    assert there(cache) == []


def test_results_of_a_worker_can_be_deleted_after_its_program_ended(store: Store, cache: Path) -> None:
    with process(LEND, cache) as (program, lender), other_run(cache, KEYS[0], lender):
        store.trim(0)
        store.forget(KEYS[0], succeeded=True)
        assert there(cache) == KEYS[:1]
        assert disk.usage(cache).in_use == 1
        program.kill()
        program.wait()
        assert disk.usage(cache).in_use == 0
        store.forget(KEYS[0], succeeded=True)  # while the worker runs
        assert not (cache / KEYS[0]).exists()
    with store.lend():
        pass
    assert list(cache.iterdir()) == []


def test_results_of_a_dead_worker_can_be_deleted_while_its_program_runs(store: Store, cache: Path) -> None:
    with store.lend() as lent:
        with other_run(cache, KEYS[0], lent.lender):
            store.trim(0)
            assert there(cache) == KEYS[:1]
        store.forget(KEYS[0], succeeded=True)
        assert there(cache) == []
    assert list(cache.iterdir()) == []


def test_a_process_that_checks_a_lock_does_not_keep_results(store: Store, cache: Path) -> None:
    """Checking takes longer than usual, as on a busy machine."""
    lock = files.take_lock(cache / KEYS[0] / ".lock")
    assert lock is not None
    timer = threading.Timer(0.5, lock.release)
    timer.start()
    store.forget(KEYS[0], succeeded=True)
    assert there(cache) == KEYS[1:]
    timer.join()


def test_the_folder_of_a_worker_that_was_killed_before_its_first_result_is_deleted(
    store: Store, cache: Path
) -> None:
    for key in ("3" * 32, "4" * 32):
        (cache / key).mkdir()
    (cache / ("3" * 32) / ".0123456789abcdef.lock").touch()
    with other_run(cache, "4" * 32), store.lend():
        assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == [*KEYS, "4" * 32]
    with store.lend():
        assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == KEYS


def test_a_worker_takes_no_lock_that_outlives_its_program(
    store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be stopped at any moment; only its own lock does not count then."""
    taken, take = [], files.take_lock

    def record(path: Path, shared: bool = False) -> files.Lock | None:
        taken.append((path.name, shared))
        return take(path, shared)

    with store.lend() as lent:
        with monkeypatch.context() as patch:
            patch.setattr(files, "take_lock", record)
            patch.setattr(disk, "_videos", iter([0]))
            for succeeded in (True, False):
                lent.lock("3" * 32)
                lent.forget("3" * 32, succeeded)
        assert taken == [(f".{lent.lender}.lock", True)] * 2
        assert (cache / ("3" * 32)).exists()
    assert sorted(path.name for path in cache.iterdir()) == KEYS


@pytest.mark.parametrize("answers", [[True], [False, True]])  # the program ends between the checks
def test_a_worker_does_not_start_after_its_program_ended(
    cache: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool]
) -> None:
    monkeypatch.setattr(disk, "_is_orphan", iter(answers).__next__)
    with pytest.raises(WorkerError, match="has ended"):
        Store(cache, keep=True, lender="0" * 16).lock(KEYS[0])
    assert list(cache.iterdir()) == []


def test_a_result_after_deletion_is_not_written(store: Store, cache: Path) -> None:
    entry = store.entry(KEYS[0], 0, 9)
    assert disk.write(entry, ARRAYS, makes_folder=False)
    store.trim(0)
    assert not disk.write(entry, ARRAYS, makes_folder=False)
    assert list(cache.iterdir()) == []


def test_a_file_written_during_deletion_is_deleted(
    store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, calls = Path.rmdir, []

    def late(folder: Path) -> None:
        calls.append(folder)
        if len(calls) == 1:  # by a process that had opened the folder before
            (folder / ".9-end.span.0.part").touch()
        remove(folder)

    monkeypatch.setattr(Path, "rmdir", late)
    store.forget(KEYS[0], succeeded=True)
    assert sorted(path.name for path in cache.iterdir()) == KEYS[1:]


def test_an_interrupted_deletion_is_finished(store: Store, cache: Path) -> None:
    for key in KEYS[:2]:
        (cache / key).rename(cache / f"{key}.gone")
    store.forget(KEYS[0], succeeded=True)
    assert sorted(path.name for path in cache.iterdir()) == [f"{KEYS[1]}.gone", KEYS[2]]
    store.trim(10**9)
    assert sorted(path.name for path in cache.iterdir()) == KEYS[2:]


def test_the_last_of_two_runs_deletes(store: Store, cache: Path) -> None:
    store.lock(KEYS[0])
    store.lock(KEYS[0])
    store.forget(KEYS[0], succeeded=True)
    assert KEYS[0] in there(cache)
    store.forget(KEYS[0], succeeded=True)
    assert not (cache / KEYS[0]).exists()


def test_a_run_that_stored_nothing_leaves_nothing(cache: Path) -> None:
    store = Store(cache)
    store.lock(KEYS[0])
    store.forget(KEYS[0], succeeded=False)
    assert list(cache.iterdir()) == []


def test_a_result_is_written_though_its_folder_is_deleted_meanwhile(
    store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = entries._write_atomically, []

    def deleted_once(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise FileNotFoundError(2, "No such file or directory")
        write(*arguments)

    monkeypatch.setattr(entries, "_write_atomically", deleted_once)
    disk.write(store.entry(KEYS[0], 0, 9), ARRAYS)
    assert disk.read(store.entry(KEYS[0], 0, 9)) is not None


def test_an_entry_of_another_span_counts_as_missing(store: Store) -> None:
    own = store.entry(KEYS[0], 0, None)
    for foreign in (store.entry(KEYS[0], 0, 900), store.entry(KEYS[1], 0, None)):
        foreign.write_bytes(own.read_bytes())
        assert disk.read(foreign) is None
        assert not foreign.exists()
    back = disk.read(own)
    assert back is not None and set(back) == {"pts"}


@pytest.mark.parametrize("key", ["", ".", "..", "/tmp", "0" * 31, "0" * 33, "G" * 32, f"../{'0' * 32}"])
def test_only_a_key_names_a_folder(store: Store, key: str) -> None:
    for use in (store.lock, lambda key: store.forget(key, True), lambda key: store.entry(key, 0, None)):
        with pytest.raises(ValueError, match="is not the key of a cache entry"):
            use(key)


@pytest.mark.parametrize(
    ("text", "bytes_"), [("", disk.LIMIT), ("0", 0), ("1500", 1500), ("1.5 kB", 1500), ("20GB", 20 * 10**9)]
)
def test_the_limit_is_a_size(text: str, bytes_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERVID_CACHE_LIMIT", text)
    assert disk.limit() == bytes_


def test_a_limit_that_is_not_a_size_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERVID_CACHE_LIMIT", "much")
    with pytest.raises(UsageError, match="write bytes, or 500MB"):
        disk.limit()


def test_a_wrong_limit_is_reported_before_any_work(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERVID_CACHE_LIMIT", "much")
    for command in (("analyze", "a.mp4", "b.mp4"), ("batch", "a.mp4", "-o", "out"), ("cache", "info")):
        done = call(*command)
        assert (done.returncode, done.stderr.count("FERVID_CACHE_LIMIT")) == (2, 1)
    assert os.listdir() == []


def test_a_run_applies_the_limit(store: Store, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERVID_CACHE_LIMIT", "0")
    monkeypatch.setattr(disk, "_videos", iter([0]))
    store.lock("3" * 32)
    assert there(cache) == []
    store.forget("3" * 32, succeeded=True)


def test_info_counts_what_is_there(call: Call, store: Store, cache: Path) -> None:
    (cache / "footage").mkdir()
    (cache / "footage" / "a.npy").write_bytes(bytes(5000))
    done = call("cache", "info")
    assert done.returncode == 0
    for word in (str(cache), "3 spans of 3 videos, 0 of them in use", "5.0 kB", "20.0 GB"):
        assert word in done.stdout
    usage = json.loads(call("cache", "info", "--json").stdout)
    assert (usage["videos"], usage["footage_bytes"], usage["folder"]) == (3, 5000, str(cache))
    assert call("cache", "path").stdout == f"{cache}\n"


@pytest.mark.parametrize(
    ("kind", "left"), [((), []), (("spans",), ["a.npy"]), (("footage",), ["0-end.span"] * 3)]
)
def test_clear_deletes_only_files_of_fervid(
    call: Call, store: Store, cache: Path, kind: tuple[str, ...], left: list[str]
) -> None:
    (cache / "footage").mkdir()
    (cache / "footage" / "a.npy").write_bytes(bytes(5000))
    mine = [cache / "thesis.txt", cache / KEYS[0] / "thesis.txt", cache / "fff" / "thesis.txt"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    done = call("cache", "clear", *kind)
    assert (done.returncode, done.stdout) == (0, "")
    assert "deleted" in done.stderr
    assert sorted(path.name for path in cache.rglob("*.*") if path.suffix in (".npy", ".span")) == left
    assert [path.read_text() for path in mine] == ["mine"] * 3


def test_an_empty_cache_is_no_error(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FERVID_CACHE_DIR", str(tmp_path / "nothing"))
    assert "0 spans of 0 videos" in call("cache", "info").stdout
    assert call("cache", "clear").returncode == 0
    assert not (tmp_path / "nothing").exists()


def test_locks_are_shared_or_exclusive(tmp_path: Path) -> None:
    first, second = files.take_lock(tmp_path / "a", shared=True), files.take_lock(tmp_path / "a", shared=True)
    assert first is not None and second is not None
    assert files.take_lock(tmp_path / "a") is None
    first.release()
    second.release()
    alone = files.take_lock(tmp_path / "a")
    assert alone is not None
    assert files.take_lock(tmp_path / "a", shared=True) is None
    alone.release(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_user_may_have_no_home_folder(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a user without HOME and without an entry in passwd."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    for name in ("FERVID_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    done = call("cache", "path")
    assert done.returncode == 2
    assert done.stderr == (
        "fervid: error: this user has no home folder for the cache: set FERVID_CACHE_DIR, or use --no-cache\n"
    )
