"""Test losses against their definitions, written as plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fervid.train.fusion import joint_loss
from fervid.train.losses import (
    CenterLoss,
    IslandLoss,
    balance,
    cross_entropy,
    exponential_triplets,
    locality_preserving,
    tuplet_clusters,
)

GENERATOR = torch.Generator().manual_seed(8)


def random_batch(count: int = 6, classes: int = 4) -> tuple[Tensor, Tensor]:
    logits = torch.randn(count, classes, generator=GENERATOR)
    return logits, torch.rand(count, classes, generator=GENERATOR).softmax(1)


def one_hot(labels: list[int], classes: int) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor(labels), classes).float()


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0, 4.0])], ids=["plain", "weighted"])
def test_cross_entropy_of_hard_labels_is_torch_s(weights: Tensor | None) -> None:
    logits, _ = random_batch()
    labels = [0, 1, 2, 3, 3, 0]
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


def test_joint_loss_is_that_of_the_paper() -> None:
    first, targets = random_batch()
    second, _ = random_batch()
    own = cross_entropy(first, targets) + cross_entropy(second, targets)
    expected = own + 0.1 * cross_entropy(first + second, targets)
    assert joint_loss([first, second], targets).item() == pytest.approx(expected.item())
    third, _ = random_batch()
    alone = joint_loss([first, second, third], targets, own=0.0, together=1.0)
    assert alone.item() == pytest.approx(cross_entropy(first + second + third, targets).item())


def test_centres_move_as_in_the_paper() -> None:
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
    assert torch.equal(loss.centres, before)  # validation moves no centre


def test_centres_of_islands_move_apart_by_the_gradient_of_their_cosines() -> None:
    torch.manual_seed(0)
    centres = torch.randn(4, 6)
    centres[3] = 0  # a class that has had no sample
    island = IslandLoss(4, 6, rate=0.5, spread=0.1)
    island.centres.copy_(centres)
    free = centres[:3].clone().requires_grad_()
    unit = torch.nn.functional.normalize(free, dim=1)
    cosines = torch.stack([unit[0] @ unit[1], unit[0] @ unit[2], unit[1] @ unit[2]])
    (gradient,) = torch.autograd.grad(cosines.sum(), free)
    value = island(centres[:3], one_hot([0, 1, 2], 4))  # at their centres: center loss is 0
    assert value.item() == pytest.approx(0.1 * 2 * (cosines.sum().item() + 3), rel=1e-5)
    torch.testing.assert_close(island.centres[:3], centres[:3] - 0.5 * 0.1 * gradient / 2)
    assert not island.centres[3].any()


def test_samples_of_islands_are_pulled_to_their_centre_alone() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 4.0], [-3.0, 0.0]], requires_grad=True)
    gradients = []
    for kind in (CenterLoss, IslandLoss):
        loss = kind(3, 2)
        loss.centres.copy_(torch.tensor([[2.0, 1.0], [1.0, 2.0], [-1.0, 1.0]]))
        gradients.append(torch.autograd.grad(loss(features, one_hot([0, 1, 1, 2], 3)), features)[0])
    assert torch.equal(*gradients)


def test_islands_end_further_apart_than_centres() -> None:
    torch.manual_seed(0)
    start = torch.randn(60, 8) + 2  # all classes in one direction
    labels = one_hot([k % 3 for k in range(60)], 3)
    cosines = []
    for loss in (CenterLoss(3, 8), IslandLoss(3, 8)):
        features = start.clone().requires_grad_()
        optimizer = torch.optim.SGD([features], 6.0)
        for _ in range(100):
            optimizer.zero_grad()
            loss(features, labels).backward()
            optimizer.step()
        means = torch.nn.functional.normalize(
            torch.stack([features.detach()[k::3].mean(0) for k in range(3)]), dim=1
        )
        cosines.append(float((means @ means.T).sum() - 3) / 6)
    assert cosines[0] > 0.9 and cosines[1] < 0.5


@pytest.mark.parametrize("kind", [CenterLoss, IslandLoss])
def test_features_move_to_their_centres(kind: type[CenterLoss]) -> None:
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


def test_locality_pulls_to_the_nearest_of_the_same_class() -> None:
    features = torch.tensor([[0.0], [1.0], [4.0], [9.0], [1.5]], requires_grad=True)
    targets = one_hot([0, 0, 0, 1, 2], 3)  # the last two have no neighbours
    # with two neighbours: 0 to 2.5, 1 to 2, 4 to 0.5; with one: 0 to 1, 1 to 0, 4 to 1
    two = locality_preserving(features, targets, 2)
    assert two.item() == pytest.approx((2.5**2 + 1 + 3.5**2) / 2 / 3)
    assert locality_preserving(features, targets, 1).item() == pytest.approx((1 + 1 + 9) / 2 / 3)
    two.backward()
    assert features.grad is not None
    assert features.grad[:, 0].tolist() == [pytest.approx(g / 3) for g in (-2.5, -1.0, 3.5, 0.0, 0.0)]
    assert locality_preserving(features[3:], targets[3:]).item() == 0.0


def test_tuplets_push_the_same_people_out_of_a_cluster() -> None:
    angle = torch.tensor([0.0, 90.0, 45.0, 120.0]).deg2rad()
    features = 3 * torch.stack([angle.cos(), angle.sin()], 1)  # of any length
    targets, people = one_hot([0, 0, 1, 1], 2), torch.tensor([7, 7, 7, 8])
    # The first class: its centre is at 45 degrees, sqrt(1/2) long. Both samples are 0.5 away, near enough.
    # Of the other class, the third has the same person: (1 - sqrt(1/2))^2 away, which should be 1.5.
    # The second class: centre of 45 and 120 degrees; the first two have a person in common with it.
    centre = (features[2] + features[3]) / 6
    away = ((features / 3 - centre) ** 2).sum(1)
    positives = [max(0.0, float(d) - 0.5) for d in away[2:]]
    negatives = [max(0.0, 1.5 - float(d)) for d in away[:2]]
    lacking = [value for value in positives + negatives if value > 0]
    expected = (1.5 - (1 - 0.5**0.5) ** 2 + sum(lacking) / len(lacking)) / 2
    assert tuplet_clusters(features, targets, people).item() == pytest.approx(expected, rel=1e-4)
    unrelated = tuplet_clusters(features, targets, torch.arange(4))  # no person in common: all count
    far = 1.5 - float((features[3] / 3 - torch.tensor([0.5, 0.5])).square().sum())
    expected += ((1.5 - (1 - 0.5**0.5) ** 2 + far) / 2 - (1.5 - (1 - 0.5**0.5) ** 2)) / 2
    assert unrelated.item() == pytest.approx(expected, rel=1e-4)
    assert tuplet_clusters(features[:1], targets[:1], people[:1]).item() == 0.0


def test_hard_triplets_have_exponential_weights() -> None:
    features = torch.randn(7, 3, generator=GENERATOR, requires_grad=True)
    labels = [0, 1, 0, 2, 1, 0, 1]
    unit = torch.nn.functional.normalize(features.detach(), dim=1)
    costs = []
    for a in range(7):
        for p in range(7):
            for n in range(7):
                if a != p and labels[a] == labels[p] != labels[n]:
                    near, far = (unit[a] - unit[p]).square().sum(), (unit[a] - unit[n]).square().sum()
                    costs.append(max(0.0, float(0.2 + near - far)))
    hard = [math.exp(cost) - 1 for cost in costs if cost > 0]
    loss = exponential_triplets(features, one_hot(labels, 3))
    assert loss.item() == pytest.approx(sum(hard) / len(hard), rel=1e-4)
    loss.backward()
    assert features.grad is not None and features.grad.abs().sum() > 0
    assert exponential_triplets(features, one_hot([0] * 7, 3)).item() == 0.0
