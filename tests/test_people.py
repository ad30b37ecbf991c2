"""Test persons across shots: grouped, numbered, named, merged, and drawn."""

from __future__ import annotations

import io
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import dlib
import media
import numpy as np
import numpy.typing as npt
import pytest
from conftest import CLIP, ROOT, Call, Done
from test_cli import says
from test_export import START, curve_of, person_of, timeline_of
from timelines import read as read_timeline
from timelines import text_of, video_at

from fervid import analysis, export, people
from fervid.analysis import stitch
from fervid.cache import Store
from fervid.errors import InputError, ModelError, UsageError
from fervid.faces import descriptor, shape
from fervid.faces.finder import FaceFinder, describe, face_net
from fervid.faces.weights import installed
from fervid.people import descriptors, gallery, grouping
from fervid.people.descriptors import Descriptors
from fervid.people.picture import Picture, eye_opening
from fervid.timeline.people import find_person
from fervid.types import Floats, Settings, Status, Timeline, Track
from fervid.video import planning, reading, thumbnails

Groups = list[list[int]]


def known(descriptors: npt.ArrayLike, pts: int = 0, worth: float = 1.0) -> Descriptors:
    """Return the descriptors of a track of these faces."""
    values = np.atleast_2d(np.asarray(descriptors, np.float32))
    rows = np.arange(len(values))
    boxes, worths = np.full((len(rows), 4), 9, np.float32), np.full(len(rows), worth, np.float32)
    return Descriptors(pts + rows, boxes, worths, values, Picture(pts, boxes[0], worth))


def crowd(persons: int, tracks: int, spread: float, seed: int) -> tuple[dict[int, Descriptors], list[int]]:
    """Make tracks of invented persons, up to three faces each; return them and each track's person."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(persons, 128)) * 0.06
    owners = random.integers(0, persons, tracks).tolist()
    return {
        number: known(centres[owner] + spread * random.normal(size=(random.integers(1, 4), 128)))
        for number, owner in enumerate(owners)
    }, owners


# --- grouping


def test_tracks_of_one_person_are_joined_and_others_are_not() -> None:
    descriptors, owners = crowd(persons=6, tracks=80, spread=0.015, seed=1)
    groups = people.group_tracks(descriptors, ())
    assert len(groups) == len(set(owners))
    assert all(len({owners[track] for track in group}) == 1 for group in groups)


def test_tracks_that_are_on_screen_together_are_never_one_person() -> None:
    twins = {number: known(np.zeros(128) + number / 1e4) for number in range(4)}
    assert people.group_tracks(twins, ()) == [[0, 1, 2, 3]]
    together = {(0, 1), (2, 3)}
    groups = people.group_tracks(twins, together)
    assert len(groups) == 2
    assert not any({*pair} <= {*group} for pair in together for group in groups)


def test_a_joined_group_keeps_what_is_forbidden_to_its_parts() -> None:
    # 0 and 1 are nearest; 2 is forbidden to 1 alone, and so to both once they are joined.
    twins = {0: known(np.zeros(128)), 1: known(np.full(128, 1e-4)), 2: known(np.full(128, 3e-4))}
    assert sorted(people.group_tracks(twins, {(1, 2)})) == [[0, 1], [2]]


def test_a_track_without_a_readable_face_has_no_person() -> None:
    assert people.group_tracks({3: known(np.ones(128)), 5: people.empty()}, {(3, 5)}) == [[3]]
    assert people.group_tracks({}, ()) == []


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_those_of_the_slow_definition(seed: int) -> None:
    descriptors, _ = crowd(persons=5, tracks=24, spread=0.03, seed=seed)
    pairs = np.random.default_rng(seed).integers(0, 24, (6, 2))
    together = {(int(min(pair)), int(max(pair))) for pair in pairs if pair[0] != pair[1]}
    assert sorted(people.group_tracks(descriptors, together)) == slow(descriptors, together)


def slow(descriptors: Mapping[int, Descriptors], together: set[tuple[int, int]]) -> Groups:
    """Join the two groups with the least mean distance between tracks until none are near."""
    groups = [[track] for track in descriptors]

    def distance(first: list[int], second: list[int]) -> float:
        if any((min(a, b), max(a, b)) in together for a in first for b in second):
            return np.inf
        own, others = (
            np.array([descriptors[track].descriptor.astype(float).mean(0) for track in group])
            for group in (first, second)
        )
        weights = np.outer(*([len(descriptors[track]) for track in group] for group in (first, second)))
        return float(np.average(np.square(own[:, None] - others[None]).sum(-1), weights=weights))

    while len(groups) > 1:
        first, second = min(combinations(groups, 2), key=lambda pair: distance(*pair))
        if distance(first, second) >= grouping.SAME_PERSON**2:
            break
        groups = [group for group in groups if group not in (first, second)] + [sorted(first + second)]
    return sorted(groups)


def test_the_order_in_which_tracks_come_changes_nothing() -> None:
    descriptors, _ = crowd(persons=5, tracks=60, spread=0.03, seed=3)
    shuffled = {track: descriptors[track] for track in reversed(descriptors)}
    assert people.group_tracks(descriptors, {(1, 2)}) == people.group_tracks(shuffled, {(1, 2)})


@pytest.mark.parametrize(
    ("first", "second", "is_together"),
    [
        ((0, 100), (92, 200), False),  # one shot dissolves into the next
        ((0, 100), (100, 200), False),
        ((0, 200), (100, 120), True),  # all of a short track
        ((0, 200), (150, 400), True),  # two seconds
        ((0, 12), (0, 12), True),
    ],
)
def test_a_dissolve_does_not_part_a_person(
    first: tuple[int, int], second: tuple[int, int], is_together: bool
) -> None:
    stitcher = stitch.Stitcher(video_at(np.arange(400), Fraction(1, 25)), None, Settings())
    rows = [
        (number, replace(track_of([1.0] * (stop - start)), pts=np.arange(start, stop)), 0)
        for number, (start, stop) in ((7, first), (3, second))
    ]
    stitcher._frames = {number: len(track) for number, track, _ in rows}
    stitcher._shared = dict(stitch._shared(rows))
    assert stitcher.together == ({(3, 7)} if is_together else set())


# --- numbering


def test_the_first_person_is_on_screen_longest() -> None:
    curves = [curve_of(0, 4), curve_of(1, 30), replace(curve_of(2, 4), start=START + 1, end=START + 9)]
    descriptors = {track: known(np.zeros(128), pts=track) for track in range(3)}
    first, second = people.number_persons([[0, 2], [1]], curves, descriptors, {0: "Anna"})
    assert (first.id, first.name, first.tracks) == ("P1", None, (1,))
    assert (second.id, second.name, second.tracks) == ("P2", "Anna", (0, 2))
    assert second.ticks == curves[0].end - curves[0].start, "an overlap counts once"


def test_the_picture_is_of_the_best_face() -> None:
    curves = [curve_of(0), curve_of(1)]
    descriptors = {0: known(np.zeros(128), pts=5, worth=0.5), 1: known(np.zeros(128), pts=70, worth=0.9)}
    (person,) = people.number_persons([[0, 1]], curves, descriptors, {})
    assert person.pts == 70


# --- the best faces


def track_of(quality: list[float], yaw: list[float] | None = None) -> Track:
    count = len(quality)
    points = 100 + 30 * shape.figures()["neutral"][:, :2].astype(np.float32)
    pose = np.zeros((count, 3), np.float32)
    pose[:, 0] = yaw or 0
    return Track(
        1,
        10 * np.arange(count),
        np.ones((count, 4), np.float32),
        np.stack([points] * count),
        pose,
        np.array(quality, np.float32),
        np.full(count, Status.OK, np.uint8),
    )


def test_the_best_faces_are_sharp_frontal_and_apart() -> None:
    rows = np.arange(6)
    good, worth = descriptors.best(track_of([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), rows, apart=20)
    assert good.tolist() == [0, 2, 4] and worth.tolist() == sorted(worth, reverse=True)
    turned, _ = descriptors.best(track_of([0.9, 0.9, 0.9, 0.9], yaw=[80, 0, 10, 20]), np.arange(4), apart=1)
    assert turned.tolist() == [1, 2, 3]
    few, _ = descriptors.best(track_of([0.9, 0.8]), np.arange(2), apart=1000)
    assert few.tolist() == [0, 1], "a short track gives what it has"
    none, _ = descriptors.best(track_of([0.29, 0.0]), np.arange(2), apart=1)
    assert none.tolist() == []


def blinking(track: Track, rows: list[int]) -> Track:
    """Return the track with the lids of some rows brought together."""
    points = track.landmarks.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        middle = points[rows, upper] / 2 + points[rows, lower] / 2
        points[rows, upper] = middle + 0.2 * (points[rows, upper] - middle)
        points[rows, lower] = middle + 0.2 * (points[rows, lower] - middle)
    return replace(track, landmarks=points)


def test_the_picture_has_open_eyes_and_is_frontal_and_sharp() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (150, 150)).astype(np.uint8)
    sharp, blurred = cv2.GaussianBlur(noise, (0, 0), 2), cv2.GaussianBlur(noise, (0, 0), 4)
    track, rows = track_of([0.9] * 8, yaw=[0, 0, 0, 60, -25, 0, 0, 0]), np.arange(8)
    track.pose[1, 1] = 30
    crops = [sharp, sharp, sharp, sharp, sharp, blurred, sharp, sharp]
    shut = blinking(track, [0, 2])
    assert eye_opening(shut.landmarks)[0] < 0.5 * eye_opening(shut.landmarks)[1]
    chosen = people.choose(shut, rows, crops)
    assert chosen is not None and chosen.pts == 60, "not the blink, the nod, the turns or the blur"
    assert people.choose(track, rows, crops).pts == 0, "of equal ones, the first"
    only = people.choose(shut, rows[:1], crops[:1])
    assert only is not None and only.pts == 0, "a blink is better than nothing"
    assert people.choose(track_of([0.9], yaw=[89]), rows[:1], crops[:1]) is not None, "every person has one"
    assert people.choose(track_of([0.29, 0.0]), rows[:2], crops[:2]) is None
    assert people.choose(track, rows[:0], []) is None


def test_narrow_eyes_are_compared_with_their_own_median() -> None:
    track, crop = track_of([0.9] * 4), np.random.default_rng(1).integers(0, 256, (9, 9)).astype(np.uint8)
    narrow = blinking(track, [0, 1, 2, 3])
    wide, always = (people.choose(faces, np.arange(4), [crop] * 4) for faces in (track, narrow))
    assert wide is not None and always is not None
    assert always.score == pytest.approx(wide.score)


def test_parts_of_a_track_give_the_best_of_both() -> None:
    first, second = known(np.zeros((3, 128)), 0, 0.4), known(np.ones((3, 128)), 100, 0.8)
    assert people.merge(first, second, apart=1).pts.tolist() == [100, 101, 102]
    assert people.merge(people.empty(), first, apart=50).pts.tolist() == [0, 1, 2]
    for merged in (people.merge(first, second, apart=1), people.merge(second, first, apart=1)):
        assert merged.picture is second.picture
    assert people.merge(people.empty(), first, apart=50).picture is first.picture


# --- dlib's net


def first_luma() -> Any:
    """Return the first picture of the example clip."""
    return next(reading.frames(planning.plan(CLIP))).luma


@pytest.fixture(scope="module")
def face() -> tuple[Any, Floats]:
    """Return a picture, and the landmarks of its face."""
    luma, finder = first_luma(), FaceFinder()
    (face,) = finder.detect(luma)
    return luma, finder.fit(luma, face)


def test_the_net_on_torch_is_dlibs_in_8_bits(face: tuple[Any, Floats]) -> None:
    portrait = FaceFinder().portrait(*face)
    coloured = np.ascontiguousarray(np.repeat(portrait[:, :, None], 3, axis=2))
    dlibs = dlib.face_recognition_model_v1(str(installed("dlib_face_recognition_resnet_model_v1.dat")))
    described = np.array(dlibs.compute_face_descriptor(coloured))
    rounded = descriptor.load(face_net(), in_integers=False)
    assert np.linalg.norm(rounded.describe(portrait) - described) < 0.1
    assert np.linalg.norm(describe(portrait) - described) < 0.15  # computed in integers, too


def test_a_portrait_is_cut_as_dlib_cuts_it(face: tuple[Any, Floats]) -> None:
    luma, landmarks = face
    points = dlib.points([dlib.point(*np.rint(point).astype(int).tolist()) for point in landmarks])
    coloured = np.ascontiguousarray(np.repeat(luma[:, :, None], 3, axis=2))
    whole = dlib.full_object_detection(dlib.rectangle(0, 0, 10, 10), points)
    other = np.ascontiguousarray(dlib.get_face_chip(coloured, whole, 150, 0.25)[:, :, 0])
    own = FaceFinder().portrait(luma, landmarks)
    assert np.abs(own.astype(int) - other.astype(int)).mean() < 6
    assert np.linalg.norm(describe(own) - describe(other)) < 0.2


@pytest.mark.parametrize("name", ["other.safetensors", "people/face_net.safetensors"])
def test_a_missing_or_damaged_net_is_an_error_before_any_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fervid.faces.finder.FACE_NET", f"models/{name}")
    monkeypatch.setattr("fervid.faces.finder.FACE_NET_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"safetensors is (missing|damaged): pip install .* fervid"):
        analysis.start(CLIP, model="untrained")


# --- a whole analysis


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a video of one face alone, then twice in the same frame."""
    luma = first_luma()
    luma = cv2.resize(luma, (320, luma.shape[0] * 320 // luma.shape[1]))
    alone = np.hstack([luma, np.full_like(luma, 40)])
    both = np.hstack([luma[:, ::-1], luma])
    path = tmp_path_factory.mktemp("film") / "twice.mp4"
    return media.write(path, [alone] * 10 + [both] * 8, rate=10)


def analyzed(path: Path, **options: Any) -> Timeline:
    with analysis.start(path, model="untrained", store=Store.temporary(), **options) as started:
        return started.timeline


@pytest.fixture(scope="module")
def timeline(twice: Path) -> Timeline:
    return analyzed(twice)


def test_two_people_who_are_seen_together_for_a_moment_are_extracted(
    twice: Path, tmp_path: Path, call: Call
) -> None:
    """Without a model tracks have no curve, from which the length of a shared moment was taken."""
    both = [frame.luma for frame in reading.frames(planning.plan(twice))][-4:]
    media.write(tmp_path / "short.mp4", both, rate=25)
    done = call("extract", "short.mp4", "-o", "out", "--what", "csv")
    assert done.returncode == 0, done.stderr
    assert len(Path("out/short.csv").read_text().splitlines()) == 9


def test_a_face_is_one_person_across_a_cut_and_two_in_one_frame(timeline: Timeline) -> None:
    assert len(timeline.curves) == 3 and len(timeline.people) == 2
    first, second = timeline.people
    assert (first.id, second.id) == ("P1", "P2") and first.ticks > second.ticks
    assert 1 in first.tracks and len(first.tracks) == 2
    persons = {curve.track: curve.person for curve in timeline.curves}
    assert persons == {track: person.id for person in timeline.people for track in person.tracks}
    for part in (*timeline.segments, *timeline.peaks):
        assert part.person == persons[part.track]


def test_people_are_left_out_on_request(twice: Path) -> None:
    timeline = analyzed(twice, settings=Settings(people=False))
    assert timeline.people == () and {curve.person for curve in timeline.curves} == {None}
    assert timeline.settings["people"] is False


def test_descriptors_are_deleted_with_the_run_and_are_in_no_output(twice: Path, tmp_path: Path) -> None:
    with analysis.start(twice, model="untrained", store=Store(tmp_path)) as started:
        timeline = started.timeline
        with np.load(io.BytesIO(next(tmp_path.rglob("*.span")).read_bytes()[32:])) as kept:
            assert kept["likeness.descriptor"].shape[1] == 128
    assert not list(tmp_path.rglob("*.span"))
    for form in export.TIMELINES:
        text = text_of(timeline, form)
        assert "descriptor" not in text and "likeness" not in text


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portraits")
    cv2.imwrite(str(folder / "Eileen Collins.png"), first_luma())
    return folder


def test_a_gallery_names_one_person_and_never_two_together(twice: Path, portraits: Path) -> None:
    timeline = analyzed(twice, gallery=people.read_gallery(str(portraits)))
    names = [person.name for person in timeline.people]
    assert names.count("Eileen Collins") == 1 and set(names) == {"Eileen Collins", None}


def test_persons_of_one_name_are_joined() -> None:
    descriptors = {0: known(np.zeros(128)), 1: known(np.full(128, 0.042)), 2: known(np.full(128, 0.9))}
    names = gallery.Gallery({"Anna": np.full((1, 128), 0.02, np.float32)}, ())
    groups = people.group_tracks(descriptors, ())
    assert groups == [[0], [1], [2]]
    assert people.name_groups(groups, descriptors, (), names) == ([[0, 1], [2]], {0: "Anna"})
    assert people.name_groups(groups, descriptors, {(0, 1)}, names) == ([[0], [1], [2]], {0: "Anna"})


def blank(path: Path) -> None:
    cv2.imwrite(str(path), np.full((90, 90), 99, np.uint8))


@pytest.mark.parametrize(
    ("name", "make", "complaint"),
    [
        ("", Path.rmdir, "cannot be read: No such file"),
        ("", Path.exists, "contains no portrait"),
        ("Anna.txt", lambda path: path.write_text("x"), "contains no portrait"),
        ("Anna", Path.mkdir, "no usable portrait of Anna: its folder"),
        ("Anna.png", blank, "no usable portrait of Anna: fervid finds no face in .*: give another"),
        ("Anna.jpg", lambda path: path.write_bytes(b"\xff\xd8nothing"), "cannot be read as a picture"),
        ("Anna.jpg", lambda path: path.write_bytes(b""), "cannot be read as a picture"),
        ("Anna.jpg", lambda path: path.symlink_to("/dev/zero"), "cannot be read as a picture"),
        ("Anna.jpg", lambda path: os.mkfifo(path), "cannot be read as a picture"),
        ("Anna.jpg", lambda path: path.touch() or os.truncate(path, 1 << 40), "cannot be read as a picture"),
        ("P7.png", blank, "P7 is an id that fervid gives to persons"),
    ],
)
def test_an_unusable_gallery_is_an_error(tmp_path: Path, name: str, make: Any, complaint: str) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError, match=complaint):
        people.read_gallery(str(tmp_path))


def test_a_portrait_of_two_faces_is_skipped(tmp_path: Path, portraits: Path) -> None:
    face = cv2.imread(str(portraits / "Eileen Collins.png"), cv2.IMREAD_GRAYSCALE)
    (tmp_path / "Eileen").mkdir()
    cv2.imwrite(str(tmp_path / "Eileen" / "two.png"), np.hstack([face, face]))
    cv2.imwrite(str(tmp_path / "Eileen" / "one.png"), face)
    read = people.read_gallery(str(tmp_path))
    assert read.faces["Eileen"].shape == (1, 128)
    assert len(read.unused) == 1 and "shows 2 faces: crop it to one" in read.unused[0]


def test_a_picture_of_too_many_pixels_cannot_be_used(tmp_path: Path) -> None:
    """OpenCV decodes up to 2**30 pixels, and raises an error of its own for more."""
    data = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()
    head = b"IHDR" + (40_000).to_bytes(4, "big") * 2 + data[24:29]
    (tmp_path / "Anna.png").write_bytes(data[:12] + head + zlib.crc32(head).to_bytes(4, "big") + data[33:])
    with pytest.raises(InputError, match=r"no usable portrait of Anna: .* has more than 2\^30 pixels"):
        people.read_gallery(str(tmp_path))


# --- names


@pytest.fixture(params=["json", "jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Write a timeline of two persons in each format."""
    return write(tmp_path / f"out.{request.param}")


def write(path: Path) -> Path:
    people = (person_of("P1", (0,)), person_of("P2", (1,)))
    path.write_text(text_of(timeline_of(people=people), path.suffix[1:]), encoding="utf-8")
    return path


def read(path: Path) -> Timeline:
    return read_timeline(path.read_text("utf-8"))


def test_a_name_is_all_that_changes(call: Call, path: Path) -> None:
    before = path.read_text("utf-8")
    assert call("people", path, "--name", "P2=Änna <b>", "-y", "-q").returncode == 0
    assert read(path).names == {"P1": "P1", "P2": "Änna <b>"}
    assert call("people", path, "--name", "Änna <b>=", "-y", "-q").returncode == 0
    assert path.read_text("utf-8") == before


def test_fields_of_a_later_version_stay(call: Call, path: Path) -> None:
    *lines, whole = [json.loads(line) for line in lines_of(path)]
    whole["novelty"] = whole["people"][0]["novelty"] = whole["peaks"][0]["novelty"] = [1]
    path.write_text("".join(json.dumps(line) + "\n" for line in (*lines, whole)), encoding="utf-8")
    assert call("people", path, "--name", "P1=Anna", "-y", "-q").returncode == 0
    whole["people"][0]["name"] = "Anna"
    assert [json.loads(line) for line in lines_of(path)] == [*lines, whole]


def lines_of(path: Path) -> list[str]:
    text = path.read_text("utf-8")
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def test_merged_persons_are_one_everywhere(call: Call, path: Path) -> None:
    assert call("people", path, "--merge", "P2=P1", "--name", "P2=Ben", "-o", "new", "-q").returncode == 0
    merged = read(Path("new"))
    (only,) = merged.people
    assert (only.id, only.name, only.tracks) == ("P2", "Ben", (0, 1))
    ends = [(curve.start, curve.end) for curve in merged.curves]
    assert only.ticks == max(end for _, end in ends) - min(start for start, _ in ends)
    for part in (*merged.curves, *merged.segments, *merged.peaks):
        assert part.person == "P2"
    assert {person.id for person in read(path).people} == {"P1", "P2"}, "the input file does not change"


@pytest.mark.parametrize(
    ("arguments", "complaint", "code"),
    [
        (["--name", "P1=Anna"], "no output for the changed timeline: give -o FILE, or -y", 2),
        (["--name", "P9=Anna", "-y"], "there is no person 'P9' in it: choose one of P1, P2", 2),
        (["--name", "P1", "-y"], "write --name ID=NAME", 2),
        (["--merge", "P1=", "-y"], "write --merge ID=ID", 2),
        (["--merge", "P1=P1", "-y"], "already the same person", 2),
        (["--name", "P1=P2", "-y"], "P2 is an id that fervid gives to persons", 1),
        (["--name", "P1=A", "--name", "P2=A", "-y"], "person is already called A: use --merge A=P2", 2),
        (["--name", "P1=a\nb", "-y"], "cannot name a person", 1),
        (["-o", "new.json"], "there is nothing to change", 2),
        (["--pictures", "here"], "--pictures needs the video", 2),
        (["--gallery", "here", "-y"], "--gallery needs the video", 2),
        (["--video", "film.mp4"], "--video is for --pictures and --gallery", 2),
        (["--video", CLIP, "--pictures", "faces"], "is not the video of this timeline", 1),
    ],
)
def test_invalid_options_are_an_error(
    call: Call, arguments: list[str | Path], complaint: str, code: int
) -> None:
    path = write(Path("out.json"))
    before = path.read_bytes()
    says(call("people", path, *arguments), code, complaint)
    assert path.read_bytes() == before


def test_the_list_shows_persons_and_their_time(call: Call) -> None:
    path = write(Path("out.json"))
    shown = call("people", path).stdout
    assert "P1" in shown and "0:09.4" in shown and "visible" in shown
    listed = json.loads(call("people", path, "--json").stdout)
    assert "do not say what a person feels" in listed["note"]
    first, second = listed["people"]
    assert list(first["expressions"]) == ["happiness", "neutral"] and first["expressions"]["neutral"] > 0
    assert second["tracks"] == [1]


def test_a_timeline_without_persons_is_reported(call: Call) -> None:
    Path("out.json").write_text(text_of(timeline_of()), encoding="utf-8")
    assert call("people", "out.json") == Done(0, "no people were identified\n", "")


def test_persons_that_are_together_are_merged_with_a_warning(call: Call) -> None:
    done = call("people", write(Path("out.json")), "--merge", "P1=P2", "-o", "-")
    assert done.returncode == 0
    assert "on screen together for" in done.stderr
    assert len(json.loads(done.stdout)["people"]) == 1


# --- pictures


def test_pictures_show_the_faces_and_a_gallery_recognises_them(
    call: Call, twice: Path, portraits: Path, timeline: Timeline
) -> None:
    path, folder = Path("out.json"), Path("faces")
    path.write_text(text_of(timeline), encoding="utf-8")
    assert call("people", path, "--video", twice, "--pictures", folder).returncode == 0
    assert sorted(picture.name for picture in folder.iterdir()) == ["P1.png", "P2.png"]
    for file in folder.iterdir():
        assert len(FaceFinder(0.3).detect(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE))) == 1
    says(call("people", path, "--video", twice, "--pictures", folder), 1, "exists already")
    done = call("people", path, "--video", twice, "--gallery", portraits, "-y")
    assert done.returncode == 0
    assert sorted(read(path).names.values())[0] == "Eileen Collins"
    assert "looks like Eileen Collins, too" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("id", "../P1"),
        ("id", 1),
        ("tracks", ["x"]),
        ("on_screen", {}),
        ("portrait", {"time": {"pts": 1}, "box": {}}),
    ],
)
def test_a_damaged_person_is_an_error(call: Call, entry: str, value: object) -> None:
    path = write(Path("out.json"))
    whole = json.loads(path.read_text("utf-8"))
    whole["people"][0][entry] = value
    path.write_text(json.dumps(whole), encoding="utf-8")
    says(call("people", path), 1, "is damaged")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation: int) -> None:
    turn = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[rotation]
    path = media.write(tmp_path / "turned.mp4", media.pictures(12), matrix=turn)
    plan = planning.plan(path)
    assert plan.rotation == rotation
    pts = int(plan.pts[7])
    ((moment, colour),) = thumbnails.in_colour(plan, [pts])
    luma = next(reading.frames(plan, pts, pts + 1)).luma
    assert moment == pts and colour.shape == (*luma.shape, 3)
    assert np.corrcoef(colour.mean(2).ravel(), luma.ravel())[0, 1] > 0.99


# --- real people

MEDIA = ROOT.parent / "shared" / "media"
ONE_MAN = ("face_noface.mov", "single_face.mp4")
OTHERS = ("d10.mp4", "d18.mp4")


def first_face(path: Path) -> Descriptors:
    """Describe the first face of a clip."""
    finder = FaceFinder()
    for frame in reading.frames(planning.plan(path)):
        for face in finder.detect(frame.luma):
            return known(describe(finder.portrait(frame.luma, finder.fit(frame.luma, face))))
    raise AssertionError(f"no face in {path}")


@pytest.mark.skipif(not MEDIA.is_dir(), reason="real clips are not kept with the source")
def test_real_people_are_separate_persons() -> None:
    descriptors = {track: first_face(MEDIA / name) for track, name in enumerate((*ONE_MAN, *OTHERS))}
    assert sorted(people.group_tracks(descriptors, ())) == [[0, 1], [2], [3]]


def test_names_are_checked() -> None:
    for name in ("", "   ", "a\tb", "x" * 201):
        with pytest.raises(InputError, match="cannot name a person"):
            people.check_name(name)
    with pytest.raises(UsageError):
        find_person(timeline_of(), "P1")
