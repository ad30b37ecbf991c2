"""The timeline of a command's input: read from a file, or made from a video and kept beside it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_analyzer
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.options import split_selection
from fervid.cli.shared.output import STANDARD
from fervid.cli.shared.reading import is_timeline, read_timeline
from fervid.errors import FervidError, OutputError, UsageError
from fervid.export import TIMELINES
from fervid.files.urls import is_url

if TYPE_CHECKING:
    from fervid.types import Timeline

# The options of most commands that take a timeline or a video. For all others there is `fervid analyze`.
OPTIONS = (*options.MODEL, *options.WORK)
# What these commands do not offer of the options of an analysis.
ANALYSIS = {"start": None, "end": None, "rotate": "auto", "frame_rate": None}
NOT_RECORDED = {"rotate", "frame_rate", "gallery"}  # options that the settings of a timeline leave out


@dataclass(frozen=True)
class InputTimeline:
    """A timeline, the file that contains it (None: it is in no file), and the video if the input is one."""

    timeline: Timeline
    path: str | None
    video: str | None = None
    is_copy: bool = False  # the video is deleted when the command ends

    def text(self) -> str:
        """Return the text of the timeline's file, or else the timeline as JSON."""
        if self.path is not None:
            return Path(self.path).read_text(encoding="utf-8")
        stream = io.StringIO()
        TIMELINES["json"].write(self.timeline, stream)
        return stream.getvalue()


def timeline_of(
    messages: Messages,
    name: str,
    path: str,
    values: dict[str, Any],
    targets: Sequence[str] = (),
    check: Callable[[], None] | None = None,
) -> InputTimeline:
    """Return the timeline of an input: read it, or analyze the video and keep the timeline beside it.

    `path` is where the input is, `values` are the parameters of an analysis, `targets` the command's own
    outputs. `check` is called before a video is analyzed.
    """
    if is_timeline(path):
        forbid_analysis(values, "a timeline")
        return InputTimeline(read_timeline(path, name), path)
    kept = None if name == STANDARD else beside(name, ".json", "--timeline")
    if kept is not None and any(output.is_same(kept, target) for target in targets):
        raise UsageError(f"the timeline of the video is kept as {kept}: name another file for the output")
    timeline = None if kept is None else known_timeline(kept, path, values)
    if timeline is not None:
        if not messages.quiet:
            messages.say(f"read {kept}, the timeline of this video")
        return InputTimeline(timeline, kept, path, path != name)
    if check is not None:
        check()
    with open_analyzer(messages, ANALYSIS | values) as analyzer, analyzer.start(name, path) as run:
        timeline = run.timeline
    return InputTimeline(timeline, keep(messages, timeline, kept), path, path != name)


def forbid_analysis(values: Collection[str], what: str) -> None:
    """Raise UsageError if an option of an analysis, except --max-download, is on the command line."""
    options.forbid({*values} - {"max_download"}, f"is for videos, and this input is {what}")


def known_timeline(kept: str, video: str, values: Mapping[str, Any]) -> Timeline | None:
    """Return the timeline beside a video if it is of this video and was made with the chosen options."""
    if not os.path.isfile(kept):
        return None
    from fervid.video import planning

    try:
        timeline = read_timeline(kept, kept)
        planning.plan_known(timeline.source, video)
    except FervidError:
        return None
    return timeline if _has_chosen_options(timeline, video, values) else None


def _has_chosen_options(timeline: Timeline, video: str, values: Mapping[str, Any]) -> bool:
    """Return whether a timeline has the model and settings that the user chose; defaults do not count."""
    from fervid.model import info

    source = click.get_current_context().get_parameter_source
    chosen = {name for name in values if source(name) is not click.core.ParameterSource.DEFAULT}
    if chosen & NOT_RECORDED or ("model" in chosen and info(values["model"]).sha256 != timeline.model.sha256):
        return False
    settings = split_selection(ANALYSIS | dict(values)).settings(video).as_json()
    return all(timeline.settings.get(name) == settings[name] for name in chosen & settings.keys())


def keep(messages: Messages, timeline: Timeline, path: str | None) -> str | None:
    """Write a timeline beside its video and return the path; None if it cannot be written there."""
    if path is None:
        return None
    if os.path.lexists(path):
        advice = "move it, or name a file with `fervid analyze --timeline`"
        log.warning("the timeline is not kept: %s exists already: %s", path, advice)
        return None
    try:
        output.check_targets([path], [], overwrite=False)
        with output.open_text(path) as stream:
            TIMELINES["json"].write(timeline, stream)
    except OutputError as error:
        log.warning("the timeline is not kept: %s", error)
        return None
    if not messages.quiet:
        messages.say(f"wrote {path}")
    return path


def beside(name: str, suffix: str, option: str) -> str:
    """Return the path of an output beside an input, in the current folder for a URL.

    Standard input has no name: the error message says to use `option`.
    """
    if name == STANDARD:
        raise UsageError(f"standard input has no name: say where the output goes with {option} FILE")
    if is_url(name):
        return Path(file_name(name)).stem + suffix
    path = Path(name)
    stem = path.resolve().name if path.is_dir() else path.stem
    return str(path.parent / (stem + suffix))


def file_name(name: str) -> str:
    """Return the name of an input's file, without folders."""
    if is_url(name):
        from fervid.video.remote import path_parts

        return path_parts(name)[-1]
    return "stdin" if name == STANDARD else Path(name).resolve().name
