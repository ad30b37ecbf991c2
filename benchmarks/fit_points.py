"""Fit the network of fervid/faces/points.py to pictures of faces with 68 points each.

Everything is kept in a folder: pools of pictures as they are made, and the state of the training. A run that
was stopped resumes from there.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from moving_faces import lit, view_of, worse
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fervid import quantized
from fervid.faces import points as network
from fervid.faces import shape
from fervid.types import Array, Bytes, Floats

BATCH = 64
RATE = 3e-3  # the highest learning rate
WARM = 0.06  # share of the steps until the highest rate
DECAY = 1e-3
AVERAGED = 0.998  # of the average of the weights, from step to step
SAVE_EVERY = 100  # steps
MEASURED = 32  # batches that the ranges of a network's inputs are measured with
STATE = "state.pt"  # the file of a training's state

# Pairs of points with a distance that expressions change: an error of their difference counts, too, as much
# as these weights, so that the network learns movement and not the mean.
GAPS: tuple[tuple[int, int, float], ...] = (
    *((upper, lower, 8.0) for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46))),
    *((upper, lower, 2.0) for upper, lower in ((61, 67), (62, 66), (63, 65))),
    *((left, right, 1.0) for left, right in ((48, 54), (60, 64), (31, 35))),
    *((upper, lower, 1.0) for upper, lower in ((33, 51), (51, 57), (57, 8), (50, 58), (52, 56))),
    *((brow, eye, 1.0) for brow, eye in ((17, 36), (19, 36), (21, 39), (22, 42), (24, 45), (26, 45))),
    (21, 22, 1.0),
)
GAP_SHARE = 1.0  # of the gaps in the loss


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures of one size, each with the 68 points of its face."""

    pictures: Bytes  # (N, H, W)
    points: Floats  # (N, 68, 2)

    def __len__(self) -> int:
        return len(self.points)


def kept(folder: Path, name: str, side: int, made: Iterable[tuple[Bytes, Floats]]) -> Pool:
    """Return a pool from the folder; if it is not there yet, make it and write it."""
    pixels, points_path = folder / f"{name}.raw", folder / f"{name}.npy"
    if not points_path.is_file():
        points = []
        with pixels.open("wb") as stream:
            for picture, own in made:
                stream.write(np.ascontiguousarray(picture).tobytes())
                points.append(own)
        np.save(folder / f"{name}.part.npy", np.array(points, np.float32).reshape(-1, 68, 2))
        os.replace(folder / f"{name}.part.npy", points_path)
    points = np.load(points_path)
    if not len(points):
        return Pool(np.zeros((0, side, side), np.uint8), points)
    return Pool(np.memmap(pixels, np.uint8, "r", shape=(len(points), side, side)), points)


def canvases(
    pools: Sequence[tuple[Pool, float]], chance: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """Yield batches of what the network reads and should return, drawn from pools by their shares."""
    shares = np.array([share for _, share in pools])
    mean = network.mean_points()
    while True:
        pictures = np.empty((BATCH, 1, network.SIDE, network.SIDE), np.float32)
        targets = np.empty((BATCH, 68, 2), np.float32)
        for row, number in enumerate(chance.choice(len(pools), BATCH, p=shares / shares.sum())):
            pool = pools[number][0]
            which = int(chance.integers(len(pool)))
            points = pool.points[which]
            picture = worse(np.asarray(pool.pictures[which]), float(shape.eye_distance(points)), chance)
            seen, placed = view_of(picture, points, chance)
            pictures[row, 0] = network.even(lit(seen, chance))
            targets[row] = (placed - mean) / network.EYES
        yield pictures, targets


def normalized(net: network.PointsNet) -> network.PointsNet:
    """Return the network with a batch normalization after each convolution but the last."""
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and child is not net.hidden:
                setattr(module, name, nn.Sequential(child, nn.BatchNorm2d(child.out_channels)))
    return net


def folded(net: network.PointsNet) -> network.PointsNet:
    """Return a copy of the network with each normalization folded into its convolution."""
    plain = copy.deepcopy(net).eval()
    for module in list(plain.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Sequential):
                setattr(module, name, fuse_conv_bn_eval(child[0], child[1]))
    return plain


def loss_of(points: Tensor, targets: Tensor) -> Tensor:
    """Return the mean distance of the points, and of the differences of GAPS."""
    start, end, weight = (torch.tensor(column) for column in zip(*GAPS, strict=True))
    off = points - targets
    gaps = ((off[:, start] - off[:, end]).abs().sum(-1) * weight).mean()
    return off.abs().sum(-1).mean() + GAP_SHARE * gaps


def rate_at(step: int, steps: int) -> float:
    """Return the learning rate: a short rise, and half a cosine down to zero."""
    warm = max(WARM * steps, 1)
    if step < warm:
        return RATE * (step + 1) / warm
    return RATE * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / (steps - warm))))


class Training:
    """A network, the average of its weights over the steps, and its optimizer; kept in a file."""

    def __init__(self, file: Path, seed: int, start: Path | None) -> None:
        torch.manual_seed(seed)
        self.file, self.step = file, 0
        self.net = normalized(network.PointsNet()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            self.net.top.weight.mul_(0.1)
        self.average = copy.deepcopy(self.net)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), RATE, weight_decay=DECAY)
        if file.is_file():
            saved: dict[str, Any] = torch.load(file, weights_only=True)
            self.net.load_state_dict(saved["net"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]
        elif start is not None:
            average = torch.load(start, weights_only=True)["average"]
            self.net.load_state_dict(average)
            self.average.load_state_dict(average)

    def learn(self, pictures: Array, targets: Array, rate: float) -> float:
        """Take one step, and return the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16):
            points = self.net(torch.from_numpy(pictures).to(memory_format=torch.channels_last))
        loss = loss_of(points.float(), torch.from_numpy(targets))
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        keep = min(AVERAGED, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            states = (net.state_dict().values() for net in (self.average, self.net))
            for ours, new in zip(*states, strict=True):
                if ours.dtype.is_floating_point:
                    ours.lerp_(new, 1 - keep)
                else:
                    ours.copy_(new)
        self.step += 1
        return float(loss.item())

    def save(self) -> None:
        """Write the state."""
        state = {name: getattr(self, name).state_dict() for name in ("net", "average", "optimizer")}
        part = self.file.with_suffix(".part")
        torch.save(state | {"step": self.step}, part)
        os.replace(part, self.file)


def fit(
    pools: Sequence[tuple[Pool, float]], steps: int, seed: int, folder: Path, start: Path | None = None
) -> network.PointsNet:
    """Train for a number of steps on one thread; resume from the folder if there is a state."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    training = Training(folder / STATE, seed, start)
    batches = canvases(pools, np.random.default_rng([seed, training.step]))
    losses: list[float] = []
    while training.step < steps:
        losses.append(training.learn(*next(batches), rate_at(training.step, steps)))
        if training.step % SAVE_EVERY == 0 or training.step == steps:
            training.save()
            print(f"step {training.step} of {steps}: loss {np.mean(losses):.4f}", flush=True)
            losses = []
    return folded(training.average)


def save(
    net: network.PointsNet,
    target: Path,
    pools: Sequence[tuple[Pool, float]] | None = None,
) -> None:
    """Write the weights in half precision; with pools of pictures, the ranges of its inputs, too."""
    tensors = {name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}
    if pools is not None:
        with quantized.measured(net) as ranges, torch.inference_mode():
            for pictures, _ in islice(canvases(pools, np.random.default_rng(0)), MEASURED):
                net(torch.from_numpy(pictures))
        tensors[quantized.RANGES] = quantized.encode(net, ranges)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target)
    target.chmod(0o644)
