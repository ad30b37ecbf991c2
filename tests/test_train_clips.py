"""Test the clips that training shows: what is drawn, their targets, and the features of frozen streams."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training import CPU, LABELS, Stop, drawn

from fervid import clips, streams
from fervid.errors import InputError
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.train import frozen, scoring, state
from fervid.train.augment import OFF, STRONG
from fervid.train.augment.pixels import VARIANTS
from fervid.train.batches import Clips, make_targets
from fervid.train.footage import Footage
from fervid.train.listener import SILENT, Listener, Progress
from fervid.train.machine import Machine


def test_clips_depend_on_epoch_and_draw_alone() -> None:
    some_footage = drawn(LABELS, 3, 3, length=40)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    clips = Clips(some_footage, targets, ("faces", "displacement"), STRONG, seed=4)
    whole = clips.drawn(2, np.array([0, 3, 5]), CPU.device)
    again = clips.drawn(2, np.array([5]), CPU.device)
    torch.testing.assert_close(again["faces"][0], whole["faces"][2], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(again["displacement"][0], whole["displacement"][2])
    later = clips.drawn(3, np.array([5]), CPU.device)
    assert not torch.allclose(later["faces"], again["faces"], atol=0.1)
    orders = [[draws.tolist() for _, draws in clips.epoch(0, 2)] for _ in range(2)]
    assert orders[0] == orders[1] != [draws.tolist() for _, draws in clips.epoch(1, 2)]
    halves = [[p.tolist() for _, p in clips.epoch(0, 2, part, 2)] for part in (0, 1)]
    assert [[a[0], b[0]] for a, b in zip(*halves, strict=True)] == orders[0]


def test_plain_clips_are_what_analysis_reads() -> None:
    some_footage = drawn(LABELS, 2, 2, length=40)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    clips = Clips(some_footage, targets, ("faces+points", "displacement"), OFF)
    from fervid.train.scoring import windows

    theirs = [(index, window) for index, window in windows(some_footage)]
    for indices, batch in clips.plain(4, CPU.device):
        for row, (index, faces) in enumerate(zip(indices, batch["faces"], strict=True)):
            mine = [window for p, window in theirs if p == index]
            for name in ("displacement", "points"):
                assert any(np.allclose(m[name], batch[name][row].numpy(), atol=1e-3) for m in mine), name
            pictures = [window["faces"].astype(np.float32) for window in mine]
            plain = [(f - f.mean()) / f.std() for f in pictures]
            assert any(np.allclose(f, faces.numpy(), atol=1e-3) for f in plain)


def test_whole_clips_in_training_reach_from_end_to_end() -> None:
    some_footage = drawn(LABELS, 2, 2, length=60)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    still, strong = (
        Clips(some_footage, targets, ("displacement",), settings, whole=True) for settings in (OFF, STRONG)
    )
    exact = clips.whole_rows(some_footage.pts[0])
    rows = [still._drawn(0, np.random.default_rng(seed)).rows for seed in range(3)]
    assert all(np.array_equal(row, exact) for row in rows)
    moved = np.stack([strong._drawn(0, np.random.default_rng(seed)).rows for seed in range(20)])
    assert (np.diff(moved) >= 0).all() and len(np.unique(moved, axis=0)) == 20
    assert np.abs(moved - exact).mean() < 2 and np.abs(moved - exact).max() <= 8
    (_, batch), *others = still.plain(9, CPU.device, looks=None)
    assert not others and len(batch["displacement"]) == len(some_footage)
    assert not Clips(some_footage, targets, ("faces",), length=1, whole=True).whole


@pytest.mark.parametrize("method", ["none", "he_linear"])
def test_variants_of_the_illumination_stay_apart(method: str) -> None:
    some_footage = drawn(LABELS, 1, 1)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    settings = replace(OFF, illumination="kuo")
    shown = Clips(some_footage.take([0]), targets[:1], ("faces",), settings, method)
    draws = shown.drawn(0, np.arange(24), CPU.device)["faces"]
    strips = clips.Face.of_strip(some_footage[0]).faces
    variants = {name: clips.contrast(strips[None, -1:], name)[0, 0] for name in VARIANTS}
    seen = set()
    for picture in draws[:, -1].numpy():
        unit = (picture - picture.mean()) / picture.std()
        away = {name: np.abs(unit - variant).mean() for name, variant in variants.items()}
        seen.add(min(away, key=lambda name: away[name]))
    assert seen == set(VARIANTS)
    ((_, plain),) = shown.plain(9, CPU.device, looks=1)
    window = list(clips.Face.of_strip(some_footage[0]).windows())[1]["faces"]
    np.testing.assert_allclose(plain["faces"][0], clips.contrast(window[None], method)[0], atol=1e-3)


def test_networks_of_frames_train_on_expressive_frames() -> None:
    some_footage = drawn((*LABELS, NEUTRAL), 2, 1, length=60)
    shown = Clips(some_footage, make_targets(some_footage.samples, EMOTIONS, 0.0, 0.0), ("faces",), length=1)
    for index, sample in enumerate(some_footage.samples):
        drawn_motion, mean_motion = [], []
        for seed in range(40):
            frame = shown._drawn(index, np.random.default_rng(seed)).rows
            window = shown._drawn_window(index, np.random.default_rng(seed)).rows
            assert len(frame) == 1 and frame[0] in window
            drawn_motion.append(shown.motion[index][frame[0]])
            mean_motion.append(shown.motion[index][window].mean())
        if sample.label != NEUTRAL:
            assert np.mean(drawn_motion) > np.mean(mean_motion)


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_moving_sets_the_share_of_clips(share: float) -> None:
    clips_of, stills_of = drawn(LABELS, 2, 2), drawn(LABELS, 3, 3, length=1)
    both = Footage.joined([stills_of, clips_of])
    targets = make_targets(both.samples, LABELS, 0.0, 0.0)
    shown = Clips(both, targets, ("faces",), length=1, size=40, moving=share)
    for epoch in range(2):
        draws = np.concatenate([draws for _, draws in shown.epoch(epoch, 8)])
        assert len(draws) == len(set(draws.tolist())) == 40
        assert (draws % len(both) >= len(stills_of)).sum() == share * 40
    as_they_come = Clips(both, targets, ("faces",), length=1)
    assert {index for _, draws in as_they_come.epoch(0, 1) for index in draws.tolist()} == set(
        range(len(both))
    )


@pytest.fixture(scope="module")
def both() -> Clips:
    """Draw two stills, and two clips of five and four windows."""
    some_footage = Footage.joined([drawn(LABELS, 1, 1, length=1), drawn(LABELS, 1, 1, length=30)])
    return Clips(some_footage, make_targets(some_footage.samples, LABELS, 0.0, 0.0), ("displacement",))


def test_whole_clips_have_the_windows_of_analysis(both: Clips) -> None:
    wanted = [(index, window["displacement"]) for index, window in scoring.windows(both.footage)]
    assert [index for index, _ in wanted] == [0, 1, *[2] * 5, *[3] * 4]
    shown = list(both.plain(3, CPU.device, looks=None))
    assert [index for indices, _ in shown for index in indices.tolist()] == [index for index, _ in wanted]
    ours = torch.cat([batch["displacement"] for _, batch in shown]).numpy()
    np.testing.assert_allclose(ours, np.stack([window for _, window in wanted]), atol=1e-6)
    ((indices, few),) = both.plain(99, CPU.device, np.array([2, 0]))
    assert set(indices.tolist()) == {0, 2} and 1 < len(few["displacement"]) < 1 + 5


class Apart(Machine):
    """One of several processes that run one after the other."""

    def wait(self) -> None:
        pass


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_features_of_frozen_streams_are_computed_once(
    both: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    network = streams.build("tiny_displacement", len(LABELS)).eval()
    monkeypatch.setattr(frozen, "AT_ONCE", 1)
    monkeypatch.setattr(state, "BETWEEN_CHECKPOINTS", 0.0)

    def features(part: int) -> torch.Tensor:
        here, path = Apart(CPU.device, part, parts), tmp_path / "x.safetensors"
        return frozen.compute_features(
            {"tiny_displacement": network}, both, 4, here, path, Listener(tick=stop)
        )["tiny_displacement"]

    def stop(progress: Progress) -> None:
        raise Stop

    stops = 0
    for part in range(min(parts, len(both))):
        for _ in range(len(range(part, len(both), parts))):
            with pytest.raises(Stop):  # after each clip, which is not computed again
                features(part)
            stops += 1
    assert stops == len(both)
    computed = [features(part) for part in range(parts)]
    assert all(torch.equal(computed[0], other) for other in computed)
    for index in range(len(both)):
        ((_, batch),) = both.plain(99, CPU.device, np.array([index]), looks=None)
        windows = network.features(batch["displacement"])
        assert len(windows) == (1, 1, 5, 4)[index]
        torch.testing.assert_close(computed[0][index], windows.mean(0))


def test_frozen_clips_are_drawn_in_the_order_of_clips(both: Clips) -> None:
    numbers = torch.arange(4.0)[:, None]
    features = frozen.Frozen(both, {"tiny_displacement": numbers})
    for number in (0, 1):
        ours, theirs = (
            [(step, draws.tolist()) for step, draws in clips.epoch(number, 2)] for clips in (features, both)
        )
        assert ours == theirs and features.steps(2) == both.steps(2)
    batch = features.drawn(1, np.array([3, 0, 6]), CPU.device)
    assert batch.features["tiny_displacement"].flatten().tolist() == [3, 0, 2]
    assert batch.targets.tolist() == both.targets[[3, 0, 2]].tolist()


def test_features_of_other_data_are_an_error(both: Clips, tmp_path: Path) -> None:
    network = {"tiny_displacement": streams.build("tiny_displacement", len(LABELS))}
    path = tmp_path / "x.safetensors"
    frozen.compute_features(network, both, 4, CPU, path, SILENT)
    fewer = Clips(both.footage.take([0, 1]), both.targets[:2], ("displacement",))
    with pytest.raises(InputError, match="has other data than this run"):
        frozen.compute_features(network, fewer, 4, CPU, path, SILENT)


def test_a_repeated_clip_is_another_draw() -> None:
    some_footage = drawn(LABELS, 2, 2)
    targets = make_targets(some_footage.samples, LABELS, 0.0, 0.0)
    clips = Clips(some_footage, targets, ("displacement",), STRONG, size=12)
    draws = np.concatenate([draws for _, draws in clips.epoch(0, 4)])
    assert sorted(draws.tolist()) == list(range(12))
    twice = clips.drawn(0, np.array([1, 1 + len(some_footage)]), CPU.device)
    assert twice.targets[0].tolist() == twice.targets[1].tolist()
    assert not torch.equal(twice["displacement"][0], twice["displacement"][1])
