"""`fervid peaks --cut` and `--montage`: the chosen moments as clips, and as one reel."""

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
from fervid.cli.shared.messages import Messages, log
from fervid.errors import InputError, UsageError

if TYPE_CHECKING:
    from fervid.types import Peak, Timeline, Video

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".ts")
ENCODED = ".mp4"  # of clips that are encoded anew
LONGEST_NAME = 40  # letters of a person's name in a file's name


OPTIONS: list[options.Decorator[Any]] = [
    click.option("--cut", metavar="DIR", help="Write each moment as a clip into this folder."),
    options.target("--montage", help="Write the moments, in order of time, as one reel."),
    click.option(
        "--exact", is_flag=True, help="Encode clips anew to begin at the very frame, not at a keyframe."
    ),
    click.option("--video", metavar="FILE", help="The video of a timeline, for --cut and --montage."),
]
NAMES = ("cut", "montage", "exact", "video")


def split(values: dict[str, Any], pad: tuple[Fraction, Fraction] | None, overwrite: bool) -> Cuts:
    """Take the options of OPTIONS out of a command's parameters."""
    from fervid.export.editors.edit import HANDLES

    return Cuts(**{name: values.pop(name) for name in NAMES}, pad=pad or HANDLES, overwrite=overwrite)


@dataclass(frozen=True)
class Cuts:
    """What is asked for."""

    cut: str | None
    montage: str | None
    pad: tuple[Fraction, Fraction]
    exact: bool
    video: str | None
    overwrite: bool

    @property
    def are_asked_for(self) -> bool:
        return self.cut is not None or self.montage is not None

    @property
    def targets(self) -> list[str]:
        return [] if self.montage is None else [self.montage]

    @property
    def inputs(self) -> list[str]:
        return [] if self.video is None else [self.video]

    def check(self, is_timeline: bool) -> None:
        """Refuse, before any work, what cannot be done; the folder is made here."""
        if not self.are_asked_for:
            for option, value in (("--exact", self.exact), ("--video", self.video)):
                if value:
                    raise UsageError(f"{option} is about clips: say where they go with --cut or --montage")
            return
        if is_timeline and self.video is None:
            raise UsageError("a timeline holds no pictures: name the video that it is of with --video")
        if not is_timeline and self.video is not None:
            raise UsageError("--video is for timelines, and this input is a video itself: leave it out")
        if self.montage is not None and Path(self.montage).suffix.lower() not in SUFFIXES:
            raise UsageError(f"the montage {self.montage} should end in one of {', '.join(SUFFIXES)}")
        if self.cut is not None:
            output.make_folder(self.cut)

    def write(self, messages: Messages, timeline: Timeline, path: str) -> None:
        """Cut the timeline's peaks out of its video, which is `path` where none was named."""
        if not self.are_asked_for:
            return
        if not timeline.peaks:
            if self.montage is not None:
                raise InputError("no moment was chosen, so there is no montage: ask for others")
            return
        from fervid.video import planning

        Cutter(self, messages, planning.of(timeline.source, self.video or path)).write(timeline.peaks)


class Cutter:
    """Cuts one video, and tells of it."""

    def __init__(self, cuts: Cuts, messages: Messages, video: Video) -> None:
        self.cuts, self.messages, self.video = cuts, messages, video
        self._told: set[str] = set()

    def write(self, peaks: Sequence[Peak]) -> None:
        if self.cuts.cut is not None:
            self._write_clips(peaks, Path(self.cuts.cut))
        if self.cuts.montage is not None:
            self._write_montage(peaks, self.cuts.montage)

    def _write_clips(self, peaks: Sequence[Peak], folder: Path) -> None:
        from fervid.video.cutting import copy_suffix

        suffix = copy_suffix(self.video)
        is_encoded = self._is_encoded(suffix)
        suffix = ENCODED if is_encoded else suffix
        names = [name_of(peak, place, self.video) + suffix for place, peak in enumerate(peaks, 1)]
        targets = [str(folder / name) for name in names]
        output.check_targets(targets, [self.video.path], self.cuts.overwrite, self.messages.log_file)
        early = [
            self._make([peak], target, is_encoded, describe(peak, self.video))
            for peak, target in zip(peaks, targets, strict=True)
        ]
        self._tell(f"wrote {len(targets)} clip{'s' * (len(targets) > 1)} into {folder}", max(early))

    def _write_montage(self, peaks: Sequence[Peak], target: str) -> None:
        suffix = Path(target).suffix.lower()
        is_encoded = self._is_encoded(suffix)
        if is_encoded and suffix == ".webm":
            raise UsageError("H.264 does not go into .webm: name the montage .mp4, .mov or .mkv")
        moments = f"{len(peaks)} moment{'s' * (len(peaks) > 1)}"
        early = self._make(peaks, target, is_encoded, f"{moments} of {self.video.name}, chosen by fervid")
        self._tell(f"wrote {target}", early)

    def _make(self, peaks: Sequence[Peak], target: str, is_encoded: bool, title: str) -> float:
        """Write moments as one file; gives by how many seconds a copy begins too early, at most."""
        from fervid.export.timelines.shapes import NOTE
        from fervid.video import cutting

        video, suffix = self.video, Path(target).suffix.lower()
        wanted = [padded(peak, self.cuts.pad, video) for peak in peaks]
        exact = [cutting.at_frames(video, *moment) for moment in wanted]
        note = {"title": title, "comment": NOTE}
        if is_encoded:
            pieces = cutting.merged(exact)
            length = sum(piece.stop - piece.start for piece in pieces)
            with self.messages.bar(Path(target).name) as bar, output.open_binary(target) as stream:
                bar.begin(float(length * video.time_base))
                cutting.encode(video, pieces, stream, suffix, note, bar.tick)
            return 0.0
        copied = [cutting.at_keyframes(video, *moment) for moment in wanted]
        with output.open_binary(target) as stream:
            cutting.copy(video, cutting.merged(copied), stream, suffix, note)
        early = max(one.start - other.start for one, other in zip(exact, copied, strict=True))
        return float(early * video.time_base)

    def _is_encoded(self, suffix: str) -> bool:
        """Whether such a file has to be encoded; says why where it was not asked for."""
        from fervid.video.cutting import obstacle

        if self.cuts.exact:
            return True
        reason = obstacle(self.video, suffix)
        if reason is not None and reason not in self._told:
            log.warning("%s cannot be copied: %s. It is encoded anew", self.video.name, reason)
            self._told.add(reason)
        return reason is not None

    def _tell(self, text: str, early: float) -> None:
        if not self.messages.quiet:
            hint = f", beginning at keyframes up to {early:.1f} s early (--exact does not)"
            self.messages.say(text + (hint if early >= 0.05 else ""))


def padded(peak: Peak, pad: tuple[Fraction, Fraction], video: Video) -> tuple[int, int]:
    """The moment with what stands before and after it, within the video."""
    start = max(video.start, peak.onset - video.length(pad[0]))
    stop = min(video.end, peak.offset + video.length(pad[1]))
    return start, max(stop, start + 1)


def name_of(peak: Peak, place: int, video: Video) -> str:
    """`001_happiness_P1_00-01-23`: sorts by rank; the time is the apex."""
    who = f"T{peak.track}" if peak.person is None else safe(peak.person)
    time = "{:02}-{:02}-{:02}".format(*times.split(int(video.seconds(peak.apex))))
    return f"{place:03}_{safe(peak.emotion)}_{who}_{time}"


def safe(name: str) -> str:
    """A name as every file system takes it: letters of any script, digits and dashes."""
    kept = re.sub(r"[\W_]+", "-", unicodedata.normalize("NFC", name)).strip("-")
    return kept[:LONGEST_NAME] or "unnamed"


def describe(peak: Peak, video: Video) -> str:
    """What a player shows as a clip's title."""
    who = "" if peak.person is None else f" of {peak.person}"
    return f"visible {peak.emotion}{who} at {times.clock(video.seconds(peak.apex))} of {video.name}"
