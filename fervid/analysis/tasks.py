"""What a worker is given: the spans of one decoding pass, and where their results go.

A worker here writes them into the store. From elsewhere they are sent back, while files do not travel: a
worker that finds another content at the path, or another model by the name, would give other results, and
is refused.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fervid import cache, model
from fervid.analysis import results, spans
from fervid.analysis.results import Span
from fervid.analysis.spans import Options
from fervid.errors import FervidError, InputError, ModelError
from fervid.files import shown
from fervid.types import Array, ModelInfo, Video
from fervid.video import source

Sent = list[tuple[Span, dict[str, Array]]]  # packed results


@dataclass(frozen=True)
class Terms:
    """What a worker elsewhere must have to take part."""

    device: str
    model: str | None  # its portable name; None: no nets
    model_sha256: str = ""
    path: str | None = None  # of the video; None: whatever comes is looked at when it comes
    sha256: str = ""


@dataclass(frozen=True)
class Task:
    """The spans of one decoding pass: what travels to a worker."""

    video: Video  # with as much of its plan as these spans need
    spans: tuple[Span, ...]
    options: Options
    paths: Mapping[Span, Path]  # where results go; those of other spans are sent back
    terms: Terms | None = None  # of a worker elsewhere


def key(video: Video, options: Options, info: ModelInfo | None) -> str:
    """Return what a span's result depends on, but for its range, as one word."""
    # The range stands in the file's name, and segments are decided after the spans.
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
    """Refuse to take part where something is missing, or is not what it is elsewhere."""
    host = socket.gethostname()
    try:
        model.check_device(terms.device)
        if terms.model is not None and model.info(terms.model).sha256 != terms.model_sha256:
            raise ModelError(f"the model {terms.model} is another one there: install the same")
        if terms.path is not None and source.content(Path(terms.path)) != terms.sha256:
            raise InputError(f"{shown(terms.path)} has another content there: copy it again")
    except FervidError as failure:
        raise type(failure)(f"on {host}: {failure}") from failure


def work(task: Task) -> Generator[float, None, Sent]:
    """Analyse the spans that have no result yet; yield how many ticks are done, and return what is sent back.

    Where results are written, that of a span lies there once all of its ticks are told; unless the folder was
    deleted meanwhile: then whoever wants it does it again.
    """
    if task.spans and task.terms is not None:
        yield 0.0  # a long file takes its time to be read
        check(task.terms)
    missing = [s for s in task.spans if s not in task.paths or cache.read(task.paths[s]) is None]
    steps = spans.analyze(task.video, missing, task.options) if missing else iter(())
    done, sent = 0, Sent()
    for span in task.spans:
        length = spans.length(task.video, span)
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
                yield done + min(int(step.share * length), length - 1)
            del step  # which holds the result
        done += length
        yield done
    return sent
