"""Workers: order, failures, and no processes or files that are left."""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from worker_tasks import (
    big,
    count_faults,
    count_up,
    describe,
    die_at_start,
    die_at_two,
    die_on_the_way,
    die_once,
    first_waits_for_last,
    hang_at_two,
    own_pid,
    refuse_three,
    share_nothing,
    slow_but_sure,
    slow_first,
    square,
    stumble,
    vanish,
    wait_to_be_seen,
    who_else,
)

from fervid import execute
from fervid.errors import FervidError, InputError, UnexpectedError, UsageError, WorkerError
from fervid.execute import Done, Event, Progress, memory, results
from fervid.execute.local import Pool


def apart(events: Iterable[Event]) -> tuple[dict[int, list[float]], list[object]]:
    """Return the reported progress of each task, and the results in the order of the tasks."""
    reached: dict[int, list[float]] = defaultdict(list)
    ends: list[object] = []
    for event in events:
        if isinstance(event, Progress):
            reached[event.index].append(event.done)
        else:
            assert event.index == len(ends)
            ends.append(event.result if isinstance(event, Done) else event.error)
    return reached, ends


def values(events: Iterable[Event]) -> list[object]:
    return apart(events)[1]


def living() -> list[int]:
    """Return the running workers; the list of children may still contain one that its pool has just ended."""

    def runs(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    return [child.pid for child in multiprocessing.active_children() if child.pid and runs(child.pid)]


@pytest.fixture(autouse=True)
def no_worker_is_left():
    yield
    assert living() == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_tasks(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        assert values(run(slow_first, range(9))) == list(range(9))
        assert values(run(square, iter([5, 6]))) == [25, 36]  # the same workers serve again
        assert values(run(square, [])) == []
        assert values(run(square, [4])) == [16]


def test_workers_are_spawned_and_use_one_thread() -> None:
    with execute.pool(2) as run:
        for kind, pid, threads in results(run(describe, range(4))):
            assert kind == "SpawnProcess"  # a fork of a process in which torch has run can hang
            assert pid != os.getpid()
            assert threads == "1"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_keeps_freed_memory_until_its_end(jobs: int) -> None:
    with execute.open_executor(jobs, contained=jobs > 1) as executor:
        faults = list(results(executor(count_faults, range(2))))
    assert max(faults) < 100


def test_one_task_runs_in_this_process_unless_contained() -> None:
    with execute.pool(2) as run:
        assert values(run(own_pid, [0])) == [os.getpid()]
    with execute.open_executor(1) as run:
        assert values(run(own_pid, [0])) == [os.getpid()]
    with execute.open_executor(1, contained=True) as run:
        assert values(run(own_pid, [0])) != [os.getpid()]
    with execute.open_executor(2, "serial") as run:
        assert set(values(run(own_pid, [0, 1]))) == {os.getpid()}


# --- failures


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_comes_in_order_and_stops_no_other_task(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        *before, failure, after = values(run(refuse_three, range(5)))
    assert [*before, after] == [0, 1, 2, 4]
    assert isinstance(failure, InputError) and str(failure) == "three cannot be read; try four"


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_raises_the_first_failure(jobs: int) -> None:
    done = []
    with pytest.raises(InputError, match="three cannot"), execute.open_executor(jobs) as run:
        for result in results(run(refuse_three, range(9))):
            done.append(result)
    assert done == [0, 1, 2]


def test_workers_serve_another_run_after_a_failure() -> None:
    with execute.pool(2) as run:
        failures = []
        for _ in range(2):  # a kept error keeps the frames of its traceback alive
            try:
                list(results(run(refuse_three, range(9))))
            except InputError as error:
                failures.append(error)
        assert len(failures) == 2
        assert values(run(square, [1, 2])) == [1, 4]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_becomes_a_failure_that_keeps_its_traceback(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        first, failure, last = values(run(stumble, range(3)))
    assert (first, last) == (-1, 1)
    assert isinstance(failure, UnexpectedError)
    assert str(failure).startswith("unexpected ZeroDivisionError: division by zero; please report")
    text = "".join(traceback.format_exception(failure))
    assert "in stumble" in text and "return 1 / (number - 1)" in text


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_of_the_system_keep_their_message(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        for failure in values(run(vanish, [0, 1])):
            assert isinstance(failure, FervidError) and not isinstance(failure, UnexpectedError)
            assert str(failure) == "/nowhere/at/all: No such file or directory"


def test_a_result_that_cannot_be_pickled_is_a_failure() -> None:
    with execute.pool(2) as run:
        assert all(isinstance(failure, UnexpectedError) for failure in values(run(share_nothing, [0, 1])))


# --- progress


def test_a_generator_yields_its_progress() -> None:
    events: list[Event] = [Progress(0, 1), Progress(0, 2), Done(0, 4), Done(1, 0), Progress(2, 1), Done(2, 1)]
    with execute.serial() as run:
        assert list(run(count_up, [2, 0, 1])) == events
    with execute.pool(2) as run:
        assert list(run(count_up, [2])) == events[:3]  # a single task runs in this process


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_comes_while_tasks_run(tmp_path: Path, jobs: int) -> None:
    folders = [tmp_path / name for name in "abcdefg"]
    for folder in folders:
        folder.mkdir()
    ends = []
    with execute.open_executor(jobs) as run:
        for event in run(wait_to_be_seen, folders):
            if isinstance(event, Done):
                ends.append(event.result)
            elif isinstance(event, Progress) and event.done == 1:
                (folders[event.index] / "seen").touch()
    assert ends == ["seen"] * 7


def test_tasks_of_a_closed_run_do_not_affect_the_next_run(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        events = run(wait_to_be_seen, [tmp_path] * 9)
        assert isinstance(next(events), Progress)
        with pytest.raises(RuntimeError, match="have an unfinished run"):
            next(run(count_up, [0, 0]))
        events.close()  # type: ignore[attr-defined]
        reached, ends = apart(run(count_up, [0] * 20))
        assert ends == [0] * 20
        assert not reached


def test_progress_is_right_although_a_worker_dies(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        reached, ends = apart(run(die_on_the_way, [(number, tmp_path) for number in range(6)]))
    assert ends == list(range(6))
    assert (tmp_path / "died").exists()
    assert all(set(numbers) <= {1.0, 2.0} for numbers in reached.values())


def test_the_last_tasks_go_to_the_worker_that_is_free_first(tmp_path: Path) -> None:
    with execute.pool(2) as executor:
        first, second, last = results(executor(first_waits_for_last, [(n, tmp_path) for n in range(3)]))
    assert first != second == last


def test_tasks_are_read_only_slightly_ahead() -> None:
    taken: list[int] = []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield number

    with execute.pool(2) as run:
        for number, _ in enumerate(run(square, tasks())):
            assert len(taken) <= number + 1 + 2 * execute.AHEAD


# --- workers that die or hang


def test_the_task_of_a_dying_worker_runs_again(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        assert values(run(die_once, [(number, tmp_path) for number in range(6)])) == list(range(6))
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_at_which_workers_always_die_fails_alone(tmp_path: Path, jobs: int) -> None:
    with execute.open_executor(jobs, contained=True) as run:
        first, second, failure, *rest = values(run(die_at_two, [(number, tmp_path) for number in range(6)]))
    assert [first, second, *rest] == [0, 1, 3, 4, 5]
    assert isinstance(failure, WorkerError) and "died twice" in str(failure) and "exit code 3" in str(failure)
    assert (tmp_path / "deaths").read_text() == "xx"


def test_a_single_task_can_be_contained(tmp_path: Path) -> None:
    with execute.open_executor(2, contained=True) as run:
        (failure,) = values(run(die_at_two, [(2, tmp_path)]))
    assert isinstance(failure, WorkerError)


def test_the_second_attempt_runs_alone(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        others = values(run(who_else, [(number, tmp_path) for number in range(9)]))
    assert (tmp_path / "died").exists()
    assert others[3] == []


@pytest.mark.skipif(sys.platform != "linux", reason="kills differ")
def test_a_worker_killed_from_outside_is_replaced() -> None:
    with execute.pool(2) as run:
        pids: set[object] = set()
        for pid in results(run(own_pid, range(20))):
            if not pids:
                os.kill(pid, signal.SIGKILL)
            pids.add(pid)
    assert len(pids) == 3


def test_a_task_that_hangs_fails_and_the_others_do_not_wait(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        ends = values(run(hang_at_two, [(number, tmp_path) for number in range(5)], deadline=1.5))
    failure = ends.pop(2)
    assert ends == [0, 1, 3, 4]
    assert isinstance(failure, WorkerError) and "hung twice" in str(failure)
    assert (tmp_path / "hung").read_text() == "xx"


def test_a_slow_task_with_progress_does_not_hang() -> None:
    with execute.pool(2) as run:
        assert values(run(slow_but_sure, [7, 8], deadline=1.8)) == [7, 8]


def test_workers_that_cannot_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fervid.execute.local.serve", die_at_start)
    with pytest.raises(WorkerError, match="cannot start"), execute.pool(2) as run:
        list(run(square, range(9)))


def test_tasks_larger_than_a_pipe_do_not_block() -> None:
    tasks = [(number, bytes(1 << 20)) for number in range(12)]
    with execute.pool(2) as run:
        assert values(run(big, tasks)) == tasks


@pytest.mark.parametrize("function", [square, slow_first])
def test_an_interruption_leaves_no_worker(function: Callable[[int], int]) -> None:
    with pytest.raises(KeyboardInterrupt), execute.pool(2) as run:
        for _ in run(function, range(100)):
            assert living()
            raise KeyboardInterrupt
    assert living() == []


def test_workers_start_with_the_first_task() -> None:
    with execute.pool(2):
        assert living() == []


@pytest.mark.parametrize("jobs", [0, -2])
def test_too_few_jobs_are_an_error(jobs: int) -> None:
    with pytest.raises(UsageError, match="--jobs must be at least 1"), execute.open_executor(jobs):
        pass


@pytest.mark.parametrize(
    ("gigabytes", "jobs", "workers"), [(13, 64, 20), (0, 64, 1), (13, 20, 20), (None, 64, 64)]
)
def test_there_are_no_more_workers_than_memory(
    gigabytes: int | None,
    jobs: int,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: None if gigabytes is None else gigabytes * 10**9)
    with execute.open_executor(jobs, contained=True) as executor:
        assert isinstance(executor, Pool) and executor.jobs == workers
    assert ("64 workers need about 40.3 GB of memory" in caplog.text) == (workers < jobs)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_memory_that_is_free_is_what_a_control_group_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (memory.free_bytes() or 0) > 0
    group = tmp_path / "groups" / "a" / "b"
    group.mkdir(parents=True)
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable:    4000000 kB\n")
    for name, value in (("MEMORY", "meminfo"), ("GROUP", "group"), ("GROUPS", "groups")):
        monkeypatch.setattr(memory, name, tmp_path / value)
    assert memory.free_bytes() == 4_000_000 << 10
    (tmp_path / "group").write_text("1:name=systemd:/\n0::/a/b\n")
    for folder, limit in ((group, "max"), (group.parent, "2000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("1500\n")
        (folder / "memory.stat").write_text("anon 7\ninactive_file 100\n")
    assert memory.free_bytes() == 600
    old = tmp_path / "groups" / "memory" / "a"
    old.mkdir(parents=True)
    (tmp_path / "group").write_text("4:cpu,memory:/a\n0::/\n")
    (old / "memory.limit_in_bytes").write_text("900\n")
    (old / "memory.usage_in_bytes").write_text("850\n")
    (old / "memory.stat").write_text("total_inactive_file 25\n")
    assert memory.free_bytes() == 75


def test_there_is_a_core() -> None:
    assert 1 <= execute.cores() <= (os.cpu_count() or 1)
