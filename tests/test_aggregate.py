"""Test frames as vectors by the papers' formulas, machines at their optimum, and interrupted runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import logm
from test_streams import clips as some_clips
from test_streams import settled, small
from torch import Tensor, nn
from training import CPU, LABELS, SMALL, Stop, same, trained, weights

from fervid import execute, model, streams, synth
from fervid.errors import UsageError
from fervid.streams.survey.aggregate import EPSILON, Aggregate, Components, Kernel, Scaled, upper
from fervid.streams.survey.aggregate_average import AggregateAverage
from fervid.streams.survey.aggregate_forest import Forest
from fervid.streams.survey.aggregate_gaussian import embedded
from fervid.streams.survey.aggregate_moments import moments
from fervid.train import alone, folders, run, state, support_vectors
from fervid.train.listener import Listener, Progress
from fervid.train.material import Material, arrange
from fervid.train.recipe import Recipe
from fervid.train.stages import round_weights
from fervid.train.survey.systems import SMALL as SMALL_SIZES

MACHINES = [name for name in streams.names() if issubclass(streams.registered(name), Aggregate)]


def points(count: int, frames: int, size: int) -> Tensor:
    return torch.randn(count, frames, size, generator=torch.Generator().manual_seed(4))


def kind(name: str) -> Aggregate:
    network = small(name).eval()
    assert isinstance(network, Aggregate)
    return network


# --- frames into one vector


def test_frames_are_averaged_in_groups_or_repeated_to_the_length() -> None:
    shares = torch.arange(8.0)[None, :, None].expand(-1, -1, 2)
    shortened = AggregateAverage(2, 4, 1, groups=3, anchors=4).combine(shares)
    assert shortened.tolist() == [[1.0, 1.0, 4.0, 4.0, 6.5, 6.5]]
    lengthened = AggregateAverage(2, 4, 1, groups=10, anchors=4).combine(shares)
    assert lengthened[0, ::2].tolist() == [0, 0, 1, 2, 3, 4, 4, 5, 6, 7]


def test_statistics_of_probabilities_by_hand() -> None:
    shares = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]]])
    gathered = kind("aggregate_statistics").combine(shares)  # type: ignore[attr-defined]
    expected = [0.3, 0.5, 0.2, 0.5, 0.7, 0.2, 0.13, 0.29, 0.04, 0.25, 0.35, 0.0]
    assert gathered[0].tolist() == pytest.approx(expected)


def test_moments_by_hand() -> None:
    features = torch.tensor([[[4.0, -1.0], [0.0, -9.0]]])  # means 2 and -5, variances 4 and 16
    expected = np.array([2**0.5, -(5**0.5), 2, 4, 0, -3, 2, -1])
    assert moments(features)[0].numpy() == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)


def test_inner_products_of_triangles_are_those_of_the_matrices() -> None:
    first, second = points(1, 5, 5), points(1, 6, 5)
    first, second = first.mT @ first, second.mT @ second
    product = (first * second).sum().item()
    assert (upper(first) * upper(second)).sum().item() == pytest.approx(product, rel=1e-5)


def test_a_subspace_is_the_projection_on_the_span_of_its_frames() -> None:
    network = kind("aggregate_subspace")
    spanning = points(1, 3, 12)[0].double()
    frames = (points(1, 8, 3)[0].double() @ spanning * 30)[None].float()
    projection = spanning.T @ torch.linalg.inv(spanning @ spanning.T) @ spanning
    gathered = network.combine(frames)  # type: ignore[attr-defined]
    torch.testing.assert_close(gathered, upper(projection[None]), rtol=1e-3, atol=1e-3)
    turned = network.combine(-2 * frames.flip(1))
    torch.testing.assert_close(turned, gathered, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["aggregate_covariance", "aggregate_spd"])
def test_a_covariance_is_the_logarithm_of_it(name: str) -> None:
    frames = points(1, 8, 12)
    expected = logm(np.cov(frames[0].double().numpy().T, bias=True) + EPSILON * np.eye(12))
    gathered = kind(name).combine(frames)  # type: ignore[attr-defined]
    torch.testing.assert_close(gathered, upper(torch.from_numpy(expected)[None]), rtol=1e-4, atol=1e-4)


def test_a_gaussian_is_embedded_as_defined() -> None:
    frames = points(1, 8, 6)
    exact = frames[0].double().numpy()
    mean, spread = exact.mean(0), np.cov(exact.T, bias=True) + EPSILON * np.eye(6)
    block = np.block([[spread + np.outer(mean, mean), mean[:, None]], [mean[None], np.ones((1, 1))]])
    expected = logm(np.linalg.det(spread) ** (-1 / 7) * block)
    assert embedded(frames)[0].numpy() == pytest.approx(expected, abs=1e-6)


def test_components_are_the_main_ones_whatever_the_order_of_frames() -> None:
    frames = points(200, 2, 6) * torch.tensor([1.0, 9.0, 0.1, 4.0, 0.2, 0.1]) + 3
    components = Components(6, 2)
    components.fit(frames)
    strongest = components.directions.abs().argmax(1)
    assert set(strongest.tolist()) == {1, 3}
    reduced = components(frames).flatten(0, 1)
    assert reduced.mean(0).numpy() == pytest.approx([0, 0], abs=1e-2)
    assert reduced.var(0).mean().item() == pytest.approx(1, abs=1e-2)
    again = Components(6, 2)
    again.fit(frames.flip(0))
    torch.testing.assert_close(again.directions, components.directions, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="6 features cannot give 7 components"):
        Components(6, 7)
    with pytest.raises(ValueError, match="12 components cannot give 13 directions"):
        streams.build("aggregate_subspace", 7, width=4, blocks=1, components=12, directions=13)


@pytest.mark.parametrize("name", MACHINES)
def test_a_window_of_one_picture_is_read_like_any_other(name: str) -> None:
    network = kind(name)
    still = some_clips(network, 6)[:, :1].expand(-1, 16, -1, -1)
    network.fit(network.sampled_features(some_clips(network, 8)))
    with torch.inference_mode():
        assert torch.isfinite(network(still)).all()
    network.fit(network.sampled_features(still))  # fitted on still windows alone
    with torch.inference_mode():
        logits = network(still)
    assert torch.isfinite(logits).all()
    if not network.by_motion:
        assert len(logits.unique(dim=0)) == 6


# --- machines


def data(count: int, size: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return rows of overlapping classes, and their labels."""
    labels = torch.arange(count) % classes
    rows = points(count, 1, size)[:, 0] + 0.8 * nn.functional.one_hot(labels, size)
    return rows.double(), labels


def test_a_machine_is_where_its_cost_is_least() -> None:
    rows, labels = data(60, 5, 3)
    signs = 2.0 * nn.functional.one_hot(labels, 3).double() - 1
    share = torch.linspace(0.5, 1.5, 60, dtype=torch.float64)
    machine = support_vectors.fit_machine(rows, signs, share, 1e-2, torch.zeros(6, 3, dtype=torch.float64))
    missed = (1 - signs * (rows @ machine[:-1] + machine[-1])).clamp_min(0)
    assert (missed == 0).any() and (missed > 0).any()
    pull = (share[:, None] * signs * missed * 2) / 60
    torch.testing.assert_close(1e-2 * machine[:-1], rows.T @ pull, rtol=1e-4, atol=1e-6)
    assert pull.sum(0).numpy() == pytest.approx([0, 0, 0], abs=1e-6)


def test_with_all_windows_as_anchors_it_is_the_kernel_machine() -> None:
    rows, labels = data(40, 6, 2)
    signs = 2.0 * nn.functional.one_hot(labels, 2).double() - 1
    space = Kernel(6, 40).eval()
    space.fit(rows.float())
    near = space(rows.float()).double()
    assert near.diagonal().numpy() == pytest.approx(np.ones(40), abs=1e-3)
    whitener = space.whitener()
    start = torch.zeros(whitener.shape[1] + 1, 2, dtype=torch.float64)
    machine = support_vectors.fit_machine(near @ whitener, signs, torch.ones(40).double(), 1e-2, start)
    values = near @ (whitener @ machine[:-1]) + machine[-1]
    # The shares of the support vectors at the optimum.
    shares = signs * (1 - signs * values).clamp_min(0) * 2 / 40 / 1e-2
    torch.testing.assert_close(near @ shares + machine[-1], values, rtol=1e-2, atol=1e-2)


def test_fewer_windows_than_anchors_are_repeated() -> None:
    rows, _ = data(10, 6, 2)
    space = Kernel(6, 25).eval()
    space.fit(rows.float())
    assert len(space.anchors.unique(dim=0)) == 10
    whitener = space.whitener()
    assert whitener.shape == (25, 10)
    white = space(rows.float()).double() @ whitener
    near = torch.exp(-torch.cdist(*[(rows - rows.mean(0)) / space.spread] * 2).square())
    torch.testing.assert_close(white @ white.T, near, rtol=1e-2, atol=1e-2)  # inner products are the kernel


def test_a_space_follows_clips_and_then_fits_them() -> None:
    vectors = 5 + 3 * points(64, 1, 4)[:, 0]
    space = Scaled(4).train()
    for _ in range(60):
        space(vectors)
    followed = space.centre.clone(), space.spread.clone()
    space.eval().fit(vectors)
    torch.testing.assert_close(followed, (space.centre, space.spread), rtol=1e-2, atol=1e-2)
    assert space(vectors).square().sum(1).mean().item() == pytest.approx(1, abs=1e-4)


def test_every_share_of_a_sample_comes_to_one_leaf_of_a_tree() -> None:
    forest = Forest(5, 3, trees=2, depth=3)
    features = points(4, 1, 5)[:, 0]
    assert forest.reached(features).sum(2).detach().numpy() == pytest.approx(np.ones((4, 2)), abs=1e-5)
    assert forest(features).exp().sum(1).tolist() == pytest.approx([1] * 4, abs=1e-5)
    with torch.no_grad():
        forest.nodes.weight.zero_()
        forest.nodes.bias.fill_(50.0)  # all go left
    assert torch.equal(forest.reached(features)[:, :, 0].round(decimals=4), torch.ones(4, 2))


# --- runs

SIZES = {"width": 4, "blocks": 1, "looks": 4}
FRAMES = {"width": 4, "blocks": 1}


def recipe_of(name: str, **more: object) -> Recipe:
    sizes = {"still": FRAMES, "aggregate_moments": SIZES}.get(name) or {**SIZES, "components": 8}
    if name == "aggregate_average":
        sizes = {**SIZES, "anchors": 12}
    return replace(SMALL, **{"streams": (name,), "sizes": {name: sizes}, "epochs": 1, **more})


@pytest.fixture(scope="module")
def material() -> Material:
    return arrange(tuple(synth.samples("posed", 6, 6, 0, LABELS)), (), (), 0.3, 0)


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strips")


@pytest.fixture(scope="module")
def still(material: Material, strips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a frame net."""
    return trained(recipe_of("still"), material, tmp_path_factory.mktemp("still") / "run", strips)


@pytest.mark.parametrize("name", ["aggregate_average", "aggregate_gaussian"])
def test_a_run_that_is_stopped_between_its_steps_or_in_the_second_ends_the_same(
    name: str, material: Material, strips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(name)
    notes: list[str] = []
    whole = trained(recipe, material, tmp_path / "whole", strips, listener=Listener(note=notes.append))
    assert any("support vectors, penalty" in line for line in notes)

    folder = tmp_path / "run"
    folders.begin(folder, recipe, material)
    looks = 0

    def tick(progress: Progress) -> None:
        nonlocal looks
        if progress.epochs == 0:
            looks += 1
            if looks in (1, 4):
                raise Stop

    def resume() -> None:
        with execute.serial() as executor:
            run.train(recipe, material, folder, executor, CPU, cache=strips, listener=Listener(tick=tick))

    for _ in range(2):
        with pytest.raises(Stop):
            resume()
    with monkeypatch.context() as patched:
        patched.setattr(model, "save", lambda *_: (_ for _ in ()).throw(Stop()))
        with pytest.raises(Stop):
            resume()
    before = looks
    resume()
    assert looks == before, "a fitted machine is not fitted again"
    assert same(weights(folder), weights(whole)) and not (folder / folders.STATE).exists()
    assert (folder / model.WEIGHTS).read_bytes() == (whole / model.WEIGHTS).read_bytes()


def test_a_machine_is_fitted_on_an_existing_frame_net(
    still: Path, material: Material, strips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[state.State] = []

    def fit(*given: Any) -> state.State:
        states.append(support_vectors.fit_support_vectors(*given))
        return states[-1]

    monkeypatch.setattr(alone, "fit_support_vectors", fit)
    recipe = recipe_of("aggregate_moments", epochs=0, start_from=(str(still),))
    run.check(recipe, material, "cpu")
    warned: list[str] = []
    child = trained(recipe, material, tmp_path / "run", strips, listener=Listener(warn=warned.append))
    assert not warned
    history = states[0].history
    pairs = zip(history["validation_accuracy"], history["validation_mean_recall"], strict=True)
    scores = [(accuracy + recall) / 2 for accuracy, recall in pairs]
    assert len(scores) == len(support_vectors.STRENGTHS) and scores.index(max(scores)) == states[0].best_epoch
    mine, parent = weights(child), weights(still)
    for name, value in parent.items():
        end = name.removeprefix("still.")
        own = f"aggregate_moments.{'frame_' if end.startswith('top.') else ''}{end}"
        assert np.array_equal(mine[own], value), name
    kept = trained(replace(recipe, start_from=(str(child),)), material, tmp_path / "kept", strips)
    assert len(states) == 1 and same(weights(kept), mine), "a stream that is already trained does not change"
    with pytest.raises(UsageError, match="has a stream aggregate_subspace, or still"):
        run.check(recipe_of("aggregate_subspace", epochs=0, start_from=(str(child),)), material, "cpu")
    with pytest.raises(UsageError, match="with --illumination none"):
        run.check(replace(recipe, illumination="he"), material, "cpu")


def test_training_starts_from_a_frame_net_of_other_labels_without_its_top(
    still: Path, strips: Path, tmp_path: Path
) -> None:
    other = arrange(tuple(synth.samples("posed", 4, 4, 0, ("anger", *LABELS))), (), (), 0.4, 0)
    recipe = recipe_of("aggregate_average", start_from=(str(still),))
    parent = trained(recipe, other, tmp_path / "three", strips)
    assert model.read_spec(parent).labels == ("anger", *LABELS)
    fewer = arrange(tuple(synth.samples("posed", 4, 4, 0, LABELS)), (), (), 0.4, 0)
    child = recipe_of("aggregate_average", start_from=(str(parent),), rate=1e-9, average=0.0)
    own = weights(trained(child, fewer, tmp_path / "two", strips))
    start = weights(parent)
    name = "aggregate_average.stem.weight"
    assert np.allclose(own[name], start[name], atol=1e-3)
    assert own["aggregate_average.space.anchors"].shape[1] == 4 * len(LABELS)


@pytest.mark.parametrize("name", MACHINES)
def test_what_runs_is_what_was_fitted(name: str) -> None:
    """Check that matrices, stored in half precision, are rounded before the machine is fitted on them."""
    network = settled(name)
    assert isinstance(network, Aggregate)
    round_weights(network)
    batch = some_clips(network, 12)
    with torch.no_grad():
        network.fit(network.sampled_features(batch))
        logits = network(batch)
    stored = run.tensors({name: network}, {})
    assert any(value.dtype == np.float16 for value in stored.values())
    back = streams.build(name, 7, **SMALL_SIZES[name]).eval()
    state = {key: torch.from_numpy(value).float() for key, value in stored.items()}
    back.load_state_dict({key.removeprefix(f"{name}."): value for key, value in state.items()})
    with torch.no_grad():
        assert torch.equal(back(batch), logits)
