"""What the writers write, and that it can be read back."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import fields as fields_of
from dataclasses import replace
from fractions import Fraction
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from make_golden import GOLDEN
from timelines import curve_at, read, read_back, text_of, video_at

from fervid import export
from fervid.errors import InputError, UsageError
from fervid.export.frames import geometry, openface, table
from fervid.export.timelines import fields, jsonl, reading
from fervid.export.timelines import json as whole
from fervid.export.timelines import peaks as peak_list
from fervid.labels import EMOTIONS, VALENCE_AROUSAL
from fervid.timeline import build, valence_arousal
from fervid.types import Curve, ModelInfo, Person, Rows, Segment, Settings, Status, Tally, Timeline, Video

BASE = Fraction(1, 12800)
START = 1024
STEP = 4096  # 0.32 s
CONTEMPT = (*EMOTIONS, "contempt")


def video_of(count: int = 100, **changes: object) -> Video:
    pts, rate = START + 512 * np.arange(count, dtype=np.int64), Fraction(24000, 1001)
    video = video_at(pts, BASE, path="/somewhere/secret/film.mp4", rotation=90, rate=rate)
    return replace(video, **{"clock_offset": START * BASE, **changes})


def model_of(labels: tuple[str, ...] = EMOTIONS) -> ModelInfo:
    return ModelInfo("hand", "cd" * 32, True, labels, ("one", "two"), {"code": "MIT"})


def curve_of(track: int, count: int = 30, labels: tuple[str, ...] = EMOTIONS) -> Curve:
    pts = START + STEP * np.arange(count, dtype=np.int64)
    rise = 0.9 * np.exp(-0.5 * ((np.arange(count) - count // 2) / 3) ** 2)
    scores = np.full((count, len(labels)), 1 / 700, np.float32)
    scores[:, labels.index("happiness")] += rise
    scores[:, labels.index("neutral")] += 1 - scores.sum(axis=1)
    return curve_at(
        track,
        pts,
        scores,
        labels,
        start=START,
        end=int(pts[-1]) + 512,
        frames=count * 8,
        hull=np.array([10.126, -3.5, 200, 220.04], np.float32),
        quality=np.linspace(0.5, 1, count, dtype=np.float32),
    )


def segment_of(track: int, start: int, end: int, emotion: str, labels: tuple[str, ...] = EMOTIONS) -> Segment:
    scores = np.full(len(labels), 0.05, np.float32)
    scores[labels.index(emotion)] = 1 - 0.05 * (len(labels) - 1)
    return Segment(track, start, end, emotion, scores, float(scores.max()), -0.0, 0.25, 0.5, 12)


def timeline_of(labels: tuple[str, ...] = EMOTIONS, people: tuple[Person, ...] = ()) -> Timeline:
    segments = [
        segment_of(0, START, START + 9000, "neutral", labels),
        segment_of(0, START + 9000, START + 40001, "happiness", labels),
        segment_of(1, START + 9000, START + 20000, labels[-1], labels),
    ]
    return build(
        video_of(),
        model_of(labels),
        Settings(start=Fraction(1, 4)),
        Tally(98, 90, 2, False),
        np.array([START, START + 25600], np.int64),
        [curve_of(0, labels=labels), curve_of(1, labels=labels)],
        segments,
        people,
    )


def empty() -> Timeline:
    """Return a film without a face."""
    none = np.array([START], np.int64)
    return build(video_of(), model_of(), Settings(), Tally(100), none, [], [])


def still() -> Timeline:
    """Return a photograph: one window and one segment."""
    video = video_of(1, rate=None, duration=512, clock_offset=Fraction(0))
    segment = replace(segment_of(0, START, START + 512, "fear"), frames=1)
    shots = np.array([START], np.int64)
    return build(video, model_of(), Settings(), Tally(1, 1), shots, [curve_of(0, 1)], [segment])


TIMELINES = {
    "film": timeline_of,
    "contempt": lambda: timeline_of(CONTEMPT),
    "empty": empty,
    "still": still,
    "no shots": lambda: replace(empty(), shots=np.empty(0, np.int64)),
    "no windows": lambda: replace(timeline_of(), curves=(no_windows(curve_of(0)),), segments=(), peaks=()),
    "people": lambda: timeline_of(people=(person_of("P1", (0,), "Anna"), person_of("P2", (1,)))),
}


def person_of(name: str, tracks: tuple[int, ...], called: str | None = None) -> Person:
    return Person(name, called, tracks, 120_000, START + 512, np.array([3, 4.125, 50, 50], np.float32))


def no_windows(curve: Curve) -> Curve:
    """Return a track without windows."""
    names = ("pts", "scores", "quality", "valence", "arousal", "intensity")
    return replace(curve, **{name: getattr(curve, name)[:0] for name in names})


def strict(text: str) -> dict[str, Any]:
    """Parse JSON strictly: no NaN, no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    result: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return result


# The timeline as JSON


@pytest.mark.parametrize("name", TIMELINES)
def test_every_timeline_fits_the_schema(name: str) -> None:
    schema = whole.schema()
    Draft202012Validator.check_schema(schema)
    timeline = TIMELINES[name]()
    Draft202012Validator(schema).validate(strict(text_of(timeline)))
    line = Draft202012Validator({"$ref": "#/$defs/line", "$defs": schema["$defs"]})
    for each in text_of(timeline, "jsonl").splitlines():
        line.validate(strict(each))


def objects_in(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(child)


def test_the_schema_is_closed_and_explains_every_field() -> None:
    schema = whole.schema()
    described = 0
    for shape in objects_in(schema):
        if shape.get("type") == "object":
            assert "additionalProperties" in shape and shape["additionalProperties"] is not True, shape
        properties = shape.get("properties")
        if isinstance(properties, dict) and shape.get("type") == "object":
            for name, field in properties.items():
                target = schema["$defs"][field["$ref"].split("/")[-1]] if "$ref" in field else field
                assert "const" in field or field.get("description") or target.get("description"), name
                described += 1
    assert described > 80
    broken = strict(text_of(timeline_of()))
    broken["surprise"] = 1
    assert not Draft202012Validator(schema).is_valid(broken)


def test_the_schema_knows_all_labels_and_settings_and_its_twins_agree() -> None:
    shapes_by_name = whole.schema()["$defs"]
    assert set(shapes_by_name["emotion"]["enum"]) == set(VALENCE_AROUSAL)
    assert set(shapes_by_name["settings"]["properties"]) == {field.name for field in fields_of(Settings)}
    for twin, name, extra in (
        ("segment_line", "segment", {"type"}),
        ("track", "track_summary", {"curve"}),
        ("source", "plan", {"complete"}),
    ):
        large, small = shapes_by_name[twin]["properties"], shapes_by_name[name]["properties"]
        assert set(large) - set(small) == extra
        assert all(large[field] == small[field] for field in set(small) - {"frames"})


def test_json_says_what_the_timeline_holds() -> None:
    content = strict(text_of(timeline_of()))
    assert content["schema_version"] == "1.3"
    assert content["source"] == {
        "name": "film.mp4",
        "sha256": "ab" * 32,
        "container": "mov,mp4",
        "codec": "h264",
        "time_base": "1/12800",
        "start": {"seconds": 0.0, "pts": 1024},
        "duration": {"seconds": 4.0, "pts": 51200},
        "clock_offset": 0.08,
        "rate": "24000/1001",
        "variable_rate": False,
        "timecode": None,
        "reel": None,
        "audio_channels": 0,
        "size": {"width": 1920, "height": 1080},
        "rotation": 90,
        "frames": {"planned": 100, "decoded": 98, "with_faces": 90, "undecodable": 2},
        "complete": False,
    }
    assert content["shots"] == [
        {"start": {"seconds": 0.0, "pts": 1024}, "end": {"seconds": 2.0, "pts": 26624}},
        {"start": {"seconds": 2.0, "pts": 26624}, "end": {"seconds": 4.0, "pts": 52224}},
    ]
    segment = content["segments"][1]
    assert segment["start"] == {"seconds": 0.703125, "pts": 10024}
    assert segment["scores"]["happiness"] == 0.7 and segment["valence"] == 0
    track = content["tracks"][0]
    assert track["box"] == {"x": 10.13, "y": -3.5, "width": 200.0, "height": 220.04}
    assert track["quality"] == 0.75
    curve = track["curve"]
    assert curve["seconds"][:3] == [0, 0.32, 0.64]
    assert np.sum(list(curve["scores"].values()), axis=0) == pytest.approx([1] * 30, abs=1e-5)
    assert {len(value) for value in (*curve["scores"].values(), curve["pts"], curve["valence"])} == {30}
    peaks = content["peaks"]
    assert [(peak["track"], peak["emotion"]) for peak in peaks] == [(0, "happiness"), (1, "happiness")]


def test_the_last_shot_ends_where_the_analysis_does() -> None:
    timeline = replace(empty(), settings=Settings(end=Fraction(5, 2)).as_json())
    (shot,) = fields.shots(timeline)
    assert shot["end"]["seconds"] == 2.5


def test_the_text_is_stable_readable_and_tells_no_secrets() -> None:
    text = text_of(timeline_of())
    assert text == text_of(timeline_of()) and text.isascii() and text.endswith("}\n")
    assert "secret" not in text and "-0.0," not in text
    assert '\n        "pts": [1024, 5120, ' in text  # an array on one line
    assert '\n      "start": {"seconds": 0.703125, "pts": 10024},' in text
    assert max(len(number) for number in text.replace(",", " ").split() if number[0].isdigit()) <= 9


@pytest.mark.parametrize(
    ("name", "shown"),
    [("fünf 五.mp4", "fünf 五.mp4"), ("caf\udce9.mp4", "caf\\xe9.mp4"), ("\ud800.mp4", "\\ud800.mp4")],
)
def test_any_file_name_can_be_written(name: str, shown: str) -> None:
    text = text_of(replace(empty(), source=video_of(name=name)))
    text.encode("utf-8")
    assert strict(text)["source"]["name"] == shown


def test_what_is_no_number_is_never_written() -> None:
    timeline = timeline_of()
    bad = replace(timeline.segments[0], confidence=float("nan"))
    curve = replace(timeline.curves[0], valence=np.full(30, np.inf, np.float32))
    for broken in (replace(timeline, segments=(bad,)), replace(timeline, curves=(curve,))):
        with pytest.raises(ValueError, match="JSON compliant"):
            text_of(broken)


# JSON Lines


def test_jsonl_streams_what_json_holds() -> None:
    timeline = timeline_of()
    stream = io.StringIO()
    jsonl.header(timeline.source, timeline.model, timeline.settings, stream)
    for segment in timeline.segments:
        jsonl.segment(segment, timeline.source, timeline.model.labels, stream)
    jsonl.summary(timeline, stream)
    assert stream.getvalue() == text_of(timeline, "jsonl")
    header, *segments, summary = (strict(line) for line in stream.getvalue().splitlines())
    document = strict(text_of(timeline))
    assert [header["type"], summary["type"]] == ["header", "summary"]
    assert [{"type": "segment", **segment} for segment in document["segments"]] == segments
    source = {**header["source"], "frames": summary["frames"], "complete": summary["complete"]}
    assert source == document["source"]
    for name in ("schema_version", "note", "model", "settings"):
        assert header[name] == document[name]
    for name in ("shots", "people", "peaks"):
        assert summary[name] == document[name]
    tracks = [{k: v for k, v in track.items() if k != "curve"} for track in document["tracks"]]
    assert summary["tracks"] == tracks and summary["segments"] == 3


# Reading back

PEAK = attrgetter("track", "emotion", "onset", "apex", "offset", "person")
SEGMENT = attrgetter("track", "start", "end", "emotion", "frames", "person")
CURVE = attrgetter("track", "start", "end", "frames")


@pytest.mark.parametrize("format", ["json", "jsonl"])
@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_a_timeline_is_read_back(format: str, name: str) -> None:
    timeline = TIMELINES[name]()
    text = text_of(timeline, format)
    result = read("\ufeff" + text)
    assert result.labels == timeline.model.labels
    assert fields.whole_source(result) == strict(text_of(timeline))["source"]
    assert text_of(result, format) == text, "written again it is the same"
    assert list(map(PEAK, result.peaks)) == list(map(PEAK, timeline.peaks))
    for peak, given in zip(result.peaks, timeline.peaks, strict=True):
        assert [peak.score, peak.prominence] == pytest.approx([given.score, given.prominence], abs=1e-6)
    assert list(map(SEGMENT, result.segments)) == list(map(SEGMENT, timeline.segments))
    for stretch, given in zip(result.segments, timeline.segments, strict=True):
        assert stretch.scores == pytest.approx(given.scores, abs=1e-6)
        assert stretch.confidence == pytest.approx(given.confidence, abs=1e-6)
    assert result.shots.tolist() == timeline.shots.tolist()
    assert list(map(CURVE, result.curves)) == list(map(CURVE, timeline.curves))
    for curve, drawn in zip(result.curves, timeline.curves, strict=True):
        rows = len(drawn.pts) if format == "json" else 0  # JSON Lines leave curves out
        assert curve.pts.tolist() == drawn.pts.tolist()[:rows]
        assert curve.scores == pytest.approx(drawn.scores[:rows], abs=1e-6)
        assert curve.arousal == pytest.approx(drawn.arousal[:rows], abs=1e-6)


@pytest.mark.parametrize("format", export.TIMELINES)
@pytest.mark.parametrize("name", TIMELINES)
def test_every_format_is_the_same_of_a_timeline_read_back(format: str, name: str) -> None:
    timeline = TIMELINES[name]()
    assert text_of(read_back(timeline), format) == text_of(timeline, format)


def test_the_golden_timeline_is_the_same_written_again() -> None:
    text = GOLDEN.read_text("utf-8")
    assert text_of(read(text)) == text


@pytest.mark.parametrize("format", ["json", "csv", "windows"])
def test_json_lines_have_no_curves_to_write(format: str) -> None:
    with pytest.raises(InputError, match=r"JSON Lines have no curves.*write the timeline as JSON"):
        text_of(read_back(timeline_of(), "jsonl"), format)


def test_json_on_one_line_is_read_too() -> None:
    assert len(read(changed()).peaks) == 2


def changed(**changes: object) -> str:
    return json.dumps({**strict(text_of(timeline_of())), **changes})


def with_source(**changes: object) -> str:
    return changed(source=strict(text_of(timeline_of()))["source"] | changes)


LINES = text_of(timeline_of(), "jsonl").splitlines(keepends=True)
WRONG = (("rate", "0/1"), ("rate", "fast"), ("size", {}), ("timecode", "noon"), ("timecode", 5))
LONG = (("rate", "1e99999999"), ("time_base", "1e-9999999"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "is empty"),
        ("no JSON at all", "not JSON, or was cut off"),
        (text_of(timeline_of())[:-200], "not JSON, or was cut off"),
        ("".join(LINES[:-1]), "cut off"),
        ("".join(LINES)[:-100], "cut off"),
        ("".join(LINES + LINES), "several timelines"),
        ("[1, 2]", "not a timeline of fervid"),
        ('{"a": 1}', "not a timeline of fervid"),
        ("[" * 100_000, "not a timeline of fervid|not JSON"),
        (changed(schema_version="2.0"), "schema version 2.0, this fervid reads 1.3"),
        (changed(schema_version=1), "not a timeline of fervid"),
        (changed(peaks=[{"track": 0}]), "damaged"),
        (changed(peaks=None), "damaged"),
        (with_source(time_base="1/0"), "damaged"),
        (with_source(time_base="-1/2"), "damaged"),
        *((with_source(**{name: value}), "is damaged") for name, value in WRONG + LONG),
        (text_of(timeline_of()).replace('"min_segment": 0.3', '"min_segment": 1e999'), "damaged"),
        (changed(source=None), "damaged"),
        (changed(model={}), "damaged"),
        (text_of(timeline_of()).replace('"prominence": 0', '"prominence": 1e999, "old": 0'), "damaged"),
        (text_of(timeline_of()).replace('"valence": 0', '"valence": NaN, "old": 0'), "not JSON"),
    ],
)
def test_a_damaged_timeline_is_an_error(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(text)


def test_the_error_of_a_binary_file_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42\xff\xfe\xfd")
    with path.open(encoding="utf-8") as stream, pytest.raises(InputError, match=r"film\.mp4 is not text"):
        reading.read(stream)


def test_a_later_minor_version_is_read() -> None:
    assert len(read(changed(schema_version="1.7", novelty=[])).peaks) == 2


@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_a_segment_below_half_is_uncertain_in_every_file(format: str) -> None:
    """Also where the score is 0.5 only after rounding, and in timelines without the field."""
    timeline = timeline_of()
    scores = (0.31, 0.4999997, 0.499999)
    segments = (
        replace(each, confidence=score) for each, score in zip(timeline.segments, scores, strict=True)
    )
    timeline = replace(timeline, segments=tuple(segments))
    text = text_of(timeline, format)
    assert [each.is_uncertain for each in timeline.segments] == [True, False, True]
    assert (text.count('"uncertain": true'), text.count('"uncertain": false')) == (2, 1)
    old = re.sub(r'"uncertain": \w+, |\n *"uncertain": \w+,', "", text).replace('"1.3"', '"1.1"')
    assert "uncertain" not in old
    if format == "json":
        Draft202012Validator(whole.schema()).validate(strict(old))
    for written in (text, old):
        assert [each.is_uncertain for each in read(written).segments] == [True, False, True]
    rows = list(csv.DictReader(text_of(timeline, "segments").splitlines()))
    assert [row["uncertain"] for row in rows] == ["true", "false", "true"]


# Rows


def rows_of(count: int, first: int = 0, labels: tuple[str, ...] = EMOTIONS) -> Rows:
    """Return frames of which every fourth shows no face and every fifth an unreadable face."""
    generator = np.random.default_rng(first)
    frame = np.arange(first, first + count, dtype=np.int64)
    status = np.where(frame % 5 == 4, Status.LOW_QUALITY, Status.OK)
    status = np.where(frame % 4 == 3, Status.NO_FACE, status).astype(np.uint8)
    absent = status == Status.NO_FACE

    def values(*shape: int) -> np.ndarray:
        result = generator.random((count, *shape)).astype(np.float32)
        result[absent] = np.nan
        return result

    scores = values(len(labels))
    return Rows(
        frame=frame,
        pts=START + 512 * frame,
        track=np.where(absent, -1, 2),
        status=status,
        box=values(4) * 100,
        landmarks=values(68, 2) * 100,
        pose=values(3),
        quality=values(),
        scores=(scores / scores.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def table_of(chunks: list[Rows], **options: object) -> list[dict[str, str]]:
    stream = io.StringIO()
    table.write(chunks, video_of(), EMOTIONS, stream, **options)
    return list(csv.DictReader(io.StringIO(stream.getvalue())))


def test_frames_have_a_row_each() -> None:
    chunk = rows_of(20)
    table = table_of([chunk], people={2: "P1, the first"})
    facts, box = ["frame", "pts", "time", "track", "person", "status"], ["x", "y", "width", "height"]
    assert list(table[0]) == [*facts, *box, "emotion", *EMOTIONS, "valence", "arousal", "quality"]
    assert [int(row["frame"]) for row in table] == list(range(20))
    assert [int(row["pts"]) for row in table] == chunk.pts.tolist()
    assert table[1]["time"] == "0.040000"
    for index, row in enumerate(table):
        status = Status(int(chunk.status[index]))
        assert row["status"] == status.label
        filled = {name for name, value in row.items() if value}
        if status is Status.NO_FACE:
            assert filled == {"frame", "pts", "time", "status"}
            continue
        assert filled == set(row) - ({"emotion"} if status is Status.LOW_QUALITY else set())
        assert (row["track"], row["person"]) == ("2", "P1, the first")
        scores = [float(row[name]) for name in EMOTIONS]
        assert scores == pytest.approx(chunk.scores[index].tolist(), abs=1e-6)
        assert status is not Status.OK or row["emotion"] == EMOTIONS[int(np.argmax(scores))]
        assert float(row["x"]) == pytest.approx(chunk.box[index, 0], abs=0.006)
        ((valence,), (arousal,)) = valence_arousal(chunk.scores[index : index + 1], EMOTIONS)
        assert [float(row["valence"]), float(row["arousal"])] == pytest.approx([valence, arousal], abs=1e-6)


def test_frames_without_scores_keep_their_box() -> None:
    chunk = rows_of(3)
    row = table_of([replace(chunk, scores=np.full((3, 7), np.nan, np.float32))])[0]
    assert row["status"] == "ok" and row["x"]
    assert not row["emotion"] and not row["anger"] and not row["valence"]


@pytest.mark.parametrize("format", sorted(export.FRAMES))
def test_rows_do_not_depend_on_the_chunks(format: str) -> None:
    texts = []
    for cuts in ((40,), (1, 17, 17, 40)):
        chunk, stream = rows_of(40), io.StringIO()
        parts = [part(chunk, low, high) for low, high in zip((0, *cuts), cuts, strict=False)]
        export.FRAMES[format].write(iter(parts), video_of(), EMOTIONS, stream)
        texts.append(stream.getvalue())
    assert texts[0] == texts[1] and texts[0].count("\n") == 41


def part(rows: Rows, low: int, high: int) -> Rows:
    return Rows(**{field.name: getattr(rows, field.name)[low:high] for field in fields_of(Rows)})


def test_openface_rows_load_as_openface_wrote_them() -> None:
    chunk, stream = rows_of(20), io.StringIO()
    openface.write([chunk], video_of(), EMOTIONS, stream)
    header = stream.getvalue().splitlines()[0]
    assert header.startswith("frame,face_id,timestamp,confidence,success,x_0,x_1,")
    assert header.endswith(",x_67,y_0," + ",".join(f"y_{point}" for point in range(1, 68)))
    table = np.loadtxt(io.StringIO(stream.getvalue()), delimiter=",", skiprows=1)
    assert table.shape == (20, 5 + 136)
    assert (table[:, 0] == np.arange(1, 21)).all()
    assert table[:, 2] == pytest.approx(np.arange(20) * 0.04)
    absent = chunk.status == Status.NO_FACE
    assert (table[absent][:, [1, *range(3, 141)]] == 0).all()
    assert (table[:, 4] == (chunk.status == Status.OK)).all()
    assert (table[~absent, 1] == 2).all()
    assert table[~absent, 3] == pytest.approx(chunk.quality[~absent], abs=6e-4)
    assert table[~absent, 5:73] == pytest.approx(chunk.landmarks[~absent, :, 0], abs=6e-3)
    assert table[~absent, 73:] == pytest.approx(chunk.landmarks[~absent, :, 1], abs=6e-3)


def test_geometry_loads_without_pickle(tmp_path: Path) -> None:
    chunk = rows_of(50)
    chunks = [part(chunk, 0, 7), part(chunk, 7, 7), part(chunk, 7, 50)]
    path = tmp_path / "geometry.npz"
    geometry.write(lambda: iter(chunks), 50, video_of(), EMOTIONS, path)
    with np.load(path, allow_pickle=False) as result:
        for field in fields_of(Rows):
            values = getattr(chunk, field.name)
            assert result[field.name].dtype == values.dtype
            np.testing.assert_array_equal(result[field.name], values)
        assert result["labels"].tolist() == list(EMOTIONS)
        assert result["time_base"].tolist() == [1, 12800] and result["start"] == START
        assert "yaw, pitch, roll" in str(result["note"])
    stream = io.BytesIO()
    geometry.write(lambda: [chunk], 50, video_of(), EMOTIONS, stream)
    assert stream.getvalue() == path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_geometry_of_nothing_and_into_a_pipe() -> None:
    reader, writer = os.pipe()
    with open(writer, "wb") as pipe:
        geometry.write(list, 0, video_of(), CONTEMPT, pipe)
    with open(reader, "rb") as pipe:
        content = pipe.read()
    with np.load(io.BytesIO(content), allow_pickle=False) as result:
        assert result["landmarks"].shape == (0, 68, 2) and result["scores"].shape == (0, 8)


def test_geometry_refuses_a_wrong_count_or_shape() -> None:
    with pytest.raises(ValueError, match="there should be 9 rows, got 5"):
        geometry.write(lambda: [rows_of(5)], 9, video_of(), EMOTIONS, io.BytesIO())
    with pytest.raises(ValueError, match="scores should have rows"):
        geometry.write(lambda: [rows_of(5)], 5, video_of(), CONTEMPT, io.BytesIO())


# Lists of peaks


def peaks_text(format: str, timeline: Timeline) -> str:
    stream = io.StringIO()
    export.PEAKS[format].write(timeline, stream)
    return stream.getvalue()


@pytest.mark.parametrize("format", export.PEAKS)
def test_peaks_read_back_are_written_as_peaks_just_found(format: str) -> None:
    timeline = timeline_of()
    source = strict(text_of(timeline))["source"]
    result = peaks_text(format, timeline)
    assert result == peaks_text(format, read_back(timeline))
    if format == "json":
        rows = strict(result)["peaks"]
        assert strict(result)["source"] == source
    elif format == "jsonl":
        rows = [strict(line) for line in result.splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO(result)))
        apex = timeline.peaks[0].apex
        assert (rows[0]["time"], rows[0]["pts"]) == (str(round((apex - START) / 12800, 6)), str(apex))
        assert rows[0]["person"] == ""
    assert [int(row["rank"]) for row in rows] == [1, 2]
    assert {row["emotion"] for row in rows} == {"happiness"}


def test_no_peaks_are_still_a_list() -> None:
    assert strict(peaks_text("json", empty()))["peaks"] == []
    assert peaks_text("jsonl", empty()) == ""
    assert peaks_text("csv", empty()).splitlines() == [",".join(peak_list.COLUMNS)]


def test_an_unknown_format_names_those_that_are() -> None:
    with pytest.raises(UsageError, match="json, jsonl, csv, windows"):
        export.choose(export.TIMELINES, "-", "yaml")
