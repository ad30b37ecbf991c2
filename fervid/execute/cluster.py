"""A Dask cluster. Results are sent back; files are not sent.

A Dask worker runs each task in a process of its own, as `local` does. If that process dies or hangs, the
worker and its other tasks continue. Libraries in the process use one thread, however the worker is set up.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pkgutil import resolve_name
from typing import Any

import dask.config
from distributed import Client, Future, KilledWorker, LocalCluster, Security, get_worker
from distributed.worker import thread_state

from fervid import __version__
from fervid.errors import FervidError, UsageError, WorkerError
from fervid.execute.events import Done, Event, Executor, Failed, Function, Progress, failure_of
from fervid.execute.local import POLL_EVERY, Pool
from fervid.execute.memory import worker_count
from fervid.execute.serial import limit_threads

AHEAD = 2  # submitted tasks per thread of the cluster
CONNECT_WITHIN = 10.0  # seconds for the scheduler to answer
WORKER_WITHIN = 60.0  # seconds to wait for the first worker
COUNT_EVERY = 2.0  # seconds between two counts of workers
GONE_FOR = 300.0  # seconds without any worker, after which the run fails
REPORT_EVERY = 1.0  # seconds between two reports of a worker's progress
IDLE_FOR = 60.0  # seconds that a worker keeps an idle process, which has models in memory
LOOPBACK = "127.0.0.1:0"
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
ADVICE = "--dask-address must name a running Dask scheduler, see docs/cluster.md"


@contextmanager
def cluster(jobs: int | None = None, address: str | None = None) -> Iterator[Executor]:
    """Connect to the cluster at an address (`tcp://…`, `tls://…`, or a scheduler's .json file).

    The default address is Dask's own setting `scheduler-address`. Without one, a small cluster with `jobs`
    threads runs in this process.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in (
            "distributed",
            "tornado",
        ):  # they log tracebacks of errors that fervid reports
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if address is not None and jobs is not None:
        raise UsageError(
            "--jobs does not apply to a Dask cluster: it has the workers that were started for it"
        )
    address = address or dask.config.get("scheduler-address", None)
    if address is None:
        threads = worker_count(jobs)
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=threads,
                processes=False,
                # Dask's HTTP servers run also without a dashboard; by default they listen on all addresses.
                dashboard_address=LOOPBACK,
                worker_dashboard_address=LOOPBACK,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
            ) as own,
            closing(_connect(own)) as client,
        ):
            yield Cluster(client)
        return
    with closing(_connect(address)) as client:
        yield Cluster(client)


def _connect(address: Any) -> Client:
    is_file = isinstance(address, str) and address.endswith(".json")
    if is_file and not os.path.isfile(address):
        raise UsageError(f"there is no scheduler file {address}: {ADVICE}")
    if isinstance(address, str) and not is_file:
        _check_address(address)
    where: dict[str, Any] = {"scheduler_file": address} if is_file else {"address": address}
    try:
        return Client(**where, timeout=CONNECT_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError) as failure:  # TimeoutError is an OSError
        raise UsageError(f"no Dask scheduler answers at {address}: {failure}; {ADVICE}") from failure


def _check_address(address: str) -> None:
    """Raise UsageError for an address with which a client would fail and log its own errors."""
    scheme, is_given, _ = address.partition("://")
    if is_given and scheme not in SCHEMES:
        raise UsageError(f"--dask-address must begin with tcp:// or tls://, not {scheme}://")
    if scheme == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
        raise UsageError(
            "--dask-address tls:// needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE "
            "and similar settings, see docs/cluster.md"
        )


@dataclass(frozen=True)
class Order:
    """A task as it is sent to a Dask worker."""

    version: str
    topic: str  # for reports of progress
    index: int
    body: bytes  # the pickled function and task, unpickled by the process that runs it
    deadline: float | None


@dataclass(eq=False)
class _Sent:
    index: int
    future: Future[Any]
    reached: float = 0.0


class Cluster:
    """Runs tasks on the workers of a Dask cluster."""

    has_workers = True
    is_remote = True
    jobs = 0

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scheduler: str = client.scheduler.address
        try:
            client.wait_for_workers(1, timeout=WORKER_WITHIN)
        except TimeoutError as failure:
            raise UsageError(
                f"the Dask scheduler at {self._scheduler} has no workers: start some with "
                f"`dask worker {self._scheduler}`, see docs/cluster.md"
            ) from failure
        self._check_versions()

    def check(self, function: Function, argument: Any) -> None:
        """Call `function(argument)` on each worker; raise UsageError if any call raises."""
        errors = self._ask(_checked, (function, argument))
        self._raise({name: str(error) for name, error in errors.items() if error is not None})

    def _check_versions(self) -> None:
        errors = {}
        # A function of the standard library: a worker without fervid cannot load one of fervid's.
        for name, version in self._ask(resolve_name, "fervid:__version__").items():
            if isinstance(version, Exception):
                errors[name] = "it has no fervid: install it in the Python that runs this worker"
            elif version != __version__:
                errors[name] = f"it has fervid {version}, and this is {__version__}"
        self._raise(errors)

    def _ask(self, function: Function, argument: Any) -> dict[str, Any]:
        """Return the result of each worker, or its exception."""
        futures = {
            name: self._client.submit(
                function, argument, workers=[name], allow_other_workers=False, pure=False
            )
            for name in self._threads()
        }
        answers = {}
        for name, future in futures.items():
            while not future.done():
                time.sleep(POLL_EVERY / 4)
                if name not in self._threads():
                    break  # it has left the cluster
            else:
                answers[name] = future.result() if future.status == "finished" else future.exception()
        return answers

    def _raise(self, errors: Mapping[str, str]) -> None:
        if errors:
            messages = "; ".join(f"{name}: {error}" for name, error in sorted(errors.items()))
            raise UsageError(
                f"{len(errors)} of {len(self._threads())} Dask workers cannot be used, so nothing was "
                f"started. {messages}. Fix or stop them"
            )

    def _threads(self) -> dict[str, int]:
        """Return the number of threads of each worker."""
        threads: dict[str, int] = self._client.nthreads()
        return threads

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]:
        run = _Run(self._client, self._scheduler, function, tasks, deadline)
        try:
            yield from run.events()
        finally:
            run.close()


class _Run:
    """One run of a function over tasks."""

    def __init__(
        self, client: Client, scheduler: str, function: Function, tasks: Iterable[Any], deadline: float | None
    ) -> None:
        self._client, self._scheduler = client, scheduler
        self._function, self._source, self._deadline = function, enumerate(tasks), deadline
        self._topic = f"fervid-{uuid.uuid4().hex}"
        self._waiting: deque[_Sent] = deque()
        self._reports: deque[tuple[int, float]] = deque()  # filled by the client's own thread
        self._wakeup = threading.Event()
        self._capacity = 0
        self._counted = self._seen = time.monotonic()
        client.subscribe_topic(self._topic, self._receive)
        self._count()

    def events(self) -> Iterator[Event]:
        while True:
            self._send()
            if not self._waiting:
                return
            yield from self._progress()
            if self._waiting[0].future.done():
                yield self._end(self._waiting.popleft())
                continue
            self._wakeup.wait(POLL_EVERY)
            self._wakeup.clear()
            if time.monotonic() - self._counted > COUNT_EVERY:
                self._count()

    def close(self) -> None:
        """Cancel unfinished tasks."""
        if self._client.status == "running":
            self._client.cancel([sent.future for sent in self._waiting])
            self._client.unsubscribe_topic(self._topic)

    def _count(self) -> None:
        """Update the number of tasks to submit: workers come and go."""
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, CancelledError) as failure:
            raise self._lost() from failure
        self._counted = now = time.monotonic()
        self._capacity = AHEAD * max(1, threads)
        if threads:
            self._seen = now
        elif now - self._seen > GONE_FOR:
            raise WorkerError(
                f"the Dask scheduler at {self._scheduler} has had no worker for {GONE_FOR:g} s; start some "
                "and run the same command again: it resumes from here"
            )

    def _lost(self) -> FervidError:
        return WorkerError(
            f"the Dask scheduler at {self._scheduler} does not answer any more; start it and its workers "
            "again, and run the same command: it resumes from here"
        )

    def _send(self) -> None:
        for index, task in islice(self._source, max(0, self._capacity - len(self._waiting))):
            body = pickle.dumps((self._function, task), pickle.HIGHEST_PROTOCOL)
            order = Order(__version__, self._topic, index, body, self._deadline)
            future = self._client.submit(work, order, key=f"{self._topic}-{index}", pure=False)
            future.add_done_callback(lambda _: self._wakeup.set())
            self._waiting.append(_Sent(index, future))

    def _receive(self, event: tuple[float, Any]) -> None:
        index, done = event[1]
        self._reports.append((int(index), float(done)))
        self._wakeup.set()

    def _progress(self) -> Iterator[Progress]:
        """Yield the progress of unfinished tasks."""
        by_index = {sent.index: sent for sent in self._waiting}
        while self._reports:
            index, done = self._reports.popleft()
            sent = by_index.get(index)
            if sent is not None and done > sent.reached:
                sent.reached = done
                yield Progress(index, done)

    def _end(self, sent: _Sent) -> Done | Failed:
        if sent.future.status == "finished":
            end: Done | Failed | FervidError = pickle.loads(sent.future.result())
            if isinstance(end, FervidError):  # this worker cannot do any task
                raise end
            return end
        if sent.future.status != "error":  # cancelled, lost
            raise self._lost()
        error = sent.future.exception()
        if isinstance(error, KilledWorker):
            return Failed(sent.index, WorkerError(f"several Dask workers died at the same task: {error}"))
        return Failed(sent.index, failure_of(error))


# --- in a Dask worker


def _checked(question: tuple[Function, Any]) -> FervidError | None:
    function, argument = question
    try:
        function(argument)
    except FervidError as error:
        return error
    return None


def work(order: Order) -> bytes:
    """Run a task in a process of this worker; return its end, pickled, or the error that ends the run."""
    if order.version != __version__:  # a worker that joined after the check
        where = socket.gethostname()
        error = UsageError(f"a Dask worker on {where} has fervid {__version__}, not {order.version}: stop it")
        return pickle.dumps(error)
    worker, key, reported = get_worker(), thread_state.key, time.monotonic()
    with _borrowed() as pool, closing(pool(_call, [_Packed(order.body)], order.deadline)) as events:
        for event in events:
            if isinstance(event, Done):
                return pickle.dumps(Done(order.index, event.result), pickle.HIGHEST_PROTOCOL)
            if isinstance(event, Failed):
                return pickle.dumps(Failed(order.index, event.error), pickle.HIGHEST_PROTOCOL)
            now = time.monotonic()
            if now - reported > REPORT_EVERY:
                reported = now
                worker.log_event(order.topic, [order.index, event.done])
                task = worker.state.tasks.get(key)
                if task is None or task.state == "cancelled":  # the client has gone or cancelled it
                    break
    raise CancelledError


class _Packed:
    """A function and its task, which are unpickled only by the process that runs them."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._body,)


def _call(pair: tuple[Function, Any]) -> Any:
    function, task = pair
    return function(task)


_idle: list[tuple[Pool, float]] = []  # idle processes, and since when
_lock = threading.Lock()


@contextmanager
def _borrowed() -> Iterator[Pool]:
    """Open a process for one task; it is kept for the next task, and ended if none comes."""
    with _lock:
        pool = _idle.pop()[0] if _idle else None
    if pool is None:
        limit_threads()  # inherited by the process
        # A nanny's worker is a daemon, and multiprocessing forbids daemons to have children, which could
        # outlive them. fervid's do not: they end with their parent.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        pool = Pool(1, contained=True)
    try:
        yield pool
    finally:
        with _lock:
            _idle.append((pool, time.monotonic()))
        timer = threading.Timer(IDLE_FOR + 1, _end_idle)
        timer.daemon = True
        timer.start()


def _end_idle() -> None:
    with _lock:
        late = [entry for entry in _idle if time.monotonic() - entry[1] > IDLE_FOR]
        _idle[:] = [entry for entry in _idle if entry not in late]
    for pool, _ in late:
        pool.stop()
