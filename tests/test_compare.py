"""Agreement with annotations by hand: how they are read, whom they are compared with, and the figures."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pympi
import pytest
from conftest import Call, Fervid
from praatio import textgrid as praat
from test_cli import says, with_closed_output
from test_export import START, curve_of, model_of, person_of, segment_of, video_of
from timelines import read_back, text_of

from fervid.annotations import Annotation, Sheet, read
from fervid.annotations.counts import NONE, Agreement, Ruler
from fervid.annotations.pairing import Choice, measure
from fervid.annotations.pairing import compare as pair
from fervid.errors import FervidError, InputError, UsageError
from fervid.labels import EMOTIONS
from fervid.timeline import build
from fervid.types import Settings, Tally, Timeline

SECOND = 12800  # ticks
HAPPINESS, SADNESS = EMOTIONS.index("happiness"), EMOTIONS.index("sadness")
Rows = Sequence[tuple[float, float, str]]


def film(
    *segments: tuple[int, float, float, str],
    persons: dict[int, str] | None = None,
    offset: float = 0.0,
    settings: Settings | None = None,
    rate: Fraction | None = Fraction(25),
) -> Timeline:
    """Return four seconds at 25 frames a second; segments are (track, start, end, emotion), in seconds."""
    persons = persons or {}
    made = [
        segment_of(track, START + round(start * SECOND), START + round(end * SECOND), emotion)
        for track, start, end, emotion in segments
    ]
    tracks = sorted({segment.track for segment in made})
    people = [
        person_of(person, tuple(track for track in tracks if persons.get(track) == person))
        for person in dict.fromkeys(persons.values())
    ]
    return build(
        video_of(rate=rate, clock_offset=Fraction(str(offset))),
        model_of(),
        settings or Settings(),
        Tally(100, 100),
        np.array([START], np.int64),
        [curve_of(track, 5) for track in tracks],
        made,
        people,
    )


def put(timeline: Timeline, name: str = "out.json", human: Rows = ()) -> None:
    """Write a timeline, and human.csv."""
    Path(name).write_text(text_of(timeline, name.rpartition(".")[2]), "utf-8")
    table("human.csv", human)


def table(name: str, rows: Rows, header: str = "start,end,label") -> Path:
    path = Path(name)
    path.write_text("\n".join([header, *(f"{a},{b},{text}" for a, b, text in rows)]) + "\n", "utf-8")
    return path


def figures(call: Call, *arguments: str) -> Any:
    done = call("compare", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- figures


def test_a_stretch_covers_the_frames_with_their_middle_in_it() -> None:
    ruler = Ruler(Fraction(1), Fraction(1, 10), 10)  # middles at 1.05, 1.15 ... 1.95

    def painted(start: str, end: str) -> list[int]:
        return np.flatnonzero(ruler.paint([(Fraction(start), Fraction(end), 3)]) == 3).tolist()

    assert painted("1.05", "1.15") == [0]
    assert painted("1.0501", "1.1501") == [1]
    assert painted("1.06", "1.14") == []
    assert painted("0", "9") == list(range(10))
    assert painted("0", "1") == painted("2", "3") == []
    later = ruler.paint([(Fraction(1), Fraction(2), 0), (Fraction("1.5"), Fraction(3), 1)])
    assert later.tolist() == [0] * 5 + [1] * 5


def test_kappa_of_a_known_table() -> None:
    """The 2 x 2 table of many textbooks: 20, 5, 10, 15 give 0.4."""
    annotated = np.repeat([0, 0, 1, 1], [20, 5, 10, 15]).astype(np.int8)
    seen = np.repeat([0, 1, 0, 1], [20, 5, 10, 15]).astype(np.int8)
    agreement = Agreement.of(("anger", "fear"), annotated, seen)
    assert agreement.kappa == pytest.approx(0.4)
    assert agreement.confusion.accuracy == pytest.approx(0.7)
    assert agreement.confusion.precision == pytest.approx([20 / 30, 15 / 20])
    assert agreement.confusion.recall == pytest.approx([20 / 25, 15 / 25])
    constant = np.zeros(9, np.int8)
    assert np.isnan(Agreement.of(("anger", "fear"), constant, constant).kappa)


def test_every_figure_is_that_of_the_frames_one_by_one() -> None:
    generator = np.random.default_rng(3)
    annotated, seen = generator.integers(NONE, 7, (2, 5000)).astype(np.int8)
    agreement = Agreement.of(EMOTIONS, annotated, seen)
    both = (annotated != NONE) & (seen != NONE)
    agreed = float((annotated[both] == seen[both]).mean())
    chance = sum(float((annotated[both] == k).mean() * (seen[both] == k).mean()) for k in range(7))
    assert agreement.confusion.accuracy == pytest.approx(agreed)
    assert agreement.kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert agreement.matched == pytest.approx(float((seen == annotated)[annotated != NONE].mean()))
    assert agreement.coverage == {
        "both": int(both.sum()),
        "annotator_only": int(((annotated != NONE) & (seen == NONE)).sum()),
        "timeline_only": int(((annotated == NONE) & (seen != NONE)).sum()),
        "neither": int(((annotated == NONE) & (seen == NONE)).sum()),
    }
    first, second = (Agreement.of(EMOTIONS, annotated[rows], seen[rows]) for rows in np.s_[:900, 900:])
    assert ((first + second).counts == agreement.counts).all()
    with pytest.raises(ValueError, match="different labels"):
        first + Agreement.of(("anger",), seen[:0], seen[:0])


def test_nothing_in_common_has_no_figures(call: Call) -> None:
    put(film((0, 0, 1, "anger")), human=[(2, 3, "anger")])
    result = figures(call, "out.json", "human.csv")["together"]
    assert (result["frames"], result["found"]) == (0, 0)
    assert [result[name] for name in ("accuracy", "kappa", "macro_f1")] == [None] * 3
    seconds = {part: each["seconds"] for part, each in result["coverage"].items()}
    assert seconds == {"both": 0, "annotator_only": 1, "timeline_only": 1, "neither": 2}
    assert " - " in call("compare", "out.json", "human.csv").stdout


# --- the whole way


SEGMENTS = [(0, 0.0, 1.0, "happiness"), (0, 1.0, 2.0, "sadness"), (0, 3.0, 4.0, "happiness")]


def test_the_table_and_the_json_tell_the_same(call: Call) -> None:
    put(film(*SEGMENTS))
    table("anna.csv", [(0, 0.5, "Joy"), (0.5, 2.0, "sad"), (2.0, 3.0, "neutral")])
    result = figures(call, "out.json", "anna.csv")
    (anna,) = result["annotators"]
    assert (anna["name"], anna["frames"]) == ("anna", 50)
    assert anna["tiers"] == [{"tier": "", "compared_with": "all faces"}]
    # Of 50 frames the first 12 (the middle of the 13th is at 0.5) and the last 25 agree.
    assert anna["accuracy"] == pytest.approx(37 / 50)
    assert anna["found"] == pytest.approx(37 / 75)
    assert anna["confusion"][HAPPINESS][HAPPINESS] == 12
    assert anna["confusion"][SADNESS][HAPPINESS] == 13
    assert anna["per_emotion"]["sadness"] == {
        "frames": 38,
        "precision": 1.0,
        "recall": pytest.approx(25 / 38, abs=1e-6),
        "f1": pytest.approx(50 / 63, abs=1e-6),
    }
    assert anna["coverage"]["timeline_only"] == {"seconds": 1.0, "share": 0.25}
    assert anna["unlabelled_seconds"] == anna["coverage"]["neither"]["seconds"] == 0
    assert result["together"] == {key: anna[key] for key in result["together"]}
    assert "not say what a person feels" in result["note"]
    output = call("compare", "out.json", "anna.csv").stdout
    for word in ("0.740", "100 frames, 4.000 s", "annotator only 1.0", "rows with all faces", result["note"]):
        assert word in output
    assert "disgust" not in output  # which nobody named


@pytest.mark.parametrize("offset", [0.0, 0.32])
@pytest.mark.parametrize("target", ["film.eaf", "film.TextGrid", "film.csv"])
def test_what_is_exported_agrees_with_its_timeline(call: Call, target: str, offset: float) -> None:
    people = {0: "P1", 1: "P2", 2: "P1"}
    put(film(*SEGMENTS[:2], (1, 0.5, 3.7, "fear"), (2, 2.1, 4.0, "anger"), persons=people, offset=offset))
    line = ("export", "out.json", "-o", target, *(("-f", "segments") if target == "film.csv" else ()))
    assert call(*line).returncode == 0
    result = figures(call, "out.json", target)
    (only,) = result["annotators"]
    assert (only["accuracy"], only["kappa"], only["found"]) == (1, 1, 1)
    assert {(each["tier"], each["compared_with"]) for each in only["tiers"]} == {("P1", "P1"), ("P2", "P2")}
    assert only["coverage"]["annotator_only"]["seconds"] == only["coverage"]["timeline_only"]["seconds"] == 0
    # Over two people, the time without a label adds up to more than the film has; for nobody it is none.
    assert only["coverage"]["neither"]["seconds"] > only["unlabelled_seconds"] == 0
    moved = figures(call, "out.json", target, "--offset", "-0.2")
    assert moved["together"]["accuracy"] < 1
    if offset:
        clock = "player" if target == "film.csv" else "first-frame"
        assert figures(call, "out.json", target, "--clock", clock)["together"]["accuracy"] < 1
        back = str(offset if target == "film.csv" else -offset)
        again = figures(call, "out.json", target, "--clock", clock, "--offset", back)
        assert again["together"]["accuracy"] == 1


def test_a_timeline_of_json_lines_is_compared_as_well(call: Call) -> None:
    put(film(*SEGMENTS), "out.jsonl", [(0, 1, "happiness")])
    assert figures(call, "out.jsonl", "human.csv")["together"]["accuracy"] == 1


def test_only_the_part_that_was_analyzed_counts(call: Call) -> None:
    settings = Settings(start=Fraction(1), end=Fraction(2))
    put(film((0, 1.0, 2.0, "sadness"), settings=settings), human=[(0, 4, "sadness")])
    result = figures(call, "out.json", "human.csv")
    assert result["compared"] == {"start": 1.0, "seconds": 1.0, "frames": 25}
    assert result["together"]["coverage"]["both"]["share"] == 1


def test_a_still_is_one_frame() -> None:
    assert measure(read_back(film(rate=None))).count == 1


# --- whom a tier is of


def test_one_tier_and_faces_one_after_the_other_are_a_pair(call: Call) -> None:
    put(film((0, 0, 1, "anger"), (1, 1, 2, "fear"), (2, 2, 3, "anger")))
    table("human.csv", [(0, 1, "anger"), (1, 3, "fear")])
    assert figures(call, "out.json", "human.csv")["together"]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)


def test_several_faces_at_once_need_a_word(call: Call) -> None:
    put(film((3, 0, 2, "anger"), (5, 1, 3, "fear"), persons={5: "P1"}), human=[(1, 2, "fear")])
    says(call("compare", "out.json", "human.csv"), 2, "human.csv", "--person or --track", "track 3, P1")
    for option, value, accuracy in (("--person", "P1", 1), ("--track", "5", 1), ("--track", "3", 0)):
        assert figures(call, "out.json", "human.csv", option, value)["together"]["accuracy"] == accuracy
    both = figures(call, "out.json", "human.csv", "--track", "3", "--person", "P1")
    assert both["annotators"][0]["tiers"] == [{"tier": "", "compared_with": "P1 + track 3"}]
    says(call("compare", "out.json", "human.csv", "--person", "P9"), 2, "'P9'", "track 3, P1")
    says(call("compare", "out.json", "human.csv", "--track", "4"), 2, "no track 4", "track 3, P1")


def test_tiers_are_matched_by_name_participant_and_given_name(call: Call) -> None:
    timeline = film((0, 0, 2, "anger"), (1, 0, 2, "fear"), (2, 2, 4, "anger"), persons={0: "P1", 1: "P2"})
    anna, other = timeline.people
    put(replace(timeline, people=(replace(anna, name="Anna"), other)))
    by_name = elan("a.eaf", {"ANNA": [(0, 2, "anger")], "Track 2": [(2, 3, "anger")], "talk": [(0, 1, "hm")]})
    assert tiers_of(call, by_name) == {"ANNA": "Anna", "Track 2": "track 2"}
    by_id = elan("b.eaf", {"p1": [(0, 2, "anger")]})
    assert tiers_of(call, by_id) == {"p1": "Anna"}
    by_participant = elan("c.eaf", {"emotion": [(0, 2, "fear")]}, who={"emotion": "P2"})
    assert tiers_of(call, by_participant) == {"emotion": "P2"}
    for path in (by_name, by_id):
        assert figures(call, "out.json", str(path))["together"]["accuracy"] == 1
    elan("d.eaf", {"P1": [(0, 2, "anger")], "P7": [(0, 2, "fear")]})
    done = call("compare", "out.json", "d.eaf")
    assert done.returncode == 0
    assert "left out" in done.stderr and "d.eaf: P7" in done.stderr


def tiers_of(call: Call, path: Path) -> dict[str, str]:
    (only,) = figures(call, "out.json", str(path))["annotators"]
    return {each["tier"]: each["compared_with"] for each in only["tiers"]}


NOBODY: dict[str, str] = {}


def elan(
    path: str | Path, tiers: dict[str, Rows], who: dict[str, str] = NOBODY, by: dict[str, str] = NOBODY
) -> Path:
    """Write a file with pympi."""
    document = pympi.Eaf(author="somebody")
    document.remove_tier("default")
    for tier, rows in tiers.items():
        document.add_tier(tier, part=who.get(tier), ann=by.get(tier))
        for start, end, text in rows:
            document.add_annotation(tier, round(start * 1000), round(end * 1000), text)
    document.to_file(str(path))
    return Path(path)


def test_two_tiers_of_one_face_are_two_annotators_only_when_chosen(call: Call) -> None:
    put(film((0, 0, 2, "anger")))
    elan("x.eaf", {"one": [(0, 2, "anger")], "two": [(0, 1, "anger"), (1, 2, "fear")]})
    says(call("compare", "out.json", "x.eaf"), 2, "'one' and 'two' are both of all faces", "--tier")
    assert figures(call, "out.json", "x.eaf", "--tier", "two")["together"]["accuracy"] == 0.5
    both = figures(call, "out.json", "x.eaf", "--tier", "one", "--tier", "two")
    assert [each["name"] for each in both["annotators"]] == ["x one", "x two"]
    says(call("compare", "out.json", "x.eaf", "--tier", "three"), 2, "no tier 'three'", "one, two")


def test_a_person_s_own_tier_is_taken_before_others(call: Call) -> None:
    put(film((0, 0, 2, "anger"), (1, 0, 2, "fear"), persons={0: "P1", 1: "P2"}))
    elan("x.eaf", {"P2": [(0, 2, "fear")], "P1": [(0, 2, "anger")]})
    both = figures(call, "out.json", "x.eaf", "--person", "P1", "--tier", "P1", "--tier", "P2")
    assert [(each["name"], each["accuracy"]) for each in both["annotators"]] == [("x P2", 0), ("x P1", 1)]
    document = figures(call, "out.json", "x.eaf", "--person", "P1")
    assert document["annotators"][0]["tiers"] == [{"tier": "P1", "compared_with": "P1"}]
    assert document["together"]["accuracy"] == 1


# --- annotators


def test_several_annotators_each_together_and_between(call: Call) -> None:
    put(film((0, 0, 4, "anger")))
    table("a.csv", [(0, 4, "anger")])
    table("b.csv", [(0, 2, "anger"), (2, 3, "fear")])
    os.mkdir("c")
    table("c/a.csv", [(3, 4, "fear")])
    document = figures(call, "out.json", "a.csv", "b.csv", "c/a.csv")
    assert [each["name"] for each in document["annotators"]] == ["a.csv", "b", "a.csv (2)"]
    assert [each["accuracy"] for each in document["annotators"]] == [1, pytest.approx(2 / 3, abs=1e-6), 0]
    assert document["together"]["frames"] == 100 + 75 + 25
    assert document["together"]["accuracy"] == pytest.approx(150 / 200)
    pairs = document["between_annotators"]
    names = [" and ".join(each["annotators"]) for each in pairs]
    assert names == ["a.csv and b", "a.csv and a.csv (2)", "b and a.csv (2)"]
    assert [each["frames"] for each in pairs] == [75, 25, 0]
    assert pairs[0]["accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    output = call("compare", "out.json", "a.csv", "b.csv").stdout
    assert "together" in output and "between a and b: accuracy 0.667" in output
    says(call("compare", "out.json", "a.csv", "a.csv"), 2, "a.csv is named twice")


def test_annotators_whom_one_file_names(call: Call) -> None:
    put(film((0, 0, 4, "anger")))
    rows = [(0, 4, "anger,Ann"), (0, 2, "anger,Ben"), (2, 4, "fear,Ben")]
    table("both.csv", rows, "start,end,label,Annotator")
    document = figures(call, "out.json", "both.csv")
    assert [(each["name"], each["accuracy"]) for each in document["annotators"]] == [("Ann", 1), ("Ben", 0.5)]
    elan("x.eaf", {"1": [(0, 4, "anger")], "2": [(0, 4, "fear")]}, by={"1": "Ann", "2": "Ben"})
    document = figures(call, "out.json", "x.eaf")
    assert [(each["name"], each["accuracy"]) for each in document["annotators"]] == [("Ann", 1), ("Ben", 0)]


# --- words


def test_words_that_are_no_emotion_are_told_and_can_be_explained(call: Call) -> None:
    put(film((0, 0, 4, "happiness")))
    table("human.csv", [(0, 1, "happy"), (1, 2, "Smile"), (2, 3, "Smile"), (3, 4, "unsure"), (3, 4, "")])
    done = call("compare", "out.json", "human.csv")
    assert done.returncode == 0
    assert "Smile (2), unsure (1); map them with --label" in done.stderr
    document = figures(call, "out.json", "human.csv", "--label", "smile=joy")
    assert document["annotators"][0]["left_out"] == {"unsure": 1}
    assert document["together"]["frames"] == 75
    says(call("compare", "out.json", "human.csv", "--label", "smile"), 2, "WORD=EMOTION")
    says(call("compare", "out.json", "human.csv", "--label", "smile=bored"), 2, "WORD=EMOTION")
    table("none.csv", [(0, 1, "Smile")])
    says(call("compare", "out.json", "none.csv"), 1, "none.csv has no emotion", "happiness", "--label")


def test_an_emotion_that_the_model_lacks_counts_as_missed(call: Call) -> None:
    put(film((0, 0, 2, "anger")), human=[(0, 1, "anger"), (1, 2, "contempt")])
    document = figures(call, "out.json", "human.csv")
    assert document["labels"] == [*EMOTIONS, "contempt"]
    assert document["together"]["per_emotion"]["contempt"]["recall"] == 0
    assert document["together"]["accuracy"] == 0.5


def test_annotations_that_overlap_are_told(call: Call) -> None:
    put(film((0, 0, 2, "anger")), human=[(0, 2, "anger"), (1, 2, "fear")])
    done = call("compare", "out.json", "human.csv", "--json")
    assert "1 annotations overlap; the later one counts" in done.stderr
    assert json.loads(done.stdout)["together"]["accuracy"] == 0.5


# --- reading ELAN


def rows_of(sheet: Sheet, tier: str) -> list[tuple[float, float, str]]:
    (match,) = [each for each in sheet.tiers if each.name == tier]
    return [(float(each.start), float(each.end), each.text) for each in match.annotations]


def test_elan_s_dependent_tiers_take_their_parents_times(tmp_path: Path) -> None:
    document = pympi.Eaf()
    document.add_linguistic_type("assoc", "Symbolic_Association", timealignable=False)
    document.add_linguistic_type("part", "Symbolic_Subdivision", timealignable=False)
    document.add_tier("face")
    document.add_annotation("face", 1000, 2000, "a face")
    document.add_annotation("face", 3000, 4000, "again")
    document.add_tier("emotion", "assoc", "face")
    document.add_ref_annotation("emotion", "face", 3500, "fear")
    document.add_ref_annotation("emotion", "face", 1500, "anger")
    path = tmp_path / "x.eaf"
    document.to_file(str(path))
    text = path.read_text()
    assert "REF_ANNOTATION" in text
    assert rows_of(read(str(path)), "emotion") == [(1, 2, "anger"), (3, 4, "fear")]
    # Two children of one parent share its time evenly.
    root = ElementTree.fromstring(text)
    second = root.findall("TIER[@TIER_ID='emotion']/ANNOTATION/REF_ANNOTATION")
    for each in second:
        each.set("ANNOTATION_REF", second[0].get("ANNOTATION_REF") or "")
    path.write_bytes(ElementTree.tostring(root))
    assert sorted(rows_of(read(str(path)), "emotion"))[0][1] == 3.5


def test_elan_s_slots_without_a_time_lie_between_their_neighbours(tmp_path: Path) -> None:
    path = elan(tmp_path / "x.eaf", {"t": [(0, 1, "anger"), (1, 1.5, "fear"), (1.5, 3, "anger")]})
    root = ElementTree.fromstring(path.read_text())
    for slot in root.iterfind("TIME_ORDER/TIME_SLOT"):
        if slot.get("TIME_VALUE") in ("1000", "1500"):
            del slot.attrib["TIME_VALUE"]
    path.write_bytes(ElementTree.tostring(root))
    rows = rows_of(read(str(path)), "t")
    assert [text for _, _, text in rows] == ["anger", "fear", "anger"]
    assert rows[0][0] == 0 and rows[-1][1] == 3
    assert all(start < end for start, end, _ in rows)


def test_elan_s_media_offset_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "x.eaf"
    document = pympi.Eaf()
    document.add_linked_file("film.mp4", mimetype="video/mp4", time_origin=2500)
    document.add_tier("t")
    document.add_annotation("t", 0, 1000, "anger")
    document.to_file(str(path))
    assert rows_of(read(str(path)), "t") == [(2.5, 3.5, "anger")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:400], "was cut off"),
        (lambda text: "<html/>", "not an ELAN document"),
        (lambda text: text.replace("UTF-8", "UBF-8"), "not an ELAN document"),
        (lambda text: "", "was cut off"),
        (lambda text: text.replace("<HEADER>", '<HEADER TIME_UNITS="PAL-frames">'), "PAL-frames"),
        (lambda text: text.replace('TIME_VALUE="0"', 'TIME_VALUE="soon"'), "damaged"),
        (lambda text: text.replace('TIME_VALUE="0"', f'TIME_VALUE="{"9" * 4000}"'), "9{40} is not a time"),
        (lambda text: text.replace('TIME_SLOT_REF1="ts2"', 'TIME_SLOT_REF1="ts9"'), "time slot ts9"),
        (lambda text: text.replace("TIER_ID", "TIER_NAME"), "damaged"),
    ],
    ids=["cut", "html", "encoding", "empty", "frames", "time", "long", "slot", "tier"],
)
def test_a_damaged_elan_document_is_an_error(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    text = elan(tmp_path / "x.eaf", {"t": [(0, 1, "anger")]}).read_text()
    assert change(text) != text
    fails(tmp_path / "x.eaf", change(text).encode(), message)


def fails(path: Path, data: bytes, message: str) -> None:
    """Check that annotations of these bytes cannot be read."""
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        read(str(path))


# --- reading Praat


def praat_writes(path: Path, form: str) -> list[tuple[float, float, str]]:
    rows = [(0.25, 1.0, "anger"), (1.0, 2.5, 'sad "quoted" <x> 3 ! no comment'), (3.0, 3.125, "Zoë")]
    grid = praat.Textgrid(0, 4)
    grid.addTier(praat.IntervalTier("emotion", rows, 0, 4))
    grid.addTier(praat.PointTier("points", [(1.0, "anger"), (2.0, "fear")], 0, 4))
    grid.addTier(praat.IntervalTier("empty", [], 0, 4))
    grid.save(str(path), format=form, includeBlankSpaces=True)
    return rows


@pytest.mark.parametrize("form", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "latin-1"])
def test_both_forms_of_textgrid_in_every_encoding(tmp_path: Path, form: str, encoding: str) -> None:
    path = tmp_path / "x.TextGrid"
    rows = praat_writes(path, form)
    path.write_bytes(path.read_text("utf-8").encode(encoding))
    sheet = read(str(path))
    assert [tier.name for tier in sheet.tiers] == ["emotion", "empty"]
    assert rows_of(sheet, "emotion") == rows
    assert rows_of(sheet, "empty") == []


def test_comments_in_a_textgrid_are_none_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    rows = praat_writes(path, "long_textgrid")
    text = path.read_text().replace("xmin = 0 \n", 'xmin = 0 ! "a comment" 7\n', 1)
    assert "a comment" in text
    path.write_text(text)
    assert rows_of(read(str(path)), "emotion") == rows


def test_a_textgrid_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    praat_writes(path, "short_textgrid")
    data = path.read_bytes().rstrip()
    for length in range(0, len(data) - 1, 7):
        fails(path, data[:length], r"damaged|not a TextGrid")
    path.write_bytes(data)
    assert read(str(path)).tiers


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ooBinaryFile\x08TextGrid", "binary"),
        (b'"Praat chronological TextGrid text file"\n0 1', "chronological"),
        (b"\xff\xfex", "damaged"),
        (b"\x00\x01\x02", "not a TextGrid"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> 1 "Pitch" "x" 0 1 0', "unknown kind"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> 1 "IntervalTier" 0 1', "expected a text, got"),
        (b'"ooTextFile" "TextGrid" 0 1 <exists> 1.5e', "damaged"),
    ],
)
def test_another_file_than_a_textgrid_is_an_error(tmp_path: Path, data: bytes, message: str) -> None:
    fails(tmp_path / "x.TextGrid", data, message)


# --- reading tables


def test_a_long_text_takes_little_memory(tmp_path: Path) -> None:
    """A text of 16 MB took 2.2 GB."""
    text = 'a""b' * 500_000
    path = tmp_path / "x.TextGrid"
    path.write_text(f'"ooTextFile" "TextGrid" 0 9 <exists> 1 "IntervalTier" "t" 0 9 1 0 9 "{text}"')
    tracemalloc.start()
    try:
        (tier,) = read(str(path)).tiers
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tier.annotations[0].text == text.replace('""', '"')
    assert peak < 10 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        "start,end,label\n1.5,2.5,fear\n",
        "\ufeffStart;End;Emotion\r\n1,5;2,5;fear\r\n\r\n",
        "tmin\ttier\ttext\ttmax\n1.5\temotion\tfear\t2.5\n",
        "begin,stop,expression,comment\n0:01.5,00:00:02.500,fear,yes\n",
        'label,onset,offset\n" fear ",1.5,2.5',
    ],
)
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text, "utf-8")
    sheet = read(str(tmp_path / "x.csv"))
    (tier,) = sheet.tiers
    assert tier.annotations == (Annotation(Fraction(3, 2), Fraction(5, 2), "fear"),)
    assert not sheet.is_on_player_clock


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'start'"),
        ("start,end\n1,2\n", "no column 'label'"),
        ("start,end,label\n1,2,fear\n3,soon,fear\n", "line 3: 'soon' is not a time"),
        ("start,end,label\n2,2,fear\n", "line 2: it ends at 2, not after"),
        ("start,end,label\n1,nan,fear\n", "line 2: 'nan' is not a time"),
        ("start,end,label\n1,1e999999999,fear\n", "line 2: '1e999999999' is not a time"),
        ("start,end,label\n1,1:" + "9" * 5000 + ",fear\n", "line 2: '1:9{38}' is not a time"),
        ("start,end,label\n1," + "9" * 5000 + ":00:00,fear\n", "line 2: '9{40}' is not a time"),
        ("start,end,label\n1\n", "line 2: '' is not a time"),
        ("start,end,label\n1,1/0,fear\n", "line 2: '1/0' is not a time"),
    ],
)
def test_an_invalid_table_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    fails(tmp_path / "x.csv", text.encode(), message)


# --- the command


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["out.json"], 2, ["ANNOTATIONS"]),
        (["out.json", "human.txt"], 2, ["human.txt", ".eaf, .textgrid, .csv"]),
        (["out.json", "gone.eaf"], 1, ["gone.eaf", "no such file"]),
        (["out.json", "folder.csv"], 1, ["folder.csv cannot be read"]),
        (["out.json", "binary.csv"], 1, ["binary.csv is not text"]),
        (["out.json", "out.eaf"], 1, ["out.eaf is not an ELAN document"]),
        (["human.csv", "human.csv"], 1, ["human.csv is not a timeline"]),
        (["gone.json", "human.csv"], 1, ["gone.json", "no such file"]),
        (["future.json", "human.csv"], 1, ["schema version 9."]),
        (["out.json", "human.csv", "--offset", "soon"], 2, ["'soon' is not a number of seconds"]),
        (["out.json", "human.csv", "--offset", "nan"], 2, ["'nan' is not a number of seconds"]),
        (["fast.json", "human.csv"], 1, ["frames, more than fervid compares"]),
        (["late.json", "human.csv"], 1, ["damaged"]),
        (["out.json", "human.csv", "--clock", "mine"], 2, ["player", "first-frame"]),
        (["none.json", "human.csv", "--track", "1"], 2, ["no track 1", "no face was found"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_impossible_comparison_is_an_error(
    call: Call, arguments: list[str], code: int, words: list[str]
) -> None:
    put(film(*SEGMENTS))
    put(film(), "none.json")
    text = text_of(film())
    Path("future.json").write_text(text.replace('"schema_version": "1.', '"schema_version": "9.'))
    Path("fast.json").write_text(text.replace('"rate": "25/1"', '"rate": "2500000000/1"'))
    Path("late.json").write_text(text.replace('"start": null', '"start": "soon"'))
    table("human.csv", [(0, 1, "fear")])
    Path("folder.csv").mkdir()
    Path("binary.csv").write_bytes(b"\xff\xfe\x00")
    Path("out.eaf").write_text(text)
    says(call("compare", *arguments), code, *words)


def test_a_film_without_a_face_is_compared(call: Call) -> None:
    put(film(), human=[(0, 1, "fear")])
    result = figures(call, "out.json", "human.csv")["together"]
    assert (result["frames"], result["found"]) == (0, 0)
    assert result["coverage"]["annotator_only"]["seconds"] == 1


def test_odd_names_of_files_tiers_and_people(call: Call) -> None:
    put(film((0, 0, 1, "fear"), persons={0: "P1"}))
    name = os.fsdecode(b'-a "b" [c]\n \xff\x1b.csv')
    rows = [(0, 1, "fear,=x<y>\x1b[31m"), (1, 2, "\x1b[2J,=x<y>\x1b[31m")]
    table(name, rows, "start,end,label,tier")
    done = call("compare", "out.json", f"./{name}")
    assert done.returncode == 0
    assert '-a "b" [c] \\xff compared: =x<y> [31m with all faces' in done.stdout
    assert "[2J (1)" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_a_timeline_in_a_pipe_and_a_closed_pipe(fervid: Fervid, tmp_path: Path) -> None:
    (tmp_path / "human.csv").write_text("start,end,label\n0,1,happiness\n")
    line, text = ["compare", "-", str(tmp_path / "human.csv")], text_of(film(*SEGMENTS))
    done = fervid(*line, input=text.encode())
    assert (done.returncode, done.stderr) == (0, "")
    assert "1.000" in done.stdout
    assert with_closed_output(line, text) == (0, b"")


def test_the_library_compares_without_the_command(tmp_path: Path) -> None:
    path = tmp_path / "human.csv"
    path.write_text("start,end,label\n0,1,happiness\n")
    result = pair(read_back(film(*SEGMENTS)), [read(str(path))], Choice())
    assert result.raters[0].agreement(result.labels).confusion.accuracy == 1
    with pytest.raises(FervidError, match="no tier"):
        pair(read_back(film(*SEGMENTS)), [read(str(path))], Choice(tiers=("x",)))
    with pytest.raises(UsageError, match="not a file of annotations"):
        read("human.docx")
