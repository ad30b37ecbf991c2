"""Test the survey's streams: their published sizes, and the properties of each."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_streams import clips as some_clips
from test_streams import settled, small
from timelines import video_at
from torch import Tensor, nn
from training import drawn

from fervid import clips, model, streams
from fervid.analysis import spans
from fervid.analysis.spans import Options
from fervid.faces import shape
from fervid.faces.tracks import Followed
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.streams.network import join, sample_frames, split
from fervid.streams.survey import compact_gru, dap3d, flow, inception3d, trajectory_map
from fervid.streams.survey.mscnn import verification
from fervid.train.augment import OFF
from fervid.train.batches import WEAK, Clips, make_targets
from fervid.train.machine import Machine
from fervid.train.survey.systems import SMALL
from fervid.types import Settings, Status, Track


def weights(name: str, classes: int = 7, **sizes: int) -> dict[str, int]:
    """Return the number of weights of each layer without biases, as the papers count."""
    with torch.device("meta"):
        network = streams.build(name, classes, **sizes)
    return {key: value.numel() for key, value in network.named_parameters() if value.dim() > 1}


def test_dtagn_has_its_published_size() -> None:
    appearance, geometry = weights("dtan"), weights("dtgn")
    assert sum(appearance.values()) + sum(geometry.values()) == 5_950_500
    assert sum(geometry.values()) - geometry["top.weight"] == 177_600


@pytest.mark.parametrize(("sizes", "published"), [({}, 2673), ({"first": 16, "second": 32}, 1229)])
def test_compact_has_its_published_sizes(sizes: dict[str, int], published: int) -> None:
    assert round(sum(weights("compact", **sizes).values()) / 1000) == published


def test_mscnn_has_its_published_size() -> None:
    assert round(sum(weights("mscnn", 6).values()) / 1000) == 53


def test_streams_are_imported_on_use() -> None:
    """Names need neither torch nor OpenCV."""
    code = "import sys; from fervid import streams; print(len(streams.names()) > 15, *sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("True ") and not {"torch", "cv2"} & set(done.stdout.split())


@pytest.mark.parametrize("name", streams.names())
def test_a_stream_is_in_the_file_of_its_name(name: str) -> None:
    package, _, own = streams.registered(name).__module__.rpartition(".")
    assert own == name and package in ("fervid.streams", "fervid.streams.survey")


def test_faces_and_points_are_joined_and_split() -> None:
    faces, points = torch.randn(2, 5, 64, 64), torch.randn(2, 5, 68, 2)
    back = split(join(faces, points))
    assert torch.equal(back[0], faces) and torch.equal(back[1], points)


def test_frames_are_sampled_from_the_first_to_the_last() -> None:
    clip = torch.arange(16.0)[None]
    assert sample_frames(clip, 3)[0].tolist() == [0, 8, 15]
    twelve = sample_frames(clip, 12)[0]
    assert twelve[[0, -1]].tolist() == [0, 15] and len(twelve.unique()) == 12
    assert sample_frames(clip[:, :1], 3)[0].tolist() == [0, 0, 0]


# --- geometry


def test_dtgn_ignores_position_size_and_jaw() -> None:
    network = small("dtgn").eval()
    clip = some_clips(network, 2)
    larger = 1.7 * clip + torch.tensor([9.0, -4.0])
    jaw = clip.clone()
    jaw[:, :, :17] += 5.0
    with torch.inference_mode():
        torch.testing.assert_close(network(larger), network(clip), rtol=1e-3, atol=1e-4)
        assert torch.equal(network(jaw), network(clip))
        assert not torch.allclose(network(clip.flip(3)), network(clip), atol=1e-3)


def test_a_trajectory_map_has_a_row_per_point_and_a_column_per_frame() -> None:
    points = torch.rand(1, 16, 68, 2)
    picture = trajectory_map.mapped(points)
    assert picture.shape == (1, 2, 68, 16)
    assert not picture[:, :, 33].any()  # the nose
    y = points[0, 5, :, 1]
    torch.testing.assert_close(picture[0, 1, :, 5], (y - y[33]) / y.std(correction=0))


def test_a_trajectory_map_ignores_position_and_size_but_not_time() -> None:
    network = small("trajectory_map").eval()
    clip = some_clips(network, 2)
    with torch.inference_mode():
        moved = network(1.7 * clip + torch.tensor([9.0, -4.0]))
        torch.testing.assert_close(moved, network(clip), rtol=1e-3, atol=1e-4)
        assert not torch.allclose(network(clip.flip(1)), network(clip), atol=1e-3)


def test_a_grid_has_its_largest_weights_at_landmarks() -> None:
    points = torch.full((1, 1, 68, 2), 200.0)  # all outside the picture, and so in the last cell
    points[0, 0, 30] = torch.tensor([5 * 4 + 1.0, 6 * 4 + 1.0])  # in cell (5, 6) of 16
    points[0, 0, 60] = torch.tensor([0.0, 0.0])  # not one of the 66
    weights = inception3d.weighted(points, 16)[0, 0, 0]
    assert weights[6, 5] == weights[15, 15] == 1.0 and weights[0, 0] == 0.0
    assert weights[6, 7].item() == weights[5, 6].item() == pytest.approx(0.8)
    assert weights[9, 8].item() == pytest.approx(0.4) and weights[10, 5] == 0.0


def test_landmarks_change_the_result() -> None:
    network = settled("inception3d")
    faces, points = split(some_clips(network, 2))
    with torch.inference_mode():
        logits, other = network(join(faces, points)), network(join(faces, points.flip(2)))
    assert not torch.allclose(logits, other, atol=1e-4)


def test_a_part_is_searched_for_around_its_position() -> None:
    offsets = dap3d.deformation().unflatten(2, (dap3d.SIDE, dap3d.SIDE))
    nose = offsets[list(dap3d.PARTS).index("nose")]
    row, column = divmod(int((nose[2] + nose[3]).argmin()), dap3d.SIDE)
    assert [dap3d.FIRST + dap3d.STEP * index for index in (column, row)] == pytest.approx([32, 32], abs=2)
    assert (nose[0, :, column + 1] > nose[0, :, column]).all() and torch.equal(nose[1] ** 2, nose[3])


def test_flow_is_of_motion_only() -> None:
    generator = torch.Generator().manual_seed(2)
    coarse = torch.randn(1, 1, 8, 8, generator=generator)
    picture = nn.functional.interpolate(coarse, (64, 64), mode="bicubic")[0, 0]
    still = picture.expand(1, 2, 64, 64)
    assert flow.flow_and_strain(still).abs().max() < 0.05
    right = torch.stack([picture, picture.roll(1, 1)])[None]
    motion = flow.flow_and_strain(right)[0, :, 16:-16, 16:-16] * flow.MOST  # one pixel to the right
    assert motion[0].mean().item() == pytest.approx(1.0, abs=0.2)
    assert abs(motion[1].mean().item()) < 0.1


# --- the loss that a network adds


def test_verification_by_hand() -> None:
    features = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    targets = torch.eye(2)[[0, 0, 1]]
    # 0 and 1 are alike: 9; 0 and 2 are not, and 1 apart: (4 - 1)^2; 1 and 2: (4 - sqrt 10)^2
    expected = (9 + 9 + (4 - 10**0.5) ** 2) / 3 / 2
    assert verification(features, targets, 4.0).item() == pytest.approx(expected)
    assert verification(features[:1], targets[:1]).item() == 0.0


def test_flow_from_rest_adds_up() -> None:
    picture = torch.nn.functional.avg_pool2d(torch.randn(1, 1, 80, 80), 5, 1, 2)[0, 0] * 4
    clip = torch.stack([picture[8:72, 8 - step : 72 - step] for step in range(4)])[None]
    inner = (slice(None), slice(16, -16), slice(16, -16))
    steps = flow.flow_and_strain(clip)[0][inner][::3].mean((1, 2)) * flow.MOST
    away = flow.flow_and_strain(clip, from_rest=True)[0][inner][::3].mean((1, 2)) * flow.MOST_FROM_REST
    assert steps.tolist() == pytest.approx([1, 1, 1], abs=0.2)
    assert away.tolist() == pytest.approx([1, 2, 3], abs=0.4)


def test_a_flow_network_reads_rest_if_asked() -> None:
    usual, resting = (streams.build("flow", 7, width=4, rest=rest).eval() for rest in (0, 1))
    assert resting.layers[0][0].in_channels == 2 * usual.layers[0][0].in_channels  # type: ignore[index]
    clip = some_clips(resting, 1)
    assert resting(clip).shape == (1, 7)
    with pytest.raises(ValueError, match="0 or 1"):
        streams.build("flow", 7, rest=2)


@pytest.mark.parametrize("name", ["peak_piloted", "cascaded_peak", "compact_gru", "aggregate_moments"])
def test_classes_have_weights_in_a_network_s_own_loss(name: str) -> None:
    network = small(name)
    clip, targets = some_clips(network, 2, 2 if "peak" in name else 16), torch.eye(7)[:2]

    def loss(weights: Tensor | None) -> float:
        network.class_weights = weights
        torch.manual_seed(0)
        return network.features_and_loss(clip, targets)[1].item()  # type: ignore[union-attr]

    first, second = (torch.eye(7)[[k]][0] for k in (0, 1))
    assert loss(None) == pytest.approx(loss(torch.ones(7)))
    assert loss(torch.zeros(7)) < min(loss(first), loss(second))
    assert loss(first) + loss(second) - loss(torch.zeros(7)) == pytest.approx(loss(None), rel=1e-5)


@pytest.mark.parametrize("name", ["peak_piloted", "cascaded_peak"])
def test_the_peak_gets_no_gradient_from_weaker_frames(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = settled(name)
    pair = some_clips(network, 3, 2).requires_grad_()
    targets = torch.eye(7)[:3]

    def gradients() -> Tensor:
        _, own = network.features_and_loss(pair, targets)
        assert own is not None
        (gradient,) = torch.autograd.grad(own, pair)
        return gradient.abs().sum((0, 2, 3))

    peak, other = gradients()
    assert peak == 0.0 and other > 0.0
    monkeypatch.setattr("fervid.streams.survey.peak_piloted.PILOT", 0.0)
    assert gradients()[1] != other  # part of it comes from the peak
    with torch.inference_mode():
        assert torch.equal(network.features_and_loss(pair, targets)[0], network.features(pair[:, :1]))


def test_the_gru_does_not_train_its_frame_network() -> None:
    network = small("compact_gru").train()
    features, own = network.features_and_loss(some_clips(network, 3), torch.eye(7)[:3])
    assert own is not None and own > 0
    network.top(features).sum().backward()
    assert network.recurrent.weight_hh_l0.grad is not None  # type: ignore[union-attr]
    assert all(value.grad is None for value in network.maps.parameters())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "is_float32"), [("peak_piloted", True), ("cascaded_peak", True), ("still", False)]
)
def test_deep_networks_are_trained_in_float32(name: str, is_float32: bool) -> None:
    with torch.device("meta"):
        network = streams.build(name, 7)
    assert isinstance(Machine(torch.device("cpu")).autocast(network), nullcontext) == is_float32


# --- weights from another network


def test_a_gru_starts_from_a_frame_network() -> None:
    parent, child = small("compact").eval(), small("compact_gru").eval()
    child.inflate(parent.state_dict())
    frames = some_clips(parent, 2)
    assert isinstance(child, compact_gru.CompactGRU)
    with torch.inference_mode():
        assert torch.equal(child.frame_top(child.frame_features(frames[:, 8:9]))[:, 0], parent(frames))


@pytest.mark.parametrize("name", ["cnn_lstm", "irnn"])
def test_networks_over_frames_start_from_a_still(name: str) -> None:
    parent, child = settled("still"), small(name).eval()
    assert streams.registered(name).parent == "still"
    child.inflate(parent.state_dict())
    frames = some_clips(parent, 2)
    with torch.inference_mode():
        assert torch.equal(child.frame_features(frames), parent.frame_features(frames))
    with pytest.raises(RuntimeError):
        child.inflate(streams.build("still", 7, width=12).state_dict())


def test_the_cascade_starts_as_the_shallower_network() -> None:
    parent, child = settled("peak_piloted"), small("cascaded_peak").eval()
    child.inflate(parent.state_dict())
    frames = some_clips(parent, 2)
    with torch.inference_mode():
        torch.testing.assert_close(child(frames), parent(frames))


def test_an_irnn_starts_as_a_memory() -> None:
    recurrent = small("irnn").recurrent
    assert isinstance(recurrent, nn.RNN)
    inputs, memory = torch.zeros(1, 5, recurrent.input_size), torch.ones(1, 1, recurrent.hidden_size)
    with torch.inference_mode():
        states, _ = recurrent(inputs, memory)
    assert torch.equal(states, torch.ones_like(states))


# --- from clips to networks


def training_clips(length: int, by_motion: bool = False) -> Clips:
    some_footage = drawn(("happiness", "surprise", NEUTRAL), 3, 3, length=40)
    targets = make_targets(some_footage.samples, EMOTIONS, 0.0, 0.0)
    return Clips(some_footage, targets, ("faces", "points"), length=length, by_motion=by_motion)


def test_a_pair_is_the_peak_and_another_expressive_frame() -> None:
    training = training_clips(2)
    for index, sample in enumerate(training.footage.samples):
        motion = training.motion[index]
        for seed in range(10):
            peak, other = training._drawn(index, np.random.default_rng(seed)).rows
            assert peak != other
            if sample.label == NEUTRAL:
                assert motion[peak] == motion.min()
            else:
                assert motion[peak] == motion.max() and motion[other] >= WEAK * motion.max()


def test_a_pair_from_a_picture_repeats_it() -> None:
    some_footage = drawn(("happiness",), 1, 1, length=1)
    clip = Clips(some_footage, make_targets(some_footage.samples, EMOTIONS, 0.0, 0.0), ("faces",), length=2)
    assert clip._drawn(0, np.random.default_rng(0)).rows.tolist() == [0, 0]


def test_networks_of_motion_train_on_windows_of_change() -> None:
    still, moving = training_clips(16), training_clips(16, by_motion=True)

    def spread(clips: Clips) -> float:
        drawn = [clips._drawn(0, np.random.default_rng(seed)).rows for seed in range(20)]
        return float(np.mean([np.ptp(clips.motion[0][rows]) for rows in drawn]))

    assert spread(still) < spread(moving)


def test_a_batch_numbers_its_people() -> None:
    training = training_clips(16)
    batch = training.drawn(0, np.arange(9), torch.device("cpu"))
    same = batch.people[:, None] == batch.people
    names = [sample.subject for sample in training.footage.samples]
    assert same.tolist() == [[name == other for other in names] for name in names]


def test_analysis_gives_landmarks_to_networks_that_read_them(tmp_path: Path) -> None:
    names = ("dtgn", "inception3d", "mscnn")
    networks = {name: small(name).eval() for name in names}
    parts = tuple(model.StreamSpec(name, net.reads, SMALL.get(name, {})) for name, net in networks.items())
    spec = replace(model.read_spec("untrained"), name="several", labels=EMOTIONS, streams=parts)
    states = ((name, net.state_dict()) for name, net in networks.items())
    tensors = {f"{name}.{key}": value.numpy() for name, state in states for key, value in state.items()}
    model.save(tmp_path / "model", spec, tensors)

    some_footage = drawn(("surprise",), 1, 1, length=40)
    strip = some_footage[0]
    video = video_at(np.arange(40), strip.time_base)
    edge = slice(shape.MARGIN, -shape.MARGIN)
    count = len(strip)
    track = Track(
        id=1,
        pts=np.arange(count, dtype=np.int64),
        box=np.zeros((count, 4), np.float32),
        landmarks=(3.1 * strip.landmarks + np.float32([50, 20])).astype(np.float32),  # elsewhere in a frame
        pose=np.zeros((count, 3), np.float32),
        quality=np.ones(count, np.float32),
        status=np.full(count, Status.OK, np.uint8),
    )
    followed = Followed(track, np.ascontiguousarray(strip.faces[:, edge, edge]))
    moments = clips.centres(video, track.pts, 0, None)
    options = Options(Settings(), str(tmp_path / "model"))
    batches = list(spans._batches(video, [followed], [moments], options))
    logits = {name: np.concatenate([batch[name] for batch in batches]) for name in names}

    reads = tuple({net.reads for net in networks.values()})
    mine = Clips(some_footage, make_targets(some_footage.samples, EMOTIONS, 0.0, 0.0), reads, OFF)
    taken = [clips.rows(video, track.pts, centre) for centre in moments.tolist()]
    windows = [clips.Window.at(mine.faces[0], rows) for rows in taken]
    nothing = np.zeros(len(windows), np.int64)
    batch = mine._stack(nothing, windows, nothing.astype(bool), nothing, OFF, torch.device("cpu"))
    for name, net in networks.items():
        with torch.inference_mode():
            expected = net(batch[net.reads]).numpy()
        assert logits[name] == pytest.approx(expected, abs=2e-3), name
        assert len(windows) > 2 and logits[name].std(0).max() > 1e-3
