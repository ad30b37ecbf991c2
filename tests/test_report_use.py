"""The use of a report: who is on screen, names, timecode, markers, the player in view."""

from __future__ import annotations

import io
import shlex
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import media
import numpy as np
import pytest
from browser import Open, Opened
from conftest import Call
from timelines import doubtful_of, read, read_back, text_of, timeline_of, video_at, video_of

from fervid.export import EDITS, PEAKS
from fervid.export.editors.edit import plan
from fervid.export.page import pictures
from fervid.labels import COLOURS, EMOTIONS
from fervid.timeline.peaks import rank
from fervid.types import Array, Floats, Peak, Timeline

PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return media.write(path, media.pictures(300, 160, 120), gop=25).as_uri()


def at(opened: Opened, seconds: float) -> None:
    """Show a moment, without a video."""
    opened.page.evaluate(f"() => {{ view.playing = {seconds}; byId('stage').hidden = false; changed(); }}")
    opened.settle()


# --- the panel


def test_the_panel_lists_who_is_on_screen_now(open_page: Open) -> None:
    opened = open_page(timeline_of(video_of(), "Anna", "P2"))
    for seconds, who in ((1, ["Anna"]), (7, ["Anna", "P2"]), (9, ["P2"]), (11.5, [])):
        at(opened, seconds)
        assert opened.page.locator(".now-head span:first-child").all_inner_texts() == who
    assert opened.text("#now-none") == "No face on screen."


def test_the_label_of_the_panel_is_the_first_piece_of_its_bar(open_page: Open) -> None:
    """Also where the score of the moment is another than the band's."""
    timeline = timeline_of(video_of(), "P1", "P2")
    scores = timeline.curves[0].scores.copy()
    scores[8] = np.eye(len(EMOTIONS))[EMOTIONS.index("fear")]  # within a band of happiness
    curves = (replace(timeline.curves[0], scores=scores), *timeline.curves[1:])
    opened = open_page(replace(timeline, curves=curves))
    for seconds, text in (
        (1, "neutral 88 %"),
        (3.5, "happiness 88 %"),
        (8 * 0.32, "fear 100 %, within happiness"),
    ):
        at(opened, seconds)
        assert opened.page.locator(".now-head span:last-child").first.inner_text() == text
        first = opened.page.locator(".now-row .stack i").first.get_attribute("style") or ""
        colour = COLOURS[text.split()[0]].removeprefix("#")
        assert f"rgb({', '.join(str(value) for value in bytes.fromhex(colour))})" in first


# --- action units


def with_units(timeline: Timeline) -> Timeline:
    """Add a smile of the first track in its middle third, with a blink at 1 s; no other unit is present."""
    first, *others = timeline.curves
    smile = np.zeros(len(first.pts), np.float32)
    smile[len(smile) // 3 : 2 * len(smile) // 3] = 4.0
    units = {"AU12": smile, "AU26": np.full(len(smile), 0.9, np.float32)}
    blinks = np.array([timeline.source.ticks(1)])
    rest = [
        replace(curve, units={name: np.zeros(len(curve.pts), np.float32) for name in units})
        for curve in others
    ]
    return replace(timeline, curves=(replace(first, units=units, blinks=blinks), *rest))


def test_the_page_shows_action_units_and_blinks_of_the_chosen_person_on_request(open_page: Open) -> None:
    opened = open_page(with_units(timeline_of(video_of(), "Anna", "P2")))
    toggle = opened.page.locator("#units-toggle")
    assert toggle.is_visible() and opened.count("#units, #unit-labels") == 0
    toggle.click()
    assert opened.page.locator(".unit-name span").all_inner_texts() == ["AU12", "1 blink"]
    assert "AU12 lip corners pulled up to 4.0. 1 blink." in (
        opened.page.locator("#unit-lines").get_attribute("aria-label") or ""
    )
    ink = opened.ink("unit-lines")
    second = ink.shape[1] / 12
    curve, blinks = ink[4:30, :, 3], ink[36 + 14 : 36 + 17, :, 3]
    assert curve[8, int(4 * second)] > 0 and not curve[8, int(1 * second)] and not curve[8, int(7.5 * second)]
    assert blinks[:, round(second) - 1 : round(second) + 1].all() and not blinks[:, int(2 * second)].any()
    opened.page.locator("#labels button").nth(1).click()
    assert opened.page.locator(".unit-name span").all_inner_texts() == ["Blinks"]
    assert opened.page.locator(".unit-name small").all_inner_texts() == ["not counted"]
    toggle.click()
    assert opened.count("#units, #unit-labels") == 0


def test_a_page_without_action_units_has_no_button_for_them(open_page: Open) -> None:
    assert open_page(timeline_of(video_of())).count("#units-toggle, #units") == 0


# --- explanations


def test_a_peak_shows_why_on_request(open_page: Open) -> None:
    timeline = timeline_of(video_of(), "P1", "P2")
    why = {"streams": {"still": 3.0, "c3d": -1.5}, "regions": {}, "picture": PIXEL}
    reasons = [why, *[None] * (len(timeline.peaks) - 1)]
    opened = open_page(timeline, extras={"reasons": reasons})
    assert opened.count(".why, #why-hint") == 0
    opened.page.locator("#why-toggle").click()
    assert opened.count(".peaks .why") == 1 and opened.text("#why-hint").startswith("1 peak is explained")
    assert opened.page.locator(".why dd").all_inner_texts() == ["+3.00", "−1.50"]
    widths = [opened.page.locator(f".why .{kind}").bounding_box() for kind in ("for", "against")]
    assert widths[0] and widths[1] and widths[0]["width"] == pytest.approx(2 * widths[1]["width"], abs=1)
    assert widths[1]["x"] < widths[0]["x"]
    opened.page.locator("#why-toggle").click()
    assert opened.count(".why, #why-hint") == 0


def test_a_page_without_explanations_has_no_button_for_them(open_page: Open) -> None:
    assert open_page(timeline_of(video_of())).count("#why-toggle") == 0


# --- rows


def test_neutral_is_a_plain_line_and_an_unreadable_face_is_hatched(open_page: Open) -> None:
    opened = open_page(timeline_of(video_of(), "P1", "P2"))
    ink = opened.ink("bands")
    second = ink.shape[1] / 12

    def band(row: int, start: float, end: float) -> Array:
        top = 34 + 38 * row + 14
        return ink[top : top + 18, int(start * second) : int(end * second)].reshape(-1, 4)

    neutral = band(0, 0.2, 1.8)
    unread = band(1, 10.2, 10.8)
    colours = {tuple(pixel[2::-1]) for pixel in neutral if pixel[3]}
    assert tuple(bytes.fromhex(COLOURS["neutral"].removeprefix("#"))) in colours
    drawn = unread[:, 3] > 0
    assert 0.2 < drawn.mean() < 0.8
    assert not {tuple(pixel[2::-1]) for pixel in unread[unread[:, 3] == 255]} & colours
    assert (band(1, 11.2, 11.8)[:, 3] > 0).mean() < 0.2  # nobody is on screen


def test_an_uncertain_segment_is_pale_and_says_so(open_page: Open) -> None:
    opened = open_page(doubtful_of(video_of(), "P1", "P2"))
    ink = opened.ink("bands")
    second = ink.shape[1] / 12
    top = 34 + 14
    sure, unsure = (ink[top + 2 : top + 5, int(at * second)] for at in (4.5, 7.5))
    assert (sure[:, 3] == 255).all() and (unsure[:, 3] < 100).all() and unsure[:, 3].any()
    assert "uncertain: a mean score below 50 %" in opened.text("#legend")
    at(opened, 6.5)
    assert opened.page.locator(".now-head span:last-child").first.inner_text() == "uncertain: sadness 88 %"
    opened.page.locator("#lanes").focus()
    for _ in range(3):
        opened.page.keyboard.press("ArrowRight")
    assert opened.text("#spoken").startswith("P1: uncertain: sadness, 0:05.0 to 0:08.0, mean score 41 %")
    opened.page.locator("#list summary").click()
    opened.page.locator("#list-table tbody tr").first.wait_for()
    assert opened.text("#list-table").count("uncertain: sadness") == 1
    assert "uncertain" not in open_page(timeline_of(video_of(), "P1")).text("#legend")


def test_people_seen_for_a_moment_are_folded_away(open_page: Open) -> None:
    timeline = timeline_of(video_of(), "P1", "P2")
    moment = replace(timeline.curves[1], end=timeline.curves[1].start + 10)
    brief = replace(timeline, curves=(timeline.curves[0], moment), segments=timeline.segments[:3], peaks=())
    opened = open_page(brief)
    assert opened.page.locator("#labels button").all_inner_texts() == ["P1"]
    assert opened.count("#totals tbody tr") == 1
    assert opened.text("#all-rows") == "Show 1 more row, seen for less than 0.5 s"
    opened.page.locator("#all-rows").click()
    assert opened.page.locator("#labels button").all_inner_texts() == ["P1", "P2"]
    assert opened.count("#totals tbody tr") == 2


def test_no_two_tiles_are_about_the_same_time(open_page: Open) -> None:
    opened = open_page(timeline_of(video_of()))
    assert opened.count("#tiles div") == 5
    assert "of the time with a face, 91 % of it readable" in opened.text("#tiles")


# --- the player


@pytest.mark.parametrize("width", [390, 800, 1400])
def test_a_click_keeps_the_player_in_view(open_page: Open, film: str, width: int) -> None:
    timeline = timeline_of(video_of(), "P1", "P2")
    opened = open_page(timeline, film=film, viewport={"width": width, "height": 700})
    opened.page.wait_for_function("() => video.readyState >= 2")
    for selector in ("#peaks li >> nth=-1 >> button >> nth=0", "#bands"):
        opened.page.locator(selector).scroll_into_view_if_needed()
        opened.page.evaluate("() => window.scrollBy({ top: 200, behavior: 'instant' })")
        opened.page.locator(selector).click()
        opened.page.wait_for_function(  # it comes into view smoothly
            "() => { const { top, bottom, width } = video.getBoundingClientRect();"
            " return 0 <= top && bottom <= 700 && width > 150; }"
        )
    if width > 720:
        opened.page.evaluate("() => window.scrollTo(0, 1e6)")
        opened.page.locator("#undock").click()
        assert opened.count(".docked") == 0


# --- names


def test_names_are_given_in_the_page_and_taken_out_as_a_command(
    open_page: Open, call: Call, tmp_path: Path
) -> None:
    timeline = timeline_of(video_of(), "Anna", "P2")
    opened = open_page(timeline, extras={"name": "my film.json"})
    opened.page.locator("#people summary").click()
    assert opened.count("#people-line") == 0
    first, second = opened.page.locator("#people input").all()
    second.fill("Anna")
    assert "already called Anna" in opened.text("#people-fault")
    second.fill("P7")
    assert "P7 is an id" in opened.text("#people-fault")
    assert opened.count("#people-line") == 0
    second.fill("Ben O'Neil $x")
    first.fill("")
    first.press("Tab")
    assert opened.page.locator("#labels button").all_inner_texts() == ["P1", "Ben O'Neil $x"]
    assert "Ben O'Neil $x" in opened.text("#totals")
    line = shlex.split(opened.text("#people-command"))
    assert line == ["fervid", "people", "my film.json", "--name", "P1=", "--name", "P2=Ben O'Neil $x", "-y"]
    (tmp_path / "my film.json").write_text(text_of(timeline))
    assert call(*line[1:]).returncode == 0
    assert read((tmp_path / "my film.json").read_text()).names == {"P1": "P1", "P2": "Ben O'Neil $x"}


# --- timecode and markers


def scattered(rate: Fraction, time_base: Fraction, timecode: str | None, count: int) -> Timeline:
    """Return a timeline with peaks all over it, some in one frame, with numbers that are hard to round."""
    step = round(1 / rate / time_base)
    video = replace(
        video_at(np.arange(0, 400 * step, step) + 77, time_base, rate=rate), timecode=timecode, reel="A 1"
    )
    timeline = timeline_of(replace(video, name="Zoë|x.mp4"), "Ann|a  B", "P2")
    draws = np.random.default_rng(5)
    hard = [0.125, 0.375, 0.00005, 0.0000005, 1.0, 0.5, 0.333335, 0.0, 0.995]

    def number() -> float:
        return float(draws.choice(hard)) if draws.random() < 0.5 else float(draws.random())

    peaks = []
    for _ in range(count):
        onset, apex, offset = sorted(
            int(value) for value in video.start + draws.integers(0, video.duration, 3)
        )
        track = int(draws.integers(2))
        emotion = EMOTIONS[draws.integers(len(EMOTIONS))]
        numbers = number(), number(), number() - 0.5, -number(), number()
        peaks.append(Peak(track, emotion, onset, apex, offset, *numbers, f"P{track + 1}"))
    return read_back(replace(timeline, peaks=tuple(peaks)))


def exported(form: str, timeline: Timeline) -> str:
    stream = io.StringIO()
    if form == "csv":
        PEAKS[form].write(timeline, stream)
    else:
        EDITS[form].write(plan(timeline), stream)
    return stream.getvalue()


def downloaded(opened: Opened, label: str) -> tuple[str, str]:
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name=label, exact=True).click()
    return download.value.suggested_filename, Path(download.value.path()).read_text("utf-8")


BUTTONS = {"markers": "EDL for Resolve", "edl": "EDL with locators", "csv": "CSV"}


@pytest.mark.parametrize(
    ("rate", "time_base", "timecode"),
    [
        (Fraction(25), Fraction(1, 12800), "01:00:00:00"),
        (Fraction(30000, 1001), Fraction(1, 90000), "00:59:59;20"),
        (Fraction(24000, 1001), Fraction(1, 1000), None),
        (Fraction(60), Fraction(1, 128), "23:59:58:00"),
    ],
)
def test_downloads_have_the_bytes_of_the_exporters(
    open_page: Open, rate: Fraction, time_base: Fraction, timecode: str | None
) -> None:
    timeline = scattered(rate, time_base, timecode, 150)
    opened = open_page(timeline)
    ranked = rank(timeline.peaks, time_base)
    opened.page.locator("#most").select_option("")
    for form, label in BUTTONS.items():
        name, text = downloaded(opened, label)
        assert text == exported(form, replace(timeline, peaks=tuple(ranked)))
        assert name.startswith("Zo")
    opened.page.locator("#most").select_option("24")
    opened.page.get_by_role("button", name="happiness", exact=True).click()
    opened.page.locator("#person").select_option("1")
    wanted = [peak for peak in ranked if peak.emotion == "happiness" and peak.person == "P2"][:24]
    assert opened.count("#peaks li") == len(wanted) > 3
    for form, label in BUTTONS.items():
        assert downloaded(opened, label)[1] == exported(form, replace(timeline, peaks=tuple(wanted)))


def test_a_new_name_is_in_the_markers(open_page: Open) -> None:
    timeline = scattered(Fraction(25), Fraction(1, 25), None, 20)
    opened = open_page(timeline)
    opened.page.evaluate("() => { byId('people').open = true; }")
    opened.page.locator("#people input").nth(1).fill("Ben")
    people = (timeline.people[0], replace(timeline.people[1], name="Ben"))
    peaks = tuple(rank(timeline.peaks, timeline.source.time_base))
    named = replace(timeline, people=people, peaks=peaks)
    assert downloaded(opened, BUTTONS["markers"])[1] == exported("markers", named)


def test_a_timecode_is_copied(open_page: Open) -> None:
    timeline = scattered(Fraction(30000, 1001), Fraction(1, 90000), "00:59:59;20", 20)
    opened = open_page(timeline, permissions=["clipboard-read", "clipboard-write"])
    button = opened.page.locator("#peaks .code").first
    button.click()
    (best,) = plan(
        replace(timeline, peaks=tuple(rank(timeline.peaks, timeline.source.time_base)[:1]))
    ).moments
    expected = plan(timeline).timecode.label(plan(timeline).mark(best).start)
    assert button.inner_text().endswith(expected)
    assert opened.page.evaluate("() => navigator.clipboard.readText()") == expected
    at(opened, 1 / 30)
    opened.page.locator("#now-code").click()
    assert opened.page.evaluate("() => navigator.clipboard.readText()") == "00:59:59;21"


# --- pictures


def box(*values: float) -> Floats:
    return np.array(values, np.float32)


def test_a_track_is_the_detected_face_that_fits_its_hull() -> None:
    timeline = timeline_of(video_of())
    left, right = (
        replace(curve, hull=hull)
        for curve, hull in zip(timeline.curves, (box(0, 0, 300, 200), box(250, 0, 300, 200)), strict=True)
    )
    faces = [
        box(260, 20, 100, 100),
        box(100, 20, 100, 100),
    ]  # the first one's centre is in the right hull only
    boxes = pictures.match([left, right], faces)
    assert boxes[0].tolist() == faces[1].tolist()
    assert boxes[1].tolist() == faces[0].tolist()
    assert pictures.match([left], [box(400, 0, 50, 50)])[0].tolist() == left.hull.tolist()


def test_a_picture_outlines_the_face_it_means(open_page: Open) -> None:
    """Also in a tall film, of which a card shows a part."""
    video = replace(video_of(), width=100, height=200)
    timeline = timeline_of(video, "P1", "P2")
    image = np.zeros((200, 100, 3), np.uint8)
    face = box(60, 140, 20, 30)
    cv2.rectangle(image, (60, 140), (79, 169), (0, 0, 255), -1)
    peak = rank(timeline.peaks, video.time_base)[0]
    curves = tuple(replace(curve, hull=box(0, 0, 100, 200)) for curve in timeline.curves)
    timeline = replace(timeline, curves=curves, peaks=(peak,))
    made = pictures.make(timeline, [peak], [(peak.apex, image)], lambda luma: [face])
    assert made.marks[peak.apex, peak.track] == (0.6, 0.7, 0.2, 0.15)
    opened = open_page(timeline, extras={"pictures": made})
    mark, card = (opened.page.locator(name).bounding_box() for name in (".mark", ".picture"))
    assert mark and card
    assert card["y"] <= mark["y"] and mark["y"] + mark["height"] <= card["y"] + card["height"]
    shot = cv2.imdecode(np.frombuffer(opened.page.locator(".picture").screenshot(), np.uint8), 1)
    rows, columns = np.nonzero((shot[..., 2] > 150) & (shot[..., 0] < 90))  # the red face
    assert abs(columns.min() - (mark["x"] - card["x"])) < 6
    assert abs(columns.max() - (mark["x"] + mark["width"] - card["x"])) < 6
    assert abs(rows.min() - (mark["y"] - card["y"])) < 6


def test_rows_have_the_faces_of_people(open_page: Open) -> None:
    timeline = timeline_of(video_of(), "P1", "P2")
    images = [(pts, np.full((200, 300, 3), 90, np.uint8)) for pts in pictures.moments(timeline, [])]
    made = pictures.make(timeline, [], images[:1], lambda luma: [])
    assert [row.name for row in made.faces] == ["P1", "P2"]  # both pictures are of the first frame
    opened = open_page(timeline, extras={"pictures": made})
    assert opened.count("#labels img.face") == 2
    assert opened.count("#totals img.face") == 2
    at(opened, 7)
    assert opened.count("#now-rows img.face") == 2
