"""The task of a worker: analyze some spans that follow one another.

A worker on this machine writes the results into the store. A worker on another machine returns them. It reads
the video and the model from its own disk, so it first checks that they have the same content as here.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fervid import cache, execute, model
from fervid.analysis import results, spans
from fervid.analysis.results import Span
from fervid.analysis.spans import Options
from fervid.errors import FervidError, InputError, ModelError
from fervid.files import display_name
from fervid.types import Array, ModelInfo, Video
from fervid.video import source

Sent = list[tuple[Span, dict[str, Array]]]  # packed results


@dataclass(frozen=True)
class Terms:
    """The requirements for a worker on another machine: the device, the model and the video."""

    device: str
    model: str | None  # portable name; None: no nets
    model_sha256: str = ""
    path: str | None = None  # of the video; None: check each video with its task
    sha256: str = ""


@dataclass(frozen=True)
class Task:
    """Some spans that follow one another, to be sent to a worker."""

    video: Video  # with only the frames that these spans need
    spans: tuple[Span, ...]
    options: Options
    paths: Mapping[Span, Path]  # of the results in the store; a result without a path is returned
    terms: Terms | None = None  # for a worker on another machine


def key(video: Video, options: Options, info: ModelInfo | None) -> str:
    """Return a hash of everything that the result of a span depends on, except its range."""
    # The range is in the file name. Segments are decided after the spans.
    settings = replace(options.settings, start=None, end=None, min_segment=0.0)
    facts = {
        "version": cache.VERSION,
        "video": video.sha256,
        "rotate": video.rotate,
        "rate": str(video.rate),
        "settings": settings.as_json(),
        "model": None if info is None else info.sha256,
        "device": options.device,
        "crops": options.crops,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def check(terms: Terms) -> None:
    """Raise an error if this machine does not meet the terms."""
    host = socket.gethostname()
    try:
        model.check_device(terms.device)
        if terms.model is not None and model.info(terms.model).sha256 != terms.model_sha256:
            raise ModelError(
                f"the model {terms.model} differs from the one on this machine: install the same"
            )
        if terms.path is not None and source.content_hash(Path(terms.path)) != terms.sha256:
            raise InputError(
                f"{display_name(terms.path)} differs from the file on this machine: copy it again"
            )
    except FervidError as failure:
        raise type(failure)(f"on {host}: {failure}") from failure


def work(task: Task) -> Generator[float, None, Sent]:
    """Analyze the spans that have no result yet, yield the number of ticks done, and return the results.

    A result with a path is in the store before the last ticks of its span are yielded, unless the folder was
    deleted meanwhile: then the reader analyzes the span again.
    """
    if task.spans and task.terms is not None:
        yield 0.0  # hashing a long file takes time
        check(task.terms)
    missing = [s for s in task.spans if s not in task.paths or cache.read(task.paths[s]) is None]
    steps = spans.analyze(task.video, missing, task.options) if missing else iter(())
    done, sent = 0, Sent()
    for span in task.spans:
        length, before = spans.length(task.video, span), done
        if span in missing:
            for step in steps:
                if step.result is not None:
                    arrays = results.pack(step.result)
                    if span in task.paths:
                        cache.write(task.paths[span], arrays, makes_folder=False)
                    else:
                        sent.append((span, arrays))
                    del arrays
                    break
                # After damage a span begins once more.
                done = max(done, before + min(int(step.share * length), length - 1))
                yield done
            del step  # frees the result
            execute.trim_memory()  # else the peaks of the spans add up
        done = before + length
        yield done
    return sent
