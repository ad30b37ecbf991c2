"""Test tracks, smoothing and quality with a finder that follows a script instead of pictures."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from fervid.faces import shape, tracks
from fervid.faces.boxes import match_by, overlap
from fervid.faces.detection import Search
from fervid.faces.detectors import Detection, of_points
from fervid.faces.tracks import Observed, Sighting
from fervid.types import Bytes, Floats, Frame, Settings, Status, Video

WIDTH, HEIGHT = 640, 480
EYES = 40.0  # pixels between the eyes
EVERY_FRAME = Settings()

# From a time in seconds to x and y between a person's eyes; None while hidden.
Walk = Callable[[float], tuple[float, float] | None]


def face_at(x: float, y: float, eyes: float = EYES, yaw: float = 0.0) -> Floats:
    """Return the mean face's points (68, 2), turned by `yaw` degrees."""
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turned = shape.figures()["neutral"] @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    return (turned[:, :2] * eyes + [x, y]).astype(np.float32)


def middle(landmarks: Floats) -> Floats:
    return landmarks[36:48].mean(0)


@cache
def pattern(seed: int) -> Bytes:
    """Return a crop (64, 64) of random squares."""
    squares = np.random.default_rng(seed).integers(0, 255, (16, 16), np.uint8)
    return np.kron(squares, np.ones((4, 4), np.uint8))


@dataclass
class Stage:
    """A finder for people who walk by script; the picture contains only the frame's number.

    People later in the list stand behind others: a face that is mostly covered is not visible.
    """

    people: Sequence[Walk]
    rate: int = 25
    drift: Callable[[int, Floats], Floats] = lambda _, landmarks: landmarks  # of what `follow` returns
    detections: list[int] = field(default_factory=list)
    searches: dict[Search, list[int]] = field(default_factory=lambda: {search: [] for search in Search})
    _last: tuple[int, dict[int, Floats]] = (-1, {})

    def luma(self, index: int) -> Bytes:
        picture = np.zeros((HEIGHT, WIDTH), np.uint8)
        picture[0, :2] = divmod(index, 256)
        return picture

    def _index(self, luma: Bytes) -> int:
        return int(luma[0, 0]) * 256 + int(luma[0, 1])

    def visible(self, index: int) -> dict[int, Floats]:
        """Return the faces of a frame; those of the last frame are kept, as every call asks for them."""
        if self._last[0] != index:
            self._last = index, self._visible(index)
        return self._last[1]

    def _visible(self, index: int) -> dict[int, Floats]:
        visible: dict[int, Floats] = {}
        for person, walk in enumerate(self.people):
            position = walk(index / self.rate)
            if position is None:
                continue
            points = face_at(*position)
            box = self.box(points)[None]
            if all(overlap(box, self.box(front)[None])[0, 0] < 0.5 for front in visible.values()):
                visible[person] = points
        return visible

    def _nearest(self, luma: Bytes, spot: Floats, reach: float) -> tuple[int, Floats] | None:
        near = [
            (float(np.hypot(*(middle(points) - spot))), person, points)
            for person, points in self.visible(self._index(luma)).items()
        ]
        distance, person, points = min(near, default=(np.inf, -1, spot), key=lambda face: face[:2])
        return (person, points) if distance < reach else None

    def detect(self, luma: Bytes, search: Search) -> list[Detection]:
        self.detections.append(self._index(luma))
        self.searches[search].append(self._index(luma))
        return [Detection(self.box(points), 1.0) for points in self.visible(self._index(luma)).values()]

    def look(self, luma: Bytes, landmarks: Floats) -> Detection | None:
        face = self._nearest(luma, middle(landmarks), EYES)
        return None if face is None else Detection(self.box(face[1]), 1.0)

    def fit_all(self, luma: Bytes, faces: Sequence[Detection]) -> list[Floats]:
        return [self.fit(luma, face) for face in faces]

    def fit(self, luma: Bytes, face: Detection) -> Floats:
        nearest = self._nearest(luma, face.box[:2] + face.box[2:] / 2, 2 * EYES)
        assert nearest is not None
        return nearest[1]

    def guess(self, luma: Bytes, face: Detection) -> Floats:
        assert face.points is not None
        return shape.posed(face.points)

    def follow_all(self, luma: Bytes, faces: Sequence[Floats]) -> list[Floats]:
        return [self.follow(luma, landmarks) for landmarks in faces]

    def follow(self, luma: Bytes, landmarks: Floats) -> Floats:
        """Return the nearest face's points; without a face the predictor invents it where it was."""
        face = self._nearest(luma, middle(landmarks), 1.5 * EYES)
        return self.drift(self._index(luma), landmarks if face is None else face[1])

    def crop(self, luma: Bytes, landmarks: Floats) -> Bytes:
        """Return each person's own pattern, or the wall's if nobody is there."""
        face = self._nearest(luma, middle(landmarks), EYES)
        return pattern(99 if face is None else face[0])

    def box(self, landmarks: Floats) -> Floats:
        x, y = middle(landmarks)
        return np.array([x - 1.2 * EYES, y - 0.8 * EYES, 2.4 * EYES, 2.4 * EYES], np.float32)


def video(pts: Iterable[int], time_base: Fraction = Fraction(1, 25)) -> Video:
    moments = np.array(list(pts), np.int64)
    return Video(
        path="stage",
        name="stage",
        sha256="0" * 64,
        time_base=time_base,
        start=int(moments[0]),
        duration=int(moments[-1] - moments[0]) + 1,
        width=WIDTH,
        height=HEIGHT,
        rotation=0,
        container="stage",
        codec="none",
        rate=Fraction(25),
        clock_offset=Fraction(0),
        pts=moments,
        keyframes=moments[:1],
    )


def play(
    stage: Stage,
    seconds: float,
    settings: Settings = EVERY_FRAME,
    change: Callable[[Frame], Frame] = lambda frame: frame,
) -> list[Observed]:
    """Follow the faces of the stage; `change` edits the frames first."""
    count = round(seconds * stage.rate)
    frames = (change(Frame(index, stage.luma(index))) for index in range(count))
    return list(tracks.follow(video(range(count)), frames, stage, settings))


def people_of(stage: Stage, observed: Sequence[Observed]) -> dict[int, set[int]]:
    """Return the people that each track shows, over all of its frames."""
    shown: dict[int, set[int]] = defaultdict(set)
    for frame in observed:
        for face in frame.faces:
            person = stage._nearest(stage.luma(frame.pts), middle(face.landmarks), EYES)
            assert person is not None
            shown[face.track].add(person[0])
    return shown


def ids(observed: Sequence[Observed]) -> list[list[int]]:
    return [[face.track for face in frame.faces] for frame in observed]


def stand(x: float = 300.0, y: float = 200.0) -> Walk:
    return lambda _: (x, y)


def hidden(walk: Walk, start: float, stop: float) -> Walk:
    return lambda seconds: None if start <= seconds < stop else walk(seconds)


@pytest.mark.parametrize("apart", [0.0, 30.0, 70.0], ids=["behind", "half-hidden", "side-by-side"])
def test_two_people_who_cross_keep_their_identities(apart: float) -> None:
    def rightwards(seconds: float) -> tuple[float, float]:
        return 120 + 100 * seconds, 200

    def leftwards(seconds: float) -> tuple[float, float]:
        return 520 - 100 * seconds, 200 + apart

    stage = Stage([rightwards, leftwards])
    observed = play(stage, 4)
    assert people_of(stage, observed) == {0: {0}, 1: {1}}
    assert len(observed[0].faces) == len(observed[-1].faces) == 2


@pytest.mark.parametrize(("gap", "expected"), [(0.3, {0}), (0.55, {0}), (1.2, {0, 1}), (3.0, {0, 1})])
def test_a_face_lost_for_less_than_a_second_keeps_its_identity(gap: float, expected: set[int]) -> None:
    stage = Stage([hidden(stand(), 1.5, 1.5 + gap)])
    observed = play(stage, 6)
    assert {track for frame in ids(observed) for track in frame} == expected
    gone = [frame.pts for frame in observed if not frame.faces]
    assert gone[0] == 38  # the first frame at or after 1.5 s: invented points are not followed
    assert ids(observed)[-1] == [max(expected)]
    assert len(gone) <= (gap + 0.4) * 25 + 1  # detected again next time


@pytest.mark.parametrize("drift", ["collapse", "growth", "jump", "crumple", "outside"])
def test_a_drifted_face_is_put_back_at_once(drift: str) -> None:
    def bent(index: int, points: Floats) -> Floats:
        if index != 30:
            return points
        center = points.mean(0)
        return {
            "collapse": center + (points - center) * np.float32(0.5),
            "growth": center + (points - center) * np.float32(1.6),
            "jump": points + np.float32(1.2 * EYES),
            "crumple": points[np.random.default_rng(4).permutation(68)],
            "outside": points - np.array([500, 0], np.float32),
        }[drift].astype(np.float32)

    observed = play(Stage([stand()], drift=bent), 3)
    assert ids(observed) == [[0]] * 75
    for frame in observed:
        assert np.allclose(frame.faces[0].landmarks, face_at(*stand()(0)))


def test_only_the_largest_face_is_followed_on_request() -> None:
    def small(seconds: float) -> tuple[float, float]:
        return 500.0, 300.0

    both = Stage([stand(150), small])
    boxes = {0: 2.4 * EYES, 1: 1.2 * EYES}

    class Sized(Stage):
        def visible(self, index: int) -> dict[int, Floats]:
            return {
                person: face_at(*middle(points), eyes=boxes[person] / 2.4)
                for person, points in super().visible(index).items()
            }

        def box(self, landmarks: Floats) -> Floats:
            eyes = float(shape.eye_distance(landmarks[None])[0])
            x, y = middle(landmarks)
            return np.array([x - 1.2 * eyes, y - 0.8 * eyes, 2.4 * eyes, 2.4 * eyes], np.float32)

    sized = Sized(both.people)
    observed = play(sized, 3, replace(EVERY_FRAME, faces="largest"))
    assert all(len(frame.faces) == 1 for frame in observed)
    assert people_of(sized, observed) == {observed[0].faces[0].track: {0}}
    everyone = play(Sized(both.people), 3)
    assert all(len(frame.faces) == 2 for frame in everyone)
    # A new face takes over only if it is much larger.
    late = Sized([hidden(stand(150), 0, 1), small])
    observed = play(late, 3, replace(EVERY_FRAME, faces="largest"))
    people = people_of(late, observed)
    assert people[observed[0].faces[0].track] == {1} and people[observed[-1].faces[0].track] == {0}
    boxes[0] = 1.2 * boxes[1]
    late = Sized([hidden(stand(150), 0, 1), small])
    observed = play(late, 3, replace(EVERY_FRAME, faces="largest"))
    assert people_of(late, observed) == {observed[0].faces[0].track: {1}}


def uneven(count: int) -> list[int]:
    """Return milliseconds of frames at uneven steps, with gaps of seconds."""
    steps = np.random.default_rng(7).choice(
        [7, 33, 40, 41, 250, 2600], count, p=[0.2, 0.3, 0.3, 0.1, 0.08, 0.02]
    )
    return (1000 + np.cumsum(steps)).tolist()


@pytest.mark.parametrize("fps", [Fraction(1, 2), Fraction(1), Fraction(4), Fraction(30000, 1001)])
@pytest.mark.parametrize("pts", [range(1000, 9000, 40), uneven(300)], ids=["constant", "variable"])
def test_sampling_takes_the_first_frame_at_or_after_each_multiple(pts: Sequence[int], fps: Fraction) -> None:
    stage = Stage([stand()])
    planned = video(pts, Fraction(1, 1000))
    frames = (Frame(moment, stage.luma(0)) for moment in pts)
    observed = list(tracks.follow(planned, frames, stage, replace(EVERY_FRAME, sample_fps=fps)))
    step = 1000 / fps
    multiples = (pts[0] + k * step for k in range(int((pts[-1] - pts[0]) / step) + 1))
    expected = {next(moment for moment in pts if moment >= multiple) for multiple in multiples}
    assert [frame.pts for frame in observed] == list(pts)
    assert {frame.pts for frame in observed if frame.sampled} == expected
    assert all(frame.sampled for frame in observed if frame.faces)


def test_the_detector_runs_twice_a_second_while_all_is_well_else_five_times() -> None:
    well = Stage([stand()])
    play(well, 2)
    assert well.detections == [0, 13, 25, 38]
    empty = Stage([])
    play(empty, 1)
    assert empty.detections == [0, 5, 10, 15, 20]
    lost = Stage([hidden(stand(), 1.2, 9)])
    play(lost, 2)
    assert lost.detections == [0, 13, 25, 35, 40, 45]  # lost at 30, searched from the next multiple on


def test_the_detector_runs_often_while_a_face_beside_a_healthy_one_is_lost() -> None:
    stage = Stage([stand(150), hidden(stand(500), 1.3, 1.7)])
    observed = play(stage, 3)
    assert stage.detections == [0, 13, 25, 35, 40, 45, 50, 63]
    assert people_of(stage, observed) == {0: {0}, 1: {1}}


def test_every_angle_is_searched_at_first_now_and_then_and_at_cuts_to_no_upright_face() -> None:
    empty = Stage([])
    play(empty, 9, change=lambda frame: replace(frame, cut=frame.pts == 31))
    assert empty.searches[Search.FULL] == [0, 31, 100, 200]
    assert empty.searches[Search.QUICK] == [50, 150]
    well = Stage([stand()])
    play(well, 9, change=lambda frame: replace(frame, cut=frame.pts == 31))
    assert well.searches[Search.FULL] == [0] and 31 in well.searches[Search.UPRIGHT]
    assert well.searches[Search.QUICK] == [150]


def test_a_detection_resets_landmarks() -> None:
    """Check that a detection ends drift, so that spans which began at other frames agree."""
    stage = Stage([stand()], drift=lambda _, points: points + np.float32(1))
    observed = play(stage, 2)
    x = [float(middle(frame.faces[0].landmarks)[0] - middle(face_at(300, 200))[0]) for frame in observed]
    assert [round(value) for value in x[:27]] == [0, *[1] * 12, 0, *[1] * 11, 0, 1]


class Turning(Stage):
    """One person who turns aside and back within four seconds; the detector gives five points."""

    def visible(self, index: int) -> dict[int, Floats]:
        return {0: face_at(300, 200, yaw=-85 * np.sin(np.pi * index / 100))}

    def _detection(self, luma: Bytes) -> Detection:
        points = shape.five(self.visible(self._index(luma))[0])
        return of_points(points, 1.0)

    def detect(self, luma: Bytes, search: Search) -> list[Detection]:
        return [self._detection(luma)]

    def look(self, luma: Bytes, landmarks: Floats) -> Detection | None:
        return self._detection(luma)

    def follow(self, luma: Bytes, landmarks: Floats) -> Floats:
        """Return a face that is less turned than the true one, as predictors do in profile."""
        truth = self.visible(self._index(luma))[0]
        yaw = min(float(shape.head_pose(truth[None])[0, 0]), 45.0)
        return face_at(300, 200, yaw=-yaw)


def test_a_face_that_turns_to_profile_and_back_stays_one_track_without_being_readable() -> None:
    stage = Turning([stand()])
    observed = play(stage, 4)
    assert ids(observed) == [[0]] * 100
    (followed,) = tracks.collect(video(range(100)), observed)
    track = followed.track
    truth = 85 * np.sin(np.pi * np.arange(100) / 100)
    assert (track.status[truth < 25] == Status.OK).all()
    assert (track.status[truth > 60] == Status.LOW_QUALITY).all()
    assert (track.quality[truth > 60] == 0).all()
    assert np.abs(track.pose[truth > 60, 0] - truth[truth > 60]).max() < 6
    assert np.isfinite(track.landmarks).all() and np.isfinite(track.box).all()


def test_a_detection_that_is_due_waits_for_a_sampled_frame() -> None:
    stage = Stage([])
    play(stage, 2, replace(EVERY_FRAME, sample_fps=Fraction(2)))
    assert stage.detections == [0, 13, 25, 38]


def test_tracks_end_at_a_cut() -> None:
    stage = Stage([stand()])
    observed = play(stage, 2, change=lambda frame: replace(frame, cut=frame.pts == 31))
    assert ids(observed) == [[0]] * 31 + [[1]] * 19
    assert 31 in stage.detections
    assert [frame.pts for frame in observed if frame.cut] == [31]


def test_a_repeated_pts_keeps_its_row_and_joins_no_track() -> None:
    stage = Stage([stand()])
    frames = [Frame(0, stage.luma(0)), Frame(1, stage.luma(1)), Frame(1, stage.luma(2), repeated=True)]
    observed = list(tracks.follow(video([0, 1, 1]), frames, stage, EVERY_FRAME))
    assert [(frame.pts, frame.repeated, len(frame.faces)) for frame in observed] == [
        (0, False, 1),
        (1, False, 1),
        (1, True, 0),
    ]
    (followed,) = tracks.collect(video([0, 1, 1]), observed)
    assert followed.track.pts.tolist() == [0, 1]


def moving(pts: Sequence[int]) -> Floats:
    """Return landmarks with quadratics of time as coordinates."""
    t = (np.array(pts, np.float64)[:, None, None] - pts[0]) / 1000
    slope = np.random.default_rng(2).normal(0, 30, (68, 2))
    return (face_at(300, 200)[None] + slope * t + slope[::-1] * t**2).astype(np.float32)


@pytest.mark.parametrize(
    "pts",
    [range(0, 2000, 40), np.cumsum(np.random.default_rng(3).integers(15, 45, 60)).tolist()],
    ids=["constant", "variable"],
)
def test_smoothing_leaves_a_quadratic_where_it_is(pts: Sequence[int]) -> None:
    landmarks = moving(pts)
    smoothed = tracks.smooth(np.array(pts, np.int64), landmarks, 150)
    assert np.abs(smoothed - landmarks).max() < 1e-3  # no delay, and none of the motion is lost


def test_smoothing_halves_noise() -> None:
    pts = np.arange(0, 4000, 40)
    noise = np.random.default_rng(1).normal(0, 1, (100, 68, 2)).astype(np.float32)
    smoothed = tracks.smooth(pts, noise, 150)
    assert smoothed[3:-3].std() < 0.65 * noise.std()


def test_smoothing_reaches_three_frames() -> None:
    pts, landmarks = np.arange(0, 800, 40), moving(range(0, 800, 40))
    before = tracks.smooth(pts, landmarks, 150)
    for frame in (0, 7, 19):
        moved = landmarks.copy()
        moved[frame] += 5
        changed = np.flatnonzero((tracks.smooth(pts, moved, 150) != before).any((1, 2)))
        assert frame in changed
        assert set(changed) <= set(range(frame - 3, frame + 4))


def test_smoothing_leaves_a_lone_frame_as_measured() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (20, 68, 2)).astype(np.float32)
    assert np.array_equal(tracks.smooth(np.arange(20) * 1000, noise, 150), noise)  # at 1 fps
    for count in (1, 2, 4):
        assert np.array_equal(tracks.smooth(np.arange(count) * 40, noise[:count], 150), noise[:count])
    # Frames after a gap do not count.
    pts = np.concatenate([np.arange(10) * 40, 5000 + np.arange(10) * 40])
    parts = [tracks.smooth(pts[part], noise[part], 150) for part in (slice(10), slice(10, 20))]
    assert np.array_equal(tracks.smooth(pts, noise, 150), np.concatenate(parts))


def best_sum(similarity: Floats, least: float) -> float:
    """Return the best sum, by trying every one-to-one assignment."""
    wide = similarity if similarity.shape[0] <= similarity.shape[1] else similarity.T
    useful = np.where(wide >= least, wide, 0)
    rows = range(wide.shape[0])
    return max(
        float(useful[rows, list(columns)].sum())
        for columns in itertools.permutations(range(wide.shape[1]), len(rows))
    )


def test_matching_is_the_best_of_all() -> None:
    random = np.random.default_rng(11)
    for _ in range(60):
        similarity = random.random(tuple(random.integers(1, 8, 2))).astype(np.float32)
        pairs = match_by(similarity, 0.4)
        assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
        assert all(similarity[pair] >= 0.4 for pair in pairs)
        assert sum(float(similarity[pair]) for pair in pairs) == pytest.approx(
            best_sum(similarity, 0.4), abs=1e-5
        )
    assert match_by(np.empty((0, 3), np.float32), 0.4) == []
    assert match_by(np.array([[0.39]], np.float32), 0.4) == []


def quality(landmarks: Sequence[Floats], crop: Bytes) -> tuple[Floats, Bytes]:
    stage = Stage([])
    observed = [
        Observed(index, True, False, False, (Sighting(0, points, stage.box(points), crop),))
        for index, points in enumerate(landmarks)
    ]
    (followed,) = tracks.collect(video(range(len(landmarks))), observed)
    return followed.track.quality, followed.track.status


def test_quality_falls_with_size_blur_turn_and_jitter() -> None:
    sharp = Stage([stand()]).crop(Stage([stand()]).luma(0), face_at(300, 200))
    blurred = np.broadcast_to(np.arange(64, dtype=np.uint8) * 2 + 60, (64, 64)).copy()
    still = [face_at(300, 200)] * 12
    good, status = quality(still, sharp)
    assert good.min() > 0.99 and (status == Status.OK).all()
    shaken = [
        points + np.random.default_rng(i).normal(0, 8, (68, 2)).astype(np.float32)
        for i, points in enumerate(still)
    ]
    for name, landmarks, crop in (
        ("small", [face_at(300, 200, eyes=8)] * 12, sharp),
        ("blurred", still, blurred),
        ("turned", [face_at(300, 200, yaw=60)] * 12, sharp),
        ("shaken", shaken, sharp),
    ):
        poor, status = quality(landmarks, crop)
        assert poor[3:-3].max() < 0.3, name
        assert (status[3:-3] == Status.LOW_QUALITY).all(), name
    falling = [quality([face_at(300, 200, eyes=eyes)] * 6, sharp)[0][0] for eyes in (18, 14, 11, 8)]
    assert falling == sorted(falling, reverse=True) and len(set(falling)) == 4
    turning = [quality([face_at(300, 200, yaw=yaw)] * 6, sharp)[0][0] for yaw in (20, 42, 50, 58)]
    assert turning == sorted(turning, reverse=True) and len(set(turning)) == 4
