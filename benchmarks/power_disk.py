"""A disk that loses power: the calls of a program that change files, and the possible content after a crash.

A file's content is certain only after `fsync` of the file, and a name only after `fsync` of its folder. Until
then each of them may be on the disk or not, in any combination.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "open,openat,creat,write,pwrite64,writev,lseek,truncate,ftruncate,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync,syncfs"
)
# -xx: all text in hexadecimal, so that no name or content looks like syntax. -y: paths of descriptors.
STRACE = (
    *(
        "strace",
        "--seccomp-bpf",
        "-ff",
        "-y",
        "-xx",
        "-s",
        "1000000000",
        "--quiet=all",
        "-e",
        f"trace={CALLS}",
    ),
    *("--absolute-timestamps=format:unix,precision:ns", "--syscall-times=ns", "-e", "signal=none"),
)
LINE = re.compile(r"(\d+)\.(\d+) (\w+)\((.*)\) += (\d+)(?:<(?:\\x..)*>)?(?:\(deleted\))? <(\d+)\.(\d+)>")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
DESCRIPTOR = re.compile(r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")

Files = Mapping[str, bytes | None]  # content by path below the root; None: a folder
TOP = 0  # the node of the root


@dataclass(frozen=True)
class Call:
    """A call that has succeeded."""

    ended: int  # in ns
    name: str
    words: str  # its arguments, as strace prints them
    result: int

    @property
    def texts(self) -> list[bytes]:
        return [_bytes(text) for text in TEXT.findall(self.words)]

    @property
    def paths(self) -> list[str]:
        """The paths of its descriptors; "" for a file that has no name any more."""
        matches = DESCRIPTOR.findall(TEXT.sub('""', self.words))
        return ["" if is_gone else os.fsdecode(_bytes(text)) for text, is_gone in matches]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def calls(prefix: Path) -> list[Call]:
    """Return the calls in the files of `strace -ff -o PREFIX`, in the order in which they ended."""
    records = []
    for path in prefix.parent.glob(f"{prefix.name}.*"):
        with path.open(encoding="ascii") as lines:
            for line in lines:
                if match := LINE.match(line):
                    began = int(match[1]) * 10**9 + int(match[2])
                    took = int(match[6]) * 10**9 + int(match[7])
                    records.append(Call(began + took, match[3], match[4], int(match[5])))
    return sorted(records, key=lambda call: call.ended)


@dataclass(frozen=True)
class Content:
    """A file gets this content."""

    node: int
    content: bytes


@dataclass(frozen=True)
class Name:
    """A name in a folder now means this node, or nothing."""

    folder: int
    name: str
    node: int | None
    needs: int | None = None  # the change without which this cannot be on the disk: a rename loses no file


@dataclass(frozen=True)
class Sync:
    """A file or folder (None: everything) is on the disk."""

    node: int | None


Change = Content | Name | Sync


@dataclass
class Disk:
    """The files below a root, from the calls of a program."""

    root: str
    before: Files
    changes: list[Change] = field(default_factory=list)
    names: dict[int, dict[str, int]] = field(default_factory=lambda: {TOP: {}})  # by folder
    contents: dict[int, bytes] = field(default_factory=dict)
    _nodes: int = TOP
    _offsets: dict[tuple[int, str], int | None] = field(default_factory=dict)  # None: at the end

    def __post_init__(self) -> None:
        for path in sorted(self.before):
            content = self.before[path]
            above, name = self._above(os.path.join(self.root, path)) or (TOP, path)
            self._make(above, name, content)
        self.changes.append(Sync(None))

    def _make(self, folder: int, name: str, content: bytes | None) -> int:
        self._nodes += 1
        if content is None:
            self.names[self._nodes] = {}
        else:
            self._fill(self._nodes, content)
        self._set(folder, name, self._nodes)
        return self._nodes

    def _fill(self, node: int, content: bytes) -> None:
        self.contents[node] = content
        self.changes.append(Content(node, content))

    def _set(self, folder: int, name: str, node: int | None, needs: int | None = None) -> None:
        if node is None:
            self.names[folder].pop(name)
        else:
            self.names[folder][name] = node
        self.changes.append(Name(folder, name, node, needs))

    def _above(self, path: str) -> tuple[int, str] | None:
        """Return the folder of a path and the name in it; None if it is not below the root."""
        path = os.path.normpath(path)
        if not path.startswith(self.root + os.sep):
            return None
        *folders, name = os.path.relpath(path, self.root).split(os.sep)
        node = TOP
        for folder in folders:
            node = self.names[node][folder]
        return node, name

    def _find(self, path: str) -> int | None:
        if path == self.root:
            return TOP
        above = self._above(path) if path else None
        return None if above is None else self.names[above[0]].get(above[1])

    def apply(self, call: Call) -> None:
        """Add the changes of a call; calls outside the root change nothing."""
        kind = call.name.removesuffix("at2").removesuffix("at").removesuffix("64")
        if kind in ("open", "creat"):
            self._open(call)
        elif kind in ("write", "pwrite", "writev", "lseek", "ftruncate", "fsync", "fdatasync"):
            self._use(call, kind)
        elif kind in ("sync", "syncfs"):
            self.changes.append(Sync(None))
        elif kind in ("rename", "link"):
            old, new = self._arguments(call)
            self._move(old, new, kind == "rename")
        elif above := self._above(self._arguments(call)[0]):
            if kind == "mkdir":
                self._make(*above, None)
            elif kind in ("unlink", "rmdir"):
                self._set(*above, None)
            elif kind == "truncate":
                self._fill(self.names[above[0]][above[1]], b"")

    def _arguments(self, call: Call) -> list[str]:
        """Return the paths that a call names."""
        folders = call.paths if "at" in call.name else []
        texts = [os.fsdecode(text) for text in call.texts]
        return [
            os.path.join(folders[index] if index < len(folders) else self.root, text)
            for index, text in enumerate(texts)
        ]

    def _open(self, call: Call) -> None:
        path = self._arguments(call)[0]
        above = self._above(path)
        if above is None or ("O_WRONLY" not in call.words and "O_RDWR" not in call.words):
            return
        node = self.names[above[0]].get(above[1])
        if node is None:
            node = self._make(*above, b"")
        elif "O_TRUNC" in call.words and self.contents[node]:
            self._fill(node, b"")
        self._offsets[node, str(call.result)] = None if "O_APPEND" in call.words else 0

    def _use(self, call: Call, kind: str) -> None:
        node = self._find(call.paths[0]) if call.paths else None
        if node is None:
            return
        if kind in ("fsync", "fdatasync"):
            self.changes.append(Sync(node))
            return
        key = node, call.words.partition("<")[0]
        if kind == "lseek":
            if self._offsets.get(key) is not None:
                self._offsets[key] = call.result
            return
        content, last = self.contents[node], call.words.rpartition(" ")[2]
        if kind == "ftruncate":
            self._fill(node, content[: int(last)].ljust(int(last), b"\0"))
            return
        offset = int(last) if kind == "pwrite" else self._offsets.get(key, 0)
        start = len(content) if offset is None else offset
        added = b"".join(call.texts)[: call.result]
        self._fill(node, content[:start].ljust(start, b"\0") + added + content[start + len(added) :])
        if offset is not None and kind != "pwrite":
            self._offsets[key] = start + len(added)

    def _move(self, old: str, new: str, is_rename: bool) -> None:
        source, target = self._above(old), self._above(new)
        if source is None and target is None:
            return
        if source is None or target is None:
            raise SystemExit(f"{old} and {new}: a rename across the root, which this does not follow")
        self._set(*target, self.names[source[0]][source[1]])
        if is_rename:
            self._set(*source, None, needs=len(self.changes) - 1)

    def files(self) -> dict[str, bytes | None]:
        """Return the files that a program sees now."""
        return tree(self.names, self.contents)


def tree(names: Mapping[int, Mapping[str, int]], contents: Mapping[int, bytes]) -> dict[str, bytes | None]:
    """Return the files that can be reached from the root."""
    files: dict[str, bytes | None] = {}
    waiting = [("", TOP)]
    while waiting:
        above, folder = waiting.pop()
        for name, node in names.get(folder, {}).items():
            files[above + name] = contents.get(node)
            if node not in contents:
                waiting.append((f"{above}{name}/", node))
    return files


def states(changes: list[Change], seed: int, draws: int) -> Iterator[tuple[int, dict[str, bytes | None]]]:
    """Yield the possible contents of the disk if the power fails after each change, and the changes so far.

    The changes begin with the files that existed before, up to the first sync.
    Unsynced changes are kept or lost: all of them, all names but no content, each name alone, all names but
    one, and `draws` random choices. Content that is not synced is lost, cut in half, or zeros.
    """
    chance = random.Random(seed)
    synced: set[int] = set()
    begin = changes.index(Sync(None))
    for number, change in enumerate(changes, 1):
        if isinstance(change, Sync):
            synced |= {index for index in range(number) if _is_synced(changes[index], change.node)}
        if isinstance(change, Sync) or number <= begin:
            continue
        names = [i for i in range(number) if isinstance(changes[i], Name) and i not in synced]
        everything = set(names)
        choices: list[set[int]] = [
            set(),
            everything,
            *({i} for i in names),
            *(everything - {i} for i in names),
        ]
        choices += [{i for i in names if chance.random() < 0.5} for _ in range(draws)]
        for kept in choices:
            for damage in ("kept", "lost", "half", "zeros"):
                yield number, _state(changes[:number], synced, kept, damage)


def _is_synced(change: Change, node: int | None) -> bool:
    if isinstance(change, Sync):
        return False
    return node is None or node == (change.node if isinstance(change, Content) else change.folder)


def _state(changes: list[Change], synced: set[int], kept: set[int], damage: str) -> dict[str, bytes | None]:
    names: dict[int, dict[str, int]] = {TOP: {}}
    certain: dict[int, bytes] = {}
    latest: dict[int, bytes] = {}
    there: set[int] = set()
    for index, change in enumerate(changes):
        if isinstance(change, Content):
            latest[change.node] = change.content
            if index in synced:
                certain[change.node] = change.content
        elif isinstance(change, Name) and (index in synced or index in kept):
            if change.needs is not None and change.needs not in there:
                continue
            there.add(index)
            if change.node is None:
                names.setdefault(change.folder, {}).pop(change.name, None)
            else:
                names.setdefault(change.folder, {})[change.name] = change.node
    contents = {node: _damaged(certain.get(node, b""), content, damage) for node, content in latest.items()}
    return tree(names, contents)


def _damaged(certain: bytes, latest: bytes, damage: str) -> bytes:
    """Return the content of a file after a crash: `certain` is on the disk, `latest` perhaps."""
    if certain == latest or damage == "kept":
        return latest
    if damage == "lost":
        return certain
    begun = len(certain) if latest.startswith(certain) else 0
    if damage == "half":
        return latest[: begun + (len(latest) - begun) // 2]
    return latest[:begun] + bytes(len(latest) - begun)


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return the files and folders below a folder."""
    return {
        path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def write(folder: Path, files: Files) -> None:
    """Write files and folders below a new folder."""
    folder.mkdir()
    for path, content in sorted(files.items()):
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
