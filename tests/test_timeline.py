"""Smoothing, segments and peaks on curves of which the result is known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timelines import MODEL, curve_at, video_at

from fervid.labels import EMOTIONS, VALENCE_AROUSAL
from fervid.timeline import Smoother, build, intensity, interpolate, valence_arousal
from fervid.timeline.peaks import find_peaks, rank
from fervid.timeline.smoothing import Viterbi, crossing
from fervid.types import READABLE, Curve, Floats, Ints, Peak, Person, Segment, Settings, Tally, Video

TICKS = 1000  # per second
STEP = 320  # ticks from window to window
START = 5000
FRAME = 40


def video(seconds: float = 60) -> Video:
    duration = round(seconds * TICKS)
    return video_at(np.arange(START, START + duration, FRAME, dtype=np.int64), Fraction(1, TICKS))


def sure(names: list[str], score: float = 0.94, labels: tuple[str, ...] = EMOTIONS) -> Floats:
    """Return scores (N, C) with `score` on each name and the rest spread evenly."""
    rows = np.full((len(names), len(labels)), (1 - score) / (len(labels) - 1), np.float32)
    rows[np.arange(len(names)), [labels.index(name) for name in names]] = score
    return rows


def centres(count: int) -> Ints:
    return START + STEP * np.arange(count, dtype=np.int64)


def smooth(
    scores: Floats,
    quality: Floats | None = None,
    min_segment: float = 0.3,
    cuts: tuple[int, ...] = (),
    labels: tuple[str, ...] = EMOTIONS,
) -> list[Segment]:
    """Return segments of windows on the grid, fed in the chunks between `cuts` (pts)."""
    pts = centres(len(scores))
    quality = np.ones(len(pts), np.float32) if quality is None else quality
    end = int(pts[-1]) + STEP // 2
    frames = np.arange(START, end, FRAME, dtype=np.int64)
    smoother = Smoother(video(), 3, labels, Settings(min_segment=min_segment))
    segments = []
    for low, high in zip([START, *cuts], [*cuts, end], strict=True):
        rows = (pts >= low) & (pts < high)
        some = frames[(frames >= low) & (frames < high)]
        segments += smoother.feed(pts[rows], scores[rows], quality[rows], some)
    return segments + smoother.close(end)


def facts(segments: list[Segment]) -> list[tuple[object, ...]]:
    fields = attrgetter("track", "start", "end", "emotion", "confidence", "valence", "frames")
    return [(*fields(segment), segment.scores.tobytes()) for segment in segments]


# Numbers from scores


def test_valence_and_arousal_are_the_means_of_the_places() -> None:
    scores = np.zeros((3, 7), np.float32)
    scores[0, EMOTIONS.index("happiness")] = 1
    scores[1, EMOTIONS.index("neutral")] = 1
    scores[2, [EMOTIONS.index("anger"), EMOTIONS.index("sadness")]] = 0.5
    valence, arousal = valence_arousal(scores, EMOTIONS)
    assert valence == pytest.approx([0.81, 0, (-0.51 - 0.63) / 2])
    assert arousal == pytest.approx([0.51, 0, (0.59 - 0.27) / 2])
    assert valence.dtype == arousal.dtype == np.float32
    assert intensity(scores, EMOTIONS) == pytest.approx([1, 0, 1])


def test_labels_count_by_name_and_not_by_place() -> None:
    labels = ("neutral", "contempt", *EMOTIONS[:-1])
    scores = sure(["contempt"], 1.0, labels)
    valence, arousal = valence_arousal(scores, labels)
    assert (valence[0], arousal[0]) == pytest.approx(VALENCE_AROUSAL["contempt"])
    assert intensity(scores, labels)[0] == 1
    assert [s.emotion for s in smooth(sure(["contempt"] * 9, 0.9, labels), labels=labels)] == ["contempt"]


def test_interpolation_is_the_overlap_add_of_triangles() -> None:
    generator = np.random.default_rng(1)
    values = generator.dirichlet(np.ones(7), 12).astype(np.float32)
    pts = np.arange(START - 500, START + 12 * STEP + 500, 37, dtype=np.int64)
    result = interpolate(centres(12), values, pts)
    held = np.clip(pts, START, START + 11 * STEP)
    weights = np.maximum(0, 1 - abs(held[:, None] - centres(12)) / STEP)  # (M, N)
    assert result == pytest.approx(weights @ values, abs=1e-6)
    assert result.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert result.dtype == np.float32


def test_interpolation_of_one_window_holds_and_of_none_is_refused() -> None:
    each = sure(["fear"])
    assert (interpolate(centres(1), each, np.array([0, START, 10**12])) == each).all()
    with pytest.raises(ValueError, match="no window"):
        interpolate(centres(0), each[:0], np.array([START]))


# The decoder


def slow_viterbi(pts: list[int], evidence: np.ndarray, dwell: float, lag: int) -> list[int]:
    """Return the labels by definition: by a whole Viterbi for each window, up to its horizon."""
    classes = evidence.shape[1]
    labels = []
    for first, instant in enumerate(pts):
        horizon = next((j for j, later in enumerate(pts) if later >= instant + lag), len(pts) - 1)
        best, back = evidence[0].copy(), []
        for j in range(1, horizon + 1):
            stay = np.exp(-(pts[j] - pts[j - 1]) / dwell)
            move = np.full((classes, classes), (1 - stay) / classes) + stay * np.eye(classes)
            reach = best[:, None] + np.log(move)
            back.append(reach.argmax(axis=0))
            best = reach.max(axis=0) + evidence[j]
        label = int(best.argmax())
        for step in reversed(back[first:]):
            label = int(step[label])
        labels.append(label)
    return labels


@pytest.mark.parametrize("lag", [600, 3000])
@pytest.mark.parametrize("grid", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_viterbi_equals_its_definition(seed: int, grid: bool, lag: int) -> None:
    generator = np.random.default_rng(seed)
    steps = np.full(70, 300) if grid else generator.integers(1, 900, 70)
    pts = (START + np.cumsum(steps)).tolist()
    evidence = np.log(generator.dirichlet(np.full(4, 0.3), 70).clip(2e-3))
    viterbi = Viterbi(4, 1500.0, lag)
    rows = [label for instant, row in zip(pts, evidence, strict=True) for label in viterbi.push(instant, row)]
    assert len(rows) < 70
    rows += viterbi.flush()
    assert rows == slow_viterbi(pts, evidence, 1500.0, lag)
    assert len(set(rows)) > 1


# Segments


def test_one_expression_is_one_segment_from_first_frame_to_the_end() -> None:
    (segment,) = smooth(sure(["happiness"] * 20))
    assert (segment.track, segment.emotion) == (3, "happiness")
    assert (segment.start, segment.end) == (START, START + 19 * STEP + STEP // 2)
    assert segment.frames == len(range(segment.start, segment.end, FRAME))
    assert segment.confidence == pytest.approx(0.94)
    assert segment.scores.sum() == pytest.approx(1)
    assert segment.intensity == pytest.approx(0.99)


def test_the_boundary_is_where_the_scores_cross() -> None:
    scores = sure(["neutral"] * 20 + ["happiness"] * 20)
    happy, neutral = EMOTIONS.index("happiness"), EMOTIONS.index("neutral")
    scores[19, [happy, neutral]] = 0.35, 0.6  # lead 0.25
    scores[20, [happy, neutral]] = 0.85, 0.1  # lag 0.75: a quarter of the way
    first, second = smooth(scores)
    assert (first.emotion, second.emotion) == ("neutral", "happiness")
    assert first.end == second.start == START + 19 * STEP + STEP // 4
    assert second.scores == pytest.approx(scores[20:].mean(axis=0), abs=1e-6)
    assert first.frames + second.frames == len(range(START, second.end, FRAME))


def test_a_crossing_stays_between_the_windows() -> None:
    assert crossing(100, 200, 0.5, -0.5) == 150
    assert crossing(100, 200, -0.1, -0.5) == 101
    assert crossing(100, 200, 0.5, 0.1) == 200
    assert crossing(100, 200, 1e-9, -1.0) == 101
    assert crossing(100, 101, 0.5, -0.5) == 101


def test_flicker_is_smoothed() -> None:
    names = ["sadness"] * 40
    for position in (5, 12, 13, 30):
        names[position] = "surprise"
    scores = sure(names, 0.6)
    assert (scores.argmax(axis=1) == EMOTIONS.index("surprise")).sum() == 4
    assert [segment.emotion for segment in smooth(scores)] == ["sadness"]


def test_a_window_however_sure_does_not_decide_alone() -> None:
    scores = sure(["neutral"] * 15 + ["fear"] + ["neutral"] * 15, 1 - 1e-7)
    assert [segment.emotion for segment in smooth(scores, min_segment=0)] == ["neutral"]


def test_a_lasting_change_is_kept() -> None:
    names = ["neutral"] * 10 + ["surprise"] * 5 + ["neutral"] * 10
    assert [segment.emotion for segment in smooth(sure(names))] == ["neutral", "surprise", "neutral"]


def runs(min_segment: float, *parts: tuple[str, int, float]) -> list[tuple[str, float]]:
    """Return emotion and seconds of the segments made from runs of (name, windows, score)."""
    scores = np.concatenate([sure([name] * count, score) for name, count, score in parts])
    return [(s.emotion, round((s.end - s.start) / TICKS, 2)) for s in smooth(scores, min_segment=min_segment)]


def test_a_short_run_goes_to_the_neighbour_that_its_own_windows_score_higher() -> None:
    anger, fear, sadness = (EMOTIONS.index(name) for name in ("anger", "fear", "sadness"))
    scores = sure(["anger"] * 20 + ["fear"] * 4 + ["sadness"] * 20)
    assert [s.emotion for s in smooth(scores)] == ["anger", "fear", "sadness"]
    for stronger, name in ((anger, "anger"), (sadness, "sadness")):
        leaning = scores.copy()
        leaning[20:24, [anger, sadness]] = 0.005
        leaning[20:24, fear] = 0.85
        leaning[20:24, stronger] = 0.1
        first, second = smooth(leaning, min_segment=2)
        assert (first.emotion, second.emotion) == ("anger", "sadness")
        row = 23 if name == "anger" else 19  # the boundary is where anger gives way to sadness
        lead, lag = (leaning[row : row + 2, anger] - leaning[row : row + 2, sadness]).tolist()
        edge = crossing(START + row * STEP, START + (row + 1) * STEP, lead, lag)
        assert first.end == second.start == edge


def test_a_short_run_between_two_of_a_kind_joins_them() -> None:
    assert runs(2, ("anger", 20, 0.94), ("fear", 4, 0.94), ("anger", 20, 0.94)) == [("anger", 13.92)]
    scores = sure(["anger"] * 20 + ["fear"] * 4 + ["anger"] * 20)
    scores[24] = sure(["anger"], 0.7)
    (segment,) = smooth(scores, min_segment=2)
    assert segment.scores == pytest.approx(scores.mean(axis=0), abs=1e-6)


def test_short_runs_at_the_edges_go_to_their_only_neighbour() -> None:
    result = runs(2, ("fear", 4, 0.94), ("anger", 20, 0.94), ("sadness", 4, 0.94))
    assert result == [("anger", 8.8)]


def test_a_stretch_shorter_than_the_minimum_is_one_segment_of_its_mean() -> None:
    assert runs(60, ("fear", 12, 0.94), ("anger", 8, 0.94)) == [("fear", 6.24)]
    assert runs(0.3, ("fear", 1, 0.94)) == [("fear", 0.16)]


def test_low_quality_is_a_gap_and_not_a_guess() -> None:
    quality = np.ones(40, np.float32)
    quality[15:20] = 0.1
    scores = sure(["happiness"] * 15 + ["anger"] * 5 + ["happiness"] * 20)
    first, second = smooth(scores, quality)
    assert (first.emotion, second.emotion) == ("happiness", "happiness")
    # Quality falls from 1 to 0.1 between two windows and meets 0.3 at 7/9 of the way.
    assert first.end == START + 14 * STEP + round(STEP * 7 / 9)
    assert second.start == START + 19 * STEP + round(STEP * 2 / 9)
    assert first.scores == pytest.approx(scores[0], abs=1e-6)
    for segment in (first, second):
        inside = np.arange(START, START + 40 * STEP, FRAME)
        inside = inside[(inside >= segment.start) & (inside < segment.end)]
        assert segment.frames == len(inside)


def test_an_unreadable_track_has_no_segment() -> None:
    assert smooth(sure(["anger"] * 9), np.full(9, 0.2, np.float32)) == []
    quality = np.full(9, 0.2, np.float32)
    quality[4] = 0.9
    (island,) = smooth(sure(["anger"] * 9), quality)
    assert START + 3 * STEP < island.start <= START + 4 * STEP < island.end <= START + 5 * STEP


def test_unreadable_windows_say_nothing_of_their_neighbours() -> None:
    scores = sure(["fear"] * 2 + ["anger"] * 9 + ["fear"] * 2)
    scores[[0, 1, 11, 12]] = sure(["fear"] * 4, 0.4)
    quality = np.ones(13, np.float32)
    assert [segment.emotion for segment in smooth(scores, quality)] == ["anger"]
    quality[2:11] = 0.1
    assert [segment.emotion for segment in smooth(scores, quality)] == ["fear", "fear"]


@st.composite
def fed(draw: st.DrawFn) -> tuple[Floats, Floats, float, tuple[int, ...]]:
    """Return a restless curve, and a way to cut it into chunks."""
    seed, count = draw(st.integers(0, 10**6)), draw(st.integers(1, 90))
    generator = np.random.default_rng(seed)
    levels, lengths = generator.dirichlet(np.full(7, 0.3), count), generator.integers(1, 9, count)
    stretches = np.repeat(levels, lengths, axis=0)
    noisy = 0.7 * stretches[:count] + 0.3 * generator.dirichlet(np.full(7, 0.3), count)
    quality = np.where(generator.random(count) < 0.1, 0.2, 0.9).astype(np.float32)
    cuts = draw(st.lists(st.integers(START, START + STEP * count), max_size=8, unique=True).map(sorted))
    return noisy.astype(np.float32), quality, draw(st.sampled_from([0, 0.3, 1.2, 2.5])), tuple(cuts)


@settings(deadline=None, max_examples=120, derandomize=True)
@given(fed())
def test_any_chunking_gives_the_same_segments(case: tuple[Floats, Floats, float, tuple[int, ...]]) -> None:
    scores, quality, minimum, cuts = case
    whole = smooth(scores, quality, minimum)
    assert facts(smooth(scores, quality, minimum, cuts)) == facts(whole)
    # And what holds of segments in general: in order, apart, covering every readable window once.
    edges = [edge for segment in whole for edge in (segment.start, segment.end)]
    assert edges == sorted(edges) and all(segment.start < segment.end for segment in whole)
    inside = [sum(s.start <= instant < s.end for s in whole) for instant in centres(len(scores)).tolist()]
    assert inside == (quality >= READABLE).astype(int).tolist()
    pts = centres(len(scores))
    for first, second in pairwise(whole):
        assert first.emotion != second.emotion or first.end < second.start
        if first.end == second.start:  # the boundary is the crossing of these two emotions
            row = int(np.searchsorted(pts, first.end)) - 1
            lead = scores[:, EMOTIONS.index(first.emotion)] - scores[:, EMOTIONS.index(second.emotion)]
            assert first.end == crossing(pts[row], pts[row + 1], float(lead[row]), float(lead[row + 1]))
    for segment in whole:
        rows = (pts >= segment.start) & (pts < segment.end)
        assert segment.scores == pytest.approx(scores[rows].mean(axis=0), abs=1e-6)
    frames = np.arange(START, centres(len(scores))[-1] + STEP // 2, FRAME)
    for position, segment in enumerate(whole):
        assert segment.frames == ((frames >= segment.start) & (frames < segment.end)).sum()
        if segment.end - segment.start < minimum * TICKS:  # then it stands alone between gaps
            assert position == 0 or whole[position - 1].end < segment.start
            assert position == len(whole) - 1 or whole[position + 1].start > segment.end


def test_segments_come_while_the_film_runs_and_little_is_held() -> None:
    pts = START + STEP * np.arange(9000, dtype=np.int64)  # 48 minutes
    names = ["anger" if (row // 100) % 2 else "neutral" for row in range(4500)] + ["happiness"] * 4500
    scores, quality = sure(names), np.ones(9000, np.float32)
    smoother = Smoother(video(), 0, EMOTIONS, Settings())
    counts, held = [], []
    for low in range(0, 9000, 50):
        chunk = slice(low, low + 50)
        frames = np.arange(pts[low], pts[low] + 50 * STEP, FRAME, dtype=np.int64)
        counts.append(len(smoother.feed(pts[chunk], scores[chunk], quality[chunk], frames)))
        held.append(len(smoother._frames) + len(smoother._undecided))
    assert sum(counts) == 45 and sum(counts[:45]) >= 20
    assert max(held) < 600  # 10 s of windows and their frames, and a chunk
    (last,) = smoother.close(int(pts[-1]) + STEP)
    assert (last.emotion, last.frames) == ("happiness", len(range(last.start, last.end, FRAME)))


def test_chunks_without_windows_still_count_their_frames() -> None:
    smoother = Smoother(video(), 0, EMOTIONS, Settings())
    none, nothing = np.empty(0, np.int64), np.empty(0, np.float32)
    early = np.arange(START - 400, START, FRAME, dtype=np.int64)
    assert smoother.feed(none, sure([]), nothing, early) == []
    assert smoother.feed(centres(1), sure(["anger"]), np.ones(1, np.float32), none) == []
    assert smoother.feed(none, sure([]), nothing, np.array([START, START + FRAME])) == []
    (segment,) = smoother.close(START + 2 * FRAME)
    assert (segment.start, segment.end, segment.frames) == (START - 400, START + 2 * FRAME, 12)
    assert Smoother(video(), 0, EMOTIONS, Settings()).close(START) == []


@pytest.mark.parametrize("centre", [-200, 0, 60, 200])
def test_a_track_shorter_than_a_step_is_covered_wherever_its_window_stands(centre: int) -> None:
    smoother = Smoother(video(), 0, EMOTIONS, Settings())
    frames = np.arange(START, START + 3 * FRAME, FRAME, dtype=np.int64)
    window = np.array([START + centre], np.int64)
    assert smoother.feed(window, sure(["anger"]), np.ones(1, np.float32), frames) == []
    (segment,) = smoother.close(START + 3 * FRAME)
    assert (segment.start, segment.end, segment.frames) == (START, START + 3 * FRAME, 3)


def test_bad_windows_are_refused() -> None:
    smoother = Smoother(video(), 0, EMOTIONS, Settings())
    ones, none = np.ones(2, np.float32), np.empty(0, np.int64)
    smoother.feed(centres(2), sure(["anger"] * 2), ones, none)
    with pytest.raises(ValueError, match="ascending"):
        smoother.feed(centres(2), sure(["anger"] * 2), ones, none)
    broken = sure(["anger"] * 2)
    broken[1, 2] = np.nan
    with pytest.raises(ValueError, match="not numbers"):
        smoother.feed(centres(2) + 10 * STEP, broken, ones, none)


# Peaks


def curve_of(scores: Floats, pts: Ints | None = None, quality: Floats | float = 1, **fields: Any) -> Curve:
    pts = centres(len(scores)) if pts is None else pts
    quality, hull = np.full(len(pts), quality, np.float32), np.array([1, 2, 30, 40], np.float32)
    span = {"start": int(pts[0]) - 160, "end": int(pts[-1]) + 160, "frames": len(scores) * 8}
    return curve_at(4, pts, scores, quality=quality, hull=hull, **span, **fields)


def peaks_of(scores: Floats, *arguments: Any, **fields: Any) -> list[Peak]:
    return find_peaks(video(), curve_of(scores, *arguments, **fields), EMOTIONS)


def bumps(count: int, *tops: tuple[str, float, float, float]) -> Floats:
    """Return neutral scores with Gaussian bumps of (emotion, second, height, width in seconds)."""
    seconds = np.arange(count) * STEP / TICKS
    scores = np.zeros((count, 7))
    for name, second, height, width in tops:
        scores[:, EMOTIONS.index(name)] += height * np.exp(-0.5 * ((seconds - second) / width) ** 2)
    scores[:, EMOTIONS.index("neutral")] = 1 - scores.sum(axis=1)
    return scores.astype(np.float32)


def test_peaks_stand_where_the_curve_does() -> None:
    scores = bumps(60, ("happiness", 4, 0.9, 0.8), ("happiness", 12, 0.5, 0.8), ("fear", 8, 0.7, 0.6))
    peaks = peaks_of(scores, person="P1")
    assert [peak.emotion for peak in peaks] == ["happiness", "fear", "happiness"]
    for peak, second, height, width in zip(peaks, (4, 8, 12), (0.9, 0.7, 0.5), (0.8, 0.6, 0.8), strict=True):
        assert peak.apex == pytest.approx(START + second * TICKS, abs=100)
        assert peak.score == pytest.approx(height, abs=0.03)
        assert peak.prominence == pytest.approx(height, abs=0.08)
        assert peak.onset < peak.apex < peak.offset
        # A Gaussian has fallen by 80 % at 1.8 widths.
        reach = 1.8 * np.hypot(width, 0.2) * TICKS
        assert [peak.apex - peak.onset, peak.offset - peak.apex] == pytest.approx([reach] * 2, abs=130)
        assert (peak.track, peak.person) == (4, "P1")
        assert peak.intensity == pytest.approx(height, abs=0.03)
    assert peaks[0].valence == pytest.approx(0.81 * 0.9, abs=0.03)


def test_neutral_and_small_things_are_no_peaks() -> None:
    scores = bumps(60, ("anger", 4, 0.2, 0.8), ("sadness", 10, 0.4, 3))
    scores[30, [4, 6]] += np.array([0.06, -0.06], np.float32)  # a ripple on the sadness
    peaks = peaks_of(scores)
    assert [peak.emotion for peak in peaks] == ["sadness"]


def test_a_curve_that_is_highest_at_the_edge_of_its_track_has_no_peak_there() -> None:
    rising = bumps(20, ("surprise", 19 * 0.32, 0.9, 1.0))
    assert peaks_of(rising) == peaks_of(rising[::-1].copy()) == []
    (earlier,) = peaks_of(bumps(20, ("surprise", 16 * 0.32, 0.9, 1.0)))
    assert earlier.apex == pytest.approx(START + 16 * STEP, abs=60)
    assert earlier.offset == START + 19 * STEP + 160  # the track's end


def test_the_apex_is_in_the_middle_of_a_plateau() -> None:
    scores = bumps(60)
    scores[20:31] = sure(["happiness"] * 11, 0.98)
    scores[20, [3, 6]] += np.array([0.01, -0.01], np.float32)  # slightly higher where it begins
    (peak,) = peaks_of(scores)
    assert peak.apex == pytest.approx(START + 25 * STEP, abs=60)
    (whole,) = peaks_of(sure(["happiness"] * 11, 0.98))  # smiles from the first frame to the last
    assert whole.apex == pytest.approx(START + 5 * STEP, abs=60)


def test_on_a_plateau_the_apex_is_where_the_face_is_farthest_from_neutral() -> None:
    scores = bumps(60)
    scores[20:31] = sure(["happiness"] * 11, 0.98)
    motion = np.full(60, 0.1, np.float32)

    def apex() -> float:
        (peak,) = peaks_of(scores, motion=motion)
        assert peak.onset < peak.apex < peak.offset and peak.score == pytest.approx(0.98)
        return (peak.apex - START) / STEP

    assert apex() == 25  # nothing moves: the middle
    motion[27:30] = 0.3, 0.4, 0.35
    assert apex() == 28
    motion[40:43] = motion[10:13] = 2  # outside the plateau
    motion[22] = 9  # one jittered window
    assert apex() == 28
    motion[21:24] = 0.5
    assert apex() == 22
    motion[:] = 0.1
    motion[29:31] = 0.103  # noise
    assert apex() == 25


def test_motion_decides_neither_on_a_short_plateau_nor_by_one_window_at_its_end() -> None:
    scores = bumps(60, ("happiness", 4, 0.9, 0.4), ("fear", 8, 0.7, 0.3))
    motion = np.random.default_rng(0).random(60).astype(np.float32)
    assert len(peaks_of(scores)) == 2 and peaks_of(scores, motion=motion) == peaks_of(scores)
    smile = sure(["happiness"] * 11, 0.98)  # from the first window to the last
    motion = np.linspace(0.1, 0.2, 11, dtype=np.float32)
    motion[0] = 9
    (peak,) = peaks_of(smile, motion=motion)
    assert peak.apex == START + 9 * STEP  # nearly as far as the last, and nearer to the middle


def test_a_face_seen_for_less_than_half_a_second_has_no_peak() -> None:
    assert peaks_of(sure(["disgust"], 0.7)) == []
    (peak,) = peaks_of(sure(["disgust"] * 3, 0.7))
    assert (peak.emotion, peak.apex) == ("disgust", START + STEP)
    assert (peak.onset, peak.offset) == (START - 160, START + 2 * STEP + 160)
    assert peak.score == pytest.approx(0.7)
    assert peaks_of(sure(["neutral"] * 3, 0.7)) == []


def test_unreadable_windows_make_no_peak() -> None:
    scores = bumps(60, ("happiness", 16 * 0.32, 0.9, 0.5), ("anger", 40 * 0.32, 0.9, 0.5))
    quality = np.ones(60, np.float32)
    quality[10:23] = 0.1
    assert [peak.emotion for peak in peaks_of(scores, quality=quality)] == ["anger"]
    assert peaks_of(scores, quality=quality * 0.1) == []


def test_a_peak_whose_apex_cannot_be_read_is_refused() -> None:
    scores = bumps(41, ("happiness", 20 * 0.32, 0.9, 1))
    quality = np.ones(41, np.float32)
    assert len(peaks_of(scores, quality=quality)) == 1
    quality[20] = 0.1  # a hole short enough to be carried over, but the apex is in it
    assert peaks_of(scores, quality=quality) == []


def test_a_peak_does_not_reach_over_a_hole() -> None:
    scores = bumps(40, ("happiness", 14 * 0.32, 0.9, 2), ("happiness", 27 * 0.32, 0.9, 2))
    scores[:, 3] = scores[:, 3].clip(0, 0.95)
    keep = np.r_[0:18, 24:40]  # nothing is known between the tops
    peaks = peaks_of(scores[keep], centres(40)[keep])
    assert [peak.emotion for peak in peaks] == ["happiness"] * 2
    before, after = peaks
    assert before.offset <= START + 17 * STEP and after.onset >= START + 24 * STEP
    scores = bumps(40, ("happiness", 20 * 0.32, 0.9, 3))
    short = np.r_[0:19, 21:40]  # 0.96 s: carried over
    assert len(peaks_of(scores[short], centres(40)[short])) == 1


def peak_at(second: float, prominence: float, emotion: str = "happiness", track: int = 0) -> Peak:
    apex = START + round(second * TICKS)
    return Peak(track, emotion, apex - 9, apex, apex + 9, 0.9, prominence, 0.5, 0.5, 0.9)


def test_ranking_takes_the_strongest_and_keeps_the_gap() -> None:
    peaks = [peak_at(1, 0.5), peak_at(4, 0.9), peak_at(7, 0.6, "fear"), peak_at(9, 0.8)]
    peaks += [peak_at(30, 0.5, track=2), peak_at(30, 0.5, track=1)]
    base = Fraction(1, TICKS)

    def seconds(**choice: object) -> list[float]:
        return [(peak.apex - START) / TICKS for peak in rank(peaks, base, **choice)]

    assert seconds() == [4, 9, 7, 1, 30, 30]
    assert [peak.track for peak in rank(peaks, base)][-2:] == [1, 2]
    assert seconds(min_gap=5) == [4, 9, 7, 30, 30]
    assert seconds(min_gap=5.001) == [4, 7, 30, 30]
    assert seconds(min_gap=3) == [4, 9, 7, 1, 30, 30]
    assert seconds(emotion={"fear"}) == [7]
    assert seconds(emotion=("fear", "happiness"), top=2) == [4, 7]  # each emotion first
    assert seconds(top=3) == [4, 9, 7]
    assert seconds(top=1) == [4]
    assert seconds(emotion={"happiness"}, top=2) == [4, 9]
    assert seconds(top=0) == []


def test_the_gap_is_between_peaks_of_one_person_and_one_emotion() -> None:
    first = replace(peak_at(1, 0.9), person="P1")
    again = replace(peak_at(2, 0.8, track=7), person="P1")
    other = replace(peak_at(2, 0.7), person="P2")
    surprise = replace(peak_at(2, 0.6, "surprise"), person="P1")
    assert rank([first, again, other, surprise], Fraction(1, TICKS), min_gap=5) == [first, other, surprise]


@pytest.mark.parametrize("seed", range(5))
def test_ranking_equals_its_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    peaks = [peak_at(second, strength) for second, strength in generator.random((80, 2)) * (60, 1)]
    expected: list[Peak] = []
    for peak in sorted(peaks, key=lambda peak: -peak.prominence):
        if all(abs(peak.apex - other.apex) >= 2 * TICKS for other in expected):
            expected.append(peak)
    assert rank(peaks, Fraction(1, TICKS), min_gap=2) == expected


def test_build_brings_all_into_one_order() -> None:
    scores = bumps(60, ("happiness", 4, 0.9, 0.8), ("fear", 8, 0.7, 0.6))
    curve = curve_of(scores)
    early = Curve(**{**vars(curve), "track": 1})
    segments = smooth(scores)
    shots = np.array([START], np.int64)
    people = (Person("P1", None, (segments[0].track, 4), 100, START, np.zeros(4, np.float32)),)
    first, second = (
        build(video(), MODEL, Settings(), Tally(9, 9), shots, curves, parts, people)
        for curves, parts in (([curve, early], segments), ([early, curve], segments[::-1]))
    )
    assert [curve.track for curve in first.curves] == [1, 4]
    assert [peak.emotion for peak in first.peaks] == ["happiness", "happiness", "fear", "fear"]
    assert [peak.track for peak in first.peaks] == [1, 4, 1, 4]
    assert first.peaks == second.peaks
    for result in (first, second):
        assert facts(result.segments) == facts(segments)
    assert first.people == people
    assert [curve.person for curve in first.curves] == [None, "P1"]
    assert {peak.person for peak in first.peaks if peak.track == 4} == {"P1"}
    assert {segment.person for segment in first.segments} == {"P1"}
    assert first.settings == Settings().as_json()
