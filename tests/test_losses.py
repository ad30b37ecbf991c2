"""Losses against what they are defined as, in plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fervid.fusion import joint_loss
from fervid.losses import CenterLoss, IslandLoss, balance, cross_entropy

GENERATOR = torch.Generator().manual_seed(8)


def some(count: int = 6, classes: int = 4) -> tuple[Tensor, Tensor]:
    logits = torch.randn(count, classes, generator=GENERATOR)
    return logits, torch.rand(count, classes, generator=GENERATOR).softmax(1)


def one_hot(labels: list[int], classes: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(labels), classes).float()


def test_soft_cross_entropy_is_what_it_is_for_hard_labels() -> None:
    logits, _ = some()
    labels = [0, 1, 2, 3, 3, 0]
    ours = cross_entropy(logits, one_hot(labels, 4))
    assert ours.item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).item()
    )


def test_weights_count_as_they_do_for_hard_labels() -> None:
    logits, _ = some()
    labels, weights = [0, 1, 2, 3, 3, 0], torch.tensor([0.5, 1.0, 2.0, 4.0])
    theirs = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), weights)
    assert cross_entropy(logits, one_hot(labels, 4), weights).item() == pytest.approx(theirs.item())


def test_soft_labels_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0]])
    shares = torch.tensor([[0.7, 0.3]])
    log_sum = math.log(math.exp(2) + 1)
    assert cross_entropy(logits, shares).item() == pytest.approx(0.7 * (log_sum - 2) + 0.3 * log_sum)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_balance(strength: float) -> None:
    counts = torch.tensor([100.0, 10.0, 1.0, 0.0])
    weights = balance(counts, strength)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0)
    assert weights[1] / weights[0] == pytest.approx(10**strength)
    if strength:
        assert weights[3] == 0.0
    if strength == 1.0:
        assert (weights * counts)[:3].tolist() == pytest.approx([37.0] * 3)


def test_joint_loss_is_the_papers() -> None:
    first, taught = some()
    second, _ = some()
    expected = (
        cross_entropy(first, taught)
        + cross_entropy(second, taught)
        + 0.1 * cross_entropy(first + second, taught)
    )
    assert joint_loss([first, second], taught).item() == pytest.approx(expected.item())
    third, _ = some()
    alone = joint_loss([first, second, third], taught, own=0.0, together=1.0)
    assert alone.item() == pytest.approx(cross_entropy(first + second + third, taught).item())


def test_centres_follow_the_paper() -> None:
    loss = CenterLoss(3, 2, rate=0.5)
    loss.centres.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]))
    features = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, 0.0]], requires_grad=True)
    value = loss(features, one_hot([0, 0, 1], 3))
    assert value.item() == pytest.approx((1 + 9 + 1) / 3 / 2)
    # c -= rate * sum(c - x) / (1 + n)
    assert loss.centres[0].tolist() == pytest.approx([1 + 0.5 * (1 + 3) / 3, 0.0])
    assert loss.centres[1].tolist() == pytest.approx([0.0, 1 - 0.5 * 1 / 2])
    assert loss.centres[2].tolist() == [5.0, 5.0]
    value.backward()
    assert features.grad is not None
    assert features.grad.tolist() == [[pytest.approx(1 / 3), 0.0], [1.0, 0.0], [0.0, pytest.approx(-1 / 3)]]
    before = loss.centres.clone()
    loss.eval()(features, one_hot([0, 0, 1], 3))
    assert torch.equal(loss.centres, before)  # being judged moves nothing


def test_island_loss_adds_the_cosines_of_every_two_classes() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 4.0], [-3.0, 0.0]])
    taught = one_hot([0, 1, 1, 2], 4)  # a class without samples takes no part
    island, center = IslandLoss(4, 2, spread=10.0), CenterLoss(4, 2)
    # cosines: 0 and 1 are 0, 0 and 2 are -1, 1 and 2 are 0; each pair counts in both orders
    assert (island(features, taught) - center(features, taught)).item() == pytest.approx(
        10 * 2 * ((0 + 1) + (-1 + 1) + (0 + 1)), rel=1e-4
    )


@pytest.mark.parametrize("kind", [CenterLoss, IslandLoss])
def test_features_gather_about_their_centres(kind: type[CenterLoss]) -> None:
    torch.manual_seed(0)
    features = torch.randn(30, 4, requires_grad=True)
    labels = one_hot([k % 3 for k in range(30)], 3)
    loss, optimizer = kind(3, 4), torch.optim.SGD([features], 0.5)

    def spread() -> float:
        parts = [features.detach()[k::3] for k in range(3)]
        return float(torch.stack([part.var(0).sum() for part in parts]).mean())

    before = spread()
    for _ in range(200):
        optimizer.zero_grad()
        loss(features, labels).backward()
        optimizer.step()
    assert spread() < 0.2 * before
