"""Types of values on the command line: times, rates, numbers, limits."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from fervid.errors import UsageError
from fervid.files import parse_size
from fervid.files.urls import LIMIT, Limit
from fervid.times import parse_number

if TYPE_CHECKING:
    from fervid.types import Video

SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)s?")
FRAMES = re.compile(r"(\d{1,18})f")
DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*(s|min|h)")
DURATIONS = {"s": 1, "min": 60, "h": 3600}
TIMECODE = re.compile(r"(?:(\d{1,18}):)?(\d{1,2}):(\d{1,2}(?:\.\d*)?)")


@dataclass(frozen=True)
class TimePoint:
    """A time on the command line: seconds from the first frame, or a frame number."""

    seconds: Fraction | None = None
    frame: int | None = None

    def of(self, video: Video) -> Fraction:
        """Return the seconds from the first frame of `video`."""
        if self.seconds is not None:
            return self.seconds
        assert self.frame is not None
        if self.frame < len(video.pts):
            return (int(video.pts[self.frame]) - video.start) * video.time_base
        if self.frame == len(video.pts):  # the end of the last frame, for half-open ranges
            return video.duration * video.time_base
        raise UsageError(
            f"{video.name} has {len(video.pts)} frames, counted from 0: it has no frame {self.frame}"
        )


class TimePointType(click.ParamType[TimePoint]):
    """A number of seconds, a frame `90f`, or a timecode `HH:MM:SS.mmm` or `MM:SS`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TimePoint:
        if isinstance(value, TimePoint):
            return value
        text = str(value).strip()
        with suppress(ValueError):  # a number of unusual length
            if match := SECONDS.fullmatch(text):
                return TimePoint(seconds=parse_number(match[1]))
            if match := FRAMES.fullmatch(text):
                return TimePoint(frame=int(match[1]))
            if (match := TIMECODE.fullmatch(text)) and int(match[2]) < 60 and parse_number(match[3]) < 60:
                hours, minutes = int(match[1] or 0), int(match[2])
                return TimePoint(seconds=hours * 3600 + minutes * 60 + parse_number(match[3]))
        self.fail(f"{value!r} is not a time: give seconds (90.5), frames (90f) or a timecode (1:02:03.5)")


class RateType(click.ParamType[Fraction]):
    """Frames per second: a number or a fraction such as 24000/1001."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        try:
            rate = parse_number(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a rate: give frames per second, such as 12.5 or 24000/1001")
        if rate <= 0:
            self.fail(f"a rate must be above 0, not {value}")
        return rate


class NumberRange(click.FloatRange):
    """A finite number in a range; click takes inf and nan for numbers, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number")
        return number


class SecondsType(click.ParamType[float]):
    """A length of time in seconds, at least 0 and finite."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            self.fail(f"{value!r} is not a number of seconds, such as 2.5")
        return seconds


class LimitType(click.ParamType[Limit]):
    """The most bytes and time of a download: 5GB, 2h, or both with a comma between."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        limit = LIMIT
        for part in map(str.strip, str(value).split(",")):
            try:
                if match := DURATION.fullmatch(part):
                    limit = replace(limit, seconds=float(match[1]) * DURATIONS[match[2]])
                else:
                    limit = replace(limit, size=parse_size(part))
            except ValueError:
                self.fail(f"{value!r} is not a limit: give a size, a time or both, such as 5GB,30min or 2h")
        return limit
