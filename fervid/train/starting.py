"""What a run starts from: models to take over weights from, to keep or to fine-tune, and other starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fervid import model, streams
from fervid.errors import InputError, UsageError
from fervid.faces.descriptor import read_weights
from fervid.faces.finder import face_net
from fervid.model import Model
from fervid.streams.network import OF_LABELS, Network
from fervid.train import denoising
from fervid.train.batches import is_over_time
from fervid.train.recipe import Recipe

# What --start-from names besides models: dlib's face net, and an autoencoder of the training pictures.
FACENET, DENOISING = "facenet", "denoising"


def models_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the models to start from."""
    return tuple(name for name in recipe.start_from if name not in (FACENET, DENOISING))


def models(recipe: Recipe) -> list[Model]:
    """Load the models to start from."""
    if recipe.finetune and not recipe.start_from:
        raise UsageError("fine-tuning needs a model to start from: give --model")
    for name in models_of(recipe):
        check_no_committee(name)
    return [model.load_exactly(name) for name in models_of(recipe)]


def check_named(recipe: Recipe) -> None:
    """Raise UsageError if no stream can start from the face net or from an autoencoder that is asked for."""
    kinds = [streams.registered(name) for name in recipe.streams]
    if FACENET in recipe.start_from and not any(kind.parent == FACENET for kind in kinds):
        raise UsageError(f"--start-from {FACENET} is for the stream still_facenet: add it to --streams")
    if DENOISING in recipe.start_from and not any(map(denoising.is_possible, kinds)):
        raise UsageError(f"--start-from {DENOISING} is for networks of single faces, such as still")


def check_no_committee(name: str | Path) -> None:
    """Raise UsageError if a model is a committee."""
    if model.read_spec(name).vote:
        raise UsageError(f"{name} is a committee: start from one of its members, such as {name}/member_1")


def member_folder(folder: Path, number: int) -> Path:
    """Return the folder of a member of a committee; the first is 1."""
    return folder / f"member_{number}"


def member_recipe(recipe: Recipe, number: int) -> Recipe:
    """Return the recipe of a member of a committee, which has its own seed.

    Where the committee starts from another committee, the member starts from the member of its number.
    """
    bases = []
    for name in recipe.start_from:
        if name in (FACENET, DENOISING):
            bases.append(name)
            continue
        folder = model.find(name)
        is_committee = bool(model.read_spec(folder).vote)
        base = member_folder(folder, number)
        if is_committee and not (base / model.SPEC).is_file():
            raise UsageError(f"{name} is a committee without a member {number}: give a smaller --committee")
        bases.append(str(base) if is_committee else name)
    return replace(recipe, committee=1, seed=recipe.seed + number - 1, start_from=tuple(bases))


def finetune_recipe(name: str | Path, recipe: Recipe) -> Recipe:
    """Return a recipe for fine-tuning a model, with its architecture."""
    folder = model.find(name)
    check_no_committee(name)
    spec = model.read_spec(folder)
    methods = {stream.illumination for stream in spec.streams if "faces" in stream.reads}
    return replace(
        recipe,
        streams=tuple(stream.name for stream in spec.streams),
        sizes={stream.name: dict(stream.sizes) for stream in spec.streams},
        fusion=spec.fusion,
        illumination=next(iter(methods), "none"),
        window="clip" if any(stream.window == "clip" for stream in spec.streams) else "short",
        start_from=(str(folder),),
        finetune=True,
    )


def check_labels(given: tuple[str, ...], labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels of the model; raise InputError if the data has others."""
    unknown = [label for label in given if label not in labels]
    if unknown:
        raise InputError(
            f"the data has {', '.join(unknown)}, which the model does not know ({', '.join(labels)}): "
            "leave these samples out, or train another model with --start-from"
        )
    return labels


def take_over(network: Network, name: str, base: Model, labels: tuple[str, ...]) -> bool:
    """Take weights from a model: of the same stream, or of its parent. Return whether it has one."""
    same_labels = base.spec.labels == labels
    own, parent = base.networks.get(name), base.networks.get(network.parent)
    source = own or parent
    if source is None:
        return False
    weights = dict(source.state_dict())
    if not same_labels:
        weights = {key: value for key, value in weights.items() if not key.startswith(OF_LABELS)}
    try:
        if own is None:
            network.inflate(weights)
        else:
            tops = {key: value for key, value in network.state_dict().items() if key.startswith(OF_LABELS)}
            network.load_state_dict(tops | weights)
    except (RuntimeError, KeyError) as failure:
        raise InputError(
            f"stream {name} has other sizes than in the model to start from: give the same with --size"
        ) from failure
    return True


def take_face_net(network: Network) -> bool:
    """Take the weights of dlib's face net, if the network has its shape. Return whether it has."""
    if network.parent != FACENET:
        return False
    try:
        network.inflate(read_weights(face_net()))
    except RuntimeError as failure:
        raise UsageError(f"--start-from {FACENET} needs the usual width: leave out --size") from failure
    return True


def check_untrained(
    name: str, bases: Sequence[Model], labels: tuple[str, ...], illumination: str, window: str
) -> None:
    """Raise UsageError if no model has a stream that is kept untrained."""
    kind, wanted = streams.registered(name), name
    base = next((base for base in bases if name in base.networks), None)
    if base is None and kind.has_support_vectors:  # its parent is enough: the rest needs no epochs
        name, wanted = kind.parent, f"{name}, or {kind.parent}"
        base = next((base for base in bases if name in base.networks), None)
    if base is None:
        raise UsageError(f"no model to start from has a stream {wanted}, and --epochs 0 trains none")
    if base.spec.labels != labels:
        raise UsageError(
            f"{name} was trained on {', '.join(base.spec.labels)}, and the data has {', '.join(labels)}: "
            "with --epochs 0 they must be the same"
        )
    own = next(stream for stream in base.spec.streams if stream.name == name)
    if "faces" in own.reads and own.illumination != illumination:
        raise UsageError(f"{name} was trained with --illumination {own.illumination}: give the same")
    if is_over_time(streams.registered(name)) and own.window != window:
        raise UsageError(f"{name} was trained with --window {own.window}: give the same")
