"""Timecode: frame numbers as editing programs write them, computed in whole numbers.

Timecode counts frames as if a second had a whole number of them. At 29.97 it runs slower than the clock;
drop-frame timecode keeps up by skipping labels, never frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from fervid.errors import UsageError
from fervid.times import split_seconds

LABEL = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d\d\d?)")
# The rates of timecode, in frames per second.
RATES = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(48000, 1001),
    Fraction(48),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
DROPPING = (Fraction(30000, 1001), Fraction(60000, 1001))  # the rates with drop-frame timecode
# Files write 23.976 or 23.98 for 24000/1001; the nearest other rate is five times as far off.
NEAR = Fraction(2, 10_000)


@dataclass(frozen=True)
class Timecode:
    """A numbering of frames: their rate, whether labels are dropped, and the first number."""

    rate: Fraction  # one of RATES
    drops: bool = False
    first: int = 0  # the number of the first frame

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise ValueError(f"timecode has no rate of {self.rate} frames per second")
        if self.drops and self.rate not in DROPPING:
            raise ValueError(f"timecode drops no labels at {self.rate} frames per second")

    @property
    def nominal(self) -> int:
        """The number of frames in a second of labels."""
        return round(self.rate)

    @property
    def is_ntsc(self) -> bool:
        return self.rate.denominator == 1001

    @property
    def day(self) -> int:
        """The number of frames until labels begin again."""
        return 24 * 6 * self._ten_minutes

    @property
    def _dropped(self) -> int:
        """The number of labels skipped at the start of a minute: 2 of 30, 4 of 60."""
        return self.nominal // 15 if self.drops else 0

    @property
    def _ten_minutes(self) -> int:
        return 600 * self.nominal - 9 * self._dropped

    def label(self, frame: int) -> str:
        """Return the timecode of a frame, counted from the first: HH:MM:SS:FF, or ;FF for drop-frame."""
        tens, rest = divmod((self.first + frame) % self.day, self._ten_minutes)
        # The first of ten minutes has all labels; the others skip their first ones.
        minute = max(0, rest - self._dropped) // (60 * self.nominal - self._dropped)
        number = rest + minute * self._dropped  # as if no label were skipped
        seconds, frames = divmod(tens * 600 * self.nominal + number, self.nominal)
        hours, minutes, seconds = split_seconds(seconds)
        sign = ";" if self.drops else ":"
        return f"{hours:02}:{minutes:02}:{seconds:02}{sign}{frames:02}"

    def frame(self, label: str) -> int:
        """Return the frame of a timecode, counted from the first; the inverse of `label` within a day."""
        return (self._number(label) - self.first) % self.day

    def _number(self, label: str) -> int:
        """Return the number of a label, counted from 00:00:00:00."""
        match = parsed(label)
        hours, minutes, seconds, frames = (int(match[part]) for part in (1, 2, 3, 5))
        if frames >= self.nominal:
            raise UsageError(f"{label!r} is not a timecode of {self.nominal} frames a second")
        minutes += 60 * hours
        if minutes % 10 and not seconds and frames < self._dropped:
            raise UsageError(f"{label!r} does not exist in drop-frame timecode: give another frame")
        whole = (60 * minutes + seconds) * self.nominal + frames
        return whole - self._dropped * (minutes - minutes // 10)

    def beginning(self, label: str) -> Timecode:
        """Return the same timecode with its first frame at `label`; a `;` in it means drop-frame."""
        drops = parsed(label)[4] != ":"
        if drops and self.rate not in DROPPING:
            raise UsageError(
                f"{label!r} is drop-frame timecode, which {float(self.rate):g} frames a second do not allow: "
                "write : before the frames"
            )
        plain = replace(self, drops=drops, first=0)
        return replace(plain, first=plain._number(label))

    def frame_at(self, seconds: Fraction) -> int:
        """Return the frame that begins nearest to a time, both counted from the first frame."""
        return (2 * seconds * self.rate + 1).__floor__() // 2

    def seconds(self, frames: int) -> Fraction:
        """Return the duration of a number of frames."""
        return frames / self.rate


def parsed(label: str) -> re.Match[str]:
    """Return the parts of a timecode of any rate: hours, minutes, seconds, separator, frames."""
    match = LABEL.fullmatch(label.strip())
    if match is None or int(match[1]) > 23:
        raise UsageError(f"{label!r} is not a timecode: write HH:MM:SS:FF, or HH:MM:SS;FF for drop-frame")
    return match


def own_rate(rate: Fraction) -> Fraction:
    """Return the exact rate of timecode for a rounded one: 24000/1001 for 23.976."""
    exact = rate_near(rate)
    if not _is_near(exact, rate):
        known = ", ".join(f"{float(number):.5g}" for number in RATES)
        raise UsageError(f"timecode has no rate of {float(rate):g} frames a second: choose one of {known}")
    return exact


def rate_near(rate: Fraction) -> Fraction:
    """Return the rate of timecode for a video's: the same, a multiple, a divisor, or the nearest.

    A video of 12.5 frames a second is counted at 25, one of 120 at 60.
    """
    near = next((own for own in RATES if _is_near(own, rate)), None)
    above = (own for own in RATES if own > rate and _is_whole(own / rate))
    below = (own for own in reversed(RATES) if own < rate and _is_whole(rate / own))
    return near or next(above, None) or next(below, None) or min(RATES, key=lambda own: _ratio(own, rate))


def holds_all(rate: Fraction) -> bool:
    """Return whether each frame of a video of this rate has its own number at `rate_near`."""
    counted = rate_near(rate)
    return _is_near(counted, rate) or _is_whole(counted / rate)


def _ratio(first: Fraction, second: Fraction) -> Fraction:
    return max(first, second) / min(first, second)


def _is_near(first: Fraction, second: Fraction) -> bool:
    return _ratio(first, second) - 1 < NEAR


def _is_whole(ratio: Fraction) -> bool:
    return round(ratio) > 1 and _is_near(ratio, Fraction(round(ratio)))


def moved(label: str, rate: Fraction, other: Fraction) -> str:
    """Convert a timecode to another rate: the same second, and the frame at the same share of it."""
    match = parsed(label)
    if int(match[5]) >= round(rate):
        return label  # not of this rate: parsing it will raise UsageError
    start, sign, frames = label[:8], match[4], int(match[5]) * round(other) // round(rate)
    drops = sign != ":" and other in DROPPING
    if drops and int(start[3:5]) % 10 and start.endswith(":00"):
        frames = max(frames, round(other) // 15)  # labels before this one are skipped
    return f"{start}{';' if drops else ':'}{frames:02}"
