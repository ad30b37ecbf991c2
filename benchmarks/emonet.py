"""EmoNet, run by torch: a teacher of the default model's frame networks.

The net of Toisoul and others (2021) learned from AffectNet, and is not for commercial purposes. Its file is
`fae/resources/emotions8.pth` in the source archive of fae 0.2 on PyPI. It reads whole heads, sharp ones best.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import torch

from fervid.faces.finder import FaceFinder
from fervid.labels import EMOTIONS
from fervid.types import Array, Bytes, Floats

ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
KINDS = (*EMOTIONS, "contempt")  # of the answers
SIDE = 256
ACROSS, RAISED = 1.8, 0.08  # of a view: its side in sides of the landmarks' box, and how far it is moved up
BATCH = 16


class EmoNet:
    """The net on grey pictures of whole heads."""

    def __init__(self, file: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the file has no other form
            self.net = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def __call__(self, pictures: Bytes) -> Floats:
        """Return the logits of KINDS for pictures (N, SIDE, SIDE)."""
        columns, rows = [ORDER.index(kind) for kind in KINDS], []
        for low in range(0, len(pictures), BATCH):
            grey = torch.from_numpy(pictures[low : low + BATCH])[:, None].float() / 255
            views = grey.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                rows.append(self.net(views)["expression"].float()[:, columns].numpy())
        return np.concatenate(rows)


def head(luma: Bytes, landmarks: Array) -> Bytes:
    """Return the picture of a head, (SIDE, SIDE)."""
    low, high = landmarks.min(0), landmarks.max(0)
    side = float((high - low).max()) * ACROSS
    zoom, middle = SIDE / side, (low + high) / 2 - (0, RAISED * side)
    matrix = np.c_[zoom * np.eye(2), SIDE / 2 - zoom * middle]
    how = cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC
    warped = cv2.warpAffine(luma, matrix, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def landmarks_of(finder: FaceFinder, luma: Bytes) -> Floats | None:
    """Return the landmarks of the face in a picture."""
    faces = finder.detect(np.ascontiguousarray(luma))
    return finder.follow(luma, finder.fit(luma, faces[0])) if faces else None


def head_of_close_up(finder: FaceFinder, luma: Bytes) -> Bytes | None:
    """Return the head of a picture that ends close to it: what is missing is filled with the edges."""
    edge = luma.shape[0] // 4
    wide = cv2.copyMakeBorder(luma, edge, edge, edge, edge, cv2.BORDER_REPLICATE)
    landmarks = landmarks_of(finder, wide)
    return head(wide, landmarks) if landmarks is not None else None


def head_of_fer(luma: Bytes) -> Bytes:
    """Return the head of a picture of FER2013, which shows little but the face."""
    edge = luma.shape[0] // 4
    wide = cv2.copyMakeBorder(luma, edge, edge, edge, edge, cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(wide, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
