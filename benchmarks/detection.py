"""Compare the face detectors: recall by size, angle and kind, false alarms, and time.

    python benchmarks/detection.py [--data ../shared/data] [--media ../shared/media] [--people N]

Portraits of `landmarks68.npz` are turned by the puppet of `fervid.synth`, rolled and scaled. Frames of real
clips come with the boxes in detection_truth.json: a detector at several scales drew them, every frame was
looked at, and faces that it missed were added by hand. README.md in this folder explains each row.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fervid.faces import detection, detectors, shape
from fervid.faces.boxes import overlap
from fervid.faces.detection import Search
from fervid.faces.finder import FaceFinder
from fervid.synth.puppet import Puppet
from fervid.types import Bytes, Floats
from fervid.video import planning, reading

# Column -> detector, and whether it reads the picture at every angle, as at cuts and every few seconds.
WAYS = {
    "yunet": ("yunet", Search.FULL),
    "quick": ("yunet", Search.QUICK),
    "upright": ("yunet", Search.UPRIGHT),
    "hog": ("hog", Search.UPRIGHT),
}
TRUTH = Path(__file__).with_name("detection_truth.json")
SAME = 0.3  # overlap (intersection over union) from which a detection is the true face
VIEW = (640, 480)  # pixels of the pictures that show one portrait
SMALLEST = 20  # pixels: what the detectors are asked for
SIDE = 80  # pixels of the face in the rows of angles
SIZES = (20, 25, 30, 45, 80, 160, 320)
ROLLS = (0, 20, 45, 90, 135, 180)
TURNS = ((20, 0), (40, 0), (-40, 0), (0, 20), (0, -20), (30, -15))  # degrees of yaw and pitch


def portraits(data: Path, people: int) -> Iterator[tuple[Bytes, Floats]]:
    """Yield a frontal portrait and its landmarks for each of some people of the pack."""
    with np.load(data / "landmarks68.npz") as pack:
        names, points, offset, blob = (
            pack["person"],
            pack["points"].astype(np.float32),
            pack["offset"],
            pack["webp"],
        )
    spans = list(pairwise(offset.tolist()))
    yaw = np.abs(shape.head_pose(points)[:, 0])
    chosen = [
        min(np.flatnonzero(names == name), key=lambda row: float(yaw[row])) for name in np.unique(names)
    ]
    for row in chosen[:: max(1, len(chosen) // people)][:people]:
        low, high = spans[row]
        yield np.asarray(cv2.imdecode(blob[low:high], cv2.IMREAD_GRAYSCALE), np.uint8), points[row]


def turned(landmarks: Floats, yaw: float, pitch: float) -> Floats:
    """Return a face's landmarks after a turn of the head, with the depths of the mean face."""
    a, b = np.radians((yaw, pitch))
    scale = float(shape.eye_distance(landmarks[None])[0])
    middle = landmarks[36:48].mean(0)
    solid = np.column_stack([landmarks - middle, shape.figures()["neutral"][:, 2] * scale])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray((solid @ (about_x @ about_y).T)[:, :2] + middle, np.float32)


def placed(picture: Bytes, landmarks: Floats, side: float, roll: float) -> tuple[Bytes, Floats]:
    """Return a picture with the face in its middle, `side` pixels large and rolled, and the face's box."""
    finder = FaceFinder()
    box = finder.box(landmarks)
    center, scale = box[:2] + box[2:] / 2, side / float(box[2])
    if scale < 0.5:  # average first: a camera that far away would
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.4 / scale), np.uint8)
    matrix = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), roll, scale)
    matrix[:, 2] += np.array(VIEW) / 2 - center
    view = cv2.warpAffine(picture, matrix, VIEW, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, np.uint8), finder.box(
        landmarks @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2]
    )


class Counts:
    """Faces shown and detected, false alarms, pictures and processor seconds, by detector and row."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, list[int]]] = {}
        self.false = dict.fromkeys(WAYS, 0)
        self.seconds = dict.fromkeys(WAYS, 0.0)
        self.pictures = 0

    def add(self, luma: Bytes, faces: list[tuple[str, Floats]], min_face: float) -> None:
        """Detect the faces of a picture by every detector, and count them under their rows."""
        self.pictures += 1
        for name, (detector, search) in WAYS.items():
            began = time.process_time()
            boxes = [face.box for face in detection.detect(luma, detector, min_face, search)]
            self.seconds[name] += time.process_time() - began
            free = set(range(len(boxes)))
            for row, box in faces:
                near = {index: float(overlap(box[None], boxes[index][None])[0, 0]) for index in free}
                best = max(near, key=lambda index: near[index], default=None)
                is_found = best is not None and near[best] >= SAME
                if is_found:
                    free.discard(best)
                shown, detected = self.rows.setdefault(row, {}).setdefault(name, [0, 0])
                self.rows[row][name] = [shown + 1, detected + is_found]
            self.false[name] += len(free)

    def as_json(self) -> dict[str, Any]:
        """Return every figure."""
        return {
            "pictures": self.pictures,
            "recall": {
                row: {"faces": counts["hog"][0]} | {name: counts[name][1] / counts[name][0] for name in WAYS}
                for row, counts in self.rows.items()
            },
            "false_alarms": self.false,
            "time": {name: self.seconds[name] / self.seconds["hog"] for name in WAYS},
        }


def of_portraits(data: Path, people: int) -> dict[str, Any]:
    """Measure portraits that are scaled, rolled and turned."""
    counts = Counts()
    for picture, landmarks in portraits(data, people):
        puppet = Puppet(picture, landmarks)
        views = [(f"size {side}", picture, landmarks, side, 0) for side in SIZES]
        views += [(f"roll {roll}", picture, landmarks, SIDE, roll) for roll in ROLLS]
        for yaw, pitch in TURNS:
            posed, points = puppet.pose(turned(landmarks, yaw, pitch))
            views.append((f"yaw {yaw}, pitch {pitch}", posed, points.astype(np.float32), SIDE, 0))
        for row, image, points, side, roll in views:
            luma, box = placed(image, points, side, roll)
            counts.add(luma, [(row, box)], SMALLEST / VIEW[1])
    return counts.as_json()


def of_media(media: Path) -> dict[str, Any]:
    """Measure frames of real clips."""
    counts = Counts()
    for name, moments in json.loads(TRUTH.read_text("utf-8")).items():
        video = planning.plan(media / name)
        for moment in moments:
            pts = video.ticks(moment["seconds"])
            index = int(np.abs(video.pts - pts).argmin())
            frame = next(reading.frames(video, int(video.pts[index]), int(video.pts[index]) + 1))
            faces = [(kind, np.array(box, np.float32)) for *box, kind in moment["faces"]]
            counts.add(frame.luma, faces, FaceFinder.min_face)
    return counts.as_json()


def of_boxes(data: Path, people: int) -> list[dict[str, float]]:
    """Return the error of dlib's predictor for boxes around YuNet's points, the smallest first."""
    finder, rows = FaceFinder(landmarks="dlib"), []
    faces = []
    for picture, landmarks in portraits(data, people):
        seen = finder.detect(picture)
        if seen and seen[0].points is not None:
            faces.append((picture, landmarks, seen[0].points))
    for by_eyes, by_mouth, below in product((2.4, 2.6, 2.8), (2.0, 2.2, 2.4), (0.35, 0.45, 0.55)):
        errors = []
        for picture, landmarks, points in faces:
            eyes, mouth = points[:2].mean(0), points[3:].mean(0)
            _, _, roll = detectors.upright_box(points)
            side = max(by_eyes * np.hypot(*(points[1] - points[0])), by_mouth * np.hypot(*(mouth - eyes)))
            (fitted,) = finder.predict(picture, [(eyes + below * (mouth - eyes), float(side), roll)])
            size = np.sqrt(np.prod(np.ptp(landmarks[17:], axis=0)))
            errors.append(np.linalg.norm(fitted - landmarks, axis=1)[17:].mean() / size)
        rows.append({"eyes": by_eyes, "mouth": by_mouth, "below": below, "error": float(np.mean(errors))})
    return sorted(rows, key=lambda row: row["error"])


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of text."""
    for part in ("portraits", "media"):
        if part in figures:
            part_figures = figures[part]
            yield f"{part}: {part_figures['pictures']} pictures"
            yield f"  {'recall':24}{'faces':>7}" + "".join(f"{name:>9}" for name in WAYS)
            for row, shares in part_figures["recall"].items():
                yield f"  {row:24}{shares['faces']:7}" + "".join(f"{shares[name]:9.3f}" for name in WAYS)
            false = "".join(f"{part_figures['false_alarms'][name]:9}" for name in WAYS)
            yield f"  {'false alarms':24}{'':7}{false}"
            yield f"  {'time':24}{'':7}" + "".join(f"{part_figures['time'][name]:9.3f}" for name in WAYS)
    for row in figures.get("boxes", [])[:5]:
        yield f"box by {row['eyes']}, {row['mouth']}, {row['below']}: error {row['error']:.4f} of the size"


def main() -> None:
    """Measure, and print the tables or write the figures."""
    parser = argparse.ArgumentParser(description="Compare the face detectors.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--people", type=int, default=60, help="portraits [60]")
    parser.add_argument("--json", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    if (options.data / "landmarks68.npz").is_file():
        figures["portraits"] = of_portraits(options.data, options.people)
        figures["boxes"] = of_boxes(options.data, options.people)
    if options.media.is_dir():
        figures["media"] = of_media(options.media)
    if not figures:
        sys.exit(f"there is neither {options.data / 'landmarks68.npz'} nor {options.media}")
    print("\n".join(table(figures)))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
