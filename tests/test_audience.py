"""An audience: viewers made by hand, on the clock of a film, with known reactions."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import jsonschema
import media
import numpy as np
import pytest
from conftest import Call
from timelines import MODEL, curve_at, text_of, video_at

from fervid.audience import Audience, Options, agreement, analyze, sync, viewer_of
from fervid.audience.film import as_timeline
from fervid.audience.page import write as write_page
from fervid.audience.results import as_json
from fervid.audience.segments import levels, segments, silhouette, similarity
from fervid.audience.viewers import STEP, Viewer, grid
from fervid.errors import InputError
from fervid.export.timelines.json import pieces, schema
from fervid.labels import EMOTIONS
from fervid.types import Array, Person, Settings, Tally, Timeline, Video

HAPPINESS, NEUTRAL = EMOTIONS.index("happiness"), EMOTIONS.index("neutral")
SECONDS = 60.0
TICK = Fraction(1, 25)
FEW = Options(permutations=99)


def scores(happiness: Array) -> Array:
    """Return scores (T, C) of a face that is happy or neutral."""
    rows = np.full((len(happiness), len(EMOTIONS)), 0.01)
    rows[:, HAPPINESS] = happiness
    rows[:, NEUTRAL] = 1 - happiness - 0.01 * (len(EMOTIONS) - 2)
    return rows


def person(name: str, happiness: Array, away: Array | None = None) -> Viewer:
    """Return a viewer by hand; `away` is where there is no data."""
    rows = scores(happiness)
    values = np.column_stack([rows, happiness, happiness / 2]).astype(np.float32)
    if away is not None:
        values[away] = np.nan
    return Viewer(name, "ab" * 32, 0.0, values)


def smiles(at: Sequence[float], width: float = 2.0, height: float = 0.8) -> Array:
    """Return a curve on the film's clock, with a smile around each time."""
    times = grid(SECONDS)
    return height * sum(np.exp(-0.5 * ((times - second) / width) ** 2) for second in at).clip(0, 1)


def crowd(count: int, at: Sequence[float], seed: int = 1) -> list[Viewer]:
    """Return viewers who smile at the same times, each with a life of their own."""
    generator = np.random.default_rng(seed)
    viewers = []
    for index in range(count):
        own = smiles(generator.uniform(0, SECONDS, 3), 1.5, 0.3)
        curve = (smiles(at) * generator.uniform(0.6, 1.0) + own + 0.02).clip(0, 0.93)
        viewers.append(person(f"v{index}", curve))
    return viewers


def recording(happiness: Sequence[float], quality: Sequence[float], **changes: object) -> Timeline:
    """Return the timeline of one viewer, with a window each 0.32 s from the recording's first frame."""
    pts = np.arange(len(happiness)) * 8
    video = video_at(np.arange(len(happiness) * 8), TICK, **changes)
    rows = scores(np.array(happiness)).astype(np.float32)
    curve = curve_at(
        1,
        pts,
        rows,
        start=0,
        end=len(happiness) * 8,
        frames=len(happiness) * 8,
        hull=np.array([0, 0, 90, 90], np.float32),
        quality=np.array(quality, np.float32),
        person="P1",
    )
    known = Person("P1", None, (1,), len(happiness) * 8, 0, np.zeros(4, np.float32))
    return Timeline(
        video, MODEL, Settings().as_json(), Tally(), np.zeros(1, np.int64), (curve,), (), (), (known,)
    )


def test_a_viewer_is_sampled_on_the_film_s_clock() -> None:
    times = np.arange(200) * 0.32
    happiness = np.clip(np.sin(times / 5), 0, 0.9)
    late = viewer_of(recording(happiness.tolist(), [1.0] * 200), "late.json", 10.0, 30.0)
    wanted = np.interp(grid(30.0) + 10.0, times, happiness)
    np.testing.assert_allclose(late.values[:, HAPPINESS], wanted, atol=2e-3)
    early = viewer_of(recording(happiness.tolist(), [1.0] * 200), "early.json", -10.0, 30.0)
    assert not early.is_present[: int(10 / STEP)].any() and early.is_present[int(10 / STEP) + 1 :].all()


def test_a_viewer_who_looks_away_is_missing_and_not_neutral() -> None:
    quality = np.ones(200)
    quality[50:100] = 0.1  # 16 s to 32 s
    own = viewer_of(recording([0.5] * 200, quality.tolist()), "a.json", 0.0, 60.0)
    times = grid(60.0)
    assert np.isnan(own.values[(times > 16.5) & (times < 31.5)]).all()
    assert own.is_present[(times < 15.5) | ((times > 32.5) & (times < 60))].all()
    others = [person(f"v{index}", np.full(len(times), 0.5)) for index in range(3)]
    results = analyze(video_of_length(), EMOTIONS, [own, *others], FEW)
    away = (times > 17) & (times < 31)
    assert set(results.count[away].tolist()) == {3} and results.count.max() == 4
    np.testing.assert_allclose(results.mean[:, HAPPINESS], 0.5, atol=1e-5)  # not pulled towards neutral


def video_of_length(seconds: float = SECONDS) -> Video:
    return replace(video_at(np.arange(round(seconds * 25)), TICK), timecode="10:00:00:00", audio_channels=2)


def test_viewers_who_smile_together_agree_beyond_chance() -> None:
    results = analyze(video_of_length(), EMOTIONS, crowd(12, [15.0, 40.0]), FEW)
    assert results.tests["happiness"].correlation > 0.5
    assert results.tests["happiness"].p == pytest.approx(0.01)
    assert results.corrected["happiness"] <= 0.09
    assert (results.agreement > 0.4).all()
    moments = [moment for moment in results.moments if moment.emotion == "happiness"]
    assert [round(moment.apex) for moment in moments] == [15, 40]
    assert all(moment.p <= 0.05 and moment.share > 0.5 for moment in moments)
    assert all(moment.onset < moment.apex < moment.offset for moment in moments)
    column = results.names.index("happiness")
    together = results.synchrony[:, column]
    assert together[round(15 / STEP)] > 0.7 > np.nanmedian(together)


def test_a_rise_of_low_scores_that_no_viewer_shows_is_no_moment() -> None:
    for height, count in ((0.3, 0), (0.8, 2)):
        viewers = [person(f"v{n}", smiles([15.0, 40.0], height=height)) for n in range(8)]
        found = analyze(video_of_length(), EMOTIONS, viewers, Options(permutations=99)).moments
        assert [moment.emotion for moment in found].count("happiness") == count


def test_independent_viewers_agree_no_more_than_chance() -> None:
    rejected = moments = split = 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        viewers = [person(f"v{i}", smiles(generator.uniform(0, SECONDS, 4)) + 0.02) for i in range(8)]
        results = analyze(video_of_length(), EMOTIONS, viewers, replace(FEW, seed=seed))
        rejected += results.tests["happiness"].p <= 0.05
        moments += len(results.moments)
        split += results.group_count > 1
    assert rejected <= 3 and moments <= 4 and split <= 3  # of twelve films; 5 % each are expected


def test_correlation_equals_the_mean_over_pairs() -> None:
    generator = np.random.default_rng(4)
    values = generator.normal(size=(6, 50)) + generator.normal(size=50)
    wanted = np.corrcoef(values)[np.triu_indices(6, 1)].mean()
    assert agreement.mean_correlation(agreement.unit(values)) == pytest.approx(wanted)
    others = [np.corrcoef(values[row], np.delete(values, row, 0).mean(0))[0, 1] for row in range(6)]
    np.testing.assert_allclose(agreement.with_others(values), others)
    flat = np.vstack([values, np.ones(50), np.full(50, np.nan)])
    assert agreement.mean_correlation(agreement.unit(flat)) == pytest.approx(wanted)
    assert np.isnan(agreement.mean_correlation(agreement.unit(flat[5:])))
    alone = agreement.synchrony(flat[5:6], STEP)
    assert np.isnan(alone).all()


def test_holm_s_correction() -> None:
    given = {"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")}
    wanted = agreement.corrected(given)
    assert [round(wanted[name], 6) for name in "abc"] == [0.03, 0.06, 0.06] and np.isnan(wanted["d"])


def test_viewers_who_react_alike_are_segments() -> None:
    first, second = crowd(9, [10.0, 30.0], 1), crowd(6, [20.0, 50.0], 2)
    values = np.stack([each.values for each in [*first, *second]]).astype(np.float64)
    assert segments(values, np.random.default_rng(0)) == [1] * 9 + [2] * 6
    assert segments(values[:9], np.random.default_rng(0)) == [1] * 9  # one kind of viewer is one segment
    units = np.stack([agreement.unit(values[:, :, column]) for column in (HAPPINESS, NEUTRAL)])
    close = similarity(units)
    np.testing.assert_allclose(close, close.T)
    pair = np.corrcoef(values[0, :, HAPPINESS], values[12, :, HAPPINESS])[0, 1]
    assert close[0, 12] == pytest.approx(pair, abs=1e-6)


def test_a_silhouette_equals_its_definition() -> None:
    points = np.array([0.0, 1.0, 1.5, 7.0, 8.0, 9.5])
    distance = np.abs(points[:, None] - points)
    clusters = [{0, 1, 2}, {3, 4, 5}]
    wanted = []
    for own in range(6):
        mine, other = clusters if own < 3 else clusters[::-1]
        inside = np.mean([distance[own, each] for each in mine if each != own])
        outside = np.mean([distance[own, each] for each in other])
        wanted.append((outside - inside) / max(inside, outside))
    assert silhouette(distance, clusters) == pytest.approx(np.mean(wanted))
    assert levels(distance, 2)[-1] == clusters


def test_the_film_is_found_in_the_sound_of_a_recording() -> None:
    generator = np.random.default_rng(7)
    film = np.convolve(generator.normal(size=10 * sync.RATE), np.ones(20) / 20, "same").astype(np.float32)
    room = np.exp(-np.arange(2000) / 300) * generator.normal(size=2000)  # echoes
    heard = np.convolve(film, room)[: len(film)]
    noise = generator.normal(size=30 * sync.RATE) * heard.std()
    for seconds in (0.0, 3.5, 12.25):
        tape = noise.copy()
        start = round(seconds * sync.RATE)
        tape[start : start + len(heard)] += heard
        match = sync.find_reference(tape.astype(np.float32), film)
        assert match.offset == pytest.approx(seconds, abs=0.04) and match.is_sure
    cut = np.concatenate([heard[2 * sync.RATE :], noise[: sync.RATE]]).astype(np.float32)
    assert sync.find_reference(cut, film).offset == pytest.approx(
        -2.0, abs=0.04
    )  # it began before the recording
    assert not sync.find_reference(noise.astype(np.float32), film).is_sure
    assert sync.find_reference(np.empty(0, np.float32), film).score == 0


def test_a_clap_is_found() -> None:
    generator = np.random.default_rng(8)
    tape = (0.01 * generator.normal(size=8 * sync.RATE)).astype(np.float32)
    start = round(2.345 * sync.RATE)
    tape[start : start + 400] += np.exp(-np.arange(400) / 80) * np.sign(generator.normal(size=400))
    match = sync.find_clap(tape)
    assert match.offset == pytest.approx(2.345, abs=0.01) and match.is_sure
    assert not sync.find_clap((0.01 * generator.normal(size=8 * sync.RATE)).astype(np.float32)).is_sure


def sounding(path: Path, samples: Array) -> Path:
    """Write a small film with this sound (N,), of sync.RATE, in AAC."""
    silent = media.write(path.with_suffix(".mkv"), media.pictures(round(25 * len(samples) / sync.RATE)))
    with av.open(silent) as old, av.open(path, "w") as new:
        video = new.add_stream_from_template(old.streams.video[0])
        sound = new.add_stream("aac", rate=sync.RATE, layout="mono")
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                new.mux(packet)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = sync.RATE, 0
        new.mux([*sound.encode(frame), *sound.encode(None)])
    return path


@pytest.mark.parametrize("how", ["sound", "clap"])
def test_offsets_by_the_sound_of_files_are_right_to_a_frame(call: Call, tmp_path: Path, how: str) -> None:
    generator = np.random.default_rng(6)
    beats = generator.normal(size=8 * sync.RATE) * (np.arange(8 * sync.RATE) % 3000 < 900)
    film = sounding(tmp_path / "film.mp4", 0.2 * beats)
    clap = generator.normal(size=400) * np.exp(-np.arange(400) / 60)
    heard = {"sound": 0.1 * beats, "clap": clap}[how]
    names, offsets = [], (0.3, 1.234, 2.017)
    for number, seconds in enumerate(offsets):
        tape = 0.005 * generator.normal(size=12 * sync.RATE)
        start = round(seconds * sync.RATE)
        tape[start : start + len(heard)] += heard
        sounding(tmp_path / f"v{number}.mp4", tape)
        viewer = recording([0.1] * 30, [1.0] * 30, sha256=f"{number:064}", name=f"v{number}.mp4")
        (tmp_path / f"v{number}.json").write_text(text_of(viewer))
        names.append(f"v{number}.json")
    done = call("audience", *names, "--film", film, "--sync", how, "--permutations", "19", "-o", "a.json")
    assert done.returncode == 0 and "not sure" not in done.stderr, done.stderr
    viewers = json.loads((tmp_path / "a.json").read_text())["audience"]["viewers"]
    assert [viewer["offset"] for viewer in viewers] == pytest.approx(offsets, abs=0.01)


@pytest.fixture
def results() -> Audience:
    viewers = [*crowd(9, [10.0, 30.0], 1), *crowd(6, [20.0, 50.0], 2)]
    away = np.zeros(len(grid(SECONDS)), bool)
    away[-8:] = True
    viewers = [replace(each, values=np.where(away[:, None], np.nan, each.values)) for each in viewers]
    return analyze(video_of_length(), EMOTIONS, viewers, FEW)


def test_an_audience_is_a_timeline_of_the_film(results: Audience) -> None:
    film = video_of_length()
    timeline = as_timeline(results, film, MODEL)
    text = "".join(pieces(as_json(results, timeline)))
    whole = json.loads(text)
    jsonschema.validate({key: value for key, value in whole.items() if key != "audience"}, schema())
    assert [track["person"] for track in whole["tracks"]] == ["P1", "P2", "P3"]
    assert [known["name"] for known in whole["people"]] == [
        "Audience (15 viewers)",
        "Segment 1 (9 viewers)",
        "Segment 2 (6 viewers)",
    ]
    curve = whole["audience"]["curves"]["happiness"]
    assert len(curve["mean"]) == len(grid(SECONDS)) == len(whole["audience"]["present"])
    assert curve["mean"][-1] is None and curve["mean"][0] is not None  # nobody: missing, not neutral
    assert whole["audience"]["present"][-1] == 0
    assert len(whole["peaks"]) == len(whole["audience"]["moments"]) > 0


def test_moments_go_into_every_editor_on_the_film_s_timecode(
    results: Audience, tmp_path: Path, call: Call
) -> None:
    timeline = as_timeline(results, video_of_length(), MODEL)
    (tmp_path / "audience.json").write_text("".join(pieces(as_json(results, timeline))) + "\n")
    apex = min(results.moments, key=lambda moment: moment.apex).apex
    for form, target in (
        ("edl", "a.edl"),
        ("markers", "m.edl"),
        ("premiere", "a.xml"),
        ("fcpxml", "a.fcpxml"),
    ):
        done = call("peaks", "audience.json", "-f", form, "-o", target)
        assert done.returncode == 0, done.stderr
    edl = (tmp_path / "m.edl").read_text()
    assert f"10:00:{int(apex):02}" in edl and "Audience (15 viewers): happiness" in edl
    for name in ("show", "export"):
        arguments = ["audience.json"] if name == "show" else ["audience.json", "-o", "a.srt"]
        assert call(name, *arguments).returncode == 0
    assert call("report", "audience.json", "-o", "report.html").returncode == 0


def test_the_page_shows_the_film_above_the_curves(results: Audience) -> None:
    stream = io.StringIO()
    write_page(results, "a <trailer>.mp4", "./a%20trailer.mp4", stream)
    page = stream.getvalue()
    assert page.index("<video") < page.index('class="rows"') < page.index("<h2>Moments")
    assert "<trailer>" not in page and 'src="./a%20trailer.mp4"' in page
    assert page.count('class="row"') == len(EMOTIONS) - 1 + 2 + 2
    assert len(re.findall(r'<button data-time="', page)) == len(results.moments)
    assert "nan" not in page


def test_the_command(call: Call, tmp_path: Path) -> None:
    film = media.write(tmp_path / "film.mkv", media.pictures(250))
    for index in range(6):
        times = np.arange(60) * 0.32
        curve = 0.05 + 0.8 * np.exp(-0.5 * ((times - index - 5.0) / 1.0) ** 2)
        text = text_of(recording(curve.tolist(), [1.0] * 60, sha256=f"{index:064}", name=f"v{index}.mp4"))
        (tmp_path / f"v{index}.json").write_text(text)
    rows = "v0.mp4,0\nv1.json,1\nv2,2\nv3,3\nv4,4\nv5,5\n"
    (tmp_path / "offsets.csv").write_text("recording,offset\n" + rows)
    names = [f"v{index}.json" for index in range(6)]
    line = ["audience", *names, "--film", film, "--permutations", "99"]
    done = call(*line, "--offsets", "offsets.csv", "-o", "a.json", "--report", "a.html")
    assert done.returncode == 0, done.stderr
    assert "6 viewers" in done.stderr and "happiness" in done.stderr
    whole = json.loads((tmp_path / "a.json").read_text())
    assert [each["offset"] for each in whole["audience"]["viewers"]] == list(range(6))
    assert whole["source"]["name"] == "film.mkv"
    assert whole["audience"]["agreement"]["happiness"]["correlation"] > 0.99
    (apex,) = [each["apex"] for each in whole["audience"]["moments"] if each["emotion"] == "happiness"]
    assert apex == pytest.approx(5.0, abs=STEP)
    before = (tmp_path / "a.json").read_bytes()
    assert call(*line, "--offsets", "offsets.csv", "-o", "b.json").returncode == 0
    assert (tmp_path / "b.json").read_bytes() == before  # the seed is given
    assert call(*line, "-o", "c.json").returncode == 0
    shifted = json.loads((tmp_path / "c.json").read_text())
    assert shifted["audience"]["agreement"]["happiness"]["correlation"] < 0.5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["v0.json"], 2, "two recordings"),
        (["v0.json", "v1.json", "--offsets", "o.csv", "--sync", "clap"], 2, "cannot be combined"),
        (["v0.json", "v1.json", "--reference", "a.wav"], 2, "--sync sound"),
        (["v0.json", "v1.json", "--offsets", "o.csv"], 1, "no line for v1.json"),
        (["v0.json", "v1.json", "--sync", "sound"], 1, "has no sound"),
        (["v0.json", "other.json"], 1, "another model"),
        (["v0.json", "v1.json", "--model", "default"], 2, "all recordings are timelines"),
    ],
)
def test_what_is_wrong_is_said(
    call: Call, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    media.write(tmp_path / "film.mkv", media.pictures(25))
    for name in ("v0", "v1"):
        (tmp_path / f"{name}.json").write_text(text_of(recording([0.1] * 9, [1.0] * 9)))
    strange = replace(recording([0.1] * 9, [1.0] * 9), model=replace(MODEL, sha256="ef" * 32))
    (tmp_path / "other.json").write_text(text_of(strange))
    (tmp_path / "o.csv").write_text("recording,offset\nv0.json,1.5\n")
    done = call("audience", *arguments, "--film", "film.mkv", "-o", "out.json")
    assert done.returncode == code and message in done.stderr, done.stderr


def test_a_viewer_from_json_lines_has_no_curves() -> None:
    lines = replace(recording([0.1] * 9, [1.0] * 9), has_curves=False)
    with pytest.raises(InputError, match="no curves"):
        viewer_of(lines, "a.jsonl", 0.0, 10.0)


def test_a_film_of_film_length_is_sampled_in_its_steps() -> None:
    assert len(grid(10.0)) == 40 and grid(10.0)[0] == STEP / 2
    assert len(grid(0.01)) == 1 and len(grid(10.01)) == 41
