"""The spec of a model: find, read, describe and verify a model without torch."""

from __future__ import annotations

import hashlib
import json
import math
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fervid.errors import ModelError, UsageError
from fervid.files import read_text
from fervid.labels import CONTEMPT, EMOTIONS
from fervid.model.voting import MARK, VOTES
from fervid.types import ModelInfo

SPEC = "model.json"
WEIGHTS = "model.safetensors"
ACCURACY, CARD = "accuracy.json", "card.md"  # optional files beside them
FORMAT = 1
FUSIONS = ("weighted", "joint")
WINDOWS = ("short", "clip")  # of 0.64 s, or of a whole labelled clip
MOST_BYTES = 1 << 26  # of a spec, or of the header of weights
MOST_WEIGHTS = 1 << 34  # bytes of weights
LARGEST = 1 << 16  # of a stream's sizes, and of its weight
JOINT = "joint."  # prefix of the weights of the joint top layers


@dataclass(frozen=True)
class StreamSpec:
    """One network of a model."""

    name: str  # of its network; in a committee with the number of the member, such as "still#2"
    reads: str  # its inputs, such as "faces" or "faces+points"
    sizes: Mapping[str, int]
    weight: float = 1.0  # of its logits in the weighted sum
    illumination: str = "none"  # normalisation of its crops, see `clips/illumination.py`
    window: str = "short"  # one of WINDOWS

    @property
    def network(self) -> str:
        """The name of its network."""
        return self.name.partition(MARK)[0]

    def as_json(self) -> dict[str, Any]:
        """Return the spec as JSON values; a short window is left out, so that older hashes stay valid."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("window", "short")}


@dataclass(frozen=True)
class Spec:
    """Everything about a model except its weights."""

    name: str
    labels: tuple[str, ...]
    streams: tuple[StreamSpec, ...]
    fusion: str  # "weighted": weighted sum of the streams' logits; "joint": sum over their joint top layers
    temperature: float
    trained: bool
    licences: Mapping[str, str]
    training_data: tuple[str, ...]
    weights_sha256: str
    vote: str = ""  # of a committee: one of VOTES
    picture_temperature: float | None = None  # for single pictures, which streams over time cannot read
    # Of a joint fusion: the share of its logits that a stream gives up where the leading ones are certain.
    yielding: Mapping[str, float] = field(default_factory=dict)
    leading: tuple[str, ...] = ()
    # And the share that it gives up where the face moves one way, as when an expression appears.
    one_way: Mapping[str, float] = field(default_factory=dict)

    def temperature_of(self, is_picture: bool) -> float:
        """Return the temperature of a clip or of a single picture, which divides the logits."""
        own = self.picture_temperature if is_picture else None
        return self.temperature if own is None else own

    @property
    def headline(self) -> str:
        """The name of the model's answer among those of its parts."""
        return self.vote or (self.streams[0].name if len(self.streams) == 1 else self.fusion)

    def as_json(self) -> dict[str, Any]:
        """Return the spec as JSON values; unset fields are left out, so that older hashes stay valid."""
        streams = [stream.as_json() for stream in self.streams]
        value = {"format": FORMAT} | asdict(self) | {"streams": streams}
        unset: dict[str, Any] = {
            "vote": "",
            "picture_temperature": None,
            "yielding": {},
            "leading": (),
            "one_way": {},
        }
        return {name: part for name, part in value.items() if name not in unset or part != unset[name]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Spec:
        """Return the spec of JSON values."""
        own = value.get("picture_temperature")
        return cls(
            name=str(value["name"]),
            labels=tuple(str(label) for label in value["labels"]),
            streams=tuple(StreamSpec(**stream) for stream in value["streams"]),
            fusion=str(value["fusion"]),
            temperature=float(value["temperature"]),
            trained=bool(value["trained"]),
            licences=dict(value["licences"]),
            training_data=tuple(value["training_data"]),
            weights_sha256=str(value["weights_sha256"]),
            vote=str(value.get("vote", "")),
            picture_temperature=None if own is None else float(own),
            yielding={str(name): float(share) for name, share in value.get("yielding", {}).items()},
            leading=tuple(str(name) for name in value.get("leading", ())),
            one_way={str(name): float(share) for name, share in value.get("one_way", {}).items()},
        )


def installed() -> list[str]:
    """Return the names of the models that come with fervid."""
    folder = Path(str(files("fervid") / "models"))
    return sorted(path.parent.name for path in folder.glob(f"*/{SPEC}"))


def find(name: str | Path) -> Path:
    """Return the folder of a model given by name or by path."""
    own = Path(str(files("fervid") / "models")) / str(name)
    if str(name) in installed():
        return own
    path = Path(name)
    if path.is_file() and path.name in (SPEC, WEIGHTS):
        path = path.parent
    if (path / SPEC).is_file():
        return path
    if str(name) == "default":
        raise ModelError("the default model is missing: install fervid again, or give --model PATH")
    have = ", ".join(installed())
    raise ModelError(f"no model {str(name)!r}: choose one of {have}, or give a folder with {SPEC}")


def portable_name(name: str | Path) -> str:
    """Return a name of the model that is valid in other processes: its name, or its absolute path."""
    return str(name) if str(name) in installed() else str(find(name).resolve())


def read_spec(name: str | Path) -> Spec:
    """Read the spec of a model, without checking the weights."""
    path = find(name) / SPEC
    try:
        value = json.loads(read_text(path, MOST_BYTES))
        if value["format"] != FORMAT:
            raise ModelError(
                f"model {name} has format {value['format']}, this fervid reads {FORMAT}: upgrade one of them"
            )
        spec = Spec.from_json(value)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as failure:
        raise ModelError(
            f"the spec of model {name} is damaged ({path.name}): fetch the model again"
        ) from failure
    except OSError as failure:
        raise ModelError(f"cannot read the spec of model {name}: {failure.strerror}") from failure
    if not spec.streams or not spec.labels or len(set(spec.labels)) < len(spec.labels):
        raise ModelError(f"model {name} has no streams, or its labels repeat: it cannot be used")
    if not all(label.isprintable() and label.strip() for label in spec.labels):
        raise ModelError(f"model {name} has a label that cannot be printed: it cannot be used")
    for temperature in (spec.temperature, spec.temperature_of(is_picture=True)):
        if not 0 < temperature < math.inf:
            raise ModelError(f"model {name} has the temperature {temperature}, not a number above 0")
    if spec.fusion not in FUSIONS:
        raise ModelError(f"model {name} has the unknown fusion {spec.fusion!r}: upgrade fervid")
    if spec.vote not in ("", *VOTES):
        raise ModelError(f"model {name} has the unknown vote {spec.vote!r}: upgrade fervid")
    if unknown := [label for label in spec.labels if label not in (*EMOTIONS, CONTEMPT)]:
        raise ModelError(f"model {name} has the unknown label {unknown[0]!r:.40}: upgrade fervid")
    _check_yielding(name, spec)
    for stream in spec.streams:
        _check_sizes(name, stream)
        _check_values(name, stream)
    if not {stream.window for stream in spec.streams} <= set(WINDOWS):
        raise ModelError(f"model {name} has windows of an unknown kind: upgrade fervid")
    return spec


def _check_yielding(name: str | Path, spec: Spec) -> None:
    """Raise ModelError for streams that yield to none, or by a share that is none."""
    if not (spec.yielding or spec.leading or spec.one_way):
        return
    known = {stream.name for stream in spec.streams if stream.window == "short"}
    yielding = {*spec.yielding, *spec.one_way}
    are_known = yielding | {*spec.leading} <= known and not yielding & {*spec.leading}
    are_shares = all(0 <= share <= 1 for share in (*spec.yielding.values(), *spec.one_way.values()))
    can_yield = spec.fusion == "joint" and not spec.vote and bool(spec.leading or not spec.yielding)
    if not (can_yield and are_known and are_shares):
        raise ModelError(f"the streams of model {name} yield in a way that is unknown: fetch the model again")


def _check_sizes(name: str | Path, stream: StreamSpec) -> None:
    """Raise ModelError for a name or sizes that no stream has."""
    if not isinstance(stream.name, str):
        raise ModelError(f"model {name} has a stream without a name: fetch the model again")
    sizes = stream.sizes if isinstance(stream.sizes, Mapping) else {"sizes": stream.sizes}
    for size, value in sizes.items():
        if type(value) is not int or not 0 <= value <= LARGEST:
            raise ModelError(
                f"model {name} declares {size} = {value!r:.40} for its stream {stream.name!r:.40}, not a "
                f"whole number up to {LARGEST}: fetch the model again"
            )


def _check_values(name: str | Path, stream: StreamSpec) -> None:
    """Raise ModelError for values of a stream that are not of their kind."""
    for key in ("reads", "illumination", "window", "weight"):
        value = getattr(stream, key)
        if key == "weight":
            is_valid = type(value) in (int, float) and abs(value) <= LARGEST
        else:
            is_valid = isinstance(value, str) and value.isprintable()
        if not is_valid:
            raise ModelError(
                f"model {name} declares {key} = {value!r:.40} for its stream {stream.name!r:.40}: fetch the "
                "model again"
            )


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    """Return the SHA-256 of a file with this size and time of change; a batch reads it only once."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _declared_size(path: Path) -> int:
    """Return the size of a file of weights by its header, or -1 for a damaged one.

    A file that is far larger than its weights would take hours to hash.
    """
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        text = stream.read(min(length, MOST_BYTES))
    try:
        parts = {key: part for key, part in json.loads(text).items() if key != "__metadata__"}
        return 8 + length + max((int(part["data_offsets"][1]) for part in parts.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return -1


def verify(name: str | Path) -> None:
    """Raise ModelError if the weights do not have the SHA-256 of the spec."""
    spec, path = read_spec(name), find(name) / WEIGHTS
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device has no end
            raise ModelError(f"the weights of model {name} are not a file: fetch the model again")
        if status.st_size > MOST_WEIGHTS or status.st_size != _declared_size(path):
            raise ModelError(
                f"the weights of model {name} are damaged (not of the size they declare): fetch them again"
            )
        digest = _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as failure:
        raise ModelError(f"cannot read the weights of model {name}: {failure.strerror}") from failure
    if digest != spec.weights_sha256:
        raise ModelError(
            f"the weights of model {name} are damaged (their SHA-256 differs from the spec): fetch them again"
        )


def check_short_windows(name: str | Path) -> None:
    """Raise UsageError if a model reads whole labelled clips, which only data sets have."""
    spec = read_spec(name)
    whole = [stream.name for stream in spec.streams if stream.window == "clip"]
    if whole:
        raise UsageError(
            f"model {spec.name} reads whole labelled clips ({'+'.join(whole)}: --window clip), and a video "
            "does not show where such a clip begins and ends: use the model with `fervid eval`, or train one "
            "with --window short"
        )


def info(name: str | Path) -> ModelInfo:
    """Verify a model, and return its facts for a timeline."""
    verify(name)
    spec = read_spec(name)
    digest = hashlib.sha256(json.dumps(spec.as_json(), sort_keys=True).encode()).hexdigest()
    return ModelInfo(
        name=spec.name,
        sha256=digest,
        trained=spec.trained,
        labels=spec.labels,
        streams=tuple(stream.name for stream in spec.streams),
        licences=spec.licences,
    )


def accuracy(name: str | Path) -> dict[str, dict[str, float]]:
    """Read the measured accuracy of a model: rows of shares, one for each stream and fusion.

    There are no rows if the model was not measured with these weights.
    """
    path, spec = find(name) / ACCURACY, read_spec(name)
    try:
        value = json.loads(read_text(path, MOST_BYTES))
        if value["weights_sha256"] != spec.weights_sha256:
            return {}
        return {
            str(row): {str(k): float(v) for k, v in shares.items()} for row, shares in value["rows"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
        raise ModelError(
            f"the figures of model {name} are damaged ({path.name}): fetch it again"
        ) from failure
