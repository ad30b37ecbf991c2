"""The folder of results: its manifest, who writes in it, and how an interrupted batch finds its way back.

While a batch runs, `.fervid-batch` holds a lock, a journal with a line for each input that is done, and what
is being written. It goes when the batch has come to its end, and only then the manifest is written anew.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from fervid import files
from fervid.batch.inputs import Input
from fervid.batch.records import Record
from fervid.batch.work import FORMATS
from fervid.errors import FervidError, InputError, OutputError
from fervid.files import Lock, encodable, shown

MANIFEST = "manifest.jsonl"
STATE = ".fervid-batch"
# What will not be better for the next input: the batch stops there.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

Writer = Callable[[BinaryIO], object]


class Results:
    """One batch's hold on its folder; `read` alone changes nothing there."""

    def __init__(self, folder: str | Path, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self._state = self.folder / STATE
        self._journal_path = self._state / "journal.jsonl"
        self._marker = self._state / "overwrite"
        self._overwrite = overwrite
        self._lock: Lock | None = None
        self._journal: BinaryIO | None = None
        self._known: dict[str, Record] = {}  # by the output's place, as text
        self._old: list[Record] = []
        self._earlier: dict[str, Record] = {}  # the same by input
        self.unfinished: list[str] = []  # the cache's keys of inputs that are done, and may lie there yet

    def read(self) -> None:
        """Learn what is done already: from the last manifest, and from the journal of a batch cut short."""
        self._old = [record for record, _ in _lines(self.folder / MANIFEST)]
        self._earlier = {record.input: record for record in self._old}
        journal = list(_lines(self._journal_path))
        self.unfinished = [key for _, key in journal if key]
        if self._overwrite:
            # A batch that overwrites and was cut short goes on: its journal holds what it did itself.
            known = [record for record, _ in journal] if self._marker.exists() else []
        else:
            known = [*self._old, *(record for record, _ in journal)]
        self._known = {record.input: record for record in known if record.is_done}

    def open(self) -> None:
        """Make the folder, and keep others from writing in it."""
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            self._lock = files.take_lock(self._state / "lock")
        except (FileExistsError, NotADirectoryError) as failure:
            raise OutputError(f"{shown(self.folder)} is a file: name a folder") from failure
        except OSError as failure:
            raise OutputError(f"cannot write in {shown(self.folder)}: {failure.strerror}") from failure
        if self._lock is None:
            raise OutputError(
                f"another batch is writing in {shown(self.folder)}: wait for it, or name another folder"
            )
        self.read()
        try:
            if self._overwrite and not self._marker.exists():
                self._journal_path.unlink(missing_ok=True)
                self._marker.touch()
            self._journal = open(self._journal_path, "ab")  # noqa: SIM115 - it stays open until the batch ends
            if self._journal.tell():
                self._journal.write(b"\n")  # behind a line that was cut off
        except OSError as failure:
            raise _failure(self._journal_path, failure) from failure

    def close(self) -> None:
        """Let go; what is needed to go on stays."""
        if self._journal is not None:
            with suppress(OSError):  # told when it was written
                self._journal.close()
            self._journal = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def known(self, item: Input, formats: Sequence[str]) -> Record | None:
        """The record of an input whose outputs are all there and whole."""
        record = self._known.get(encodable(item.name))
        if record is None or record.key is None:
            return None
        for form in formats:
            if not self._has(record, form, self._place(item, form)):
                return None
        return record

    def _has(self, record: Record, form: str, place: str) -> bool:
        """Whether a format's output is there as the record tells it."""
        told = (record.outputs.get(form), record.digests.get(form))
        return None not in told and told == (encodable(place), _digest(self.folder / place))

    def strangers(self, items: Iterable[Input], formats: Sequence[str]) -> Iterator[Path]:
        """Files that stand where outputs should go, and are none of this folder's."""
        if self._overwrite or self._state.is_dir():
            return  # a batch that was cut short has looked already; what is there may be its own
        ours = {record.input for record in self._old if record.is_done}  # in whatever formats
        for item in items:
            for form in formats if encodable(item.name) not in ours else ():
                place = self._place(item, form)
                if os.path.lexists(self.folder / place):
                    yield self.folder / place

    def save(self, item: Input, record: Record, writers: Mapping[str, Writer], cached: str) -> Record:
        """Write an input's outputs, each whole or not at all, then remember that they are there."""
        earlier = self._earlier.get(record.input)
        digests, outputs = {}, {}
        for form in FORMATS:
            place = self._place(item, form)
            if form in writers:
                digests[form] = self.put(place, writers[form])
            elif earlier is None or earlier.key != record.key or not self._has(earlier, form, place):
                continue
            else:  # written by an earlier batch that wished for other formats
                digests[form] = earlier.digests[form]
            outputs[form] = encodable(place)
        record = replace(record, outputs=outputs, digests=digests)
        line = json.dumps({**record.as_json(), "cached": cached}) + "\n"
        assert self._journal is not None
        try:
            self._journal.write(line.encode())
            self._journal.flush()
        except OSError as failure:
            raise _failure(self._journal_path, failure) from failure
        return record

    def put(self, place: str, writer: Writer) -> str:
        """Write one file below the folder, whole or not at all, and return its SHA-256."""
        target = self.folder / place
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with files.whole(target, within=self._state) as stream:
                writer(stream)
            digest = _digest(target)
        except OSError as failure:
            raise _failure(target, failure) from failure
        assert digest is not None
        return digest

    def put_table(self, place: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a CSV below the folder."""

        def write(stream: BinaryIO) -> None:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            table = csv.writer(text, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows)
            text.flush()
            text.detach()

        self.put(place, write)

    def finish(self, records: Sequence[Record]) -> None:
        """Write the manifest: this batch's inputs in order, then what earlier ones left here; tidy up."""
        here = {record.input for record in records}
        earlier = [
            record
            for record in self._old
            if record.is_done and record.input not in here and self._is_there(record)
        ]
        lines = [json.dumps(record.as_json()) + "\n" for record in [*records, *earlier]]
        self.put(MANIFEST, lambda stream: stream.writelines(line.encode() for line in lines))
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock is not None:
            self._lock.release(remove=True)
            self._lock = None
        shutil.rmtree(self._state, ignore_errors=True)

    def _place(self, item: Input, form: str) -> str:
        return item.place + FORMATS[form]

    def _is_there(self, record: Record) -> bool:
        return bool(record.outputs) and all(
            (self.folder / place).exists() for place in record.outputs.values()
        )


def _lines(path: Path) -> Iterator[tuple[Record, str]]:
    """The records of a manifest or journal, and the cache's key of each; a line that was cut off is none."""
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line)
            record = Record.from_json(value)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        yield record, _word(value)


def _word(value: Any) -> str:
    found = value.get("cached", "")
    return found if isinstance(found, str) else ""


def _digest(path: Path) -> str | None:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _failure(path: Path, failure: OSError) -> FervidError:
    """What to say of a file that cannot be written: of this one alone, or of all that would follow."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"no space is left for {shown(path)}: free some and run the same command again, "
            "which goes on from here"
        )
    reason = f"cannot write {shown(path)}: {failure.strerror or failure}"
    return OutputError(reason) if failure.errno in FULL else InputError(reason)
