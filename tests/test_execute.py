"""Workers: order, failures, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from fervid import execute
from fervid.errors import FervidError, InputError, UnexpectedError, UsageError, WorkerError
from fervid.execute import Done, Event, Reached, results

Number = tuple[int, Path]  # what a task is here: a number, and a folder of the test's


def square(number: int) -> int:
    return number * number


def slow_first(number: int) -> int:
    time.sleep(0.3 if number == 0 else 0)
    return number


def refuse_three(number: int) -> int:
    if number == 3:
        raise InputError("three cannot be read; try four")
    return number


def die_once(task: Number) -> int:
    number, folder = task
    if number == 2 and not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(3)
    return number


def die_at_two(task: Number) -> int:
    number, folder = task
    if number == 2:
        with (folder / "deaths").open("a") as log:
            log.write("x")
        os._exit(3)
    return number


def describe(_: int) -> tuple[str, int, str | None]:
    return type(multiprocessing.current_process()).__name__, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def count_up(number: int) -> Iterator[float]:
    yield from range(1, number + 1)
    return number * number


def wait_to_be_seen(folder: Path) -> Iterator[float]:
    """Goes on once the caller knows how far it is, or gives up."""
    yield 1.0
    for _ in range(600):
        if (folder / "seen").exists():
            yield 2.0
            return "seen"
        time.sleep(0.1)
    return "not seen"


def die_on_the_way(task: Number) -> Iterator[float]:
    number, folder = task
    yield 1.0
    if number == 2 and not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(3)
    yield 2.0
    return number


def hang_at_two(task: Number) -> Iterator[float]:
    number, folder = task
    yield 1.0
    if number == 2:
        with (folder / "hung").open("a") as log:
            log.write("x")
        time.sleep(1000)
    return number


def slow_but_sure(number: int) -> Iterator[float]:
    """Longer than the deadline of its test in all, but never silent for long; its number stands still."""
    for _ in range(20):
        time.sleep(0.1)
        yield 1.0
    return number


def stumble(number: int) -> float:
    return 1 / (number - 1)


def vanish(_: int) -> str:
    return Path("/nowhere/at/all").read_text()


def die_at_start(*_: object) -> None:
    os._exit(4)


def share_nothing(_: int) -> Callable[[], None]:
    return lambda: None


def who_else(task: Number) -> list[str]:
    """Who works at the same time; the first attempt of the task in the middle dies."""
    number, folder = task
    sign = folder / f"{number}-{os.getpid()}"
    sign.touch()
    others = [path.name for path in folder.glob("*-*")]
    time.sleep(0.1)
    others += [path.name for path in folder.glob("*-*")]
    if number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        sign.unlink()
        os._exit(3)
    sign.unlink()
    return sorted({name for name in others if name != sign.name})


def own_pid(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def big(task: tuple[int, bytes]) -> tuple[int, bytes]:
    return task


def apart(events: Iterable[Event]) -> tuple[dict[int, list[float]], list[object]]:
    """How far each task was told to be, and the results, which come in the order of the tasks."""
    reached: dict[int, list[float]] = defaultdict(list)
    found: list[object] = []
    for event in events:
        if isinstance(event, Reached):
            reached[event.place].append(event.done)
        else:
            assert event.place == len(found)
            found.append(event.result if isinstance(event, Done) else event.error)
    return reached, found


def values(events: Iterable[Event]) -> list[object]:
    return apart(events)[1]


def living() -> list[int]:
    """The workers that run; one that its pool has just buried may still stand in the list of children."""

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


def test_workers_are_spawned_and_hold_to_one_thread() -> None:
    with execute.pool(2) as run:
        for kind, pid, threads in results(run(describe, range(4))):
            assert kind == "SpawnProcess"  # a fork of a process in which torch has run can hang
            assert pid != os.getpid()
            assert threads == "1"


def test_one_task_runs_here_unless_it_shall_be_contained() -> None:
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
def test_a_failure_takes_its_place_and_stops_no_other(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        *before, failure, after = values(run(refuse_three, range(5)))
    assert [*before, after] == [0, 1, 2, 4]
    assert isinstance(failure, InputError) and str(failure) == "three cannot be read; try four"


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_asks_for_results_alone_meets_the_failure(jobs: int) -> None:
    done = []
    with pytest.raises(InputError, match="three cannot"), execute.open_executor(jobs) as run:
        for result in results(run(refuse_three, range(9))):
            done.append(result)
    assert done == [0, 1, 2]


def test_a_run_that_failed_leaves_the_workers_to_the_next() -> None:
    with execute.pool(2) as run:
        failures = []
        for _ in range(2):  # the error that is kept holds on to all that it passed
            try:
                list(results(run(refuse_three, range(9))))
            except InputError as error:
                failures.append(error)
        assert len(failures) == 2
        assert values(run(square, [1, 2])) == [1, 4]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_mistake_becomes_a_failure_that_keeps_its_traceback(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        first, failure, last = values(run(stumble, range(3)))
    assert (first, last) == (-1, 1)
    assert isinstance(failure, UnexpectedError)
    assert str(failure).startswith("unexpected ZeroDivisionError: division by zero; please report")
    told = "".join(traceback.format_exception(failure))
    assert "in stumble" in told and "return 1 / (number - 1)" in told


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_system_refuses_is_told_in_its_words(jobs: int) -> None:
    with execute.open_executor(jobs) as run:
        for failure in values(run(vanish, [0, 1])):
            assert isinstance(failure, FervidError) and not isinstance(failure, UnexpectedError)
            assert str(failure) == "/nowhere/at/all: No such file or directory"


def test_a_result_that_cannot_travel_is_a_failure() -> None:
    with execute.pool(2) as run:
        assert all(isinstance(failure, UnexpectedError) for failure in values(run(share_nothing, [0, 1])))


# --- how far tasks are


def test_a_generator_tells_how_far_it_is() -> None:
    told: list[Event] = [Reached(0, 1), Reached(0, 2), Done(0, 4), Done(1, 0), Reached(2, 1), Done(2, 1)]
    with execute.serial() as run:
        assert list(run(count_up, [2, 0, 1])) == told
    with execute.pool(2) as run:
        assert list(run(count_up, [2])) == told[:3]  # alone, it runs here


@pytest.mark.parametrize("jobs", [1, 2])
def test_how_far_tasks_are_is_told_while_they_run(tmp_path: Path, jobs: int) -> None:
    folders = [tmp_path / name for name in "abcdefg"]
    for folder in folders:
        folder.mkdir()
    found = []
    with execute.open_executor(jobs) as run:
        for event in run(wait_to_be_seen, folders):
            if isinstance(event, Done):
                found.append(event.result)
            elif isinstance(event, Reached) and event.done == 1:
                (folders[event.place] / "seen").touch()
    assert found == ["seen"] * 7


def test_work_that_a_run_left_behind_tells_the_next_nothing(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        events = run(wait_to_be_seen, [tmp_path] * 9)
        assert isinstance(next(events), Reached)
        with pytest.raises(RuntimeError, match="have a run already"):
            next(run(count_up, [0, 0]))
        events.close()  # type: ignore[attr-defined]
        reached, found = apart(run(count_up, [0] * 20))
        assert found == [0] * 20
        assert not reached


def test_a_dying_worker_does_not_upset_how_far_tasks_are(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        reached, found = apart(run(die_on_the_way, [(number, tmp_path) for number in range(6)]))
    assert found == list(range(6))
    assert (tmp_path / "died").exists()
    assert all(set(told) <= {1.0, 2.0} for told in reached.values())


def test_tasks_are_taken_only_a_little_ahead() -> None:
    taken: list[int] = []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield number

    with execute.pool(2) as run:
        for number, _ in enumerate(run(square, tasks())):
            assert len(taken) <= number + 1 + 2 * execute.AHEAD


# --- workers that die or hang


def test_what_a_dying_worker_left_is_done_again(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        assert values(run(die_once, [(number, tmp_path) for number in range(6)])) == list(range(6))
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_place_at_which_workers_always_die_fails_alone(tmp_path: Path, jobs: int) -> None:
    with execute.open_executor(jobs, contained=True) as run:
        first, second, failure, *rest = values(run(die_at_two, [(number, tmp_path) for number in range(6)]))
    assert [first, second, *rest] == [0, 1, 3, 4, 5]
    assert isinstance(failure, WorkerError) and "died twice" in str(failure) and "exit code 3" in str(failure)
    assert (tmp_path / "deaths").read_text() == "xx"


def test_a_task_alone_is_contained_too(tmp_path: Path) -> None:
    with execute.open_executor(2, contained=True) as run:
        (failure,) = values(run(die_at_two, [(2, tmp_path)]))
    assert isinstance(failure, WorkerError)


def test_the_second_attempt_has_the_machine_for_itself(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        others = values(run(who_else, [(number, tmp_path) for number in range(9)]))
    assert (tmp_path / "died").exists()
    assert others[3] == []


@pytest.mark.skipif(sys.platform != "linux", reason="kills by its own means")
def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        pids: set[object] = set()
        for pid in results(run(own_pid, range(20))):
            if not pids:
                os.kill(pid, signal.SIGKILL)
            pids.add(pid)
    assert len(pids) == 3


def test_a_task_that_hangs_meets_its_deadline_and_the_others_do_not_wait_for_it(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        found = values(run(hang_at_two, [(number, tmp_path) for number in range(5)], deadline=1.5))
    failure = found.pop(2)
    assert found == [0, 1, 3, 4]
    assert isinstance(failure, WorkerError) and "stood still twice" in str(failure)
    assert (tmp_path / "hung").read_text() == "xx"


def test_a_slow_task_that_shows_life_may_take_its_time() -> None:
    with execute.pool(2) as run:
        assert values(run(slow_but_sure, [7, 8], deadline=1.8)) == [7, 8]


def test_workers_that_cannot_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fervid.execute.local.serve", die_at_start)
    with pytest.raises(WorkerError, match="cannot start"), execute.pool(2) as run:
        list(run(square, range(9)))


def test_tasks_larger_than_a_pipe_do_not_block(tmp_path: Path) -> None:
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
def test_too_few_jobs_are_refused(jobs: int) -> None:
    with pytest.raises(UsageError, match="--jobs should be at least 1"), execute.open_executor(jobs):
        pass


def test_there_is_a_core() -> None:
    assert 1 <= execute.cores() <= (os.cpu_count() or 1)
