"""The page that shows a timeline: its content, its errors, and its behaviour in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import media
import numpy as np
import pytest
from browser import PHONE, Open, Opened, page_of
from conftest import CLIP, Call, Fervid
from test_cli import says
from timelines import faceless, read_back, text_of, timeline_of

from fervid.cli.report import address, illustrated
from fervid.errors import InputError
from fervid.export.page import report
from fervid.export.page.rows import Row, rows, shares
from fervid.labels import COLOURS, EMOTIONS
from fervid.timeline import covered
from fervid.types import Array, Peak, Video
from fervid.video.planning import plan
from fervid.video.reading import frames
from fervid.video.thumbnails import in_colour

STEP = 40  # milliseconds a frame
FRAMES = 300
LATE = 2000  # milliseconds that the picture begins after the sound
HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\">&amp;'"


# --- timelines, made by hand


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a film with sound; the picture begins two seconds after the sound."""
    return numbered(tmp_path_factory.mktemp("film") / "film.mp4", gop=25, audio_seconds=14)


def numbered(path: Path, **options: Any) -> Path:
    """Write twelve seconds that begin late, each frame with its number in it."""
    luma, pts = media.pictures(FRAMES, 160, 120), [LATE + STEP * at for at in range(FRAMES)]
    return media.write(path, luma, pts=pts, time_base=Fraction(1, 1000), **options)


@pytest.fixture(scope="session")
def video(film: Path) -> Video:
    return plan(film)


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def output(page: str) -> dict[str, Any]:
    """Return the data that the page's script reads."""
    result = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert result
    value: dict[str, Any] = json.loads(result[1])
    return value


# --- content


def test_totals_are_the_segments_sums(video: Video) -> None:
    timeline = read_back(timeline_of(video, "P1", "P2"))
    first, second = report.payload(timeline, report.Extras())["rows"]
    spent = dict(zip(EMOTIONS, first["seconds"], strict=True))
    assert (first["name"], first["seen"], first["tracks"]) == ("P1", 8, 1)
    assert (spent["neutral"], spent["happiness"], spent["sadness"], spent["anger"]) == (2, 3, 3, 0)
    assert (second["seen"], sum(second["seconds"])) == (5, 4)


def test_coverage_counts_each_moment_once(video: Video) -> None:
    result = report.payload(read_back(timeline_of(video)), report.Extras())
    assert result["coverage"] == {"length": 12, "seen": 11, "readable": 10}
    assert covered([(0, 5), (3, 4), (8, 9), (4, 6)]) == 7
    assert covered([]) == 0


def test_curves_survive_the_packing(video: Video) -> None:
    timeline = timeline_of(video)
    windows = report.payload(read_back(timeline), report.Extras())["windows"]
    scores = np.frombuffer(base64.b64decode(windows["scores"]), "u1").reshape(-1, len(EMOTIONS)) / 255
    times = np.frombuffer(base64.b64decode(windows["time"]), "<f4")
    valence = np.frombuffer(base64.b64decode(windows["valence"]), "i1") / 127
    assert np.abs(scores - np.concatenate([opened.scores for opened in timeline.curves])).max() < 0.003
    assert np.abs(valence - np.concatenate([opened.valence for opened in timeline.curves])).max() < 0.005
    expected = [video.seconds(pts) for opened in timeline.curves for pts in opened.pts]
    assert times == pytest.approx(expected, abs=1e-3)


def test_json_lines_have_no_curves(video: Video) -> None:
    result = report.payload(read_back(timeline_of(video), "jsonl"), report.Extras())
    assert result["windows"] is None
    assert len(result["segments"]["start"]) == 4


def test_colours_are_those_of_the_labels(video: Video) -> None:
    result = report.payload(read_back(timeline_of(video)), report.Extras())
    assert result["labels"] == list(EMOTIONS)
    assert result["colours"] == [COLOURS[label] for label in EMOTIONS]


def test_people_stand_by_how_long_they_are_seen_and_under_their_names(video: Video) -> None:
    timeline = read_back(timeline_of(video, "P1", "P2"))
    other = {"P1": "P2", "P2": "P1", None: None}  # the one who is seen longer comes second by id
    curves = tuple(replace(curve, person=other[curve.person]) for curve in timeline.curves)
    first, second = timeline.people
    people = (replace(second, name="Anna"), replace(first, name=None))
    named = replace(timeline, curves=curves, people=people)
    assert [row.name for row in rows(named)] == ["Anna", "P1"]
    half = read_back(timeline_of(video, "P1", None))
    assert [(row.name, row.kind) for row in rows(half)] == [("P1", "person"), ("Others", "faces")]


def test_many_tracks_are_packed_so_that_none_overlaps(video: Video) -> None:
    timeline = read_back(timeline_of(video))
    draws = np.random.default_rng(4)
    starts = draws.integers(0, 10_000, 60)
    spans = zip(starts.tolist(), (starts + draws.integers(1, 900, 60)).tolist(), strict=True)
    curves = [
        replace(timeline.curves[0], track=number, start=start, end=end)
        for number, (start, end) in enumerate(spans)
    ]
    result = rows(replace(timeline, curves=tuple(curves), segments=(), peaks=()))
    assert sorted(track for row in result for track in row.tracks) == list(range(60))
    deepest = max(sum(opened.start <= at.start < opened.end for opened in curves) for at in curves)
    assert len(result) == deepest
    for row in result:
        spans = sorted((curves[track].start, curves[track].end) for track in row.tracks)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_shares_add_up_to_the_time_on_screen(video: Video) -> None:
    timeline = read_back(timeline_of(video))
    edges = np.linspace(video.start, video.end, 38).astype(np.int64)
    table = shares(timeline, Row("all", "faces", (0, 1)), edges)
    assert table[:, :-1].sum(axis=1) == pytest.approx(table[:, -1])
    assert table[:, -1].sum() == pytest.approx(video.length(13))


def test_a_track_that_is_not_there_is_damage(video: Video) -> None:
    timeline = read_back(timeline_of(video))
    with pytest.raises(InputError, match=r"track 1, which is not among its tracks; analyze"):
        rows(replace(timeline, curves=timeline.curves[:1]))


def test_the_policy_allows_exactly_what_is_in_the_page(video: Video) -> None:
    page = page_of(read_back(timeline_of(video)))
    policy = next(result["content"] for _, result in Tags(page).tags if result.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for kind in ("script", "style"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_names_no_place_in_the_network(video: Video) -> None:
    page = page_of(read_back(timeline_of(video)))
    assert "://" not in page
    assert {tag for tag, result in Tags(page).tags if result.get("src")} == set()


def test_names_stay_text(video: Video) -> None:
    page = page_of(read_back(timeline_of(replace(video, name=HOSTILE), HOSTILE, "P2")), film=HOSTILE)
    assert "<img" not in page
    assert page.count("</script>") == 2
    value = output(page)
    assert value["source"]["name"] == HOSTILE
    assert value["film"] == HOSTILE


def test_names_that_are_no_unicode_can_be_written(video: Video) -> None:
    timeline = read_back(timeline_of(replace(video, name="a\udcff"), "P1", "P2"))
    people = (replace(timeline.people[0], name="b\udfff"), timeline.people[1])
    odd = replace(timeline, source=replace(timeline.source, name="a\ud800"), people=people)
    assert "<title>a\\ud800 " in page_of(odd).encode("utf-8").decode("utf-8")
    assert rows(odd)[0].name == "b\\udfff"


# --- pictures and addresses


def test_pictures_go_to_the_highest_and_to_some_of_each_kind() -> None:
    high = [Peak(1, "happiness", at, at, at, 1.0, 1.0, 0, 0, 0, "P1") for at in range(40)]
    low = [Peak(2, "fear", at, at, at, 0.5, 0.5, 0, 0, 0, "P2") for at in range(40, 50)]
    assert [peak.apex for peak in illustrated([*high, *low])] == [*range(24), 40, 41, 42, 43]
    many = [Peak(at, "fear", at, at, at, 0.5, 0.5, 0, 0, 0) for at in range(100)]
    assert illustrated(many) == many[:60]


def bits(picture: Array) -> int:
    """Return the number that is drawn in a picture of `media.picture`, at any scale."""
    scale = picture.shape[1] / 160
    return sum(1 << bit for bit in range(10) if picture[int(2 * scale), int((bit * 4 + 2) * scale)] > 120)


@pytest.mark.parametrize("seekable", [True, False])
def test_pictures_show_the_frame_of_their_moment(video: Video, seekable: bool) -> None:
    frames = [0, 3, 24, 25, 131, 299]
    moments = [int(video.pts[at]) for at in frames] + [int(video.pts[131]) + 1]  # between two frames
    result = dict(in_colour(replace(video, seekable=seekable), moments, (320, 240)))
    assert [bits(result[moment][..., 1]) for moment in moments] == [*frames, 131]
    assert result[moments[0]].shape == (240, 320, 3)


def test_pictures_stand_upright(tmp_path: Path) -> None:
    turned = plan(media.write(tmp_path / "a.mp4", media.pictures(3, 64, 48), matrix=(0, 1, -1, 0)))
    ((_, image),) = in_colour(turned, [turned.start])
    picture = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    upright = next(frames(turned)).luma
    assert picture.shape == upright.shape == (64, 48)
    # a ramp and a block: the right turn correlates, the wrong ones do not
    assert np.corrcoef(picture.ravel(), upright.ravel())[0, 1] > 0.97


def test_a_picture_that_cannot_be_decoded_is_left_out(tmp_path: Path) -> None:
    pictures = media.pictures(100, 160, 120)
    whole_file = media.write(tmp_path / "whole.mkv", pictures)
    video = plan(whole_file)
    broken = replace(video, path=str(media.truncated(tmp_path / "half.mkv", whole_file, 0.5)))
    moments = [int(video.pts[2]), int(video.pts[-1])]
    assert [moment for moment, _ in in_colour(broken, moments)] == moments[:1]


def test_pictures_of_a_folder_of_stills(tmp_path: Path) -> None:
    for at in range(4):
        media.write_still(tmp_path / f"{at}.png", media.picture(at, 160, 120))
    stills = plan(tmp_path)
    assert [bits(image[..., 1]) for _, image in in_colour(stills, [0, 2, 3])] == [0, 2, 3]


@pytest.mark.parametrize(
    ("video", "target", "url"),
    [
        ("movie.mp4", "report.html", "./movie.mp4"),
        ("in/a b#c?d%.mp4", "report.html", "./in/a%20b%23c%3Fd%25.mp4"),
        ("a:b.mp4", "out/report.html", "./../a%3Ab.mp4"),
        ("ä.mp4", "-", "./%C3%A4.mp4"),
    ],
)
def test_where_the_page_finds_the_video(
    video: str, target: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert address(video, target) == url


# --- the command


@pytest.fixture
def written(video: Video, tmp_path: Path) -> Path:
    """Write a timeline."""
    path = tmp_path / "out.json"
    path.write_text(text_of(timeline_of(video)))
    return path


def test_the_command_writes_a_page_with_pictures(call: Call, written: Path, film: Path) -> None:
    done = call("report", written, "--video", film, "-o", "page.html")
    assert (done.returncode, done.stderr) == (0, "wrote page.html\n")
    value = output(Path("page.html").read_text("utf-8"))
    assert value["film"] == address(str(film), "page.html")
    pictures = value["pictures"]
    assert pictures
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in pictures)
    says(call("report", written, "-o", "page.html"), 1, "use -y")


def test_standard_input_and_output(fervid: Fervid, written: Path) -> None:
    done = fervid("report", "-", "-o", "-", input=written.read_bytes())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<!DOCTYPE html>")
    says(fervid("report", "-", input=written.read_bytes()), 2, "standard input has no name")


def test_the_page_is_beside_the_timeline_by_default(call: Call, written: Path) -> None:
    assert call("report", "out.json").stderr == "wrote out.html\n"
    assert Path("out.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    says(call("report", "out.json"), 1, "out.html exists already: use -y")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: text.replace('"track": 1', '"track": 9'), "track 9"),
    ],
)
def test_a_damaged_timeline_is_an_error(
    call: Call, written: Path, damage: Callable[[str], str], words: str
) -> None:
    written.write_text(damage(written.read_text()))
    says(call("report", written, "-o", "page.html"), 1, words)
    assert os.listdir() == ["out.json"]


def test_invalid_options_are_an_error(call: Call, written: Path) -> None:
    for arguments, code, words in (
        (("--video", CLIP, "-o", "page.html"), 1, "is not the video of this timeline, which is of film.mp4"),
        (("--video", "gone.mp4", "-o", "page.html"), 1, "there is no file"),
        (("-o", "none/page.html"), 1, "there is no folder"),
        (("-o", written), 1, "is an input"),
        (("--jobs", "2"), 2, "--jobs is for videos, and this input is a timeline"),
    ):
        says(call("report", written, *arguments), code, words)
    assert os.listdir() == ["out.json"]


# --- in the browser


def test_it_opens_without_asking_for_anything(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video))
    assert opened.text("h1") == "film.mp4"
    assert "They do not say what a person feels" in opened.text("#note")
    assert "92 %" in opened.text("#tiles")  # 11 s of 12 with a face
    assert opened.count("#labels button") == 2
    assert not opened.count("#quality, #model, #accuracy-hint")  # folded
    opened.page.locator("#about summary").click()
    assert "not installed" in opened.text("#accuracy-hint")
    assert len(opened.asked) == 1
    for canvas in ("bands", "lines", "overview"):
        assert len(np.unique(opened.ink(canvas).reshape(-1, 4), axis=0)) > 3


def where(opened: Opened, time: float, row: int) -> dict[str, float]:
    """Return the position of a moment on the canvas of bands, while it shows all twelve seconds."""
    box = opened.page.locator("#bands").bounding_box()
    assert box
    return {"x": box["width"] * time / 12, "y": 34 + 38 * row + 22}


def player(opened: Opened, javascript: str) -> Any:
    return opened.page.evaluate(f"() => document.getElementById('video').{javascript}")


def until(opened: Opened, javascript: str) -> None:
    opened.page.wait_for_function(f"() => document.getElementById('video').{javascript}")


def ready(opened: Opened) -> None:
    """Wait for the video."""
    until(opened, "readyState >= 2")


def shown_seconds(opened: Opened) -> float:
    """Return the time of the frame on the screen, by the number in it, once the player is at rest."""
    until(opened, "seeking === false")
    opened.settle()
    shot = opened.shot("#video")
    wide = shot.shape[0] * 4 // 3  # the rest is black on both sides
    left = (shot.shape[1] - wide) // 2
    return bits(shot[:, left : left + wide]) * STEP / 1000


def test_a_click_on_a_band_shows_its_frame(open_page: Open, video: Video, film: Path) -> None:
    """The picture begins two seconds after the sound: frame 0 is at 2 s of the player's clock."""
    assert video.clock_offset == 2
    opened = open_page(timeline_of(video), film=film.as_uri())
    ready(opened)
    for time, row in ((3.0, 0), (6.5, 1), (0.5, 0)):
        opened.page.locator("#bands").click(position=where(opened, time, row))
        assert abs(shown_seconds(opened) - time) < 0.06
        assert abs(player(opened, "currentTime") - time - 2) < 0.03


def test_a_click_on_a_peak_and_enter_ask_to_play(open_page: Open, video: Video, film: Path) -> None:
    opened = open_page(timeline_of(video), film=film.as_uri())
    opened.page.locator("#peaks button").first.click()
    assert opened.page.evaluate("window.played") >= 1  # and again once the film is loaded
    opened.page.locator("#lanes").focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    ready(opened)
    opened.page.wait_for_function("() => film.zero !== null")
    before = opened.page.evaluate("window.played")
    opened.page.keyboard.press("Enter")
    assert opened.page.evaluate("window.played") == before + 1
    start = re.search(r"(\d):(\d\d\.\d) to", opened.text("#spoken"))
    assert start
    assert abs(shown_seconds(opened) - float(start[2])) < 0.06


def test_seeking_while_a_film_plays_leaves_one_step_per_frame(
    open_page: Open, video: Video, film: Path
) -> None:
    opened = open_page(timeline_of(video), film=film.as_uri())
    opened.page.wait_for_function("() => film.zero !== null")
    steps = opened.page.evaluate(
        """async () => {
            const frames = async (count) => {
                for (let at = 0; at < count; at += 1) await new Promise(requestAnimationFrame);
            };
            Object.defineProperty(video, 'paused', { value: false });
            let steps = 0;
            window.reveal = () => { steps += 1; };
            for (let at = 0; at < 6; at += 1) video.dispatchEvent(new Event('seeked'));
            await frames(2);
            const before = steps;
            await frames(20);
            return steps - before;
        }"""
    )
    assert 15 <= steps <= 25


def test_a_late_first_picture_without_sound_is_at_the_start(open_page: Open, tmp_path: Path) -> None:
    """The container itself begins at 2 s: that is 0 for fervid, and 2 for this browser."""
    path = numbered(tmp_path / "late.mp4")
    late = plan(path)
    assert late.clock_offset == 0
    opened = open_page(timeline_of(late), film=path.as_uri())
    ready(opened)
    opened.page.locator("#bands").click(position=where(opened, 3.0, 0))
    assert abs(shown_seconds(opened) - 3.0) < 0.06


def test_filters_by_emotion_and_person(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video, "P1", "P2"))
    opened.page.locator("#list summary").click()
    opened.page.locator("#list-table tbody tr").first.wait_for()  # a list hears later that it was opened
    assert opened.count("#list-table tbody tr") == 4
    everything = opened.count("#peaks li")
    before = opened.ink("bands")
    opened.page.get_by_role("button", name="happiness", exact=True).click()
    assert opened.count("#list-table tbody tr") == 1
    assert 0 < opened.count("#peaks li") < everything
    assert "happiness" in opened.text("#peaks li >> nth=0")
    assert (opened.ink("bands") != before).any()
    opened.page.locator("#person").select_option(label="P2")
    assert opened.text("#no-peaks") == "No peak matches the filters."
    assert opened.count("#labels button") == 1
    opened.page.get_by_role("button", name="happiness", exact=True).click()
    assert opened.count("#list-table tbody tr") == 1
    assert "surprise" in opened.text("#list-table tbody")


def test_zoom_by_buttons_wheel_keys_and_drag(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video))

    def shown() -> tuple[float, float]:
        opened.settle()
        start, end = (float(part.split(":")[1]) for part in opened.text("#shown").split(" – "))
        return start, end

    assert shown() == (0, 12)
    opened.page.locator("#in").click()
    assert shown() == (3, 9)
    box = opened.page.locator("#bands").bounding_box()
    assert box
    opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + box["width"] / 2 + box["width"] / 6, box["y"] + 60, steps=4)
    opened.page.mouse.up()
    assert shown() == (2, 8)
    opened.page.keyboard.down("Control")
    opened.page.mouse.wheel(0, -100)
    opened.page.keyboard.up("Control")
    low, high = shown()
    assert high - low < 6
    assert low <= 5.1 <= high  # what lay under the pointer still does
    opened.page.locator("#lanes").focus()
    opened.page.keyboard.press("0")
    assert shown() == (0, 12)
    opened.page.keyboard.press("+")
    assert shown() == (3, 9)
    opened.page.keyboard.press("Shift+ArrowRight")
    assert shown() == (4.5, 10.5)


def test_keys_go_through_the_segments_and_say_them(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video, "P1", "P2"))
    opened.page.locator("#lanes").focus()
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("ArrowRight")
    assert opened.text("#spoken").startswith("P1: happiness, 0:02.0 to 0:05.0, mean score 88 %, valence +0")
    opened.page.keyboard.press("ArrowDown")
    assert opened.text("#spoken").startswith("P2: surprise, 0:06.0 to 0:10.0")
    assert opened.page.locator("#lanes").get_attribute("role") == "application"


def test_the_tip_tells_the_moment_under_the_pointer(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video))
    opened.page.locator("#bands").hover(position=where(opened, 3, 0))
    said = opened.text("#tip")
    assert "happiness\n88 %" in said
    assert "0:02.0 – 0:05.0" in said
    opened.page.locator("#bands").hover(position=where(opened, 10.5, 1))
    assert "cannot be read" in opened.text("#tip")
    opened.page.locator("#bands").hover(position=where(opened, 11.5, 1))
    assert "not on screen" in opened.text("#tip")


def test_hostile_names_do_nothing(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(replace(video, name=HOSTILE), HOSTILE, "P2"), film=HOSTILE)
    opened.page.locator("#missing").wait_for()  # what is no film is said to be none
    opened.page.locator("#list summary").click()
    opened.page.locator("#bands").hover(position=where(opened, 3, 0))
    assert opened.text("h1") == HOSTILE
    assert HOSTILE in opened.text("#totals")
    assert HOSTILE in opened.text("#tip")
    assert opened.page.title() == f"{HOSTILE} – visible expression"
    assert opened.count("img") == 0
    opened.complaints = [said for said in opened.complaints if "ERR_FILE_NOT_FOUND" not in said]


def test_a_missing_video_is_reported_and_can_be_chosen(open_page: Open, video: Video, film: Path) -> None:
    opened = open_page(timeline_of(video), film="gone.mp4")
    opened.page.locator("#missing").wait_for()
    assert "film.mp4 is not where this page expects it" in opened.text("#missing")
    assert opened.count("#stage") == 0
    opened.page.set_input_files("#file", film)
    until(opened, "readyState >= 2")
    assert opened.count("#stage") == 1
    assert opened.count("#missing") == 0
    opened.complaints = [said for said in opened.complaints if "ERR_FILE_NOT_FOUND" not in said]


def test_nothing_found_is_said(open_page: Open, video: Video) -> None:
    opened = open_page(faceless(video))
    assert "No face was found" in opened.text("#timeline")
    assert "No expression stands out" in opened.text("#no-peaks")
    assert "nothing to add up" in opened.text("#totals")
    said = opened.text("#warnings")
    assert "untrained" in said
    assert "is cut off" in said
    assert "7 frames" in said
    assert opened.count("canvas") == 0


def test_json_lines_are_drawn_without_curves(open_page: Open, video: Video) -> None:
    opened = open_page(read_back(timeline_of(video), "jsonl"))
    assert "JSON Lines, which have no curves" in opened.text("#no-curves")
    assert opened.count("#lines") == 0
    assert len(np.unique(opened.ink("bands").reshape(-1, 4), axis=0)) > 3
    opened.page.locator("#bands").hover(position=where(opened, 3, 0))
    assert "mean score 88 %" in opened.text("#tip")


def test_dark_follows_the_system_and_the_switch(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video), color_scheme="dark")
    ground = "() => getComputedStyle(document.documentElement).backgroundColor"
    dark = opened.page.evaluate(ground)
    dark_ink = opened.ink("lines")
    opened.page.locator("#theme").click()
    assert "light" in opened.text("#theme")
    light = opened.page.evaluate(ground)
    assert (dark, light) == ("rgb(19, 19, 22)", "rgb(245, 245, 243)")
    assert (opened.ink("lines") != dark_ink).any()


def test_a_phone_needs_no_sideways_scrolling(open_page: Open, video: Video, film: Path) -> None:
    name = "a_very_long_name_without_any_place_to_break_it_at_all_" * 3
    timeline = timeline_of(replace(video, name=name), name, "P2")
    opened = open_page(timeline, film=film.as_uri(), viewport=PHONE, has_touch=True)
    ready(opened)
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
    position = where(opened, 3, 0)
    opened.page.locator("#bands").scroll_into_view_if_needed()
    opened.page.locator("#bands").tap(position=position)
    assert abs(shown_seconds(opened) - 3) < 0.12


def test_paper_gets_the_whole_film_in_light(open_page: Open, video: Video) -> None:
    opened = open_page(timeline_of(video), color_scheme="dark")
    opened.page.locator("#in").click()
    assert opened.page.pdf()[:5] == b"%PDF-"
    opened.settle()
    assert opened.text("#shown") == "0:03.0 – 0:09.0"  # the screen is as it was
    opened.page.emulate_media(media="print")
    assert opened.count("#theme, .group, .who, #list") == 0
    assert opened.count("#bands") == 1
