"""Convert YuNet to the weights with which fervid computes it in 8-bit integers, and measure the difference.

    python benchmarks/convert_yunet.py [--data ../shared/data] [-o FILE]

The weights are those of the ONNX file that fervid includes. The ranges of the layers' inputs are measured on
mosaics of faces of landmarks68.npz, in sizes from 16 to 130 pixels. On mosaics of other people the faces,
points and scores are compared with those of OpenCV's YuNet.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import cv2
import measure_landmarks
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fervid import quantized
from fervid.faces import detectors, yunet
from fervid.faces.weights import included
from fervid.types import Bytes, Floats

OURS = Path(__file__).parents[1] / "fervid" / detectors.YUNET_WHOLE
SIZE = (512, 288)  # pixels of a mosaic: a film's frame as it is searched with the usual settings
SIDES = (24, 40, 64, 96, 144, 200)  # pixels of its pictures, of which the face fills about two thirds
MOSAICS = 60
ROOM = 1.1  # the range of all channels is just below 1, so that its steps are as small as can be
SAME = 0.2  # sides of a box: the most distance of the points of one face
# The heads of the ONNX file in its order, and where fervid has their numbers.
HEADS = (slice(0, 1), yunet.BOX, slice(1, 2), yunet.POINTS)


def converted(path: Path) -> dict[str, Tensor]:
    """Return the weights of the ONNX file by the names of `YuNet`; its three colours become one grey."""
    net = cv2.dnn.readNetFromONNX(str(path), cv2.dnn.ENGINE_CLASSIC)
    layers = _convolutions(net)
    kernel, bias = next(layers)
    weights = {"stem.weight": kernel.sum(1, keepdim=True), "stem.bias": bias}
    names = [f"units.{index}" for index in range(len(yunet.WIDTHS))]
    names += [f"necks.{level}" for level in reversed(range(len(yunet.LEVELS)))]
    for name in names:
        for part in ("point", "depth"):
            weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"] = next(layers)
    kinds = [[[*islice(layers, 2)] for _ in yunet.LEVELS] for _ in HEADS]
    order = sorted(range(len(HEADS)), key=lambda kind: HEADS[kind].start)
    for level in range(len(yunet.LEVELS)):
        for index, part in enumerate(("point", "depth")):
            for number, what in enumerate(("weight", "bias")):
                joined = torch.cat([kinds[kind][level][index][number] for kind in order])
                weights[f"heads.{level}.{part}.{what}"] = joined
    return weights


def _convolutions(net: cv2.dnn.Net) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the weight and bias of each convolution."""
    for name in net.getLayerNames():
        index = net.getLayerId(name)
        if net.getLayer(index).type == "Convolution":
            weight, bias = (torch.from_numpy(np.array(net.getParam(index, part))) for part in (0, 1))
            yield weight, bias.flatten()


def mosaics(faces: Sequence[Bytes]) -> Iterator[Bytes]:
    """Yield pictures full of faces, all of one size in each."""
    chosen = random.Random(0)
    for index in range(MOSAICS):
        side = SIDES[index % len(SIDES)]
        mosaic = np.zeros(SIZE[::-1], np.uint8)
        for top, left in product(*(range(0, length, side) for length in mosaic.shape)):
            cell = cv2.resize(chosen.choice(faces), (side, side), interpolation=cv2.INTER_AREA)
            part = mosaic[top : top + side, left : left + side]
            part[:] = cell[: part.shape[0], : part.shape[1]]
        yield mosaic


def even_out(net: yunet.YuNet, pictures: Sequence[Bytes]) -> None:
    """Give all channels between the two convolutions of a unit the same range.

    There is nothing between the two, so what one multiplies a channel by, the other can divide it by.
    """
    units = [part for part in net.modules() if isinstance(part, yunet.Unit)]
    extremes: dict[nn.Module, list[Tensor]] = {unit.depth: [] for unit in units}

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        extremes[layer].append(inputs[0].abs().amax((0, 2, 3)))

    hooks = [unit.depth.register_forward_pre_hook(record) for unit in units]
    for picture in pictures:
        net(_input(picture))
    for hook in hooks:
        hook.remove()
    for unit in units:
        largest = torch.stack(extremes[unit.depth]).quantile(quantized.COVERED, 0).clamp_min(1e-3) * ROOM
        unit.point.weight.data /= largest[:, None, None, None]
        unit.point.bias.data /= largest
        unit.depth.weight.data *= largest[:, None, None, None]


def whole(weights: dict[str, Tensor], pictures: Sequence[Bytes]) -> dict[str, Tensor]:
    """Return the weights and ranges for 8-bit integers, in half precision."""
    net = yunet.YuNet().eval().requires_grad_(False)
    net.load_state_dict(weights)
    even_out(net, pictures)
    halves = {name: value.half() for name, value in net.state_dict().items()}
    net.load_state_dict(halves)
    with quantized.measured(net) as ranges:
        for picture in pictures:
            net(_input(picture))
    return halves | {quantized.RANGES: quantized.encode(net, ranges)}


def _input(picture: Bytes) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32))[None, None]


def compare(pictures: Sequence[Bytes], detect: yunet.YuNetDetector) -> str:
    """Say how many faces both detect, and how far apart their points and scores are."""
    seen, apart, scores = 0, list[float](), list[float]()
    for picture in pictures:
        (own_scores, own), (other_scores, others) = detect(picture), detectors.by_opencv(picture)
        for points, score in zip(others, other_scores, strict=True):
            if score < detectors.YUNET_ACCEPT:
                continue
            seen += 1
            distances = _distances(own, points)
            if len(own) and distances.min() < SAME:
                apart.append(float(distances.min()))
                scores.append(abs(float(own_scores[distances.argmin()] - score)))
    return (
        f"{len(apart)} of {seen} faces; points {100 * np.mean(apart):.2f} % of the box apart, "
        f"scores {np.mean(scores):.4f}"
    )


def _distances(many: Floats, points: Floats) -> Floats:
    """Return the mean distance of each face's points from these, in sides of the box."""
    side = detectors.upright_box(points)[1]
    return np.asarray(np.linalg.norm(many - points, axis=2).mean(1) / side, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Convert YuNet to 8-bit integers.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the packs")
    parser.add_argument("-o", "--output", type=Path, default=OURS)
    options = parser.parse_args()
    known = measure_landmarks.read(options.data / "landmarks68.npz")
    ours, others = (
        list(mosaics(known.pictures[known.parts == part]))
        for part in (measure_landmarks.TRAINING, measure_landmarks.TEST)
    )
    weights = converted(included(detectors.YUNET, detectors.YUNET_SHA256))
    save_file(whole(weights, ours), options.output)
    detect = yunet.load(options.output, detectors.YUNET_WEAK, detectors.YUNET_OVERLAP, detectors.YUNET_MOST)
    print(compare(others, detect))


if __name__ == "__main__":
    main()
