"""What `fervid export` writes, read back by the programs' own libraries."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pympi
import pytest
import webvtt
from conftest import CLIP, Call, command, environment
from jsonschema import Draft202012Validator
from praatio import textgrid as praat
from test_cli import says
from test_export import (
    BASE,
    START,
    STEP,
    TIMELINES,
    curve_of,
    person_of,
    rows_of,
    segment_of,
    text_of,
    timeline_of,
    video_of,
)

from fervid import export
from fervid.errors import InputError, UsageError
from fervid.export.frames import geometry, openface
from fervid.export.timelines import json as whole
from fervid.export.timelines import reading, subtitles, tiers
from fervid.export.timelines.shapes import NOTE
from fervid.export.timelines.subtitles import Cue
from fervid.labels import EMOTIONS
from fervid.types import Timeline

OFFSET = 0.08  # where the first frame of `video_of` stands on the player's clock
MALICIOUS = '<img onerror="x"> & \\N{b}\n\n--> 00:00 "Bob"\x07 ]]> \ud83d Zoë'
SHOWN = '<img onerror="x"> & \\N{b} --> 00:00 "Bob" ]]> \\ud83d Zoë'


def read_back(timeline: Timeline, form: str = "json") -> Timeline:
    return reading.read(io.StringIO(text_of(timeline, form)))


def written(timeline: Timeline, form: str) -> str:
    stream = io.StringIO()
    export.TIMELINES[form].write(timeline, stream)
    return stream.getvalue()


def table_of(timeline: Timeline, form: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(timeline, form), newline="")))


def peopled(*names: str | None, tracks: tuple[int, ...] = (0, 1)) -> Timeline:
    """The film with a person for each track, called by name where there is one."""
    ids = {track: f"P{index}" for index, track in enumerate(tracks, 1)}
    timeline = timeline_of()
    timeline = replace(
        timeline,
        people=tuple(
            person_of(person, (track,), name)
            for (track, person), name in zip(ids.items(), names, strict=True)
        ),
        curves=tuple(replace(curve, person=ids[curve.track]) for curve in timeline.curves),
        segments=tuple(replace(each, person=ids[each.track]) for each in timeline.segments),
        peaks=tuple(replace(each, person=ids[each.track]) for each in timeline.peaks),
    )
    return read_back(timeline)


def spans(timeline: Timeline) -> list[tuple[float, float, str]]:
    """Every segment on the player's clock, in seconds."""
    rows = [
        (
            float(tiers.player_seconds(timeline, each.start)),
            float(tiers.player_seconds(timeline, each.end)),
            each.emotion,
        )
        for each in timeline.segments
    ]
    return sorted(rows)


# --- subtitles


def cues_by_ffmpeg(path: Path) -> list[tuple[float, float, str]]:
    """As FFmpeg reads them, which most players do."""
    rows = []
    with av.open(str(path)) as container:
        for packet in container.demux(subtitles=0):
            if packet.pts is not None:
                start = float(packet.pts * packet.time_base)
                rows.append((start, start + float(packet.duration * packet.time_base), bytes(packet)))
    return sorted((start, end, text.decode()) for start, end, text in rows)


@pytest.mark.parametrize("form", subtitles.FORMATS)
@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_segments_are_subtitles_at_the_player_s_times(name: str, form: str, tmp_path: Path) -> None:
    timeline = read_back(TIMELINES[name]())
    path = tmp_path / f"film.{form}"
    path.write_text(written(timeline, form), "utf-8")
    if not timeline.segments and form == "srt":
        assert path.read_text() == ""
        return
    result = cues_by_ffmpeg(path)
    assert len(result) == len(timeline.segments)
    for (start, end, text), (low, high, emotion) in zip(result, spans(timeline), strict=True):
        assert (start, end) == pytest.approx((low, high), abs=5.01e-4)
        assert emotion in text


def test_a_cue_says_whose_face_where_there_are_several(tmp_path: Path) -> None:
    (tmp_path / "film.vtt").write_text(written(peopled("Anna", None), "vtt"), "utf-8")
    texts = [caption.text for caption in webvtt.read(str(tmp_path / "film.vtt"))]
    assert texts == ["Anna: neutral 0.70", "Anna: happiness 0.70", "P2: neutral 0.70"]
    alone = replace(read_back(timeline_of()), segments=read_back(timeline_of()).segments[:2])
    assert [cue.text for cue in subtitles.cues(alone)] == ["neutral 0.70", "happiness 0.70"]


def test_vtt_tells_what_scores_mean() -> None:
    assert f"NOTE\n{NOTE}\n" in written(read_back(timeline_of()), "vtt")


@pytest.mark.parametrize("form", subtitles.FORMATS)
def test_cues_come_in_order_last_a_millisecond_and_pass_an_hour(form: str, tmp_path: Path) -> None:
    cues = [
        Cue(Fraction(360_000), Fraction(360_001), "late"),  # 100 hours
        Cue(Fraction(3661, 1), Fraction(3661, 1), "an hour"),
        Cue(Fraction(-1), Fraction(1, 3), "early"),
    ]
    stream = io.StringIO()
    subtitles.write(cues, stream, form)
    path = tmp_path / f"x.{form}"
    path.write_text(stream.getvalue(), "utf-8")
    assert cues_by_ffmpeg(path)[:2] == [
        (0.0, pytest.approx(0.333), "early"),
        (3661.0, pytest.approx(3661.001), "an hour"),
    ]
    assert f"100:00:00{',' if form == 'srt' else '.'}000 --> " in stream.getvalue()
    with pytest.raises(UsageError, match="srt, vtt"):
        subtitles.write(cues, io.StringIO(), "ass")


def test_odd_names_stay_text_in_subtitles(tmp_path: Path) -> None:
    timeline = peopled(MALICIOUS, "Ben")
    for form in subtitles.FORMATS:
        (tmp_path / f"x.{form}").write_text(written(timeline, form), "utf-8")
        assert len(cues_by_ffmpeg(tmp_path / f"x.{form}")) == 3
    captions = list(webvtt.read(str(tmp_path / "x.vtt")))
    assert html.unescape(captions[0].text) == f"{SHOWN}: neutral 0.70"
    assert "<img" not in written(timeline, "vtt")


# --- tables


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_the_long_table_has_a_row_per_track_window_and_emotion(name: str) -> None:
    timeline = read_back(TIMELINES[name]())
    rows = table_of(timeline, "csv")
    assert len(rows) == sum(len(curve.pts) for curve in timeline.curves) * len(timeline.labels)
    for curve in timeline.curves:
        ours = [row for row in rows if row["track"] == str(curve.track)]
        scores = np.array([float(row["score"]) for row in ours]).reshape(-1, len(timeline.labels))
        assert scores == pytest.approx(curve.scores, abs=1e-6)
        assert [row["emotion"] for row in ours] == list(timeline.labels) * len(curve.pts)
        times = [float(row["time"]) for row in ours[:: len(timeline.labels)]]
        assert times == pytest.approx([float((pts - START) * BASE) for pts in curve.pts.tolist()], abs=1e-6)


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_the_wide_table_has_a_row_per_track_and_window(name: str) -> None:
    timeline = read_back(TIMELINES[name]())
    rows = table_of(timeline, "windows")
    assert len(rows) == sum(len(curve.pts) for curve in timeline.curves)
    for curve in timeline.curves:
        ours = [row for row in rows if row["track"] == str(curve.track)]
        for measure in ("valence", "arousal", "intensity", "quality"):
            result = [float(row[measure]) for row in ours]
            assert result == pytest.approx(getattr(curve, measure).tolist(), abs=1e-6)
        for column, label in enumerate(timeline.labels):
            assert [float(row[label]) for row in ours] == pytest.approx(
                curve.scores[:, column].tolist(), abs=1e-6
            )


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_the_table_of_segments_has_a_row_each(name: str, form: str) -> None:
    timeline = read_back(TIMELINES[name](), form)
    rows = table_of(timeline, "segments")
    assert len(rows) == len(timeline.segments)
    for row, segment in zip(rows, timeline.segments, strict=True):
        assert (row["emotion"], row["start_pts"]) == (segment.emotion, str(segment.start))
        assert row["person"] == (segment.person or "")
        assert float(row["end"]) - float(row["start"]) == pytest.approx(float(row["duration"]), abs=2e-6)
        assert [float(row[label]) for label in timeline.labels] == pytest.approx(
            segment.scores.tolist(), abs=1e-6
        )


def test_tables_tell_a_person_s_id_and_name() -> None:
    timeline = peopled("Anna, the first", None)
    for form in ("csv", "windows", "segments"):
        owners = {(row["track"], row["person"], row["name"]) for row in table_of(timeline, form)}
        assert owners == {("0", "P1", "Anna, the first"), ("1", "P2", "")}


@pytest.mark.parametrize("form", ["csv", "windows"])
def test_json_lines_have_no_curves_to_make_a_table_of(form: str) -> None:
    with pytest.raises(InputError, match=r"JSON Lines have no curves.*write the timeline as JSON"):
        written(read_back(timeline_of(), "jsonl"), form)


# --- JSON Lines


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_json_becomes_the_json_lines_that_analyze_writes(name: str) -> None:
    timeline = TIMELINES[name]()
    rows = [json.loads(line) for line in written(read_back(timeline), "jsonl").splitlines()]
    direct = [json.loads(line) for line in text_of(timeline, "jsonl").splitlines()]
    for lines in (rows, direct):
        for track in lines[-1]["tracks"]:  # a mean of numbers that were rounded meanwhile
            track["quality"] = None if track["quality"] is None else round(track["quality"], 4)
    assert rows == direct
    schema = whole.schema()
    line = Draft202012Validator({"$ref": "#/$defs/line", "$defs": schema["$defs"]})
    for each in rows:
        line.validate(each)


# --- TextGrid


def praat_reads(text: str, tmp_path: Path) -> praat.Textgrid:
    path = tmp_path / "film.TextGrid"
    path.write_text(text, "utf-8")
    return praat.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_praat_reads_every_segment_and_peak(name: str, tmp_path: Path) -> None:
    timeline = read_back(TIMELINES[name]())
    grid = praat_reads(written(timeline, "textgrid"), tmp_path)
    assert grid.tierNames[-2:] == ("peaks", "note")
    assert [entry.label for entry in grid.getTier("note").entries] == [NOTE]
    entries = sorted(
        (entry.start, entry.end, entry.label)
        for tier in grid.tierNames[:-2]
        for entry in grid.getTier(tier).entries
    )
    for (start, end, emotion), (low, high, given) in zip(entries, spans(timeline), strict=True):
        assert (start, end) == pytest.approx((low, high), abs=1e-6)
        assert emotion == given
    apexes = [float(tiers.player_seconds(timeline, peak.apex)) for peak in timeline.peaks]
    points = [point.time for point in grid.getTier("peaks").entries]
    assert points == pytest.approx(sorted(set(apexes)), abs=1e-6)


def test_peaks_at_one_moment_share_a_point(tmp_path: Path) -> None:
    timeline = read_back(timeline_of())
    (first, second) = timeline.peaks
    assert first.apex == second.apex
    (point,) = praat_reads(written(timeline, "textgrid"), tmp_path).getTier("peaks").entries
    assert point.label.startswith(f"track 0: happiness {first.score:.2f}; track 1: happiness")


def test_tiers_are_people_and_nobody_s_name_breaks_them(tmp_path: Path) -> None:
    timeline = peopled(MALICIOUS, MALICIOUS)
    grid = praat_reads(written(timeline, "textgrid"), tmp_path)
    assert grid.tierNames == (SHOWN, f"{SHOWN} (2)", "peaks", "note")
    called = praat_reads(written(peopled("peaks", "note"), "textgrid"), tmp_path)
    assert called.tierNames == ("peaks", "note", "peaks (2)", "note (2)")


def overlapping() -> Timeline:
    """One person who is seen twice at once, as in a mirror, and again later."""
    result = read_back(timeline_of())
    later = replace(segment_of(2, START + 50000, START + 51200, "fear"), person="P1")
    segments = (*(replace(each, person="P1") for each in result.segments), later)
    curves = tuple(replace(curve, person="P1") for curve in (*result.curves, curve_of(2)))
    return replace(result, segments=segments, curves=curves, people=(person_of("P1", (0, 1, 2)),))


def test_a_person_seen_twice_at_once_has_two_tiers(tmp_path: Path) -> None:
    timeline = overlapping()
    result = tiers.tiers(timeline)
    assert [(tier.name, len(tier.segments)) for tier in result] == [("P1", 3), ("P1 (2)", 1)]
    assert praat_reads(written(timeline, "textgrid"), tmp_path).tierNames[:2] == ("P1", "P1 (2)")
    assert len(elan_reads(written(timeline, "eaf"), tmp_path).get_annotation_data_for_tier("P1 (2)")) == 1


# --- EAF


def elan_reads(text: str, tmp_path: Path) -> pympi.Eaf:
    path = tmp_path / "film.eaf"
    path.write_text(text, "utf-8")
    return pympi.Eaf(str(path))


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_pympi_reads_every_segment_and_peak(name: str, tmp_path: Path) -> None:
    timeline = read_back(TIMELINES[name]())
    elan = elan_reads(written(timeline, "eaf"), tmp_path)
    names = list(elan.get_tier_names())
    assert names[-1] == "peaks"
    rows = sorted(row for tier in names[:-1] for row in elan.get_annotation_data_for_tier(tier))
    given = [(round(low * 1000), round(high * 1000), emotion) for low, high, emotion in spans(timeline)]
    assert rows == given
    apexes = sorted({round(tiers.player_seconds(timeline, peak.apex) * 1000) for peak in timeline.peaks})
    assert [start for start, _, _ in elan.get_annotation_data_for_tier("peaks")] == apexes
    (medium,) = elan.get_linked_files()
    assert medium["RELATIVE_MEDIA_URL"] == "./film.mp4"
    assert medium["MIME_TYPE"] == "video/mp4"
    assert dict(elan.get_properties())["note"] == NOTE
    slots = [elan.timeslots[f"ts{index}"] for index in range(1, len(elan.timeslots) + 1)]
    assert slots == sorted(slots)


def test_elan_is_offered_the_emotions_and_knows_who_is_who(tmp_path: Path) -> None:
    elan = elan_reads(written(peopled("Anna", None), "eaf"), tmp_path)
    entries = elan.get_cv_entries("visible expression")
    assert [values[0][0] for values, _ in entries.values()] == list(EMOTIONS)
    kind = elan.get_parameters_for_linguistic_type("expression")
    assert kind["CONTROLLED_VOCABULARY_REF"] == "visible expression"
    assert elan.get_parameters_for_tier("Anna")["PARTICIPANT"] == "Anna"
    assert elan.get_parameters_for_tier("P2")["ANNOTATOR"] == "fervid, model hand"


def test_names_are_escaped_in_eaf(tmp_path: Path) -> None:
    timeline = peopled(MALICIOUS, "&amp;")
    source = replace(timeline.source, name='a "b" & <c> ü#?.mp4')
    elan = elan_reads(written(replace(timeline, source=source), "eaf"), tmp_path)
    assert list(elan.get_tier_names()) == [SHOWN, "&amp;", "peaks"]
    assert elan.get_linked_files()[0]["MEDIA_URL"] == "./a%20%22b%22%20%26%20%3Cc%3E%20%C3%BC%23%3F.mp4"


def test_no_annotation_of_a_tier_overlaps_or_is_empty(tmp_path: Path) -> None:
    timeline = read_back(timeline_of())
    tick = [segment_of(0, START + index, START + index + 1, "fear") for index in range(3)]
    first, second = timeline.peaks
    near = (first, replace(second, apex=first.apex + 256))  # 20 ms later
    timeline = replace(timeline, segments=tuple(tick), peaks=near)
    elan = elan_reads(written(timeline, "eaf"), tmp_path)
    for tier in elan.get_tier_names():
        rows = sorted(elan.get_annotation_data_for_tier(tier))
        assert len(rows) > 1
        assert all(start < end for start, end, _ in rows)
        assert all(one[1] <= other[0] for one, other in pairwise(rows))


# --- frames of an archive


def archive(path: Path, count: int = 50) -> Path:
    chunk = rows_of(count)
    geometry.write(lambda: [chunk], count, video_of(), EMOTIONS, path)
    return path


def test_an_archive_gives_the_openface_rows_that_the_video_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct, again = io.StringIO(), io.StringIO()
    openface.write([rows_of(50)], video_of(), EMOTIONS, direct)
    monkeypatch.setattr(geometry, "CHUNK", 7)
    stored = geometry.read(str(archive(tmp_path / "g.npz")))
    assert stored.labels == EMOTIONS
    assert [len(rows) for rows in stored.rows()] == [7] * 7 + [1]
    openface.write(stored.rows(), stored, stored.labels, again)
    assert again.getvalue() == direct.getvalue()


def resaved(path: Path, **changes: np.ndarray | None) -> Path:
    with np.load(archive(path)) as result:
        columns = {**result, **changes}
    np.savez_compressed(path, **{name: value for name, value in columns.items() if value is not None})
    return path


def test_an_archive_that_numpy_saved_again_is_read(tmp_path: Path) -> None:
    stored = geometry.read(str(resaved(tmp_path / "g.npz")))
    (rows,) = stored.rows()
    np.testing.assert_array_equal(rows.landmarks, rows_of(50).landmarks)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: resaved(path, landmarks=None),
        lambda path: resaved(path, time_base=None),
        lambda path: resaved(path, time_base=np.array([1, 0])),
        lambda path: resaved(path, pts=np.arange(3)),
        lambda path: resaved(path, landmarks=np.zeros((50, 5, 2), np.float32)),
        lambda path: resaved(path, quality=np.array([None] * 50)),
        lambda path: path.write_bytes(archive(path).read_bytes()[:3000]),
        lambda path: zipfile.ZipFile(path, "w").close(),
        lambda path: path.write_bytes(archive(path).read_bytes().replace(b"(50, 68, 2)", b"(90, 68, 2)")),
    ],
    ids=["no landmarks", "no clock", "no rate", "short", "5 points", "objects", "cut off", "empty", "long"],
)
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "g.npz"
    damage(path)
    with pytest.raises(InputError, match=r"not an archive of .*--tracks., or is damaged"):
        list(geometry.read(str(path)).rows())


# --- the command


@pytest.fixture
def call(call: Call, tmp_path: Path) -> Call:
    """The same in a folder with out.json, out.jsonl and g.npz."""
    for form in ("json", "jsonl"):
        (tmp_path / f"out.{form}").write_text(text_of(timeline_of(), form), "utf-8")
    archive(tmp_path / "g.npz")
    return call


@pytest.mark.parametrize(
    ("target", "form"),
    [
        ("a.srt", "srt"),
        ("a.vtt", "vtt"),
        ("a.csv", "csv"),
        ("a.TextGrid", "textgrid"),
        ("a.eaf", "eaf"),
        ("a.jsonl", "jsonl"),
    ],
)
def test_the_suffix_tells_the_format(call: Call, tmp_path: Path, target: str, form: str) -> None:
    done = call("export", "out.json", "-o", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / target).read_text("utf-8") == written(read_back(timeline_of()), form)
    assert call("export", "out.json", "-f", form).stdout == (tmp_path / target).read_text("utf-8")


@pytest.mark.parametrize("form", sorted(export.FRAMES))
def test_frames_come_from_an_archive(call: Call, form: str) -> None:
    stream = io.StringIO()
    export.FRAMES[form].write([rows_of(50)], video_of(), EMOTIONS, stream)
    assert call("export", "g.npz", "-f", form).stdout == stream.getvalue()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["out.json"], 2, ["--format", "srt", "openface"]),
        (
            ["out.json", "-o", "x.txt"],
            2,
            ["unknown suffix, .txt", "srt (.srt)", "openface (.csv)"],
        ),
        (["out.json", "-f", "srt", "-o", "x.vtt"], 2, ["x.vtt is not a file name for srt", "vtt (.vtt)"]),
        (["out.json", "-f", "yaml"], 2, ["json", "jsonl"]),
        (["out.json", "-f", "openface"], 1, ["row for every frame", "--tracks"]),
        (["g.npz", "-f", "srt"], 1, ["is an archive of frames", "openface"]),
        (["out.jsonl", "-f", "csv"], 1, ["JSON Lines have no curves"]),
        (["none.json", "-f", "srt"], 1, ["none.json", "no such file"]),
        ([".", "-f", "srt"], 1, ["cannot be read"]),
        ([CLIP, "-f", "srt"], 1, ["clip.mp4 is not a timeline", "fervid analyze"]),
        (["empty", "-f", "srt"], 1, ["empty"]),
        (["cut.json", "-f", "srt"], 1, ["cut.json", "cut off"]),
        (["cut.jsonl", "-f", "srt"], 1, ["cut.jsonl", "cut off"]),
        (["future.json", "-f", "srt"], 1, ["schema version 9."]),
        (["strange.json", "-f", "srt"], 1, ["damaged", "'bored' is not a label"]),
        (["sourceless.json", "-f", "eaf"], 1, ["damaged", "clock_offset"]),
        (["rateless.json", "-f", "srt"], 1, ["damaged", "rate"]),
        (["countless.json", "-f", "jsonl"], 1, ["damaged", "planned"]),
        (["out.json", "-o", "none/a.srt"], 1, ["no folder"]),
        (["out.json", "-o", "out.jsonl"], 1, ["exists already"]),
        (["out.json", "-f", "srt", "-y", "-o", "out.json"], 1, ["is an input"]),
        (["out.json", "-f", "srt", "-o", "."], 1, ["is a folder"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_what_cannot_be_exported_is_one_line(
    call: Call, tmp_path: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    text, lines = text_of(timeline_of()), text_of(timeline_of(), "jsonl")
    (tmp_path / "empty").write_text("")
    (tmp_path / "cut.json").write_text(text[:-300])
    (tmp_path / "cut.jsonl").write_text(lines[: lines.rindex('{"type": "summary"')])
    (tmp_path / "future.json").write_text(text.replace('"schema_version": "1.', '"schema_version": "9.'))
    (tmp_path / "strange.json").write_text(text.replace('"emotion": "neutral"', '"emotion": "bored"'))
    (tmp_path / "sourceless.json").write_text(text.replace('"clock_offset"', '"clock"'))
    (tmp_path / "rateless.json").write_text(text.replace('"24000/1001"', '"0/1"'))
    (tmp_path / "countless.json").write_text(text.replace('"planned"', '"old"'))
    before = sorted(os.listdir())
    says(call("export", *arguments), code, *words)
    assert sorted(os.listdir()) == before


def test_a_film_without_faces_is_exported_and_said(call: Call, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text(text_of(TIMELINES["empty"]()))
    done = call("export", "none.json", "-f", "segments")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "no face was read" in done.stderr
    assert call("-q", "export", "none.json", "-f", "segments").stderr == ""


def test_a_pipe_at_either_end(tmp_path: Path) -> None:
    text = text_of(timeline_of()).encode()
    line = command(["export", "-", "-f", "eaf"])
    done = subprocess.run(line, input=text, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == written(read_back(timeline_of()), "eaf")


def test_a_reader_who_leaves_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text(text_of(timeline_of()))
    line = command(["export", tmp_path / "out.json", "-f", "csv"])
    with subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        output = process.stderr.read()
        assert (process.wait(), output) == (1, b"")


def test_help_is_instant() -> None:
    look = "import sys; from fervid.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    for name in ("export", "compare"):
        done = subprocess.run(
            [sys.executable, "-c", look, name, "--help"], env=environment(), capture_output=True, text=True
        )
        loaded = set(done.stdout.split())
        assert "click" in loaded
        assert not loaded & {"numpy", "scipy", "cv2", "torch", "rich", "av"}


def test_the_offset_of_the_clock_moves_players_times_and_no_table(tmp_path: Path) -> None:
    timeline = read_back(timeline_of())
    assert written(timeline, "srt").startswith("1\n00:00:00,080 -->")
    first = table_of(timeline, "segments")[0]
    assert float(first["start"]) == 0
    assert float(table_of(timeline, "csv")[len(EMOTIONS)]["time"]) == pytest.approx(STEP / 12800)
    still = replace(timeline, source=replace(timeline.source, clock_offset=Fraction(-5)))
    assert written(still, "srt").startswith("1\n00:00:00,000 -->")
