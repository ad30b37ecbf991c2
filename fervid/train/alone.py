"""The first stage of a run: each stream is trained alone."""

from __future__ import annotations

import torch

from fervid import streams
from fervid.streams.network import Network
from fervid.train import denoising, starting
from fervid.train.fitting import USUAL_BATCH, Stage, StreamLoss, mean_logits, measure
from fervid.train.recipe import FINE, Recipe
from fervid.train.stages import Run, round_weights
from fervid.train.support_vectors import fit_support_vectors

# The usual rate and decay, for streams with another optimizer of their own.
OPTIMIZERS = {"sgd": (0.1, 5e-4), "adam": (1e-3, 0.0), "adamw": (1e-3, 1e-2)}


def train(run: Run, name: str) -> Network:
    """Return a stream after training; with 0 epochs, as it is in the models to start from."""
    recipe, network = run.recipe, _initial(run, name)
    if recipe.epochs:
        coarse = round(recipe.coarse * recipe.epochs) if network.any_side else 0
        learner = StreamLoss(network, len(run.labels), run.counts, recipe).to(run.machine.device)
        run.fit(_stage(run, learner, name), run.training_clips(network, coarse))
        if learner.annotators is not None:
            run.annotators[name] = learner.annotators.matrices()
    elif any(name in base.networks for base in run.bases):
        return network.eval()
    if network.has_support_vectors:
        _fit_support_vectors(run, network, name)
    return network.eval()


def _initial(run: Run, name: str) -> Network:
    """Return a stream with its initial weights, on the run's device."""
    torch.manual_seed(run.recipe.seed)  # for the initial weights
    network = streams.build(name, len(run.labels), **run.recipe.sizes.get(name, {}))
    bases = sorted(run.bases, key=lambda base: name not in base.networks)  # the same stream before a parent
    wanted = run.recipe.start_from
    is_started = any(starting.take_over(network, name, base, run.labels) for base in bases)
    is_started = is_started or (starting.FACENET in wanted and starting.take_face_net(network))
    network = network.placed(run.machine.device)
    if not is_started and starting.DENOISING in wanted and denoising.is_possible(network):
        denoising.train(run, network, name)
    elif wanted and not is_started:
        run.listener.warn(f"{name} starts from random weights: no model to start from has such a stream")
    return network


def optimizer_of(network: Network, recipe: Recipe) -> tuple[str, float, float]:
    """Return the optimizer of a network, its learning rate and its weight decay."""
    own = (network.optimizer, network.rate, network.decay)
    wanted = recipe.optimizer
    name, rate, decay = own if wanted in ("own", network.optimizer) else (wanted, *OPTIMIZERS[wanted])
    by_size = recipe.batch / USUAL_BATCH
    return name, rate * recipe.rate * (by_size if name == "sgd" else by_size**0.5), decay


def _stage(run: Run, learner: StreamLoss, name: str) -> Stage:
    recipe, machine, network = run.recipe, run.machine, learner.network
    optimizer, rate, decay = optimizer_of(network, recipe)
    clips = run.validation_clips(network)

    def validate() -> tuple[float, float, float]:
        logits = mean_logits(lambda batch: network(batch[network.reads]), clips, recipe.batch, machine)
        return measure(logits, run.truth)

    return Stage(
        name=name,
        epochs=recipe.epochs,
        rate=rate * (FINE if recipe.finetune else 1.0),
        decay=decay,
        optimizer=optimizer,
        learner=learner,
        loss=lambda batch: learner(batch, machine),
        validate=validate,
    )


def _fit_support_vectors(run: Run, network: Network, name: str) -> None:
    """Replace the top of a trained stream by a support vector machine."""
    training, validation = run.training_clips(network), run.validation_clips(network)
    path = run.checkpoint(f"{name}.machine")
    state = fit_support_vectors(network, training, validation, run.recipe, run.machine, path, run.listener)
    strength, accuracy = (state.history[key][state.best_epoch] for key in ("strength", "validation_accuracy"))
    run.listener.note(f"{name}: support vectors, penalty {strength:g}, validation accuracy {accuracy:.4f}")
    round_weights(network)
