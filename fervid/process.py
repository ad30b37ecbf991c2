"""Settings of a process: when it collects garbage, and how many threads torch uses."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Between two collections; Python's default is 700 to 2,000. Importing torch makes 160,000 objects that stay.
# By default they are scanned several times during the import, and again at exit: together, this takes half as
# long as the import itself.
NEW_OBJECTS = 10_000


def collect_less_often() -> None:
    """Collect garbage less often, from now on."""
    gc.set_threshold(NEW_OBJECTS)


def skip_last_collections() -> None:
    """Exempt everything from the collections at the end of the process, which frees all memory anyway."""
    gc.freeze()


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread inside the block, and the former number after it.

    fervid uses processes, and scores must not depend on the number of cores.
    """
    import torch  # help must not load it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
