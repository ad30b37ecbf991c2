"""What a worker process does: reads tasks from a pipe, tells how far it is, and answers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from fervid.execute import here
from fervid.execute.events import Done, Failed, Reached, failure_of

PLACE, DONE, BEATS = range(3)  # of a worker's slot: the task under way, how far it is, how often it told
STARTING, IDLE = -2.0, -1.0  # in place of a place: before the first task, and between two
PREFIX = 8  # bytes before a task that hold its place
SPARED = "500"  # of 1000: where memory ends, the system shall end a worker, whose task is done again


def serve(connection: Connection, slot: Any) -> None:
    """Work until the pipe closes."""
    _begin()
    slot[PLACE] = IDLE
    while True:
        try:
            order = connection.recv_bytes()
            connection.send_bytes(_answer(int.from_bytes(order[:PREFIX], "little"), order[PREFIX:], slot))
        except (EOFError, OSError):  # nobody is left who wants it
            return


def _answer(place: int, body: bytes, slot: Any) -> bytes:
    """How far a task came, and how it ended, pickled."""
    done, end = 0.0, None
    try:
        function, task = pickle.loads(body)
        slot[DONE] = slot[BEATS] = 0
        slot[PLACE] = place  # last: from here on the deadline counts
        for event in here.run(function, place, task):
            if isinstance(event, Reached):
                done = slot[DONE] = event.done
                slot[BEATS] += 1
            else:
                end = event
        del event
        assert end is not None
        return pickle.dumps((done, _portable(end)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # a task that cannot be read here, or a result that cannot be sent
        return pickle.dumps((done, _portable(Failed(place, failure_of(error)))), pickle.HIGHEST_PROTOCOL)
    finally:
        slot[PLACE] = IDLE


def _portable(end: Done | Failed) -> Done | Failed:
    """A failure that says where it came from: causes and tracebacks do not travel, notes do."""
    if isinstance(end, Failed):
        error = end.error
        error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)).rstrip())
    return end


def _begin() -> None:
    """Prepare a worker: the terminal's Ctrl-C is the parent's affair, and so is the worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever handler was inherited must not answer it
    if sys.platform.startswith("linux"):
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(SPARED)
        except OSError:  # no such wish is heard here
            pass
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # a killed parent cannot ask anyone to stop
