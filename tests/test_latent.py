"""Test the latent truth: annotators with transition matrices of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fervid import execute, model, synth
from fervid.cli.shared.training import recipe_of
from fervid.errors import InputError, UsageError
from fervid.train import folders, run
from fervid.train.annotators import Annotators, annotations_of
from fervid.train.losses import cross_entropy
from fervid.train.machine import Machine
from fervid.train.material import arrange
from fervid.train.recipe import Recipe
from fervid.types.samples import Sample

LABELS = ("happiness", "surprise")
SMALL = Recipe(
    data=("synth:posed",), streams=("tiny_displacement",), epochs=1, batch=4, held_out=0.3, latent=True
)


def voted(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple(replace(sample, votes={sample.label: 0.75, "sadness": 0.25}) for sample in samples)


def test_annotations_are_the_label_and_the_votes() -> None:
    sample = next(iter(synth.samples("posed", 2, 2, 0, LABELS)))
    other = LABELS[1 - LABELS.index(sample.label)]
    both = [replace(sample, votes={sample.label: 0.25, other: 0.25, "sadness": 0.5}), sample]
    said = annotations_of(both, LABELS)
    column = LABELS.index(sample.label)
    np.testing.assert_allclose(said[0, 0], np.eye(2)[column])
    np.testing.assert_allclose(said[0, 1], [0.5, 0.5])
    np.testing.assert_allclose(said[1], [np.eye(2)[column], [0, 0]])
    with pytest.raises(InputError, match="needs votes"):
        annotations_of([sample], LABELS)


def test_the_loss_of_annotators_who_only_name_the_truth_is_cross_entropy() -> None:
    annotators = Annotators(3)
    with torch.no_grad():
        annotators.scores.copy_(40 * torch.eye(3).expand(2, 3, 3).flatten())
    logits, targets = torch.randn(5, 3), torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])]
    weights = torch.tensor([1.0, 2.0, 0.5])
    both = torch.stack([targets, torch.zeros(5, 3)], 1)  # without votes
    expected = cross_entropy(logits, targets, weights)
    torch.testing.assert_close(annotators(logits, both, weights), expected)


def test_the_confusion_of_an_annotator_is_learned() -> None:
    """One annotator calls half of the third class the second; the other names the truth in 4 of 5 cases."""
    random = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (3000,), generator=random)
    first = torch.where((truth == 2) & (torch.rand(3000, generator=random) < 0.5), 1, truth)
    wrong = torch.randint(3, (3000,), generator=random)
    second = torch.where(torch.rand(3000, generator=random) < 0.3, wrong, truth)
    said = torch.nn.functional.one_hot(torch.stack([first, second], 1), 3).float()
    shown = torch.nn.functional.one_hot(truth, 3).float()
    network, annotators = torch.nn.Linear(3, 3), Annotators(3)
    optimizer = torch.optim.Adam([*network.parameters(), *annotators.parameters()], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        annotators(network(shown), said, torch.ones(3)).backward()
        optimizer.step()
    assert (network(torch.eye(3)).argmax(1) == torch.arange(3)).all()
    matrices = annotators.matrices()
    np.testing.assert_allclose(matrices["label"], [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]], atol=0.08)
    assert (np.abs(matrices["votes"].diagonal() - 0.8) < 0.15).all()  # of three classes no more is determined


def test_a_run_with_a_latent_truth_writes_its_annotators(tmp_path: Path) -> None:
    samples = voted(synth.samples("posed", 4, 4, 0, LABELS, bare=True))
    material = arrange(samples, (), (), 0.3, 0)
    folder = tmp_path / "run"
    run.check(SMALL, material, "cpu")
    folders.begin(folder, SMALL, material)
    with execute.serial() as executor:
        run.train(SMALL, material, folder, executor, Machine(torch.device("cpu")), cache=tmp_path / "strips")
    value = json.loads((folder / "annotators.json").read_text())
    assert value["labels"] == list(LABELS)
    matrices = np.array([value["tiny_displacement"][name] for name in ("label", "votes")])
    np.testing.assert_allclose(matrices.sum(2), 1, atol=1e-3)
    assert model.read_spec(folder).labels == LABELS and folders.recipe_of(folder).latent


def test_latent_is_an_option_among_the_labels() -> None:
    assert recipe_of({"labels": "latent", "streams": "still"}) == Recipe(streams=("still",), latent=True)
    chosen = recipe_of({"labels": "latent,anger,fear", "streams": "still"})
    assert chosen.latent and chosen.labels == ("anger", "fear")
    assert not recipe_of({"labels": "anger,fear", "streams": "still"}).latent


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mixup": 0.2}, "--mixup"),
        ({"teacher": "default"}, "--teacher"),
        ({"streams": ("c3d", "phrnn")}, "--fusion joint"),
        ({"streams": ("aggregate_moments",)}, "--streams aggregate_moments"),
    ],
)
def test_what_needs_one_target_cannot_be_combined(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(SMALL, **change)  # type: ignore[arg-type]
