"""Records of processed inputs: the lines of the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Record:
    """The result of one input; if it failed, only `input`, `status` and `error` are set."""

    input: str
    status: str
    error: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)  # format -> path below the folder of results
    frames: Mapping[str, int] | None = None  # planned, decoded, with_faces, undecodable
    complete: bool | None = None
    seconds: float | None = None  # of video that was analyzed
    spans: int | None = None
    tracks: int | None = None
    scores: Mapping[str, float] | None = None  # of the main face; None without one
    shown: Mapping[str, float] = field(default_factory=dict)  # emotion -> seconds of its segments
    sha256: str | None = None  # of the content
    key: str | None = None  # a hash of content, settings, model and format versions
    digests: Mapping[str, str] = field(default_factory=dict)  # format -> SHA-256 of the output

    @property
    def is_done(self) -> bool:
        return self.status == DONE

    def as_json(self) -> dict[str, Any]:
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}

    @classmethod
    def from_json(cls, value: Any) -> Record:
        """Return a record from JSON; raise TypeError, KeyError or ValueError if it is not valid."""
        names = {entry.name for entry in fields(cls)}
        record = cls(**{name: part for name, part in value.items() if name in names})
        if not isinstance(record.input, str) or record.status not in (DONE, FAILED):
            raise ValueError("not a record")
        for part in (record.outputs, record.digests):
            if not isinstance(part, dict) or not all(isinstance(text, str) for text in part.values()):
                raise TypeError("not a record")
        for numbers in (record.shown, record.scores or {}, record.frames or {}):
            if not isinstance(numbers, dict) or not all(isinstance(x, int | float) for x in numbers.values()):
                raise TypeError("not a record")
        return record


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
