"""A small net with the file and the answers of EmoNet."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class SmallEmoNet(nn.Module):
    """One layer on a picture of 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, 8)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        small = nn.functional.adaptive_avg_pool2d(pictures, 8).flatten(1)
        answers = self.layer(small)
        return {"expression": answers, "valence": answers[:, 0], "arousal": answers[:, 1]}


def small_emonet(file: Path) -> SmallEmoNet:
    """Write a net with random weights, and return it."""
    torch.manual_seed(0)
    net = SmallEmoNet().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the real file is of an older torch
        torch.jit.script(net).save(str(file))
    return net
