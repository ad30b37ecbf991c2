"""Train the model that comes with fervid, and write its folder.

    python benchmarks/train_default.py --data ../shared/data --face-api package/model -o fervid/models/default

Runs `fervid train` several times, each in its own folder under --runs (runs/default): for the frame network,
for C3D, for the landmark network, and for the joint fine-tuning of all three. One stage is the mean of the
weights of earlier runs, and one is `train_frames.py`, which needs the weights of face-api's expression net:
--face-api is the folder `model` of the npm package @vladmandic/face-api 1.7.15. Start it again to resume
after an interruption; a finished run is not repeated. At the end it writes the model, its card, the curves of
all runs and the figures of `accuracy.py` to -o. --small takes minutes, to check that everything runs.
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

from fervid import execute, metrics, model
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.train import evaluate
from fervid.train.survey.systems import SMALL

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


def acted(part: str, options: str) -> tuple[str, ...]:
    """Return the acted portraits of a part at every difficulty."""
    return tuple(
        f"acted:{{data}}/portraits.npz?part={part}&difficulty={difficulty}&{options}"
        for difficulty in ("posed", "medium", "spontaneous", "talking")
    )


# C3D is trained mostly on acted portraits of many people, because it has to see how each emotion appears, and
# because motion learnt from few people does not generalise.
ONSETS = (
    "ferplus:{data}/ferplus.npz?usage=Training",
    "portraits:{data}/portraits.npz?part=training&most=1500",
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=250",
)
CROWD = tuple(
    f"acted:{{data}}/portraits.npz?part=training&difficulty={difficulty}&per_class={count}&seed=6"
    for difficulty, count in (("posed", 100), ("medium", 250), ("spontaneous", 300), ("talking", 200))
)
# What acts is only a puppet: without real expressions that appear, a net reads all of them as the puppet's.
REAL_ONSETS = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=1500",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=400",
)
REAL_ONSETS_FEW = (
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=400",
    "portraits:{data}/portraits.npz?part=training&motion=yes&most=300",
)
VALIDATION_ONSETS = ("ferplus:{data}/ferplus.npz?usage=PublicTest&motion=yes&most=150",)
VALIDATION_ONSETS_FEW = ("ferplus:{data}/ferplus.npz?usage=PublicTest&motion=yes&most=100",)
# For the fusion, people on whom no stream was trained: a stream is overconfident on its own training set. One
# half of them is for training, the other for validation.
UNSEEN = acted("validation&half=first", "per_class=60&seed=4")
# Most faces in films only rest or talk.
RESTING_UNSEEN = acted("validation&half=first", "only=neutral&per_class=300&seed=5")
VALIDATION_UNSEEN = acted("validation&half=second", "per_class=15&seed=1")
DRAWN = tuple(
    f"synth:{difficulty}?people=1000&per_class=1500&seed=0&faces=no"
    for difficulty in ("posed", "medium", "spontaneous")
)
DRAWN_TALKING = ("synth:talking?people=1000&per_class=1500&seed=0&faces=no",)
DRAWN_FEW = tuple(
    f"synth:{difficulty}?people=500&per_class=500&seed=0&faces=no"
    for difficulty in ("medium", "spontaneous", "talking")
)
# The validation sets, which decide the best epoch, the weights of the sum and the temperature.
VALIDATION = ("ferplus:{data}/ferplus.npz?usage=PublicTest",)
VALIDATION_FEW = ("ferplus:{data}/ferplus.npz?usage=PublicTest&most=250",)
VALIDATION_ACTED = (
    "acted:{data}/portraits.npz?part=validation&difficulty=medium&per_class=40&seed=1",
    "acted:{data}/portraits.npz?part=validation&difficulty=talking&per_class=20&seed=1",
)
VALIDATION_DRAWN = ("synth:medium?people=200&per_class=200&seed=1&faces=no",)

# FER2013's labels are noisy and its classes unbalanced: half the weight for FER+'s votes, and some balance.
TARGETS = "--soft-labels 0.5 --smoothing 0.02 --balance 0.4"
# Later more weight for the original labels: FER+'s annotators almost never chose fear or disgust.
TARGETS_LATER = "--soft-labels 0.3 --smoothing 0.02 --balance 0.2"
# Added to the logit of neutral in the end. FER2013 gives an emotion to many faces that nearly all of FER+'s
# annotators call neutral, and most faces of films are.
RESTING = 0.15

CARD = Path(__file__).with_name("default_card.md")
LICENCES = {
    "weights": "MIT, as far as the terms of the training data allow",
    "FER2013": "published for the ICML 2013 challenge on representation learning, pictures found on the web",
    "FER+ votes": "MIT",
    "facial_expressions": "Apache-2.0",
    "ICT-FaceKit": "MIT, USC ICT 2020; the figures that sequences are drawn by come from it",
    "face-api": "MIT; its expression net's answers are among the targets of the frame network",
    "P1_Facial_Keypoints": "MIT",
    "landmarks": "in the first stages by dlib's predictor, trained on iBUG 300-W, whose terms exclude "
    "commercial use; since then by fervid's own",
}


@dataclass(frozen=True)
class Mean:
    """A model with the mean weights of related runs, which is better than each of them."""

    name: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One run of `fervid train`."""

    name: str
    data: tuple[str, ...]
    validation: tuple[str, ...]
    settings: str
    after: tuple[str, ...] = ()  # stages with the weights that it starts from
    clips: int = 0  # per epoch


@dataclass(frozen=True)
class Script:
    """A script with stages of its own: the model of each is `NAME_STAGE`, and the one that is read `last`."""

    name: str
    after: str
    script: str
    last: str
    commands: tuple[str, ...]  # with {data}, {net}, {after}, {still}, {jobs} and {small}

    @property
    def folder(self) -> str:
        return Path(self.script).stem.removeprefix("train_")


FRAMES = (
    "faces --data {data} {jobs} {small}",
    "answers --net {net}",
    "train --still {after} {small}",
)
MOTION = ("points --data {data} --still {still} {jobs} {small}", "train --phrnn {after} {small}")

STAGES: tuple[Stage | Mean | Script, ...] = (
    Stage(
        "still",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 40 --coarse 0.8 --batch 128 --mixup 0.2 --variants {TARGETS}",
        clips=28160,
    ),
    # More epochs, because it was under-fitted. At 48 pixels they gained almost nothing; the stage is kept
    # because the shipped weights came from it.
    Stage(
        "still_on",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 72 --coarse 0.9 --batch 128 --mixup 0.2 --variants {TARGETS}",
        after=("still",),
        clips=28160,
    ),
    # Continue at full size and with milder augmentation.
    Stage(
        "still_fine",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 12 --batch 128 --rate 0.7 --mixup 0.2 --augmentation mild --variants "
        f"{TARGETS}",
        after=("still_on",),
        clips=28160,
    ),
    Stage(
        "still_long",
        STILLS,
        VALIDATION,
        f"--streams still --epochs 72 --batch 128 --mixup 0.2 --augmentation mild --variants {TARGETS}",
        after=("still_fine",),
        clips=28160,
    ),
    # Single frames of moving faces cost a sixteenth of clips.
    Stage(
        "still_moving",
        STILLS + MOVING + TALKING,
        VALIDATION + VALIDATION_ACTED,
        "--streams still --epochs 14 --moving 0.4 --batch 128 --rate 0.5 --mixup 0.2 --augmentation mild "
        f"--variants {TARGETS_LATER}",
        after=("still_long",),
        clips=28160,
    ),
    # One of the last two is better on stills, the other on moving faces; their mean loses little of either.
    Mean("still_mean", of=("still_long", "still_moving")),
    # Labels of FER2013 alone teach the faces of FER2013: another net's answers help with other people's.
    Script("still", "still_mean", "train_frames.py", "narrow", FRAMES),
    # Each is better than the others on some faces, and their mean on nearly all.
    Mean("still_best", of=("still_mean", "still_first", "still_second", *("still_third",) * 3)),
    # Of half the usual width, at a quarter of the cost.
    Stage(
        "c3d",
        ONSETS + CROWD,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 8 --coarse 0.7 --moving 0.75 --batch 32 --rate 0.4 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.2",
        after=("still_narrow",),
        clips=12000,
    ),
    # Far from done. These are the first 9 epochs of a run of 26: its rate had hardly fallen when it was
    # stopped, and then a run that ends.
    Stage(
        "c3d_on",
        ONSETS + CROWD,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 9 --moving 0.8 --batch 32 --rate 0.8 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.2 --seed 1",
        after=("c3d",),
        clips=12000,
    ),
    Stage(
        "c3d_fine",
        ONSETS + CROWD,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 10 --moving 0.8 --batch 32 --rate 0.7 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.2 --seed 2",
        after=("c3d_on",),
        clips=12000,
    ),
    # Smiles that appear on real faces were read as anything but happiness.
    Stage(
        "c3d_onsets",
        REAL_ONSETS + CROWD,
        VALIDATION_ONSETS_FEW + VALIDATION_ACTED,
        "--streams c3d --size c3d.width=16 --epochs 12 --batch 32 --rate 0.7 "
        "--augmentation mild --soft-labels 0.4 --smoothing 0.02 --balance 0.4 --seed 3",
        after=("c3d_fine",),
        clips=12000,
    ),
    Stage(
        "phrnn",
        STILLS + MOVING + DRAWN,
        VALIDATION_FEW + VALIDATION_ACTED[:1] + VALIDATION_DRAWN,
        f"--streams phrnn --epochs 30 --batch 128 --augmentation mild {TARGETS}",
        clips=25600,
    ),
    # It mistook the round mouths of talking for surprise.
    Stage(
        "phrnn_on",
        STILLS + MOVING + TALKING + DRAWN + DRAWN_TALKING,
        VALIDATION_FEW + VALIDATION_ACTED + VALIDATION_DRAWN,
        f"--streams phrnn --epochs 10 --batch 128 --rate 0.5 --augmentation mild {TARGETS}",
        after=("phrnn",),
        clips=25600,
    ),
    # On fervid's own landmarks; the stages before were trained on dlib's.
    Stage(
        "phrnn_open",
        ONSETS + CROWD + DRAWN_FEW,
        VALIDATION_FEW + VALIDATION_ACTED,
        "--streams phrnn --epochs 5 --moving 0.6 --batch 128 --rate 0.4 --augmentation mild "
        "--soft-labels 0.4 --smoothing 0.02 --balance 0.4",
        after=("phrnn_on",),
        clips=25600,
    ),
    # It took every real mouth that talks for a smile, and people who talk and turn for surprised.
    Script("phrnn", "phrnn_open", "train_motion.py", "people", MOTION),
    Stage(
        "default",
        ONSETS[:2] + REAL_ONSETS_FEW + UNSEEN + RESTING_UNSEEN,
        VALIDATION + VALIDATION_UNSEEN + VALIDATION_ONSETS,
        "--streams c3d+phrnn+still --size c3d.width=16 --size c3d.motion=20 --size phrnn.motion=8 --epochs 0 "
        "--fixed-tops c3d+still --own-loss 0 --sum-loss 1 --joint-epochs 12 "
        "--rate 2.5 --moving 0.75 --batch 64 --soft-labels 0.2 --smoothing 0.02 --balance 0.4",
        after=("c3d_onsets", "phrnn_people", "still_best"),
        clips=9600,
    ),
)


def command(stage: Stage, data: Path, runs: Path, jobs: int | None, small: bool) -> list[str]:
    """Return the command line of a stage."""
    target = runs / stage.name
    # One process per core is faster than one process with a thread per core, also on a busy machine.
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
    for option, specs in (("--data", stage.data), ("--validation", stage.validation)):
        for spec in specs:
            words += [option, sized(spec, small).format(data=data)]
    for before in stage.after:
        words += ["--start-from", str(runs / before)]
    settings = stage.settings.split()
    if small:
        for name, value in (("--epochs", "1"), ("--joint-epochs", "1"), ("--batch", "4")):
            if name in settings and settings[settings.index(name) + 1] != "0":
                settings[settings.index(name) + 1] = value
        for stream in settings[settings.index("--streams") + 1].split("+"):
            for size, limit in SMALL[stream].items():
                settings += ["--size", f"{stream}.{size}={limit}"]
    return [*words, *settings, "--epoch-clips", "16" if small else str(stage.clips)]


def sized(spec: str, small: bool) -> str:
    """Return a dataset's spec, with few samples for --small."""
    if not small:
        return spec
    kept = []
    path, _, options = spec.partition("?")
    for option in options.split("&"):
        name = option.partition("=")[0]
        limit = {"most": 2, "per_class": 1, "people": 2}.get(name)
        kept.append(f"{name}={limit}" if limit is not None else option)
    if path.startswith("ferplus") and "most=" not in options:
        kept.append("most=2")
    return f"{path}?{'&'.join(kept)}"


def average(stage: Mean, runs: Path) -> None:
    """Write the model of mean weights; the statistics of normalisation are averaged, too."""
    parts = [load_file(runs / name / model.WEIGHTS) for name in stage.of]
    tensors = {
        key: np.mean([part[key].astype(np.float32) for part in parts], axis=0).astype(first.dtype)
        for key, first in parts[0].items()
    }
    specs = [model.read_spec(runs / name) for name in stage.of]
    data = sorted({name for spec in specs for name in spec.training_data})
    model.save(runs / stage.name, replace(specs[0], name=stage.name, training_data=tuple(data)), tensors)


def run_script(stage: Script, data: Path, face_api: Path, runs: Path, jobs: int | None, small: bool) -> None:
    """Run the commands of a script, and copy its models."""
    script, own = Path(__file__).with_name(stage.script), runs / stage.folder
    values = {
        "{data}": [str(data)],
        "{net}": [str(face_api)],
        "{after}": [str(runs / stage.after)],
        "{still}": [str(runs / "still_best")],
        "{jobs}": ["--jobs", str(jobs)] if jobs is not None else [],
        "{small}": ["--small"] if small else [],
    }
    for line in stage.commands:
        words = [part for word in line.split() for part in values.get(word, [word])]
        subprocess.run([sys.executable, str(script), *words, "--runs", str(own)], check=True)
    for folder in own.iterdir():
        if (folder / model.SPEC).is_file():
            shutil.copytree(folder, runs / f"{stage.name}_{folder.name}", dirs_exist_ok=True)


def is_done(folder: Path) -> bool:
    return (folder / "model.json").is_file() and not (folder / "state").exists()


def gather(runs: Path, data: Path, target: Path) -> None:
    """Write the model and the curves of every run to the target folder."""
    target.mkdir(parents=True, exist_ok=True)
    made = runs / STAGES[-1].name
    tensors = load_file(made / model.WEIGHTS)
    tensors["still.joint.bias"][EMOTIONS.index(NEUTRAL)] += RESTING
    runs_json: dict[str, dict[str, object]] = {}
    training_data: set[str] = set()
    for stage in STAGES:
        if isinstance(stage, Mean):
            runs_json[stage.name] = {"mean_of": list(stage.of)}
            continue
        if isinstance(stage, Script):
            history = json.loads((runs / stage.folder / "history.json").read_text(encoding="utf-8"))
            for name, epochs in history.items():
                runs_json[f"{stage.name}_{name}"] = {"after": stage.after, "history": epochs}
            continue
        text = (runs / stage.name / "recipe.json").read_text(encoding="utf-8")
        recipe = json.loads(
            text.replace(f":{data}/", ":").replace(f"{runs}/", "")
        )  # no paths of this machine
        history = json.loads((runs / stage.name / "history.json").read_text(encoding="utf-8"))
        runs_json[stage.name] = {"recipe": recipe, "history": history}
        training_data |= set(recipe["data"])
    (target / "runs.json").write_text(json.dumps(runs_json) + "\n", encoding="utf-8")
    data_of_all = tuple(sorted(training_data))  # the last run lists only its own
    spec = replace(model.read_spec(made), licences=LICENCES, training_data=data_of_all)
    model.save(target, spec, tensors)


def calibrate(target: Path, data: Path, executor: execute.Executor) -> None:
    """Set the temperatures that fit FER2013's labels and FER+'s majority: of pictures, and of onsets.

    FER2013's labels are wrong so often that a model calibrated on them doubts itself on clear faces. The
    majority leaves out the faces about which people disagree, and makes it too sure. Of a picture the streams
    over time say nothing; of a clip they repeat what the frame network sees, and the sum is too sure.
    """
    spec = f"ferplus:{data / 'ferplus.npz'}?usage=PublicTest"
    moving = VALIDATION_ONSETS[0].format(data=data)
    values = json.loads((target / model.SPEC).read_text(encoding="utf-8"))
    for name, wanted, all_of in (
        ("picture_temperature", spec, spec),
        ("temperature", moving, f"{spec}&motion=yes"),
    ):
        samples = accuracy.samples_of(wanted)
        read = evaluate.predict(str(target), samples, labels=EMOTIONS, executor=executor)
        voted = accuracy.relabelled(read, accuracy.samples_of(f"{all_of}&labels=majority"))
        both = metrics.Predictions.joined([read, voted])
        fitted = metrics.fit_temperature(both.logits[both.headline][both.has_face], both.truth[both.has_face])
        values[name] = round(float(fitted), 4)
    (target / model.SPEC).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def card(
    target: Path, data: Path, jobs: int | None, takes: int | None, kdef: Path | None, media: Path | None
) -> None:
    """Calibrate and measure the model, and write its card and figures."""
    with execute.open_executor(jobs) as executor:
        calibrate(target, data, executor)
        counts = accuracy.TAKES if takes is None else dict.fromkeys(accuracy.TAKES, takes)
        figures = accuracy.measure(str(target), data, executor, counts, kdef=kdef, media=media)
    (target / "accuracy.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    terms = "\n".join(f"- {name}: {licence}" for name, licence in LICENCES.items())
    text = CARD.read_text(encoding="utf-8").format(table="\n".join(accuracy.table(figures)), terms=terms)
    (target / "card.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model that comes with fervid.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of ferplus.npz and portraits.npz"
    )
    parser.add_argument("--face-api", type=Path, required=True, help="the folder of face-api's weights")
    parser.add_argument("--kdef", type=Path, help="a folder of KDEF's frontal faces, to measure on")
    parser.add_argument("--media", type=Path, help="the folder of the clips of moments.json, to measure on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model's folder")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/default"), help="the folder of the runs [runs/default]"
    )
    parser.add_argument("--jobs", type=int, help="processes and threads [one per core]")
    parser.add_argument("--small", action="store_true", help="a few samples of each kind, one epoch each")
    options = parser.parse_args()
    for pack in ("ferplus.npz", "portraits.npz", "landmarks68.npz"):
        if not (options.data / pack).is_file():
            parser.error(f"there is no {pack} in {options.data}")
    for stage in STAGES:
        name = f"{stage.name}_{stage.last}" if isinstance(stage, Script) else stage.name
        if not is_done(options.runs / name):
            print(f"{stage.name}: {options.runs / stage.name}", file=sys.stderr, flush=True)
            if isinstance(stage, Mean):
                average(stage, options.runs)
                continue
            if isinstance(stage, Script):
                run_script(stage, options.data, options.face_api, options.runs, options.jobs, options.small)
                continue
            subprocess.run(
                command(stage, options.data, options.runs, options.jobs, options.small), check=True
            )
    gather(options.runs, options.data, options.output)
    takes = 1 if options.small else None
    card(options.output, options.data, options.jobs, takes, options.kdef, options.media)


if __name__ == "__main__":
    main()
