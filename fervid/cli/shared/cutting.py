"""`fervid peaks --cut` and `--montage`: write the chosen moments as clips, and as one reel."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid import times
from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import video_label
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.values import NumberRange
from fervid.errors import InputError, UsageError

if TYPE_CHECKING:
    from fervid.types import Peak, Timeline, Video

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".ts")
ENCODED = ".mp4"  # the suffix of encoded clips
LONGEST_NAME = 40  # letters of a name in a file name
EARLIEST = Fraction(1)  # seconds: a copy that would begin earlier before its moment is encoded instead

OPTIONS: list[options.Decorator[Any]] = [
    click.option("--cut", metavar="DIR", help="Write each moment as a clip into DIR."),
    options.target("--montage", help="Write the moments, in order of time, as one reel."),
    click.option(
        "--length",
        type=NumberRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Limit the length of --montage: the lowest peaks are left out.",
    ),
    click.option(
        "--exact",
        is_flag=True,
        help="Encode clips, so that they begin at the exact frame.  [default: if copies would begin over "
        "a second early]",
    ),
    click.option(
        "--copy",
        is_flag=True,
        help="Never encode clips: copy them from the last keyframe before, even if that is much earlier.",
    ),
    click.option("--video", metavar="FILE", help="The video of a timeline, for --cut and --montage."),
]
NAMES = ("cut", "montage", "length", "exact", "copy", "video")


def split(values: dict[str, Any], pad: tuple[Fraction, Fraction] | None, overwrite: bool) -> Cuts:
    """Take the options of OPTIONS out of a command's parameters."""
    from fervid.export.editors.edit import HANDLES

    return Cuts(**{name: values.pop(name) for name in NAMES}, pad=pad or HANDLES, overwrite=overwrite)


@dataclass(frozen=True)
class Cuts:
    """The requested clips and reel."""

    cut: str | None
    montage: str | None
    length: float | None
    pad: tuple[Fraction, Fraction]
    exact: bool
    copy: bool
    video: str | None
    overwrite: bool

    @property
    def are_requested(self) -> bool:
        return self.cut is not None or self.montage is not None

    @property
    def targets(self) -> list[str]:
        return [] if self.montage is None else [self.montage]

    @property
    def inputs(self) -> list[str]:
        return [] if self.video is None else [self.video]

    def check(self, is_timeline: bool) -> None:
        """Check the options before any work, and create the folder."""
        if self.exact and self.copy:
            raise UsageError("--exact and --copy cannot be combined: give one of them")
        if self.length is not None and self.montage is None:
            raise UsageError("--length is the length of a reel: add --montage")
        if not self.are_requested:
            for option, value in (("--exact", self.exact), ("--copy", self.copy), ("--video", self.video)):
                if value:
                    raise UsageError(f"{option} needs --cut or --montage: add one of them")
            return
        if is_timeline and self.video is None:
            raise UsageError("a timeline contains no pictures: give its video with --video")
        if not is_timeline and self.video is not None:
            raise UsageError("--video is for timelines, and this input is a video: leave it out")
        if self.montage is not None and Path(self.montage).suffix.lower() not in SUFFIXES:
            raise UsageError(f"the montage {self.montage} must end in one of {', '.join(SUFFIXES)}")
        if self.cut is not None:
            output.make_folder(self.cut)

    def write(self, messages: Messages, timeline: Timeline, path: str) -> None:
        """Cut the timeline's peaks from --video, or from the video at `path`."""
        if not self.are_requested:
            return
        if not timeline.peaks:
            if self.montage is not None:
                raise InputError("no peaks match, so there is no montage: choose other peaks")
            return
        from fervid.video import planning

        Cutter(self, messages, planning.plan_known(timeline.source, self.video or path)).write(timeline.peaks)


class Cutter:
    """The writer of one video's clips and reel."""

    def __init__(self, cuts: Cuts, messages: Messages, video: Video) -> None:
        self.cuts, self.messages, self.video = cuts, messages, video
        self._warned: set[str] = set()
        self._hint = ""

    def write(self, peaks: Sequence[Peak]) -> None:
        if self.cuts.cut is not None:
            self._write_clips(peaks, Path(self.cuts.cut))
        if self.cuts.montage is not None:
            self._write_montage(peaks, self.cuts.montage)

    def _write_clips(self, peaks: Sequence[Peak], folder: Path) -> None:
        from fervid.video.cutting import copy_suffix

        suffix = copy_suffix(self.video)
        is_encoded = self._is_encoded(suffix, peaks)
        suffix = ENCODED if is_encoded else suffix
        names = [name_of(peak, rank, self.video) + suffix for rank, peak in enumerate(peaks, 1)]
        targets = [str(folder / name) for name in names]
        output.check_targets(targets, [self.video.path], self.cuts.overwrite, self.messages.log_file)
        early = [
            self._make([peak], target, is_encoded, describe(peak, self.video))
            for peak, target in zip(peaks, targets, strict=True)
        ]
        self._report(f"wrote {len(targets)} clip{'s' * (len(targets) > 1)} into {folder}", max(early))

    def _write_montage(self, peaks: Sequence[Peak], target: str) -> None:
        suffix = Path(target).suffix.lower()
        is_encoded = self._is_encoded(suffix, peaks, can_encode=suffix != ".webm")
        if is_encoded and suffix == ".webm":
            raise UsageError("a .webm file cannot contain H.264: name the montage .mp4, .mov or .mkv")
        shown = peaks if self.cuts.length is None else self._fitting(peaks, is_encoded, self.cuts.length)
        moments = f"{len(shown)} moment{'s' * (len(shown) > 1)}"
        early = self._make(shown, target, is_encoded, f"{moments} of {self.video.name}, chosen by fervid")
        if len(shown) < len(peaks):
            moments = f"{len(shown)} of {len(peaks)} moments"
        length = times.format_seconds(self._length(shown, is_encoded))
        self._report(f"wrote {target}: {moments}, {length}", early)

    def _fitting(self, peaks: Sequence[Peak], is_encoded: bool, length: float) -> list[Peak]:
        """Return the highest peaks of which a reel is no longer than `length`."""
        fitting: list[Peak] = []
        for peak in peaks:
            if float(self._length([*fitting, peak], is_encoded)) <= length:
                fitting.append(peak)
        if not fitting:
            shortest = times.format_seconds(min(self._length([peak], is_encoded) for peak in peaks))
            raise InputError(f"no moment fits into {length:g} s: the shortest lasts {shortest}")
        return fitting

    def _length(self, peaks: Sequence[Peak], is_encoded: bool) -> Fraction:
        """Return the seconds of a reel of these peaks."""
        from fervid.video import cutting

        cut = cutting.at_frames if is_encoded else cutting.at_keyframes
        pieces = cutting.merged([cut(self.video, *padded(peak, self.cuts.pad, self.video)) for peak in peaks])
        return sum(piece.stop - piece.start for piece in pieces) * self.video.time_base

    def _make(self, peaks: Sequence[Peak], target: str, is_encoded: bool, title: str) -> float:
        """Write moments as one file; return the most seconds by which a copied moment begins too early."""
        from fervid.export.timelines.fields import NOTE
        from fervid.video import cutting

        video, suffix = self.video, Path(target).suffix.lower()
        moments = [padded(peak, self.cuts.pad, video) for peak in peaks]
        exact = [cutting.at_frames(video, *moment) for moment in moments]
        note = {"title": title, "comment": NOTE}
        if is_encoded:
            pieces = cutting.merged(exact)
            length = sum(piece.stop - piece.start for piece in pieces)
            with (
                self.messages.bar(Path(target).name) as bar,
                output.open_binary(target, self.cuts.overwrite) as stream,
            ):
                bar.begin(float(length * video.time_base))
                cutting.encode(video, pieces, stream, suffix, note, bar.tick)
            return 0.0
        copied = [cutting.at_keyframes(video, *moment) for moment in moments]
        with output.open_binary(target, self.cuts.overwrite) as stream:
            cutting.copy(video, cutting.merged(copied), stream, suffix, note)
        early = max(wanted.start - copy.start for wanted, copy in zip(exact, copied, strict=True))
        return float(early * video.time_base)

    def _early(self, peaks: Sequence[Peak]) -> Fraction:
        """Return the most seconds by which a copied moment would begin too early."""
        from fervid.video.cutting import at_frames, at_keyframes

        moments = [padded(peak, self.cuts.pad, self.video) for peak in peaks]
        starts = ((at_frames(self.video, *moment), at_keyframes(self.video, *moment)) for moment in moments)
        return max(exact.start - copy.start for exact, copy in starts) * self.video.time_base

    def _is_encoded(self, suffix: str, peaks: Sequence[Peak], can_encode: bool = True) -> bool:
        """Return whether files have to be encoded; warn if that is because they cannot be copied."""
        from fervid.video.cutting import copy_obstacle

        if self.cuts.exact:
            return True
        early = self._early(peaks)
        if early >= EARLIEST and can_encode and not self.cuts.copy:
            self._hint = (
                ", encoded to begin at the exact frames (--copy is faster, but begins up to "
                f"{float(early):.1f} s early)"
            )
            return True
        reason = copy_obstacle(self.video, suffix)
        if reason is not None and reason not in self._warned:
            log.warning("%s is encoded again; it cannot be copied: %s", video_label(self.video.name), reason)
            self._warned.add(reason)
        return reason is not None

    def _report(self, text: str, early: float) -> None:
        if early >= 0.05:
            self._hint = f", at keyframes up to {early:.1f} s early (use --exact to avoid this)"
        if not self.messages.quiet:
            self.messages.say(text + self._hint)
        self._hint = ""


def padded(peak: Peak, pad: tuple[Fraction, Fraction], video: Video) -> tuple[int, int]:
    """Return the moment with its pads, within the video, in pts."""
    start = max(video.start, peak.onset - video.length(pad[0]))
    stop = min(video.end, peak.offset + video.length(pad[1]))
    return start, max(stop, start + 1)


def name_of(peak: Peak, rank: int, video: Video) -> str:
    """Return a file name such as `001_happiness_P1_00-01-23`: rank, emotion, person, time of the apex."""
    who = f"T{peak.track}" if peak.person is None else safe(peak.person)
    time = "{:02}-{:02}-{:02}".format(*times.split_seconds(int(video.seconds(peak.apex))))
    return f"{rank:03}_{safe(peak.emotion)}_{who}_{time}"


def safe(name: str) -> str:
    """Return a name that is valid on every file system: letters of any script, digits and dashes."""
    valid = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", name)).strip("-")
    return valid[:LONGEST_NAME] or "unnamed"


def describe(peak: Peak, video: Video) -> str:
    """Return a clip's title, as a player shows it."""
    who = "" if peak.person is None else f" of {peak.person}"
    return f"visible {peak.emotion}{who} at {times.format_seconds(video.seconds(peak.apex))} of {video.name}"
