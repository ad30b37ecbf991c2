"""Drawing of grey faces from a person, landmarks and action units.

A face is painted as reflectance (skin, brows, eyes, lips) times light (the round head, soft relief, lines of
expression), at twice the size and averaged down.
"""

from __future__ import annotations

from functools import cache, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from fervid.faces import shape
from fervid.synth import features
from fervid.synth.actions import Points, neutral_face
from fervid.synth.people import UNITS, Person
from fervid.synth.puppet import trace
from fervid.synth.view import BITS, ROUND, View, fill, fixed
from fervid.synth.wrinkles import draw_wrinkles
from fervid.types import Bytes

Grey = npt.NDArray[np.float32]
ABOVE = 2  # times the size at which a face is painted before it is averaged down
COARSE = 4  # painted pixels per pixel of the soft layers
TEXTURE, TEXELS = 256, 64  # pixels of a skin's texture, and per eye distance
JITTER = 16  # pixels by which the camera's noise is shifted from frame to frame, so that it is drawn once
JAW, BROWS, LIDS = 0, ((17, 22), (22, 27)), ((36, 40), (42, 46))
BRIGHTEST = 0.8  # most that a camera exposes fully lit skin, as a share of white


def both(right: Points) -> Points:
    """Return points of the image's right half followed by their mirror images, as one line."""
    return np.concatenate([right, (right * (-1, 1, 1))[::-1]])


# From between the eyes, depth last: the line of the forehead, the hair behind the head, and the neck.
FOREHEAD = both(np.array([[1.12, -0.5, 0.8], [1.0, -0.95, 0.6], [0.6, -1.35, 0.45], [0.0, -1.5, 0.4]]))
CROWN = np.array([[1.35, -0.5, 0.9], [1.2, -1.2, 0.8], [0.7, -1.7, 0.7], [0.0, -1.85, 0.7]])
MANE = both(np.concatenate([[[1.28, 0.3, 0.9]], CROWN]))
NECK = both(np.array([[0.75, 1.0, 0.9], [0.8, 3.0, 1.2]]))


def unit_of(name: str) -> int:
    """Return the row of an action unit among weights."""
    return UNITS.index(name)


AU4, AU6, AU9, AU12, AU14, AU17 = map(unit_of, ("AU4", "AU6", "AU9", "AU12", "AU14", "AU17"))


class Painter:
    """A painter of one person in one light, before one background."""

    def __init__(self, who: Person, size: int, rng: np.random.Generator) -> None:
        self.who, self.size, self.side, self.rng = who, size, size * ABOVE, rng
        light = np.array([rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.2), -1.0])
        self.light = light / np.linalg.norm(light)
        self.ambient = rng.uniform(0.45, 0.75)
        self.exposure = min(rng.uniform(0.9, 1.35), BRIGHTEST / who.skin)
        self.background = self._background()
        noise = rng.standard_normal((size + JITTER, size + JITTER), dtype=np.float32)
        self.noise = noise * np.float32(rng.uniform(0.0, 3.0))  # grey levels
        self.texture = texture(who.texture)
        self.blends, self.runs = smooth_lines()
        rigid = np.column_stack([who.shape[shape.RIGID], np.ones(len(shape.RIGID))])
        self.fit = np.linalg.pinv(rigid)  # (4, R)
        self.eyes = who.shape[shape.RIGHT_EYE].mean(axis=0), who.shape[shape.LEFT_EYE].mean(axis=0)
        self.gaze = np.array([*rng.normal(0.0, 0.02, 2), 0.0])
        self.creases = [features.crease_of(who, side) for side in (0, 1)]
        hem = np.array([[1.12, -0.5, 0.8], [0.9, who.fringe - 1.2, 0.3], [0.3, who.fringe - 1.15, 0.1]])
        self.fringe = np.concatenate([both(hem), both(CROWN)[::-1]])

    def _background(self) -> Bytes:
        cells = self.rng.uniform(20, 235) + self.rng.normal(0, self.rng.uniform(5, 45), (5, 5))
        smooth = cv2.resize(cells, (self.side, self.side), interpolation=cv2.INTER_CUBIC)
        return np.clip(smooth, 0, 255).astype(np.uint8)

    def paint(self, landmarks: npt.NDArray[np.floating], weights: npt.NDArray[np.floating]) -> Bytes:
        """Draw the face with these landmarks, in pixels, and action units (U, 2): (size, size)."""
        view = self.view_of(landmarks)
        acted = np.maximum(weights, 0.0).astype(np.float64)
        light = self._light(view, acted)
        lines = np.zeros((self.side, self.side), np.uint8)
        draw_wrinkles(lines, view, self.who, acted)
        lines = cv2.GaussianBlur(lines, (0, 0), 0.028 * view.unit)
        light *= 1.0 - lines.astype(np.float32) * np.float32(1 / 255)
        light *= self._grain(view)
        painted = self._reflectance(view, acted).astype(np.float32)
        face = np.clip(painted * light, 0, 255).astype(np.uint8)
        whole = self._compose(view, face)
        small = cv2.resize(whole, (self.size, self.size), interpolation=cv2.INTER_AREA)
        left, top = self.rng.integers(0, JITTER, 2)
        noise = self.noise[top : top + self.size, left : left + self.size]
        exposed = small.astype(np.float32) * np.float32(self.exposure) + noise
        return np.clip(np.rint(exposed), 0, 255).astype(np.uint8)

    def view_of(self, landmarks: npt.NDArray[np.floating]) -> View:
        """Return the view of the face at the size at which it is painted."""
        points = (landmarks.astype(np.float64) + 0.5) * ABOVE - 0.5
        camera = (self.fit @ points[shape.RIGID]).T
        unit = float(np.hypot(*camera[:, 1]))
        return View(points, camera, self.blends @ points, self.runs, unit)

    # ---- light

    def _light(self, view: View, weights: Points) -> Grey:
        """Return the light on the skin, (side, side): of the round head, and of its soft relief."""
        coarse = self.side // COARSE
        back = np.linalg.pinv(view.camera[:, :2] / COARSE)
        columns, rows = (np.arange(coarse) - (middle / COARSE - 0.375) for middle in view.camera[:, 3])
        # Normals of an ellipsoid around the head's middle.
        x = ((back[0, 0] * columns)[None] + (back[0, 1] * rows)[:, None]) / 1.45
        y = ((back[1, 0] * columns)[None] + (back[1, 1] * rows)[:, None] - 0.45) / 2.1
        z = np.sqrt(np.maximum(1.0 - x * x - y * y, 0.05))
        lit = np.maximum(x * self.light[0] + y * self.light[1] - z * self.light[2], 0.0)
        relief = np.full((coarse, coarse), 128, np.uint8)
        self._relief(relief, view, weights)
        relief = cv2.GaussianBlur(relief, (0, 0), 0.07 * view.unit / COARSE)
        modelled = (relief.astype(np.float64) / 128.0 - 1.0) * self.who.roundness
        light = (self.ambient + (1.0 - self.ambient) * lit) * (1.0 + modelled)
        whole = cv2.resize(light.astype(np.float32), (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        return np.asarray(whole)

    def _relief(self, canvas: Bytes, view: View, weights: Points) -> None:
        """Paint raised parts lighter and hollow parts darker, before blurring."""
        points, off = view.points, view.offset_from

        def blob(polygon: Points, value: float) -> None:
            level = min(max(round(128 * (1.0 + value)), 0), 255)
            cv2.fillPoly(canvas, [fixed((polygon + 0.5) / COARSE - 0.5)], level, cv2.LINE_AA, BITS)

        def ball(centre: Points, across: float, down: float, value: float) -> None:
            blob(centre + view.lengths(ROUND * (across, down)), value)

        ball(view.project(np.array([0.0, -0.75, 0.1])), 0.6, 0.25, 0.08)  # forehead
        for side, (wing, corner, inner, outer) in enumerate(((31, 48, 39, 36), (35, 54, 42, 45))):
            out = 2 * side - 1
            acted = weights[:, side].tolist()
            raised = max(acted[AU6], 0.8 * acted[AU12])
            socket = np.concatenate([points[slice(*BROWS[side])], points[slice(*LIDS[side])][::-1]])
            blob(socket, -0.2 - 0.2 * acted[AU4] - 0.08 * acted[AU9])
            bag = ((inner, 0.04), (outer, 0.04), (outer, 0.16), (inner, 0.2))
            tired = -0.08 - 0.1 * self.who.age
            blob(np.array([off(landmark, 0.0, down) for landmark, down in bag]), tired + 0.1 * acted[AU6])
            cheek = off(wing, out * 0.42, -0.22 - 0.1 * raised)
            ball(cheek, 0.24, 0.2 - 0.04 * min(raised, 1.0), 0.08 + 0.2 * raised)
            ball(off(corner, out * 0.3, -0.1), 0.14, 0.3, -0.08 - 0.08 * raised)  # under the cheekbone
            flank = np.array([points[27], points[30], points[wing], off(inner, -out * 0.02, 0.1)])
            blob(flank, -0.1 + 0.28 * self.light[0] * out)
            ball(off(corner, out * 0.05, 0.0), 0.06, 0.08, -0.1 - 0.25 * acted[AU14])
        blob(np.concatenate([points[27:31], [off(30, 0.09, 0.0), off(27, 0.08, 0.0)]]), 0.14)  # ridge
        ball(points[30], 0.1, 0.08, 0.22)
        blob(np.array([points[31], points[33], points[35], off(33, 0.08, 0.1), off(33, -0.08, 0.1)]), -0.3)
        frown, chin = max(weights[AU4].max(), 0.7 * weights[AU9].max()), float(weights[AU17].max())
        ball(off(27, 0.0, -0.2), 0.12, 0.12, 0.06 - 0.3 * frown)
        ball(off(57, 0.0, 0.09 - 0.02 * chin), 0.22, 0.06, -0.22 - 0.2 * chin)
        ball(off(57, 0.0, 0.27), 0.16, 0.09, 0.1 + 0.12 * chin)

    # ---- reflectance

    def _grain(self, view: View) -> Grey:
        """Return the person's own texture, which moves with the face: about 1, (side, side)."""
        matrix = view.camera[:, [0, 1, 3]].copy()
        matrix[:, :2] /= TEXELS
        matrix[:, 2] -= matrix[:, :2] @ (TEXTURE / 2, TEXTURE / 3)
        size = (self.side, self.side)
        return np.asarray(cv2.warpAffine(self.texture, matrix, size, borderMode=cv2.BORDER_REFLECT))

    def _reflectance(self, view: View, weights: Points) -> Bytes:
        """Return the face in even light, (side, side)."""
        who = self.who
        canvas = np.full((self.side, self.side), round(255 * who.skin), np.uint8)
        features.facial_hair(canvas, view, who)
        features.nose(canvas, view, who)
        features.mouth(canvas, view, who, weights)
        glint = np.array([0.05 * self.light[0], -0.035])
        for side in (0, 1):
            view.stroke(canvas, view.project(self.creases[side]), 183 * who.skin, 0.025)
            features.brow(canvas, view, who, side)
            features.eye(canvas, view, who, side, self.eyes[side] + self.gaze, glint)
        return np.asarray(cv2.GaussianBlur(canvas, (3, 3), 0.6))

    def _compose(self, view: View, face: Bytes) -> Bytes:
        """Put the face before the background, with hair and neck."""
        who = self.who
        canvas = self.background.copy()
        fill(canvas, view.project(MANE), 204 * who.hair)
        fill(canvas, view.project(NECK), 140 * who.skin * (self.ambient + 0.3))
        mask = np.zeros_like(canvas)
        fill(mask, np.concatenate([view.line(JAW), view.project(FOREHEAD)]), 255)
        if who.fringe:
            fill(face, view.project(self.fringe), 255 * who.hair)
        if who.glasses:
            features.glasses(face, view, who, self.eyes)
        cover = cv2.GaussianBlur(mask, (5, 5), 1.0).astype(np.float32) * np.float32(1 / 255)
        return np.asarray(cv2.blendLinear(face, canvas, cover, 1.0 - cover))


@cache
def smooth_lines() -> tuple[Points, list[list[int]]]:
    """Return the lines of a face as blends of landmarks (P, 68), and the rows of each of LINES."""
    blends, runs, _ = trace(neutral_face()[:, :2])
    return blends, runs


@lru_cache(maxsize=64)
def texture(seed: int) -> Grey:
    """Return the grain of a skin, about 1, (TEXTURE, TEXTURE): pores, blotches and freckles."""
    rng = np.random.default_rng(seed)
    fine = rng.standard_normal((TEXTURE, TEXTURE), dtype=np.float32)
    blotches = cv2.resize(rng.standard_normal((24, 24)).astype(np.float32), (TEXTURE, TEXTURE))
    grain = 0.05 * cv2.GaussianBlur(fine, (0, 0), 1.0) * rng.uniform(0.5, 2.0) + 0.03 * blotches
    if rng.random() < 0.25:
        freckles = cv2.GaussianBlur((rng.random((TEXTURE, TEXTURE)) < 0.01).astype(np.float32), (0, 0), 1.3)
        grain -= rng.uniform(0.5, 1.5) * freckles
    return np.asarray(1.0 + grain, np.float32)


def draw(
    who: Person,
    landmarks: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    size: int,
    rng: np.random.Generator,
) -> Bytes:
    """Draw one picture of a person, (size, size); for many frames of one take use a `Painter`."""
    return Painter(who, size, rng).paint(landmarks, weights)
