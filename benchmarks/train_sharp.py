"""Train the frame networks of a model on sharp faces, of which FER2013 has none.

    python benchmarks/train_sharp.py draw --drawer random_face/data --emonet fae/resources/emotions8.pth
    python benchmarks/train_sharp.py answers --data ../shared/data --emonet fae/resources/emotions8.pth
    python benchmarks/train_sharp.py train
    python benchmarks/train_sharp.py join --data ../shared/data -o MODEL

A trial: the model that ships has not learned from them (docs/decisions.md says why). `draw` lets a net draw
people who do not exist, many of them with rare expressions (`drawn_faces.py`). `answers` asks EmoNet about
the faces of the packs, which `train_frames.py faces` has cut into the same --runs (runs/frames). `train`
continues both frame networks of a whole model: the targets are labels, votes, and what this model and EmoNet
say together. It resumes after an interruption. `join` writes the model with these networks, which
`accuracy.py --model` measures. Neither pictures nor answers go into a model. --small takes minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from drawn_faces import EACH, MANY, PLAIN, ROUNDS, Drawer, write
from emonet import KINDS, EmoNet, head_of_close_up, head_of_fer
from expression_detector import adapted, among_emotions
from frame_faces import load
from safetensors.numpy import load_file
from train_default import SHARE, calibrate, compute_in_integers
from train_frames import Material, Stage, fit, of_fer, save

from fervid import execute, model, quantized
from fervid.faces.finder import FaceFinder
from fervid.faces.shape import CROP, MARGIN
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.train.augment import STRONG
from fervid.types import Array, Bytes, Floats

PACKS = {"fer": "ferplus", "portraits": "portraits", "landmarks": "landmarks68"}

# What EmoNet's scores count beside the model's own. It calls most neutral portraits anything but neutral, so
# about all but drawn faces it only says what divides the expressions.
DRAWN_POWER, DIVIDING_POWER = 0.5, 0.7
# Most portraits are neutral or happy, and the labels of all others are noisy.
COMMON = ("happiness", NEUTRAL)
LABELS = {True: 0.25, False: 0.15}  # the weight of a portrait's label, if it is a common one and if not
SHARES = {"fer": 1.0, "portraits": 1.0, "landmarks": 0.8, "drawn": 1.2}
MORE_DRAWN = {**SHARES, "fer": 0.75, "drawn": 2.0}
COMMON_SHARE = 0.7
RARE = (0.5, 2.5)  # how much less and more often the sharp faces of a common and of a rare class are shown

# In the runs of docs/decisions.md, EmoNet was asked about 6,656 of FER2013's faces and 4,200 portraits, 3,500
# of them common ones, and the stage `sharp` did not see the faces of the last two rounds.
SHARP = Stage(*("sharp", 5, 2e-4, 0.45, 0.2, 0.5, STRONG), average=0.998, shares=SHARES, decay=0.02, seed=11)
STAGES = (
    ("still", SHARP),
    ("still", replace(SHARP, name="sharp_on", epochs=8, rate=3e-4, shares=MORE_DRAWN, goes_on="sharp")),
    ("still_facenet", replace(SHARP, name="face_net_sharp", epochs=8, rate=4e-4)),
)

# The second network's share of the sum of both, and what is added to the logits: chosen by FER2013's public
# test and KDEF, as those of the default model.
SHARE_AFTER = 0.3
ADDED_AFTER = {"anger": -0.05, "disgust": 0.5, "happiness": 0.2, "surprise": 0.45, "neutral": 0.1}


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the default model's frame networks on sharp faces.")
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="draw faces, and write what EmoNet says about them")
    answers = commands.add_parser("answers", help="write what EmoNet says about the faces of the packs")
    training = commands.add_parser("train", help="train both networks")
    joining = commands.add_parser("join", help="write the model with the trained networks")
    for command in (drawing, answers, training, joining):
        command.add_argument("--runs", type=Path, default=Path("runs/frames"), help="[runs/frames]")
    for command in (drawing, training):
        command.add_argument("--small", action="store_true", help="few faces, one short epoch")
    drawing.add_argument("--drawer", type=Path, required=True, help="the folder of the drawing net's files")
    for command in (drawing, answers):
        command.add_argument("--emonet", type=Path, required=True, help="the file of EmoNet")
    for command in (answers, joining):
        command.add_argument("--data", type=Path, required=True, help="the folder of the packs")
    for command in (training, joining):
        command.add_argument("--model", default="default", help="the whole model to start from [default]")
    joining.add_argument("-o", "--output", type=Path, required=True, help="the folder of the new model")
    training.add_argument("--device", default="cpu", help="cpu or cuda [cpu]")
    training.add_argument("--threads", type=int, default=1, help="[1]")
    options = parser.parse_args()
    if options.command == "draw":
        sizes = (6, 6, 3) if options.small else (MANY, PLAIN, EACH)
        write(Drawer(options.drawer), EmoNet(options.emonet), options.runs, *sizes)
    elif options.command == "answers":
        ask(options.data, EmoNet(options.emonet), options.runs)
    elif options.command == "join":
        join(model.find(options.model), options.runs, options.output)
        compute_in_integers(options.output, options.data)
        with execute.open_executor() as executor:
            calibrate(options.output, options.data, executor)
    else:
        torch.set_num_threads(options.threads)
        train(options.model, options.runs, torch.device(options.device), options.small)


def ask(data: Path, net: EmoNet, runs: Path) -> None:
    """Write EmoNet's answers to the faces of the packs; where it finds no face they are zeros."""
    from fervid.datasets import packs

    finder = FaceFinder()
    for name, pack in PACKS.items():
        pictures = packs.read(str(data / f"{pack}.npz"), {"images": (3, "u")})["images"]
        names = load(runs, name)["name"]
        answers = np.zeros((len(names), len(KINDS)), np.float32)
        for row, number in enumerate(int(own.rpartition("/")[2]) for own in names):
            luma = np.ascontiguousarray(pictures[number])
            picture = head_of_fer(luma) if name == "fer" else head_of_close_up(finder, luma)
            if picture is not None:
                answers[row] = net(picture[None])[0]
        np.save(runs / f"emonet-{name}.npy", answers)
        print(f"{name}: {len(names)} answers of EmoNet", flush=True)


def train(folder: str, runs: Path, device: torch.device, small: bool) -> None:
    """Continue both frame networks of a model, and write each as a model of its own."""
    whole, check, path = model.load_exactly(folder), load(runs, "check"), runs / "history.json"
    log = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts = gather(whole, runs)
    for name, stage in STAGES:
        torch.manual_seed(stage.seed)
        material, net = shared(parts, stage), model.load_exactly(folder).networks[name]
        if stage.goes_on:
            net.load_state_dict(torch.load(runs / f"{stage.goes_on}.pt", weights_only=True)["average"])
        net = net.placed(device).train()
        net, log[stage.name] = fit(stage, net, material, check, runs, device, small)
        save(net, runs / stage.name)
    path.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


def join(folder: Path, runs: Path, target: Path) -> None:
    """Write a model with the networks that have learned from sharp faces, without ranges for integers.

    The first one is the mean of what it was before and of both stages: FER2013's faces are read as before.
    """
    spec, before = model.read_spec(folder), model.read_tensors(folder)
    *stills, face_net = (load_file(runs / stage.name / model.WEIGHTS) for _, stage in STAGES)
    tensors = {name: value for name, value in before.items() if not name.endswith(f".{quantized.RANGES}")}
    changes = {
        "still": (1 - SHARE, 1 - SHARE_AFTER, [before, *stills]),
        "still_facenet": (SHARE, SHARE_AFTER, [face_net]),
    }
    for name, (old, new, nets) in changes.items():
        for key in (key for key in nets[-1] if key.startswith(f"{name}.")):
            tensors[key] = np.mean([net[key] for net in nets], 0).astype(nets[-1][key].dtype)
        for part in ("weight", "bias"):
            top, joint = f"{name}.top.{part}", f"{name}.{model.JOINT}{part}"
            tensors[joint] = new * tensors[top] + (before[joint] - old * before[top])
    for label, logit in ADDED_AFTER.items():
        tensors[f"still.{model.JOINT}bias"][EMOTIONS.index(label)] += logit
    ratios = {name: new / old for name, (old, new, _) in changes.items()}
    streams = tuple(
        replace(stream, weight=stream.weight * ratios.get(stream.name, 1.0)) for stream in spec.streams
    )
    model.save(target, replace(spec, streams=streams), tensors)


def gather(whole: model.Model, runs: Path) -> dict[str, Material]:
    """Return the faces of each pack and the drawn ones, their targets, and weights within each."""
    packs = {name: (load(runs, name), np.load(runs / f"emonet-{name}.npy")) for name in PACKS}
    parts = {"fer": _fer(whole, *packs["fer"]), "portraits": _portraits(whole, *packs["portraits"])}
    faces, emonet = packs["landmarks"][0]["faces"], packs["landmarks"][1]
    divided = among_emotions(scores(whole, faces), DIVIDING_POWER * _logs(emonet))
    parts["landmarks"] = Material(faces, divided, np.ones(len(faces)))
    drawn = [load(runs, f"drawn-{number}") for number in range(ROUNDS + 1)]
    faces = np.concatenate([pack["faces"] for pack in drawn])
    emonet = np.concatenate([pack["emonet"] for pack in drawn])
    return parts | {"drawn": Material(faces, _both(scores(whole, faces), emonet), np.ones(len(faces)))}


def shared(parts: Mapping[str, Material], stage: Stage) -> Material:
    """Return all faces with the weights of a stage, which shows rare expressions of sharp ones more often."""
    weights = {name: stage.shares[name] * part.weights for name, part in parts.items()}
    seen = {name: part.targets.argmax(1) for name, part in parts.items() if name != "fer"}
    counts = np.bincount(np.concatenate(list(seen.values())), minlength=len(EMOTIONS)).clip(1)
    rarity = np.sqrt(counts.sum() / len(EMOTIONS) / counts).clip(*RARE)
    for name, classes in seen.items():
        weights[name] = weights[name] * rarity[classes]
    return Material(
        np.concatenate([part.faces for part in parts.values()]),
        np.concatenate([part.targets for part in parts.values()]).astype(np.float32),
        np.concatenate(list(weights.values())),
    )


def _fer(whole: model.Model, pack: Mapping[str, Array], emonet: Array) -> Material:
    truth = np.array([EMOTIONS.index(label) for label in pack["label"]])
    asked, logs = np.flatnonzero(emonet.any(1)), _logs(emonet)
    # It learned from other pictures, where other classes are common.
    adapt = adapted(logs[asked][::3], truth[asked][::3])
    answers = scores(whole, pack["faces"])
    answers[asked] = among_emotions(answers[asked], DIVIDING_POWER * adapt(logs[asked]))
    labels = np.eye(len(EMOTIONS), dtype=np.float32)[truth]
    # Labels, votes and answers count the same in all stages.
    return Material(pack["faces"], of_fer(SHARP, pack, labels, answers), np.ones(len(labels)))


def _portraits(whole: model.Model, pack: Mapping[str, Array], emonet: Array) -> Material:
    rows = np.flatnonzero((pack["split"] == "training") & emonet.any(1))
    faces, names = pack["faces"][rows], pack["label"][rows]
    divided = among_emotions(scores(whole, faces), DIVIDING_POWER * _logs(emonet[rows]))
    labels = np.array([[emotion == name for emotion in EMOTIONS] for name in names], np.float32)
    is_common = np.isin(names, COMMON)
    share = np.where(is_common, LABELS[True], LABELS[False])[:, None] * labels.any(1, keepdims=True)
    return Material(faces, share * labels + (1 - share) * divided, np.where(is_common, COMMON_SHARE, 1.0))


def scores(whole: model.Model, faces: Bytes) -> Floats:
    """Return the scores that a model gives to crops with their margin and to their mirror images, (N, C)."""
    inner = np.ascontiguousarray(faces[:, MARGIN : MARGIN + CROP, MARGIN : MARGIN + CROP])
    total = np.zeros((len(faces), len(EMOTIONS)))
    for stream in whole.spec.streams:
        if stream.name in whole.spec.leading:
            for view in (inner, inner[:, :, ::-1]):
                total += whole.logits(stream.name, (face[None] for face in view), 128) / 2
        elif whole.joint[stream.name].bias is not None:
            total += whole.joint[stream.name].bias.detach().numpy()
    return np.asarray(model.softmax(total), np.float32)


def _logs(emonet: Array) -> Floats:
    """Return the logarithms of EmoNet's probabilities of the emotions."""
    return np.asarray(np.log(model.softmax(emonet[:, : len(EMOTIONS)])), np.float32)


def _both(own: Floats, emonet: Array) -> Floats:
    """Return what a model and EmoNet say together; where EmoNet sees contempt, the model alone."""
    power = DRAWN_POWER * (1 - model.softmax(emonet)[:, [KINDS.index("contempt")]])
    return np.asarray(model.softmax(np.log(own.clip(1e-12)) + power * _logs(emonet)), np.float32)


if __name__ == "__main__":
    main()
