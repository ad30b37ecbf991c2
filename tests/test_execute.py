"""Workers: order, failures, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from fervid import execute
from fervid.errors import InputError, UsageError
from fervid.execute import Reached

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


def apart(events: Iterable[object]) -> tuple[dict[int, list[float]], list[object]]:
    """How far each task was told to be, and the results."""
    reached: dict[int, list[float]] = defaultdict(list)
    results: list[object] = []
    for event in events:
        if isinstance(event, Reached):
            reached[event.place].append(event.done)
        else:
            results.append(event)
    return reached, results


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
        assert list(run(slow_first, range(9))) == list(range(9))
        assert list(run(square, iter([5, 6]))) == [25, 36]  # the same workers serve again
        assert list(run(square, [])) == []
        assert list(run(square, [4])) == [16]


def test_workers_are_spawned_and_hold_to_one_thread() -> None:
    with execute.pool(2) as run:
        for kind, pid, threads in run(describe, range(4)):
            assert kind == "SpawnProcess"  # a fork of a process in which torch has run can hang
            assert pid != os.getpid()
            assert threads == "1"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_reaches_the_caller(jobs: int) -> None:
    done = []
    with (
        pytest.raises(InputError, match="three cannot be read; try four"),
        execute.open_executor(jobs) as run,
    ):
        for result in run(refuse_three, range(9)):
            done.append(result)
    assert done == [0, 1, 2]


def test_a_generator_tells_how_far_it_is() -> None:
    with execute.serial() as run:
        events = list(run(count_up, [2, 0, 1]))
    assert events == [Reached(0, 1), Reached(0, 2), 4, 0, Reached(2, 1), 1]
    with execute.pool(2) as run:
        assert list(run(count_up, [2])) == events[:3]  # alone, it runs here


@pytest.mark.parametrize("jobs", [1, 2])
def test_how_far_tasks_are_is_told_while_they_run(tmp_path: Path, jobs: int) -> None:
    folders = [tmp_path / name for name in "abcdefg"]
    for folder in folders:
        folder.mkdir()
    results = []
    with execute.open_executor(jobs) as run:
        for event in run(wait_to_be_seen, folders):
            if not isinstance(event, Reached):
                results.append(event)
            elif event.done == 1:
                (folders[event.place] / "seen").touch()
    assert results == ["seen"] * 7


def test_work_that_a_run_left_behind_tells_the_next_nothing(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    with execute.pool(2) as run:
        events = run(wait_to_be_seen, [tmp_path] * 9)
        assert isinstance(next(events), Reached)
        events.close()  # type: ignore[attr-defined]
        seen.touch()
        reached, results = apart(run(count_up, [0] * 20))
        assert results == [0] * 20
        assert not reached


def test_a_dying_worker_does_not_upset_how_far_tasks_are(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        reached, results = apart(run(die_on_the_way, [(number, tmp_path) for number in range(6)]))
    assert results == list(range(6))
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


def test_what_a_dying_worker_left_is_done_again(tmp_path: Path) -> None:
    with execute.pool(2) as run:
        assert list(run(die_once, [(number, tmp_path) for number in range(6)])) == list(range(6))
    assert (tmp_path / "died").exists()


def test_a_place_at_which_workers_always_die_is_told(tmp_path: Path) -> None:
    done = []
    with pytest.raises(InputError, match="--jobs 1"), execute.pool(2) as run:
        for number in run(die_at_two, [(number, tmp_path) for number in range(6)]):
            done.append(number)
    assert done == [0, 1]
    assert len((tmp_path / "deaths").read_text()) >= 2


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
