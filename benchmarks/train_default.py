"""Train the model that ships with fervid, from its data to its folder.

    python benchmarks/train_default.py --data ../shared/data -o fervid/models/default [--runs DIR] [--jobs N]

Runs of `fervid train`, each kept in a folder of its own under --runs (runs/default): the frame net in
several, C3D inflated from it, the landmark net, and the joint fine-tuning of all three. Where a run went on
in more ways than one, the mean of their weights is taken. Started again after an interruption, it goes on
where it was; a run that is done is not repeated. At the end the model, its card and the curves of all runs
are written to -o, with what `accuracy.py` says of it. --small takes minutes and shows the road.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import accuracy
import numpy as np
from safetensors.numpy import load_file

from fervid import execute, model

STILLS = (
    "ferplus:{data}/ferplus.npz?usage=Training",
    "portraits:{data}/portraits.npz?part=training&most=2500",
)
MOVING = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=1500",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=400",
    "acted:{data}/portraits.npz?part=training&difficulty=medium&per_class=200&seed=0",
    "acted:{data}/portraits.npz?part=training&difficulty=posed&per_class=80&seed=0",
    "acted:{data}/portraits.npz?part=training&difficulty=spontaneous&per_class=120&seed=0",
)
TALKING = ("acted:{data}/portraits.npz?part=training&difficulty=talking&per_class=100&seed=0",)
# For C3D mostly those that act, and more of them: it has to see how each emotion comes.
COMING = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=400",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=150",
)
ACTING = (
    MOVING[2:]
    + TALKING
    + (
        "acted:{data}/portraits.npz?part=training&difficulty=medium&per_class=300&seed=3",
        "acted:{data}/portraits.npz?part=training&difficulty=posed&per_class=120&seed=3",
        "acted:{data}/portraits.npz?part=training&difficulty=spontaneous&per_class=200&seed=3",
        "acted:{data}/portraits.npz?part=training&difficulty=talking&per_class=120&seed=3",
    )
)


def acted(part: str, options: str) -> tuple[str, ...]:
    """Portraits of a part that act at every difficulty."""
    return tuple(
        f"acted:{{data}}/portraits.npz?part={part}&difficulty={difficulty}&{options}"
        for difficulty in ("posed", "medium", "spontaneous", "talking")
    )


# Faces that do no more than rest or talk are most of what there is to see in films.
RESTING = acted("training", "only=neutral&per_class=240&seed=5")
# Many more people than those: what moves looks alike on all of them, and was learnt of too few.
CROWD = tuple(
    f"acted:{{data}}/portraits.npz?part=training&difficulty={difficulty}&per_class={count}&seed=6"
    for difficulty, count in (("posed", 250), ("medium", 600), ("spontaneous", 500), ("talking", 350))
)
# For the fusion, people of whom no stream has learnt: a stream knows its own by heart, so that strangers
# alone show how far it is to be trusted. One half of them teaches, the other judges.
STRANGERS = acted("validation&half=first", "per_class=100&seed=4")
RESTING_STRANGERS = acted("validation&half=first", "only=neutral&per_class=300&seed=5")
STRANGE_JUDGES = acted("validation&half=second", "per_class=20&seed=1")
DRAWN = tuple(
    f"synth:{difficulty}?people=1000&per_class=1500&seed=0&faces=no"
    for difficulty in ("posed", "medium", "spontaneous")
)
DRAWN_TALKING = ("synth:talking?people=1000&per_class=1500&seed=0&faces=no",)
# What decides which epoch is the best, the weights of the sum and the temperature.
JUDGES = ("ferplus:{data}/ferplus.npz?usage=PublicTest",)
SOME_JUDGES = ("ferplus:{data}/ferplus.npz?usage=PublicTest&most=250",)
ACTED_JUDGES = (
    "acted:{data}/portraits.npz?part=validation&difficulty=medium&per_class=40&seed=1",
    "acted:{data}/portraits.npz?part=validation&difficulty=talking&per_class=20&seed=1",
)
DRAWN_JUDGES = ("synth:medium?people=200&per_class=200&seed=1&faces=no",)

# FER2013's labels are noisy, and rare ones rarer: half the taggers' votes, and half-way to equal classes.
TAUGHT = "--soft-labels 0.5 --smoothing 0.02 --balance 0.4"
# In the end more of the original labels: the taggers hardly ever voted for fear or disgust.
TAUGHT_LATER = "--soft-labels 0.3 --smoothing 0.02 --balance 0.2"

CARD = Path(__file__).with_name("default_card.md")
LICENCES = {
    "weights": "MIT, as far as the terms of the training data allow",
    "FER2013": "published for the ICML 2013 challenge on representation learning, pictures found on the web",
    "FER+ votes": "MIT",
    "facial_expressions": "Apache-2.0",
    "ICT-FaceKit": "MIT, USC ICT 2020; the figures that sequences are drawn by come from it",
    "landmarks": "found by dlib's 68-point predictor, trained on iBUG 300-W: no commercial use",
}


@dataclass(frozen=True)
class Mean:
    """The mean weights of runs that went on from one another, or from the same: surer than each of them."""

    name: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One run of `fervid train`."""

    name: str
    data: tuple[str, ...]
    judges: tuple[str, ...]
    settings: str
    after: tuple[str, ...] = ()  # stages whose weights it starts from
    clips: int = 0  # in a round


STAGES: tuple[Stage | Mean, ...] = (
    Stage(
        "still",
        STILLS,
        JUDGES,
        f"--streams still --epochs 40 --coarse 0.8 --batch 128 --mixup 0.2 --variants {TAUGHT}",
        clips=28160,
    ),
    # On, for it was under-fitted. At 48 pixels that gained next to nothing; it stands here because the
    # shipped weights came this way.
    Stage(
        "still_on",
        STILLS,
        JUDGES,
        f"--streams still --epochs 72 --coarse 0.9 --batch 128 --mixup 0.2 --variants {TAUGHT}",
        after=("still",),
        clips=28160,
    ),
    # Once more from there, at full size and milder: what is learnt so far is coarse.
    Stage(
        "still_fine",
        STILLS,
        JUDGES,
        f"--streams still --epochs 12 --batch 128 --rate 0.7 --mixup 0.2 --augmentation mild --variants "
        f"{TAUGHT}",
        after=("still_on",),
        clips=28160,
    ),
    Stage(
        "still_long",
        STILLS,
        JUDGES,
        f"--streams still --epochs 72 --batch 128 --mixup 0.2 --augmentation mild --variants {TAUGHT}",
        after=("still_fine",),
        clips=28160,
    ),
    # Frames of faces that move: what a frame shows is learnt at a sixteenth of what a clip costs.
    Stage(
        "still_moving",
        STILLS + MOVING + TALKING,
        JUDGES + ACTED_JUDGES,
        "--streams still --epochs 14 --moving 0.4 --batch 128 --rate 0.5 --mixup 0.2 --augmentation mild "
        f"--variants {TAUGHT_LATER}",
        after=("still_long",),
        clips=28160,
    ),
    # Each of the last two pays for what it gains: their mean loses little of either.
    Mean("still_mean", of=("still_long", "still_moving")),
    Stage(
        "c3d",
        STILLS + COMING + ACTING,
        SOME_JUDGES + ACTED_JUDGES,
        "--streams c3d --epochs 9 --moving 0.6 --batch 32 --rate 0.4 --augmentation mild "
        f"--variants {TAUGHT_LATER}",
        after=("still_moving",),
        clips=16000,
    ),
    # What it learnt of acting faces cost it stills, and called neutral ones something.
    Stage(
        "c3d_on",
        STILLS + COMING + ACTING + RESTING,
        SOME_JUDGES + ACTED_JUDGES,
        "--streams c3d --epochs 5 --moving 0.5 --batch 32 --rate 0.3 --mixup 0.2 --augmentation strong "
        "--variants --soft-labels 0.4 --smoothing 0.02 --balance 0.2 --seed 1",
        after=("c3d",),
        clips=16000,
    ),
    # Among many more people, from the mean of both.
    Mean("c3d_begun", of=("c3d", "c3d_on")),
    Stage(
        "c3d_wide",
        STILLS + COMING + CROWD,
        SOME_JUDGES + ACTED_JUDGES,
        "--streams c3d --epochs 8 --moving 0.65 --batch 32 --rate 0.5 --augmentation mild "
        "--variants --soft-labels 0.4 --smoothing 0.02 --balance 0.2 --seed 2",
        after=("c3d_begun",),
        clips=16000,
    ),
    Mean("c3d_mean", of=("c3d", "c3d_on", "c3d_wide")),
    Stage(
        "phrnn",
        STILLS + MOVING + DRAWN,
        SOME_JUDGES + ACTED_JUDGES[:1] + DRAWN_JUDGES,
        f"--streams phrnn --epochs 30 --batch 128 --augmentation mild {TAUGHT}",
        clips=25600,
    ),
    # It knew no mouths that round in talking, and took them for surprise.
    Stage(
        "phrnn_on",
        STILLS + MOVING + TALKING + DRAWN + DRAWN_TALKING,
        SOME_JUDGES + ACTED_JUDGES + DRAWN_JUDGES,
        f"--streams phrnn --epochs 10 --batch 128 --rate 0.5 --augmentation mild {TAUGHT}",
        after=("phrnn",),
        clips=25600,
    ),
    # The frame net besides: C3D pays for what it learns of motion with some of what it knew of stills.
    Stage(
        "default",
        STILLS + STRANGERS + RESTING_STRANGERS,
        JUDGES + STRANGE_JUDGES,
        "--streams c3d+phrnn+still --epochs 0 --joint-epochs 8 --rate 0.5 --moving 0.35 --own-loss 0.05 "
        "--sum-loss 1 --batch 64 --soft-labels 0.38 --smoothing 0.02 --balance 0.2",
        after=("c3d_mean", "phrnn_on", "still_mean"),
        clips=9600,
    ),
)


def command(stage: Stage, data: Path, runs: Path, jobs: int | None, small: bool) -> list[str]:
    """The command line of a stage."""
    target = runs / stage.name
    # A process for each core learns faster than one with a thread for each, and bears others beside it.
    parts = 1 if small else (jobs or execute.cores())
    many = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(parts)] if parts > 1 else []
    )
    words = [sys.executable, *many, "-m", "fervid", "--no-progress", "train", "-o", str(target)]
    if jobs is not None:
        words += ["--jobs", str(jobs)]
    if (target / "state").is_dir():
        return [*words, "--resume"]
    if target.exists():
        words.append("--overwrite")
    for option, specs in (("--data", stage.data), ("--validation", stage.judges)):
        for spec in specs:
            words += [option, sized(spec, small).format(data=data)]
    for before in stage.after:
        words += ["--start-from", str(runs / before)]
    settings = stage.settings.split()
    if small:
        for name, value in (("--epochs", "1"), ("--joint-epochs", "1"), ("--batch", "4")):
            if name in settings and settings[settings.index(name) + 1] != "0":
                settings[settings.index(name) + 1] = value
    return [*words, *settings, "--epoch-clips", "16" if small else str(stage.clips)]


def sized(spec: str, small: bool) -> str:
    """A dataset, or as little of it as shows that it works."""
    if not small:
        return spec
    kept = []
    path, _, options = spec.partition("?")
    for option in options.split("&"):
        name = option.partition("=")[0]
        limit = {"most": 2, "per_class": 2, "people": 2}.get(name)
        kept.append(f"{name}={limit}" if limit is not None else option)
    if path.startswith("ferplus") and "most=" not in options:
        kept.append("most=2")
    return f"{path}?{'&'.join(kept)}"


def average(stage: Mean, runs: Path) -> None:
    """Make the model of mean weights; what is normalised by is meant, too."""
    parts = [load_file(runs / name / model.WEIGHTS) for name in stage.of]
    tensors = {
        key: np.mean([part[key].astype(np.float32) for part in parts], axis=0).astype(first.dtype)
        for key, first in parts[0].items()
    }
    specs = [model.read_spec(runs / name) for name in stage.of]
    data = sorted({name for spec in specs for name in spec.training_data})
    model.save(runs / stage.name, replace(specs[0], name=stage.name, training_data=tuple(data)), tensors)


def done(folder: Path) -> bool:
    return (folder / "model.json").is_file() and not (folder / "state").exists()


def gather(runs: Path, data: Path, target: Path) -> None:
    """The model with its card and the curves of every run that led to it."""
    target.mkdir(parents=True, exist_ok=True)
    made = runs / STAGES[-1].name
    shutil.copyfile(made / "model.safetensors", target / "model.safetensors")
    told: dict[str, dict[str, object]] = {}
    learnt_from: set[str] = set()
    for stage in STAGES:
        if isinstance(stage, Mean):
            told[stage.name] = {"mean_of": list(stage.of)}
            continue
        text = (runs / stage.name / "recipe.json").read_text(encoding="utf-8")
        recipe = json.loads(
            text.replace(f":{data}/", ":").replace(f"{runs}/", "")
        )  # no places of one machine
        history = json.loads((runs / stage.name / "history.json").read_text(encoding="utf-8"))
        told[stage.name] = {"recipe": recipe, "history": history}
        learnt_from |= set(recipe["data"])
    (target / "runs.json").write_text(json.dumps(told) + "\n", encoding="utf-8")
    spec = json.loads((made / "model.json").read_text(encoding="utf-8")) | {"licences": LICENCES}
    spec["training_data"] = sorted(learnt_from)  # of all runs: the last one tells of its own alone
    (target / "model.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")


def card(target: Path, data: Path, jobs: int | None, takes: int | None) -> None:
    """Measure the model, and write its card."""
    with execute.open_executor(jobs) as executor:
        counts = accuracy.TAKES if takes is None else dict.fromkeys(accuracy.TAKES, takes)
        figures = accuracy.measure(str(target), data, executor, counts)
    (target / "accuracy.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    terms = "\n".join(f"- {what}: {said}" for what, said in LICENCES.items())
    told = CARD.read_text(encoding="utf-8").format(table="\n".join(accuracy.table(figures)), terms=terms)
    (target / "card.md").write_text(told, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model that ships with fervid.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of ferplus.npz and portraits.npz"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs/default"), help="where the runs are kept")
    parser.add_argument("--jobs", type=int, help="processes and threads [one per core]")
    parser.add_argument("--small", action="store_true", help="a few samples of each kind, one round each")
    options = parser.parse_args()
    for pack in ("ferplus.npz", "portraits.npz"):
        if not (options.data / pack).is_file():
            parser.error(f"there is no {pack} in {options.data}")
    for stage in STAGES:
        if not done(options.runs / stage.name):
            print(f"{stage.name}: {options.runs / stage.name}", file=sys.stderr, flush=True)
            if isinstance(stage, Mean):
                average(stage, options.runs)
                continue
            subprocess.run(
                command(stage, options.data, options.runs, options.jobs, options.small), check=True
            )
    gather(options.runs, options.data, options.output)
    card(options.output, options.data, options.jobs, 2 if options.small else None)


if __name__ == "__main__":
    main()
