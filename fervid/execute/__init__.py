"""Executors: run tasks in this process, in worker processes or on a Dask cluster.

All have the same signature, and results come in the order of the tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from fervid.errors import UsageError
from fervid.execute.events import Done, Event, Executor, Failed, Progress, results
from fervid.execute.local import AHEAD, pool
from fervid.execute.memory import worker_count
from fervid.execute.serial import cores, limit_threads, serial, trim_memory

NAMES = ("serial", "local", "dask")


@contextmanager
def open_executor(
    jobs: int | None = None, name: str = "local", address: str | None = None, contained: bool = False
) -> Iterator[Executor]:
    """Open an executor: "serial", "local" with `jobs` workers (None: one per core), or "dask".

    There are fewer workers if memory is short. With one job, "local" runs tasks in this
    process. If `contained`, even one task runs in a worker process, so that a crash or a decoder that hangs
    does not end this process.
    """
    if name not in NAMES:
        raise UsageError(f"--executor {name!r} is not valid: choose one of {', '.join(NAMES)}")
    if jobs is not None and jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {jobs}")
    if name == "dask":
        with _cluster(jobs, address) as executor:
            yield executor
        return
    workers = 1 if name == "serial" else worker_count(jobs)
    here = name == "serial" or (workers == 1 and not contained)
    with serial() if here else pool(workers, contained) as executor:
        yield executor


def _cluster(jobs: int | None, address: str | None) -> AbstractContextManager[Executor]:
    try:
        from fervid.execute.cluster import cluster
    except ImportError as failure:
        raise UsageError(
            "--executor dask needs Dask: pip install 'fervid[dask]', here and on each worker"
        ) from failure
    return cluster(jobs, address)
