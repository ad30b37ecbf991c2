"""Aligned face crops, as one NumPy archive or as PNG files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.lib import format as npy

from fervid.export.frames.geometry import _member
from fervid.types import Array, Crops, Video

LAYOUT = (
    "A row per face: its track, its pts, and the face, grey, aligned to a canonical eye line. "
    "seconds = (pts - start) * time_base[0] / time_base[1], from the video's first frame."
)


def write_archive(
    chunks: Callable[[], Iterable[Crops]], video: Video, destination: BinaryIO | str | os.PathLike[str]
) -> None:
    """Write `track` (N,), `pts` (N,) and `faces` (N, S, S), one chunk in memory at a time.

    `chunks` is called twice and must give the same crops: the archive begins with their number.
    """
    tracks, moments, side = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for crops in chunks():
        tracks.append(np.full(len(crops.pts), crops.track, np.int64))
        moments.append(crops.pts)
        side = crops.faces.shape[-1]
    facts: dict[str, Array] = {
        "time_base": np.array([video.time_base.numerator, video.time_base.denominator], np.int64),
        "start": np.array(video.start, np.int64),
        "note": np.array(LAYOUT),
        "track": np.concatenate(tracks),
        "pts": np.concatenate(moments),
    }
    with zipfile.ZipFile(destination, "w") as archive:
        for name, value in facts.items():
            with _member(archive, name) as member:
                npy.write_array(member, value, version=(1, 0), allow_pickle=False)
        with _member(archive, "faces") as member:
            shape = (len(facts["pts"]), side, side)
            npy.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
            for crops in chunks():
                member.write(np.ascontiguousarray(crops.faces).data)


def write_pictures(chunks: Iterable[Crops], video: Video, folder: Path) -> None:
    """Write `track_0001/000000123.png`: the track, and the frame's number from 0."""
    for crops in chunks:
        track = folder / f"track_{crops.track:04d}"
        track.mkdir(exist_ok=True)
        for frame, face in zip(np.searchsorted(video.pts, crops.pts).tolist(), crops.faces, strict=True):
            done, data = cv2.imencode(".png", np.ascontiguousarray(face))
            if not done:
                raise ValueError(f"a crop of shape {face.shape} cannot be a PNG")
            (track / f"{frame:09d}.png").write_bytes(data.tobytes())
