"""A face that is being followed: its last frames, and the scores of its windows as soon as possible.

A window needs frames after its centre, and smoothing needs frames after those. So scores come LOOKAHEAD later
than the picture, and then equal those of an analysis of a file, except for the neutral face (see neutral.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from fervid import clips, timeline
from fervid.clips.windows import SPACING
from fervid.faces import tracks
from fervid.faces.tracks import Observed
from fervid.live.events import LiveFace
from fervid.live.neutral import Neutral
from fervid.live.record import Windows
from fervid.model import Model, read
from fervid.model.predict import Input
from fervid.types import Curve, Floats, Ints, Segment, Settings, Status, Track, Video

HALF_WINDOW = SPACING * (clips.LENGTH - 1) / 2  # seconds
SMOOTH = Fraction(tracks.SMOOTH_SECONDS).limit_denominator(100)
LOOKAHEAD = HALF_WINDOW + SMOOTH + SPACING  # seconds after a window's centre at which it can be scored
RECENT = 8  # windows that are kept, between which the scores of frames are interpolated
LAG = 0.32  # seconds after a window at which its label is final; in an analysis of a file they are 10


class FollowedFace:
    """A face that is followed. It keeps the frames of about a second, and the last windows."""

    def __init__(
        self, number: int, first: int, video: Video, model: Model, settings: Settings, keeps: bool
    ) -> None:
        self.number, self._video, self._model = number, video, model
        self._smoother = timeline.Smoother(video, number, model.spec.labels, settings, LAG)
        self._neutral = Neutral(video, first)
        self._seen: deque[Observed] = deque()  # with this face alone
        self._first, self._frames, self.last = first, 0, first
        self._returned = first - 1  # pts of the last frame that was returned
        self._fed = first - 1  # pts of the last frame that the smoother has
        self._learnt = first - 1  # pts of the last frame that the neutral face has
        self._windows: deque[tuple[int, Floats]] = deque(maxlen=RECENT)  # pts, scores
        self._kept = Windows() if keeps else None
        self._low = np.full(2, np.inf, np.float32)
        self._high = np.full(2, -np.inf, np.float32)

    @property
    def rows(self) -> int:
        """The number of frames in memory."""
        return len(self._seen) + self._neutral.rows

    def see(self, observed: Observed) -> None:
        """Add a frame with this face alone."""
        self._seen.append(observed)
        self.last, self._frames = observed.pts, self._frames + 1
        box = observed.faces[0].box
        self._low = np.minimum(self._low, box[:2])
        self._high = np.maximum(self._high, box[:2] + box[2:])

    def advance(self, now: int) -> tuple[list[tuple[int, LiveFace]], list[Segment]]:
        """Return the frames and segments that are final when the picture of `now` has been analyzed."""
        horizon = now - self._video.length(LOOKAHEAD)
        return self._score(horizon + 1, everything=horizon >= self.last)

    def finish(self, end: int) -> tuple[list[tuple[int, LiveFace]], list[Segment]]:
        """Return the last frames and segments; the track ends at `end`."""
        faces, segments = self._score(None, everything=True)
        none, pts = np.empty(0, np.float32), np.array([observed.pts for observed in self._seen], np.int64)
        scores = np.empty((0, len(self._model.spec.labels)), np.float32)
        segments += self._smoother.feed(np.empty(0, np.int64), scores, none, self._unfed(pts))
        return faces, segments + self._smoother.close(end)

    def curve(self, end: int) -> Curve:
        """Return the curve of the finished track, if it was kept."""
        assert self._kept is not None
        labels, corners = self._model.spec.labels, (self._low, self._high)
        windows = self._kept.columns()
        return timeline.curve_of(labels, self.number, self._first, end, self._frames, corners, windows)

    def _score(self, stop: int | None, everything: bool) -> tuple[list[tuple[int, LiveFace]], list[Segment]]:
        """Score the windows before `stop`; return the frames up to the last of them, or all frames."""
        pts = np.array([observed.pts for observed in self._seen], np.int64)
        begin = self._windows[-1][0] + 1 if self._windows else self._first
        moments = clips.centres(self._video, pts, begin, stop)
        if not len(moments) and not (everything and self._returned < self.last):
            return [], []
        (followed,) = tracks.collect(self._video, self._seen)
        track, segments = followed.track, []
        if len(moments):
            face = clips.Face.of_track(self._video, track, followed.crops)
            segments = self._take(track, moments, list(face.windows(moments)))
        until = self.last if everything else self._windows[-1][0]
        fresh = (track.pts > self._returned) & (track.pts <= until)
        faces = list(self._faces(track.take(fresh))) if fresh.any() else []
        self._returned = until
        self._forget()
        return faces, segments

    def _take(self, track: Track, moments: Ints, windows: list[clips.Window]) -> list[Segment]:
        """Score windows, and return the segments that become final."""
        if self._model.reading("displacement"):
            # Later frames are not smooth yet.
            known = (track.pts > self._learnt) & (track.pts <= moments[-1])
            self._learnt = int(moments[-1])
            if known.any():
                self._neutral.learn(track.take(known))
        logits: dict[str, Floats] = {}
        for stream in self._model.spec.streams:
            if stream.reads == "displacement":
                inputs: list[Input] = [window.displacement(self._neutral.face) for window in windows]
            else:
                inputs = [read(window, stream.reads) for window in windows]
            # One window at a time: filling a batch with copies would take longer than the time that is left.
            logits[stream.name] = self._model.logits(stream.name, inputs, batch=1)
        straightness = clips.straightness_of(windows)
        scores = self._model.probabilities(self._model.fuse(logits, straightness))
        quality = np.array([window.quality for window in windows], np.float32)
        self._windows.extend(zip(moments.tolist(), scores, strict=True))
        if self._kept is not None:
            motion = np.array([window.motion(self._neutral.face) for window in windows], np.float32)
            self._kept.add(moments, scores, quality, motion, straightness)
        return self._smoother.feed(moments, scores, quality, self._unfed(track.pts))

    def _unfed(self, pts: Ints) -> Ints:
        """Return the frames that the smoother does not have yet."""
        fresh = pts[pts > self._fed]
        self._fed = int(pts[-1])
        return fresh

    def _faces(self, track: Track) -> Iterator[tuple[int, LiveFace]]:
        """Yield the face in each frame, with scores between those of the windows around it."""
        moments = np.array([pts for pts, _ in self._windows], np.int64)
        windows = np.stack([scores for _, scores in self._windows])
        scores = timeline.interpolate(moments, windows, track.pts)
        for row, pts in enumerate(track.pts.tolist()):
            yield (
                pts,
                LiveFace(
                    track=self.number,
                    status=Status(int(track.status[row])),
                    box=track.box[row],
                    pose=track.pose[row],
                    quality=float(track.quality[row]),
                    scores=scores[row],
                ),
            )

    def _forget(self) -> None:
        """Drop the frames that no later window needs; smoothing needs some before those of a window."""
        reach = self._video.length(LOOKAHEAD)
        while len(self._seen) > 1 and self._seen[0].pts < self._windows[-1][0] - reach:
            self._seen.popleft()
