"""Windows of a track: their grid and their frames, contrast, and the neutral face."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from test_tracks import face_at, video

from fervid import clips
from fervid.faces import shape
from fervid.types import Track

MILLISECONDS = Fraction(1, 1000)


def track(pts: Sequence[int]) -> Track:
    count = len(pts)
    return Track(
        id=1,
        pts=np.array(pts, np.int64),
        box=np.zeros((count, 4), np.float32),
        landmarks=np.stack([face_at(200 + index, 200) for index in range(count)]),
        pose=np.zeros((count, 3), np.float32),
        quality=np.ones(count, np.float32),
        status=np.zeros(count, np.uint8),
    )


def test_windows_are_on_a_grid_of_the_stream() -> None:
    planned = video(range(5000, 15000, 40), MILLISECONDS)
    pts = np.arange(7000, 9000, 40)
    moments = clips.centres(planned, pts, planned.start, None)
    # The first is on the track: frames before it may be of another shot.
    assert moments.tolist() == [7000, *(5000 + 320 * k for k in range(7, 13))]
    # Adjacent spans divide the windows: none is repeated, none is lost.
    for seam in (*range(7700, 8300, 40), 8200):
        parts = [clips.centres(planned, pts, 5000, seam), clips.centres(planned, pts, seam, None)]
        assert np.concatenate(parts).tolist() == moments.tolist()


def test_a_gap_in_a_track_has_no_windows() -> None:
    planned = video(range(0, 20000, 40), MILLISECONDS)
    pts = np.concatenate([np.arange(0, 2000, 40), np.arange(9000, 11000, 40)])
    moments = clips.centres(planned, pts, 0, None)
    assert all(np.abs(pts - moment).min() <= 160 for moment in moments)
    assert ((moments > 2200) & (moments < 8800)).sum() == 0


def test_grids_of_an_awkward_time_base_do_not_drift() -> None:
    planned = video(range(0, 10_000_000, 3003), Fraction(1, 90000))
    moments = clips.centres(planned, planned.pts, 0, None)
    assert moments.tolist() == [round(k * 28800) for k in range(len(moments))]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_window_takes_the_frames_nearest_in_time(seed: int) -> None:
    pts = np.cumsum(np.random.default_rng(seed).integers(5, 120, 80))
    planned = video(range(int(pts[-1]) + 1), MILLISECONDS)
    for centre in clips.centres(planned, pts, 0, None).tolist():
        chosen = clips.rows(planned, pts, centre)
        wanted = centre + (np.arange(16) - 7.5) * 40
        assert chosen.shape == (clips.LENGTH,)
        assert (np.abs(pts[chosen] - wanted) == np.abs(pts[None] - wanted[:, None]).min(1)).all()
        assert (np.diff(chosen) >= 0).all()


def test_a_window_at_25_fps_takes_each_frame_once() -> None:
    planned = video(range(0, 8000, 40), MILLISECONDS)
    chosen = clips.rows(planned, planned.pts, 3200)
    assert (np.diff(chosen) == 1).all()


def test_a_window_repeats_frames_at_the_ends_of_the_track() -> None:
    planned = video(range(0, 8000, 40), MILLISECONDS)
    pts = np.arange(4000, 6000, 40)
    first = clips.rows(planned, pts, 4000)
    assert first[:8].tolist() == [0] * 8 and first[-1] == 7
    last = clips.rows(planned, pts, 5960)
    assert (last[-8:] == len(pts) - 1).all()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_short_track_has_one_window(count: int) -> None:
    planned = video(range(0, 8000, 40), MILLISECONDS)
    short = track([4160 + 40 * index for index in range(count)])
    crops = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((1, 8, 8), np.uint8)
    (window,) = clips.Face.of_track(planned, short, crops).windows()
    assert window["faces"].shape == (16, 8, 8) and window["points"].shape == (16, 68, 2)
    assert (window["faces"][:, 0, 0] == window.rows).all()  # the crop of each of its frames
    assert window.quality == 1 and short.pts[0] <= window.centre <= short.pts[-1]
    displacement = window.take(window.face.upright) - clips.population_neutral()
    assert np.array_equal(window["displacement"], displacement)
    with pytest.raises(KeyError):
        window["sound"]


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0] * 16), (16, list(range(16))), (31, list(range(0, 31, 2)))]
)
def test_a_whole_window_spreads_its_frames_from_the_first_to_the_last(
    count: int, expected: list[int]
) -> None:
    pts = 9000 + 40 * np.arange(count)
    assert clips.whole_rows(pts).tolist() == expected
    stray = np.linspace(-0.4, 0.4, 16, dtype=np.float32)
    assert (np.abs(clips.whole_rows(pts, stray) - expected) <= 1).all()


def test_a_whole_window_is_even_in_time_not_in_frames() -> None:
    pts = np.concatenate([np.arange(0, 1000, 10), np.arange(1000, 2001, 100)])  # fast, then slow
    chosen = pts[clips.whole_rows(pts)]
    assert np.abs(chosen - np.linspace(0, 2000, 16)).max() <= 50 and chosen[-1] == 2000


def test_motion_is_the_distance_from_the_neutral_face_without_single_frames() -> None:
    planned, own = video(range(0, 4000, 40), MILLISECONDS), clips.population_neutral()
    face = clips.Face.of_track(planned, track(range(0, 1000, 40)))
    face.__dict__["upright"] = np.repeat(own[None], 25, 0)
    window = next(face.windows(np.array([400])))
    assert window.motion(own) == 0
    face.upright[:, 17:] += np.float32([0.3, 0.4])
    assert window.motion(own) == pytest.approx(0.5)
    face.upright[9] = 7  # a jittered frame
    face.upright[:, :17] = 7  # the jaw line
    assert window.motion(own) == pytest.approx(0.5)


def test_a_window_computes_only_what_is_read() -> None:
    face = clips.Face.of_track(video(range(0, 8000, 40), MILLISECONDS), track([4160, 4200]))
    (window,) = face.windows()
    assert window["points"].shape == (16, 68, 2)
    assert "points" in vars(face) and "upright" not in vars(face)


def test_contrast_removes_gain_and_offset() -> None:
    faces = np.random.default_rng(0).integers(60, 120, (2, 16, 8, 8)).astype(np.uint8)
    plain = clips.contrast(faces)
    assert plain.mean((1, 2, 3)) == pytest.approx([0, 0], abs=1e-5)
    assert plain.std((1, 2, 3)) == pytest.approx([1, 1], abs=1e-5)
    assert clips.contrast((faces * 2 + 10).astype(np.uint8)) == pytest.approx(plain, abs=1e-5)
    # Each window alone.
    assert np.array_equal(clips.contrast(faces[1:]), plain[1:])
    assert not clips.contrast(np.full((1, 16, 8, 8), 77, np.uint8)).any()


@pytest.mark.parametrize("resting", [slice(0, 30), slice(35, 65), slice(70, 100)])
@pytest.mark.parametrize("unit", ["AU12", "AU4", "AU27", "AU15"])
def test_the_neutral_is_the_face_at_rest(resting: slice, unit: str) -> None:
    planned = video(range(0, 20000, 40), MILLISECONDS)
    figures = shape.figures()
    person = 1.5 * figures["identity"][3, :, :2] - figures["identity"][1, :, :2]
    own = (clips.population_neutral() + person).astype(np.float32)
    moved = figures["au"][figures["au_names"].tolist().index(unit), :, :2].astype(np.float32)
    faces = np.repeat((own + moved)[None], 100, 0)  # an expression most of the time
    faces[resting] = own
    faces += np.random.default_rng(0).normal(0, 0.005, faces.shape).astype(np.float32)
    neutral = clips.neutral(planned, np.arange(0, 4000, 40), faces)
    assert neutral == pytest.approx(own, abs=0.006)


@pytest.mark.parametrize("count", [0, 1, 2, 25])
def test_a_track_of_less_than_a_second_has_the_neutral_of_the_population(count: int) -> None:
    planned = video(range(0, 20000, 40), MILLISECONDS)
    faces = np.full((count, 68, 2), 5, np.float32)
    neutral = clips.neutral(planned, np.arange(count) * 40, faces)
    assert np.array_equal(neutral, clips.population_neutral())
    own = np.full((26, 68, 2), 5, np.float32)
    assert np.array_equal(clips.neutral(planned, np.arange(26) * 40, own), own[0])  # a second is enough


def test_the_neutral_of_the_population_is_in_eye_distances() -> None:
    neutral = clips.population_neutral()
    assert shape.eye_distance(neutral[None])[0] == pytest.approx(1, abs=1e-3)
    assert shape.without_pose(face_at(300, 200)[None])[0] == pytest.approx(neutral, abs=1e-3)
