"""A worker process: reads tasks from a pipe, reports progress in shared memory, and sends results back."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from fervid.execute import serial
from fervid.execute.events import Done, Failed, Progress, failure_of
from fervid.process import collect_less_often, skip_last_collections

INDEX, DONE, BEATS = range(3)  # of a worker's slot: its task, the task's progress, the number of reports
STARTING, IDLE = -2.0, -1.0  # instead of an index: before the first task, and between tasks
PREFIX = 8  # bytes of the index before a pickled task
# Of 1000: when memory runs out, the system kills a worker, not its parent; the task runs again.
OOM_SCORE = "500"


def serve(connection: Connection, slot: Any, folder: str) -> None:
    """Run tasks until the pipe closes; their temporary files go into `folder`, which the parent deletes."""
    _prepare()
    tempfile.tempdir = folder
    slot[INDEX] = IDLE
    while True:
        try:
            order = connection.recv_bytes()
            connection.send_bytes(_answer(int.from_bytes(order[:PREFIX], "little"), order[PREFIX:], slot))
        except (EOFError, OSError):  # the parent has closed it or ended
            break
    skip_last_collections()


def _answer(index: int, body: bytes, slot: Any) -> bytes:
    """Run a task and return its progress and its end, pickled."""
    done, end = 0.0, None
    try:
        function, task = pickle.loads(body)
        slot[DONE] = slot[BEATS] = 0
        slot[INDEX] = index  # last: the deadline counts from here
        for event in serial.run(function, index, task):
            if isinstance(event, Progress):
                done = slot[DONE] = event.done
                slot[BEATS] += 1
            else:
                end = event
        del event
        assert end is not None
        return pickle.dumps((done, _portable(end)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # a task or a result that cannot be pickled
        return pickle.dumps((done, _portable(Failed(index, failure_of(error)))), pickle.HIGHEST_PROTOCOL)
    finally:
        slot[INDEX] = IDLE


def _portable(end: Done | Failed) -> Done | Failed:
    """Add the traceback to a failure as a note: pickle drops causes and tracebacks, and keeps notes."""
    if isinstance(end, Failed):
        error = end.error
        error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)).rstrip())
    return end


def _prepare() -> None:
    """Prepare a worker: the parent handles Ctrl-C, and the worker ends with its parent."""
    collect_less_often()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the inherited handler
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(OOM_SCORE)
        except OSError:  # not permitted
            pass
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent cannot stop its workers
