"""Timecode: the numbers of frames as editing programs write them, in whole numbers alone.

Timecode counts frames and writes their number as if there were a whole number of them in a second. At 29.97
it runs behind the clock; drop-frame timecode leaves out labels, never frames, so as to keep up with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from fervid.errors import UsageError
from fervid.times import split

LABEL = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d\d\d?)")
# The rates that timecode has, in frames per second.
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
DROPPING = (Fraction(30000, 1001), Fraction(60000, 1001))  # the rates at which labels may be dropped
# Files write 23.976 or 23.98 for 24000/1001; the nearest other rate lies five times as far.
NEAR = Fraction(2, 10_000)


@dataclass(frozen=True)
class Timecode:
    """A way to number frames: how many there are in a second, whether labels are dropped, where it begins."""

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
        """Frames in a second of labels."""
        return round(self.rate)

    @property
    def is_ntsc(self) -> bool:
        return self.rate.denominator == 1001

    @property
    def day(self) -> int:
        """Frames until labels begin anew."""
        return 24 * 6 * self._ten_minutes

    @property
    def _dropped(self) -> int:
        """Labels that are left out at the head of a minute: 2 of 30, 4 of 60."""
        return self.nominal // 15 if self.drops else 0

    @property
    def _ten_minutes(self) -> int:
        return 600 * self.nominal - 9 * self._dropped

    def label(self, frame: int) -> str:
        """The timecode of a frame, counted from the first: HH:MM:SS:FF, or ;FF where labels are dropped."""
        tens, rest = divmod((self.first + frame) % self.day, self._ten_minutes)
        # Of ten minutes, the first is whole; each of the others lacks its first labels.
        minute = max(0, rest - self._dropped) // (60 * self.nominal - self._dropped)
        number = rest + minute * self._dropped  # as if no label were left out
        seconds, frames = divmod(tens * 600 * self.nominal + number, self.nominal)
        hours, minutes, seconds = split(seconds)
        sign = ";" if self.drops else ":"
        return f"{hours:02}:{minutes:02}:{seconds:02}{sign}{frames:02}"

    def frame(self, label: str) -> int:
        """The frame that a timecode names, counted from the first one; inverts `label` within a day."""
        return (self._number(label) - self.first) % self.day

    def _number(self, label: str) -> int:
        """The number of a label, counted from 00:00:00:00."""
        found = parsed(label)
        hours, minutes, seconds, frames = (int(found[part]) for part in (1, 2, 3, 5))
        if frames >= self.nominal:
            raise UsageError(f"{label!r} is no timecode of {self.nominal} frames a second")
        minutes += 60 * hours
        if minutes % 10 and not seconds and frames < self._dropped:
            raise UsageError(f"{label!r} is left out of drop-frame timecode: name another frame")
        whole = (60 * minutes + seconds) * self.nominal + frames
        return whole - self._dropped * (minutes - minutes // 10)

    def beginning(self, label: str) -> Timecode:
        """The same, with its first frame at a timecode; `;` in that asks for dropped labels."""
        drops = parsed(label)[4] != ":"
        if drops and self.rate not in DROPPING:
            raise UsageError(
                f"{label!r} is drop-frame timecode, which {float(self.rate):g} frames a second do not have: "
                "write : before the frames"
            )
        plain = replace(self, drops=drops, first=0)
        return replace(plain, first=plain._number(label))

    def frame_at(self, seconds: Fraction) -> int:
        """The frame that begins nearest to a moment, both counted from the first one."""
        return (2 * seconds * self.rate + 1).__floor__() // 2

    def seconds(self, frames: int) -> Fraction:
        """How long so many frames last."""
        return frames / self.rate


def parsed(label: str) -> re.Match[str]:
    """The parts of a timecode of any rate: hours, minutes, seconds, sign, frames."""
    found = LABEL.fullmatch(label.strip())
    if found is None or int(found[1]) > 23:
        raise UsageError(f"{label!r} is no timecode: write HH:MM:SS:FF, or HH:MM:SS;FF for drop-frame")
    return found


def own_rate(rate: Fraction) -> Fraction:
    """A rate of timecode by its usual name: 23.976 is 24000/1001."""
    found = rate_near(rate)
    if not _is_near(found, rate):
        known = ", ".join(f"{float(each):.5g}" for each in RATES)
        raise UsageError(f"timecode has no rate of {float(rate):g} frames a second: choose among {known}")
    return found


def rate_near(rate: Fraction) -> Fraction:
    """The rate of timecode that suits a video's: its own, one that holds all its frames, or the nearest.

    So 12.5 pictures a second are counted at 25, and 120 at 60.
    """
    near = next((own for own in RATES if _is_near(own, rate)), None)
    above = (own for own in RATES if own > rate and _is_whole(own / rate))
    below = (own for own in reversed(RATES) if own < rate and _is_whole(rate / own))
    return near or next(above, None) or next(below, None) or min(RATES, key=lambda own: _ratio(own, rate))


def holds_all(rate: Fraction) -> bool:
    """Whether each frame of a video of this rate has a number of its own at `rate_near`."""
    counted = rate_near(rate)
    return _is_near(counted, rate) or _is_whole(counted / rate)


def _ratio(one: Fraction, other: Fraction) -> Fraction:
    return max(one, other) / min(one, other)


def _is_near(one: Fraction, other: Fraction) -> bool:
    return _ratio(one, other) - 1 < NEAR


def _is_whole(ratio: Fraction) -> bool:
    return round(ratio) > 1 and _is_near(ratio, Fraction(round(ratio)))


def moved(label: str, rate: Fraction, other: Fraction) -> str:
    """A timecode of one rate as another writes it: the same second, and the frame that far into it."""
    found = parsed(label)
    if int(found[5]) >= round(rate):
        return label  # it is none of this rate; whoever reads it will say so
    start, sign, frames = label[:8], found[4], int(found[5]) * round(other) // round(rate)
    drops = sign != ":" and other in DROPPING
    if drops and int(start[3:5]) % 10 and start.endswith(":00"):
        frames = max(frames, round(other) // 15)  # a label that is left out
    return f"{start}{';' if drops else ':'}{frames:02}"
