"""The damage that `fuzz.py` does to what containers and codecs declare: lengths, times, rates and sizes.

Every kind of damage takes the bytes of a file and a source of chance, and returns other bytes; None if it
does not apply to the file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from random import Random

Damage = Callable[[bytes, Random], bytes | None]

WORDS = (0, 1, 2, 7, 255, 0x7FFF, 0xFFFF, 0x10000, 1_000_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
SIDES = (0, 1, 2, 15, 17, 4096, 16383, 32767, 65535)
RATES = (0, 1, 1000, 90_000, 1_000_000, 10_000_000, 0x7FFFFFFF, 0xFFFFFFFF)
TINY_PACKETS = 300_000
PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex", b"udta", b"dinf"}
TABLES = (
    b"stts ctts stsz stsc stco co64 stss elst mdhd mvhd tkhd stsd trun tfhd tfdt trex hdlr avcC hvcC".split()
)
# Matroska's elements with a value that matters: size and rate of the picture, times, blocks, indices.
ELEMENTS = [
    code.to_bytes((code.bit_length() + 7) // 8, "big")
    for code in (
        0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0xB0, 0xBA, 0x54B0, 0x54BA, 0x23E383,
        0x2AD7B1, 0x4489, 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1, 0x1C53BB6B, 0xBB, 0xB3, 0xF1, 0x63A2, 0x86,
        0xD7, 0x83, 0x114D9B74, 0x1941A469, 0x55B0, 0x7BA9,
    )
]  # fmt: skip
CHUNKS = re.compile(rb"RIFF|LIST|avih|strh|strf|movi|idx1|JUNK|hdrl|strl|0[0-9](?:dc|db|wb)")


def put(data: bytes, at: int, new: bytes) -> bytes:
    return (data[:at] + new + data[at + len(new) :])[: max(len(data), at)]


def boxes(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, int, bytes]]:
    """Yield the start, end and kind of every mp4 box, with those inside."""
    stop = len(data) if stop is None else stop
    while start + 8 <= stop:
        length, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        end = start + length if length >= 8 else stop
        if end > stop:
            return
        yield start, end, kind
        if kind in PARENTS:
            yield from boxes(data, start + 8, end)
        start = end


def is_mp4(data: bytes) -> bool:
    return data[4:8] in {b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"}


def box_size(data: bytes, chance: Random) -> bytes | None:
    """Make a box of an mp4 declare a false length, or another kind."""
    known = list(boxes(data)) if is_mp4(data) else []
    if not known:
        return None
    start, end, _ = chance.choice(known)
    if chance.random() < 0.15:
        return put(data, start + 4, chance.choice((b"free", b"moov", b"trak", b"\0\0\0\0", b"mdat")))
    length = end - start
    near = (length - 1, length + 1, length * 2, length // 2, 8, 9, 16)
    return put(data, start, struct.pack(">I", chance.choice((*near, *WORDS)) & 0xFFFFFFFF))


def box_field(data: bytes, chance: Random) -> bytes | None:
    """Put an extreme number into a table or header of an mp4."""
    known = [box for box in boxes(data) if box[2] in TABLES and box[1] - box[0] >= 12] if is_mp4(data) else []
    if not known:
        return None
    for _ in range(chance.choice((1, 1, 3))):
        start, end, _ = chance.choice(known)
        at = start + 8 + 4 * chance.randrange((end - start - 8) // 4)
        number = chance.choice(WORDS) if chance.random() < 0.7 else chance.randrange(1 << 32)
        data = put(data, at, struct.pack(">I", number))
    return data


def box_rate(data: bytes, chance: Random) -> bytes | None:
    """Change the time base and the steps of an mp4's tracks: a million frames a second, or one a year."""
    if not is_mp4(data):
        return None
    rate, step = chance.choice(RATES), chance.choice(WORDS)
    for start, end, kind in list(boxes(data)):
        if kind == b"mdhd" and chance.random() < 0.8:
            data = put(data, start + (20 if data[start + 8] == 0 else 28), struct.pack(">I", rate))
        if kind == b"stts" and end - start >= 24 and chance.random() < 0.5:
            data = put(data, start + 20, struct.pack(">I", step))
    return data


def box_tiny(data: bytes, chance: Random) -> bytes | None:
    """Make an mp4 declare 300,000 packets of one byte."""
    if not is_mp4(data) or chance.random() < 0.5:  # slow, so less often than others
        return None
    for start, _, kind in list(boxes(data)):
        if kind == b"stsz":
            data = put(data, start + 12, struct.pack(">II", chance.choice((1, 1, 0)), TINY_PACKETS))
        elif kind == b"stts":
            data = put(data, start + 12, struct.pack(">III", 1, TINY_PACKETS, chance.choice((0, 1, 512))))
        elif kind == b"stsc":
            data = put(data, start + 12, struct.pack(">IIII", 1, 1, TINY_PACKETS, 1))
        elif kind in {b"ctts", b"stss"}:
            data = put(data, start + 4, b"free")
    return data


def element(data: bytes, chance: Random) -> bytes | None:
    """Change the length or the value of an element of a Matroska file."""
    if data[:4] != b"\x1aE\xdf\xa3":
        return None
    code = chance.choice(ELEMENTS)
    offsets = [match.start() + len(code) for match in re.finditer(re.escape(code), data)]
    if not offsets:
        return None
    at = chance.choice(offsets[:32])
    if at >= len(data) - 10:
        return None
    width = 9 - data[at].bit_length() if data[at] else 1
    kind = chance.random()
    if kind < 0.3:  # another length of the same width, or an unknown one
        new = chance.choice((b"\xff", b"\x80", b"\x01" + b"\xff" * 7, chance.randbytes(width)))
        return put(data, at, new)
    return put(data, at + width, chance.choice((b"\xff" * 4, bytes(4), b"\x7f\xff", chance.randbytes(4))))


def many_blocks(data: bytes, chance: Random) -> bytes | None:
    """Append packets of one byte to a Matroska, AVI or FLV file: 300,000, or fewer."""
    if chance.random() < 0.6:  # slow
        return None
    count = chance.choice((1000, 20_000, TINY_PACKETS))
    if data[:4] == b"\x1aE\xdf\xa3":
        blocks = b"".join(
            b"\xa3\x85\x81" + struct.pack(">h", index % 30_000) + b"\x80" + b"\x00" for index in range(count)
        )
        cluster = b"\xe7\x84" + struct.pack(">I", 1000) + blocks
        return data + b"\x1fC\xb6u" + b"\x08" + len(cluster).to_bytes(4, "big") + cluster
    if data[:4] == b"RIFF":
        at = data.rfind(b"idx1")
        return None if at < 0 else data[:at] + b"00dc\x01\0\0\0\x55\0" * count
    if data[:3] == b"FLV":
        tags = (
            b"\x09\0\0\x02" + struct.pack(">I", index)[1:] + b"\0\0\0\0\x22\x00\0\0\0\x0d"
            for index in range(count)
        )
        return data + b"".join(tags)
    return None


def chunk(data: bytes, chance: Random) -> bytes | None:
    """Change the length of a chunk of an AVI, or a number in its headers: size, rate, scale."""
    if data[:4] != b"RIFF":
        return None
    offsets = [match.start() for match in CHUNKS.finditer(data)]
    at = chance.choice(offsets[:40] + offsets[-20:])
    offset = 4 if chance.random() < 0.4 else 8 + 4 * chance.randrange(16)
    number = chance.choice((*WORDS, *SIDES, *RATES)) & 0xFFFFFFFF
    return put(data, at + offset, struct.pack("<I", number))


def tag(data: bytes, chance: Random) -> bytes | None:
    """Change lengths and times of tags of an FLV file."""
    if data[:3] != b"FLV":
        return None
    at, tags = 13, []
    while at + 15 < len(data):
        tags.append(at)
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    for at in chance.sample(tags, min(len(tags), chance.choice((1, 2, 8)))):
        data = put(data, at + chance.choice((1, 4, 4)), chance.randbytes(chance.choice((1, 3, 4))))
    return data


def transport(data: bytes, chance: Random) -> bytes | None:
    """Drop, repeat, swap and damage whole packets of a transport stream."""
    length = next((n for n, first in ((188, 0), (192, 4)) if data[first::n][:2] == b"GG"), None)
    if length is None:
        return None
    packets = [data[at : at + length] for at in range(0, len(data), length)]
    for _ in range(chance.choice((1, 4, 16))):
        at, kind = chance.randrange(len(packets)), chance.randrange(4)
        if kind == 0 and len(packets) > 1:
            del packets[at]
        elif kind == 1:
            packets.insert(chance.randrange(len(packets)), packets[at])
        elif kind == 2:
            packets[at] = put(packets[at], chance.randrange(4, 32), chance.randbytes(5))
        else:
            packets[at] = put(packets[at], 1, chance.randbytes(2))
    return b"".join(packets)


class Bits:
    """Writes the parameter sets of H.264."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, value: int, width: int) -> None:
        self.text += f"{value:0{width}b}"

    def golomb(self, value: int) -> None:
        digits = f"{value + 1:b}"
        self.text += "0" * (len(digits) - 1) + digits

    def closed(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def parameter_set(blocks_across: int, blocks_down: int) -> bytes:
    """Return a sequence parameter set of H.264's baseline profile with this size, in blocks of 16 pixels."""
    bits = Bits()
    for value in (66, 0xC0, 31):
        bits.fixed(value, 8)
    for value in (0, 0, 2, 1):
        bits.golomb(value)
    bits.fixed(0, 1)
    bits.golomb(blocks_across - 1)
    bits.golomb(blocks_down - 1)
    for value in (1, 1, 0, 0):
        bits.fixed(value, 1)
    return b"\x67" + bits.closed()


def coded_size(data: bytes, chance: Random) -> bytes | None:
    """Make the pictures themselves declare another size: H.264, VP8, VP9, JPEG, PNG, GIF, ProRes."""
    width, height = chance.choice(SIDES), chance.choice(SIDES)
    big, small = struct.pack(">HH", height, width), struct.pack("<HH", width, height)
    changes: list[tuple[int, bytes]] = []
    for match in re.finditer(rb"\xff[\xc0\xc2]\x00[\x0b\x11]\x08", data):
        changes.append((match.end(), big))
    changes += [(match.end(), small) for match in re.finditer(rb"\x9d\x01\x2a", data)]
    changes += [(match.end(), struct.pack(">II", width, height)) for match in re.finditer(rb"IHDR", data)]
    changes += [(match.end() + 8, struct.pack(">HH", width, height)) for match in re.finditer(rb"icpf", data)]
    if data[:4] == b"GIF8":
        changes.append((6, small))
    for match in re.finditer(rb"\x49\x83\x42", data):
        head = int.from_bytes(data[match.end() : match.end() + 5], "big")
        sizes = (max(width, 1) - 1) << 16 | (max(height, 1) - 1)
        changes.append((match.end(), (head >> 36 << 36 | sizes << 4 | head & 15).to_bytes(5, "big")))
    for match in re.finditer(rb"(?:\x00\x00\x01|\x00[\x10-\x40])\x67", data):
        across, down = max(1, width // 16), max(1, height // 16)
        changes.append((match.end() - 1, parameter_set(across, down) + bytes(8)))
    if not changes:
        return None
    if chance.random() < 0.5:
        changes = chance.sample(changes, 1)
    for at, new in changes:
        data = put(data, at, new)
    return data


def declared_size(data: bytes, chance: Random) -> bytes | None:
    """Make the container declare another size of the picture: up to 65,535 squared."""
    width, height = chance.choice(SIDES), chance.choice(SIDES)
    if is_mp4(data):
        for start, end, kind in list(boxes(data)):
            if kind == b"tkhd":
                data = put(data, end - 8, struct.pack(">II", width << 16, height << 16))
            elif kind == b"stsd" and end - start > 60:
                data = put(data, start + 16 + 32, struct.pack(">HH", width, height))
        return data
    if data[:4] == b"\x1aE\xdf\xa3":
        for code, side in ((b"\xb0\x82", width), (b"\xba\x82", height)):
            at = data.find(code)
            if at > 0:
                data = put(data, at + 2, struct.pack(">H", side))
        return data
    if data[:4] == b"RIFF":
        for code, offset in ((b"avih", 8 + 32), (b"strf", 8 + 4)):
            at = data.find(code)
            if at > 0:
                data = put(data, at + offset, struct.pack("<II", width, height))
        return data
    if data[:4] == b"DKIF":
        return put(data, 12, struct.pack("<HH", width, height))
    return None


DECLARED: tuple[Damage, ...] = (
    box_size, box_field, box_field, box_rate, box_tiny, element, element, many_blocks, chunk, chunk, tag,
    transport, coded_size, coded_size, declared_size,
)  # fmt: skip
