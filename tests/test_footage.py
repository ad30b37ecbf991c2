"""Footage: strips of samples, small pictures, and the files in the cache."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
from conftest import CLIP

from fervid import analysis, execute, synth
from fervid.errors import InputError, UsageError
from fervid.faces import scene, shape
from fervid.faces.detectors import of_points
from fervid.train import footage
from fervid.train.batches import Clips
from fervid.train.footage import Footage, strips
from fervid.types import Bytes, Settings
from fervid.types.samples import Drawn, OnDisk, Picture, Sample, Strip
from fervid.video import planning, reading

MOVING = Sample(name="clip", label="happiness", pixels=OnDisk(str(CLIP), Fraction(1), Fraction(3)))


def with_pixels(sample: Sample, **changes: object) -> Sample:
    """Return the sample with another part of its file."""
    return replace(sample, pixels=replace(sample.pixels, **changes))


@pytest.fixture(scope="module")
def strip() -> Strip:
    return footage.strip_of(MOVING)


@pytest.fixture(scope="module")
def picture(strip: Strip) -> Bytes:
    """Return a face of the example clip that fills a small picture, as in FER2013."""
    return np.asarray(cv2.resize(strip.faces[5], (48, 48), interpolation=cv2.INTER_AREA), np.uint8)


def test_a_strip_has_the_crops_of_analysis(strip: Strip) -> None:
    settings = Settings(start=MOVING.pixels.start, end=MOVING.pixels.end)
    with analysis.start(CLIP, model=None, settings=settings, crops=True) as run:
        parts = list(run.crops())
    pts = np.concatenate([part.pts for part in parts])
    crops = np.concatenate([part.faces for part in parts])
    _, ours, theirs = np.intersect1d(strip.pts, pts, return_indices=True)
    assert len(ours) > 40
    edge = slice(shape.MARGIN, -shape.MARGIN)
    # Analysis decodes a halo before its start, so it found the first face in another frame.
    settled = ours >= 10
    difference = np.abs(strip.faces[ours[settled]][:, edge, edge].astype(int) - crops[theirs[settled]])
    assert difference.mean() < 2


def test_landmarks_are_on_the_crops(strip: Strip) -> None:
    left, right = shape.eye_centres(strip.landmarks)
    size = shape.CROP + 2 * shape.MARGIN
    assert strip.faces.shape[1:] == (size, size)
    row = shape.MARGIN + shape.CROP_EYE_LINE * shape.CROP
    middle = (left + right) / 2
    assert np.abs(middle - [size / 2, row]).max() < 3
    assert np.abs((right - left)[:, 0] - shape.CROP / shape.CROP_EYES).max() < 4
    assert strip.quality is not None and strip.quality.max() > 0.3


def test_a_face_that_fills_the_picture_is_found(picture: Bytes) -> None:
    result = footage.strip_of(Sample(name="face", label="happiness", pixels=Picture(picture)))
    assert len(result) == 1
    left, right = shape.eye_centres(result.landmarks)
    assert 18 < float((right - left)[0, 0]) < 34


def test_a_small_picture_always_counts_as_a_face() -> None:
    flat = np.full((48, 48), 120, np.uint8)
    flat[20:24, 10:38] = 40
    finder = footage.PictureFinder()
    assert [face.score for face in finder.detect(flat)] == [0.0]
    large = np.full((600, 600), 120, np.uint8)
    assert finder.detect(large) == []


def test_a_picture_of_a_face_in_profile_keeps_its_own_landmarks(picture: Bytes) -> None:
    finder = footage.PictureFinder()
    face = of_points(np.float32([[20, 18], [24, 18], [16, 24], [20, 34], [23, 34]]), 0.1)
    assert abs(shape.head_pose(shape.posed(face.points)[None])[0, 0]) > scene.MOST_YAW
    assert np.array_equal(finder.guess(picture, face), finder.fit(picture, face))


def test_a_part_of_a_folder_of_pictures(tmp_path: Path, picture: Bytes) -> None:
    large = cv2.resize(picture, (160, 160))
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number}.png"), large)
    some = Sample(name="x", label="happiness", pixels=OnDisk(str(tmp_path), frames=(3, 6), rate=Fraction(30)))
    result = footage.strip_of(some)
    assert len(result) in (0, 3)  # the same picture three times
    assert result.time_base == Fraction(1, 30)
    with pytest.raises(InputError, match="no frames 3 to 9"):
        footage.strip_of(with_pixels(some, frames=(3, 9)))


def test_a_share_of_the_frames(tmp_path: Path, picture: Bytes) -> None:
    large = cv2.resize(picture, (160, 160))
    for number in range(9):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.roll(large, number, axis=1))
    whole = Sample(name="x", label="happiness", pixels=OnDisk(str(tmp_path)))
    third = footage.strip_of(with_pixels(whole, share=(Fraction(1, 3), Fraction(2, 3))))
    named = footage.strip_of(with_pixels(whole, frames=(3, 6)))
    assert len(third) == 3
    assert np.array_equal(third.faces, named.faces)
    for count, frames in ((1, (0, 1)), (2, (0, 2)), (10, (3, 7))):
        assert strips._frames_of((Fraction(1, 3), Fraction(2, 3)), count) == frames
    with pytest.raises(ValueError, match="within 0 and 1"):
        with_pixels(whole, share=(Fraction(2, 3), Fraction(2, 3)))


def test_the_box_selects_the_face_in_a_picture(tmp_path: Path, picture: Bytes) -> None:
    canvas = np.full((400, 900), 120, np.uint8)
    canvas[20:380, 20:380] = cv2.resize(picture, (360, 360))
    canvas[200:296, 780:876] = cv2.resize(picture, (96, 96))[:, ::-1]
    cv2.imwrite(str(tmp_path / "two.png"), canvas)
    both = Sample(name="x", label="happiness", pixels=OnDisk(str(tmp_path / "two.png")))
    alone = Sample(name="y", label="happiness", pixels=Picture(canvas[200:296, 780:876]))
    boxed, small = footage.strip_of(with_pixels(both, box=(780, 200, 96, 96))), footage.strip_of(alone)
    edge = slice(shape.MARGIN, -shape.MARGIN)
    difference = boxed.faces[:, edge, edge].astype(int) - small.faces[:, edge, edge]
    assert np.abs(difference).mean() < 10
    mirrored = boxed.faces[:, edge, edge][:, :, ::-1].astype(int) - small.faces[:, edge, edge]
    assert np.abs(mirrored).mean() > 20  # it is not the large face
    assert len(footage.strip_of(with_pixels(both, box=(-30, -30, 430, 430)))) == 1
    nobody = footage.strip_of(with_pixels(both, box=(450, 60, 200, 200)))  # the box counts
    left, right = shape.eye_centres(nobody.landmarks)
    assert len(nobody) == 1 and nobody.faces.std() < 1 and (right - left)[0, 0] > 0
    outside = with_pixels(both, box=(901, 0, 10, 10))
    with pytest.raises(InputError, match="outside the picture"):
        footage.strip_of(outside)
    result = cut([replace(with_pixels(both, box=(780, 200, 96, 96)), name="a"), outside], tmp_path / "cache")
    assert result.has_strip.tolist() == [True, False]
    with pytest.raises(ValueError, match="should have pixels"):
        with_pixels(both, box=(0, 0, 0, 5))


@pytest.mark.parametrize("turns", [1, 3])
def test_the_face_of_a_clip_on_its_side_is_upright(tmp_path: Path, strip: Strip, turns: int) -> None:
    planned = planning.plan(CLIP)
    frames = list(reading.frames(planned, int(strip.pts[0]), int(strip.pts[8])))
    lying = media.write(tmp_path / "lying.mp4", [np.rot90(frame.luma, turns) for frame in frames])
    sample = Sample(name="x", label="happiness", pixels=OnDisk(str(lying)))
    turned = footage.strip_of(sample)
    assert len(turned) == 8
    left, right = (eye - shape.MARGIN for eye in shape.eye_centres(turned.landmarks))
    assert np.abs((right - left)[:, 0] - shape.CROP / shape.CROP_EYES).max() < 4
    assert np.abs(turned.faces[4].astype(int) - strip.faces[4]).mean() < 12


def cut(samples: list[Sample], folder: Path) -> Footage:
    with execute.serial() as executor:
        return footage.cut(samples, executor, folder=folder)


def test_faces_are_cut_once(tmp_path: Path, picture: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    drawn = list(synth.samples("posed", 1, 1, 0, ("anger", "fear")))
    pictures = [Sample(f"p{k}", "fear", pixels=Picture(np.roll(picture, k, axis=1))) for k in range(3)]
    samples = [*drawn, *pictures, Sample("broken", "anger", pixels=OnDisk(str(broken)))]
    first = cut(samples, tmp_path / "cache")
    assert [sample.name for sample in first.samples] == [sample.name for sample in samples]
    assert first.has_strip.tolist() == [True] * 5 + [False]
    assert "is text, not a video" in first.troubles[5]
    assert np.array_equal(first[1].faces, synth.strip_of(drawn[1].pixels.name).faces)

    def never(*_: object) -> Strip:
        raise AssertionError("cut again")

    monkeypatch.setattr(footage, "strip_of", never)
    again = cut([*reversed(samples)], tmp_path / "cache")  # in another order
    for here, there in zip(again.faces, reversed(first.faces), strict=True):
        assert np.array_equal(here, there)
    relabelled = cut([replace(sample, label="neutral") for sample in samples], tmp_path / "cache")
    assert len(relabelled) == 6
    monkeypatch.undo()
    before = [faces.copy() for faces in first.faces]
    for end in (b"", bytes(100)):  # of another size, and of the same
        damaged = next((tmp_path / "cache" / "footage").glob("*.npy"))
        content = damaged.read_bytes()
        damaged.unlink()  # the old file is still mapped
        damaged.write_bytes(content[:-100] + end)
        mended = cut(samples, tmp_path / "cache")
        for here, there in zip(mended.faces, before, strict=True):
            assert np.array_equal(here, there)


def test_footage_can_be_split_and_joined(tmp_path: Path) -> None:
    whole = cut(list(synth.samples("posed", 2, 2, 0, ("anger", "fear"))), tmp_path)
    parts = Footage.joined([whole.take([2, 3]), whole.take([0])])
    assert [s.name for s in parts.samples] == [whole.samples[k].name for k in (2, 3, 0)]
    assert np.array_equal(parts[2].landmarks, whole[0].landmarks)


def test_samples_with_only_landmarks_are_reported(tmp_path: Path) -> None:
    bare = next(synth.samples("posed", 1, 1, 0, ["anger"], bare=True))
    drawn = next(synth.samples("posed", 1, 1, 0, ["anger"]))
    with execute.serial() as executor:
        assert footage.cut([drawn], executor, folder=tmp_path).without_crops is None
        both = footage.cut([drawn, bare], executor, folder=tmp_path)
    assert both.without_crops == bare.name
    assert np.array_equal(both.landmarks[0], both.landmarks[1])
    taught = np.ones((2, 1), np.float32)
    assert Clips(both, taught, ("displacement",))
    with pytest.raises(UsageError, match="has no pictures"):
        Clips(both, taught, ("faces",))


def test_keys_of_the_cache_stay_as_they_are(tmp_path: Path) -> None:
    """A change here throws away every user's footage: raise VERSION, and say so in the changelog."""
    flat = np.arange(16, dtype=np.uint8).reshape(4, 4)
    kinds = {
        "drawn": Drawn("posed/0/1/0/fear"),
        "moving": Picture(flat, "onset/12"),
        "part": OnDisk("/nowhere/x.mp4", Fraction(1, 3), Fraction(2)),
        "boxed": OnDisk("/nowhere/x.png", box=(1, 2, 30, 40)),
        "grown": Picture(flat, "grow/12", flat[::-1]),
        "still": Picture(flat),
    }
    samples = [Sample(f"{kind}/x", "fear", pixels) for kind, pixels in kinds.items()]
    shards = footage.shards(samples, folder=tmp_path)
    assert {shard.samples[0].name: shard.target.stem[:8] for shard in shards} == {
        "boxed/x": "e0132de4",
        "drawn/x": "d94ff73d",
        "grown/x": "8a70f6f2",
        "moving/x": "bacb17bf",
        "part/x": "8b657488",
        "still/x": "e6f517fa",
    }
