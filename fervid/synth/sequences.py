"""Faces in motion as a tracker reports them: emotions as action units over time, seen by a camera.

Phases, shares of people per action unit, and nuisances follow the literature on FACS. The difficulties were
set by the accuracy of a linear classifier (see tests/test_synth.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from fervid.errors import UsageError
from fervid.labels import CONTEMPT, NEUTRAL
from fervid.synth.actions import TOUCHING, Points, action_units, neutral_face
from fervid.synth.people import UNITS, Person
from fervid.types import LANDMARKS, Floats, Ints, check

Range = tuple[float, float]
Recipe = tuple[tuple[str, float, float], ...]

# Emotion -> action units: the share of people who use it, and its weight at full intensity.
# The cores are EMFACS', the shares Du et al.'s (2014) where they give one.
RECIPES: Mapping[str, Recipe] = {
    "anger": (
        ("AU4", 1.0, 1.0), ("AU5", 0.5, 0.6), ("AU7", 1.0, 0.9), ("AU10", 0.26, 0.4), ("AU17", 0.52, 0.5),
        ("AU23", 0.6, 0.9), ("AU24", 0.7, 0.8),
    ),
    "disgust": (
        ("AU9", 0.8, 0.9), ("AU10", 0.8, 0.8), ("AU4", 0.31, 0.5), ("AU15", 0.4, 0.5), ("AU16", 0.3, 0.6),
        ("AU17", 0.6, 0.6), ("AU24", 0.26, 0.5), ("AU6", 0.3, 0.5), ("AU7", 0.4, 0.5),
    ),
    "fear": (
        ("AU1", 1.0, 1.0), ("AU2", 0.57, 0.8), ("AU4", 1.0, 0.7), ("AU5", 0.63, 0.9), ("AU7", 0.4, 0.5),
        ("AU20", 1.0, 0.9), ("AU25", 1.0, 0.8), ("AU26", 0.33, 0.5),
    ),
    "happiness": (("AU12", 1.0, 1.0), ("AU6", 0.51, 0.9), ("AU25", 0.8, 0.9), ("AU26", 0.2, 0.3)),
    "sadness": (
        ("AU1", 0.7, 0.9), ("AU4", 1.0, 0.7), ("AU15", 1.0, 1.0), ("AU6", 0.5, 0.5), ("AU17", 0.67, 0.7),
        ("AU7", 0.3, 0.4),
    ),
    "surprise": (
        ("AU1", 1.0, 1.0), ("AU2", 1.0, 1.0), ("AU5", 0.66, 0.8), ("AU25", 1.0, 0.8), ("AU26", 1.0, 1.0),
        ("AU27", 0.35, 0.5),
    ),
    CONTEMPT: (("AU14", 1.0, 1.0), ("AU12", 0.5, 0.4)),
    NEUTRAL: (),
}  # fmt: skip
ONE_SIDED = frozenset({CONTEMPT})
OTHER_SIDE = 0.25  # most of a one-sided expression on the other side

# Action units that any face may show, one at a time, without meaning.
IRRELEVANT = ("AU1", "AU2", "AU4", "AU7", "AU10", "AU12", "AU14", "AU15", "AU17", "AU18", "AU24", "AU28")
IRRELEVANT_MOST = 0.25
FULL = 0.8  # weight of a leading action unit in the strongest expression
LEFT_OUT = 0.05  # chance that an expression's action unit is left out
STAGGER = 0.08  # most seconds between the onsets of one expression's action units
DRIFT = 0.05  # most change of a held expression
BLINKS = (10.0, 20.0)  # a minute
BLINK_PHASES: tuple[Range, Range, Range] = ((0.06, 0.10), (0.03, 0.06), (0.10, 0.20))  # down, shut, up
SYLLABLES = (2.0, 6.0)  # a second
PERSISTENCE = 0.6  # of a tracker's error from frame to frame
JAW_NOISE = 2.0  # times the error, as the jaw line has no corners
LEAST, MOST = 0.6, 4.0  # seconds
RATES = (25, 30)  # frames per second


@dataclass(frozen=True)
class Phases:
    """The lengths of an expression's onset, apex and offset: ranges of seconds."""

    onset: Range
    apex: Range
    offset: Range


PHASES: Mapping[str, Phases] = {
    "anger": Phases((0.5, 1.2), (0.5, 2.0), (0.5, 1.2)),
    "disgust": Phases((0.3, 0.9), (0.4, 1.5), (0.4, 1.2)),
    "fear": Phases((0.2, 0.6), (0.3, 1.5), (0.4, 1.0)),
    "happiness": Phases((0.4, 0.8), (0.5, 2.0), (0.5, 1.5)),
    "sadness": Phases((0.5, 1.2), (0.5, 2.0), (0.5, 1.5)),
    "surprise": Phases((0.1, 0.35), (0.2, 0.7), (0.3, 0.6)),
    CONTEMPT: Phases((0.3, 0.8), (0.4, 1.5), (0.4, 1.2)),
    NEUTRAL: Phases((0.3, 0.8), (0.4, 1.5), (0.4, 1.2)),
}
POSED_ONSET, POSED_HOLD = (0.3, 1.0), (0.15, 0.7)  # as posed in a laboratory: recordings end at the apex


@dataclass(frozen=True)
class Difficulty:
    """The strength of expressions and of everything else that moves the face."""

    intensity: Range  # share of a full expression at its apex
    noise: float  # eye distances: sd of the tracker's error
    uneven: float  # sd of each action unit's own share of the expression's intensity, on a log scale
    goes: bool  # whether the expression has an offset, or the sequence ends at its apex
    irrelevant: float  # chance of an action unit without meaning
    speech: float  # chance that the person talks
    turn: float  # share of the usual head motion
    missing: float  # most frames that the tracker loses, as a share
    vowels: bool = False  # whether mouths round and spread in speech, and brows stress words


DIFFICULTIES: Mapping[str, Difficulty] = {
    "posed": Difficulty((0.7, 1.0), 0.006, 0.35, False, 0.05, 0.0, 0.5, 0.02),
    "medium": Difficulty((0.35, 1.0), 0.012, 0.35, True, 0.15, 0.2, 0.7, 0.05),
    "spontaneous": Difficulty((0.15, 0.6), 0.015, 0.4, True, 0.15, 0.3, 1.0, 0.1),
    "weak": Difficulty((0.05, 0.3), 0.018, 0.35, True, 0.15, 0.2, 1.0, 0.1),
    "talking": Difficulty((0.35, 1.0), 0.012, 0.35, True, 0.15, 1.0, 1.0, 0.05, vowels=True),
}
# Vowels and closed lips: the greatest weight of each action unit in a loud syllable.
VOWELS: tuple[Recipe, ...] = (
    (("AU25", 1.0, 0.8), ("AU26", 1.0, 0.9)),  # as in "calm"
    (("AU18", 1.0, 0.9), ("AU22", 0.7, 0.7), ("AU26", 0.7, 0.7)),  # "do", "go"
    (("AU25", 1.0, 0.7), ("AU20", 0.8, 0.4), ("AU16", 0.5, 0.4), ("AU26", 0.5, 0.3)),  # "see"
    (("AU24", 0.6, 0.4), ("AU17", 0.6, 0.3), ("AU28", 0.3, 0.4)),  # "m", "p"
)
STRESSES = (10.0, 40.0)  # a minute
STRESS_MOST = 0.45
TURN = np.array([10.0, 7.0, 5.0])  # degrees of yaw, pitch and roll of the usual head motion
ZOOM = 0.05  # change of size by distance
SHIFT = 0.1  # motion in the picture, in eye distances


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A moving face as reported by a tracker, and its true motion, without frames that the tracker lost."""

    rate: int  # frames per second
    frame: Ints  # (N,) strictly ascending
    landmarks: Floats  # (N, 68, 2) as reported: eye distances in the picture, the face near its origin
    clean: Floats  # (N, 68, 2) without the tracker's error
    weights: Floats  # (N, U, 2) action units of the person's right and left, in the order of people.UNITS
    level: Floats  # (N,) level of the expression, 0 to 1; all 0 in a neutral sequence

    def __post_init__(self) -> None:
        count = len(self.frame)
        check("frame", self.frame, (count,), np.int64)
        for name in ("landmarks", "clean"):
            check(name, getattr(self, name), (count, LANDMARKS, 2), np.float32)
        check("weights", self.weights, (count, len(UNITS), 2), np.float32)
        check("level", self.level, (count,), np.float32)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, self.rate)

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """Seconds, (N,)."""
        return self.frame / self.rate

    @property
    def apex(self) -> int:
        """The middle row of the strongest expression; of a neutral face, the middle row."""
        if not self.level.any():
            return len(self) // 2
        strong = np.flatnonzero(self.level >= 0.97 * self.level.max())
        return int(strong[len(strong) // 2])


def difficulty_of(name: str) -> Difficulty:
    """Return the difficulty of this name."""
    if name not in DIFFICULTIES:
        raise UsageError(f"unknown difficulty {name}: choose one of {', '.join(DIFFICULTIES)}")
    return DIFFICULTIES[name]


def recipe_of(label: str) -> Recipe:
    """Return the action units of this label."""
    if label not in RECIPES:
        raise UsageError(f"no sequence shows {label}: choose one of {', '.join(RECIPES)}")
    return RECIPES[label]


def trajectory(who: Person, label: str, difficulty: str, rng: np.random.Generator) -> Trajectory:
    """Make one take of a person who shows `label`."""
    level = difficulty_of(difficulty)
    recipe = recipe_of(label)
    rate = int(rng.choice(RATES))
    phases = _phases(label, level, rng)
    time = np.arange(int(np.ceil(phases[-1] * rate))) / rate
    envelope = level_of(time, *phases[:4])
    weights = np.zeros((len(time), len(UNITS), 2))
    _express(weights, time, phases, recipe, label in ONE_SIDED, level, rng)
    _distract(weights, time, level, rng)
    blink(weights, time, rng)
    if rng.random() < level.speech:
        (_talk if level.vowels else _speak)(weights, time, rng)
    clean = project(move_face(who, weights), time, level.turn, rng)
    tracked = clean + tracking_error(len(time), level.noise, rng)
    kept = _kept(len(time), level.missing, rng)
    return Trajectory(
        rate,
        kept,
        tracked[kept].astype(np.float32),
        clean[kept].astype(np.float32),
        weights[kept].astype(np.float32),
        (envelope if label != NEUTRAL else np.zeros_like(envelope))[kept].astype(np.float32),
    )


def ramp(share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return `actions.ease` of an array."""
    s = np.clip(share, 0.0, 1.0)
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


def level_of(
    time: npt.NDArray[np.float64], onset: float, apex: float, release: float, offset: float
) -> npt.NDArray[np.float64]:
    """Return a level that rises from onset to apex, holds to release, and ends at offset."""
    return ramp((time - onset) / (apex - onset)) * (1.0 - ramp((time - release) / (offset - release)))


def _phases(
    label: str, level: Difficulty, rng: np.random.Generator
) -> tuple[float, float, float, float, float]:
    """Draw the times of onset, apex, release and offset, and the end of the sequence."""
    lead = rng.uniform(0.1, 0.4)  # a neutral start
    usual = PHASES[label]
    if level.goes:
        spans = [rng.uniform(*span) for span in (usual.onset, usual.apex, usual.offset)]
        tail = rng.uniform(0.0, 0.3)
        # The longest are shortened, so that all fit.
        fit = min(1.0, (MOST - lead - tail) / sum(spans))
        onset, apex, offset = (span * fit for span in spans)
        end = lead + onset + apex + offset
        return lead, lead + onset, lead + onset + apex, end, max(end + tail, LEAST)
    rise = rng.uniform(*POSED_ONSET) * (0.6 if label == "surprise" else 1.0)
    end = max(lead + rise + rng.uniform(*POSED_HOLD), LEAST)
    return lead, lead + rise, end + 1.0, end + 2.0, end


def _express(
    weights: Points,
    time: npt.NDArray[np.float64],
    phases: tuple[float, float, float, float, float],
    recipe: Recipe,
    one_sided: bool,
    level: Difficulty,
    rng: np.random.Generator,
) -> None:
    """Add a recipe's action units."""
    intensity = rng.uniform(*level.intensity)
    sides = np.ones(2)
    if one_sided:
        sides[rng.integers(2)] = rng.uniform(0.0, OTHER_SIDE)
    start, apex, release, end, _ = phases
    for unit, share, full in recipe:
        if rng.random() >= share * (1.0 - LEFT_OUT):
            continue
        late = rng.uniform(0.0, min(STAGGER, 0.3 * (apex - start)))
        curve = level_of(time, start + late, apex + late, release, end)
        wander = 1.0 + rng.uniform(-DRIFT, DRIFT) * np.clip(
            (time - apex) / max(release - apex, 0.5), 0.0, 1.0
        )
        peak = FULL * intensity * full * np.exp(rng.normal(0.0, level.uneven))
        weights[:, UNITS.index(unit)] += (peak * curve * wander)[:, None] * sides


def _distract(
    weights: Points, time: npt.NDArray[np.float64], level: Difficulty, rng: np.random.Generator
) -> None:
    """Add an action unit without meaning, by chance."""
    if rng.random() >= level.irrelevant:
        return
    unit = UNITS.index(str(rng.choice(IRRELEVANT)))
    onset = rng.uniform(0.0, 0.7) * time[-1]
    apex = onset + rng.uniform(0.2, 0.6)
    release = apex + rng.uniform(0.2, 1.5)
    curve = level_of(time, onset, apex, release, release + rng.uniform(0.3, 0.8))
    weights[:, unit] += (rng.uniform(0.05, IRRELEVANT_MOST) * curve)[:, None]


def blink(weights: Points, time: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    """Add blinks at random times."""
    lids = UNITS.index("AU45")
    for _ in range(rng.poisson(rng.uniform(*BLINKS) / 60.0 * (time[-1] + 0.2))):
        onset = rng.uniform(0.02, time[-1])
        down, shut, up = (rng.uniform(*span) for span in BLINK_PHASES)
        curve = level_of(time, onset, onset + down, onset + down + shut, onset + down + shut + up)
        weights[:, lids] = np.maximum(weights[:, lids], curve[:, None])


def _speak(weights: Points, time: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    """Open and close the mouth syllable by syllable, from a random time on."""
    start = rng.uniform(0.05, 0.5) * time[-1]
    pace = rng.uniform(*SYLLABLES)
    beat = np.clip((time - start) * pace, 0.0, None)
    syllable = beat.astype(np.int64)
    opened = 0.5 - 0.5 * np.cos(2 * np.pi * beat)
    count = int(syllable[-1]) + 1
    loud = rng.uniform(0.3, 1.0)
    for unit, most in (("AU25", 0.7), ("AU26", 0.45), ("AU18", 0.3), ("AU20", 0.2)):
        size = rng.uniform(0.0, most * loud, count)
        weights[:, UNITS.index(unit)] += (size[syllable] * opened)[:, None]


def _talk(weights: Points, time: npt.NDArray[np.float64], rng: np.random.Generator) -> None:
    """Talk throughout, each syllable one of VOWELS, and lift the brows at random times."""
    pace, loud = rng.uniform(*SYLLABLES), rng.uniform(0.4, 1.0)
    beat = time * pace + rng.random()
    syllable = beat.astype(np.int64)
    count = int(syllable[-1]) + 1
    voiced = rng.random(count) > 0.15  # the others are pauses
    opened = (0.5 - 0.5 * np.cos(2 * np.pi * beat)) * voiced[syllable]
    kind = rng.integers(len(VOWELS), size=count)
    for which, recipe in enumerate(VOWELS):
        for unit, share, most in recipe:
            size = rng.uniform(0.0, most * loud, count) * (rng.random(count) < share) * (kind == which)
            weights[:, UNITS.index(unit)] += (size[syllable] * opened)[:, None]
    for _ in range(rng.poisson(rng.uniform(*STRESSES) / 60.0 * time[-1])):
        onset = rng.uniform(0.0, time[-1])
        curve = level_of(time, onset, onset + 0.15, onset + rng.uniform(0.2, 0.4), onset + 0.7)
        for unit in ("AU1", "AU2"):
            weights[:, UNITS.index(unit)] += (rng.uniform(0.0, STRESS_MOST) * curve)[:, None]


@cache
def _basis() -> Points:
    """Return the motion of each action unit on the person's right and left: (U * 2, 68 * 3)."""
    units = np.stack([action_units()[name] for name in UNITS])
    # The halves blend over the middle of the face.
    left = ramp(neutral_face()[:, 0] / 0.3 + 0.5)
    sides = np.stack([1.0 - left, left])  # (2, 68); the person's right is the image's left
    return (units[:, None] * sides[None, :, :, None]).reshape(len(UNITS) * 2, -1)


def move_face(who: Person, weights: Points) -> Points:
    """Return the face in three dimensions, (N, 68, 3), with lids and lips that meet instead of crossing."""
    acted = (weights * who.gains).reshape(len(weights), -1)
    active = acted.any(axis=0)
    # Not a matrix product: a small one is spread over threads, which then wait for each other.
    motion = np.einsum("nu,uk->nk", acted[:, active], _basis()[active])
    face = who.shape + motion.reshape(len(weights), LANDMARKS, 3)
    for upper, lower in TOUCHING:
        crossing = np.minimum(0.0, face[:, lower, 1] - face[:, upper, 1])
        share = 0.5 if upper >= 60 else 0.8  # at the eye, the upper lid moves more
        face[:, upper, 1] += share * crossing
        face[:, lower, 1] -= (1.0 - share) * crossing
    return face


def _sway(time: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> Points:
    """Return slow motion within about -1 and 1, half of it a constant offset: (N, count)."""
    still = rng.uniform(-0.5, 0.5, count)
    rate = rng.uniform(0.1, 0.6, (2, count))
    phase = rng.uniform(0.0, 2 * np.pi, (2, count))
    size = rng.uniform(0.0, 0.5, count) * np.array([[0.7], [0.3]])
    waves = np.sin(2 * np.pi * rate * time[:, None, None] + phase) * size
    return np.asarray(still + waves.sum(axis=1))


def project(face: Points, time: npt.NDArray[np.float64], share: float, rng: np.random.Generator) -> Points:
    """Project the moving head by a scaled orthographic camera, (N, 68, 2)."""
    sway = share * _sway(time, 6, rng)  # yaw, pitch, roll, zoom, shift across and down
    turn = Rotation.from_euler("yxz", sway[:, :3] * TURN, degrees=True).as_matrix()[:, :2]  # (N, 2, 3)
    zoom = 1.0 + ZOOM * sway[:, 3]
    projected = face @ (turn * zoom[:, None, None]).transpose(0, 2, 1)
    return np.asarray(projected + SHIFT * sway[:, None, 4:])


def tracking_error(count: int, noise: float, rng: np.random.Generator) -> Points:
    """Draw a tracker's error, which is correlated from frame to frame: (N, 68, 2)."""
    fresh = rng.standard_normal((count + 1, LANDMARKS, 2))
    fresh[1:] *= np.sqrt(1.0 - PERSISTENCE**2)
    error = noise * lfilter([1.0], [1.0, -PERSISTENCE], fresh, axis=0)[1:]
    error[:, :17] *= JAW_NOISE
    return np.asarray(error)


def _kept(count: int, missing: float, rng: np.random.Generator) -> Ints:
    """Draw the frames that the tracker does not lose."""
    kept = np.ones(count, bool)
    kept[rng.permutation(count)[: round(rng.uniform(0.0, missing) * count)]] = False
    return np.flatnonzero(kept).astype(np.int64)
