"""The events of a live analysis as JSON Lines, each line written at once."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any, TextIO

from fervid.export.timelines import fields
from fervid.files import encodable
from fervid.labels import NEUTRAL
from fervid.live.events import Begun, Ended, Event, Gap, LiveFace, LiveFrame, LiveSegment
from fervid.timeline import intensity, valence_arousal
from fervid.types import READABLE, Source

KINDS = ("frame", "segment")  # lines that can be left out
MILLI = 3  # decimals of latencies
SHORT = 4  # decimals of the scores and angles of a frame


class Lines:
    """Writes events as lines; `kinds` are the wanted ones of KINDS."""

    def __init__(self, stream: TextIO, kinds: Collection[str] = KINDS) -> None:
        self._stream, self._kinds = stream, kinds
        self._source: Source | None = None
        self._labels: Sequence[str] = ()

    def write(self, event: Event) -> None:
        """Write the line of an event."""
        match event:
            case Begun():
                self._source, self._labels = event.video, event.model.labels
                self._line("live", begun(event))
            case LiveFrame():
                if "frame" in self._kinds:
                    self._line("frame", self._frame(event))
            case LiveSegment():
                if "segment" in self._kinds:
                    assert self._source is not None
                    stretch = fields.segment(event.segment, self._source, self._labels)
                    del stretch["person"]  # persons are not identified
                    self._line("segment", {**stretch, "latency": fields.number(event.latency, MILLI)})
            case Gap():
                time = None if event.pts is None or self._source is None else event.pts
                after = None if time is None or self._source is None else fields.time(self._source, time)
                self._line("gap", {"after": after, "reason": encodable(event.reason)})
            case Ended():
                self._line("end", ended(event))

    def _line(self, kind: str, value: dict[str, Any]) -> None:
        self._stream.write(json.dumps({"type": kind, **value}, allow_nan=False) + "\n")
        self._stream.flush()

    def _frame(self, event: LiveFrame) -> dict[str, Any]:
        assert self._source is not None
        return {
            "frame": event.number,
            **fields.time(self._source, event.pts),
            "latency": fields.number(event.latency, MILLI),
            "dropped": event.dropped,
            "faces": [self._face(face) for face in event.faces],
        }

    def _face(self, face: LiveFace) -> dict[str, Any]:
        """Return a face; an expression only where it can be read."""
        yaw, pitch, roll = (fields.number(angle, SHORT) for angle in face.pose)
        value: dict[str, Any] = {
            "track": face.track,
            "status": face.status.label,
            "box": fields.box(face.box),
            "pose": {"yaw": yaw, "pitch": pitch, "roll": roll},
            "quality": fields.number(face.quality, SHORT),
        }
        if not face.quality >= READABLE:
            return {**value, "emotion": None}
        scores = face.scores[None]
        (valence,), (arousal,) = valence_arousal(scores, self._labels)
        value["emotion"] = self._labels[int(face.scores.argmax())]
        value["scores"] = {
            label: fields.number(score, SHORT) for label, score in zip(self._labels, face.scores, strict=True)
        }
        value |= {"valence": fields.number(valence, SHORT), "arousal": fields.number(arousal, SHORT)}
        if NEUTRAL in self._labels:
            value["intensity"] = fields.number(intensity(scores, self._labels)[0], SHORT)
        return value


def begun(event: Begun) -> dict[str, Any]:
    """Return the facts that are known at the first frame."""
    source = fields.source(event.video)
    for unknown in ("sha256", "duration", "frames", "timecode", "reel", "variable_rate", "audio_channels"):
        del source[unknown]
    return {
        "note": fields.NOTE,
        "source": source,
        "model": fields.model(event.model),
        "settings": dict(event.settings),
    }


def ended(event: Ended) -> dict[str, Any]:
    """Return the totals of the whole analysis."""
    latency = event.latency
    return {
        "seconds": fields.number(event.seconds),
        "frames": {
            "analyzed": event.frames,
            "dropped": event.dropped,
            "with_faces": event.with_faces,
            "damaged": event.damaged,
        },
        "segments": event.segments,
        "tracks": event.tracks,
        "gaps": event.gaps,
        "complete": event.is_complete,
        "latency": None
        if latency is None
        else {
            "median": fields.number(latency.median, MILLI),
            "p95": fields.number(latency.high, MILLI),
            "max": fields.number(latency.most, MILLI),
        },
    }
