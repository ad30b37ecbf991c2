"""What `fervid export` writes, read back by the programs' own libraries."""

from __future__ import annotations

import csv
import html
import io
import os
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
from conftest import CLIP, Call, Fervid
from praatio import textgrid as praat
from test_cli import says, with_closed_output
from test_export import START, TIMELINES, curve_of, person_of, rows_of, segment_of, timeline_of, video_of
from timelines import doubtful_of, read_back, text_of, video_at

from fervid import export
from fervid.errors import InputError, UsageError
from fervid.export.frames import geometry, openface, table
from fervid.export.timelines import subtitles, tiers
from fervid.export.timelines.fields import NOTE
from fervid.export.timelines.subtitles import Cue
from fervid.labels import EMOTIONS
from fervid.types import Timeline

MALICIOUS = '<img onerror="x"> & \\N{b}\n\n--> 00:00 "Bob"\x07 ]]> \ud83d Zoë'
SHOWN = '<img onerror="x"> & \\N{b} --> 00:00 "Bob" ]]> \\ud83d Zoë'


def table_of(timeline: Timeline, form: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(timeline, form), newline="")))


def peopled(*names: str | None) -> Timeline:
    """Return the film with a person for each track, some with a name."""
    people = (person_of(f"P{track + 1}", (track,), name) for track, name in enumerate(names))
    return read_back(timeline_of(people=tuple(people)))


def spans(timeline: Timeline) -> list[tuple[float, float, str]]:
    """Return start and end in seconds of the player's clock, and the emotion, of each segment."""

    def seconds(pts: int) -> float:
        return float(tiers.player_seconds(timeline, pts))

    return sorted((seconds(row.start), seconds(row.end), row.emotion) for row in timeline.segments)


# --- subtitles


def cues_by_ffmpeg(path: Path, text: str) -> list[tuple[float, float, str]]:
    """Write subtitles, and return start, end and text of each cue as FFmpeg and most players read them."""
    path.write_text(text, "utf-8")
    rows = []
    with av.open(str(path)) as container:
        for packet in container.demux(subtitles=0):
            if packet.pts is not None:
                start, end = (pts * packet.time_base for pts in (packet.pts, packet.pts + packet.duration))
                rows.append((float(start), float(end), bytes(packet).decode()))
    return sorted(rows)


def captions_by_webvtt(timeline: Timeline, folder: Path) -> list[str]:
    """Return the text of each caption as the library webvtt reads it."""
    (folder / "x.vtt").write_text(text_of(timeline, "vtt"), "utf-8")
    return [caption.text for caption in webvtt.read(str(folder / "x.vtt"))]


@pytest.mark.parametrize("form", subtitles.FORMATS)
@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_segments_are_subtitles_at_the_player_s_times(name: str, form: str, tmp_path: Path) -> None:
    timeline = read_back(TIMELINES[name]())
    text = text_of(timeline, form)
    if not timeline.segments and form == "srt":
        assert text == ""
        return
    result = cues_by_ffmpeg(tmp_path / f"film.{form}", text)
    assert len(result) == len(timeline.segments)
    for (start, end, text), (low, high, emotion) in zip(result, spans(timeline), strict=True):
        assert (start, end) == pytest.approx((low, high), abs=5.01e-4)
        assert emotion in text


def test_a_cue_says_whose_face_where_there_are_several(tmp_path: Path) -> None:
    texts = captions_by_webvtt(peopled("Anna", None), tmp_path)
    assert texts == ["Anna: neutral 0.70", "Anna: happiness 0.70", "P2: neutral 0.70"]
    alone = replace(read_back(timeline_of()), segments=read_back(timeline_of()).segments[:2])
    assert [cue.text for cue in subtitles.cues(alone)] == ["neutral 0.70", "happiness 0.70"]


def test_a_cue_says_what_is_uncertain() -> None:
    texts = [cue.text for cue in subtitles.cues(doubtful_of(video_at(np.arange(300), Fraction(1, 25)), "P1"))]
    assert "P1: uncertain: sadness 0.41" in texts and "P1: happiness 0.88" in texts


def test_vtt_tells_what_scores_mean() -> None:
    assert f"NOTE\n{NOTE}\n" in text_of(read_back(timeline_of()), "vtt")


@pytest.mark.parametrize("form", subtitles.FORMATS)
def test_cues_come_in_order_last_a_millisecond_and_pass_an_hour(form: str, tmp_path: Path) -> None:
    cues = [
        Cue(Fraction(360_000), Fraction(360_001), "late"),  # 100 hours
        Cue(Fraction(3661, 1), Fraction(3661, 1), "an hour"),
        Cue(Fraction(-1), Fraction(1, 3), "early"),
    ]
    stream = io.StringIO()
    subtitles.write(cues, stream, form)
    early, hour, _ = cues_by_ffmpeg(tmp_path / f"x.{form}", stream.getvalue())
    assert early == (0.0, pytest.approx(0.333), "early")
    assert hour == (3661.0, pytest.approx(3661.001), "an hour")
    assert f"100:00:00{',' if form == 'srt' else '.'}000 --> " in stream.getvalue()
    with pytest.raises(UsageError, match="srt, vtt"):
        subtitles.write(cues, io.StringIO(), "ass")


def test_odd_names_stay_text_in_subtitles(tmp_path: Path) -> None:
    timeline = peopled(MALICIOUS, "Ben")
    for form in subtitles.FORMATS:
        assert len(cues_by_ffmpeg(tmp_path / f"x.{form}", text_of(timeline, form))) == 3
    assert html.unescape(captions_by_webvtt(timeline, tmp_path)[0]) == f"{SHOWN}: neutral 0.70"
    assert "<img" not in text_of(timeline, "vtt")


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
        assert times == pytest.approx([(pts - START) / 12800 for pts in curve.pts.tolist()], abs=1e-6)


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
        scores = [[float(row[label]) for label in timeline.labels] for row in ours]
        assert np.reshape(scores, curve.scores.shape) == pytest.approx(curve.scores, abs=1e-6)


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
        scores = [float(row[label]) for label in timeline.labels]
        assert scores == pytest.approx(segment.scores.tolist(), abs=1e-6)


def test_tables_tell_a_person_s_id_and_name() -> None:
    timeline = peopled("Anna, the first", None)
    for form in ("csv", "windows", "segments"):
        owners = {(row["track"], row["person"], row["name"]) for row in table_of(timeline, form)}
        assert owners == {("0", "P1", "Anna, the first"), ("1", "P2", "")}


# --- TextGrid


def praat_reads(timeline: Timeline, tmp_path: Path) -> praat.Textgrid:
    path = tmp_path / "film.TextGrid"
    path.write_text(text_of(timeline, "textgrid"), "utf-8")
    return praat.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="error")


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_praat_reads_every_segment_and_peak(name: str, tmp_path: Path) -> None:
    timeline = read_back(TIMELINES[name]())
    grid = praat_reads(timeline, tmp_path)
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
    (point,) = praat_reads(timeline, tmp_path).getTier("peaks").entries
    assert point.label.startswith(f"track 0: happiness {first.score:.2f}; track 1: happiness")


def test_tiers_are_people_and_nobody_s_name_breaks_them(tmp_path: Path) -> None:
    grid = praat_reads(peopled(MALICIOUS, MALICIOUS), tmp_path)
    assert grid.tierNames == (SHOWN, f"{SHOWN} (2)", "peaks", "note")
    called = praat_reads(peopled("peaks", "note"), tmp_path)
    assert called.tierNames == ("peaks", "note", "peaks (2)", "note (2)")


def test_a_person_seen_twice_at_once_has_two_tiers(tmp_path: Path) -> None:
    """Check a person who is visible twice at the same time, as in a mirror, and again later."""
    timeline = read_back(timeline_of(people=(person_of("P1", (0, 1, 2)),)))
    later = replace(segment_of(2, START + 50000, START + 51200, "fear"), person="P1")
    curves = (*timeline.curves, replace(curve_of(2), person="P1"))
    timeline = replace(timeline, segments=(*timeline.segments, later), curves=curves)
    result = tiers.tiers(timeline)
    assert [(tier.name, len(tier.segments)) for tier in result] == [("P1", 3), ("P1 (2)", 1)]
    assert praat_reads(timeline, tmp_path).tierNames[:2] == ("P1", "P1 (2)")
    assert len(elan_reads(timeline, tmp_path).get_annotation_data_for_tier("P1 (2)")) == 1


# --- EAF


def elan_reads(timeline: Timeline, tmp_path: Path) -> pympi.Eaf:
    path = tmp_path / "film.eaf"
    path.write_text(text_of(timeline, "eaf"), "utf-8")
    return pympi.Eaf(str(path))


@pytest.mark.parametrize("name", sorted(TIMELINES))
def test_pympi_reads_every_segment_and_peak(name: str, tmp_path: Path) -> None:
    timeline = read_back(TIMELINES[name]())
    elan = elan_reads(timeline, tmp_path)
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
    elan = elan_reads(peopled("Anna", None), tmp_path)
    entries = elan.get_cv_entries("visible expression")
    assert [values[0][0] for values, _ in entries.values()] == list(EMOTIONS)
    kind = elan.get_parameters_for_linguistic_type("expression")
    assert kind["CONTROLLED_VOCABULARY_REF"] == "visible expression"
    assert elan.get_parameters_for_tier("Anna")["PARTICIPANT"] == "Anna"
    assert elan.get_parameters_for_tier("P2")["ANNOTATOR"] == "fervid, model hand"


def test_names_are_escaped_in_eaf(tmp_path: Path) -> None:
    timeline = peopled(MALICIOUS, "&amp;")
    source = replace(timeline.source, name='a "b" & <c> ü#?.mp4')
    elan = elan_reads(replace(timeline, source=source), tmp_path)
    assert list(elan.get_tier_names()) == [SHOWN, "&amp;", "peaks"]
    assert elan.get_linked_files()[0]["MEDIA_URL"] == "./a%20%22b%22%20%26%20%3Cc%3E%20%C3%BC%23%3F.mp4"


def test_no_annotation_of_a_tier_overlaps_or_is_empty(tmp_path: Path) -> None:
    timeline = read_back(timeline_of())
    tick = [segment_of(0, START + index, START + index + 1, "fear") for index in range(3)]
    first, second = timeline.peaks
    near = (first, replace(second, apex=first.apex + 256))  # 20 ms later
    timeline = replace(timeline, segments=tuple(tick), peaks=near)
    elan = elan_reads(timeline, tmp_path)
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


def test_an_archive_is_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "CHUNK", 7)
    stored = geometry.read(str(archive(tmp_path / "g.npz")))
    assert stored.labels == EMOTIONS
    assert [len(rows) for rows in stored.rows()] == [7] * 7 + [1]
    written = [io.StringIO(), io.StringIO()]
    openface.write([rows_of(50)], video_of(), EMOTIONS, written[0])
    openface.write(stored.rows(), stored, stored.labels, written[1])
    assert written[0].getvalue() == written[1].getvalue()


def test_an_archive_keeps_who_a_track_is(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "g.npz"
    chunk = rows_of(50)
    people = {int(track): f"P{track + 1}" for track in sorted(set(chunk.track.tolist())) if track >= 0}
    geometry.write(lambda: [chunk], 50, video_of(), EMOTIONS, path, people)
    assert geometry.read(str(path)).people == people
    expected = io.StringIO()
    table.write([chunk], video_of(), EMOTIONS, expected, people)
    assert f",{max(people.values())}," in expected.getvalue()
    assert call("export", path, "-f", "frames").stdout == expected.getvalue()
    assert geometry.read(str(archive(tmp_path / "without.npz"))).people == {}


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
    """Run the program in a folder with out.json, out.jsonl and g.npz."""
    for form in ("json", "jsonl"):
        (tmp_path / f"out.{form}").write_text(text_of(timeline_of(), form), "utf-8")
    archive(tmp_path / "g.npz")
    return call


@pytest.mark.parametrize("suffix", ["srt", "vtt", "csv", "TextGrid", "eaf", "jsonl"])
def test_the_suffix_sets_the_format(call: Call, suffix: str) -> None:
    target, form = Path(f"a.{suffix}"), suffix.lower()
    done = call("export", "out.json", "-o", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert target.read_text("utf-8") == text_of(read_back(timeline_of()), form)
    assert call("export", "out.json", "-f", form).stdout == target.read_text("utf-8")


@pytest.mark.parametrize("form", sorted(export.FRAMES))
def test_frames_come_from_an_archive(call: Call, form: str) -> None:
    stream = io.StringIO()
    export.FRAMES[form].write([rows_of(50)], video_of(), EMOTIONS, stream)
    assert call("export", "g.npz", "-f", form).stdout == stream.getvalue()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["out.json"], 2, ["--format", "srt", "openface"]),
        (["out.json", "-o", "x.txt"], 2, ["unknown suffix, .txt", "srt (.srt)", "openface (.csv .parquet)"]),
        (["out.json", "-f", "srt", "-o", "x.vtt"], 2, ["x.vtt is not a file name for srt", "vtt (.vtt)"]),
        (["out.json", "-f", "yaml"], 2, ["json", "jsonl"]),
        (["out.json", "-f", "openface"], 1, ["row for every frame", "--tracks"]),
        (["g.npz", "-f", "srt"], 1, ["is an archive of frames", "openface"]),
        (["out.jsonl", "-f", "csv"], 1, ["JSON Lines have no curves"]),
        (["none.json", "-f", "srt"], 1, ["none.json", "no such file"]),
        ([".", "-f", "srt"], 1, ["contains no pictures"]),
        ([CLIP, "-f", "frames"], 1, ["row for every frame", "--tracks"]),
        (["out.json", "-f", "srt", "--jobs", "2"], 2, ["--jobs is for videos", "a timeline"]),
        (["g.npz", "-f", "frames", "--model", "x"], 2, ["--model is for videos", "an archive"]),
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
def test_an_impossible_export_is_an_error(
    call: Call, arguments: list[str], code: int, words: list[str]
) -> None:
    text, lines = text_of(timeline_of()), text_of(timeline_of(), "jsonl")
    for name, content in {
        "empty": "",
        "cut.json": text[:-300],
        "cut.jsonl": lines[: lines.rindex('{"type": "summary"')],
        "future.json": text.replace('"schema_version": "1.', '"schema_version": "9.'),
        "strange.json": text.replace('"emotion": "neutral"', '"emotion": "bored"'),
        "sourceless.json": text.replace('"clock_offset"', '"clock"'),
        "rateless.json": text.replace('"24000/1001"', '"0/1"'),
        "countless.json": text.replace('"planned"', '"old"'),
    }.items():
        Path(name).write_text(content)
    before = sorted(os.listdir())
    says(call("export", *arguments), code, *words)
    assert sorted(os.listdir()) == before


def test_a_film_without_faces_is_exported_with_a_note(call: Call) -> None:
    Path("none.json").write_text(text_of(TIMELINES["empty"]()))
    done = call("export", "none.json", "-f", "segments")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "no face was read" in done.stderr
    assert call("-q", "export", "none.json", "-f", "segments").stderr == ""


def test_a_pipe_at_either_end(fervid: Fervid) -> None:
    done = fervid("export", "-", "-f", "eaf", input=text_of(timeline_of()).encode())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == text_of(read_back(timeline_of()), "eaf")


def test_a_closed_pipe_is_silent() -> None:
    assert with_closed_output(["export", "-", "-f", "csv"], text_of(timeline_of())) == (0, b"")


def test_the_offset_of_the_clock_moves_players_times_and_no_table() -> None:
    timeline = read_back(timeline_of())
    assert text_of(timeline, "srt").startswith("1\n00:00:00,080 -->")
    first = table_of(timeline, "segments")[0]
    assert float(first["start"]) == 0
    assert float(table_of(timeline, "csv")[len(EMOTIONS)]["time"]) == pytest.approx(0.32)
    still = replace(timeline, source=replace(timeline.source, clock_offset=Fraction(-5)))
    assert text_of(still, "srt").startswith("1\n00:00:00,000 -->")
