"""An edit: a video, its timecode and its peaks, in the form that all formats of editing programs need."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fervid.errors import UsageError
from fervid.export.editors import timecode
from fervid.export.editors.timecode import Timecode
from fervid.export.timelines import fields
from fervid.files import encodable
from fervid.types import Peak, Source, Timeline

RECORD = "01:00:00:00"  # where a programme begins by convention
HANDLES = (Fraction(1, 2), Fraction(1, 2))  # seconds of a clip before and after its moment
NOTE = "visible expression as a model reads it, not what a person feels"


@dataclass(frozen=True)
class Moment:
    """A peak with a name; times are exact seconds from the video's first frame."""

    rank: int
    peak: Peak
    name: str
    comment: str
    start: Fraction
    apex: Fraction
    end: Fraction


@dataclass(frozen=True)
class Mark:
    """The marked frames [start, end) of a moment, counted from the video's first frame."""

    moment: Moment
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Piece:
    """A range of the video's frames on the programme's timeline, with its marks."""

    name: str
    start: int
    end: int
    record: int  # frames from the programme's start
    marks: tuple[Mark, ...]

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Edit:
    """The moments of a video, by time.

    As markers, the programme is the whole video with a mark on each moment; as clips, it is the moments
    one after another.
    """

    name: str  # the video's file name
    reel: str | None
    timecode: Timecode  # of the video
    duration: Fraction  # seconds
    rate: Fraction  # mean frames per second, which timecode may not have
    width: int
    height: int
    audio_channels: int
    clock_offset: Fraction  # seconds that a player's clock is ahead
    moments: tuple[Moment, ...]
    as_clips: bool = False
    marks_stretches: bool = False  # marks cover whole moments instead of the apex
    remarks: tuple[str, ...] = ()  # messages for the user

    @property
    def title(self) -> str:
        return f"Peaks of {self.name}"

    @property
    def frames(self) -> int:
        return max(1, self.timecode.frame_at(self.duration))

    @property
    def length(self) -> int:
        """The programme's length in frames."""
        return sum(piece.length for piece in self.pieces())

    @property
    def record(self) -> Timecode:
        """The programme's timecode: the video's own, unless the video is cut into clips."""
        if not self.as_clips:
            return self.timecode
        return self.timecode.beginning(RECORD[:8] + (";" if self.timecode.drops else ":") + RECORD[9:])

    def stretch(self, moment: Moment) -> tuple[int, int]:
        """Return the frames [start, end) of a moment: at least one, within the video."""
        start = min(self.timecode.frame_at(moment.start), self.frames - 1)
        return start, min(max(self.timecode.frame_at(moment.end), start + 1), self.frames)

    def mark(self, moment: Moment) -> Mark:
        if self.marks_stretches:
            return Mark(moment, *self.stretch(moment))
        apex = min(self.timecode.frame_at(moment.apex), self.frames - 1)
        return Mark(moment, apex, apex + 1)

    def pieces(self) -> list[Piece]:
        """Return the pieces of the programme, in order."""
        if not self.as_clips:
            return [Piece(self.name, 0, self.frames, 0, tuple(map(self.mark, self.moments)))]
        pieces: list[Piece] = []
        for moment in self.moments:
            start, end = self.stretch(moment)
            record = pieces[-1].record + pieces[-1].length if pieces else 0
            # The clip is the whole moment, so the mark is at the apex.
            apex = min(max(self.timecode.frame_at(moment.apex), start), end - 1)
            pieces.append(Piece(moment.name, start, end, record, (Mark(moment, apex, apex + 1),)))
        return pieces


def plan(
    timeline: Timeline,
    *,
    pad: tuple[Fraction, Fraction] | None = None,
    as_clips: bool = False,
    rate: Fraction | None = None,
    begin: str | None = None,
) -> Edit:
    """Plan the edit of a timeline's peaks, which are in the order of their rank.

    A moment is a peak from onset to offset, extended by `pad` (clips: by HANDLES if it is None). `rate` and
    `begin` replace the rate and start of the video's timecode.
    """
    source = timeline.source
    own = Fraction(25) if source.rate is None else source.rate
    counted = timecode.rate_near(own) if rate is None else timecode.own_rate(rate)
    further = pad or (HANDLES if as_clips else (Fraction(0), Fraction(0)))
    moments = [_moment(rank, peak, timeline, further) for rank, peak in enumerate(timeline.peaks, 1)]
    numbering, remarks = _numbering(source, own, counted, begin)
    return Edit(
        name=encodable(source.name),
        reel=encodable(source.reel or "") or None,
        timecode=numbering,
        duration=source.duration * source.time_base,
        rate=own,
        width=source.width,
        height=source.height,
        audio_channels=source.audio_channels,
        clock_offset=fields.clock_offset(source),
        moments=tuple(sorted(moments, key=lambda moment: (moment.apex, moment.rank))),
        as_clips=as_clips,
        marks_stretches=pad is not None,
        remarks=(*remarks, *_remarks(source, own, counted, is_chosen=rate is not None)),
    )


def _moment(rank: int, peak: Peak, timeline: Timeline, pad: tuple[Fraction, Fraction]) -> Moment:
    source, names = timeline.source, timeline.names
    duration = source.duration * source.time_base
    onset, apex, offset = (
        (pts - source.start) * source.time_base for pts in (peak.onset, peak.apex, peak.offset)
    )
    score = fields.number(peak.score)  # as in JSON, so that a timeline read from a file gives the same text
    who = "" if peak.person is None else f"{encodable(names.get(peak.person, peak.person))}: "
    return Moment(
        rank=rank,
        peak=peak,
        name=f"{who}{peak.emotion} {score:.0%}",
        comment=f"rank {rank}; {NOTE}",
        start=min(max(onset - pad[0], Fraction(0)), duration),
        apex=min(max(apex, Fraction(0)), duration),
        end=min(max(offset + pad[1], Fraction(0)), duration),
    )


def _numbering(
    source: Source, own: Fraction, counted: Fraction, begin: str | None
) -> tuple[Timecode, list[str]]:
    """Return the video's timecode, and messages about it."""
    plain = Timecode(counted)
    if begin is not None:
        return plain.beginning(begin), []
    if source.timecode is None:
        return plain, []
    try:
        return plain.beginning(timecode.moved(source.timecode, own, counted)), []
    except UsageError as error:
        return plain, [f"its start timecode is ignored: {error}"]


def _remarks(source: Source, own: Fraction, counted: Fraction, is_chosen: bool) -> list[str]:
    remarks = []
    if source.has_variable_rate:
        remarks.append(
            f"its rate varies ({float(own):.5g} frames a second on average): moments are set by time, at "
            f"{float(counted):.5g}; give the rate of your sequence with --timecode-rate, or better, "
            "edit a copy of constant rate"
        )
    elif not is_chosen and not timecode.holds_all(own):
        remarks.append(
            f"timecode has no rate of {float(own):.5g} frames a second: moments are set by time, at "
            f"{float(counted):.5g}; give the rate of your sequence with --timecode-rate"
        )
    late = fields.clock_offset(source)
    if late * counted >= Fraction(1, 2):
        remarks.append(
            f"its pictures begin {float(late):.3f} s into the file: frames are counted from the first picture"
        )
    return remarks
