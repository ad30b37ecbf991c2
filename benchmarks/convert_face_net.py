"""Convert dlib's face net to the half-precision weights that fervid includes, and measure the difference.

    python benchmarks/convert_face_net.py [-o FILE] [--media ../shared/media]

The net is dlib_face_recognition_resnet_model_v1.dat of the package face_recognition_models, which its author,
Davis King, placed in the public domain. The fixed scale and shift after each convolution are folded into it.
With --media the descriptors of faces in clips are compared with those of the full net, by their distance:
fervid groups faces that are up to 0.6 apart.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from fervid.faces.descriptor import BLOCKS, FaceNet
from fervid.faces.finder import FACE_NET, FaceFinder
from fervid.faces.weights import installed
from fervid.types import Array, Bytes, Floats
from fervid.video import planning, reading

DLIBS = "dlib_face_recognition_resnet_model_v1.dat"
OURS = Path(__file__).parents[1] / "fervid" / FACE_NET
LAYER = re.compile(rb"con_4|affine_|fc_2")
EVERY = 1.0  # seconds between the compared frames


def converted(content: bytes) -> dict[str, Array]:
    """Return the weights of dlib's net by name, in single precision."""
    values = tensors(content)
    weights = convolution("first", values, 3, 32, 7)
    before = 32
    for index, (width, _) in enumerate(BLOCKS):
        weights |= convolution(f"{index}.first", values, before, width, 3)
        weights |= convolution(f"{index}.second", values, width, width, 3)
        before = width
    return weights | {"last": next(values).reshape(before, -1)}


def convolution(name: str, values: Iterator[Floats], depth: int, width: int, side: int) -> dict[str, Array]:
    """Return the next convolution with the scale and shift after it folded in."""
    kernel, after = next(values), next(values)
    scale, shift = after.reshape(2, width)
    weight = kernel[:-width].reshape(width, depth, side, side) * scale[:, None, None, None]
    return {f"{name}.weight": weight, f"{name}.bias": kernel[-width:] * scale + shift}


def tensors(content: bytes) -> Iterator[Floats]:
    """Yield the weights of every layer in the file, in order, each flat."""
    position = 0
    while layer := LAYER.search(content, position):
        position = layer.end()
        if layer[0] == b"fc_2":  # its sizes come before its weights
            _, position = integer(content, position)
            _, position = integer(content, position)
        version, position = integer(content, position)
        count = 1
        for _ in range(4):
            length, position = integer(content, position)
            count *= length
        end = position + 4 * count
        if version != 2 or end > len(content):
            raise SystemExit(f"{DLIBS}: its layers cannot be read")
        yield np.frombuffer(content[position:end], "<f4").astype(np.float32)
        position = end


def integer(content: bytes, position: int) -> tuple[int, int]:
    """Return an integer as dlib writes it, a count of bytes followed by them, and the position after it."""
    end = position + 1 + content[position]
    return int.from_bytes(content[position + 1 : end], "little"), end


def portraits(media: Path) -> Iterator[Bytes]:
    """Yield portraits of the faces in clips, one frame a second."""
    finder = FaceFinder()
    for clip in sorted(media.iterdir()):
        video, due = planning.plan(clip), 0.0
        for frame in reading.frames(video):
            if video.seconds(frame.pts) >= due:
                due += EVERY
                for face in finder.detect(frame.luma):
                    yield finder.portrait(frame.luma, finder.fit(frame.luma, face))


def compare(full: FaceNet, half: FaceNet, media: Path) -> str:
    """Return how far descriptors, and the distances between them, differ between two nets."""
    faces = list(portraits(media))
    first, second = (np.stack([net.describe(face) for face in faces]) for net in (full, half))
    apart = np.linalg.norm(first - second, axis=1)
    distances = [
        np.linalg.norm(descriptors[:, None] - descriptors[None], axis=2) for descriptors in (first, second)
    ]
    pairs = np.triu_indices(len(faces), 1)
    change = np.abs(distances[0] - distances[1])[pairs]
    crossing = ((distances[0] < 0.6) != (distances[1] < 0.6))[pairs]
    return (
        f"{len(faces)} faces: descriptors move by {apart.mean():.5f}, at most {apart.max():.5f}; "
        f"distances between two change by {change.max():.5f} at most; "
        f"{crossing.sum()} of {len(crossing)} pairs change sides of 0.6"
    )


def main() -> None:
    """Convert the net, and compare it if there are clips."""
    parser = argparse.ArgumentParser(description="Convert dlib's face net to half precision.")
    parser.add_argument("-o", "--output", type=Path, default=OURS)
    parser.add_argument("--media", type=Path, help="a folder of clips to compare the nets on")
    options = parser.parse_args()
    weights = converted(installed(DLIBS).read_bytes())
    halves = {name: value.astype(np.float16) for name, value in weights.items()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(halves, options.output)
    print(f"{options.output}: {options.output.stat().st_size} bytes")
    if options.media:
        nets = [
            FaceNet({name: torch.from_numpy(v.astype(np.float32)) for name, v in values.items()})
            for values in (weights, halves)
        ]
        print(compare(*nets, options.media))


if __name__ == "__main__":
    main()
