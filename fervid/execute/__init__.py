"""Where work runs: here, in worker processes, or on a Dask cluster.

Executors are functions of one signature, and results come in the order of the tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from fervid.errors import UsageError
from fervid.execute.events import Done, Event, Executor, Failed, Reached, results
from fervid.execute.here import cores, serial
from fervid.execute.local import AHEAD, pool

NAMES = ("serial", "local", "dask")


@contextmanager
def open_executor(
    jobs: int | None = None, name: str = "local", address: str | None = None, contained: bool = False
) -> Iterator[Executor]:
    """The executor of a name: "local" with as many workers as asked for (None: one per core); "dask" with
    those of the cluster at an address; "serial".

    One local worker is this process, unless the work is to be contained: then a crash or a decoder that
    hangs ends a process of its own, even where there is one job or one task.
    """
    if name not in NAMES:
        raise UsageError(f"--executor is one of {', '.join(NAMES)}, not {name!r}")
    wanted = jobs if jobs is not None else cores()
    if wanted < 1:
        raise UsageError(f"--jobs should be at least 1, not {wanted}")
    if name == "dask":
        with _cluster(jobs, address) as executor:
            yield executor
        return
    here = name == "serial" or (wanted == 1 and not contained)
    with serial() if here else pool(wanted, contained) as executor:
        yield executor


def _cluster(jobs: int | None, address: str | None) -> AbstractContextManager[Executor]:
    try:
        from fervid.execute.cluster import cluster
    except ImportError as failure:
        raise UsageError(
            "--executor dask needs the library Dask: pip install 'fervid[dask]', here and on each worker"
        ) from failure
    return cluster(jobs, address)
