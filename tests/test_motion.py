"""Stills in motion: how they begin and end, that pixels and landmarks go together, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fervid import datasets, execute, synth
from fervid.datasets import packs
from fervid.errors import UsageError
from fervid.faces import shape
from fervid.synth import motion, sequences
from fervid.train import footage
from fervid.train.footage import Footage
from fervid.types import Bytes, Floats
from fervid.types.samples import Picture, Sample, Strip

Acting = dict[str, float]
HAPPY = {"AU12": 1.0, "AU6": 0.9, "AU25": 0.9}
SURPRISED = {"AU1": 1.0, "AU2": 1.0, "AU5": 0.8, "AU25": 0.8, "AU26": 1.0}
ANGRY = {"AU4": 1.0, "AU7": 0.9, "AU24": 0.8}
SPOTS = (8, 17, 19, 22, 24, 26, 30, 36, 45, 48, 51, 54, 57)  # landmarks with room around them
SEEN = [*range(17, 36), *range(48, 68)]  # without the eyes, which blink


def face(who: int, acting: Acting, eyes: float = 100.0) -> tuple[Bytes, Floats]:
    """Return a drawn picture of a person who acts like that, and its landmarks, as training cuts faces."""
    rng = np.random.default_rng(who)
    somebody = synth.person(rng)
    weights = np.zeros((len(synth.UNITS), 2))
    for name, weight in acting.items():
        weights[synth.UNITS.index(name)] = weight
    points = sequences.move_face(somebody, weights[None])[0][:, :2] * eyes
    matrix, _ = shape.alignment(points.astype(np.float32), shape.MARGIN)
    landmarks = points @ matrix[:, :2].T + matrix[:, 2]
    return synth.draw(somebody, landmarks, weights, motion.SIDE, rng), landmarks.astype(np.float32)


def still(who: int, acting: Acting) -> Strip:
    return strip(*face(who, acting))


def strip(picture: Bytes, landmarks: Floats) -> Strip:
    quality = np.array([0.7], np.float32)
    return Strip(Fraction(1, 25), np.zeros(1, np.int64), picture[None], landmarks[None], quality)


def acting_of(landmarks: Floats) -> Floats:
    """Return how strongly each face seems to act, (N,) pixels."""
    return np.array([np.sqrt(np.square(motion.acted_part(face)[SEEN]).sum(1).mean()) for face in landmarks])


def away(moved: Strip, rest: Strip) -> Floats:
    """Return the distance of each face from a person's neutral face without head pose: (N,) eye distances."""
    between = shape.without_pose(moved.landmarks) - shape.without_pose(rest.landmarks)
    return np.asarray(np.sqrt(np.square(between[:, SEEN]).sum(2).mean(1)), np.float32)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Return a tracker without error."""
    monkeypatch.setattr(motion, "ERROR", (0.0, 0.0))


# --- onsets


@pytest.mark.parametrize("acting", [HAPPY, SURPRISED, ANGRY], ids=["happy", "surprised", "angry"])
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.usefixtures("exact")
def test_an_expression_comes(acting: Acting, seed: int) -> None:
    apex, rest = still(seed, acting), still(seed, {})
    moved = motion.in_motion(apex, f"onset/{seed}")
    acted = acting_of(moved.landmarks)
    assert acted[0] < 0.6 * acted[-1]
    assert np.diff(acted).min() > -0.01 * acted[-1]  # it never goes back
    far = away(moved, rest)
    assert far[0] < 0.9 * far[-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_onset_ends_with_the_still_itself(seed: int) -> None:
    apex = still(4, HAPPY)
    moved = motion.in_motion(apex, f"onset/{seed}")
    assert np.abs(moved.faces[-1].astype(int) - apex.faces[0]).max() <= 1
    assert np.abs(moved.faces[0].astype(int) - apex.faces[0]).max() > 20
    edge = moved.faces[:, [0, -1]].astype(int) - apex.faces[:, [0, -1]]
    assert np.abs(edge).max() <= 1  # the rim stays where it is
    error = np.abs(moved.landmarks[-1] - apex.landmarks[0])
    assert error.max() < 6 * sequences.JAW_NOISE * motion.ERROR[1] * shape.eye_distance(apex.landmarks)[0]
    assert error.max() > 0  # a tracker errs


@pytest.mark.parametrize("name", ["onset/7", "act/spontaneous/7/neutral"])
def test_a_moving_still_is_a_sound_strip(name: str) -> None:
    moved = motion.in_motion(still(2, {} if name[0] == "a" else SURPRISED), name)
    count = len(moved)
    assert count > 8
    assert moved.faces.shape == (count, motion.SIDE, motion.SIDE) and moved.faces.dtype == np.uint8
    assert moved.landmarks.shape == (count, 68, 2) and np.isfinite(moved.landmarks).all()
    assert moved.landmarks.dtype == np.float32
    assert (np.diff(moved.pts) > 0).all()
    assert 0.5 < float((moved.pts[-1] - moved.pts[0]) * moved.time_base) < 4.5
    assert moved.quality is not None and (moved.quality == np.float32(0.7)).all()
    left, right = shape.eye_centres(moved.landmarks)
    assert ((left + right) / 2).std(axis=0).max() < 2  # each frame is cut around its face


@pytest.mark.parametrize("name", ["onset/{}", "act/posed/{}/anger"])
def test_the_same_seed_moves_the_same(name: str) -> None:
    one = still(3, {} if name[0] == "a" else ANGRY)
    first, again, other = (motion.in_motion(one, name.format(seed)) for seed in (5, 5, 6))
    assert first.faces.tobytes() == again.faces.tobytes()
    assert first.landmarks.tobytes() == again.landmarks.tobytes()
    assert np.array_equal(first.pts, again.pts) and first.time_base == again.time_base
    assert first.landmarks.tobytes() != other.landmarks.tobytes()
    assert first.faces.tobytes() != other.faces.tobytes()


# --- an expression that grows out of a neutral still


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.usefixtures("exact")
def test_a_neutral_still_turns_into_the_expressive_one(seed: int) -> None:
    rest, shown = still(3, {}), still(3, SURPRISED)
    moved = motion.grown(rest, shown, f"grow/{seed}")
    for row, end in ((0, rest), (-1, shown)):
        assert np.abs(moved.faces[row].astype(int) - end.faces[0]).max() <= 1
        np.testing.assert_allclose(moved.landmarks[row], end.landmarks[0], atol=1e-3)
    far = away(moved, rest)
    assert np.diff(far).min() > -1e-3 and far[-1] > 0.1  # eye distances; it never goes back
    begun = int(np.flatnonzero(far > 0.001)[0]) * float(moved.time_base)
    assert motion.RESTING[0] < begun < motion.RESTING[1] + 0.2  # seconds
    still_there = motion.grown(rest, rest, f"grow/{seed}")
    assert np.abs(still_there.faces.astype(int) - rest.faces).max() <= 1


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.usefixtures("exact")
def test_a_posed_expression_begins_at_once_and_ends_at_its_apex(seed: int) -> None:
    rest, shown = still(3, {}), still(3, SURPRISED)
    moved = motion.grown(rest, shown, f"pose/{seed}")
    assert 0.25 < len(moved) * float(moved.time_base) < 1.2  # seconds
    far = away(moved, rest)
    begun, grown = (float((far < share * far[-1]).sum() * moved.time_base) for share in (0.01, 0.99))
    assert begun < motion.POSED_LEAD[1] + 0.15
    assert float(len(moved) * moved.time_base) - grown < motion.POSED_HOLD[1] + 0.15
    assert np.abs(moved.faces[-1].astype(int) - shown.faces[0]).max() <= 1


def test_the_same_seed_grows_the_same() -> None:
    first, again, other = (motion.grown(still(3, {}), still(3, ANGRY), f"grow/{seed}") for seed in (5, 5, 6))
    assert first.faces.tobytes() == again.faces.tobytes() != other.faces.tobytes()
    assert first.landmarks.tobytes() == again.landmarks.tobytes() != other.landmarks.tobytes()
    assert first.quality is not None and (first.quality == np.float32(0.7)).all()


@pytest.mark.parametrize("name", ["grow", "grow/x", "onset/3", ""])
def test_another_way_to_grow_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="write grow/SEED"):
        motion.grown(still(3, {}), still(3, ANGRY), name)


# --- pixels and landmarks


def dotted(landmarks: Floats) -> Bytes:
    """Return a grey picture with a soft bright dot at each of SPOTS."""
    y, x = np.mgrid[: motion.SIDE, : motion.SIDE]
    picture = np.full((motion.SIDE, motion.SIDE), 60.0)
    for across, down in landmarks[list(SPOTS)]:
        picture += 150 * np.exp(-((x - across) ** 2 + (y - down) ** 2) / (2 * 1.2**2))
    return np.clip(picture, 0, 255).astype(np.uint8)


def dot(picture: Bytes, near: Floats) -> Floats:
    """Return the centre of the dot near a position."""
    y, x = np.mgrid[: motion.SIDE, : motion.SIDE]
    around = (x - near[0]) ** 2 + (y - near[1]) ** 2 < 3.5**2
    weight = np.clip(picture.astype(float) - 70, 0, None) * around
    assert weight.sum() > 0, "no dot"
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("who", "acting", "name", "tolerance"),
    [
        (0, HAPPY, "onset/5", 0.75),
        (1, SURPRISED, "onset/5", 0.9),
        (3, HAPPY, "onset/6", 0.75),
        (0, {}, "act/posed/5/happiness", 1.1),
    ],
)
@pytest.mark.usefixtures("exact")
def test_landmarks_and_pixels_move_together(who: int, acting: Acting, name: str, tolerance: float) -> None:
    _, landmarks = face(who, acting)
    moved = motion.in_motion(strip(dotted(landmarks), landmarks), name)
    spots = moved.landmarks[:, list(SPOTS)]
    assert np.linalg.norm(spots - spots[0], axis=2).max() > 2.5 * tolerance
    seen = np.array([[dot(one, near) for near in row] for one, row in zip(moved.faces, spots, strict=True)])
    assert np.abs(seen - spots).max() < tolerance


# --- acts


def test_a_neutral_act_stays_near_rest() -> None:
    rest = still(1, {})
    base = motion.acted_part(rest.landmarks[0])

    def strength(moved: Strip) -> float:
        """Return how much a face acts for most of the time, less what its resting face seems to."""
        change = np.array([motion.acted_part(one) - base for one in moved.landmarks])[:, SEEN]
        return float(np.percentile(np.sqrt(np.square(change).sum(2).mean(1)), 90))

    def opening(landmarks: Floats) -> Floats:
        lids = landmarks[:, [40, 41, 46, 47], 1] - landmarks[:, [37, 38, 43, 44], 1]
        return np.asarray(lids.mean(1), np.float32)

    neutral = [motion.in_motion(rest, f"act/posed/{seed}/neutral") for seed in range(3)]
    surprise = motion.in_motion(rest, "act/posed/0/surprise")
    assert max(map(strength, neutral)) < 0.4 < 1.2 < strength(surprise)
    open_at_rest = opening(rest.landmarks)[0]
    shut = [float(opening(moved.landmarks).min() / open_at_rest) for moved in neutral]
    assert min(shut) < 0.4  # some of them blink
    for moved in neutral:
        assert np.median(opening(moved.landmarks)) > 0.8 * open_at_rest


# --- the part that acts


def test_only_what_is_acted_counts() -> None:
    rest, happy = face(6, {})[1], face(6, HAPPY)[1]
    acted, at_rest = motion.acted_part(happy), motion.acted_part(rest)
    assert np.abs(at_rest).max() < 0.4 * np.abs(acted).max()
    for corner, outwards in ((48, -1), (54, 1)):
        assert acted[corner, 0] * outwards > 1 and acted[corner, 1] < -1  # pixels: out and up
    true = happy - rest
    assert np.linalg.norm((happy - acted - rest)[SEEN]) < 0.6 * np.linalg.norm(true[SEEN])


def test_the_acted_part_follows_size_and_place() -> None:
    happy = face(6, HAPPY)[1]
    larger = motion.acted_part((3 * happy + (40, -20)).astype(np.float32))
    assert larger == pytest.approx(3 * motion.acted_part(happy), abs=0.01)


# --- what is refused


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("spin/3", "write onset/SEED or act/"),
        ("onset", "cannot move a still by 'onset'"),
        ("onset/", "onset/SEED"),
        ("onset/fast", "onset/SEED"),
        ("onset/-1", "onset/SEED"),
        ("onset/²", "onset/SEED"),
        ("onset/1/2", "onset/SEED"),
        ("act/medium/1", "act/DIFFICULTY/SEED/LABEL"),
        ("act/medium/x/anger", "act/DIFFICULTY/SEED/LABEL"),
        ("act/hard/1/anger", "unknown difficulty hard: choose one of posed"),
        ("act/medium/1/boredom", "no sequence shows boredom"),
    ],
)
def test_motions_that_there_are_not(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        motion.in_motion(still(0, {}), name)


# --- footage


def cut(samples: list[Sample], folder: Path) -> Footage:
    with execute.serial() as executor:
        return footage.cut(samples, executor, folder=folder)


def pictured(who: int, acting: Acting, motion: str = "") -> Sample:
    """Return a sample of a drawn picture, in which a detector may find no face."""
    picture, _ = face(who, acting)
    label = "happiness" if acting else "neutral"
    return Sample(f"set/{who}/{label}", label, Picture(picture, motion), subject=f"{who}")


def test_stills_move_as_their_samples_say(tmp_path: Path) -> None:
    stills = [pictured(0, HAPPY), pictured(1, {})]
    moving = [packs.in_motion(one, "yes") for one in stills]
    strips = cut([*stills, *moving], tmp_path)
    assert strips.has_strip.all()
    counts = [len(strips[index]) for index in range(4)]
    assert counts[:2] == [1, 1] and min(counts[2:]) > 5
    for index in (0, 1):
        alone = motion.in_motion(strips[index], moving[index].pixels.motion)
        assert np.array_equal(alone.faces, strips[index + 2].faces)
        assert np.array_equal(alone.landmarks, strips[index + 2].landmarks)
    assert np.abs(strips.faces[2][-1].astype(int) - strips.faces[0][0]).max() <= 1
    with pytest.raises(UsageError, match="cannot move"):
        footage.strip_of(pictured(0, HAPPY, motion="spin/1"))


def targets(samples: list[Sample], folder: Path) -> dict[Path, set[str]]:
    """Return the files in which strips are stored, and the samples of each."""
    shards = footage.shards(samples, folder=folder)
    return {shard.target: {one.name for one in shard.samples} for shard in shards}


def test_strips_are_kept_by_their_motion(tmp_path: Path) -> None:
    still = pictured(0, HAPPY)
    names = ["", "onset/1", "onset/2", "act/medium/1/anger", "act/medium/1/fear", "act/weak/1/fear"]
    keys = [set(targets([pictured(0, HAPPY, motion=name)], tmp_path)) for name in names]
    assert len(set.union(*keys)) == len(names)
    assert keys[0] == set(targets([still], tmp_path))


def test_stills_stay_where_they_are_when_moving_ones_come(tmp_path: Path) -> None:
    """Strips that were cut before are used again beside new kinds of motion; each kind has its own files."""
    person = np.repeat([f"Anna_{number}" for number in range(6)], 2)
    images = np.zeros((12, 8, 8), np.uint8)
    np.savez(tmp_path / "p.npz", images=images, person=person, label=np.tile([7, 4], 6))

    def samples(layout: str, options: str = "") -> list[Sample]:
        """Name them as training names the samples of several datasets."""
        samples = datasets.read(f"{layout}:{tmp_path / 'p.npz'}?part=training{options}").samples
        return [replace(sample, name=f"pack/{sample.name}") for sample in samples]

    stills, moving = samples("portraits"), samples("portraits", "&motion=yes")
    acts, weak = samples("acted", "&per_class=2"), samples("acted", "&per_class=2&difficulty=weak")
    before = targets(stills, tmp_path)
    everything = targets([*stills, *moving, *acts, *weak], tmp_path)
    assert before.items() <= everything.items()
    for kind in (moving, acts, weak):
        assert targets(kind, tmp_path).items() <= everything.items()
    assert len(everything) == 1 + 2 + 7 + 7  # stills; onsets and neutral acts; a file for each label
