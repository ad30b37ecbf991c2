"""Distillation: a network learns from the answers of a teacher besides the labels (Hinton et al., 2015).

The target of a sample is a mix of its label and the teacher's probabilities at a temperature, which show how
similar the other labels are. From the paper: the mix, and the temperature of the teacher. Chosen: the
learner's own logits are not divided by the temperature (in the paper both are, and the loss is multiplied by
its square); and the teacher answers once for a whole sample, without augmentation, as in an evaluation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fervid import metrics, model
from fervid.errors import UsageError
from fervid.execute import Executor
from fervid.train import scoring
from fervid.train import state as states
from fervid.train.recipe import Recipe
from fervid.train.stages import Run
from fervid.types import Array, Floats


def check(recipe: Recipe, labels: tuple[str, ...]) -> None:
    """Raise UsageError if the teacher does not know all labels."""
    if not recipe.teacher:
        return
    known = model.read_spec(recipe.teacher).labels
    if unknown := [label for label in labels if label not in known]:
        raise UsageError(
            f"the teacher {recipe.teacher} does not know {', '.join(unknown)}: leave these out with --labels"
        )


def with_answers(run: Run, executor: Executor, cache: Path | None) -> Run:
    """Return a run with targets that mix the labels and the teacher's answers."""
    recipe, path = run.recipe, run.checkpoint("teacher")
    if run.machine.is_main and not path.is_file():
        run.listener.note(f"the teacher {recipe.teacher} answers for {len(run.train)} samples")
        device = run.machine.device.type
        predictions = scoring.predict(
            recipe.teacher,
            run.train.samples,
            run.labels,
            executor,
            device=device,
            cache=cache,
            listener=run.listener,
        )
        state = states.State()
        state.keep("teacher", {"answers": torch.from_numpy(metrics.probabilities(predictions))})
        states.write(path, state)
    run.machine.wait()
    state = states.read(path) or states.State()
    answers = state.part("teacher")["answers"].numpy()
    return replace(run, targets=mix(run.targets, answers, recipe.teacher_share, recipe.teacher_temperature))


def mix(targets: Floats, answers: Array, share: float, temperature: float) -> Floats:
    """Return targets (N, C) with a share of the teacher's answers (N, C) at a temperature.

    Without an answer, which is nan, the target stays the label.
    """
    with np.errstate(divide="ignore"):
        logits = np.log(answers) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    soft = powers / powers.sum(1, keepdims=True)
    mixed = np.where(np.isnan(soft), targets, (1 - share) * targets + share * soft)
    return np.asarray(mixed, np.float32)
