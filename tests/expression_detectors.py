"""A small detector of expressions with random weights, in the file of the real one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn


class Part(nn.Module):
    """A module that holds others: its class is unknown to what reads the file."""


def small_detector(file: Path, width: int = 4) -> nn.Module:
    """Write a detector whose first convolution has `width` channels, and return it."""
    torch.manual_seed(0)
    net = Part()
    for place, before, after in (
        (0, 3, 1),
        (1, 1, 2),
        (3, 4, 4),
        (5, 8, 8),
        (7, 8, 16),
        (17, 4, 4),
        (20, 8, 8),
    ):
        _conv(net, str(place), before if before == 3 else before * width, after * width, 3)
    # What each block reads and writes, how wide each half of it is, and whether it is deep, for a width of 1.
    for place, before, after, half, is_deep in (
        (2, 2, 4, 1, False),
        (4, 4, 8, 2, False),
        (6, 8, 8, 4, True),
        (8, 16, 16, 8, True),
        (13, 24, 8, 4, False),
        (16, 16, 4, 2, False),
        (19, 12, 8, 4, False),
        (22, 24, 16, 8, True),
    ):
        half *= width
        _conv(net, f"{place}.cv1", before * width, 2 * half)
        _conv(net, f"{place}.cv2", 3 * half, after * width)
        if is_deep:
            _conv(net, f"{place}.m.0.cv1", half, half // 2)
            _conv(net, f"{place}.m.0.cv2", half, half // 2)
            _conv(net, f"{place}.m.0.cv3", half, half)
        for name in [f"{place}.m.0.m.{step}" for step in range(2)] if is_deep else [f"{place}.m.0"]:
            wide = half // 2 if is_deep else half
            _conv(net, f"{name}.cv1", wide, half // 2, 3)
            _conv(net, f"{name}.cv2", half // 2, wide, 3)
    coarse, inner = 16 * width, 8 * width
    for name, before, after, side, groups in (
        ("9.cv1", coarse, inner, 1, 1),
        ("9.cv2", 4 * inner, coarse, 1, 1),
        ("10.cv1", coarse, coarse, 1, 1),
        ("10.cv2", coarse, coarse, 1, 1),
        ("10.m.0.attn.qkv", inner, 2 * inner, 1, 1),
        ("10.m.0.attn.pe", inner, inner, 3, inner),
        ("10.m.0.attn.proj", inner, inner, 1, 1),
        ("10.m.0.ffn.0", inner, 2 * inner, 1, 1),
        ("10.m.0.ffn.1", 2 * inner, inner, 1, 1),
    ):
        _conv(net, name, before, after, side, groups)
    for level, before in enumerate((4 * width, 8 * width, 16 * width)):
        name, inner = f"23.cv3.{level}", 4 * width
        _conv(net, f"{name}.0.0", before, before, 3, before)
        _conv(net, f"{name}.0.1", before, inner)
        _conv(net, f"{name}.1.0", inner, inner, 3, inner)
        _conv(net, f"{name}.1.1", inner, inner)
        _put(net, f"{name}.2", nn.Conv2d(inner, 8, 1))
    whole = Part()
    whole.add_module("model", net)
    torch.save({"model": whole.half(), "epoch": -1}, file)
    return whole.float()


def _conv(net: nn.Module, name: str, before: int, after: int, side: int = 1, groups: int = 1) -> None:
    _put(net, f"{name}.conv", nn.Conv2d(before, after, side, groups=groups, bias=False))
    _put(net, f"{name}.bn", nn.BatchNorm2d(after))


def _put(net: nn.Module, name: str, module: nn.Module) -> None:
    *places, last = name.split(".")
    for place in places:
        if place not in net._modules:
            net.add_module(place, Part())
        net = net.get_submodule(place)
    net.add_module(last, module)
