"""Tasks that the tests give to workers, which import this module: so it imports little."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from fervid.errors import InputError

Number = tuple[int, Path]  # a task: a number, and a folder of the test
PATIENCE = 120  # seconds to wait for other processes on a busy machine


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


def count_faults(_: int) -> int:
    """Return the number of page faults of using 32 MiB that were freed just before."""
    import resource

    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [b"x" * (8 << 20) for _ in range(4)]
        assert len(blocks) == 4
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def count_up(number: int) -> Iterator[float]:
    yield from range(1, number + 1)
    return number * number


def wait_to_be_seen(folder: Path) -> Iterator[float]:
    """Wait until the caller has seen the first progress, up to a minute."""
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
    """Take longer than the deadline of the test, but report often; the reported number stays the same."""
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
    """Return the tasks that run at the same time; the first attempt of task 3 dies."""
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


def troubled(task: Number) -> Generator[float, None, int]:
    number, folder = task
    yield 1.0
    with (folder / str(number)).open("a") as log:
        log.write("x")
    match number:
        case 1:
            raise InputError("one cannot be read; try two")
        case 2:
            os._exit(3)
        case 3:
            time.sleep(1000)
        case 4:
            raise ZeroDivisionError
    return number


def surroundings(_: int) -> tuple[int, str | None]:
    return os.getppid(), os.environ.get("OMP_NUM_THREADS")


def wait_for_go(task: Number) -> Generator[float, None, int]:
    """Report which Dask worker runs it, and wait for a signal."""
    number, folder = task
    (folder / f"at-{os.getppid()}").touch()
    for step in range(10 * PATIENCE):
        if (folder / "go").exists():
            return number
        yield float(step)
        time.sleep(0.1)
    raise TimeoutError


def first_waits_for_last(task: Number) -> int:
    number, folder = task
    (folder / str(number)).touch()
    until = time.monotonic() + PATIENCE
    while number == 0 and not (folder / "2").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert (folder / "2").exists() or number == 1
    return os.getpid()
