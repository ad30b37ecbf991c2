"""Times as text for people, and exact numbers from text. Times in a file format belong to its writer."""

from __future__ import annotations

import re
from fractions import Fraction

# The largest times that a video may have. Larger ones are damage, and are rejected.
MOST_TICKS = 2**60  # of a time or a duration, so that sums and differences fit in 64 bits
MOST_SECONDS = 10**12  # 30,000 years
FASTEST = 10**12  # frames a second

# Longer numbers and exponents take hours or gigabytes as a Fraction, and no file needs them.
_EXACT = re.compile(
    r"[-+]?(?:(?=\.?\d)\d{0,40}(?:\.\d{0,40})?(?:e[-+]?\d{1,2})?|\d{1,40}/\d{1,40})", re.ASCII | re.IGNORECASE
)


def parse_number(text: str) -> Fraction:
    """Return the exact number of a decimal or a ratio; raise ValueError for any other text."""
    if not _EXACT.fullmatch(text.strip()):
        raise ValueError(f"{text[:40]!r} is not a number of usual length")
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(f"{text[:40]!r} is a division by zero") from error


def format_seconds(seconds: float | Fraction) -> str:
    """Return a time for messages: 1:02:03.4, 2:03.4 or 3.4 s."""
    tenths = round(seconds * 10)
    return format_clock(seconds, has_tenths=True) if tenths >= 600 else f"{tenths / 10:.1f} s"


def format_clock(seconds: float | Fraction, has_tenths: bool = False) -> str:
    """Return a time for an axis or a picture: 1:02:03, 2:03 or 0:03, with tenths if asked for."""
    rest, tenths = divmod(round(seconds * 10), 10)
    hours, minutes, rest = split_seconds(rest)
    text = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{text}.{tenths}" if has_tenths else text


def format_duration(seconds: float) -> str:
    """Return a duration in whole seconds or, from two days on, hours: 3 d 4 h, 2:05:09, 0:42."""
    days, hours = divmod(round(seconds) // 3600, 24)
    return f"{days} d {hours} h" if days >= 2 else format_clock(round(seconds))


def format_timecode(seconds: float | Fraction, point: str = ".") -> str:
    """Return HH:MM:SS.mmm, as in subtitles and `--start`."""
    rest, thousandths = divmod(round(seconds * 1000), 1000)
    hours, minutes, rest = split_seconds(rest)
    return f"{hours:02}:{minutes:02}:{rest:02}{point}{thousandths:03}"


def split_seconds(seconds: int) -> tuple[int, int, int]:
    """Return hours, minutes and seconds."""
    return seconds // 3600, seconds // 60 % 60, seconds % 60
