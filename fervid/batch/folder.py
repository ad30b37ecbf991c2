"""The folder of results: outputs, the manifest, and the journal from which an interrupted batch resumes.

While a batch runs, `.fervid-batch` contains a lock, a journal with a line for each finished input, and files
that are being written. At the end of the batch the manifest is written, then `.fervid-batch` is deleted.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from fervid import cache, files
from fervid.batch.inputs import Input
from fervid.batch.records import Record
from fervid.batch.stems import STATE
from fervid.batch.work import FORMATS
from fervid.errors import FervidError, InputError, OutputError
from fervid.files import Lock, display_name, encodable

UNKNOWN = "exists already, and no manifest lists it"
MANIFEST = "manifest.jsonl"
EMOTIONS = "emotions.csv"
AGAIN = "again"  # in a line of the journal: whether the batch overwrites
# Errors that would occur with the next input, too: the batch stops.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

Writer = Callable[[BinaryIO], object]


class Results:
    """The folder of results of one batch. `read` is the only method that leaves the folder unchanged."""

    def __init__(self, folder: str | Path, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self._state = self.folder / STATE
        self._journal_path = self._state / "journal.jsonl"
        self._overwrite = overwrite
        self._lock: Lock | None = None
        self._journal: BinaryIO | None = None
        self._known: dict[str, Record] = {}  # finished, by input
        self._old: list[Record] = []
        self._earlier: dict[str, Record] = {}  # all of the last manifest, by input
        self._written: list[Record] = []  # all of the last manifest and the journal
        self._ours: set[str] = set()  # inputs with outputs, in any format, that a batch has written
        self.unfinished: list[str] = []  # cache keys of finished inputs that may still be in the cache

    def read(self) -> None:
        """Read which inputs are done, from the last manifest and from the journal of an interrupted batch."""
        self._old = [record for record, _ in _lines(self.folder / MANIFEST)]
        self._earlier = {record.input: record for record in self._old}
        journal = list(_lines(self._journal_path))
        self.unfinished = [line["cached"] for _, line in journal if cache.is_key(line.get("cached"))]
        self._written = [*self._old, *(record for record, _ in journal)]
        self._ours = {record.input for record in self._written if record.is_done}
        known = self._written
        if self._overwrite:  # an interrupted batch that overwrites resumes, too
            known = [record for record, line in journal if line.get(AGAIN) is True]
        self._known = {record.input: record for record in known if record.is_done}

    def open(self) -> None:
        """Make the folder and lock it, so that no other batch writes to it."""
        try:
            self._lock = self._take_lock()
        except (FileExistsError, NotADirectoryError) as failure:
            raise OutputError(f"{display_name(self.folder)} is a file: name a folder") from failure
        except OSError as failure:
            raise OutputError(f"cannot write to {display_name(self.folder)}: {failure.strerror}") from failure
        if self._lock is None:
            raise OutputError(
                f"another batch is writing to {display_name(self.folder)}: wait for it, or name another "
                "folder"
            )
        self.read()
        try:
            self._journal = open(self._journal_path, "ab")  # noqa: SIM115 - stays open until the batch ends
            if self._journal.tell():
                self._journal.write(b"\n")  # after a line that was cut off
            files.sync_folder(self._state)
        except OSError as failure:
            raise _failure(self._journal_path, failure) from failure

    def _take_lock(self) -> Lock | None:
        while True:
            files.make_folder(self._state)
            with suppress(FileNotFoundError):  # another batch is just deleting it
                return files.take_lock(self._state / "lock")

    @property
    def is_locked(self) -> bool:
        """Whether other batches are locked out; the file system may have no locks."""
        return self._lock is not None and self._lock.is_real

    def close(self) -> None:
        """Close the journal and release the lock; both files stay, so that the batch can be resumed."""
        if self._journal is not None:
            with suppress(OSError):  # reported when it was written
                self._journal.close()
            self._journal = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def known(self, item: Input, formats: Sequence[str]) -> Record | None:
        """Return the record of an input if all its outputs exist and are unchanged."""
        record = self._known.get(encodable(item.name))
        if record is None or record.key is None:
            return None
        has_all = all(self._has(record, form, item.stem + FORMATS[form]) for form in formats)
        return record if has_all else None

    def _has(self, record: Record, form: str, path: str) -> bool:
        """Return whether the output of a format exists and is as the record describes it."""
        expected = (record.outputs.get(form), record.digests.get(form))
        return None not in expected and expected == (encodable(path), _digest(self.folder / path))

    def foreign_files(self, items: Iterable[Input], formats: Sequence[str]) -> Iterator[Path]:
        """Yield existing files that outputs would replace, and that no batch has written."""
        if self._overwrite or self._state.is_dir():
            return  # an interrupted batch has checked already, and may have written the files
        if not (self.folder / MANIFEST).exists() and (self.folder / EMOTIONS).exists():
            yield self.folder / EMOTIONS
        for item in items:
            for form in formats if encodable(item.name) not in self._ours else ():
                path = self.folder / (item.stem + FORMATS[form])
                if os.path.lexists(path):
                    yield path

    def save(self, item: Input, record: Record, writers: Mapping[str, Writer], cached: str) -> Record:
        """Write an input's outputs, each atomically, then add its record to the journal."""
        earlier = self._earlier.get(record.input)
        digests, outputs = {}, {}
        for form in FORMATS:
            path = item.stem + FORMATS[form]
            if form in writers:
                digests[form] = self.write(path, writers[form], record.input in self._ours)
            elif earlier is None or earlier.key != record.key or not self._has(earlier, form, path):
                continue
            else:  # written by an earlier batch with other formats
                digests[form] = earlier.digests[form]
            outputs[form] = encodable(path)
        record = replace(record, outputs=outputs, digests=digests)
        line = json.dumps({**record.as_json(), "cached": cached, AGAIN: self._overwrite}) + "\n"
        assert self._journal is not None
        try:
            self._journal.write(line.encode())
            self._journal.flush()
            os.fsync(self._journal.fileno())
        except OSError as failure:
            raise _failure(self._journal_path, failure) from failure
        return record

    def write(self, path: str, writer: Writer, replaces: bool = True) -> str:
        """Write one file below the folder atomically, and return its SHA-256.

        If the file exists by then, it raises InputError unless `replaces` is true or the batch overwrites.
        """
        target, digest = self.folder / path, None
        try:
            files.make_folder(target.parent)
            files.make_folder(self._state)  # a batch that does not see our lock may have deleted it
        except OSError as failure:
            raise _failure(target, failure) from failure
        try:
            # A link may lead to another disk, and a file cannot be renamed to another disk.
            beside = self._state if _disk(self._state) == _disk(target.parent) else None
            with files.open_atomic(target, within=beside, replaces=replaces or self._overwrite) as stream:
                writer(stream)
                stream.flush()
                digest = _digest(Path(stream.name))
        except FileExistsError as failure:
            # An identical file was written by a batch that was killed before it wrote its journal.
            if digest != _digest(target):
                raise InputError(
                    f"{display_name(target)} {UNKNOWN}: move it, or use -y to overwrite it"
                ) from failure
        except OSError as failure:
            raise _failure(target, failure) from failure
        assert digest is not None
        return digest

    def write_table(self, path: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a CSV below the folder."""

        def write(stream: BinaryIO) -> None:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            table = csv.writer(text, lineterminator="\n")
            table.writerow(header)
            table.writerows(rows)
            text.flush()
            text.detach()

        self.write(path, write)

    def finish(self, records: Sequence[Record]) -> None:
        """Write the manifest (inputs of this batch, then of earlier batches) and delete the state."""
        if not self.is_locked:
            self.read()  # another batch may have written meanwhile
        here = {record.input for record in records}
        others = {record.input: record for record in self._written if record.input not in here}
        earlier = [record for record in others.values() if record.is_done and self._has_outputs(record)]
        lines = [json.dumps(record.as_json()) + "\n" for record in [*records, *earlier]]
        self.write(MANIFEST, lambda stream: stream.writelines(line.encode() for line in lines))
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        with suppress(OSError):  # the next batch reads it again
            self._journal_path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release(remove=True)  # last: from now on another batch may begin
            self._lock = None
        with suppress(OSError):  # another batch has begun, or another program has put a file into it
            self._state.rmdir()

    def _has_outputs(self, record: Record) -> bool:
        return bool(record.outputs) and all((self.folder / path).exists() for path in record.outputs.values())


def _lines(path: Path) -> Iterator[tuple[Record, dict[str, Any]]]:
    """Yield the records of a manifest or journal with their whole lines; damaged lines are skipped.

    The files may come from other people: nothing in them is trusted.
    """
    if not path.is_file():
        return
    for line in path.read_bytes().split(b"\n"):
        try:
            value = json.loads(line)
            record = Record.from_json(value)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
        yield record, value


def _disk(folder: Path) -> int:
    return folder.stat().st_dev


def _digest(path: Path) -> str | None:
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _failure(path: Path, failure: OSError) -> FervidError:
    """Return an InputError for a failure of one file, an OutputError for a failure that affects all."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"no space is left for {display_name(path)}: free some and run the same command again: "
            "it resumes from here"
        )
    reason = f"cannot write {display_name(path)}: {failure.strerror or failure}"
    return OutputError(reason) if failure.errno in FULL else InputError(reason)
