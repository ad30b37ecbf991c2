"""The latent truth of a sample with two annotations: its label, and the votes of other people.

After LTNet (Zeng, Shan and Chen, ECCV 2018, Facial expression recognition with inconsistently annotated
datasets). From the paper: the network predicts the truth; the annotation expected of an annotator is that
prediction times the annotator's transition matrix, a row per true label, learned jointly by the cross-entropy
with each annotation; only the prediction of the truth is used afterwards. Chosen: the annotators are the
label and all votes together, as a distribution (in the paper they are data sets, and the predictions of
networks trained on each); matrices start near the identity and stay stochastic by a softmax over their rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from fervid.errors import InputError
from fervid.train.batches import make_targets
from fervid.types import Array, Floats
from fervid.types.samples import Sample

ANNOTATORS = ("label", "votes")
TRUST = 0.8  # the share of true labels that an annotator names, to start with


def annotations_of(samples: Sequence[Sample], labels: Sequence[str]) -> Floats:
    """Return the annotations of samples (N, 2, C), of ANNOTATORS; zeros without votes for these labels."""
    label, votes = (make_targets(samples, labels, soft, 0.0) for soft in (0.0, 1.0))
    has_votes = [not sample.votes.keys().isdisjoint(labels) for sample in samples]
    if not any(has_votes):
        raise InputError("--labels latent needs votes besides the labels, and no training sample has any")
    return np.stack([label, votes * np.array(has_votes, np.float32)[:, None]], axis=1)


class Annotators(nn.Module):
    """The annotators' transition matrices, and the loss of their annotations."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.shape = (len(ANNOTATORS), classes, classes)
        other = (1 - TRUST) / max(1, classes - 1)
        start = torch.full(self.shape, math.log(other))
        start.diagonal(dim1=1, dim2=2).fill_(math.log(TRUST))
        self.scores = nn.Parameter(start.flatten())  # flat: weight decay is not for vectors

    @property
    def transitions(self) -> Tensor:
        """The share of each annotation, given a truth: (annotators, truth, annotation)."""
        return self.scores.view(self.shape).softmax(2)

    def matrices(self) -> dict[str, Array]:
        """Return the transition matrix (C, C) of each annotator, by name."""
        values = self.transitions.detach().cpu().numpy()
        return dict(zip(ANNOTATORS, values, strict=True))

    def forward(self, logits: Tensor, annotations: Tensor, weights: Tensor) -> Tensor:
        """Return the mean cross-entropy of the expected annotations with the given ones (B, A, C)."""
        truth = logits.float().softmax(1)
        expected = torch.einsum("bt,atc->bac", truth, self.transitions)
        losses = -(annotations * expected.clamp_min(1e-9).log()) * weights
        return losses.sum() / (annotations * weights).sum().clamp_min(1e-9)
