"""Test that invented people move as in the literature, are as hard to read as intended, and can be drawn."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fervid import synth
from fervid.clips import LENGTH
from fervid.errors import UsageError
from fervid.faces import shape
from fervid.labels import CONTEMPT, EMOTIONS, NEUTRAL
from fervid.synth import sequences
from fervid.types.samples import Sample

Points = npt.NDArray[np.float64]

LABELS = (*EMOTIONS, CONTEMPT)
SEVEN = tuple(label for label in LABELS if label != NEUTRAL)  # as in CK+
PARTS = {"jaw": np.s_[:17], "brows": np.s_[17:27], "nose": np.s_[27:36], "eyes": np.s_[36:48]}
PARTS["mouth"] = np.s_[48:68]


@pytest.fixture(scope="module")
def who() -> synth.Person:
    return synth.person(np.random.default_rng(3))


def take(who: synth.Person, label: str, difficulty: str, seed: int) -> synth.Trajectory:
    return synth.trajectory(who, label, difficulty, np.random.default_rng(seed))


# ---- people


def test_resting_faces_differ_as_people_do():
    """Compare with the spread of 2000 of the source's own faces, in eye distances."""
    faces = np.stack([synth.person(np.random.default_rng([1, i])).shape for i in range(600)])
    measured = {"jaw": (0.043, 0.066), "brows": (0.021, 0.026), "nose": (0.014, 0.041)}
    measured |= {"eyes": (0.010, 0.011), "mouth": (0.021, 0.061)}
    for part, wanted in measured.items():
        spread = faces[:, PARTS[part], :2].std(axis=0).mean(axis=0)
        assert spread == pytest.approx(wanted, rel=0.15, abs=0.003), part
    # Parts move as a whole: a mouth lies high or low, not each of its points.
    heights = faces[:, PARTS["mouth"], 1]
    assert heights.mean(axis=1).std() > 0.85 * heights.std(axis=0).mean()


def test_a_resting_face_has_its_eyes_a_unit_apart_and_its_lips_uncrossed():
    for seed in range(50):
        rest = synth.person(np.random.default_rng(seed)).shape
        assert shape.eye_distance(rest[:, :2]) == pytest.approx(1.0, abs=1e-6)
        assert all(rest[lower, 1] - rest[upper, 1] > -1e-9 for upper, lower in synth.TOUCHING[:3])


def test_gains_are_near_one():
    gains = np.stack([synth.person(np.random.default_rng(i)).gains for i in range(100)])
    assert gains.mean() == pytest.approx(1.0, abs=0.01)
    assert gains.std() == pytest.approx(0.08, abs=0.005)


@pytest.mark.parametrize("unit", synth.UNITS)
def test_both_sides_of_a_face_can_do_the_same(unit):
    moved = synth.action_units()[unit]
    assert np.abs(moved).max() > 0.01
    assert moved[synth.mirror()] * (-1, 1, 1) == pytest.approx(moved, abs=1e-6)


# ---- sequences


@pytest.mark.parametrize("difficulty", synth.DIFFICULTIES)
@pytest.mark.parametrize("label", LABELS)
def test_every_take_is_valid(who, label, difficulty):
    for seed in range(4):
        made = take(who, label, difficulty, seed)
        assert np.isfinite(made.landmarks).all() and np.isfinite(made.clean).all()
        assert made.rate in sequences.RATES
        assert made.frame[-1] + 1 >= LENGTH
        assert sequences.LEAST - 0.05 <= made.times[-1] + 1 / made.rate <= sequences.MOST + 0.35
        assert made.weights.min() >= -0.01 and made.weights.max() < 2.0
        assert np.abs(np.diff(made.clean, axis=0)).max() < 0.3 * np.diff(made.frame).max()
        if label == NEUTRAL:
            assert not made.level.any()
        else:
            assert made.level[0] == 0.0  # a neutral start
            assert made.level[made.apex] > 0.95
            assert (made.level[-1] > 0.95) == (not synth.DIFFICULTIES[difficulty].goes)


def test_a_neutral_face_blinks_and_talks_and_expresses_nothing(who):
    lids = synth.UNITS.index("AU45")
    takes = [take(who, NEUTRAL, "spontaneous", seed) for seed in range(60)]
    assert 5 < sum(made.weights[:, lids].max() > 0.8 for made in takes) < 55
    jaw = synth.UNITS.index("AU26")
    talking = [made for made in takes if made.weights[:, jaw].max() > 0.05]
    assert 5 < len(talking) < 40
    others = [synth.UNITS.index(unit) for unit in ("AU4", "AU12", "AU15", "AU1")]
    assert max(made.weights[:, others].max() for made in takes) <= sequences.IRRELEVANT_MOST


def test_who_talks_does_so_whatever_else_the_face_shows(who):
    vowels = [synth.UNITS.index(unit) for unit in ("AU18", "AU26")]
    for label in (NEUTRAL, "sadness"):
        most = np.stack([take(who, label, "talking", seed).weights.max((0, 2)) for seed in range(30)])
        rounded, dropped = most[:, vowels].T
        assert np.mean(rounded > 0.1) > 0.5 and np.mean(dropped > 0.1) > 0.8
        assert max(rounded.max(), dropped.max()) < 1.3
    assert np.mean(most[:, synth.UNITS.index("AU4")] > 0.15) > 0.7  # sadness frowns as well


def test_contempt_is_one_sided(who):
    dimple = synth.UNITS.index("AU14")
    sides = set()
    for seed in range(20):
        made = take(who, CONTEMPT, "posed", seed)
        weights = made.weights[made.apex, dimple]
        if weights.max() > 0.3:
            assert weights.min() <= 0.3 * weights.max()
            sides.add(int(weights.argmax()))
    assert sides == {0, 1}


def test_surprise_comes_fastest(who):
    def rise(label: str) -> float:
        """Return the mean onset of the expression in seconds."""
        made = [take(who, label, "medium", seed) for seed in range(30)]
        edges = [m.times[[np.argmax(m.level > 0.1), np.argmax(m.level > 0.9)]] for m in made]
        return float(np.diff(edges).mean())

    assert rise("surprise") < 0.25 < 0.4 < rise("sadness")


def test_without_pose_undoes_the_motion_of_the_head(who):
    weights = np.zeros((40, len(synth.UNITS), 2))
    time = np.arange(40) / 25
    for seed in range(5):
        filmed = sequences.project(sequences.move_face(who, weights), time, 2.0, np.random.default_rng(seed))
        upright = shape.without_pose(filmed.astype(np.float32))
        before = (filmed - filmed[0])[:, 17:]
        after = (upright - upright[0])[:, 17:]
        assert np.sqrt((before**2).mean()) > 0.03
        # What is left is the depth in which this person differs from the mean face.
        assert np.sqrt((after**2).mean()) < 0.012


def test_lids_and_lips_do_not_cross(who):
    weights = np.zeros((2, len(synth.UNITS), 2))
    weights[1, [synth.UNITS.index(unit) for unit in ("AU45", "AU17")]] = 2.0
    face = sequences.move_face(who, weights)
    for upper, lower in synth.TOUCHING:
        assert (face[:, lower, 1] - face[:, upper, 1]).min() > -1e-9


def test_tracking_errors_have_their_size_and_persist():
    error = sequences.tracking_error(4000, 0.012, np.random.default_rng(0))
    assert error[:, 17:].std() == pytest.approx(0.012, rel=0.05)
    assert error[:, :17].std() == pytest.approx(0.024, rel=0.05)
    linked = np.mean(error[1:] * error[:-1], axis=0) / error.var(axis=0)
    assert linked.mean() == pytest.approx(0.6, abs=0.03)
    assert error[0].std() > 0.005  # from the first frame on


def test_frames_that_the_tracker_lost_are_absent(who):
    takes = [take(who, "sadness", "spontaneous", seed) for seed in range(30)]
    lost = [1 - len(made) / (made.frame[-1] + 1) for made in takes]
    assert 0.02 < np.mean(lost) < 0.08 and max(lost) <= 0.11
    assert all((np.diff(made.frame) > 0).all() for made in takes)


def test_a_take_is_the_same_each_time(who):
    first, again, other = (take(who, "fear", "medium", seed) for seed in (5, 5, 6))
    assert np.array_equal(first.landmarks, again.landmarks)
    assert np.array_equal(first.weights, again.weights)
    assert not np.array_equal(first.landmarks, other.landmarks)


# ---- how hard it is: anchors, so that a change of the generator does not pass unseen


def ridge(train: Points, labels: Points, test: Points, weight: float) -> Points:
    """Return the answers of a ridge classifier on standardised features."""
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
    train, test = (train - mean) / spread, (test - mean) / spread
    wanted = np.eye(labels.max() + 1)[labels]
    shares = wanted.mean(axis=0)
    kernel = train @ train.T + weight * np.eye(len(train))  # the dual: pictures have more pixels than samples
    return (test @ (train.T @ np.linalg.solve(kernel, wanted - shares)) + shares).argmax(1)


Features = Callable[[Sample], Points]


def accuracy(features_of: Features, difficulty: str, counts: tuple[int, int], weight: float) -> float:
    """Train and test a linear classifier on `counts` samples per class, of different people."""
    parts = []
    for seed, count in enumerate(counts):
        listed = list(synth.samples(difficulty, 50, count, seed, SEVEN))
        features = np.stack([features_of(sample) for sample in listed])
        parts.append((features, np.array([SEVEN.index(sample.label) for sample in listed])))
    (train, labels), (test, truth) = parts
    return 100 * float((ridge(train, labels, test, weight) == truth).mean())


def change(sample: Sample) -> Points:
    """Return the motion of the face's inner points from the first frame to the apex."""
    _, made, _ = synth.acted(sample.pixels.name)
    first, apex = shape.without_pose(made.landmarks[[0, made.apex]])
    return (apex - first)[17:].ravel()


@pytest.mark.parametrize(
    ("difficulty", "anchor"), [("posed", 92), ("medium", 81), ("spontaneous", 64), ("weak", 43)]
)
def test_its_difficulty_for_a_linear_classifier_is_as_intended(difficulty, anchor):
    assert accuracy(change, difficulty, (150, 100), weight=10.0) == pytest.approx(anchor, abs=4.0)


# ---- drawn faces


def apex_picture(sample: Sample) -> Points:
    """Draw the face at its apex, 24x24, with zero mean and unit deviation."""
    who, made, rng = synth.acted(sample.pixels.name)
    matrix, _ = shape.alignment(made.landmarks[made.apex] * 100)
    points = made.clean[made.apex] * 100 @ matrix[:, :2].T + matrix[:, 2]
    face = synth.draw(who, points, made.weights[made.apex], shape.CROP, rng)
    small = cv2.resize(face, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    return (small - small.mean()) / small.std()


def test_expressions_can_be_read_off_drawn_faces():
    assert accuracy(apex_picture, "posed", (50, 30), weight=300.0) > 75


def test_lines_follow_the_action_units(who):
    """Check that a frown darkens the skin between the brows, at the same landmarks."""
    resting = who.shape[:, :2] * 60 + 100
    frown = np.zeros((2, len(synth.UNITS), 2))
    frown[1, synth.UNITS.index("AU4")] = 1.0
    drawn = [synth.draw(who, resting, weights, 220, np.random.default_rng(0)) for weights in frown]
    plain, frowning = (picture.astype(float) for picture in drawn)
    x, y = resting[[21, 22]].mean(axis=0).round().astype(int)
    between = np.s_[y - 6 : y + 10, x - 8 : x + 8]
    assert frowning[between].mean() < 0.85 * plain[between].mean()
    assert np.abs(frowning[150:] - plain[150:]).max() < 2


def test_eyes_close_and_mouths_open(who):
    resting = who.shape.copy()
    weights = np.zeros((len(synth.UNITS), 2))
    acted = np.zeros((1, len(synth.UNITS), 2))
    acted[0, [synth.UNITS.index("AU45"), synth.UNITS.index("AU27")]] = 1.0
    opened = sequences.move_face(who, acted)[0]
    rest, moved = (
        synth.draw(who, points[:, :2] * 60 + 100, weights, 240, np.random.default_rng(0))
        for points in (resting, opened)
    )
    eye = (resting[36:42, :2].mean(axis=0) * 60 + 100).round().astype(int)
    pupil = np.s_[eye[1] - 2 : eye[1] + 3, eye[0] - 2 : eye[0] + 3]
    assert moved[pupil].mean() > 1.5 * rest[pupil].mean()
    mouth = (opened[[62, 66], :2].mean(axis=0) * 60 + 100).round().astype(int)
    assert moved[mouth[1], mouth[0]] < 60 < rest[mouth[1] + 20, mouth[0]]


# ---- strips


def test_samples_share_people_and_have_names_to_draw_from():
    listed = list(synth.samples("weak", 3, 5, 8))
    assert len(listed) == 5 * len(EMOTIONS) == len({sample.name for sample in listed})
    assert [sample.subject for sample in listed[:5]] == [f"drawn-8-{n}" for n in (0, 1, 2, 0, 1)]
    assert {sample.label for sample in listed} == set(EMOTIONS)
    first, other = (synth.acted(sample.pixels.name)[0] for sample in (listed[0], listed[7]))
    same = synth.acted(next(synth.samples("posed", 3, 1, 8)).pixels.name)[0]
    assert np.array_equal(first.shape, same.shape)  # at another difficulty
    assert first.skin == same.skin and not np.array_equal(first.shape, other.shape)


def test_a_strip_has_the_form_that_training_reads():
    sample = next(synth.samples("posed", 1, 1, 0, ["surprise"]))
    strip, again = synth.strip_of(sample.pixels.name), synth.strip_of(sample.pixels.name)
    assert np.array_equal(strip.faces, again.faces) and np.array_equal(strip.landmarks, again.landmarks)
    _who, made, _ = synth.acted(sample.pixels.name)
    side = shape.CROP + 2 * shape.MARGIN
    assert strip.faces.shape == (len(made), side, side)
    assert strip.time_base == made.time_base and np.array_equal(strip.pts, made.frame)
    # Where the analysis would have put the face: the eye line level, at its height, the crop's scale.
    left, right = shape.eye_centres(strip.landmarks)
    middle = [side / 2, shape.MARGIN + shape.CROP * shape.CROP_EYE_LINE]
    assert np.abs((left + right) / 2 - middle).max() < 0.01
    assert left[:, 1] == pytest.approx(right[:, 1], abs=0.01)
    # What the landmarks say is what is drawn: the mouth opens where they are.
    apex = made.apex
    x, y = strip.landmarks[apex, [62, 66]].mean(axis=0).round().astype(int)
    assert strip.faces[apex, y, x] < 0.5 * np.median(strip.faces[apex, 30:70, 30:58])


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        ("posed/0/1/anger", "difficulty/seed/person/take/label"),
        ("posed/0/-1/0/anger", "difficulty/seed/person/take/label"),
        ("hard/0/1/0/anger", "one of posed, medium"),
        ("posed/0/1/0/boredom", "one of anger, disgust"),
    ],
)
def test_an_invalid_drawing_name_is_an_error(drawn, reason):
    with pytest.raises(UsageError, match=reason):
        synth.strip_of(drawn)


def test_invalid_samples_are_an_error():
    with pytest.raises(UsageError, match="at least one"):
        next(synth.samples("posed", 0, 1, 0))
    with pytest.raises(UsageError, match="boredom"):
        next(synth.samples("posed", 1, 1, 0, ["boredom"]))
