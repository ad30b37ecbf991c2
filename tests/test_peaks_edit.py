"""Peaks for editing programs: each format is read back by a reader that is not ours."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from conftest import Call
from media import pictures, write
from opentimelineio import adapters, schema
from test_cli import says
from test_export import BASE, START, person_of, timeline_of
from timelines import read, read_back, text_of

from fervid.errors import UsageError
from fervid.export import EDITS
from fervid.export.editors import colours, edit
from fervid.export.editors.edit import Edit
from fervid.export.editors.timecode import RATES, Timecode
from fervid.labels import COLOURS, EMOTIONS
from fervid.timeline.peaks import SCORES, rank
from fervid.types import ModelInfo, Peak, Person, Source, Tally, Timeline

NTSC24, NTSC30 = Fraction(24000, 1001), Fraction(30000, 1001)
ODD = "mö\"v|ie'; <i>&=#\\\n\u0007ü 映画.mp4"
NO_PAD = (Fraction(0), Fraction(0))
# (rate, start timecode, drops)
KINDS = [
    ("24000/1001", "01:00:00:00"),
    ("24/1", None),
    ("25/1", "10:00:00:00"),
    ("30000/1001", "01:00:00;00"),
    ("30000/1001", "01:00:00:00"),
    ("50/1", None),
    ("60000/1001", "00:59:59;58"),
]


def source_of(rate: str = "25/1", minutes: float = 100, **changes: Any) -> Source:
    """Return a timeline's source: a long film in a clock of milliseconds."""
    result = Source(
        name="film.mp4",
        sha256="ab" * 32,
        container="mov,mp4",
        codec="h264",
        time_base=Fraction(1, 1000),
        start=40,
        duration=round(minutes * 60_000),
        clock_offset=Fraction(0),
        rate=Fraction(rate),
        width=640,
        height=360,
        rotation=0,
    )
    return replace(result, **changes)


def plan_of(peaks: list[Peak], source: Source, names: Mapping[str, str] | None = None, **how: Any) -> Edit:
    """Return the edit of these peaks of a timeline that has nothing else."""
    box, names = np.zeros(4, np.float32), names or {}
    people = tuple(Person(key, name, (3,), 0, source.start, box) for key, name in names.items())
    model = ModelInfo("hand", "cd" * 32, True, EMOTIONS, (), {})
    shots = np.empty(0, np.int64)
    return edit.plan(Timeline(source, model, {}, Tally(), shots, (), (), tuple(peaks), people), **how)


def peak_at(frame: int, rate: str, emotion: str = "happiness", person: str | None = None) -> Peak:
    """Return a peak on a frame, by a clock of milliseconds; its moment reaches 10 frames either way."""
    onset, apex, offset = (40 + round(1000 * at / Fraction(rate)) for at in (frame - 10, frame, frame + 10))
    return Peak(3, emotion, onset, apex, offset, 0.914, 0.6, -0.25, 0.5, 0.9, person)


def edit_of(frames: list[int], own: str = "25/1", changes: Mapping[str, Any] = {}, **how: Any) -> Edit:
    if how.get("as_clips"):
        how.setdefault("pad", NO_PAD)
    return plan_of([peak_at(frame, own) for frame in frames], source_of(own, **changes), **how)


def text(made: Edit, form: str) -> str:
    stream = io.StringIO()
    EDITS[form].write(made, stream)
    return stream.getvalue()


def frames_of(rate: str) -> list[int]:
    """Return frames all over 90 minutes and more, among them those around dropped labels."""
    last = round(95 * 60 * Fraction(rate))
    return sorted({*range(40, last, 8111), 1798, 1800, 1801, 3600, 17982, last, round(5400 * Fraction(rate))})


def clips(result: Any) -> list[schema.Clip]:
    """Return the clips of the pictures of a timeline, or of the first timeline of a list."""
    timeline = result if isinstance(result, schema.Timeline) else result[0]
    return [clip for track in timeline.video_tracks() for clip in track.find_clips()]


def markers_of(result: Any) -> list[schema.Marker]:
    return [marker for clip in clips(result) for marker in clip.markers]


# What a moment is


def test_marks_stand_at_the_apex_and_with_a_pad_cover_the_moment() -> None:
    (mark,) = edit_of([100]).pieces()[0].marks
    assert (mark.start, mark.end) == (100, 101)
    (mark,) = edit_of([100], pad=(Fraction(1), Fraction(2))).pieces()[0].marks
    assert (mark.start, mark.end) == (100 - 10 - 25, 100 + 10 + 50)


def test_clips_follow_each_other_and_carry_the_apex() -> None:
    first, second = edit_of([300, 100], as_clips=True).pieces()
    assert (first.start, first.end, first.record) == (90, 110, 0)
    assert (second.start, second.end, second.record) == (290, 310, 20)
    assert [(mark.start, mark.end) for mark in (*first.marks, *second.marks)] == [(100, 101), (300, 301)]
    assert second.marks[0].moment.rank == 1  # by rank it came first


def test_clips_have_handles_of_half_a_second() -> None:
    (piece,) = plan_of([peak_at(100, "24/1")], source_of("24/1"), as_clips=True).pieces()
    assert (piece.start, piece.end) == (100 - 10 - 12, 100 + 10 + 12)


def test_moments_stay_in_the_video() -> None:
    made = edit_of([3, 150 * 25 - 1], changes={"minutes": 2.5}, pad=(Fraction(9), Fraction(9)), as_clips=True)
    assert [(piece.start, piece.end) for piece in made.pieces()] == [(0, 238), (3514, 3750)]
    beyond = edit_of([200], changes={"minutes": 0.01}, as_clips=True)
    assert [(piece.start, piece.end) for piece in beyond.pieces()] == [(14, 15)]


def test_persons_are_called_by_name() -> None:
    peaks = [peak_at(50, "25/1", person="P1"), peak_at(90, "25/1", person="P2")]
    made = plan_of(peaks, source_of(), names={"P1": "Anna"})
    assert [moment.name for moment in made.moments] == ["Anna: happiness 91%", "P2: happiness 91%"]
    assert "not what a person feels" in made.moments[0].comment


@pytest.mark.parametrize(
    ("changes", "how", "remark"),
    [
        ({}, {}, None),
        ({"rate": Fraction(15)}, {}, None),
        ({"has_variable_rate": True, "rate": Fraction("26.417")}, {}, "its rate varies (26.417 frames"),
        ({"rate": Fraction(29611, 1000)}, {}, "timecode has no rate of 29.611"),
        ({"rate": Fraction(29611, 1000)}, {"rate": Fraction(30)}, None),
        ({"clock_offset": Fraction(1, 2)}, {}, "its pictures begin 0.500 s into the file"),
        ({"clock_offset": Fraction(1, 100)}, {}, None),
        ({"timecode": "01:00:00:30"}, {}, "its start timecode is ignored"),
        ({"timecode": "01:00:00:30"}, {"begin": "02:00:00:00"}, None),
    ],
)
def test_what_is_doubtful_is_said(changes: dict[str, Any], how: dict[str, Any], remark: str | None) -> None:
    remarks = plan_of([], source_of(**changes), **how).remarks
    assert len(remarks) == (remark is not None)
    assert all(str(remark) in said for said in remarks)


def test_the_timecode_can_be_asked_for() -> None:
    made = edit_of([50], "30000/1001", begin="02:00:00;00", changes={"timecode": "01:00:00:00"})
    assert made.timecode == Timecode(NTSC30, drops=True, first=215784)
    slower = edit_of([50], "50/1", rate=Fraction(25), changes={"timecode": "01:00:00:48"})
    assert (slower.timecode.label(0), slower.pieces()[0].marks[0].start) == ("01:00:00:24", 25)
    assert edit_of([50], rate=Fraction("23.976")).timecode.rate == NTSC24
    with pytest.raises(UsageError, match="no rate of 22"):
        edit_of([50], rate=Fraction(22))


def test_a_timeline_of_an_older_fervid_is_enough() -> None:
    whole = json.loads(text_of(timeline_of()))
    for key in ("variable_rate", "timecode", "reel", "audio_channels"):
        del whole["source"][key]
    whole["source"]["clock_offset"] = 0
    made = edit.plan(read(json.dumps(whole)))
    assert (made.timecode.label(0), made.reel, made.remarks) == ("00:00:00:00", None, ())


@pytest.mark.parametrize("form", EDITS)
@pytest.mark.parametrize("as_clips", [False, True], ids=["markers", "clips"])
def test_a_timeline_read_back_gives_the_same_file(form: str, as_clips: bool) -> None:
    timeline = timeline_of()
    rows = []
    for score in SCORES:
        for each in (timeline, read_back(timeline)):
            ranked = replace(each, peaks=tuple(rank(each.peaks, BASE, score=score)))
            rows.append(text(edit.plan(ranked, as_clips=as_clips), form))
    assert rows[::2] == rows[1::2]
    assert timeline.source.start == START


# Read back


@pytest.mark.parametrize(("rate", "begin"), KINDS)
def test_edl_is_read_back(rate: str, begin: str | None) -> None:
    frames = frames_of(rate)
    changes = {"timecode": begin, "reel": "A001C002_220101_R1AB", "audio_channels": 2}
    for as_clips in (False, True):
        made = edit_of(frames, rate, changes, as_clips=as_clips)
        result = adapters.read_from_string(text(made, "edl"), "cmx_3600", rate=float(made.timecode.rate))
        assert len(list(result.audio_tracks())) == 2
        assert {clip.metadata["cmx_3600"]["reel"] for clip in clips(result)} == {changes["reel"]}
        assert {clip.name for clip in clips(result)} == {"film.mp4"}
        ranges = [clip.source_range for clip in clips(result)]
        output = [(part.start_time.value - made.timecode.first, part.duration.value) for part in ranges]
        assert output == [(piece.start, piece.length) for piece in made.pieces()]
        boxes = [piece.record + 10 for piece in made.pieces()] if as_clips else frames
        if not made.timecode.drops:  # the adapter passes by locators that drop frames
            marks = [marker for clip in clips(result) for marker in clip.markers]
            output = [marker.marked_range.start_time.value - made.record.first for marker in marks]
            assert output == boxes
            assert {(marker.name, marker.color) for marker in marks} == {("happiness 91%", "YELLOW")}
        lines = [line.split() for line in text(made, "edl").splitlines() if line.startswith("* LOC")]
        assert [made.record.frame(words[2]) for words in lines] == boxes
    assert ("FCM: DROP FRAME" in text(made, "edl")) is bool(begin and ";" in begin)


MARKER = re.compile(r"(.*) \|C:ResolveColor(\w+) \|M:(.*) \|D:(\d+)")


@pytest.mark.parametrize(("rate", "begin"), KINDS)
def test_resolve_s_markers_are_read_back(rate: str, begin: str | None) -> None:
    frames = frames_of(rate)
    peaks = [*(peak_at(frame, rate) for frame in frames), peak_at(frames[0], rate, "fear")]
    made = plan_of(peaks, source_of(rate, timecode=begin))
    written = text(made, "markers")
    result = adapters.read_from_string(written, "cmx_3600", rate=float(made.timecode.rate))
    starts = [clip.source_range.start_time.value - made.timecode.first for clip in clips(result)]
    assert starts == frames
    markers = [MARKER.fullmatch(line) for line in written.splitlines() if "|" in line]
    assert len(markers) == len(frames)  # one on a frame: two moments share the first
    output = [marker.groups()[1:] for marker in markers if marker]
    assert output.pop(0) == ("Yellow", "happiness 91% / fear 91%", "1")
    assert output == [("Yellow", "happiness 91%", "1")] * (len(frames) - 1)
    covering = text(plan_of(peaks[1:2], source_of(rate), pad=(Fraction(1), Fraction(1))), "markers")
    length = 20 + 2 * made.timecode.frame_at(Fraction(1))
    assert abs(int(covering.rsplit("|D:", 1)[1]) - length) <= 1


@pytest.mark.parametrize(("rate", "begin"), KINDS)
@pytest.mark.parametrize("as_clips", [False, True], ids=["markers", "clips"])
def test_otio_is_read_back(rate: str, begin: str | None, as_clips: bool) -> None:
    changes = {"timecode": begin, "reel": "R1", "audio_channels": 2, "name": ODD}
    made = edit_of(frames_of(rate), rate, changes=changes, as_clips=as_clips)
    result = adapters.read_from_string(text(made, "otio"), "otio_json")
    assert result.global_start_time.value == made.record.first
    assert len(result.audio_tracks()) == 1
    assert result.duration().value == made.length
    marks = []
    for clip, piece in zip(clips(result), made.pieces(), strict=True):
        assert clip.source_range.start_time.rate == float(made.timecode.rate)
        assert clip.source_range.start_time.value == made.timecode.first + piece.start
        assert clip.source_range.duration.value == piece.length
        assert clip.available_range().duration.value == made.frames
        assert unquote(clip.media_reference.target_url) == ODD
        marks.extend(clip.markers)
    assert [mark.marked_range.start_time.value - made.timecode.first for mark in marks] == frames_of(rate)
    assert {mark.color for mark in marks} == {"YELLOW"}
    assert {mark.metadata["fervid"]["emotion"] for mark in marks} == {"happiness"}
    assert all("not what a person feels" in mark.comment for mark in marks)


@pytest.mark.parametrize(("rate", "begin"), KINDS)
@pytest.mark.parametrize("as_clips", [False, True], ids=["markers", "clips"])
def test_premiere_s_xml_is_read_back(rate: str, begin: str | None, as_clips: bool) -> None:
    changes = {"timecode": begin, "reel": "R1", "audio_channels": 2, "name": ODD}
    made = edit_of(frames_of(rate), rate, changes=changes, as_clips=as_clips)
    written = text(made, "premiere")
    result = adapters.read_from_string(written, "fcp_xml")
    marks = []
    assert len(result.audio_tracks()) == 2
    for clip, piece in zip(clips(result), made.pieces(), strict=True):
        assert clip.source_range.start_time.value == made.timecode.first + piece.start
        assert clip.source_range.duration.value == piece.length
        assert clip.source_range.start_time.rate == pytest.approx(float(made.timecode.rate))
        marks.extend(clip.markers)
    assert [mark.marked_range.start_time.value for mark in marks] == frames_of(rate)
    assert {mark.name for mark in marks} == {"happiness 91%"}
    root = ElementTree.fromstring(written)
    file = root.find(".//file")
    assert file is not None and unquote(file.findtext("pathurl", "")) == ODD
    assert file.findtext("timecode/string") == made.timecode.label(0)
    assert file.findtext("timecode/displayformat") == ("DF" if made.timecode.drops else "NDF")
    assert file.findtext("timecode/reel/name") == "R1"
    # Every link leads to a clip.
    items = {item.get("id") for item in root.iter("clipitem")}
    assert {link.text for link in root.iter("linkclipref")} == items
    assert {marker.findtext("color/green") for marker in root.iter("marker")} == {"159"}


def seconds(value: str | None) -> Fraction:
    return Fraction(str(value).removesuffix("s"))


@pytest.mark.parametrize(("rate", "begin"), KINDS)
@pytest.mark.parametrize("as_clips", [False, True], ids=["markers", "clips"])
def test_fcpxml_is_read_back(rate: str, begin: str | None, as_clips: bool) -> None:
    changes = {"timecode": begin, "audio_channels": 2, "name": ODD}
    made = edit_of(frames_of(rate), rate, changes=changes, as_clips=as_clips)
    written = text(made, "fcpxml")
    root = ElementTree.fromstring(written)
    step = seconds(root.find(".//format").get("frameDuration"))  # type: ignore[union-attr]
    assert step == 1 / made.timecode.rate
    # Final Cut takes whole frames alone.
    times = ("start", "duration", "offset", "tcStart")
    output = [seconds(value) / step for each in root.iter() for key, value in each.items() if key in times]
    assert output and all(time.denominator == 1 for time in output)
    marks = [seconds(mark.get("start")) / step - made.timecode.first for mark in root.iter("marker")]
    assert marks == frames_of(rate)
    assert [seconds(clip.get("start")) / step for clip in root.iter("asset-clip")] == [
        made.timecode.first + piece.start for piece in made.pieces()
    ]
    asset = root.find(".//asset")
    assert asset is not None and unquote(asset.get("src", "")) == ODD
    read = markers_of(adapters.read_from_string(written, "fcpx_xml"))
    assert len(read) == len(marks)
    if "1001" not in rate:  # the adapter takes 23.976 for 23, and so on
        starts = [mark.marked_range.start_time.value - made.timecode.first for mark in read]
        assert starts == pytest.approx(frames_of(rate), abs=1)  # sometimes the adapter is a frame short


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_chapters_are_read_back_on_the_player_s_clock(tmp_path: Path, suffix: str) -> None:
    happy = [peak_at(frame, "25/1") for frame in (115, 400)]
    peaks = [peak_at(100, "25/1", person="P"), *happy, peak_at(400, "25/1", "fear")]
    made = plan_of(peaks, source_of(clock_offset=Fraction(1, 4)), names={"P": "a=b;c#d\\e\nf\u0007é"})
    (tmp_path / "chapters").write_text(text(made, "ffmetadata"), "utf-8")
    with av.open(tmp_path / "chapters", format="ffmetadata") as container:
        chapters = container.chapters()
        assert "not what a person feels" in container.metadata["comment"]
    target = tmp_path / f"out.{suffix}"
    with av.open(write(tmp_path / "film.mkv", pictures(5))) as film, av.open(target, "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0])
        out.set_chapters(chapters)
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with av.open(target) as film:
        muxed = film.chapters()
    expected = [
        (Fraction(0), Fraction("3.85"), "film.mp4"),
        (Fraction("3.85"), Fraction("4.45"), "a=b;c#d\\e fé: happiness 91%"),
        (Fraction("4.45"), Fraction("5.25"), "happiness 91%"),
        (Fraction("15.85"), Fraction("16.65"), "happiness 91% / fear 91%"),
    ]
    assert output(chapters) == expected
    if suffix == "mp4":  # which knows no gap between chapters
        expected[2] = (expected[2][0], expected[3][0], expected[2][2])
    assert output(muxed) == expected


def output(chapters: list[Any]) -> list[tuple[Fraction, Fraction, str]]:
    """Return start, end and title of each chapter."""
    bases = [Fraction(each["time_base"]) for each in chapters]
    return [
        (each["start"] * base, each["end"] * base, each["metadata"]["title"])
        for each, base in zip(chapters, bases, strict=True)
    ]


def test_a_chapter_never_begins_before_its_frame() -> None:
    made = edit_of(list(range(11, 130_000, 977)), "24000/1001")
    starts = [int(line[6:]) for line in text(made, "ffmetadata").splitlines() if line.startswith("START=")]
    assert starts.pop(0) == 0 < starts[0]  # what stands before the first moment
    for start, moment in zip(starts, made.moments, strict=True):
        assert 0 <= Fraction(start, 1000) - moment.start < Fraction(1, 1000)


# Odd names, nothing found


@pytest.mark.parametrize("as_clips", [False, True], ids=["markers", "clips"])
def test_odd_names_break_nothing(as_clips: bool) -> None:
    changes = source_of(name=ODD, reel="réel 1\n映")
    peaks = [peak_at(50, "25/1", person="P1")]
    made = plan_of(peaks, changes, names={"P1": 'A|n"n\n<a>; 2\u0000'}, as_clips=as_clips)
    edl = adapters.read_from_string(text(made, "edl"), "cmx_3600", rate=25)
    (clip,) = clips(edl)
    assert clip.metadata["cmx_3600"]["reel"] == "reel_1__"
    assert clip.name == "mö\"v|ie'; <i>&=#\\ ü 映画.mp4"
    assert clip.markers[0].name == 'A|n"n <a>; 2: happiness 91%'
    head, *_ = text(made, "edl").splitlines()
    assert head.isascii()
    (line,) = [line for line in text(made, "markers").splitlines() if "|D:" in line]
    marker = MARKER.fullmatch(line)
    assert marker and marker[3] == 'A/n"n <a>; 2: happiness 91%'
    for form in ("premiere", "fcpxml"):
        root = ElementTree.fromstring(text(made, form))
        names = [each.get("value") or each.findtext("name") for each in root.iter("marker")]
        assert names == ['A|n"n\n<a>; 2: happiness 91%']
    lone = plan_of([peak_at(50, "25/1", person="P\udc80")], source_of(name="\ud800"), as_clips=as_clips)
    for form in EDITS:
        text(lone, form).encode("utf-8")


@pytest.mark.parametrize("form", EDITS)
@pytest.mark.parametrize("as_clips", [False, True], ids=["markers", "clips"])
def test_no_peaks_make_an_empty_file_that_can_be_read(tmp_path: Path, form: str, as_clips: bool) -> None:
    written = text(edit_of([], as_clips=as_clips), form)
    if form == "ffmetadata":
        (tmp_path / "chapters").write_text(written)
        with av.open(tmp_path / "chapters", format="ffmetadata") as container:
            assert container.chapters() == []
        return
    if form in ("srt", "vtt"):
        assert "-->" not in written
        return
    if form == "auto-editor":
        assert json.loads(written)["chunks"] == [[0, 150_000, 99999.0]]
        return
    adapter = {"otio": "otio_json", "premiere": "fcp_xml", "fcpxml": "fcpx_xml"}.get(form, "cmx_3600")
    result = adapters.read_from_string(written, adapter)
    is_whole = not as_clips and form != "markers"
    assert len(clips(result)) == is_whole
    assert markers_of(result) == []


def test_every_emotion_has_colours_of_its_own() -> None:
    assert set(COLOURS) == {*EMOTIONS, "contempt"}
    rows = [colours.colour_of(emotion) for emotion in COLOURS]
    for palette in ("hexadecimal", "resolve", "premiere", "locator", "otio"):
        assert len({getattr(colour, palette) for colour in rows}) == len(COLOURS)
    known = {name for name in dir(schema.MarkerColor) if name.isupper()}
    assert {colour.otio for colour in rows} <= known
    assert colours.colour_of("envy") == colours.colour_of("neutral")
    assert set(RATES)


# From the shell


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Write a timeline of two peaks, of two people, one of them named."""
    path = tmp_path / "out.json"
    people = (person_of("P1", (0,), "Anna"), person_of("P2", (1,)))
    path.write_text(text_of(timeline_of(people=people)))
    return path


@pytest.mark.parametrize("form", ["srt", "vtt"])
def test_subtitles_are_read_back_on_the_player_s_clock(tmp_path: Path, form: str) -> None:
    peaks = [peak_at(100, "25/1", person="P"), peak_at(400, "25/1", "fear")]
    made = plan_of(peaks, source_of(clock_offset=Fraction(1, 4)), names={"P": "<b> --> \u00e9"})
    (tmp_path / f"a.{form}").write_text(text(made, form), "utf-8")
    with av.open(tmp_path / f"a.{form}") as container:
        (stream,) = container.streams.subtitles
        starts = [float(packet.pts * stream.time_base) for packet in container.demux(stream) if packet.size]
    assert starts == pytest.approx([float(moment.start) + 0.25 for moment in made.moments], abs=1e-3)


@pytest.mark.parametrize(
    ("target", "begins"),
    [
        ("a.edl", "TITLE: Peaks of film.mp4\nFCM: NON-DROP FRAME\n\n001  AX       V "),
        ("a.otio", '{\n    "OTIO_SCHEMA": "Timeline.1"'),
        ("a.xml", '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE xmeml>'),
        ("a.fcpxml", '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>'),
        ("a.ffmetadata", ";FFMETADATA1\n"),
        ("a.v1", '{\n  "version": "1",\n  "source": "film.mp4",\n'),
        ("a.srt", "1\n00:00:"),
        ("a.vtt", "WEBVTT\n\nNOTE\n"),
    ],
)
def test_the_suffix_sets_the_format(call: Call, written: Path, target: str, begins: str) -> None:
    done = call("peaks", written, "-o", target)
    assert (done.returncode, done.stdout) == (0, "")
    assert Path(target).read_text("utf-8").startswith(begins)


def test_options_shape_the_edit(call: Call, written: Path) -> None:
    options = ("--timecode", "02:00:00:00", "--timecode-rate", "25", "--pad", "0,1")
    done = call("peaks", written, "-f", "edl", *options)
    lines = [line[:35] for line in done.stdout.splitlines() if line[:1] == "0"]
    assert lines == [f"00{number}  AX       V     C        02:00:" for number in (1, 2)]
    whole = call("peaks", written, "-f", "edl", "--as", "markers")
    assert sum(line[:1] == "0" for line in whole.stdout.splitlines()) == 1
    assert "its pictures begin 0.080 s into the file" in whole.stderr
    assert call("peaks", written, "-f", "ffmetadata").stderr == ""
    covering = call("peaks", written, "-f", "markers", "--pad", "1")
    assert "|D:1\n" not in covering.stdout


@pytest.mark.parametrize("rate", ["24000/1001", "25/2", "120/1"])
def test_auto_editor_keeps_the_moments_and_cuts_the_rest(rate: str) -> None:
    """Frames are counted at the video's own rate, also where timecode has no such rate."""
    made = edit_of([50, 200, 65], rate, as_clips=True)
    value = json.loads(text(made, "auto-editor"))
    assert (value["version"], value["source"]) == ("1", "film.mp4")
    end = round(6000 * Fraction(rate))
    cut, keep = 99999.0, 1.0
    assert value["chunks"] == [
        [0, 40, cut], [40, 75, keep], [75, 190, cut], [190, 210, keep], [210, end, cut]
    ]  # fmt: skip
    edges = json.loads(text(edit_of([5, end - 3], rate, as_clips=True), "auto-editor"))["chunks"]
    assert edges == [[0, 15, keep], [15, end - 13, cut], [end - 13, end, keep]]


def test_a_person_is_chosen_by_id_or_name(call: Call, written: Path) -> None:
    for person, name in (("P1", "Anna: "), ("Anna", "Anna: "), ("P2", "P2: ")):
        done = call("peaks", written, "--person", person, "-f", "markers")
        assert [f"|M:{name}" in line for line in done.stdout.splitlines() if "|" in line] == [True]
    both = call("peaks", written, "--person", "P1", "--person", "P2", "-f", "csv")
    assert len(both.stdout.splitlines()) == 3
    says(call("peaks", written, "--person", "Bob"), 2, "no person 'Bob'", "P1 (Anna), P2")
    written.write_text(text_of(timeline_of()))
    says(call("peaks", written, "--person", "Bob"), 2, "the timeline has no people")


def test_peaks_rank_by_the_score_that_is_asked_for() -> None:
    low, high = peak_at(50, "25/1"), peak_at(90, "25/1")
    high = Peak(**{**high.__dict__, "arousal": 0.8, "prominence": 0.2, "intensity": 0.95})
    assert rank([low, high], BASE) == [low, high]
    for score in ("arousal", "intensity"):
        assert rank([low, high], BASE, score=score) == [high, low]
    with pytest.raises(UsageError, match="prominence, arousal, intensity"):
        rank([low], BASE, score="fame")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--pad", "1,2"], ("--pad is for edl", "not for table")),
        (["--as", "clips", "-f", "markers"], ("--as is for", "not for markers")),
        (["--timecode", "01:00:00:00", "-f", "ffmetadata"], ("--timecode is for", "not for ffmetadata")),
        (["--timecode-rate", "25", "-f", "csv"], ("--timecode-rate is for", "not for csv")),
        (["--pad", "-1,2", "-f", "edl"], ("--pad", "1,2")),
        (["--pad", "9" * 5000, "-f", "edl"], ("--pad", "1,2")),
        (["-f", "resolve"], ("'resolve'", "Did you mean markers (on an existing timeline), or otio")),
        (["-f", "XML"], ("Did you mean premiere, or fcpxml for Final Cut Pro?",)),
        (["-f", "final-cut"], ("Did you mean fcpxml?",)),
        (["-f", "marker"], ("Did you mean markers?",)),
        (["--timecode", "noon", "-f", "edl"], ("'noon' is not a timecode",)),
        (["--timecode-rate", "22", "-f", "edl"], ("no rate of 22", "29.97")),
        (["--start", "3", "-f", "edl"], ("--start is for videos",)),
    ],
)
def test_invalid_options_are_an_error(call: Call, written: Path, line: list[str], words: list[str]) -> None:
    says(call("peaks", written, *line), 2, *words)


@pytest.mark.parametrize("form", EDITS)
def test_without_peaks_no_file_is_written_for_editors(call: Call, written: Path, form: str) -> None:
    done = call("peaks", written, "--emotion", "fear", "-f", form, "-o", "none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no peaks match: none was not written\n")
    assert not Path("none").exists()
    assert call("peaks", written, "--emotion", "fear", "-f", form).stdout == ""


def test_without_peaks_a_list_is_empty(call: Call, written: Path) -> None:
    done = call("peaks", written, "--emotion", "fear", "-o", "none.json")
    assert (done.returncode, done.stderr) == (0, "wrote none.json: 0 peaks, as no peaks match\n")
    assert json.loads(Path("none.json").read_text())["peaks"] == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["-f", "markers", "-o", "a.edl"], "wrote a.edl: 1 marker for 2 peaks"),
        (["-o", "a.edl"], "wrote a.edl: 2 clips"),
        (["-o", "a.fcpxml"], "wrote a.fcpxml: 2 markers"),
        (["-o", "a.v1"], "wrote a.v1: 2 clips"),
        (["-o", "a.srt"], "wrote a.srt: 2 peaks"),
        (["-o", "a.csv"], "wrote a.csv: 2 peaks"),
        (["-o", "a.csv", "--top", "1"], "wrote a.csv: 1 peak"),
    ],
)
def test_what_was_written_is_reported(call: Call, written: Path, line: list[str], message: str) -> None:
    assert message in call("peaks", written, *line).stderr.splitlines()
    assert call("peaks", written, *line, "-y", "-q").stderr == ""


def test_markers_from_zero_get_a_hint(call: Call, written: Path) -> None:
    line = ("peaks", written, "-y", "-o", "a.edl")
    hint = "add --timecode 01:00:00:00"
    for layout in (("-f", "markers"), ("--as", "markers")):
        assert call(*line, *layout).stderr.count(hint) == 1
        assert hint not in call(*line, *layout, "--timecode", "01:00:00:00").stderr
        assert hint not in call(*line, *layout, "-q").stderr
    assert hint not in call(*line).stderr  # clips begin at one hour
    value = json.loads(written.read_text())
    value["source"]["timecode"] = "10:00:00:00"
    written.write_text(json.dumps(value))
    assert hint not in call(*line, "-f", "markers").stderr


def test_peaks_that_are_left_out_are_counted(call: Call, written: Path) -> None:
    value = json.loads(written.read_text())
    value["peaks"] += [{**value["peaks"][0], "prominence": 0.15}]
    written.write_text(json.dumps(value))
    line = ("peaks", written, "--min-gap", "1", "--top", "1", "-f", "csv")
    assert call(*line).stderr == "left out: 1 peak by --min-gap, 1 peak by --top\n"
    assert call(*line, "-q").stderr == ""
    assert call("peaks", written, "-f", "csv").stderr == ""


def test_otio_without_its_library_is_an_error(
    call: Call, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    says(call("peaks", written, "-o", "a.otio"), 2, "fervid[edit]")
    assert not Path("a.otio").exists()
    assert call("peaks", written, "-o", "a.edl").returncode == 0
