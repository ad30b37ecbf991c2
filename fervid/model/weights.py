"""The weights of a model: load them into networks, and save them. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fervid import clips, files, streams
from fervid.errors import ModelError, OutputError
from fervid.model.light import Forward, LightModel
from fervid.model.predict import Model, parts
from fervid.model.spec import JOINT, SPEC, WEIGHTS, Spec, StreamSpec, find, read_spec, verify
from fervid.packing import unpack
from fervid.types import Array, Floats

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fervid.quantized import Ranges
    from fervid.streams.network import Network

DAMAGE = (LookupError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)
DEVICES = ("cpu", "cuda")
SPARE_PARTS, SPARE_NUMBERS = 1000, 1 << 24  # parameters, and their numbers, that a network may always have


def check_device(device: str) -> None:
    """Raise ModelError if the device is not available; fervid never silently uses another one."""
    if device not in DEVICES:
        raise ModelError(f"unknown device {device!r}: use one of {', '.join(DEVICES)}")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ModelError("torch sees no CUDA GPU on this machine: use --device cpu")


def load(name: str | Path, device: str = "cpu", reads: str = "") -> Model:
    """Return a loaded model, or only its networks that read an input; a process loads it only once."""
    return _load(str(find(name)), device, reads)


def load_exactly(name: str | Path, device: str = "cpu") -> Model:
    """Return a model that computes in single precision, even if its weights have ranges for integers."""
    return _read(str(find(name)), device, exact=True)


def load_light(name: str | Path, reads: str) -> LightModel | None:
    """Return a model of only the networks that read an input, without torch; None if one needs it."""
    return _load_light(str(find(name)), reads)


@lru_cache(maxsize=2)
def _load_light(folder: str, reads: str) -> LightModel | None:
    verify(folder)
    spec = read_spec(folder)
    wanted = [stream for stream in spec.streams if reads in parts(stream.reads)]
    forms = [form for stream in wanted if (form := streams.in_numpy(stream.network)) is not None]
    if len(forms) < len(wanted):
        return None
    tensors = _stored(folder)
    forwards: dict[str, Forward] = {}
    tops: dict[str, tuple[Floats, Floats]] = {}
    light = LightModel(spec, {}, {}, "cpu", forwards, tops)
    for stream, form in zip(wanted, forms, strict=True):
        try:
            own = {name: value.astype(np.float32) for name, value in _own(stream, tensors).items()}
            forwards[stream.name] = form(own, stream.sizes.get("motion", 0))
            if spec.fusion == "joint":
                tops[stream.name] = own[f"{JOINT}weight"], own[f"{JOINT}bias"]
            light.heads(stream.name, [np.zeros((clips.LENGTH, 68, 2), np.float32)], 1)
        except (LookupError, ValueError) as failure:
            raise _misfit(stream, folder) from failure
    return light


@lru_cache(maxsize=2)  # evaluation by a protocol has a model for each part
def _load(folder: str, device: str, reads: str) -> Model:
    return _read(folder, device, reads)


def _read(folder: str, device: str, reads: str = "", exact: bool = False) -> Model:
    import torch

    check_device(device)
    verify(folder)
    spec = read_spec(folder)
    tensors = _stored(folder)
    networks: dict[str, Network] = {}
    joint: dict[str, nn.Linear] = {}
    for stream in spec.streams:
        if reads and reads not in parts(stream.reads):
            continue
        try:
            network, top, ranges = _build(stream, spec, tensors)
        except (RuntimeError, TypeError, ValueError, ArithmeticError, MemoryError) as failure:
            raise _misfit(stream, folder) from failure
        networks[stream.name] = network.eval().placed(torch.device(device))
        if ranges is not None and device == "cpu" and not exact:
            networks[stream.name].quantize(ranges)
        if top is not None:
            joint[stream.name] = top.eval().to(torch.device(device))
    return Model(spec, networks, joint, torch.device(device))


def _misfit(stream: StreamSpec, folder: str) -> ModelError:
    return ModelError(
        f"the weights of stream {stream.name} in {folder} do not fit its sizes: fetch the model again"
    )


def read_tensors(folder: str | Path) -> dict[str, Array]:
    """Return all weights of a model, in single or half precision."""
    return unpack(_stored(folder))


def _stored(folder: str | Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        return decode((Path(folder) / WEIGHTS).read_bytes())  # it opens no path that is not UTF-8
    except (SafetensorError, *DAMAGE) as failure:
        raise ModelError(f"the weights in {folder} are damaged: fetch the model again") from failure


def _build(
    stream: StreamSpec, spec: Spec, tensors: Mapping[str, Array]
) -> tuple[Network, nn.Linear | None, Ranges | None]:
    """Return a stream's network and joint top layer, with their weights, and the ranges of its inputs."""
    import torch

    from fervid import quantized

    own = {
        # Weights are stored in half precision or in 8 bits, but computed in single precision.
        name: torch.from_numpy(value.astype(np.float32) if value.dtype == np.float16 else value)
        for name, value in _own(stream, tensors).items()
    }
    encoded = own.pop(quantized.RANGES, None)
    joint = {k.removeprefix(JOINT): own.pop(k) for k in list(own) if k.startswith(JOINT)}
    if _is_large(stream):
        with _limited(own), torch.device("meta"):  # which takes no memory, but a second to import
            streams.build(stream.network, len(spec.labels), **stream.sizes)
    with _limited(own):
        network = streams.build(stream.network, len(spec.labels), **stream.sizes)
    if network.reads != stream.reads:
        raise ValueError("the stream reads other inputs than its network")
    network.load_state_dict(own)
    can_quantize = quantized.is_available() and network.can_quantize(**stream.sizes)
    ranges = quantized.decode(network, encoded) if encoded is not None and can_quantize else None
    if spec.fusion != "joint":
        return network, None, ranges
    top = torch.nn.Linear(network.top.in_features, len(spec.labels))
    top.load_state_dict(joint)
    return network, top, ranges


def _own(stream: StreamSpec, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights of one stream, in single or half precision; raise ValueError if they are damaged."""
    prefix = f"{stream.name}."
    return unpack({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})


def _is_large(stream: StreamSpec) -> bool:
    """Return whether a size is over twice that of the published system; those of 0 are not dimensions."""
    usual = signature(streams.registered(stream.network)).parameters
    return any(
        usual[name].default and value > 2 * usual[name].default
        for name, value in stream.sizes.items()
        if name in usual
    )


@contextmanager
def _limited(weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Raise ValueError if the sizes of a spec make a far larger network than the weights are of."""
    from torch.nn.modules import module

    # A network may make a part, and then replace it with another one.
    parts = SPARE_PARTS + 4 * len(weights)
    numbers = SPARE_NUMBERS + 4 * sum(value.numel() for value in weights.values())

    def count(owner: nn.Module, name: str, part: Tensor | None) -> None:
        nonlocal parts, numbers
        parts, numbers = parts - 1, numbers - (0 if part is None else part.numel())
        if min(parts, numbers) < 0:
            raise ValueError("the sizes are not those of the weights")

    hooks = (
        module.register_module_parameter_registration_hook(count),
        module.register_module_buffer_registration_hook(count),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def save(folder: Path, spec: Spec, tensors: Mapping[str, Array]) -> None:
    """Write a model; tensors are named `stream.parameter`. The spec is written last, as a mark of success."""
    from safetensors.numpy import save as encode

    data = encode({name: np.ascontiguousarray(value) for name, value in tensors.items()})
    value = spec.as_json() | {"weights_sha256": hashlib.sha256(data).hexdigest()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in ((WEIGHTS, data), (SPEC, (json.dumps(value, indent=1) + "\n").encode())):
            files.write(folder / name, content)
    except OSError as failure:
        raise OutputError(
            f"cannot write the model in {folder}: {failure.strerror}; free some space or change the access "
            "rights, and run the same command with --resume"
        ) from failure
