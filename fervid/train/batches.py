"""Batches of clips: drawn at random, augmented and stacked; a seed and a step determine the batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fervid import clips, streams
from fervid.clips import Face, Window
from fervid.errors import InputError, UsageError
from fervid.faces import shape
from fervid.labels import NEUTRAL
from fervid.model import parts
from fervid.streams.network import Network
from fervid.train.augment import OFF, Augmentation, augment, draw_whole_window, draw_window, mix
from fervid.train.footage import Footage
from fervid.types import Array, Floats, Ints
from fervid.types.samples import Sample

PERSONAL = 0.5  # how often displacements are from the person's own neutral, not the population's
TRIES = 3  # windows, or frames of one, that are drawn; the most expressive is used
WEAK = 1 / 3  # of the peak's distance from the neutral: nearer frames are not drawn for a pair
COARSE = 48  # pixels: the side of faces in coarse epochs
LOOKS = 3  # windows of a strip that validation reads


@dataclass(frozen=True)
class Batch:
    """The input of a training step; inputs that no stream reads are None."""

    faces: Tensor | None  # (B, L, S, S) at unit contrast
    displacement: Tensor | None  # (B, L, 68, 2)
    points: Tensor | None  # (B, L, 68, 2) in the pixels of a crop
    targets: Tensor  # (B, C)
    people: Tensor  # (B,) numbers of people
    features: Mapping[str, Tensor] = field(default_factory=dict)  # of frozen streams, which read nothing else
    annotations: Tensor | None = None  # (B, A, C) of each annotator, where the truth is latent

    def __getitem__(self, reads: str) -> Tensor:
        values = []
        for part in parts(reads):
            value = {"faces": self.faces, "displacement": self.displacement, "points": self.points}[part]
            assert value is not None, f"this batch was made without {part}"
            values.append(value)
        return streams.join_inputs(values)


def is_over_time(network: Network | type[Network]) -> bool:
    """Return whether a network reads windows in training, not single frames or pairs of them."""
    return network.frames == clips.LENGTH


def make_targets(samples: Sequence[Sample], labels: Sequence[str], soft: float, smoothing: float) -> Floats:
    """Return the target of each sample: (N, C), rows that sum to one."""
    column = {label: index for index, label in enumerate(labels)}
    targets = np.zeros((len(samples), len(labels)), np.float32)
    for row, sample in enumerate(samples):
        votes = {label: votes for label, votes in sample.votes.items() if label in column}
        total = sum(votes.values())
        share = soft if total > 0 else 0.0  # no votes for these labels
        targets[row, column[sample.label]] += 1 - share
        for label, part in votes.items():
            targets[row, column[label]] += share * part / (total or 1)
    return (1 - smoothing) * targets + np.float32(smoothing / len(labels))


def _faces(footage: Footage) -> Iterator[Face]:
    """Yield the face of each sample; the arrays that a face computes are freed with it."""
    return (Face.of_strip(footage[index]) for index in range(len(footage)))


def _motion(face: Face, neutral: Floats) -> Floats:
    """Return the distance of the inner face from a neutral, at each frame: root mean square (N,)."""
    if len(face.pts) < 2:
        return np.zeros(len(face.pts), np.float32)
    away = face.upright[:, 17:] - neutral[17:]
    return np.asarray(np.sqrt(np.square(away).sum(2).mean(1)), np.float32)


class Clips:
    """Footage and its targets (N, C), from which windows of `length` frames are drawn.

    `length` is 1 for streams of single frames, and 2 for pairs of a clip's peak and another of its frames.
    With `whole`, a window has the frames of the whole clip; this does not apply to those.
    """

    def __init__(
        self,
        footage: Footage,
        targets: Floats,
        reads: Sequence[str],
        settings: Augmentation = OFF,
        illumination: str = "none",
        length: int = clips.LENGTH,
        seed: int = 0,
        size: int = 0,
        coarse: int = 0,
        moving: float = 0.0,
        by_motion: bool = False,
        whole: bool = False,
        annotations: Floats | None = None,
    ) -> None:
        self.annotations = annotations  # (N, A, C), if the truth is latent
        self.footage, self.targets, self.settings, self.by_motion = footage, targets, settings, by_motion
        self.whole = whole and length == clips.LENGTH
        self.reads = {part for name in reads for part in parts(name)}
        self.illumination, self.length, self.seed, self.size = illumination, length, seed, size
        if "faces" in self.reads and footage.without_crops is not None:
            raise UsageError(
                f"{footage.without_crops} has no pictures, which streams of faces need: leave it out"
            )
        self.coarse = coarse  # epochs with faces of COARSE pixels, from the first
        self.moving = moving  # share of an epoch's draws that are clips, not stills; 0: as they come

    def __len__(self) -> int:
        return len(self.footage)

    @cached_property
    def faces(self) -> tuple[Face, ...]:
        """The face of each sample."""
        return tuple(_faces(self.footage))

    @cached_property
    def neutrals(self) -> Floats:
        """The neutral of each sample's person, or the population's: (N, 68, 2)."""
        return np.stack([face.neutral for face in _faces(self.footage)])

    @cached_property
    def people(self) -> Ints:
        """The number of each sample's person (N,); a sample without a known person has its own number."""
        numbers: dict[str, int] = {}
        names = [sample.subject or f"/{sample.name}" for sample in self.footage.samples]
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)

    @cached_property
    def motion(self) -> tuple[Floats, ...]:
        """The distance of each frame's face from the sample's neutral, in eye distances: (frames,) each."""
        return tuple(map(_motion, _faces(self.footage), self.neutrals))

    def _drawn_window(self, index: int, random: np.random.Generator) -> Window:
        """Draw the window with the largest motion of TRIES windows, or the smallest if neutral.

        The label is of the whole clip, which often begins and ends without expression. With `by_motion` it is
        the window in which the expression changes most.
        """
        face = self.faces[index]
        if len(face.pts) == 1:
            return Window(face, int(face.pts[0]), np.zeros(clips.LENGTH, np.int64))
        if self.whole:
            return draw_whole_window(face, random, self.settings)
        tries = [draw_window(face, random, self.settings) for _ in range(TRIES)]
        measure = np.ptp if self.by_motion else np.mean
        motions = [float(measure(self.motion[index][candidate.rows])) for candidate in tries]
        is_neutral = self.footage.samples[index].label == NEUTRAL
        return tries[int(np.argmin(motions) if is_neutral else np.argmax(motions))]

    def _drawn_pair(self, index: int, random: np.random.Generator) -> Window:
        """Draw the frame that shows the label most clearly, and another that shows it."""
        motion = self.motion[index]
        is_neutral = self.footage.samples[index].label == NEUTRAL
        peak = int(np.argmin(motion) if is_neutral else np.argmax(motion))
        others = np.flatnonzero(is_neutral | (motion >= WEAK * motion.max()))
        others = others[others != peak] if len(others) > 1 else others
        return Window.at(self.faces[index], np.array([peak, random.choice(others)], np.int64))

    def _drawn_frame(self, index: int, random: np.random.Generator) -> Window:
        """Draw the frame with the largest motion of TRIES frames, or any if neutral."""
        drawn = self._drawn_window(index, random)
        tries = drawn.rows[random.integers(clips.LENGTH, size=TRIES)]
        if len(drawn.face.pts) == 1 or self.footage.samples[index].label == NEUTRAL:
            return Window.at(drawn.face, tries[:1])
        return Window.at(drawn.face, tries[[int(np.argmax(self.motion[index][tries]))]])

    def _drawn(self, index: int, random: np.random.Generator) -> Window:
        """Draw the frames of a sample."""
        draw = {1: self._drawn_frame, 2: self._drawn_pair}.get(self.length, self._drawn_window)
        return draw(index, random)

    def epoch(self, number: int, batch: int, part: int = 0, parts: int = 1) -> Iterator[tuple[int, Ints]]:
        """Yield the steps of an epoch and the draws of each; of every batch, one `part` of `parts`.

        Draw `k` is clip `k` modulo the number of clips.
        """
        random = np.random.default_rng([self.seed, number])
        size = max(self.size or len(self), batch)
        order = np.concatenate(
            [self._turns(random.permutation(indices), count) for indices, count in self._kinds(size)]
        )
        if self.moving:
            order = random.permutation(order)
        steps = self.steps(batch)  # draws beyond the last full batch are left out
        for step in range(steps):
            yield step, order[step * batch : (step + 1) * batch][part::parts]

    def _kinds(self, size: int) -> list[tuple[Ints, int]]:
        """Return groups of clips, each with its number of draws in an epoch."""
        moves = np.array([len(pts) > 1 for pts in self.footage.pts])
        everyone: Ints = np.arange(len(self))
        if not self.moving or moves.all() or not moves.any():
            return [(everyone, size)]
        count = round(self.moving * size)
        return [(everyone[~moves], size - count), (everyone[moves], count)]

    def _turns(self, order: Ints, count: int) -> Ints:
        """Return `count` draws of these clips in turn; each repetition of a clip is another draw."""
        turns = np.arange(count)
        return np.asarray(order[turns % len(order)] + turns // len(order) * len(self), np.int64)

    def steps(self, batch: int) -> int:
        """Return the number of steps of an epoch."""
        return max(1, (self.size or len(self)) // batch)

    def drawn(self, number: int, draws: Ints, device: torch.device) -> Batch:
        """Return the batch of these draws in epoch `number`."""
        chosen = []
        indices = draws % len(self)
        personal = np.zeros(len(indices), bool)
        for row, (draw, index) in enumerate(zip(draws.tolist(), indices.tolist(), strict=True)):
            random = np.random.default_rng([self.seed, number, draw])
            personal[row] = random.random() < PERSONAL
            chosen.append(self._drawn(index, random))
        seeds, side = mix(self.seed, number, draws), COARSE if number < self.coarse else shape.CROP
        return self._stack(indices, chosen, personal, seeds, self.settings, device, side)

    def plain(
        self,
        batch: int,
        device: torch.device,
        some: Ints | None = None,
        looks: int | None = LOOKS,
        whole: bool | None = None,
    ) -> Iterator[tuple[Ints, Batch]]:
        """Yield batches of windows without augmentation, as in analysis, with the clip's index of each.

        `some` are the indices of clips, by default all. Each clip gives up to `looks` windows, spread evenly;
        with None, every window that analysis has. With `whole`, by default the clips' own setting, it gives
        one window of all its time.
        """
        windows: list[tuple[int, Window]] = []
        for index in range(len(self)) if some is None else some.tolist():
            face = self.faces[index]
            if self.whole if whole is None else whole:
                windows.append((index, face.whole()))
                continue
            moments = face.centres()
            if looks is not None:
                spread = np.linspace(0, len(moments) - 1, min(looks, len(moments)) + 2)[1:-1]
                moments = moments[np.unique(np.rint(spread).astype(int))]
            for window in face.windows(moments):
                middle = window.rows[[clips.LENGTH // 2]]
                windows.append((index, window if self.length > 1 else Window.at(face, middle)))
        for low in range(0, len(windows), batch):
            part = windows[low : low + batch]
            indices = np.array([index for index, _ in part], np.int64)
            chosen = [window for _, window in part]
            personal = np.ones(len(part), bool)
            yield indices, self._stack(indices, chosen, personal, np.zeros(len(part), np.int64), OFF, device)

    def _stack(
        self,
        indices: Ints,
        chosen: Sequence[Window],
        personal: Array,
        seeds: Ints,
        settings: Augmentation,
        device: torch.device,
        side: int = shape.CROP,
    ) -> Batch:
        faces = landmarks = neutral = None
        if "faces" in self.reads:  # with the margin that augmentation needs
            faces = np.stack([window.take(window.face.crops) for window in chosen])
        if not self.reads.isdisjoint(("displacement", "points")):
            landmarks = np.stack([window.take(window.face.landmarks) for window in chosen])
        if "displacement" in self.reads:
            own = self.neutrals[indices]
            neutral = np.where(personal[:, None, None], own, clips.population_neutral()).astype(np.float32)

        def send(array: Array | None) -> Tensor | None:
            return None if array is None else torch.from_numpy(np.ascontiguousarray(array)).to(device)

        pictures, points, rest = augment(
            send(faces), send(landmarks), send(neutral), settings, seeds, shape.CROP
        )
        displacement = None
        if points is not None:
            self._check(indices, points)
        if points is not None and rest is not None:
            upright = shape.without_pose(points.flatten(0, 1).cpu().numpy()).reshape(points.shape)
            displacement = torch.from_numpy(upright).to(device) - rest[:, None]
        if pictures is not None:
            if side != shape.CROP:
                pictures = functional.interpolate(pictures, (side, side), mode="bilinear")
            # A variant of the illumination replaces the normalisation, which would undo it.
            pictures = self._contrast(
                pictures, "none" if settings.illumination == "kuo" else self.illumination
            )
        return Batch(
            pictures,
            displacement,
            points,
            torch.from_numpy(self.targets[indices]).to(device),
            torch.from_numpy(self.people[indices]).to(device),
            annotations=None if self.annotations is None else send(self.annotations[indices]),
        )

    def _check(self, indices: Ints, points: Tensor) -> None:
        """Raise InputError if a landmark is nan or infinite, which would spoil every weight."""
        is_finite = torch.isfinite(points).all(3).all(2).all(1).cpu().numpy()
        for index in indices[~is_finite]:
            name = self.footage.samples[index].name
            raise InputError(f"the landmarks of {name} are not all numbers: leave that sample out")

    @staticmethod
    def _contrast(pictures: Tensor, illumination: str) -> Tensor:
        """Normalise contrast and illumination like `clips.contrast`, on the device of the pictures."""
        if illumination != "none":
            whole = pictures.clamp(0, 255).round().to(torch.uint8).cpu().numpy()
            return torch.from_numpy(clips.contrast(whole, illumination)).to(pictures.device)
        mean = pictures.mean((1, 2, 3), keepdim=True)
        deviation = pictures.std((1, 2, 3), correction=0, keepdim=True)
        return (pictures - mean) / deviation.clamp_min(1.0)
