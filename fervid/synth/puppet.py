"""A photograph of a face that can be bent to other landmarks."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.interpolate import CubicSpline
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay

from fervid.errors import UsageError
from fervid.synth.actions import Points, ease, neutral_face
from fervid.types import LANDMARKS, Bytes, check

Value = TypeVar("Value", bound=np.generic)
Mask = npt.NDArray[np.bool_]
Triangles = npt.NDArray[np.int64]  # (T, 3) rows of vertices

EYES = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))
STEADY = (27, 28, 29, 30, 36, 39, 42, 45)  # landmarks that are fixed to the skull

# Runs of landmarks on one smooth line, and the number of mesh points per step of a run.
LINES: tuple[tuple[tuple[int, ...], int], ...] = (
    (tuple(range(17)), 2),
    (tuple(range(17, 22)), 2),
    (tuple(range(22, 27)), 2),
    (tuple(range(27, 31)), 1),
    (tuple(range(31, 36)), 1),
    ((36, 37, 38, 39), 3),
    ((39, 40, 41, 36), 3),
    ((42, 43, 44, 45), 3),
    ((45, 46, 47, 42), 3),
    ((48, 49, 50, 51, 52, 53, 54), 3),
    ((54, 55, 56, 57, 58, 59, 48), 3),
    ((60, 61, 62, 63, 64), 5),
    ((64, 65, 66, 67, 60), 5),
)
BROWS = (1, 2)  # indices into LINES
HOLES = (5, 7, 11)  # the upper lines of right eye, left eye and mouth; the lower line follows each
# Strips that move as one with a line, in eye distances up from it: lashes, and the brows' lower hairs.
STRIPS = {HOLES[0]: 0.09, HOLES[1]: 0.09, BROWS[0]: -0.05, BROWS[1]: -0.05}
# The crown of the head, in eye distances from between the eyes: it is fixed to the skull.
CROWN = ((-1.35, -0.5), (-1.3, -1.1), (-0.8, -1.7), (0.0, -1.9), (0.8, -1.7), (1.3, -1.1), (1.35, -0.5))
REACH_CENTRE, REACH = (0.0, 0.15), (2.3, 2.6)  # an ellipse, in eye distances: nothing outside moves
MESH_STEP = 0.2  # eye distances between mesh points
TENSION = 0.15  # eye distances over which the skin bends
CLOSES_AT = 0.35  # share of the photograph's gap at which lids or lips close
SLIT = 0.008  # eye distances that the mesh keeps between lips, or lids, that touch
SEALED = 0.08  # eye distances between lips below which a mouth is closed: predictors always leave a gap


def similarity(source: Points, target: Points) -> Points:
    """Return the (2, 3) rotation, scale and shift that best maps `source` to `target`."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    z, w = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    turn = np.vdot(z, w) / np.vdot(z, z)
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])


def carry(matrix: Points, points: Points) -> Points:
    """Map points (N, 2) by a (2, 3) affine map."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float64)


def eye_distance(landmarks: Points) -> float:
    """Return the distance between the centres of the two eye contours."""
    right, left = (landmarks[list(eye)].mean(axis=0) for eye in EYES)
    return float(np.linalg.norm(left - right))


def contains(polygon: Points, points: Points) -> Mask:
    """Return a mask of the points inside a polygon."""
    x, y = points[:, 0:1], points[:, 1:2]
    start, end = polygon, np.roll(polygon, -1, axis=0)
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(end[:, 1] == start[:, 1], 1.0, end[:, 1] - start[:, 1])
    crossing = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
    return np.asarray((spans & (x < crossing)).sum(axis=1) % 2 == 1)


def stencil(picture: Bytes, polygon: Points) -> Bytes:
    """Return a mask of the picture's size, 255 inside the polygon."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 255)
    return mask


def spread(picture: npt.NDArray[Value], good: Mask) -> npt.NDArray[Value]:
    """Return the picture with every pixel that is not good replaced by the nearest good one."""
    wrong = (~good).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(wrong, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(int(labels.max()) + 1, np.int64)
    source[labels[good]] = np.flatnonzero(good)
    return np.ascontiguousarray(picture.reshape(good.size, -1)[source[labels]].reshape(picture.shape))


def trace(landmarks: Points) -> tuple[Points, list[list[int]], list[int]]:
    """Return points along the smooth lines of a face, as blends of landmarks (P, 68).

    Also return the rows of each of LINES, and the row of each landmark.
    """
    rows: list[Points] = []
    runs: list[list[int]] = []
    row_of: dict[int, int] = {}  # landmark -> row, so that lines share their ends
    for line, steps in LINES:
        # Square roots of the lengths (a centripetal spline) keep long runs between near points round.
        lengths = np.sqrt(np.linalg.norm(np.diff(landmarks[list(line)], axis=0), axis=1) + 1e-6)
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        blend = CubicSpline(along, np.eye(len(line)), bc_type="natural")
        run: list[int] = []
        for tick in range((len(line) - 1) * steps + 1):
            index, part_way = divmod(tick, steps)
            if part_way == 0 and line[index] in row_of:
                run.append(row_of[line[index]])
                continue
            row = np.zeros(LANDMARKS)
            row[list(line)] = blend(along[index] + (lengths[index] * part_way / steps if part_way else 0.0))
            if part_way == 0:
                row_of[line[index]] = len(rows)
            run.append(len(rows))
            rows.append(row)
        runs.append(run)
    return np.array(rows), runs, [row_of[landmark] for landmark in range(LANDMARKS)]


def bending(vertices: Points, triangles: Triangles, tension: float) -> sparse.csr_matrix:
    """Return the stiffness of a mesh (V, V): it bends over lengths below `tension`, and no longer ones."""
    count = len(vertices)
    laplacian = sparse.csr_matrix((count, count))
    mass = np.full(count, 1e-9)
    for corner in range(3):
        a, b, c = (triangles[:, (corner + turn) % 3] for turn in range(3))
        u, v = vertices[b] - vertices[a], vertices[c] - vertices[a]
        area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
        weight = np.clip((u * v).sum(axis=1) / np.maximum(area, 1e-9), 0.02, 10.0)
        np.add.at(mass, a, area / 6)
        for start, end in ((b, c), (c, b)):
            laplacian += sparse.csr_matrix((weight, (start, start)), (count, count))
            laplacian -= sparse.csr_matrix((weight, (start, end)), (count, count))
    return sparse.csr_matrix(laplacian.T @ sparse.diags(1 / mass) @ laplacian + laplacian / tension**2)


def locate(lookup: npt.NDArray[np.float32], source: Points, target: Points, triangles: Triangles) -> Mask:
    """Write the source position of each pixel of the target triangles into `lookup` (H, W, 2).

    Return the mask of these pixels.
    """
    which = np.full(lookup.shape[:2], -1, np.int32)
    corners = target[triangles]  # (T, 3, 2)
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    solid = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) > 0.05
    triangles, corners = triangles[solid], corners[solid]
    for index, polygon in enumerate(np.rint(corners * 16).astype(np.int32)):
        cv2.fillConvexPoly(which, polygon, index, cv2.LINE_8, 4)
    homogeneous = np.concatenate([corners, np.ones((len(corners), 3, 1))], axis=2)
    maps = np.linalg.solve(homogeneous, source[triangles])  # (T, 3, 2)
    drawn = which >= 0
    y, x = np.nonzero(drawn)
    chosen = maps[which[y, x]]
    lookup[y, x] = chosen[:, 0] * x[:, None] + chosen[:, 1] * y[:, None] + chosen[:, 2]
    return drawn


class Puppet:
    """A photograph of one face that can be bent to other landmarks.

    A mesh follows the lines of the face. Eyes and mouth are holes in it: a lid slides over the eyeball
    without squeezing it, and the lips open over an inside. Between the lines the mesh moves as smoothly as
    possible: every mesh point is a fixed blend of the landmarks and the crown, computed once.
    """

    def __init__(self, portrait: Bytes, landmarks: npt.NDArray[np.floating]) -> None:
        if portrait.dtype != np.uint8 or portrait.ndim not in (2, 3):
            raise UsageError("a portrait must be an 8-bit picture, grey or colour")
        self.portrait = np.ascontiguousarray(portrait)
        self.landmarks = landmarks.astype(np.float64)
        check("landmarks", self.landmarks, (LANDMARKS, 2), np.float64)
        self.scale = eye_distance(self.landmarks)
        frame = similarity(neutral_face()[list(STEADY), :2], self.landmarks[list(STEADY)])
        self.crown = carry(frame, np.array(CROWN))
        self._build_mesh(frame)
        self._build_mouth()

    def _build_mesh(self, frame: Points) -> None:
        lines, self.lines, self.own = trace(self.landmarks)
        self.holes = [self.lines[upper][:-1] + self.lines[upper + 1][:-1] for upper in HOLES]
        strips = [row for line in STRIPS for row in self.lines[line][1:-1]]
        raised = np.concatenate([np.full(len(self.lines[line]) - 2, up) for line, up in STRIPS.items()])
        blends = np.pad(np.concatenate([lines, lines[strips]]), ((0, 0), (0, len(CROWN))))
        controls = np.concatenate([self.landmarks, self.crown])
        # (P, C): the mesh points with known motion
        held = np.concatenate([blends, np.eye(len(controls))[LANDMARKS:]])
        placed = held @ controls
        placed[len(lines) : len(blends)] -= raised[:, None] * frame[:, 1]
        # Lips that touch in the photograph still need a slit between them, so that the mesh can open there.
        down = frame[:, 1] / np.linalg.norm(frame[:, 1])
        for line in HOLES:
            upper, lower = self.lines[line][1:-1], self.lines[line + 1][-2:0:-1]
            gap = (placed[lower] - placed[upper]) @ down
            push = np.maximum(SLIT * self.scale - gap, 0)[:, None] / 2 * down
            placed[upper] -= push
            placed[lower] += push
        loose = self._grid(placed)
        self.vertices = np.concatenate([placed, loose])  # (V, 2)

        triangles = Delaunay(self.vertices).simplices.astype(np.int64)
        middles = self.vertices[triangles].mean(axis=1)
        inside = [contains(self.vertices[hole], middles) for hole in self.holes]
        self.eyes = [triangles[mask] for mask in inside[:2]]
        skin = triangles[~np.any(inside, axis=0)]
        # Drawn from the outside in, so that the chin is in front of the neck.
        distance = np.linalg.norm(self.vertices[skin].mean(axis=1) - self.landmarks[30], axis=1)
        self.skin = skin[np.argsort(-distance)]

        back = np.asarray(cv2.invertAffineTransform(frame), np.float64)
        far = np.sum(((carry(back, self.vertices) - REACH_CENTRE) / REACH) ** 2, axis=1) > 1
        far[: len(held)] = False
        known = far.copy()
        known[: len(held)] = True
        motion = np.zeros((len(self.vertices), len(controls)))
        motion[: len(held)] = held
        stiffness = bending(self.vertices, self.skin, TENSION * self.scale)
        free = np.flatnonzero(~known)
        pull = -(stiffness[free][:, np.flatnonzero(known)] @ motion[known])
        motion[free] = splu(stiffness[free][:, free].tocsc()).solve(np.ascontiguousarray(pull))
        self.motion = motion  # (V, C)

    def _grid(self, taken: Points) -> Points:
        """Return mesh points for the rest of the picture and its borders, outside `taken` and the holes."""
        height, width = self.portrait.shape[:2]
        step = MESH_STEP * self.scale
        columns = np.linspace(0, width - 1, int(width / step) + 2)
        lines = np.linspace(0, height - 1, int(height / step) + 2)
        grid = np.stack(np.meshgrid(columns, lines), axis=-1).reshape(-1, 2)
        nearest = np.linalg.norm(grid[:, None] - taken[None], axis=2).min(axis=1)
        hidden = np.any([contains(taken[hole], grid) for hole in self.holes], axis=0)
        return np.asarray(grid[(nearest > 0.6 * step) & ~hidden], np.float64)

    def _build_mouth(self) -> None:
        """Keep the photograph's inside of the mouth; if the lips are closed, draw plain upper teeth."""
        skin = self.portrait.reshape(*self.portrait.shape[:2], -1)
        points = self.landmarks
        lip = stencil(skin, points[[60, 67, 66, 65, 64, 54, 55, 56, 57, 58, 59, 48]])
        self.lip_colour = np.median(skin[lip > 0], axis=0)  # (channels,)
        gap = np.linalg.norm(points[[65, 66, 67]] - points[[63, 62, 61]], axis=1).mean()
        self.gap = float(gap) / self.scale  # between the lips, in eye distances
        self.sealed = self.gap < SEALED
        self.skin_texture = self.portrait
        if self.sealed:
            white = np.percentile(skin[stencil(skin, points[:17]) > 0], 90, axis=0) * 0.85
            self.teeth = np.full_like(skin, np.rint(white).astype(np.uint8))
            across = (points[45] - points[36]) * 0.16
            down = np.array([-across[1], across[0]]) * 0.5
            middle = points[[61, 62, 63]].mean(axis=0)
            corners = np.array([-across - down, across - down, across + down, down - across])
            bite: cv2.typing.MatLike = stencil(skin, middle + corners)
        else:
            mouth = stencil(skin, self.vertices[self.holes[2]])
            # The lower lip without the rim of teeth that blur leaves on it.
            rim = np.ones((round(0.02 * self.scale) + 1, 1), np.uint8)
            self.skin_texture = spread(self.portrait, cv2.dilate(mouth, rim, anchor=(0, len(rim) - 1)) == 0)
            self.teeth = spread(skin, cv2.erode(mouth, np.ones((3, 3), np.uint8)) > 0)
            upward = np.ones((round(0.06 * self.scale) + 1, 1), np.uint8)
            # The lip may rise and show more of the teeth.
            bite = cv2.dilate(cv2.dilate(mouth, upward, anchor=(0, 0)), np.ones((3, 3), np.uint8))
        self.bite = cv2.GaussianBlur(bite, (0, 0), max(0.8, 0.012 * self.scale))

    def pose(self, landmarks: npt.NDArray[np.floating]) -> tuple[Bytes, Points]:
        """Bend the photograph to these landmarks; return it and the landmarks that its face has then.

        They differ only where lids or lips almost touch: these are closed.
        """
        target = landmarks.astype(np.float64)
        skull = similarity(self.landmarks[list(STEADY)], target[list(STEADY)])
        shift = np.concatenate([target - self.landmarks, carry(skull, self.crown) - self.crown])
        vertices = self.vertices + self.motion @ shift
        down = skull[:, 1] / np.linalg.norm(skull[:, 1])
        for upper in HOLES:
            self._meet(vertices, self.lines[upper], self.lines[upper + 1][::-1], down)
        height, width = self.portrait.shape[:2]
        lookup = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
        drawn = np.zeros((height, width), bool)
        for eye, hole in zip(self.eyes, self.holes[:2], strict=True):
            drawn |= locate(lookup, self.vertices, self._eyeball(vertices, hole, skull), eye)
        drawn |= locate(lookup, self.vertices, vertices, self.skin)
        # Pixels that nothing covers are between the lips, or in a slit a pixel wide: take the nearest
        # covered.
        left, top = np.maximum(np.floor(vertices[self.own].min(axis=0)).astype(int), 0)
        right, bottom = np.ceil(vertices[self.own].max(axis=0)).astype(int) + 1
        face = lookup[top:bottom, left:right]
        face[:] = spread(face, drawn[top:bottom, left:right])
        x, y = cv2.split(lookup)
        bent = cv2.remap(self.skin_texture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return self._fill_mouth(np.asarray(bent, np.uint8), vertices[self.holes[2]], skull), vertices[
            self.own
        ]

    def _meet(self, vertices: Points, upper: list[int], lower: list[int], down: Points) -> None:
        """Close gaps below CLOSES_AT of the photograph's gap, and narrow those below the photograph's gap."""
        gap = (vertices[lower] - vertices[upper]) @ down
        usual = (self.vertices[lower] - self.vertices[upper]) @ down
        slack = np.maximum(usual, 0) * CLOSES_AT
        open_still = np.maximum(gap - slack, 0) * usual / np.maximum(usual - slack, 1e-9)
        kept = np.where(gap < usual, open_still / np.maximum(gap, 1e-9), 1.0)[:, None]
        away = (vertices[lower] - vertices[upper]) * (1 - kept) / 2
        vertices[upper] += away
        vertices[lower] -= away

    def _fill_mouth(self, bent: Bytes, lips: Points, skull: Points) -> Bytes:
        """Paint the inside of the mouth: a dark hollow, redder below, and teeth fixed to the skull."""
        left, top = np.floor(lips.min(axis=0) - 4).astype(int)
        right, bottom = np.ceil(lips.max(axis=0) + 5).astype(int)
        left, top = max(0, left), max(0, top)
        area = bent[top:bottom, left:right]
        if area.size == 0:
            return bent
        hole = np.zeros(area.shape[:2], np.uint8)
        cv2.fillPoly(hole, [np.rint((lips - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        size = (area.shape[1], area.shape[0])
        placed = skull.copy()
        placed[:, 2] -= (left, top)
        teeth = cv2.warpAffine(self.teeth, placed, size, flags=cv2.INTER_CUBIC).reshape(*area.shape[:2], -1)
        bite = cv2.warpAffine(self.bite, placed, size, flags=cv2.INTER_LINEAR)[..., None] / 255.0
        pixels = cv2.distanceTransform((hole > 127).astype(np.uint8), cv2.DIST_L2, 5)
        depth = np.asarray(pixels, np.float32) / self.scale
        height = np.clip(np.arange(area.shape[0]) / max(1, area.shape[0] - 1), 0, 1)[:, None, None]
        hollow = 255 * (self.lip_colour / 255) ** 2.5 * (0.2 + 0.5 * height**3)
        # Slightly parted lips show a dark line and no teeth.
        reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(0.05 * self.scale) + 1,) * 2)
        bite = bite * np.clip(np.asarray(cv2.dilate(depth, reach)) / 0.03, 0, 1)[..., None]
        inside = hollow * (1 - bite) + teeth * bite
        inside = inside * (0.75 + 0.25 * np.clip(depth / 0.05, 0, 1))[..., None]
        cover = cv2.GaussianBlur(hole, (0, 0), 0.7)[..., None] / 255.0
        if self.sealed:  # lips that barely open keep the photograph's line between them
            cover = cover * ease((2 * float(depth.max()) - self.gap) / SEALED)
        mixed = area.reshape(*area.shape[:2], -1) * (1 - cover) + inside * cover
        bent[top:bottom, left:right] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8).reshape(area.shape)
        return bent

    def _eyeball(self, vertices: Points, hole: list[int], skull: Points) -> Points:
        """Return positions of the eye's texture: fixed to the skull, and stretched only by wide lids."""
        placed = vertices.copy()
        still = carry(skull, self.vertices[hole])
        opened = np.sum((vertices[hole] - still) * (still - still.mean(axis=0)), axis=1) > 0
        placed[hole] = np.where(opened[:, None], vertices[hole], still)
        return placed
