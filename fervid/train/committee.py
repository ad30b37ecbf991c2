"""A committee: members that are trained alike from different seeds, joined to one model.

Each member is a whole run in a folder of its own, and a model by itself. All members have the same training
and validation samples, so that no member has seen what another is validated on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from fervid import model
from fervid.model import MARK
from fervid.train import folders, fusion, reports, starting
from fervid.train.material import Material
from fervid.train.stages import Run
from fervid.types import Array, Floats


def train(run: Run, material: Material, train_member: Callable[[Run], Path]) -> Path:
    """Train every member that is not done, and write the model that answers by their vote."""
    count = run.recipe.committee
    members = []
    for number in range(1, count + 1):
        folder = starting.member_folder(run.folder, number)
        recipe = starting.member_recipe(run.recipe, number)
        if run.machine.is_main and not (folder / folders.RECIPE).is_file():
            folders.begin(folder, recipe, material)
        run.machine.wait()
        folders.check_material(folder, material)
        if not folders.is_done(folder):
            run.listener.note(f"member {number} of {count}")
            bases = starting.models(recipe)
            train_member(replace(run, recipe=recipe, folder=folder, bases=bases, histories={}, annotators={}))
        members.append(folder)
    return _join(run, members)


def _join(run: Run, members: list[Path]) -> Path:
    """Write the model of all members."""
    own: dict[str, Floats] = {}
    tensors: dict[str, Array] = {}
    streams, specs = [], [model.read_spec(folder) for folder in members]
    for number, (folder, spec) in enumerate(zip(members, specs, strict=True), 1):
        own |= {f"{name}{MARK}{number}": logits for name, logits in _answers(run, folder).items()}
        streams += [replace(stream, name=f"{stream.name}{MARK}{number}") for stream in spec.streams]
        for key, value in load((folder / model.WEIGHTS).read_bytes()).items():
            name, _, rest = key.partition(".")
            tensors[f"{name}{MARK}{number}.{rest}"] = value
    name, vote = run.folder.resolve().name, run.recipe.vote
    spec = replace(specs[0], name=name, streams=tuple(streams), vote=vote)
    fused = model.vote(model.member_answers(spec, own), vote)
    spec = replace(spec, temperature=round(run.temperature(fused), 6))
    return reports.end(run, spec, tensors, own, fused)


def _answers(run: Run, folder: Path) -> dict[str, Floats]:
    """Return the logits that each stream of a member adds to its answer, for the validation set."""
    net = model.load(folder, run.machine.device.type)
    clips = run.whole_clips(net.networks, run.validation, run.truth)
    features = run.features(net.networks, clips, folder.name, exact=True)
    tops = {name: net.joint.get(name, network.top) for name, network in net.networks.items()}
    return {name: np.asarray(fusion.sum_logits({name: top}, features)) for name, top in tops.items()}
