"""Test that cuts are marked on their exact frame and nowhere else, with a halo of three frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest

from fervid.types import Bytes, Frame
from fervid.video import shots

WIDTH, HEIGHT = 160, 90
BLACK, WHITE = 16, 235


def scene(seed: int, width: int = WIDTH) -> Bytes:
    """Return a picture of soft blotches, different for each seed."""
    coarse = np.random.default_rng(seed).uniform(30, 220, (6, 6 * width // HEIGHT)).astype(np.float32)
    return cv2.resize(coarse, (width, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def still(seed: int, count: int, noise: float = 2.0) -> list[Bytes]:
    """Return a still shot with camera noise."""
    generator = np.random.default_rng(1000 + seed)
    picture = scene(seed).astype(np.float32)
    noisy = [picture + generator.normal(0, noise, picture.shape) for _ in range(count)]
    return [picture.clip(0, 255).astype(np.uint8) for picture in noisy]


def moving(seed: int, count: int, step: int) -> list[Bytes]:
    """Return a pan over a wide picture, `step` pixels in each frame."""
    wide = scene(seed, WIDTH + count * step)
    return [wide[:, index * step : index * step + WIDTH] for index in range(count)]


def faded(picture: Bytes, levels: Sequence[float]) -> list[Bytes]:
    return [(BLACK + level * (picture.astype(np.float32) - BLACK)).astype(np.uint8) for level in levels]


def plain(tone: int, count: int) -> list[Bytes]:
    return [np.full((HEIGHT, WIDTH), tone, np.uint8)] * count


def frames(pictures: Sequence[Bytes]) -> list[Frame]:
    return [Frame(3 * index, luma) for index, luma in enumerate(pictures)]


def cuts(pictures: Sequence[Bytes]) -> list[int]:
    return [index for index, frame in enumerate(shots.mark(frames(pictures))) if frame.cut]


@pytest.mark.parametrize("lengths", [(10, 7, 12), (20, 3, 20), (1, 9, 4), (6, 6, 1)])
def test_hard_cuts_there_and_back_are_detected_on_their_frames(lengths: tuple[int, int, int]) -> None:
    first, second, third = lengths
    assert cuts(still(1, first) + still(2, second) + still(1, third)) == [first, first + second]


def test_cuts_between_moving_shots_are_detected() -> None:
    assert cuts(moving(3, 15, 2) + moving(4, 12, 3) + still(5, 8)) == [15, 27]


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("tone", [BLACK, WHITE])
def test_a_flash_that_still_shows_the_scene_is_no_cut(length: int, tone: int) -> None:
    lit = [(0.3 * picture + 0.7 * tone).astype(np.uint8) for picture in still(6, length)]
    assert cuts(still(6, 12) + lit + still(6, 12)) == []


@pytest.mark.parametrize("tone", [BLACK, WHITE])
def test_a_flash_of_one_plain_frame_is_no_cut(tone: int) -> None:
    assert cuts(still(6, 12) + plain(tone, 1) + still(6, 12)) == []


@pytest.mark.parametrize("noise", [0.0, 8.0, 25.0])
def test_a_still_picture_has_no_cuts(noise: float) -> None:
    assert cuts(still(7, 40, noise)) == []


def test_a_dim_scene_that_flickers_about_flatness_has_no_cuts() -> None:
    picture = scene(8).astype(np.float32)
    deviation = float(shots.thumbnail(scene(8)).std())
    # Two frames just below flatness, two just above, over and over.
    wobble = [shots.FLAT_DEVIATION + (0.15 if index & 2 else -0.15) for index in range(40)]
    dim = [(40 + (picture - picture.mean()) * level / deviation).round().astype(np.uint8) for level in wobble]
    flat = [float(shots.thumbnail(picture).std()) < shots.FLAT_DEVIATION for picture in dim]
    assert any(flat) and not all(flat)
    assert cuts(dim) == []


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_pan_has_no_cuts(step: int) -> None:
    assert cuts(moving(9, 50, step)) == []


@pytest.mark.parametrize("down", [6, 24])
@pytest.mark.parametrize("up", [6, 24, 60])
def test_a_fade_through_black_gives_one_cut_where_something_shows_again(down: int, up: int) -> None:
    falling = faded(scene(10), np.linspace(1, 0, down, endpoint=False).tolist())
    rising = faded(scene(11), np.linspace(0, 1, up, endpoint=False).tolist())
    pictures = still(10, 10) + falling + plain(BLACK, 5) + rising + still(11, 10)
    shows = [float(shots.thumbnail(picture).std()) >= shots.FLAT_DEVIATION for picture in pictures]
    after_black = 10 + down + 5
    assert cuts(pictures) == [shows.index(True, after_black)]


def test_black_between_two_hard_cuts_does_not_belong_to_the_shot_after_it() -> None:
    assert cuts(still(12, 10) + plain(BLACK, 6) + still(13, 10)) == [10, 16]


def test_a_cut_that_the_decoder_marked_stays() -> None:
    given = frames(still(14, 12))
    given[5] = replace(given[5], cut=True)  # a change of size, marked by the decoder
    assert [frame.pts for frame in shots.mark(given) if frame.cut] == [given[5].pts]


def test_frames_come_out_in_order_and_otherwise_unchanged() -> None:
    given = frames(still(15, 5) + still(16, 4))
    given[3] = replace(given[3], repeated=True)
    out = list(shots.mark(iter(given)))
    assert [frame.pts for frame in out] == [frame.pts for frame in given]
    assert [frame.repeated for frame in out] == [frame.repeated for frame in given]
    assert all(made.luma is had.luma for made, had in zip(out, given, strict=True))


@pytest.mark.parametrize("count", range(4))
def test_a_video_of_few_frames_keeps_them(count: int) -> None:
    assert cuts([scene(seed) for seed in range(count)][:1]) == []
    assert len(list(shots.mark(frames(still(17, count))))) == count


def test_two_different_pictures_are_two_shots() -> None:
    assert cuts([scene(18), scene(19)]) == [1]


def test_no_more_than_reach_frames_are_kept() -> None:
    taken = 0

    def counted() -> object:
        nonlocal taken
        for frame in frames(still(20, 12)):
            taken += 1
            yield frame

    for done, _ in enumerate(shots.mark(counted()), start=1):  # type: ignore[arg-type]
        assert taken <= done + shots.REACH


def test_a_halo_of_three_frames_finds_the_cuts_of_the_whole() -> None:
    pictures = (
        still(21, 6)
        + moving(22, 8, 3)
        + faded(scene(22), [0.6, 0.3, 0.1, 0.0])
        + plain(BLACK, 4)
        + faded(scene(23), np.linspace(0, 1, 10).tolist())
        + still(23, 4)
        + plain(WHITE, 1)
        + still(23, 5)
        + still(24, 4)
    )
    given = frames(pictures)
    whole = [(frame.pts, frame.cut) for frame in shots.mark(given)]
    assert sum(cut for _, cut in whole) == 3
    for begin in range(len(given)):
        part = [(frame.pts, frame.cut) for frame in shots.mark(given[begin:])]
        assert part[shots.REACH + 1 :] == whole[begin + shots.REACH + 1 :], begin
    for end in range(len(given)):
        part = [(frame.pts, frame.cut) for frame in shots.mark(given[:end])]
        assert part[: -shots.REACH] == whole[:end][: -shots.REACH], end
