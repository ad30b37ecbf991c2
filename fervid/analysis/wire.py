"""Spans on other machines: what a worker there must have, what it is sent, and what it sends back.

Files do not travel. A worker that finds another content at the path, or another model by the name, would
give other results, so that it is refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from fervid import model
from fervid.analysis import results, spans
from fervid.errors import FervidError, InputError, ModelError
from fervid.files import shown
from fervid.types import Array, Span, Video
from fervid.video import source

Found = list[tuple[Span, dict[str, Array]]]  # packed results


@dataclass(frozen=True)
class Terms:
    """What a worker must have to take part."""

    device: str
    model: str | None  # its name, or its folder where it came with no fervid; None: no nets
    model_sha256: str = ""
    path: str | None = None  # of the video; None: whatever comes is looked at when it comes
    sha256: str = ""


@dataclass(frozen=True)
class Parcel:
    """The spans of one decoding pass that nobody has done."""

    video: Video
    missing: tuple[Span, ...]
    options: spans.Options
    terms: Terms


def check(terms: Terms) -> None:
    """Refuse to take part where something is missing, or is not what it is elsewhere."""
    host = socket.gethostname()
    try:
        model.check_device(terms.device)
        if terms.model is not None and model.info(terms.model).sha256 != terms.model_sha256:
            raise ModelError(f"the model {terms.model} is another one there: install the same")
        if terms.path is not None and _content(Path(terms.path)) != terms.sha256:
            raise InputError(f"{shown(terms.path)} has another content there: copy it again")
    except FervidError as failure:
        raise type(failure)(f"on {host}: {failure}") from failure


def work(parcel: Parcel) -> Generator[float, None, Found]:
    """Analyse the spans; tells how many ticks are done, and returns the results."""
    found: Found = []
    if not parcel.missing:
        return found
    yield 0.0  # a long file takes its time to be read
    check(parcel.terms)
    name = parcel.terms.model
    options = replace(parcel.options, model=None if name is None else str(model.find(name).resolve()))
    done = 0
    steps = spans.analyze(parcel.video, parcel.missing, options)
    for span in parcel.missing:
        length = spans.length(parcel.video, span)
        for step in steps:
            if step.result is not None:
                found.append((span, results.pack(step.result)))
                break
            yield done + step.share * length
        done += length
    return found


def _content(path: Path) -> str:
    """The SHA-256 of a video or of a folder of stills; one that has not changed is read once."""
    if not path.is_dir():
        source.readable(path)
    files = source.stills(path) if path.is_dir() else [path]
    status = [file.stat() for file in files]
    return _digest(path, tuple((one.st_size, one.st_mtime_ns, one.st_ino) for one in status))


@lru_cache(maxsize=64)
def _digest(path: Path, state: tuple[tuple[int, int, int], ...]) -> str:
    return source.digest_folder(source.stills(path)) if os.path.isdir(path) else source.digest(path)
