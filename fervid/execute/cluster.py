"""A Dask cluster: whoever answers at an address. Results travel; files do not.

A Dask worker hands each task to a process of its own, as `local` does: what kills or blocks that process
touches neither the worker nor its other tasks, and its libraries run on one thread whatever the worker does.
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
from fervid.execute.events import Done, Event, Executor, Failed, Function, Reached, failure_of
from fervid.execute.here import SURROUNDINGS, cores
from fervid.execute.local import LOOK_EVERY, Pool

AHEAD = 2  # tasks on their way, per thread of the cluster
CONNECT_WITHIN = 10.0  # seconds for the scheduler to answer
COME_WITHIN = 60.0  # seconds for the first worker to come
COUNT_EVERY = 2.0  # seconds between two looks at who takes part
GONE_FOR = 300.0  # seconds without any worker, until the run ends
TELL_EVERY = 1.0  # seconds between two words of a worker on how far it is
IDLE_FOR = 60.0  # seconds that a worker keeps a process without work: it holds models in memory
SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
STARTED = ("--dask-address names a Dask scheduler that runs", "see docs/cluster.md")


@contextmanager
def cluster(jobs: int | None = None, address: str | None = None) -> Iterator[Executor]:
    """The cluster at an address (`tcp://…`, `tls://…`, or a scheduler's .json file), or one of this process.

    Without an address Dask's own setting `scheduler-address` is taken; without that, a small cluster lives
    in this process, with `jobs` threads.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado"):  # they tell in tracebacks what is told here
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if address is not None and jobs is not None:
        raise UsageError("--jobs is for workers here: a Dask cluster has those that were started for it")
    address = address or dask.config.get("scheduler-address", None)
    if address is None:
        threads = jobs if jobs is not None else cores()
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=threads,
                processes=False,
                dashboard_address=None,
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
        raise UsageError(f"there is no scheduler file {address}: {STARTED[0]}, {STARTED[1]}")
    if isinstance(address, str) and not is_file:
        _check_address(address)
    where: dict[str, Any] = {"scheduler_file": address} if is_file else {"address": address}
    try:
        return Client(**where, timeout=CONNECT_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError) as failure:  # TimeoutError is an OSError
        raise UsageError(
            f"no Dask scheduler answers at {address}: {failure}; {STARTED[0]}, {STARTED[1]}"
        ) from failure


def _check_address(address: str) -> None:
    """Refuse what a client could not even begin with: it would leave its own mess behind."""
    scheme, is_given, _ = address.partition("://")
    if is_given and scheme not in SCHEMES:
        raise UsageError(f"--dask-address begins with tcp:// or tls://, and not with {scheme}://")
    if scheme == "tls" and Security().get_connection_args("client").get("ssl_context") is None:
        raise UsageError(
            "--dask-address tls:// needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE "
            "and its like, see docs/cluster.md"
        )


@dataclass(frozen=True)
class Order:
    """A task on the wire."""

    version: str
    topic: str  # under which to tell how far it is
    place: int
    body: bytes  # the function and the task, to be read by the process that does the work
    deadline: float | None


@dataclass(eq=False)
class _Sent:
    place: int
    future: Future[Any]
    told: float = 0.0


class Cluster:
    """Runs tasks wherever a worker is free."""

    is_remote = True

    def __init__(self, client: Client) -> None:
        self._client = client
        self._scheduler: str = client.scheduler.address
        try:
            client.wait_for_workers(1, timeout=COME_WITHIN)
        except TimeoutError as failure:
            raise UsageError(
                f"the Dask scheduler at {self._scheduler} has no workers: start some with "
                f"`dask worker {self._scheduler}`, see docs/cluster.md"
            ) from failure
        self._check_versions()

    def check(self, function: Function, argument: Any) -> None:
        """Call `function(argument)` on each worker, and refuse those that cannot take part."""
        found = self._ask(_checked, (function, argument))
        self._refuse({name: str(one) for name, one in found.items() if one is not None})

    def _check_versions(self) -> None:
        troubles = {}
        # A function of the standard library: one of ours would end a worker that has none.
        for name, found in self._ask(resolve_name, "fervid:__version__").items():
            if isinstance(found, Exception):
                troubles[name] = "it has no fervid: install it in the Python that runs this worker"
            elif found != __version__:
                troubles[name] = f"it has fervid {found}, and this is {__version__}"
        self._refuse(troubles)

    def _ask(self, function: Function, argument: Any) -> dict[str, Any]:
        """What each worker answers, or the exception that came instead."""
        futures = {
            name: self._client.submit(
                function, argument, workers=[name], allow_other_workers=False, pure=False
            )
            for name in self._threads()
        }
        found = {}
        for name, future in futures.items():
            while not future.done():
                time.sleep(LOOK_EVERY / 4)
                if name not in self._threads():
                    break  # it left, and takes no part
            else:
                found[name] = future.result() if future.status == "finished" else future.exception()
        return found

    def _refuse(self, troubles: Mapping[str, str]) -> None:
        if troubles:
            told = "; ".join(f"{name}: {trouble}" for name, trouble in sorted(troubles.items()))
            raise UsageError(
                f"{len(troubles)} of {len(self._threads())} Dask workers cannot take part, so that nothing "
                f"was begun. {told}. Mend or stop them"
            )

    def _threads(self) -> dict[str, int]:
        """Each worker's number of threads."""
        found: dict[str, int] = self._client.nthreads()
        return found

    def __call__(
        self, function: Function, tasks: Iterable[Any], deadline: float | None = None
    ) -> Generator[Event]:
        run = _Run(self._client, self._scheduler, function, tasks, deadline)
        try:
            yield from run.events()
        finally:
            run.close()


class _Run:
    """One run over tasks."""

    def __init__(
        self, client: Client, scheduler: str, function: Function, tasks: Iterable[Any], deadline: float | None
    ) -> None:
        self._client, self._scheduler = client, scheduler
        self._function, self._source, self._deadline = function, enumerate(tasks), deadline
        self._topic = f"fervid-{uuid.uuid4().hex}"
        self._waiting: deque[_Sent] = deque()
        self._heard: deque[tuple[int, float]] = deque()  # from the client's own thread
        self._news = threading.Event()
        self._room = 0
        self._counted = self._seen = time.monotonic()
        client.subscribe_topic(self._topic, self._hear)
        self._count()

    def events(self) -> Iterator[Event]:
        while True:
            self._send()
            if not self._waiting:
                return
            yield from self._told()
            if self._waiting[0].future.done():
                yield self._end(self._waiting.popleft())
                continue
            self._news.wait(LOOK_EVERY)
            self._news.clear()
            if time.monotonic() - self._counted > COUNT_EVERY:
                self._count()

    def close(self) -> None:
        """Take back what is not done."""
        if self._client.status == "running":
            self._client.cancel([sent.future for sent in self._waiting])
            self._client.unsubscribe_topic(self._topic)

    def _count(self) -> None:
        """How many tasks may be on their way: workers come and go."""
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, CancelledError) as failure:
            raise self._lost() from failure
        self._counted = now = time.monotonic()
        self._room = AHEAD * max(1, threads)
        if threads:
            self._seen = now
        elif now - self._seen > GONE_FOR:
            raise WorkerError(
                f"the Dask scheduler at {self._scheduler} has had no worker for {GONE_FOR:g} s; start some, "
                "and the same command goes on with what is done"
            )

    def _lost(self) -> FervidError:
        return WorkerError(
            f"the Dask scheduler at {self._scheduler} has gone; start it and its workers again, and the same "
            "command goes on with what is done"
        )

    def _send(self) -> None:
        for place, task in islice(self._source, max(0, self._room - len(self._waiting))):
            body = pickle.dumps((self._function, task), pickle.HIGHEST_PROTOCOL)
            order = Order(__version__, self._topic, place, body, self._deadline)
            future = self._client.submit(work, order, key=f"{self._topic}-{place}", pure=False)
            future.add_done_callback(lambda _: self._news.set())
            self._waiting.append(_Sent(place, future))

    def _hear(self, event: tuple[float, Any]) -> None:
        place, done = event[1]
        self._heard.append((int(place), float(done)))
        self._news.set()

    def _told(self) -> Iterator[Reached]:
        """How far tasks have come that have not ended here."""
        by_place = {sent.place: sent for sent in self._waiting}
        while self._heard:
            place, done = self._heard.popleft()
            sent = by_place.get(place)
            if sent is not None and done > sent.told:
                sent.told = done
                yield Reached(place, done)

    def _end(self, sent: _Sent) -> Done | Failed:
        if sent.future.status == "finished":
            end: Done | Failed = pickle.loads(sent.future.result())
            return end
        if sent.future.status != "error":  # cancelled, lost
            raise self._lost()
        error = sent.future.exception()
        if isinstance(error, KilledWorker):
            return Failed(
                sent.place, WorkerError(f"Dask workers die at a task, one after the other: {error}")
            )
        return Failed(sent.place, failure_of(error))


# --- in a Dask worker


def _checked(question: tuple[Function, Any]) -> FervidError | None:
    function, argument = question
    try:
        function(argument)
    except FervidError as error:
        return error
    return None


def work(order: Order) -> bytes:
    """One task, in a process that this worker keeps for such; how it ended, pickled."""
    if order.version != __version__:  # one that came late
        where = socket.gethostname()
        error = UsageError(f"a Dask worker on {where} has fervid {__version__}, not {order.version}: stop it")
        return pickle.dumps(Failed(order.place, error))
    worker, key, told = get_worker(), thread_state.key, time.monotonic()
    with _borrowed() as pool, closing(pool(_call, [_Packed(order.body)], order.deadline)) as events:
        for event in events:
            if isinstance(event, Done):
                return pickle.dumps(Done(order.place, event.result), pickle.HIGHEST_PROTOCOL)
            if isinstance(event, Failed):
                return pickle.dumps(Failed(order.place, event.error), pickle.HIGHEST_PROTOCOL)
            now = time.monotonic()
            if now - told > TELL_EVERY:
                told = now
                worker.log_event(order.topic, [order.place, event.done])
                task = worker.state.tasks.get(key)
                if task is None or task.state == "cancelled":  # nobody waits for it any more
                    break
    raise CancelledError


class _Packed:
    """A function and its task, which become themselves where they are read: in the process they are for."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._body,)


def _call(pair: tuple[Function, Any]) -> Generator[float, None, Any]:
    function, task = pair
    answer = function(task)
    if isinstance(answer, Generator):
        answer = yield from answer
    return answer


_idle: list[tuple[Pool, float]] = []  # processes without work, and since when
_lock = threading.Lock()


@contextmanager
def _borrowed() -> Iterator[Pool]:
    """A process for one task; it is kept for the next, and let go when none comes."""
    with _lock:
        pool = _idle.pop()[0] if _idle else None
    if pool is None:
        os.environ.update(SURROUNDINGS)  # which the process inherits
        # A nanny's worker is a daemon, which multiprocessing allows no children lest they outlive it. Ours
        # do not: they watch it, and leave when it does.
        multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
        pool = Pool(1, contained=True)
    try:
        yield pool
    finally:
        with _lock:
            _idle.append((pool, time.monotonic()))
        timer = threading.Timer(IDLE_FOR + 1, _dismiss)
        timer.daemon = True
        timer.start()


def _dismiss() -> None:
    with _lock:
        late = [one for one in _idle if time.monotonic() - one[1] > IDLE_FOR]
        _idle[:] = [one for one in _idle if one not in late]
    for pool, _ in late:
        pool.stop()
