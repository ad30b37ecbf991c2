"""The analysis of a feed while it runs: one pass from frames to events, by the stages of `fervid analyze`."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Event as Flag

from fervid.errors import InputError
from fervid.faces import tracks
from fervid.faces.finder import FaceFinder
from fervid.faces.tracks import Observed
from fervid.live.events import Begun, Ended, Event, Gap, LiveFace, LiveFrame, LiveSegment
from fervid.live.following import FollowedFace
from fervid.live.frame_queue import FeedEnd, FrameQueue
from fervid.live.latencies import Latencies
from fervid.live.record import Record
from fervid.model import Model
from fervid.types import Frame, ModelInfo, Segment, Settings, Tally, Video
from fervid.video import shots
from fervid.video.feed import Arrival, Feed
from fervid.video.opening import STILLS_RATE

REMEMBERED = 1024  # frames with an arrival that is kept, for the latency of segments


@dataclass(frozen=True)
class Options:
    """The options of a live analysis."""

    settings: Settings
    patience: float = 5.0  # seconds without a frame after which the tracks end
    keeps: bool = False  # whether the timeline is kept


@dataclass(eq=False)
class _Pending:
    """A frame with faces that have no scores yet."""

    number: int
    moment: float
    dropped: int
    missing: set[int]  # numbers of tracks
    faces: list[LiveFace] = field(default_factory=list)


class LiveAnalysis:
    """A live analysis: `events` yields frames, segments and gaps of the feed as soon as they are final."""

    def __init__(
        self, feed: Feed, queue: FrameQueue, model: Model, info: ModelInfo, options: Options, stopped: Flag
    ) -> None:
        self._feed, self._queue, self._stopped = feed, queue, stopped
        self._model, self._info, self._options = model, info, options
        self._finder = FaceFinder.of(options.settings)
        self._record = Record() if options.keeps else None
        self._latencies = Latencies()
        self._entered: deque[tuple[int, float]] = deque()  # number and moment of frames before following
        self._pending: dict[int, _Pending] = {}  # by pts, in order
        self._open: dict[int, FollowedFace] = {}  # by track number
        self._ends: dict[int, int] = {}  # of tracks that the last frame does not show: the frame after them
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)  # pts and moment
        self._frames = self._sampled = self._with_faces = self._segments = self._tracks = self._gaps = 0
        self._next = 0  # number of the next frame, if none is dropped
        self._lost = 0  # frames that were dropped since the last one that is reported

    @property
    def kept(self) -> dict[str, int]:
        """The number of things in memory, by kind; none grows with time."""
        return {
            "waiting": self._queue.deepest,
            "entered": len(self._entered),
            "pending": len(self._pending),
            "tracks": len(self._open),
            "rows": sum(face.rows for face in self._open.values()),
            "arrivals": len(self._arrivals),
        }

    def events(self) -> Iterator[Event]:
        """Yield the events until the feed ends; raise the feed's error if there was no frame at all."""
        ended: FeedEnd | None = None
        is_silent = False
        while not (self._stopped.is_set() or (ended is not None and ended.is_final)):
            item = self._queue.take(self._options.patience)
            ended = item if isinstance(item, FeedEnd) else None
            if isinstance(item, Arrival):
                assert self._feed.video is not None
                if not self._frames:
                    yield Begun(self._feed.video, self._info, self._options.settings.as_json())
                ended = yield from self._session(self._feed.video, item)
                if not self._stopped.is_set() and (ended is None or ended.error is not None):
                    yield self._gap(ended)
            elif ended is not None and not self._frames:
                raise ended.error or InputError(f"{self._feed.origin.label} has no picture: check its source")
            elif item is None and not self._frames and not is_silent and not self._stopped.is_set():
                is_silent = True
                yield self._gap(None)
            if ended is not None and ended.error is not None and not isinstance(ended.error, InputError):
                raise ended.error
        yield self._end(is_complete=ended is None or ended.error is None)

    def _gap(self, ended: FeedEnd | None) -> Gap:
        self._gaps += 1
        reason = f"no frame for {self._options.patience:g} s" if ended is None else str(ended.error)
        return Gap(self._arrivals[-1][0] if self._arrivals else None, reason)

    def _session(self, video: Video, first: Arrival) -> Generator[Event, None, FeedEnd | None]:
        """Yield the events of frames up to a gap, where all tracks end; return the reason for the gap."""
        before: int = self._tracks
        ends: list[FeedEnd] = []
        self._mark(first.frame.pts)
        marked = shots.mark(self._taken(first, ends.append))
        for observed in tracks.follow(video, marked, self._finder, self._options.settings):
            number, moment = self._entered.popleft()
            self._arrivals.append((observed.pts, moment))
            self._frames += 1
            self._with_faces += bool(observed.faces)
            self._lost += number - self._next
            self._next = number + 1
            if observed.cut:
                yield from self._close_all(observed.pts)
                self._mark(observed.pts)
            if observed.sampled:
                self._sampled += 1
                # `follow` numbers the tracks of each session from 0.
                faces = {before + 1 + face.track: face for face in observed.faces}
                self._tracks = max([self._tracks, *faces])
                self._pending[observed.pts] = _Pending(number, moment, self._lost, set(faces))
                self._lost = 0
                self._see(video, {track: replace(observed, faces=(face,)) for track, face in faces.items()})
                yield from self._advance(video, observed.pts)
            yield from self._ready()
        yield from self._close_all(self._end_of(video))
        yield from self._ready()
        return ends[0] if ends else None

    def _taken(self, first: Arrival, end: Callable[[FeedEnd], None]) -> Iterator[Frame]:
        """Yield the frames that come, until the feed is silent, breaks, ends or is stopped."""
        item: Arrival | FeedEnd | None = first
        while isinstance(item, Arrival):
            self._entered.append((item.number, item.moment))
            yield item.frame
            item = None if self._stopped.is_set() else self._queue.take(self._options.patience)
        if item is not None:
            end(item)

    def _see(self, video: Video, faces: Mapping[int, Observed]) -> None:
        """Add the faces of a frame to their tracks."""
        for number, observed in faces.items():
            if number not in self._open:
                settings, keeps = self._options.settings, self._record is not None
                self._open[number] = FollowedFace(number, observed.pts, video, self._model, settings, keeps)
            self._open[number].see(observed)
            self._ends.pop(number, None)

    def _advance(self, video: Video, now: int) -> Iterator[Event]:
        """Yield the segments that are final; end the tracks that cannot continue."""
        for number, face in sorted(self._open.items()):
            if face.last < now:
                self._ends.setdefault(number, now)
            if now - face.last > video.length(tracks.BRIDGE):
                yield from self._close(number)
            else:
                yield from self._take(number, *face.advance(now))

    def _mark(self, pts: int) -> None:
        """Record the start of a shot."""
        if self._record is not None:
            self._record.cuts.append(pts)

    def _close_all(self, end: int) -> Iterator[Event]:
        """End all tracks, at `end` or where they were lost."""
        for number in sorted(self._open):
            self._ends.setdefault(number, end)
            yield from self._close(number)

    def _close(self, number: int) -> Iterator[Event]:
        face, end = self._open.pop(number), self._ends.pop(number)
        yield from self._take(number, *face.finish(end))
        if self._record is not None:
            self._record.curves.append(face.curve(end))

    def _take(
        self, number: int, faces: Iterable[tuple[int, LiveFace]], segments: Iterable[Segment]
    ) -> Iterator[Event]:
        """Add the faces of a track to the frames that wait for them; yield its final segments."""
        for pts, face in faces:
            pending = self._pending[pts]
            pending.missing.discard(number)
            pending.faces.append(face)
        for segment in segments:
            self._segments += 1
            if self._record is not None:
                self._record.segments.append(segment)
            known = [pts for pts, _ in self._arrivals]
            last = max(0, bisect_left(known, segment.end) - 1)
            yield LiveSegment(segment, time.monotonic() - self._arrivals[last][1])

    def _ready(self) -> Iterator[Event]:
        """Yield the frames, in order, up to the first that waits for scores."""
        while self._pending:
            pts, pending = next(iter(self._pending.items()))
            if pending.missing:
                return
            del self._pending[pts]
            latency = time.monotonic() - pending.moment
            self._latencies.add(latency)
            faces = tuple(sorted(pending.faces, key=lambda face: face.track))
            yield LiveFrame(pending.number, pts, pending.dropped, faces, latency)

    def _end_of(self, video: Video) -> int:
        """Return the end of the last frame."""
        return self._arrivals[-1][0] + max(1, video.length(1 / (video.rate or STILLS_RATE)))

    def _end(self, is_complete: bool) -> Ended:
        video, timeline = self._feed.video, None
        end = None if video is None or not self._arrivals else self._end_of(video)
        if self._record is not None and video is not None and end is not None:
            tally = Tally(self._frames, self._with_faces, self._feed.damaged, is_complete)
            whole = replace(video, sha256=self._feed.sha256())
            planned = self._feed.count + self._feed.damaged
            timeline = self._record.timeline(whole, self._info, self._options.settings, tally, end, planned)
        return Ended(
            frames=self._sampled,
            with_faces=self._with_faces,
            dropped=self._queue.dropped,
            damaged=self._feed.damaged,
            segments=self._segments,
            tracks=self._tracks,
            gaps=self._gaps,
            seconds=0.0 if video is None or end is None else video.seconds(end),
            latency=self._latencies.summary(),
            is_complete=is_complete,
            timeline=timeline,
        )
