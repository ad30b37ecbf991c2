"""Inputs of a command: copy those that are not files, and continue after a failure."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click

from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.output import STANDARD
from fervid.errors import FervidError, InputError, ModelError, UsageError
from fervid.files import display_name
from fervid.files.urls import LIMIT, Limit, is_url, redacted

SOME_FAILED = 3
COPY = "stdin"  # the name of standard input's copy, and in outputs


def each_input(messages: Messages, inputs: Sequence[str], work: Callable[[str, str], None]) -> int:
    """Call `work(name, path)` for each input; return 0, SOME_FAILED, or the exit code of the failures."""
    if inputs.count(STANDARD) > 1:
        raise UsageError("standard input (-) can be read only once")
    check_quotes(inputs)
    failures: dict[int, FervidError] = {}
    for index, name in enumerate(inputs):
        try:
            with local_path(name) as path:
                work(name, path)
        except ModelError:
            raise  # every input would fail
        except FervidError as error:
            messages.fail(str(error), error)
            failures[index] = error
    if not failures:
        return 0
    if len(inputs) > 1:
        names = ", ".join(label(inputs[index]) for index in failures)
        log.error("%d of %d inputs failed: %s", len(failures), len(inputs), names)
    if len(failures) < len(inputs):
        return SOME_FAILED
    return max(error.exit_code for error in failures.values())


def check_quotes(inputs: Sequence[str]) -> None:
    """Raise UsageError if the shell split a file's name at its spaces."""
    whole = unquoted(inputs)
    if whole is not None:
        raise UsageError(f"put quotes around a name with spaces: '{whole}'")


def unquoted(words: Sequence[str]) -> str | None:
    """Return the file with a name that the shell split at its spaces into words, if there is one."""
    for first, word in enumerate(words):
        if word == STANDARD or os.path.lexists(word):
            continue
        for last in range(first + 2, len(words) + 1):
            whole = " ".join(words[first:last])
            if os.path.exists(whole):
                return whole
    return None


def label(name: str) -> str:
    """Return an input's name for messages: a URL without its secrets."""
    if is_url(name):
        return display_name(redacted(name))
    return "standard input" if name == STANDARD else name


def video_label(name: str) -> str:
    """Return the name of a video for messages, where the copy of standard input has none of its own."""
    return label(STANDARD) if name == COPY else display_name(name)


def _limit() -> Limit:
    """Return --max-download of the running command, or the default."""
    context = click.get_current_context(silent=True)
    return (context and context.params.get("max_download")) or LIMIT


@contextmanager
def local_path(name: str) -> Iterator[str]:
    """Yield the path of an input: for standard input and URLs, of a copy that is deleted after the block."""
    if name != STANDARD and not is_url(name):
        if not os.path.lexists(name):
            raise InputError(f"{name}: there is no such file")
        yield name
        return
    with _copied(name) as path:
        try:
            yield path
        except FervidError as error:
            error.args = (_without_copy(str(error), path, name), *error.args[1:])
            raise


@contextmanager
def _copied(name: str) -> Iterator[str]:
    if is_url(name):
        from fervid.video.remote import fetched

        with fetched(name, _limit()) as path:
            yield path
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("standard input (-) is a terminal: name a file, or pipe one in")
    from fervid.files import temporary
    from fervid.video.spooling import spool

    with temporary.folder() as folder:
        # Always the same name, because the timeline contains it.
        yield str(spool(sys.stdin.buffer, folder, _limit()).rename(folder / COPY))


def _without_copy(text: str, path: str, name: str) -> str:
    """Return the text of an error about the copy of an input with the input's own name."""
    for known in (path, display_name(path)):
        text = text.replace(known, label(name))
    if name == STANDARD:  # as a word of its own, not in the name of an output
        text = re.sub(rf"(?<![\w./-]){COPY}(?![\w-]|\.\w)", label(name), text)
    return text
