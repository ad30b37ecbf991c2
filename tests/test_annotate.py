"""The results of an analysis, drawn into the video: at their position and time, readable, with the sound."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
import media
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from conftest import CLIP, Call, command, environment, made_in
from test_cutting import encoded_twice, samples, tone

from fervid.cli.annotate import KINDS
from fervid.errors import InputError
from fervid.export.drawing import painter as painter_module
from fervid.export.drawing.annotator import Annotator
from fervid.export.drawing.canvas import BT601, Canvas, Palette
from fervid.export.drawing.curve import EDGE, Curve, FrameScores
from fervid.export.drawing.letters import Letters
from fervid.export.drawing.painter import DrawnFace, Painter
from fervid.export.drawing.style import UNCLEAR, colour_of, scaled
from fervid.export.frames import geometry
from fervid.labels import COLOURS, CONTEMPT, EMOTIONS
from fervid.types import Curve as Scores
from fervid.types import ModelInfo, Person, Rows, Segment, Status, Tally, Timeline, Video
from fervid.units.video import TrackUnits, VideoUnits
from fervid.video import planning, reading, redrawing
from fervid.video.ahead import ahead
from fervid.video.pictures import coloured, turned
from fervid.video.planes import Coding
from fervid.video.redrawing import redraw

Picture = Any
UNFILLED = 99  # a level that nothing drawn on one plain colour has


def face(x: float, y: float, side: float, emotion: str | None = "happiness", name: str = "P1") -> DrawnFace:
    points = np.random.default_rng(0).uniform(0.2, 0.8, (68, 2)) * side + (x, y)
    return DrawnFace(np.array([x, y, side, side], np.float32), points.astype(np.float32), name, emotion, 0.9)


def blank(painter: Painter, level: int = 128) -> list[Picture]:
    """Return the planes of a grey picture of limited range, with nothing in the strip."""
    width, height = painter.size
    planes = [np.full((height // step, width // step), UNFILLED, np.uint8) for step in (1, 2, 2)]
    for plane, value in zip(planes, (round(16 + level * 219 / 255), 128, 128), strict=True):
        plane[: len(plane) * painter.height // height] = value
    return planes


def painted(
    painter: Painter,
    faces: Sequence[DrawnFace],
    moments: Sequence[FrameScores] = (FrameScores(0),),
    level: int = 128,
) -> list[Picture]:
    """Return the planes of the last moment."""
    for moment in moments:
        planes = blank(painter, level)
        painter.paint(planes, faces, moment)
    return planes


def has_colour(planes: Sequence[Picture], colour: tuple[int, int, int]) -> Picture:
    """Return which pixels have exactly a colour, in luma and chroma."""
    code = Palette(BT601).code(colour)
    whole = [planes[0], *(plane.repeat(2, 0).repeat(2, 1) for plane in planes[1:])]
    return np.logical_and.reduce([plane == value for plane, value in zip(whole, code, strict=True)])


def colours(path: Path) -> list[Picture]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    plan = planning.plan(path)
    return [(int(pts) - plan.start) * plan.time_base for pts in plan.pts]


# Drawing


def test_every_emotion_has_a_colour_of_its_own() -> None:
    assert set(COLOURS) == {*EMOTIONS, CONTEMPT}
    assert len({colour_of(emotion) for emotion in COLOURS}) == len(COLOURS)
    assert colour_of("happiness") == (0x00, 0x9F, 0xE6)
    assert colour_of("bliss") == colour_of(None) == UNCLEAR


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_drawn_only_where_it_is_asked_for(kind: str) -> None:
    painter = Painter(320, 240, EMOTIONS, [kind])
    empty = painted(Painter(320, 240, EMOTIONS, []), [face(100, 80, 90)])
    picture = painted(painter, [face(100, 80, 90)])
    assert picture[0].shape == (240 + painter.strip, 320)
    assert (painter.strip > 0) == (kind == "curve")
    same = [np.array_equal(plane[: len(other)], other) for plane, other in zip(picture, empty, strict=True)]
    assert all(same) == (kind == "curve")


def test_pixels_outside_a_drawing_keep_their_values() -> None:
    painter = Painter(640, 480, EMOTIONS)
    planes, noise = blank(painter), np.random.default_rng(1)
    for plane in planes:
        plane[:] = noise.integers(0, 256, plane.shape)
    before = [plane.copy() for plane in planes]
    painter.paint(planes, [face(200, 200, 100)], FrameScores(0))
    for plane, other, step in zip(planes, before, (1, 2, 2), strict=True):
        changed = (plane != other)[: 480 // step]
        changed[150 // step : 310 // step, 190 // step : 480 // step] = False  # the face and its label
        changed[450 // step :, : 420 // step] = False  # the note
        assert not changed.any()


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size", [(1920, 1080), (480, 908), (320, 240)])
def test_labels_are_readable_on_any_background(level: int, size: tuple[int, int]) -> None:
    painter = Painter(*size, EMOTIONS, ["labels"])
    side = min(size) * 0.4
    before = blank(painter, level)[0]
    picture, *_ = painted(painter, [face(10, size[1] * 0.4, side)], level=level)
    changed = np.flatnonzero((picture != before).any(1))
    label = picture[changed[0] : changed[0] + painter._scaled(24), 10 + painter._scaled(14) :]
    luminance = (label.astype(float) - 16) * 255 / 219
    dark, bright = np.percentile(luminance[:, :40], 5), luminance.max()
    assert bright > 240
    assert (bright / 255 + 0.05) / ((dark / 255) ** 2.2 + 0.05) > 7


def test_an_uncertain_label_says_so_in_a_thin_box() -> None:
    sure = face(100, 350, 200)

    def widths(shown: DrawnFace) -> list[int]:
        """Return the pixels of the line of the box across a row, and the width of the label."""
        boxes, labels = (Painter(1920, 1080, EMOTIONS, [kind]) for kind in ("boxes", "labels"))
        box, label = (painted(own, [shown])[0] != blank(own)[0] for own in (boxes, labels))
        return [int(box[400].sum()), int(label[:400].any(0).sum())]

    (thick, short), (thin, long) = widths(sure), widths(replace(sure, is_uncertain=True))
    assert 0 < thin < thick
    assert long > short + 40


def test_labels_stay_in_the_picture_and_off_each_other() -> None:
    own = Painter(640, 360, EMOTIONS, ["labels"])
    luma, *chroma = blank(own)
    canvas = Canvas(luma, (chroma[0], chroma[1]), own._palette)
    boxes: list[tuple[int, int, int, int]] = []
    for shown in (
        face(0, 0, 100),
        face(600, 0, 100),
        face(10, 10, 100),
        face(-50, 300, 200, name="a name that is far too long for any label " * 3),
        face(500, 340, 300, emotion=None),
    ):
        boxes.append(own._draw_label(canvas, shown, boxes))
    for x, y, width, height in boxes:
        assert 0 <= x <= x + width <= 640
        assert 0 <= y <= y + height <= 360
    assert not any(
        painter_module._overlap(index, other) for at, index in enumerate(boxes) for other in boxes[:at]
    )


@pytest.mark.parametrize("x", [40, 560])
def test_action_units_are_drawn_beside_a_face_if_they_are_present(x: float) -> None:
    painter = Painter(800, 600, EMOTIONS, ())
    shown = replace(face(x, 100, 200), units={"AU12": 5.0, "AU25": 2.5, "AU45": 0.9})
    before, after = blank(painter), blank(painter)
    painter.paint(before, [replace(shown, units={})], FrameScores(0))
    painter.paint(after, [shown], FrameScores(0))
    drawn = np.argwhere(before[0] != after[0])
    (top, left), (bottom, right) = drawn.min(0), drawn.max(0) + 1
    assert (left >= x + 200 or right <= x) and top == 100
    soft = has_colour(after, (190, 190, 190))[top:bottom, left:right]
    lengths = sorted({int(row.sum()) for row in soft if row.sum()}, reverse=True)
    assert len(lengths) == 2 and lengths[0] == pytest.approx(2 * lengths[1], abs=1)


def moments(count: int, labels: int = 7) -> list[FrameScores]:
    """Return every kind of moment: faces that change, are unclear or gone, in jumps of time."""
    chance = np.random.default_rng(2)
    scores = chance.dirichlet(np.ones(labels), count).astype(np.float32)
    scores = np.repeat(scores[::8], 8, axis=0)[:count]  # one emotion is highest for a while
    seconds = np.cumsum(chance.choice([0.04, 0.02, 0.1], count))
    seconds[count // 2 :] += 4
    track = np.arange(count) // 20 - 1
    clear = chance.random(count) > 0.1
    return [
        FrameScores(
            float(seconds[at]), int(track[at]), "P1", scores[at] if clear[at] and track[at] >= 0 else None
        )
        for at in range(count)
    ]


@pytest.mark.parametrize("size", [(16, 16), (64, 48), (101, 75), (4000, 200)])
def test_any_size_is_painted(size: tuple[int, int]) -> None:
    painter = Painter(*size, EMOTIONS)
    shown = [face(-30, -20, 500), face(size[0] - 5, size[1] - 5, 40, emotion=None)]
    picture = painted(painter, shown, moments(50))
    assert painter.size[0] % 2 == painter.size[1] % 2 == 0
    assert painter.size[0] == size[0] // 2 * 2
    assert not any((plane[-(painter.strip // 2) :] == UNFILLED).all(1).any() for plane in picture)


def test_names_in_any_script_are_written_and_long_ones_cut() -> None:
    letters = Letters()
    question = letters.mask("?", 20, 500)
    for text in ("Å", "ß", "名", "Ж", "…"):
        assert not np.array_equal(letters.mask(text, 20, 500), question), text
    long = "Anna " * 50
    cut = letters.fit(long, 20, 500, 200)
    assert cut.endswith("…")
    assert letters.width(cut, 20, 500) <= 200
    assert letters.fit("Anna", 20, 500, 200) == "Anna"
    for number in range(Letters.LIMIT + 50):
        letters.mask(str(number), 8, 400)
    assert len(letters._kept) == Letters.LIMIT


def test_the_curve_shows_the_score_now_and_leaves_holes() -> None:
    painter = Painter(720, 720, ("happiness", "neutral"), ["curve"])
    seconds = np.linspace(0, 10, 100)
    best = np.array([1, 0], np.float32)
    past = [FrameScores(at, 1, "P1", None if 4 <= at < 6 else best) for at in seconds.tolist()]
    planes = painted(painter, [face(100, 100, 200)], past)
    strip = [plane[720 // step :] for plane, step in zip(planes, (1, 2, 2), strict=True)]
    drawn = has_colour(strip, colour_of("happiness"))
    plot = drawn[:, : 720 - painter._scaled(250) - 24]
    columns = plot.any(0)
    first, last = np.flatnonzero(columns)[[0, -1]]
    assert not columns[first + (last - first) * 42 // 100 : first + (last - first) * 58 // 100].any()
    assert columns[first : first + (last - first) * 38 // 100].mean() > 0.95
    assert drawn[:, 720 - painter._scaled(250) :].sum() > 500


@pytest.mark.parametrize("width", [160, 1284])
def test_the_newest_part_of_the_curve_is_all_that_has_to_be_drawn(width: int) -> None:
    ground = Canvas.blank(width, 120, Palette(BT601), (22, 22, 24))
    curve = Curve(ground, 10, 110, EMOTIONS, 1, 6)
    for moment in moments(300):
        shown = curve.add(moment).copy()
        curve.draw(0)  # all of it
        for plane, whole in zip(shown.planes, curve._picture.planes, strict=True):
            assert np.array_equal(plane[:, EDGE:], whole[:, EDGE:])


def test_sizes_are_whole_pixels() -> None:
    assert [scaled(size, 1.5) for size in (0.1, 1, 3)] == [1, 2, 4]


# Who is where, and what they show


@pytest.fixture
def plain(tmp_path: Path) -> Video:
    return planning.plan(media.write(tmp_path / "plain.mp4", media.pictures(50)))


def curve(plan: Video, track: int = 1, person: str | None = None) -> Scores:
    pts = plan.pts[::10].copy()
    scores = np.zeros((len(pts), 7), np.float32)
    scores[:, 3] = 1
    column = np.ones(len(pts), np.float32)
    return Scores(
        track,
        plan.start,
        plan.end,
        50,
        np.zeros(4, np.float32),
        pts,
        scores,
        column,
        column,
        column,
        column,
        person,
    )


def timeline_of(
    plan: Video, curves: list[Scores], segments: Sequence[Segment] = (), name: str | None = None
) -> Timeline:
    model = ModelInfo("hand", "cd" * 32, True, EMOTIONS, (), {})
    people = (Person("P1", name, (1,), 9, plan.start, np.zeros(4, np.float32)),)
    shots = plan.pts[:1]
    return Timeline(plan, model, {}, Tally(), shots, tuple(curves), tuple(segments), (), people)


def segment(plan: Video, first: int, stop: int, emotion: str) -> Segment:
    scores = np.full(7, 1 / 7, np.float32)
    end = int(plan.pts[stop]) if stop < len(plan.pts) else plan.end
    return Segment(1, int(plan.pts[first]), end, emotion, scores, 0.5, 0, 0, 0, stop - first)


def rows(plan: Video, status: list[Status], track: int = 1) -> Rows:
    count = len(status)
    has_face = np.array([result in (Status.OK, Status.LOW_QUALITY) for result in status])
    box = np.where(has_face[:, None], np.arange(count)[:, None] + [0, 0, 20, 20], np.nan).astype(np.float32)
    return Rows(
        np.arange(count),
        plan.pts[:count].copy(),
        np.where(has_face, track, -1),
        np.array(status, np.uint8),
        box,
        np.full((count, 68, 2), 5, np.float32),
        np.zeros((count, 3), np.float32),
        np.ones(count, np.float32),
        np.zeros((count, 0), np.float32),
    )


class Spy(Annotator):
    """Tells what would be drawn."""

    def at(self, frame: int) -> list[DrawnFace]:
        assert isinstance(self._source, Video)
        pts = int(self._source.pts[frame])
        return [self._shown(face, pts) for face in self._faces(pts)]


def test_a_label_is_its_segment_s(plain: Video) -> None:
    segments = [segment(plain, 0, 10, "happiness"), segment(plain, 20, 50, "fear")]
    status = [Status.OK] * 30 + [Status.LOW_QUALITY] * 20
    timeline = timeline_of(plain, [curve(plain, person="P1")], segments, "Anna")
    spy = Spy(timeline, [rows(plain, status)])
    shown = [spy.at(frame)[0] for frame in range(50)]
    assert {each.name for each in shown} == {"Anna"}
    said = [each.emotion for each in shown]
    assert said == ["happiness"] * 10 + [None] * 10 + ["fear"] * 10 + [None] * 20
    assert not any(each.is_uncertain for each in shown)
    unsure = [replace(each, confidence=0.49) for each in segments]
    spy = Spy(replace(timeline, segments=tuple(unsure)), [rows(plain, status)])
    assert [spy.at(frame)[0].is_uncertain for frame in (0, 10, 20)] == [True, False, True]
    assert shown[0].score == pytest.approx(1)
    assert shown[25].score == pytest.approx(0)


def test_a_face_has_the_action_units_of_its_frame(plain: Video) -> None:
    status = [Status.OK, Status.NOT_SAMPLED, Status.OK]
    chunk = rows(plain, status)
    values = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    units = VideoUnits({1: TrackUnits(plain.pts[[0, 2]], values, None)}, ("AU12", "AU45"))
    spy = Spy(timeline_of(plain, [curve(plain)]), [chunk], units=units)
    assert [spy.at(frame)[0].units for frame in range(3)] == [
        {"AU12": 1, "AU45": 2},
        {"AU12": 1, "AU45": 2},
        {"AU12": 3, "AU45": 4},
    ]
    assert not units.at(2, 0) and not units.at(1, int(plain.pts[1]))


def test_faces_stay_between_frames_that_were_looked_at(plain: Video) -> None:
    status = [Status.OK, Status.NOT_SAMPLED, Status.NOT_SAMPLED] * 3 + [Status.NO_FACE, Status.NOT_SAMPLED]
    short = replace(curve(plain), end=int(plain.pts[7]))
    spy = Spy(timeline_of(plain, [short]), [rows(plain, status)])
    lefts = [[float(each.box[0]) for each in spy.at(frame)] for frame in range(len(status))]
    assert lefts == [[0], [0], [0], [3], [3], [3], [6], [], [], [], []]  # not longer than its track


def test_geometry_of_another_analysis_is_refused(plain: Video) -> None:
    spy = Spy(timeline_of(plain, [curve(plain)]), [rows(plain, [Status.OK], track=7)])
    with pytest.raises(InputError, match="timeline does not have: write both again"):
        spy.at(0)


def test_an_archive_of_geometry_is_read_back(plain: Video, tmp_path: Path) -> None:
    whole = rows(plain, [Status.OK] * 30 + [Status.NO_FACE] * 20)
    path = tmp_path / "geometry.npz"
    geometry.write(lambda: [whole], len(whole), plain, (), path)
    chunk, geometry.CHUNK = geometry.CHUNK, 7
    try:
        parts = list(geometry.read(str(path)).rows())
    finally:
        geometry.CHUNK = chunk
    assert len(parts) == 8
    for name in Rows.__dataclass_fields__:
        joined = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(joined, getattr(whole, name), equal_nan=joined.dtype.kind == "f"), name


@pytest.mark.parametrize("harm", ["text", "cut", "other"])
def test_a_damaged_archive_is_refused(harm: str, plain: Video, tmp_path: Path) -> None:
    path = tmp_path / "geometry.npz"
    whole = rows(plain, [Status.OK] * 50)
    geometry.write(lambda: [whole], len(whole), plain, (), path)
    if harm == "text":
        path.write_text("no archive")
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        np.savez(path, a=np.zeros(3))
    with pytest.raises(InputError, match=r"geometry\.npz"):
        list(geometry.read(str(path)).rows())


# Writing


def rewritten(plan: Video, target: Path, start: int | None = None, stop: int | None = None) -> Path:
    """Return the video with nothing drawn into it."""
    begin, end = plan.start if start is None else start, plan.end if stop is None else stop
    size = (plan.width, plan.height)
    with open(target, "wb") as stream:
        redraw(plan, begin, end, lambda *_: None, size, stream, target.suffix, {"comment": "x"})
    return target


def test_every_frame_keeps_its_time_and_its_picture(tmp_path: Path) -> None:
    ragged = [0, 1, 2, 5, 6, 9, 14, 15, 16, 20]
    plan = planning.plan(media.write(tmp_path / "a.mkv", media.pictures(10, 160, 120), pts=ragged))
    copy = rewritten(plan, tmp_path / "b.mp4")
    assert times(copy) == [Fraction(pts, 25) for pts in ragged]
    for first, second in zip(reading.frames(planning.plan(copy)), reading.frames(plan), strict=True):
        assert np.abs(first.luma.astype(int) - second.luma).mean() < 4


@pytest.mark.parametrize(
    "matrix", [(0, 1, -1, 0), (-1, 0, 0, 1), (0, 1, 1, 0)], ids=["turned", "mirrored", "both"]
)
def test_turned_pictures_come_out_upright(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    plan = planning.plan(media.write(tmp_path / "a.mp4", media.pictures(5, 160, 120), matrix=matrix))
    copied = planning.plan(rewritten(plan, tmp_path / "b.mp4"))
    assert (copied.width, copied.height, copied.rotation) == (plan.width, plan.height, 0)
    for first, second in zip(reading.frames(copied), reading.frames(plan), strict=True):
        assert np.abs(first.luma.astype(int) - second.luma).mean() < 4


@pytest.mark.parametrize("space", [1, 5], ids=["709", "601"])
def test_colours_come_out_as_they_went_in(space: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = space
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane, value in zip(frame.planes, (120, 90, 180), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts = 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(rewritten(planning.plan(path), tmp_path / "b.mp4")) as container:
        result = next(container.decode(video=0))
        assert int(result.colorspace) == space
        for plane, value in zip(result.planes, (120, 90, 180), strict=True):
            assert abs(int(np.frombuffer(plane, np.uint8)[0]) - value) <= 2


CORNERS = ((200, 60, 40), (40, 190, 70), (60, 80, 210), (230, 230, 40))  # blue, green, red


def coloured_corners(path: Path, codec: str, pixel_format: str, matrix: Sequence[int] | None = None) -> Path:
    """Write pictures of 64x48 with a colour in each corner."""
    picture = np.zeros((48, 64, 3), np.uint8)
    for colour, rows, columns in zip(CORNERS, (0, 0, 24, 24), (0, 32, 0, 32), strict=True):
        picture[rows : rows + 24, columns : columns + 32] = colour
    options = {"qp": "0"} if codec == "libx264" else {}
    with av.open(path, "w") as out:
        stream = out.add_stream(cast(Literal["libx264"], codec), rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        if matrix is not None:
            a, b, c, d = (part << 16 for part in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        for pts in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=pixel_format)
            frame.pts = pts
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def corners(plan: Video) -> Picture:
    """Return the colours in the corners of the first picture, (4, 3)."""
    _, picture, turn = next(turned(plan))
    shown = coloured(picture, turn, (plan.width, plan.height)).astype(int)
    return np.stack([shown[y, x] for y in (10, -10) for x in (10, -10)])


@pytest.mark.parametrize(
    ("codec", "pixel_format"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuvj420p"),
        ("libx264", "yuv422p"),
        ("libx264", "yuv420p10le"),
        ("ffv1", "yuv444p"),
        ("ffv1", "bgr0"),
        ("png", "rgb24"),
    ],
)
def test_every_coding_of_colours_is_kept_or_converted(codec: str, pixel_format: str, tmp_path: Path) -> None:
    plan = planning.plan(
        coloured_corners(tmp_path / ("a.mov" if codec == "png" else "a.mkv"), codec, pixel_format)
    )
    copy = planning.plan(rewritten(plan, tmp_path / "b.mp4"))
    assert np.abs(corners(copy) - corners(plan)).max() <= 8
    _, picture, _ = next(turned(copy))
    assert picture.format.name == ("yuvj420p" if pixel_format == "yuvj420p" else "yuv420p")
    assert int(picture.colorspace) != 0  # RGB


@pytest.mark.parametrize(
    "matrix", [(0, 1, -1, 0), (-1, 0, 0, 1), (0, 1, 1, 0)], ids=["turned", "mirrored", "both"]
)
def test_colours_turn_with_the_picture(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    plan = planning.plan(coloured_corners(tmp_path / "a.mp4", "libx264", "yuv420p", matrix))
    copy = planning.plan(rewritten(plan, tmp_path / "b.mp4"))
    assert np.abs(corners(copy) - corners(plan)).max() <= 8


@pytest.mark.parametrize("space", [1, 5, 7, 9])
@pytest.mark.parametrize("is_full", [False, True])
def test_drawn_colours_are_coded_as_the_video_s(space: int, is_full: bool) -> None:
    coding = Coding(Colorspace(space), is_full)
    for colour in (*CORNERS, (255, 255, 255), (0, 0, 0)):
        code = Palette(coding.matrix).code(colour)
        frame = av.VideoFrame(16, 16, coding.pixel_format)
        for plane, value in zip(frame.planes, code, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        shown = frame.to_ndarray(format="bgr24", src_colorspace=coding.space)
        assert np.abs(shown[8, 8].astype(int) - colour).max() <= 3


REDRAW = """
from fervid.video.redrawing import redraw
def paint(pts, planes):
    for plane in planes:
        plane[398 * len(plane) // 496 :] = pts % 200
redraw(video, video.start, video.end, paint, (video.width, video.height + 98), stream, suffix, {})
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_bytes_depend_neither_on_unset_memory_nor_on_cores(suffix: str, tmp_path: Path) -> None:
    path = media.write(tmp_path / "a.mp4", media.pictures(12, 400, 398))
    first, second = encoded_twice(path, REDRAW, suffix)
    assert first == second


# Threads


def test_a_thread_works_ahead_in_order_and_ends_when_closed() -> None:
    begun: list[int] = []
    is_closed = []

    def numbers() -> Generator[int]:
        try:
            for number in range(100):
                begun.append(number)
                yield number
        finally:
            is_closed.append(True)

    before = threading.active_count()
    assert list(ahead(numbers(), 3)) == list(range(100))
    begun.clear()
    results = ahead(numbers(), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert len(begun) <= 5 + 3
    assert len(is_closed) == 2
    assert threading.active_count() == before


def test_an_error_comes_after_the_items_before_it() -> None:
    def numbers() -> Generator[int]:
        yield 1
        raise InputError("no more")

    results = ahead(numbers(), 3)
    assert next(results) == 1
    with pytest.raises(InputError, match="no more"):
        next(results)


@pytest.mark.parametrize("where", ["drawing", "writing"])
def test_an_interruption_ends_every_thread(where: str, plain: Video, tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    paint, tick = (stop, None) if where == "drawing" else (lambda *_: None, stop)
    before = threading.active_count()
    with open(tmp_path / "a.mp4", "wb") as stream, pytest.raises(KeyboardInterrupt):
        redraw(plain, plain.start, plain.end, paint, (64, 48), stream, ".mp4", {}, tick)
    assert threading.active_count() == before


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"], ids=["encoded", "copied"])
def test_sound_stays_with_the_picture(suffix: str, tmp_path: Path) -> None:
    plan = planning.plan(tone(tmp_path / "a.mkv", 3.0))
    whole, rate = samples(tmp_path / "a.mkv")
    copy = rewritten(plan, tmp_path / f"b{suffix}", plan.ticks(1), plan.ticks(Fraction("2.6")))
    with av.open(copy) as container:
        assert container.streams.audio[0].codec_context.name == ("aac" if suffix == ".mp4" else "pcm_s16le")
    wave, _ = samples(copy)
    part = slice(rate // 10, rate)
    assert np.corrcoef(wave[part], whole[rate:][part])[0, 1] > 0.98


def test_no_silence_is_encoded_after_the_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redrawing, "KEPT", ())
    film = media.write(tmp_path / "a.mkv", media.pictures(75), audio_seconds=1)
    copy = rewritten(planning.plan(film), tmp_path / "b.mp4")
    with av.open(copy) as container:
        sound, picture = container.streams.audio[0], container.streams.video[0]
        assert float(picture.duration * picture.time_base) == 3
        assert 0.8 < float(sound.duration * sound.time_base) < 1.1


# The command


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the timeline and geometry of a part of the example clip, and the film drawn."""
    folder = tmp_path_factory.mktemp("analyzed")
    shutil.copy(CLIP, folder / "movie.mp4")
    selection = ("--model", "untrained", "--start", "1.4", "--end", "2.2", "-j1", "--keep-cache")
    for arguments in (
        ("analyze", "movie.mp4", "-t", "out.json", "--tracks", "geometry.npz", *selection),
        ("analyze", "movie.mp4", "-t", "out.jsonl", *selection),
        ("annotate", "movie.mp4", "-t", "out.json", "--tracks", "geometry.npz", "-o", "read.mp4"),
    ):
        made_in(folder, *arguments)
    return folder


def test_boxes_lie_where_the_face_is(analyzed: Path) -> None:
    shown = colours(analyzed / "read.mp4")
    chunks = list(geometry.read(str(analyzed / "geometry.npz")).rows())
    boxes = np.concatenate([part.box for part in chunks])
    assert len(shown) == len(boxes) == 20
    plain = colours(CLIP)[35:55]
    for first, second, (x, y, width, height) in zip(shown, plain, boxes, strict=True):
        picture = first[: second.shape[0]].astype(int)
        edge = picture[round(y + height / 2), round(x) - 1 : round(x) + 2]
        assert np.abs(edge - second[round(y + height / 2), round(x) - 1 : round(x) + 2]).max() > 25
        # Far from the box, the corner's note and the label nothing is changed.
        assert np.abs(picture[:, -60:] - second[:, -60:]).mean() < 4
        assert round(x + width) < second.shape[1] - 60
    assert times(analyzed / "read.mp4") == [Fraction(index, 25) for index in range(20)]


def test_the_note_stands_in_the_file_and_in_the_corner(analyzed: Path) -> None:
    with av.open(analyzed / "read.mp4") as container:
        assert "do not say what a person feels" in container.metadata["comment"]
    corner = colours(analyzed / "read.mp4")[0][480 - 16 : 480, :200].astype(int)
    assert np.abs(corner - colours(CLIP)[35][480 - 16 : 480, :200]).mean() > 20


def test_faces_are_found_again_where_no_geometry_is_given(analyzed: Path, call: Call, tmp_path: Path) -> None:
    again = ("-t", analyzed / "out.json", "-o", "again.mp4", "-j1")
    fresh = ("--model", "untrained", "--start", "1.4", "--end", "2.2", "-o", "fresh.mp4", "-j1")
    for arguments in (again, fresh):
        done = call("annotate", CLIP, *arguments)
        assert done.returncode == 0, done.stderr
        assert re.search(r"wrote \w+\.mp4", done.stderr)
    expected = colours(analyzed / "read.mp4")
    for name in ("again.mp4", "fresh.mp4"):
        for first, second in zip(colours(tmp_path / name), expected, strict=True):
            # Scores in a file are rounded, so a curve below the picture may move by a fraction of a pixel.
            exact = len(first) if name == "again.mp4" else 480
            assert np.array_equal(first[:exact], second[:exact])
            assert np.abs(first.astype(int) - second).mean() < 0.01


def test_an_interrupted_film_leaves_no_file(analyzed: Path, tmp_path: Path) -> None:
    line = command(["annotate", CLIP, "-t", "all.json", "--tracks", "all.npz", "-o", tmp_path / "a.mp4"])
    made_in(analyzed, "analyze", CLIP, "--model", "untrained", "-t", "all.json", "--tracks", "all.npz", "-y")
    with subprocess.Popen(
        line, cwd=analyzed, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        while not list(tmp_path.glob(".fervid-*.part")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == "fervid: interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_film_goes_into_a_pipe(analyzed: Path) -> None:
    done = subprocess.run(
        command(["annotate", "movie.mp4", "-t", "out.json", "--tracks", "geometry.npz", "-o", "-"]),
        cwd=analyzed,
        env=environment(),
        capture_output=True,
        check=True,
    )
    (analyzed / "piped.mkv").write_bytes(done.stdout)
    assert len(colours(analyzed / "piped.mkv")) == 20


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "Missing option '-o'"),
        (("-o", "a.avi"), 2, ".mp4"),
        (("-o", "a.mp4", "--tracks", "geometry.npz"), 2, "--timeline"),
        (("-o", "a.mp4", "-t", "out.json", "--model", "untrained"), 2, "--model"),
        (("-o", "a.mp4", "-t", "out.json", "--tracks", "geometry.npz", "-j1"), 2, "--jobs"),
        (("-o", "a.mp4", "-t", "out.jsonl"), 1, "no curves"),
        (("-o", "a.mp4", "-t", "movie.mp4"), 1, "is not a timeline"),
        (("-o", "a.mp4", "-t", "out.json", "--tracks", "out.jsonl"), 1, "--tracks"),
        (("-o", "a.mp4", "--draw", "faces"), 2, "boxes"),
        (("-o", "read.mp4"), 1, "use -y"),
        (("-o", "movie.mp4", "-y"), 1, "is an input"),
        (("-o", "no/a.mp4"), 1, "no folder"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line(
    options: tuple[str, ...],
    code: int,
    words: str,
    analyzed: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(analyzed)
    monkeypatch.delenv("FERVID_MODEL")
    done = call("annotate", "movie.mp4", *options)
    assert done.returncode == code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("fervid: error: ")
    assert words in line
    assert not (analyzed / "a.mp4").exists()
