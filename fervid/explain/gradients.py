"""Integrated gradients: the logit of an answer as a sum of contributions of its inputs.

Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, ICML 2017. The path leads from an empty
input, which is even grey and a face at rest, to the input itself. The contributions along it sum to the
difference of the two logits, which is the method's completeness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fervid import clips, streams
from fervid.clips import Window
from fervid.errors import UsageError
from fervid.faces import shape
from fervid.model import Model, counted, parts
from fervid.process import one_thread
from fervid.types import Array, Floats

STEPS = 64  # points of the path
BATCH = 8  # points in one pass


@dataclass(frozen=True, eq=False)
class Share:
    """The contributions of one stream to one label's logit."""

    base: float  # the logit of the input without information
    inputs: Mapping[str, Floats]  # "faces" (L, S, S), "points" or "displacement" (L, 68, 2)

    @property
    def total(self) -> float:
        """The whole contribution of the stream, with its base."""
        return self.base + sum(float(part.sum(dtype=np.float64)) for part in self.inputs.values())

    def times(self, left: float) -> Share:
        """Return the contributions if only a part of the stream's logits counts."""
        return Share(left * self.base, {name: np.float32(left) * part for name, part in self.inputs.items()})


@dataclass(frozen=True, eq=False)
class Explanation:
    """The contributions to the logits of some labels, for one window of a face."""

    scores: Mapping[str, float]  # of all labels, calibrated, highest first
    logits: Mapping[str, float]  # of the explained labels, highest first
    shares: Mapping[str, Mapping[str, Share]]  # label -> stream -> contributions

    def residual(self, label: str) -> float:
        """Return the part of a logit that the contributions do not explain: the error of the integral."""
        return self.logits[label] - sum(share.total for share in self.shares[label].values())

    def by_frame(self, label: str) -> Floats:
        """Return the contribution of each frame of the window, (L,)."""
        arrays = [part for share in self.shares[label].values() for part in share.inputs.values()]
        return np.sum([part.reshape(len(part), -1).sum(axis=1) for part in arrays], axis=0)

    def by_pixel(self, label: str) -> Floats | None:
        """Return the contribution of each pixel of each aligned face (L, S, S), if pixels are read."""
        return self._sum(label, ("faces",))

    def by_landmark(self, label: str) -> Floats | None:
        """Return the contribution of each landmark (68,), if landmarks are read."""
        both = self._sum(label, ("points", "displacement"))
        return None if both is None else np.asarray(both.sum(axis=(0, 2)))

    def _sum(self, label: str, inputs: Sequence[str]) -> Floats | None:
        every = [item for share in self.shares[label].values() for item in share.inputs.items()]
        arrays = [part for name, part in every if name in inputs]
        return np.sum(arrays, axis=0) if arrays else None


def explain(
    model: Model,
    window: Window,
    neutral: Floats | None = None,
    count: int = 4,
    only: str | None = None,
) -> Explanation:
    """Explain the answer in a window: the `count` labels with the highest scores, or `only` one label.

    `neutral` (68, 2) is the person's face at rest, if it is known from more of the track.
    """
    if model.spec.vote:
        raise UsageError(
            f"{model.spec.name} is a committee, so its answer is not a sum of its streams: explain one "
            "of its members, such as member_1 in its folder"
        )
    with one_thread():
        inputs = {
            spec.name: _inputs(window, spec.reads, spec.illumination, neutral) for spec in model.spec.streams
        }
        logits = {name: _forward(model, name, full).detach().cpu().numpy() for name, full in inputs.items()}
        left = {
            name: float(part[0, 0])
            for name, part in counted(model.spec, logits, clips.straightness_of([window])).items()
        }
        fused = np.sum([left.get(name, 1.0) * part for name, part in logits.items()], axis=0)[0]  # (C,)
        scores = model.probabilities(np.asarray(fused, np.float32)[None])[0]
        labels = model.spec.labels
        order = np.argsort(-scores, kind="stable").tolist()
        columns = order[:count] if only is None else [labels.index(only)]
        shares: dict[str, dict[str, Share]] = {labels[column]: {} for column in columns}
        for name, full in inputs.items():
            for column, share in zip(columns, _shares(model, name, full, columns), strict=True):
                shares[labels[column]][name] = share.times(left[name]) if name in left else share
    return Explanation(
        {labels[column]: float(scores[column]) for column in order},
        {labels[column]: float(fused[column]) for column in columns},
        shares,
    )


def _inputs(window: Window, reads: str, illumination: str, neutral: Floats | None) -> dict[str, Tensor]:
    """Return the input of a stream for a window, as a batch of one."""
    arrays: dict[str, Array] = {}
    for part in parts(reads):
        is_moved = part == "displacement" and neutral is not None
        value = window.displacement(neutral) if is_moved and neutral is not None else window[part]
        is_picture = value.dtype == np.uint8
        arrays[part] = (
            clips.contrast(np.asarray(value[None], np.uint8), illumination) if is_picture else value[None]
        )
    return {part: torch.from_numpy(np.ascontiguousarray(value, np.float32)) for part, value in arrays.items()}


def _empty(part: str, value: Tensor) -> Tensor:
    """Return an input without information: even grey, a face at rest, or the mean face in a crop."""
    if part != "points":
        return torch.zeros_like(value)
    mean = shape.figures()["neutral"][:, :2]
    scale = shape.CROP / shape.CROP_EYES
    points = mean * scale + np.array([shape.CROP / 2, shape.CROP * shape.CROP_EYE_LINE])
    return torch.from_numpy(points.astype(np.float32)).expand_as(value).clone()


def _forward(model: Model, stream: str, values: Mapping[str, Tensor]) -> Tensor:
    """Return the logits (B, C) that a stream adds to the fused ones."""
    network = model.networks[stream]
    features = network.features(streams.join_inputs(list(values.values())).to(model.device))
    if model.spec.fusion == "joint":
        return model.joint[stream](features)
    weight = next(spec.weight for spec in model.spec.streams if spec.name == stream)
    return float(weight) * network.top(features)


def _shares(model: Model, stream: str, full: Mapping[str, Tensor], columns: Sequence[int]) -> list[Share]:
    """Return the contributions of a stream to the logits of some labels."""
    empty = {part: _empty(part, value) for part, value in full.items()}
    slopes = [{part: torch.zeros_like(value) for part, value in full.items()} for _ in columns]
    middles = (torch.arange(STEPS) + 0.5) / STEPS  # the midpoint rule
    for along in torch.split(middles, BATCH):
        points = {}
        for part, value in full.items():
            steps = along.view(-1, *[1] * (value.dim() - 1))
            points[part] = (empty[part] + steps * (value - empty[part])).requires_grad_()
        logits = _forward(model, stream, points)
        for index, column in enumerate(columns):
            keep = index + 1 < len(columns)
            gradients = torch.autograd.grad(logits[:, column].sum(), list(points.values()), retain_graph=keep)
            for part, gradient in zip(points, gradients, strict=True):
                slopes[index][part] += gradient.sum(dim=0, keepdim=True) / STEPS
    with torch.no_grad():
        bases = _forward(model, stream, empty)[0].cpu().numpy()
    return [
        Share(
            float(bases[column]),
            {part: ((full[part] - empty[part]) * slope[part])[0].numpy() for part in full},
        )
        for column, slope in zip(columns, slopes, strict=True)
    ]
