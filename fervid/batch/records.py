"""What is known of an input that was dealt with: a line of the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Record:
    """How one input fared; everything but `input` and `status` is empty where it failed."""

    input: str
    status: str
    error: str | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)  # format -> path below the folder of results
    frames: Mapping[str, int] | None = None  # planned, decoded, with_faces, undecodable
    complete: bool | None = None
    seconds: float | None = None  # how much was looked at
    spans: int | None = None
    tracks: int | None = None
    scores: Mapping[str, float] | None = None  # of the main face; None without one
    shown: Mapping[str, float] = field(default_factory=dict)  # expression -> seconds of its segments
    sha256: str | None = None  # of the content
    key: str | None = None  # of content, settings, model and fervid's own formats
    digests: Mapping[str, str] = field(default_factory=dict)  # format -> SHA-256 of the output

    @property
    def is_done(self) -> bool:
        return self.status == DONE

    def as_json(self) -> dict[str, Any]:
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}

    @classmethod
    def from_json(cls, value: Any) -> Record:
        """The inverse; raises TypeError, KeyError or ValueError for what is no record."""
        names = {each.name for each in fields(cls)}
        record = cls(**{name: part for name, part in value.items() if name in names})
        if not isinstance(record.input, str) or record.status not in (DONE, FAILED):
            raise ValueError("no record")
        for part in (record.outputs, record.digests):
            if not isinstance(part, dict) or not all(isinstance(each, str) for each in part.values()):
                raise TypeError("no record")
        for numbers in (record.shown, record.scores or {}, record.frames or {}):
            if not isinstance(numbers, dict) or not all(isinstance(x, int | float) for x in numbers.values()):
                raise TypeError("no record")
        return record


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
