"""Start analyses with the options that commands share, and a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fervid.cli.shared import inputs
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.options import Selection, split_selection
from fervid.errors import UsageError
from fervid.files.urls import LIMIT, Limit

if TYPE_CHECKING:
    from fervid.analysis import Run
    from fervid.cache import Store
    from fervid.execute import Executor
    from fervid.people import Gallery


RESUMES = "repeat the command to resume; until then, the cache keeps data of the faces"


@dataclass(frozen=True)
class AnalysisOptions:
    """The checked options of all analyses of a command."""

    selection: Selection
    model: str | None  # None: no expressions, only faces and landmarks
    device: str
    store: Store
    gallery: Gallery | None
    jobs: int | None
    executor: str
    address: str | None
    limit: Limit  # of each download of a URL

    def open_executor(self, contained: bool = False) -> AbstractContextManager[Executor]:
        """Open the executor; if `contained`, a crash in a decoder ends only a worker."""
        from fervid import execute

        return execute.open_executor(self.jobs, self.executor, self.address, contained)


@dataclass(frozen=True)
class Analyzer:
    """Starts the analyses of a command, which share messages, options and an executor."""

    messages: Messages
    options: AnalysisOptions
    executor: Executor

    @contextmanager
    def start(self, name: str, path: str, crops: bool = False) -> Iterator[Run]:
        """Plan one input, open its run, and show a progress bar during the block."""
        from fervid import analysis

        label, options = inputs.label(name), self.options
        with (
            self.messages.bar(Path(label).name or label) as bar,
            analysis.start(
                path,
                model=options.model,
                settings=options.selection.settings(path),
                rotate=options.selection.rotate,
                frame_rate=options.selection.frame_rate,
                executor=self.executor,
                device=options.device,
                store=options.store,
                crops=crops,
                gallery=options.gallery,
                tick=bar.tick,
            ) as run,
        ):
            bar.begin(run.selected_seconds)
            log.info("%s: %d frames, %.3f s to analyze", label, len(run.video.pts), run.selected_seconds)
            yield run
            tally = run.timeline.tally
            if tally.undecodable:
                log.warning("%s: %d packets could not be decoded and were skipped", label, tally.undecodable)
            if not tally.complete:
                log.warning("%s is incomplete: it ends before its declared end", label)


@contextmanager
def open_analyzer(messages: Messages, values: dict[str, Any]) -> Iterator[Analyzer]:
    """Check the options of a command and open its executor."""
    options = read_options(values)
    with options.open_executor() as executor:
        try:
            yield Analyzer(messages, options, executor)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(RESUMES if options.store.resume else "") from stop


def read_options(values: dict[str, Any]) -> AnalysisOptions:
    """Take the options of an analysis out of a command's parameters and check them before any work.

    `values` are the parameters of the option groups; those of MODEL and PEOPLE may be absent.
    """
    from fervid.execute import limit_threads

    limit_threads()  # before NumPy is imported, which reads the variables once
    from fervid.cache import Store, limit
    from fervid.files import temporary

    limit()
    temporary.sweep()
    selection = split_selection(values)
    selection.check()
    jobs, no_cache, keep_cache = (values.pop(name) for name in ("jobs", "no_cache", "keep_cache"))
    folder = values.pop("gallery", None)
    if folder is not None and not selection.rest.people:
        raise UsageError("--gallery and --no-people cannot be combined: use one of them")
    gallery = open_gallery(folder)
    executor, address = values.pop("executor"), values.pop("dask_address")
    if address is not None and executor != "dask":
        raise UsageError("--dask-address is for a Dask cluster: give --executor dask with it")
    model, device = values.pop("model", None), values.pop("device", "cpu")
    if no_cache and keep_cache:
        raise UsageError("--no-cache and --keep-cache cannot be combined: use one of them")
    if model is not None:
        from fervid.model import info

        log.info("model %s, %s", model, info(model).sha256[:12])
    store = Store.temporary() if no_cache else Store.default(keep=keep_cache)
    limit_of_download = values.pop("max_download") or LIMIT
    return AnalysisOptions(
        selection, model, device, store, gallery, jobs, executor, address, limit_of_download
    )


def open_gallery(folder: str | None) -> Gallery | None:
    """Read the gallery in a folder, and warn of pictures that cannot be used; None without a folder."""
    if folder is None:
        return None
    from fervid.people import read_gallery

    gallery = read_gallery(folder)
    for reason in gallery.unused:
        log.warning("not used: %s", reason)
    return gallery
