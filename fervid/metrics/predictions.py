"""A model's predictions of labelled samples, as logits, labels and scores."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from fervid.errors import ModelError
from fervid.metrics.counts import NO_FACE, Doubles
from fervid.types import Array, Floats, Ints, check

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a model, or of the models of several folds, for labelled samples."""

    labels: tuple[str, ...]  # the data's, in canonical order
    model_labels: tuple[str, ...]
    names: tuple[str, ...]
    subjects: tuple[str, ...]  # the sample's own name if its subject is unknown
    fold: Ints  # (N,)
    truth: Ints  # (N,) into labels
    has_face: Bools  # (N,) False: no face
    rejected: Bools  # (N,) low quality by the rejection rule; the headline ignores it
    logits: Mapping[str, Floats]  # per stream and fusion: (N, model labels), undefined without a face
    temperature: Floats  # (N,) of the model that scored the row; it divides the headline logits
    headline: str  # name of the logits that the reported figures are of
    parts: tuple[str, ...] = ()  # names of the folds, if they have any

    def __post_init__(self) -> None:
        count = len(self.names)
        if self.parts and count and not 0 <= self.fold.min() <= self.fold.max() < len(self.parts):
            raise ValueError(f"folds should be named by {len(self.parts)} parts, got fold {self.fold.max()}")
        for name, dtype in (("fold", np.int64), ("truth", np.int64), ("has_face", np.bool_)):
            check(name, getattr(self, name), (count,), dtype)
        check("rejected", self.rejected, (count,), np.bool_)
        check("temperature", self.temperature, (count,), np.float32)
        if len(self.subjects) != count:
            raise ValueError(f"{count} samples should have as many subjects, got {len(self.subjects)}")
        if count and not 0 <= self.truth.min() <= self.truth.max() < len(self.labels):
            raise ValueError(f"truth should index {len(self.labels)} labels, got {self.truth.max()}")
        if not (self.temperature > 0).all():
            raise ValueError("a temperature should be positive")
        if self.headline not in self.logits:
            raise ValueError(f"headline {self.headline} should be one of {', '.join(self.logits)}")
        for name, values in self.logits.items():
            check(f"logits of {name}", values, (count, len(self.model_labels)), np.float32)
            invalid = self.has_face & ~np.isfinite(values).all(axis=1)
            if invalid.any():
                raise ModelError(
                    f"the {name} scores of {self.names[int(invalid.argmax())]} are not finite: the model is "
                    "damaged, or was trained with too high a rate; use another model"
                )
        if not self.shared:
            raise ModelError(
                f"the model knows {', '.join(self.model_labels)}, and none of the data's labels "
                f"({', '.join(self.labels)}): evaluate on data with labels that it knows"
            )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shared(self) -> list[int]:
        """The data's labels that the model knows, as indices."""
        return [index for index, label in enumerate(self.labels) if label in self.model_labels]

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """Return the pooled predictions of several folds."""
        if not parts:
            raise ValueError("there are no predictions to join")
        first = parts[0]
        values: dict[str, Any] = {}
        for field in fields(cls):
            own = [getattr(part, field.name) for part in parts]
            if field.name in ("names", "subjects"):
                values[field.name] = tuple(itertools.chain.from_iterable(own))
            elif field.name == "logits":
                if any(set(part) != set(first.logits) for part in own):
                    raise ValueError("predictions of different streams cannot be joined")
                values[field.name] = {name: np.concatenate([part[name] for part in own]) for name in own[0]}
            elif isinstance(own[0], np.ndarray):
                values[field.name] = np.concatenate(own)
            elif all(value == own[0] for value in own):
                values[field.name] = own[0]
            else:
                raise ValueError(f"predictions of different {field.name} cannot be joined")
        return cls(**values)


def predicted(predictions: Predictions, which: str | None = None) -> Ints:
    """Return the predicted label of each sample (N,), of those that data and model share, or NO_FACE."""
    shared = np.array(predictions.shared)
    labels = shared[_shared_logits(predictions, which).argmax(axis=1)]
    return np.where(predictions.has_face, labels, NO_FACE)


def probabilities(predictions: Predictions, which: str | None = None, temperature: bool = True) -> Doubles:
    """Return scores (N, C) of the data's labels, renormalised over those that the model knows.

    A label that the model does not know scores 0; a sample without a face has nan. The temperature was fitted
    to the headline; leave it out for other streams.
    """
    return np.exp(log_probabilities(predictions, which, temperature))


def confidence(predictions: Predictions, which: str | None = None, temperature: bool = True) -> Doubles:
    """Return the highest score of each sample (N,); 0 without a face."""
    scores = probabilities(predictions, which, temperature)
    return np.where(predictions.has_face, np.nan_to_num(scores).max(axis=1), 0.0)


def _shared_logits(predictions: Predictions, which: str | None) -> Doubles:
    """Return logits (N, K) of the labels that data and model share; 0 without a face."""
    columns = [predictions.model_labels.index(predictions.labels[index]) for index in predictions.shared]
    values = predictions.logits[which or predictions.headline][:, columns].astype(np.float64)
    return np.where(predictions.has_face[:, None], values, 0.0)


def log_probabilities(predictions: Predictions, which: str | None, temperature: bool) -> Doubles:
    logits = _shared_logits(predictions, which)
    if temperature:
        logits = logits / predictions.temperature[:, None]
    scores = np.full((len(predictions), len(predictions.labels)), -np.inf)
    scores[:, predictions.shared] = log_softmax(logits)
    scores[~predictions.has_face] = np.nan
    return scores


def log_softmax(logits: Array) -> Doubles:
    """Return the logarithm of the probabilities of logits (N, C)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
