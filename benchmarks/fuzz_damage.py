"""The damage that `fuzz.py` does to files: to any bytes, and, by `fuzz_formats.py`, to what they declare.

Every kind of damage takes the bytes of a file and a source of chance, and returns other bytes.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

from fuzz_formats import DECLARED, WORDS, Damage, put


def spot(data: bytes, chance: Random) -> int:
    """Return an offset: half of them are near the start or the end, where most of what is declared is."""
    kind = chance.random()
    if kind < 0.35:
        return chance.randrange(min(len(data), 1024))
    if kind < 0.55:
        return max(0, len(data) - 1 - chance.randrange(2048))
    return chance.randrange(len(data))


def run_of(data: bytes, chance: Random) -> tuple[int, int]:
    """Return the ends of a part of the file, from a byte to half of it."""
    start = spot(data, chance)
    return start, min(len(data), start + 1 + int(len(data) / 2 * chance.random() ** 4))


def flip(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8, 64, 512))):
        changed[spot(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def noise(data: bytes, chance: Random) -> bytes:
    start, stop = run_of(data, chance)
    return data[:start] + chance.randbytes(stop - start) + data[stop:]


def zero(data: bytes, chance: Random) -> bytes:
    start, stop = run_of(data, chance)
    return data[:start] + bytes(stop - start) + data[stop:]


def cut_end(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data))]


def cut_start(data: bytes, chance: Random) -> bytes:
    return data[run_of(data, chance)[1] :]


def cut_middle(data: bytes, chance: Random) -> bytes:
    start, stop = run_of(data, chance)
    return data[:start] + data[stop:]


def repeat(data: bytes, chance: Random) -> bytes:
    start, stop = run_of(data, chance)
    return data[:stop] + data[start:stop] * chance.choice((1, 1, 2, 20)) + data[stop:]


def swap(data: bytes, chance: Random) -> bytes:
    a, b, c, d = sorted(chance.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def insert(data: bytes, chance: Random) -> bytes:
    at = spot(data, chance)
    return data[:at] + chance.randbytes(chance.choice((1, 2, 3, 4, 100, 5000))) + data[at:]


def word(data: bytes, chance: Random) -> bytes:
    """Put an extreme number somewhere, in either order of bytes."""
    at = spot(data, chance)
    size = chance.choice((2, 4, 4, 8))
    number = chance.choice(WORDS) & ((1 << 8 * size) - 1)
    return put(data, at, number.to_bytes(size, chance.choice(("big", "little"))))


PLAIN: tuple[Damage, ...] = (
    flip, flip, flip, noise, zero, cut_end, cut_start, cut_middle, repeat, swap, insert, word, word,
)  # fmt: skip


def damaged(data: bytes, chance: Random) -> tuple[bytes, list[str]]:
    """Return a file with one to three kinds of damage, and their names."""
    names: list[str] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        kinds = chance.sample(PLAIN, len(PLAIN))
        if chance.random() < 0.5:  # many of these do not apply
            kinds = chance.sample(DECLARED, len(DECLARED)) + kinds
        for kind in kinds:
            changed = kind(data, chance) if data else None
            if changed is not None and changed != data:
                data = changed
                names.append(kind.__name__)
                break
    return data, names


def damage_file(source: Path, target: Path, chance: Random) -> list[str]:
    """Write a damaged copy of a file or of a folder of stills, and return the names of the damage."""
    if not source.is_dir():
        data, names = damaged(source.read_bytes(), chance)
        target.write_bytes(data)
        return names
    target.mkdir()
    files = {path.name: path.read_bytes() for path in sorted(source.iterdir())}
    names = []
    for name in chance.sample(sorted(files), chance.randint(1, len(files))):
        kind = chance.random()
        if kind < 0.1:
            names.append("drop")
            del files[name]
        elif kind < 0.2:
            names.append("empty")
            files[name] = b""
        elif kind < 0.3:
            names.append("rename")
            files[chance.choice(("0" * 30, "9" * 30, "a b", "-1", "\u0661")) + Path(name).suffix] = files.pop(
                name
            )
        elif kind < 0.4:
            names.append("folder")
            (target / f"{Path(name).stem}-folder{Path(name).suffix}").mkdir()
        else:
            files[name], kinds = damaged(files[name], chance)
            names += kinds
    for name, data in files.items():
        (target / name).write_bytes(data)
    return names
