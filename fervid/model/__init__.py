"""A model is data: a folder with weights (safetensors) and a spec (JSON). Nothing is ever unpickled.

Finding, describing and verifying a model need no torch; running one does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fervid import clips, streams
from fervid.errors import ModelError
from fervid.types import Array, Floats, ModelInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fervid.streams.network import Network

SPEC = "model.json"
WEIGHTS = "model.safetensors"
ACCURACY, CARD = "accuracy.json", "card.md"  # beside them, where somebody has measured and told
FORMAT = 1
BATCH = 8  # every batch is padded to this: a score must not depend on its neighbours' number
DEVICES = ("cpu", "cuda")
FUSIONS = ("weighted", "joint")
Input = Array | tuple[Array, ...]  # of one clip: what a stream reads, or the several things that it reads
JOINT = "joint."  # before the names of the tops that were trained together


@dataclass(frozen=True)
class StreamSpec:
    """One network of a model."""

    name: str
    reads: str
    sizes: Mapping[str, int]
    weight: float = 1.0  # of its logits in the weighted sum
    illumination: str = "none"  # how the light of its crops is evened out, see `illumination`


@dataclass(frozen=True)
class Spec:
    """Everything of a model but its weights."""

    name: str
    labels: tuple[str, ...]
    streams: tuple[StreamSpec, ...]
    fusion: str  # "weighted": the sum of the streams' logits by weight; "joint": of their joint tops' logits
    temperature: float
    trained: bool
    licences: Mapping[str, str]
    training_data: tuple[str, ...]
    weights_sha256: str

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "labels": list(self.labels),
            "streams": [
                {
                    "name": s.name,
                    "reads": s.reads,
                    "sizes": dict(s.sizes),
                    "weight": s.weight,
                    "illumination": s.illumination,
                }
                for s in self.streams
            ],
            "fusion": self.fusion,
            "temperature": self.temperature,
            "trained": self.trained,
            "licences": dict(self.licences),
            "training_data": list(self.training_data),
            "weights_sha256": self.weights_sha256,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Spec:
        return cls(
            name=str(value["name"]),
            labels=tuple(value["labels"]),
            streams=tuple(StreamSpec(**stream) for stream in value["streams"]),
            fusion=str(value["fusion"]),
            temperature=float(value["temperature"]),
            trained=bool(value["trained"]),
            licences=dict(value["licences"]),
            training_data=tuple(value["training_data"]),
            weights_sha256=str(value["weights_sha256"]),
        )


def installed() -> list[str]:
    """The models that came with fervid."""
    folder = Path(str(files("fervid") / "models"))
    return sorted(path.parent.name for path in folder.glob(f"*/{SPEC}"))


def find(name: str | Path) -> Path:
    """The folder of a model given by name or by path."""
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
    raise ModelError(f"no model {str(name)!r}: there are {have}; or give a folder that holds {SPEC}")


def read_spec(name: str | Path) -> Spec:
    """The spec of a model, as far as the JSON tells; see `verify` for its weights."""
    path = find(name) / SPEC
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise ModelError(
                f"model {name} has format {value['format']}, this fervid reads {FORMAT}: upgrade one of them"
            )
        spec = Spec.from_json(value)
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as failure:
        raise ModelError(
            f"the spec of model {name} is damaged ({path.name}): fetch the model again"
        ) from failure
    except OSError as failure:
        raise ModelError(f"cannot read the spec of model {name}: {failure.strerror}") from failure
    if not spec.streams or not spec.labels or len(set(spec.labels)) < len(spec.labels):
        raise ModelError(f"model {name} has no streams, or its labels repeat: it cannot be used")
    if spec.fusion not in FUSIONS:
        raise ModelError(f"model {name} fuses by {spec.fusion!r}; this fervid knows {', '.join(FUSIONS)}")
    return spec


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    """The SHA-256 of a file in this state: read once, though every clip of a batch asks for it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(name: str | Path) -> None:
    """Raise ModelError unless the weights are those that the spec was written for."""
    spec, path = read_spec(name), find(name) / WEIGHTS
    try:
        status = path.stat()
        digest = _digest(path, status.st_size, status.st_mtime_ns)
    except OSError as failure:
        raise ModelError(f"cannot read the weights of model {name}: {failure.strerror}") from failure
    if digest != spec.weights_sha256:
        raise ModelError(
            f"the weights of model {name} are damaged (another SHA-256 than the spec's): fetch them again"
        )


def info(name: str | Path) -> ModelInfo:
    """What a timeline says of a model; its weights are verified on the way."""
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
    """What was measured of a model: rows of shares, one for each stream and fusion; none where nobody did.

    Figures of other weights than the model's are none.
    """
    path, spec = find(name) / ACCURACY, read_spec(name)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["weights_sha256"] != spec.weights_sha256:
            return {}
        return {str(row): {str(k): float(v) for k, v in each.items()} for row, each in value["rows"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
        raise ModelError(
            f"the figures of model {name} are damaged ({path.name}): fetch it again"
        ) from failure


def check_device(device: str) -> None:
    """Refuse a device that is not there; fervid never falls back in silence."""
    if device not in DEVICES:
        raise ModelError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ModelError("torch sees no CUDA GPU on this machine: use --device cpu")


@dataclass(frozen=True)
class Model:
    """A model with its weights loaded."""

    spec: Spec
    networks: Mapping[str, Network]
    joint: Mapping[str, nn.Linear]  # the tops that were trained together; empty where the fusion is weighted
    device: torch.device

    def reading(self, *what: str) -> list[StreamSpec]:
        """The streams that read one of these, such as "faces", among other things or alone."""
        return [stream for stream in self.spec.streams if not set(what).isdisjoint(parts(stream.reads))]

    def logits(self, stream: str, inputs: Sequence[Input]) -> Floats:
        """What one stream says of clips, each (L, ...), to be fused: (N, C)."""
        alone, joint = self.heads(stream, inputs)
        return alone if joint is None else joint

    def heads(self, stream: str, inputs: Sequence[Input]) -> tuple[Floats, Floats | None]:
        """What one stream says of clips by its own top, and by its joint one if there is one."""
        import torch

        network, joint = self.networks[stream], self.joint.get(stream)
        light = next(one.illumination for one in self.spec.streams if one.name == stream)
        empty = np.empty((0, len(self.spec.labels)), np.float32)
        own, together = [empty], [empty]
        with torch.inference_mode():
            for batch, count in _batches(inputs):
                ready = [
                    torch.from_numpy(clips.contrast(one, light) if one.dtype == np.uint8 else one)
                    for one in batch
                ]
                features = network.features(streams.joined(ready).to(self.device))
                own.append(network.top(features)[:count].float().cpu().numpy())
                if joint is not None:
                    together.append(joint(features)[:count].float().cpu().numpy())
        return np.concatenate(own), None if joint is None else np.concatenate(together)

    def fuse(self, logits: Mapping[str, Floats]) -> Floats:
        """The fused logits from those of the streams."""
        if self.spec.fusion == "joint":
            return np.sum([logits[stream.name] for stream in self.spec.streams], axis=0, dtype=np.float32)
        return self.weighted(logits)

    def weighted(self, logits: Mapping[str, Floats]) -> Floats:
        """The weighted sum of the streams' own logits."""
        parts = [np.float32(stream.weight) * logits[stream.name] for stream in self.spec.streams]
        return np.sum(parts, axis=0, dtype=np.float32)

    def probabilities(self, fused: Floats) -> Floats:
        """Calibrated scores (N, C) whose rows sum to one."""
        scaled = fused.astype(np.float64) / self.spec.temperature
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def parts(reads: str) -> list[str]:
    """The single things that a stream reads."""
    return reads.split("+")


def read(window: Mapping[str, Array], reads: str) -> Input:
    """What a stream reads of a window, of which all is given by name."""
    wanted = tuple(window[one] for one in parts(reads))
    return wanted[0] if len(wanted) == 1 else wanted


def _batches(inputs: Sequence[Input]) -> Iterator[tuple[list[Any], int]]:
    """Stacks of exactly BATCH clips, the last filled up with copies, and how many of each are real.

    There is one stack for each thing that is read.
    """
    for start in range(0, len(inputs), BATCH):
        some = [one if isinstance(one, tuple) else (one,) for one in inputs[start : start + BATCH]]
        filled = some + [some[-1]] * (BATCH - len(some))
        yield [np.stack(column) for column in zip(*filled, strict=True)], len(some)


def load(name: str | Path, device: str = "cpu") -> Model:
    """A model ready to run; loaded once per process."""
    return _load(str(find(name)), device)


@lru_cache(maxsize=2)  # an evaluation by protocol loads a model for each part
def _load(folder: str, device: str) -> Model:
    import torch
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    check_device(device)
    verify(folder)
    torch.set_num_threads(1)  # parallelism is processes; and the bytes must not depend on the cores
    spec = read_spec(folder)
    try:
        tensors = load_file(Path(folder) / WEIGHTS)
    except SafetensorError as failure:
        raise ModelError(f"the weights in {folder} are damaged: fetch the model again") from failure
    networks: dict[str, Network] = {}
    joint: dict[str, nn.Linear] = {}
    for stream in spec.streams:
        mark = f"{stream.name}."
        own = {
            # Shipped weights are rounded to half precision, and count in full.
            k.removeprefix(mark): torch.from_numpy(v.astype(np.float32) if v.dtype == np.float16 else v)
            for k, v in tensors.items()
            if k.startswith(mark)
        }
        together = {k.removeprefix(JOINT): own.pop(k) for k in list(own) if k.startswith(JOINT)}
        try:
            network = streams.build(stream.name, len(spec.labels), **stream.sizes)
            network.load_state_dict(own)
            if spec.fusion == "joint":
                top = torch.nn.Linear(network.top.in_features, len(spec.labels))
                top.load_state_dict(together)
                joint[stream.name] = top.eval().to(torch.device(device))
        except (RuntimeError, TypeError, ValueError) as failure:
            raise ModelError(
                f"the weights of stream {stream.name} in {folder} do not fit its sizes: fetch the model again"
            ) from failure
        networks[stream.name] = network.eval().placed(torch.device(device))
    return Model(spec, networks, joint, torch.device(device))


def save(folder: Path, spec: Spec, tensors: Mapping[str, Array]) -> None:
    """Write a model, named `stream.parameter` -> values; the spec comes last, and with it the model."""
    from safetensors.numpy import save as encode

    folder.mkdir(parents=True, exist_ok=True)
    data = encode({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    value = spec.as_json() | {"weights_sha256": hashlib.sha256(data).hexdigest()}
    for name, content in ((WEIGHTS, data), (SPEC, (json.dumps(value, indent=1) + "\n").encode())):
        beside = folder / f".{name}.part"
        beside.write_bytes(content)
        beside.replace(folder / name)
