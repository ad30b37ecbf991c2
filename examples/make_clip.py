"""Make the example clip and its ground truth: one photograph, animated to show three expressions.

    python examples/make_clip.py [-o examples/clip.mp4]

Needs fervid, and mahotas and scikit-image, which contain the pictures (`pip install fervid[examples]`).
Nothing is downloaded. The same versions give the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import dlib
import numpy as np
import numpy.typing as npt
import skimage.data
from scipy.spatial.transform import Rotation

from fervid.synth import (
    Action,
    Points,
    Puppet,
    activity,
    carry,
    mirror,
    move,
    neutral_face,
    view_of,
)
from fervid.synth.view import fill

Picture = npt.NDArray[np.uint8]

SEED = 7
FPS = 25
WIDTH, HEIGHT = 640, 480
TRUTH_EVERY = 5  # frames between two faces written to the truth
STAGGER = 0.08  # seconds between the starts of the action units of one expression, at most
NECK = np.array([0.0, 1.3, 1.2])  # the pivot of the head, in eye distances from between the eyes

PHOTOGRAPH = ("demos", "data", "luispedro.jpg")  # in mahotas
# Background that is added to the photograph, from a strip at its edge that is stretched: pixels of both.
SIDE, SIDE_STRIP = 190, 24
ROOF, ROOF_STRIP = 150, 18

# The edges of the upper teeth from the middle outwards, in eye distances: out, back, and down from the lip.
TEETH = np.array(
    [[0.0, 0.0, 0.05], [0.125, 0.02, 0.05], [0.215, 0.07, 0.04], [0.29, 0.14, 0.045], [0.34, 0.22, 0.03],
     [0.375, 0.3, 0.02]]
)  # fmt: skip
GUMS = -0.14  # eye distances down from the lip
ENAMEL = (232, 208, 178)

# In the photograph the inner brows are slightly raised, and the lids and corners of the mouth hang a little.
REST = {"AU1": -0.3, "AU5": 0.2, "AU12": 0.2}
EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "happiness": {"AU6": 0.6, "AU12": 1.15, "AU25": 1.3, "AU26": 0.3},
    "surprise": {"AU1": 1.1, "AU2": 1.1, "AU5": 1.0, "AU25": 0.5, "AU26": 1.1},
    "sadness": {"AU1": 1.5, "AU4": 0.7, "AU15": 1.7, "AU17": 0.5, "AU45": 0.2},
}
# Degrees by which the head nods down with an expression.
NOD = {"happiness": 0.0, "surprise": -2.0, "sadness": 4.0}


@dataclass(frozen=True)
class Expression:
    """An expression of the face, with times in seconds from the start of its shot."""

    emotion: str
    onset: float
    apex: float
    release: float
    offset: float


@dataclass(frozen=True)
class Shot:
    """A shot: its length, the region of the photograph and its scale, and what happens."""

    name: str
    frames: int
    region: tuple[int, int, int, int]  # left, top, width, height in the photograph
    scale: float
    mirrored: bool = False
    expressions: tuple[Expression, ...] = ()
    blinks: tuple[float, ...] = ()


SHOTS = (
    Shot(
        "close",
        190,
        (88, 142, 505, 380),
        1.3,
        expressions=(
            Expression("happiness", 1.2, 1.8, 3.0, 3.8),
            Expression("surprise", 5.0, 5.28, 6.0, 6.56),
        ),
        blinks=(0.6, 4.3, 7.0),
    ),
    Shot("rocket", 50, (0, 0, 640, 427), 1.0),
    Shot(
        "wide",
        135,
        (0, 15, 680, 512),
        0.96,
        mirrored=True,
        expressions=(Expression("sadness", 1.4, 2.2, 3.6, 4.4),),
        blinks=(0.7, 4.8),
    ),
)


def data_of(package: str, *path: str) -> Path:
    """Return the path of a file that an installed package contains, without importing the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is missing: pip install {package}")
    return Path(spec.origin).parent.joinpath(*path)


def find_landmarks(photograph: Picture) -> Points:
    """Return the 68 landmarks of the only face in the photograph, in its pixels."""
    model = data_of("face_recognition_models", "models", "shape_predictor_68_face_landmarks.dat")
    # At twice the size, because the predictor returns whole pixels.
    twice = cv2.resize(photograph, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    (box,) = dlib.get_frontal_face_detector()(twice, 0)
    points = dlib.shape_predictor(str(model))(twice, box).parts()
    return np.array([(p.x, p.y) for p in points], np.float64) / 2


def widen(photograph: Picture) -> Picture:
    """Return the photograph with more background at its sides and above."""
    height, width = photograph.shape[:2]
    x, y = np.arange(-SIDE, width + SIDE), np.arange(-ROOF, height)
    # Mirrored and stretched: the seam does not show, and the strips have no hair in them.
    across = np.where(x < 0, -x * SIDE_STRIP / SIDE, x)
    across = np.where(x >= width, width - 1 - (x - width + 1) * SIDE_STRIP / SIDE, across)
    down = np.where(y < 0, -y * ROOF_STRIP / ROOF, y)
    wide = cv2.remap(
        photograph, *np.meshgrid(across.astype(np.float32), down.astype(np.float32)), cv2.INTER_LINEAR
    )
    distance = np.maximum(np.maximum(-x, x - width + 1)[None], -y[:, None])
    far = np.clip(distance / 40, 0, 1)[..., None]
    soft = cv2.GaussianBlur(wide, (0, 0), 5)
    return np.asarray(np.rint(wide * (1 - far) + soft * far), np.uint8)


def add_teeth(puppet: Puppet, view: Points) -> None:
    """Give the puppet a row of upper teeth: its photograph has closed lips."""
    bite = np.zeros(puppet.portrait.shape[:2], np.uint8)
    lip = puppet.landmarks[61:64].mean(axis=0)
    for index in reversed(range(len(TEETH) - 1)):
        for side in (-1, 1):
            corners = TEETH[[index, index + 1, index + 1, index]] * (side, 1, 1)
            corners[2:, 2] = GUMS
            tooth = lip + corners[:, [0, 2, 1]] @ view.T
            middle = tooth.mean(axis=0)
            fill(bite, tooth, 255)
            colour = np.array(ENAMEL) * (1 - 0.03 * index**2)
            cv2.fillPoly(
                puppet.teeth, [np.rint(tooth).astype(np.int32)], (0.72 * colour).tolist(), cv2.LINE_AA
            )
            inner = np.rint((middle + (tooth - middle) * (0.86, 0.98)) * 16).astype(np.int32)
            cv2.fillPoly(puppet.teeth, [inner], colour.tolist(), cv2.LINE_AA, 4)
    puppet.teeth = cv2.GaussianBlur(puppet.teeth, (0, 0), 0.008 * puppet.scale)
    puppet.bite = cv2.GaussianBlur(bite, (0, 0), 0.012 * puppet.scale)


def actions_of(shot: Shot, random: np.random.Generator) -> list[Action]:
    """Return the action units of a shot's expressions, each with its own small delay, and of its blinks."""
    actions = []
    for shown in shot.expressions:
        for unit, weight in EXPRESSIONS[shown.emotion].items():
            late = random.uniform(0, min(STAGGER, 0.3 * (shown.apex - shown.onset)))
            onset = shown.onset + late
            actions.append(Action(onset, shown.apex, shown.release, shown.offset, {unit: weight}))
    for blink in shot.blinks:
        actions.append(Action(blink - 0.1, blink, blink + 0.04, blink + 0.2, {"AU45": 1.15}, sag=0.0))
    return actions


def sway(random: np.random.Generator, size: float) -> tuple[float, float, float, float]:
    """Return the size, frequency and two random phases of a slow sway, a sum of two sines."""
    return size, random.uniform(0.14, 0.22), random.uniform(0, 2 * np.pi), random.uniform(0, 2 * np.pi)


def swayed(motion: tuple[float, float, float, float], time: float) -> float:
    """Return the position of a sway at `time`."""
    size, rate, first, second = motion
    turn = 2 * np.pi * rate * time
    return size * float(0.7 * np.sin(turn + first) + 0.3 * np.sin(2.3 * turn + second))


def play_face(
    shot: Shot, photograph: Picture, landmarks: Points, seed: int
) -> Iterator[tuple[Picture, Points]]:
    """Yield the frames of a shot of the face, each with its landmarks."""
    random = np.random.default_rng(seed)
    left, top, width, height = shot.region
    part = photograph[top : top + height, left : left + width]
    picture = cv2.resize(part, None, fx=shot.scale, fy=shot.scale, interpolation=cv2.INTER_CUBIC)
    puppet = Puppet(np.asarray(picture, np.uint8), (landmarks - (left, top) + 0.5) * shot.scale - 0.5)
    view = view_of(puppet.landmarks)
    rest = move(puppet.landmarks, REST, view)
    add_teeth(puppet, view)
    actions = actions_of(shot, random)
    moods = [Action(e.onset, e.apex, e.release, e.offset, {e.emotion: 1.0}) for e in shot.expressions]
    yaw, pitch, roll = (sway(random, degrees) for degrees in (3.0, 1.2, 1.0))
    drift_x, drift_y = sway(random, 3.0), sway(random, 2.0)
    for index in range(shot.frames):
        time = index / FPS
        nod = sum(NOD[emotion] * level for emotion, level in activity(moods, time).items())
        angles = (swayed(pitch, time) + nod, swayed(yaw, time), swayed(roll, time))
        turn = Rotation.from_euler("xyz", angles, degrees=True)
        head = neutral_face() - NECK
        target = move(rest, activity(actions, time), view) + (turn.apply(head) - head) @ view.T
        frame, points = puppet.pose(target)
        # A hand-held camera that moves slowly closer.
        zoom = 1.0 + 0.04 * index / shot.frames
        middle = np.array(picture.shape[1::-1]) / 2 + (swayed(drift_x, time), swayed(drift_y, time))
        camera = np.column_stack([zoom * np.eye(2), (WIDTH / 2, HEIGHT / 2) - zoom * middle])
        frame = warp(frame, camera)
        points = carry(camera, points)
        if shot.mirrored:
            frame = np.ascontiguousarray(frame[:, ::-1])
            points = points[mirror()] * (-1, 1) + (WIDTH - 1, 0)
        yield frame, points


def warp(picture: Picture, camera: Points) -> Picture:
    """Return a picture seen by a (2, 3) camera, in the clip's size."""
    seen = cv2.warpAffine(picture, camera, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
    return np.asarray(seen, np.uint8)


def play_rocket(shot: Shot) -> Iterator[tuple[Picture, None]]:
    """Yield the frames of a slow pan over a picture without a face."""
    picture = skimage.data.rocket()
    for index in range(shot.frames):
        across = index / (shot.frames - 1)
        zoom = 1.4
        corner = np.array([30 + 110 * across, 85 - 20 * across])
        camera = np.column_stack([zoom * np.eye(2), -zoom * corner])
        yield warp(picture, camera), None


def box_of(landmarks: Points) -> list[float]:
    """Return the smallest upright box that contains the landmarks: x, y, width, height."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return [round(float(v), 1) for v in (*low, *(high - low))]


def truth_of(shots: tuple[Shot, ...], faces: list[dict[str, object]]) -> dict[str, object]:
    """Return the ground truth of the clip; seconds count from its first frame."""
    listed, start = [], 0
    for shot in shots:
        begin = start / FPS
        listed.append(
            {
                "name": shot.name,
                "start_frame": start,
                "end_frame": start + shot.frames,
                "start": begin,
                "end": (start + shot.frames) / FPS,
                "face": bool(shot.expressions),
                "mirrored": shot.mirrored,
                "expressions": [
                    {
                        "emotion": e.emotion,
                        "onset": round(begin + e.onset, 3),
                        "apex_start": round(begin + e.apex, 3),
                        "apex_end": round(begin + e.release, 3),
                        "offset": round(begin + e.offset, 3),
                        "action_units": dict(EXPRESSIONS[e.emotion]),
                    }
                    for e in shot.expressions
                ],
                "blinks": [round(begin + blink, 3) for blink in shot.blinks],
            }
        )
        start += shot.frames
    return {
        "about": "Ground truth of clip.mp4, written by make_clip.py. Seconds count from the first frame; "
        "ends are exclusive. Landmarks are iBUG's 68 points as the warp placed them; boxes (x, y, width, "
        "height) hold them.",
        "seed": SEED,
        "fps": FPS,
        "width": WIDTH,
        "height": HEIGHT,
        "frames": start,
        "shots": listed,
        "faces": faces,
    }


def frames_of(seed: int) -> Iterator[tuple[Picture, Points | None]]:
    """Yield every frame of the clip, with its landmarks if it has a face."""
    photograph = cv2.cvtColor(cv2.imread(str(data_of("mahotas", *PHOTOGRAPH))), cv2.COLOR_BGR2RGB)
    landmarks = find_landmarks(photograph) + np.array([SIDE, ROOF])
    photograph = widen(photograph)
    for number, shot in enumerate(SHOTS):
        if shot.expressions:
            yield from play_face(shot, photograph, landmarks, seed + number)
        else:
            yield from play_rocket(shot)


def make(target: Path, seed: int = SEED) -> None:
    """Write the clip and, beside it, its ground truth."""
    faces: list[dict[str, object]] = []
    with av.open(str(target), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        # One thread, so that the bytes are reproducible.
        options = {"crf": "21", "preset": "slow", "threads": "1", "g": "75"}
        stream = container.add_stream("libx264", rate=FPS, options=options, width=WIDTH, height=HEIGHT)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, FPS)
        for index, (picture, landmarks) in enumerate(frames_of(seed)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            if landmarks is not None and index % TRUTH_EVERY == 0:
                points = [[round(float(x), 1), round(float(y), 1)] for x, y in landmarks]
                faces.append({"frame": index, "box": box_of(landmarks), "landmarks": points})
        container.mux(stream.encode())
    text = json.dumps(truth_of(SHOTS, faces), separators=(",", ":"))
    # One face per line, so that a diff can be read.
    for start in ('{"frame":', '{"name":', '"faces":'):
        text = text.replace(start, "\n" + start)
    target.with_suffix(".truth.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the example clip and its ground truth.")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("clip.mp4"))
    make(parser.parse_args().output)
