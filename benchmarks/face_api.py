"""face-api's expression net, run by torch: a teacher of the default model's frame networks.

The weights are those of the npm package @vladmandic/face-api 1.7.15 (MIT), in its folder `model`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fervid.labels import EMOTIONS
from fervid.types import Bytes, Floats


class SmallNet:
    """face-api's expression net: four blocks of depthwise convolutions on pictures of 112x112."""

    SIDE = 112
    COLOUR = (122.782, 117.001, 104.298)
    # Of neutral, happy, sad, angry, fearful, disgusted, surprised.
    ORDER = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
    # Two views of a crop with its margin: pixels across, and the height of the middle. Wider than a crop, as
    # the net was trained on whole heads.
    VIEWS = ((60.0, 44.0, False), (66.0, 40.0, True))

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "face_expression_model-weights_manifest.json").read_text("utf-8"))
        content = (folder / "face_expression_model.bin").read_bytes()
        self.weights: dict[str, Tensor] = {}
        at = 0
        for entry in manifest[0]["weights"]:
            count, scale = int(np.prod(entry["shape"])), entry.get("quantization")
            if scale:
                values = np.frombuffer(content, np.uint8, count, at) * np.float32(scale["scale"])
                values = values + np.float32(scale["min"])
            else:
                values = np.frombuffer(content, "<f4", count, at)
            at += count if scale else 4 * count
            array = np.array(values, np.float32).reshape(entry["shape"])
            self.weights[entry["name"]] = torch.from_numpy(array)

    def __call__(self, faces: Bytes) -> Floats:
        """Return the logits for crops with their margin, (N, C)."""
        total = torch.zeros(len(faces), len(EMOTIONS))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            for across, middle, is_mirrored in self.VIEWS:
                view = self._view(faces, across, middle)
                total += self._logits(view.flip(2) if is_mirrored else view).float()
        columns = [self.ORDER.index(emotion) for emotion in EMOTIONS]
        return np.asarray((total / len(self.VIEWS))[:, columns].numpy(), np.float32)

    def _view(self, faces: Bytes, across: float, middle: float) -> Tensor:
        """Return a square of the crops at the net's size: (N, SIDE, SIDE)."""
        pictures = torch.from_numpy(np.ascontiguousarray(faces)).float()[:, None]
        side = pictures.shape[-1]
        steps = ((torch.arange(self.SIDE) + 0.5) / self.SIDE - 0.5) * across
        x, y = (steps + side / 2) / side * 2 - 1, (steps + middle) / side * 2 - 1
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
        grid = grid.expand(len(pictures), -1, -1, -1)
        sampled = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        return sampled[:, 0]

    def _logits(self, grey: Tensor) -> Tensor:
        maps = torch.stack([(grey - level) / 255 for level in self.COLOUR], 1)
        for block in range(4):
            name = f"dense{block}"
            if block:
                first = functional.relu(self._separable(maps, f"{name}/conv0", 2))
            else:
                kernel = self.weights[f"{name}/conv0/filters"].permute(3, 2, 0, 1)
                bias = self.weights[f"{name}/conv0/bias"]
                first = functional.relu(functional.conv2d(_padded(maps, 2), kernel, bias, 2))
            second = self._separable(first, f"{name}/conv1", 1)
            third = self._separable(functional.relu(first + second), f"{name}/conv2", 1)
            so_far = first + second + third
            fourth = self._separable(functional.relu(so_far), f"{name}/conv3", 1)
            maps = functional.relu(so_far + fourth)
        pooled = functional.avg_pool2d(maps, 7, 2).flatten(1)
        return pooled @ self.weights["fc/weights"] + self.weights["fc/bias"]

    def _separable(self, maps: Tensor, name: str, stride: int) -> Tensor:
        depthwise = self.weights[f"{name}/depthwise_filter"].permute(2, 3, 0, 1)
        pointwise = self.weights[f"{name}/pointwise_filter"].permute(3, 2, 0, 1)
        maps = functional.conv2d(_padded(maps, stride), depthwise, None, stride, groups=len(depthwise))
        return functional.conv2d(maps, pointwise, self.weights[f"{name}/bias"])


def _padded(maps: Tensor, stride: int) -> Tensor:
    """Pad maps for a kernel of 3, as TensorFlow does: the result is their size divided by the stride."""
    size = maps.shape[2]
    missing = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    padded = functional.pad(maps, (missing // 2, missing - missing // 2) * 2)
    return padded.contiguous(memory_format=torch.channels_last)
