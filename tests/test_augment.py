"""Test that pixels and landmarks move together, that changes do their work, and that seeds decide alone."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fervid import clips
from fervid.clips import illumination
from fervid.errors import UsageError
from fervid.faces import shape
from fervid.train import augment as package
from fervid.train.augment import AUGMENTATIONS, OFF, STRONG, Augmentation, augment, chance, mix, pixels
from fervid.types import Ints

SIDE, MARGIN = shape.CROP, shape.MARGIN
WHOLE = SIDE + 2 * MARGIN
EYES = SIDE / shape.CROP_EYES
MOVES = {
    "nothing": OFF,
    "flip": Augmentation(flip=1.0),
    "rotation": Augmentation(rotation=12),
    "scale": Augmentation(scale=0.15),
    "shift": Augmentation(shift=0.1),
    "aspect": Augmentation(aspect=0.1),
    "shear": Augmentation(shear=0.1),
    "wander": Augmentation(wander=0.05),
    "all": Augmentation(flip=0.5, rotation=12, scale=0.1, shift=0.05, aspect=0.05, shear=0.03, wander=0.02),
}


def faces(count: int = 4, length: int = 2, seed: int = 0) -> Tensor:
    """Return smooth shapes with texture, different in each frame."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(count * length, 6, 6)).astype(np.float32)
    shapes = np.stack([cv2.resize(shape, (WHOLE, WHOLE), interpolation=cv2.INTER_CUBIC) for shape in coarse])
    textured = 128 + 40 * shapes + 6 * random.normal(size=shapes.shape)
    return torch.from_numpy(textured.clip(0, 255).astype(np.uint8)).view(count, length, WHOLE, WHOLE)


def landmarks(count: int = 4, length: int = 2) -> Tensor:
    """Return the mean neutral face, aligned, from the front."""
    middle = np.array([SIDE / 2, SIDE * shape.CROP_EYE_LINE]) + MARGIN
    points = clips.population_neutral() * EYES + middle
    return torch.from_numpy(points.astype(np.float32)).expand(count, length, -1, -1).contiguous()


def neutrals(count: int = 4) -> Tensor:
    return torch.from_numpy(clips.population_neutral()).expand(count, -1, -1).contiguous()


def seeds(count: int = 4, first: int = 0) -> Ints:
    return np.arange(first, first + count)


def augmented(pictures: Tensor, chosen: Augmentation, first: int = 0) -> Tensor:
    """Augment pixels alone."""
    changed, _, _ = augment(pictures, None, None, chosen, seeds(len(pictures), first))
    assert changed is not None
    return changed


def everything(count: int, length: int, chosen: Augmentation, first: int = 0) -> list[Tensor]:
    """Return changed pictures, landmarks and neutral faces."""
    inputs = faces(count, length), landmarks(count, length), neutrals(count)
    changed = [values for values in augment(*inputs, chosen, seeds(count, first)) if values is not None]
    assert len(changed) == 3
    return changed


@pytest.mark.parametrize("length", [1, 16])
@pytest.mark.parametrize("side", [SIDE, 48, WHOLE])
def test_off_is_exactly_the_middle(length: int, side: int) -> None:
    given_faces, points, rest = faces(3, length), landmarks(3, length), neutrals(3)
    margin = (WHOLE - side) // 2
    got = augment(given_faces, points, rest, OFF, seeds(3), side)
    assert got[0] is not None and got[1] is not None and got[2] is not None
    inner = slice(margin, margin + side)
    assert got[0].dtype == torch.float32 and torch.equal(got[0], given_faces[..., inner, inner].float())
    assert torch.allclose(got[1], points - margin, atol=1e-4)
    assert torch.equal(got[2], rest)


@pytest.mark.parametrize("move", MOVES)
def test_landmarks_stay_on_what_they_mark(move: str) -> None:
    marked = (36, 45, 30, 48, 57)  # eye corners, the tip of the nose, the mouth
    count, length = 6, 4
    points = landmarks(count, length)
    y, x = np.mgrid[:WHOLE, :WHOLE]
    shift = np.random.default_rng(1).uniform(-2, 2, (count, length, 1, 2)).astype(np.float32)
    points = points + torch.from_numpy(shift)
    order = shape.figures()["mirror"].astype(np.int64)
    for index in marked:
        spots = points[:, :, index].numpy()[..., None, None]  # (B, L, 2, 1, 1)
        dots = 255 * np.exp(-((x - spots[:, :, 0]) ** 2 + (y - spots[:, :, 1]) ** 2) / (2 * 1.5**2))
        drawn = torch.from_numpy(np.rint(dots).astype(np.uint8))
        pictures, moved, _ = augment(drawn, points, None, MOVES[move], seeds(count))
        assert pictures is not None and moved is not None
        steps = torch.arange(SIDE, dtype=torch.float32)
        sums = [(pictures.sum(axis) * steps).sum(2) for axis in (2, 3)]
        centre = torch.stack(sums, dim=-1) / pictures.sum((2, 3))[..., None]
        flipped = chance.uniform(seeds(count), 1)[:, 0] < MOVES[move].flip
        if move == "all":
            assert 0 < flipped.sum() < count
        for clip in range(count):
            name = int(order[index]) if flipped[clip] else index
            assert torch.allclose(moved[clip, :, name], centre[clip], atol=0.3)


@pytest.mark.parametrize("move", MOVES)
def test_the_neutral_is_that_of_the_moved_face(move: str) -> None:
    _, points, rest = everything(6, 3, MOVES[move])
    upright = shape.without_pose(points.flatten(0, 1).numpy()).reshape(points.shape)
    assert np.abs(upright - rest[:, None].numpy()).max() < 0.003, "a face at rest stays at rest"


def test_a_flip_is_that_of_the_picture_and_is_undone_by_another() -> None:
    pictures, points, rest = everything(3, 2, Augmentation(flip=1.0))
    plain, straight, _ = everything(3, 2, OFF)
    assert torch.equal(pictures, plain.flip(-1))
    order = shape.figures()["mirror"].astype(np.int64)
    mirrored = straight[..., order, :] * torch.tensor([-1.0, 1.0]) + torch.tensor([SIDE - 1.0, 0.0])
    assert torch.allclose(points, mirrored, atol=1e-4)
    lopsided = neutrals(3) + torch.linspace(0, 0.3, 68)[:, None]
    _, _, once = augment(None, None, lopsided, Augmentation(flip=1.0), seeds(3))
    assert once is not None and (once - lopsided).abs().max() > 0.1
    _, _, twice = augment(None, None, once, Augmentation(flip=1.0), seeds(3))
    assert twice is not None and torch.allclose(twice, lopsided)
    assert torch.allclose(rest, neutrals(3), atol=0.03), "a face is nearly its own mirror image"
    some = chance.uniform(seeds(2000), 1)[:, 0] < 0.3
    assert some.mean() == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize("move", ["rotation", "scale", "shift", "aspect", "shear", "wander"])
def test_edges_are_repeated(move: str) -> None:
    strong = replace(OFF, **{move: getattr(MOVES[move], move) * 2})
    white = torch.full((8, 3, WHOLE, WHOLE), 255, dtype=torch.uint8)
    assert torch.allclose(augmented(white, strong), torch.tensor(255.0), atol=1e-3), "no dark corners"


def test_moves_have_the_size_of_their_settings() -> None:
    count = 400
    points = landmarks(count, 1)

    def moved(chosen: Augmentation) -> tuple[np.ndarray, np.ndarray]:
        _, after, _ = augment(None, points, None, chosen, seeds(count))
        assert after is not None
        landmarks = after.numpy()[:, 0]
        left, right = shape.eye_centres(landmarks)
        return (right - left), landmarks.mean(1) - (points.numpy()[:, 0].mean(1) - MARGIN)

    along, _ = moved(Augmentation(rotation=10))
    degrees = np.degrees(np.arctan2(along[:, 1], along[:, 0]))
    assert 9 < degrees.max() <= 10.2 and -10.2 <= degrees.min() < -9
    along, _ = moved(Augmentation(scale=0.1))
    grown = np.hypot(*along.T) / shape.eye_distance(points.numpy()[0])
    assert 1.09 < grown.max() <= 1.101 and 0.908 <= grown.min() < 0.92
    _, off = moved(Augmentation(shift=0.05))
    assert (off.max(0) > 2.9).all() and (off.max(0) <= 3.21).all() and (off.min(0) < -2.9).all()


def test_wandering_is_smooth_and_a_still_has_none() -> None:
    chosen = Augmentation(wander=0.03)
    _, still, _ = everything(8, 1, chosen)
    assert torch.allclose(still, landmarks(8, 1) - MARGIN, atol=1e-3)
    _, points, _ = everything(8, 16, chosen)
    path = points.mean(2)
    far, step = (path - path.mean(1, keepdim=True)).norm(dim=-1), path.diff(dim=1).norm(dim=-1)
    assert (far.amax(1) > 0.2).all() and (far < 0.1 * SIDE).all()
    assert (step < 0.03 * SIDE).all() and step.mean() < far.mean()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_clip_depends_on_its_own_seed_alone(name: str) -> None:
    chosen = replace(AUGMENTATIONS[name], illumination="kuo")
    whole = everything(8, 3, chosen, first=40)
    assert all(map(torch.equal, whole, everything(8, 3, chosen, first=40)))
    given_clips = faces(8, 3), landmarks(8, 3), neutrals(8)
    order = np.array([5, 0, 3])
    part = augment(*(each[order] for each in given_clips), chosen, seeds(8, 40)[order])
    for first, second in zip(whole, part, strict=True):
        assert second is not None and torch.equal(first[order], second)
    for row in range(8):
        alone = augment(*(values[[row]] for values in given_clips), chosen, seeds(8, 40)[[row]])
        assert alone[0] is not None and torch.allclose(whole[0][[row]], alone[0], atol=1e-3)
    if name == "strong":
        same = faces(1, 1).expand(16, -1, -1, -1).contiguous()
        assert len({picture.numpy().tobytes() for picture in augmented(same, chosen)}) == 16


def test_a_missing_input_does_not_affect_the_rest() -> None:
    pictures, points, rest = everything(4, 2, STRONG)
    assert torch.equal(augmented(faces(4, 2), STRONG), pictures)
    nothing, moved, _ = augment(None, landmarks(4, 2), None, STRONG, seeds(4))
    assert nothing is None and moved is not None and torch.equal(moved, points)
    assert augment(None, None, None, STRONG, seeds(4)) == (None, None, None)
    _, _, alone = augment(None, None, neutrals(4), STRONG, seeds(4))
    assert alone is not None and torch.equal(alone, rest)


def test_the_settings_name_every_change_to_the_pixels() -> None:
    names = [field.name for field in fields(Augmentation)]
    low, high = names.index("chance") + 1, names.index("illumination")
    assert names[low:high] == list(pixels.CHANGES)
    with pytest.raises(ValueError, match="two changes"):
        pixels.change(pixels.CHANGES["blur"])


@pytest.mark.parametrize("name", pixels.CHANGES)
def test_a_change_follows_its_chance_and_changes_pixels_only(name: str) -> None:
    strength = getattr(STRONG, name)
    before, points, rest = everything(6, 2, OFF)
    for chosen in (Augmentation(chance=1.0), Augmentation(chance=0.0, **{name: strength})):
        assert torch.equal(augmented(faces(6, 2), chosen), before)
    pictures, same_points, same_rest = everything(6, 2, Augmentation(chance=1.0, **{name: strength}))
    assert ((pictures - before).abs().amax((1, 2, 3)) > 0.1).all()
    assert torch.equal(points, same_points) and torch.equal(rest, same_rest)
    same = faces(1, 1).expand(200, -1, -1, -1)
    some = augmented(same, Augmentation(chance=0.2, **{name: strength})) - augmented(same, OFF)
    share = (some.abs().amax((1, 2, 3)) > 0).float().mean()
    assert 0.1 < share < 0.3


@pytest.mark.parametrize("name", pixels.CHANGES)
def test_a_weak_change_is_almost_none(name: str) -> None:
    faint = {"occlusion": 0.02, "compression": 0.01, "lowres": 0.004, "motion": 0.1, "blur": 0.05}
    pictures = augmented(faces(6, 2), Augmentation(chance=1.0, **{name: faint.get(name, 0.001)}))
    assert (pictures - augmented(faces(6, 2), OFF)).abs().mean() < 1.0


@pytest.mark.parametrize("name", [*pixels.CHANGES, "all"])
def test_pixels_stay_finite_and_in_range(name: str) -> None:
    utmost = {"occlusion": 1.0, "compression": 1.0, "lowres": 0.9, "salt_and_pepper": 1.0}
    strengths = {change: utmost.get(change, 4 * getattr(STRONG, change)) for change in pixels.CHANGES}
    chosen = strengths if name == "all" else {name: strengths[name]}
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 2, WHOLE, WHOLE), dtype=np.uint8))
    hard = torch.cat([torch.zeros_like(noise), torch.full_like(noise, 255), noise])
    pictures = augmented(hard, Augmentation(chance=1.0, illumination="kuo", **chosen))
    assert torch.isfinite(pictures).all() and pictures.min() >= 0 and pictures.max() <= 255


def test_an_occlusion_stays_where_it_is() -> None:
    dark = torch.zeros(40, 4, WHOLE, WHOLE, dtype=torch.uint8)
    hidden = augmented(dark, Augmentation(chance=1.0, occlusion=0.5)) > 0
    shown = hidden.any(1).float().mean((1, 2))
    assert shown.max() < 0.26 and shown.max() > 0.08
    flat = torch.tensor([bool((clip == clip[0]).all()) for clip in hidden])
    assert flat.float().mean() > 0.5, "frames are hidden alike, except for black pixels of noise"
    uneven = hidden[~flat]
    assert ((uneven ^ uneven[:, :1]).float().mean((1, 2, 3)) < 0.1).all()


def test_light_from_one_side_keeps_the_other() -> None:
    grey = torch.full((30, 1, WHOLE, WHOLE), 200, dtype=torch.uint8)
    lit = augmented(grey, Augmentation(chance=1.0, gradient=0.8))[:, 0]
    assert lit.amax((1, 2)).median() > 170
    slopes = (lit[:, 1:] - lit[:, :-1]).abs().amax((1, 2))
    assert slopes.max() < 15, "smooth"
    assert lit.amin((1, 2)).min() < 80


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
def test_blur_is_a_gaussian(width: float) -> None:
    picture = faces(1, 1)[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN].float()
    got = pixels.blur(picture, width, torch.ones(1, pixels.DRAWS))
    size = 2 * int(np.ceil(3 * width)) + 1
    wanted = cv2.GaussianBlur(picture[0, 0].numpy(), (size, size), width, borderType=cv2.BORDER_REPLICATE)
    assert np.abs(got[0, 0].numpy() - wanted).max() < 0.1


def test_motion_blurs_along_its_way_alone() -> None:
    stripes = torch.zeros(1, 1, SIDE, SIDE)
    stripes[..., ::8] = 255.0
    draws = torch.zeros(2, pixels.DRAWS)
    draws[:, 0] = 1.0
    draws[1, 1] = 0.5  # down
    across, down = pixels.motion(stripes.expand(2, -1, -1, -1), 6.0, draws)
    assert across.std() < 0.5 * stripes.std()
    assert torch.allclose(down, pixels.motion(stripes, 0.01, draws[1:])[0], atol=0.5)


def test_a_lower_resolution_keeps_what_is_coarse() -> None:
    picture = faces(1, 1)[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN].float()
    draws = torch.ones(1, pixels.DRAWS)
    assert torch.allclose(pixels.lowres(picture, 0.0, draws), picture, atol=1e-3)
    got = pixels.lowres(picture, 0.75, draws)[0, 0].numpy()
    small = picture.view(1, 1, 16, 4, 16, 4).mean((3, 5))[0, 0].numpy()
    wanted = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    assert np.abs(got - wanted).mean() < 2
    flat = torch.full_like(picture, 90)
    assert torch.allclose(pixels.lowres(flat, 0.6, draws), flat, atol=1e-3)


def test_noise_has_the_strength_of_its_setting() -> None:
    grey = torch.full((40, 4, SIDE, SIDE), 100.0)
    draws = torch.from_numpy(chance.uniform(seeds(40), pixels.DRAWS))
    draws[:, 0] = 1.0
    added = pixels.gaussian(grey, 10.0, draws) - grey
    assert added.std((1, 2, 3)).numpy() == pytest.approx(10, rel=0.05)
    assert added.mean().abs() < 0.2
    assert np.abs(np.corrcoef(added[0].flatten(1).numpy()) - np.eye(4)).max() < 0.1, "each frame has its own"
    assert (pixels.speckle(grey, 0.1, draws) - grey).std().item() == pytest.approx(10, rel=0.05)
    salted = pixels.salt_and_pepper(grey, 0.1, draws)
    for level in (0, 255):
        assert (salted == level).float().mean().item() == pytest.approx(0.05, abs=0.01)
    assert set(salted.unique().tolist()) == {0.0, 100.0, 255.0}


@pytest.mark.parametrize("quality", [8, 25, 50, 75, 95])
def test_compression_is_that_of_a_library(quality: int) -> None:
    pictures = faces(3, 2, seed=quality)[..., MARGIN:-MARGIN, MARGIN:-MARGIN].contiguous()
    whole = torch.full((3,), float(quality))
    got = pixels.jpeg(pictures.float(), whole, torch.zeros(3, 2, dtype=torch.int64))
    for picture, mine in zip(pictures.flatten(0, 1).numpy(), got.flatten(0, 1).numpy(), strict=True):
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        theirs = cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE).astype(np.float32)
        assert np.abs(theirs - mine.clip(0, 255)).mean() < 0.6
        assert np.abs(theirs - picture).mean() > np.abs(theirs - mine).mean() * 2


def test_compression_at_full_quality_keeps_the_picture_at_any_offset() -> None:
    pictures = faces(2, 2)[..., MARGIN:-MARGIN, MARGIN:-MARGIN].float()
    offset = torch.tensor([[0, 0], [3, 6]])
    best = pixels.jpeg(pictures, torch.full((2,), 100.0), offset)
    assert (best - pictures).abs().mean() < 0.5 and (best - pictures).abs().max() < 3
    poor = pixels.jpeg(pictures, torch.full((2,), 10.0), offset)
    wide = torch.nn.functional.pad(pictures[1:], (6, 2, 3, 5), mode="replicate")
    aligned = pixels.jpeg(wide, torch.full((1,), 10.0), torch.zeros(1, 2, dtype=torch.int64))
    assert torch.allclose(poor[1:], aligned[..., 3 : 3 + SIDE, 6 : 6 + SIDE], atol=1e-3)


def test_illuminations_are_those_of_kuo() -> None:
    given_faces = faces(40, 3)
    levels = augmented(given_faces, OFF).numpy()
    got = augmented(given_faces, Augmentation(illumination="kuo")).numpy()
    names = ("none", "he", "linear", "he_linear")
    variants = np.stack([illumination.normalise(name, levels) for name in names], axis=1)
    which = np.isclose(got[:, None], variants, atol=0.01).all((2, 3, 4))  # (clip, variant)
    assert (which.sum(1) == 1).all() and which.any(0).all()
    flat = torch.full((20, 1, WHOLE, WHOLE), 77, dtype=torch.uint8)
    assert torch.isfinite(augmented(flat, Augmentation(illumination="kuo"))).all()


def test_crops_are_those_of_kuo() -> None:
    """A crop of 64 of the inner 80 pixels, as theirs of 96 of 120, or its mirror image, and nothing else."""
    reach, count = (80 - SIDE) / 2, 400
    steps = torch.arange(WHOLE, dtype=torch.uint8)
    for axis, ramp in (("x", steps.expand(WHOLE, WHOLE)), ("y", steps.expand(WHOLE, WHOLE).T)):
        got = augmented(ramp.expand(count, 1, WHOLE, WHOLE).contiguous(), AUGMENTATIONS["crops"])[:, 0]
        first, last = (got[:, 0], got[:, -1]) if axis == "y" else (got[..., 0], got[..., -1])
        assert torch.allclose((last - first).abs(), torch.tensor(SIDE - 1.0), atol=1e-3)
        shift = (torch.minimum(first, last) - MARGIN)[:, 0]
        assert shift.abs().max() <= reach + 1e-3 and reach - 0.5 < min(shift.max(), -shift.min())
        mirrored = (first > last)[:, 0].float().mean()
        assert abs(mirrored - 0.5) < 0.1 if axis == "x" else not mirrored


def test_landmark_noise_is_worst_at_the_jaw_and_has_a_memory() -> None:
    count, length = 300, 16
    before = landmarks(count, length) - MARGIN

    def error(chosen: Augmentation) -> np.ndarray:
        after = augment(None, landmarks(count, length), None, chosen, seeds(count))[1]
        assert after is not None
        return ((after - before) / EYES).numpy().astype(np.float64)

    noise = error(Augmentation(landmark_noise=0.02))
    clips_of = noise[:, :, 17:].std((1, 2, 3))
    assert clips_of.max() < 0.024 and clips_of.min() < 0.003
    assert noise[:, :, 17:].std() == pytest.approx(0.02 / np.sqrt(3), rel=0.1)
    assert noise[:, :, :17].std() / noise[:, :, 17:].std() == pytest.approx(2, rel=0.05)
    assert noise[:, 0].std() == pytest.approx(noise[:, -1].std(), rel=0.1), "it neither grows nor fades"
    kept = (noise[:, 1:] * noise[:, :-1]).mean() / np.square(noise).mean()
    assert 0.3 < kept < 0.6
    bias = error(Augmentation(landmark_bias=0.02))
    assert np.abs(bias - bias[:, :1]).max() < 1e-4
    assert bias[:, 0, 17:].std() == pytest.approx(0.02 / np.sqrt(3), rel=0.1)
    pictures, _, rest = everything(4, 2, Augmentation(landmark_noise=0.02, landmark_bias=0.02))
    assert torch.equal(pictures, augmented(faces(4, 2), OFF)) and torch.equal(rest, neutrals(4))


def test_hashed_numbers_are_even_and_do_not_follow_each_other() -> None:
    table = chance.uniform(np.arange(-500, 500), 40)
    assert table.min() >= 0 and table.max() < 1
    assert np.abs(np.histogram(table, 20, (0, 1))[0] / table.size - 0.05).max() < 0.004
    assert np.abs(np.corrcoef(table.T) - np.eye(40)).max() < 0.2
    assert np.abs(np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]) < 0.02
    bank = chance.normal(torch.zeros(1), chance.BANK - 1)
    assert bank.mean().abs() < 0.01 and bank.std().item() == pytest.approx(1, abs=0.01)
    assert (bank.abs() > 2).float().mean().item() == pytest.approx(0.0455, abs=0.003)


def test_mixing_distinguishes_every_number() -> None:
    stirred = mix(7, np.arange(300)[:, None], np.arange(300))
    assert stirred.dtype == np.int64 and len(np.unique(stirred)) == 300 * 300
    assert mix(1, 2) != mix(2, 1) and mix(-1) != mix(1)
    assert mix(3, 5).tolist() == mix(3, np.array([5])).tolist()


def rows(pts: Ints, time_base: Fraction, random: np.random.Generator, settings: Augmentation) -> Ints:
    """Return the rows of a window that is drawn of a face with these frames."""
    empty, ones = np.empty((len(pts), 68, 2), np.float32), np.ones(len(pts), np.float32)
    face = clips.Face(package._Pace(time_base), pts, ones, empty, clips.windows.NO_CROPS, None)
    return package.draw_window(face, random, settings).rows


strips = st.lists(st.integers(1, 200), min_size=0, max_size=60).map(
    lambda steps: 1000 + np.cumsum(np.array([0, *steps], np.int64))
)


@settings(max_examples=60, deadline=None)
@given(strips, st.integers(0, 2**32), st.sampled_from(sorted(AUGMENTATIONS)), st.integers(100, 3000))
def test_rows_are_frames_of_the_strip_in_their_order(pts: Ints, seed: int, name: str, rate: int) -> None:
    chosen = AUGMENTATIONS[name]
    got = rows(pts, Fraction(1, rate), np.random.default_rng(seed), chosen)
    assert got.shape == (clips.LENGTH,) and got.dtype == np.int64
    assert got.min() >= 0 and got.max() < len(pts) and (np.diff(got) >= 0).all()
    assert np.array_equal(got, rows(pts, Fraction(1, rate), np.random.default_rng(seed), chosen))
    if len(pts) == 1:
        assert not got.any()


@settings(max_examples=30, deadline=None)
@given(strips, st.integers(0, 2**32))
def test_rows_without_augmentation_are_those_of_a_window_somewhere(pts: Ints, seed: int) -> None:
    clock = package._Pace(Fraction(1, 1000))
    got = rows(pts, clock.time_base, np.random.default_rng(seed), OFF)
    centre = int(np.random.default_rng(seed).integers(pts[0], pts[-1], endpoint=True))
    assert np.array_equal(got, clips.rows(clock, pts, centre))


def test_rows_run_faster_and_slower_and_miss_frames() -> None:
    pts, base = np.arange(2000, dtype=np.int64), Fraction(1, 100)
    random = np.random.default_rng(0)
    inside = [rows(pts, base, random, Augmentation(speed=0.25)) for _ in range(300)]
    spans = np.array([rows[-1] - rows[0] for rows in inside if rows[0] > 0 and rows[-1] < 1999])
    usual = 15 * 4  # frames between the first and the last
    assert 1.2 * usual < spans.max() <= 1.26 * usual and 0.79 * usual <= spans.min() < 0.84 * usual
    few = np.arange(0, 400, 4, dtype=np.int64)
    whole = [rows(few, base, random, OFF) for _ in range(50)]
    assert all((np.diff(rows) <= 1).all() for rows in whole)
    gaps = [rows(few, base, random, Augmentation(dropped=0.6)) for _ in range(50)]
    assert any((np.diff(rows) > 1).any() and (np.diff(rows) == 0).any() for rows in gaps)
    alone = rows(few, base, random, Augmentation(dropped=1.0))
    assert alone.shape == (clips.LENGTH,)
    with pytest.raises(ValueError, match="without frames"):
        rows(few[:0], base, random, OFF)


@pytest.mark.parametrize(
    "wrong",
    [{"flip": 1.5}, {"chance": -0.1}, {"rotation": float("nan")}, {"lowres": 1.0}, {"illumination": "x"}],
)
def test_settings_out_of_range_are_an_error(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"augmentation .*{next(iter(wrong))}"):
        Augmentation(**wrong)  # type: ignore[arg-type]


def test_clips_of_wrong_shape_are_an_error() -> None:
    whole = faces(), landmarks(), neutrals()
    with pytest.raises(ValueError, match="faces should be"):
        augment(whole[0].float(), whole[1], whole[2], OFF, seeds(4))
    with pytest.raises(ValueError, match="landmarks should be"):
        augment(whole[0], whole[1][:, :1], whole[2], OFF, seeds(4))
    with pytest.raises(ValueError, match="neutral should be"):
        augment(*whole[:2], whole[2][:, :5], OFF, seeds(4))
    with pytest.raises(ValueError, match="faces should be"):
        augment(*whole, OFF, seeds(3))
    with pytest.raises(ValueError, match="middle 63 of 88"):
        augment(*whole, OFF, seeds(4), side=63)
