"""Convert dlib's face net to the 8-bit integers that fervid includes, and measure the difference.

    python benchmarks/convert_face_net.py [--data ../shared/data] [--media ../shared/media] [-o FILE]

The net is dlib_face_recognition_resnet_model_v1.dat of the package face_recognition_models, which its author,
Davis King, placed in the public domain. The fixed scale and shift after each convolution are folded into it.
The ranges of its layers' inputs are measured on faces of landmarks68.npz. The first and the last layer are
stored in half precision. With --media the descriptors of faces in clips are compared with those of the full
net, by their distance: fervid groups faces that are up to 0.6 apart.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import measure_landmarks
import numpy as np
import torch
from safetensors.numpy import save_file

from fervid import packing, quantized
from fervid.faces.descriptor import FaceNet, Trunk, load, whole_weights
from fervid.faces.face_net import BLOCKS, WIDTH
from fervid.faces.finder import FACE_NET, FaceFinder
from fervid.faces.weights import installed
from fervid.types import Array, Bytes, Floats
from fervid.video import planning, reading

DLIBS = "dlib_face_recognition_resnet_model_v1.dat"
OURS = Path(__file__).parents[1] / "fervid" / FACE_NET
MEASURED = 400  # faces that the ranges are measured with
AT_ONCE = 8
LAYER = re.compile(rb"con_4|affine_|fc_2")
EVERY = 1.0  # seconds between the compared frames


def converted(content: bytes) -> dict[str, Array]:
    """Return the weights of dlib's net by name, in single precision."""
    values = tensors(content)
    weights = convolution("first", values, 3, WIDTH, 7)
    before = WIDTH
    for index, (times, _) in enumerate(BLOCKS):
        width = times * WIDTH
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


def ranges_of(net: FaceNet, data: Path) -> Array:
    """Return the ranges of the layers' inputs for faces of the pack, encoded."""
    known = measure_landmarks.read(data / "landmarks68.npz")
    known = known.take(np.flatnonzero((known.parts == measure_landmarks.TRAINING) & known.sound)[:MEASURED])
    finder, trunk = FaceFinder(), net.trunk
    assert isinstance(trunk, Trunk)
    faces = np.stack([finder.portrait(*face) for face in zip(known.pictures, known.points, strict=True)])
    with quantized.measured(trunk) as ranges, torch.inference_mode():
        for start in range(0, len(faces), AT_ONCE):
            trunk(torch.from_numpy(faces[start : start + AT_ONCE, None].astype(np.float32)))
    return quantized.encode(trunk, ranges).numpy()


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


def compare(full: FaceNet, other: FaceNet, media: Path) -> str:
    """Return how far descriptors, and the distances between them, differ between two nets."""
    faces = list(portraits(media))
    first, second = (np.stack([net.describe(face) for face in faces]) for net in (full, other))
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
    parser = argparse.ArgumentParser(description="Convert dlib's face net to 8-bit integers.")
    parser.add_argument("-o", "--output", type=Path, default=OURS)
    parser.add_argument("--media", type=Path, help="a folder of clips to compare the nets on")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="the folder of landmarks68.npz"
    )
    options = parser.parse_args()
    weights = converted(installed(DLIBS).read_bytes())
    halves = {name: value.astype(np.float16) for name, value in weights.items()}
    half = _for_torch(halves)
    whole = packing.pack(halves, whole_weights(half))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(whole | {quantized.RANGES: ranges_of(FaceNet(half), options.data)}, options.output)
    print(f"{options.output}: {options.output.stat().st_size} bytes")
    if options.media:
        full = FaceNet(_for_torch(weights))
        for name, net in (
            ("half precision", FaceNet(half)),
            ("weights in 8 bits", load(options.output, in_integers=False)),
            ("8-bit integers", load(options.output)),
        ):
            print(f"{name}: {compare(full, net, options.media)}")


def _for_torch(weights: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}


if __name__ == "__main__":
    main()
