"""Measure the accuracy of a model: each stream alone, the weighted sum and the joint model, in one table.

    python benchmarks/accuracy.py [--model M] [--data DIR] [--kdef DIR] [--media DIR] [--json FILE]

Needs the packs ferplus.npz and portraits.npz in the data folder. FER2013's public-test part is the validation
set of the default model: its epochs, its temperature and the weights of its sum were chosen on it. The acted
portraits show people that are not in the training set, with seeds that were not used for any choice. --kdef
is a folder of KDEF's frontal faces, on which no net was trained, and --media the folder of the clips of
moments.json. README.md in this folder explains each row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import moments
import numpy as np
from safetensors.numpy import load_file

from fervid import clips, datasets, execute, metrics, model
from fervid.datasets import packs
from fervid.faces import shape
from fervid.labels import EMOTIONS, NEUTRAL
from fervid.metrics import Predictions
from fervid.train import evaluate
from fervid.types import Bytes, Settings
from fervid.types.samples import OnDisk, Picture, Sample

DIFFICULTIES = ("posed", "medium", "spontaneous")
TALKING = "talking"
SEED = 2  # of the acted portraits and the drawn trajectories: no run was trained on it
# Samples of each label, and of each difficulty.
TAKES = {"acted": 60, "synth": 300, "onsets": 150}
GROWN = "KDEF, from the person's neutral face"  # a row
POSED = "KDEF, from the neutral face to the apex in half a second"  # another
WITHOUT = "without "  # begins the names of the joint model's predictions with a stream left out
REPEATS = 15  # of the timing; the result is the median


def measure(
    name: str,
    data: Path,
    executor: execute.Executor,
    takes: dict[str, int],
    settings: Settings | None = None,
    kdef: Path | None = None,
    media: Path | None = None,
) -> dict[str, Any]:
    """Return every figure, as in the JSON."""
    spec = model.read_spec(name)
    predict_by = partial(evaluate.predict, labels=EMOTIONS, executor=executor, settings=settings)
    predict = partial(predict_by, name)
    has_parts = spec.fusion == "joint" and len(spec.streams) > 1
    dissect = partial(predict, leave_out=has_parts)
    public = f"ferplus:{data / 'ferplus.npz'}?usage=PublicTest"
    stills = dissect(samples_of(public))
    figures = metrics.report(stills)
    by_votes = relabelled(stills, samples_of(f"{public}&labels=majority"))
    voted = metrics.report(by_votes)
    rows: dict[str, Any] = {
        "FER2013 public test, stills, original labels": _each(figures, "accuracy"),
        "the same, mean recall": _each(figures, "mean_recall"),
        "the same stills where FER+ has a majority": _each(voted, "accuracy"),
    }
    acted = _acted(rows, predict, dissect, data, takes["acted"])
    onsets = metrics.report(dissect(samples_of(f"{public}&motion=yes&most={takes['onsets']}")))
    rows["FER2013 public test, onsets"] = _each(onsets, "accuracy")
    parts = {"stills": figures, "acted portraits, all three": acted, "FER2013 public test, onsets": onsets}
    calibration = {
        "ece": figures["ece"],
        "before_temperature": figures["ece_before_temperature"],
        "onsets": onsets["ece"],
    }
    if kdef is not None:
        faces = samples_of(f"kdef:{kdef}")
        transfer, moved = metrics.report(predict(faces)), metrics.report(dissect(in_motion(faces)))
        rows["KDEF, frontal faces"] = _each(transfer, "accuracy")
        rows["KDEF, onsets"] = _each(moved, "accuracy")
        parts["KDEF, onsets"] = moved
        grown = metrics.report(dissect(from_rest(faces), frames="last"))
        rows[GROWN] = _each(grown, "accuracy")
        posed = metrics.report(dissect(from_rest(faces, "pose")))
        rows[POSED] = _each(posed, "accuracy")
        parts |= {GROWN: grown, POSED: posed}
        calibration |= {"kdef": transfer["ece"], "kdef_onsets": moved["ece"]}
        calibration |= {"kdef_grown": grown["ece"], "kdef_posed": posed["ece"]}
    _drawn(rows, name, predict_by, takes["synth"])
    return {
        "model": spec.name,
        "weights_sha256": spec.weights_sha256,
        "columns": [column for column in figures["streams"] if not column.startswith(WITHOUT)],
        "rows": rows,
        "left_out": {row: _left_out(report) for row, report in parts.items()},
        "moments": moments.measure(media, model=name).as_json() if media is not None else None,
        "example_clip": moments.example(model=name),
        "two_labels": two_labels(stills, by_votes),
        "calibration": calibration,
        "coverage": figures["risk_coverage"]["accuracy_at"],
        "after_rejection": figures["after_rejection"],
        "recall": {label: part["recall"] for label, part in figures["per_class"].items()},
        "recall_majority": {label: part["recall"] for label, part in voted["per_class"].items()},
        "counts": {"stills": figures["n"], "majority": voted["n"], "acted": 3 * 7 * takes["acted"]},
        "cost_ms": cost(name),
    }


def _acted(
    rows: dict[str, Any],
    predict: Callable[..., Predictions],
    dissect: Callable[..., Predictions],
    data: Path,
    takes: int,
) -> dict[str, Any]:
    """Add the rows of acted portraits; return the report of the three difficulties."""
    acted, frozen, reverse = [], [], []
    for difficulty in (*DIFFICULTIES, TALKING):
        samples = samples_of(
            f"acted:{data / 'portraits.npz'}?part=test&difficulty={difficulty}&seed={SEED}&per_class={takes}"
        )
        acted.append(dissect(samples))
        rows[f"acted portraits, {difficulty}"] = _each(metrics.report(acted[-1]), "accuracy")
        if difficulty != TALKING:
            frozen.append(predict(samples, frames="middle"))
            reverse.append(predict(samples, frames="reversed"))
    report, talking = metrics.report(Predictions.joined(acted[: len(DIFFICULTIES)])), acted[-1]
    rows["acted portraits, all three"] = _each(report, "accuracy")
    for what, predictions in (("the middle frame alone", frozen), ("in reverse", reverse)):
        rows[f"the same, {what}"] = _each(metrics.report(Predictions.joined(predictions)), "accuracy")
    neutral = talking.has_face & (talking.truth == EMOTIONS.index(NEUTRAL))
    rows["neutral portraits that talk, read as neutral"] = {
        name: float((metrics.predicted(talking, name) == talking.truth)[neutral].mean())
        for name in talking.logits
        if not name.startswith(WITHOUT)
    }
    return report


def _drawn(rows: dict[str, Any], name: str, predict_by: Callable[..., Predictions], takes: int) -> None:
    """Add the rows of drawn trajectories, which streams of landmarks read alone."""
    with tempfile.TemporaryDirectory() as folder:
        for stream in model.read_spec(name).streams:
            if stream.reads != "displacement":
                continue
            alone = _alone(name, stream.name, Path(folder))
            for difficulty in DIFFICULTIES:
                spec = f"synth:{difficulty}?people={takes}&per_class={takes}&seed={SEED}&faces=no"
                accuracy = metrics.report(predict_by(alone, samples_of(spec)))["accuracy"]
                rows.setdefault(f"drawn trajectories, {difficulty}", {})[stream.name] = accuracy


def _left_out(report: dict[str, Any]) -> dict[str, float]:
    """Return the accuracy of the joint model without each of its streams."""
    return {
        column.removeprefix(WITHOUT): part["accuracy"]
        for column, part in report["streams"].items()
        if column.startswith(WITHOUT)
    }


def samples_of(spec: str) -> tuple[Sample, ...]:
    return datasets.read(spec).samples


def in_motion(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Return pictures on disk as onsets of their expressions; neutral faces blink and talk."""
    pictures = (replace(sample, pixels=Picture(_luma(sample))) for sample in samples)
    return tuple(packs.in_motion(picture, "yes") for picture in pictures)


def from_rest(samples: tuple[Sample, ...], how: str = "grow") -> tuple[Sample, ...]:
    """Return KDEF's pictures as expressions that grow out of the neutral picture of the same session.

    A neutral face stays neutral. People without a neutral picture are left out. `how` is a motion of
    `synth.grown`.
    """
    session = slice(0, 4)  # of a name such as AF01ANS
    resting = {sample.name[session]: sample for sample in samples if sample.label == NEUTRAL}
    return tuple(
        replace(
            sample,
            name=f"{how}/{sample.name}",
            pixels=Picture(_luma(sample), f"{how}/{zlib.crc32(sample.name.encode())}", _luma(before)),
        )
        for sample in samples
        if (before := resting.get(sample.name[session])) is not None
    )


def _luma(sample: Sample) -> Bytes:
    assert isinstance(sample.pixels, OnDisk)
    luma = cv2.imread(sample.pixels.path, cv2.IMREAD_GRAYSCALE)
    assert luma is not None, sample.pixels.path
    return np.asarray(luma, np.uint8)


def _each(figures: dict[str, Any], what: str) -> dict[str, float]:
    streams = figures["streams"].items()
    return {name: part[what] for name, part in streams if not name.startswith(WITHOUT)}


def relabelled(predictions: Predictions, samples: tuple[Sample, ...]) -> Predictions:
    """Return the predictions for these samples, with their other labels as the truth."""
    truth = {sample.name: EMOTIONS.index(sample.label) for sample in samples}
    kept = np.array([row for row, name in enumerate(predictions.names) if name in truth])
    return replace(
        predictions,
        names=tuple(predictions.names[row] for row in kept),
        subjects=tuple(predictions.subjects[row] for row in kept),
        fold=predictions.fold[kept],
        truth=np.array([truth[predictions.names[row]] for row in kept], np.int64),
        has_face=predictions.has_face[kept],
        rejected=predictions.rejected[kept],
        logits={name: values[kept] for name, values in predictions.logits.items()},
        temperature=predictions.temperature[kept],
    )


def two_labels(original: Predictions, other: Predictions) -> dict[str, float]:
    """Return how often the labels of the same pictures agree, and what is read where they do and do not."""
    labels = dict(zip(original.names, original.truth.tolist(), strict=True))
    first, second = np.array([labels[name] for name in other.names]), other.truth
    seen, agree = metrics.predicted(other), first == second
    shares = {
        "agree": agree,
        "right_where_they_agree": (seen == second)[agree],
        "first_where_not": (seen == first)[~agree],
        "second_where_not": (seen == second)[~agree],
    }
    return {name: float(hits.mean()) if len(hits) else 0.0 for name, hits in shares.items()}


def _alone(name: str, stream: str, folder: Path) -> Path:
    """Write a model of a single stream of a model, and return its folder."""
    whole = model.read_spec(name)
    spec = replace(
        whole,
        streams=tuple(each for each in whole.streams if each.name == stream),
        fusion="weighted",
        temperature=1.0,
        yielding={},
        leading=(),
        one_way={},
    )
    tensors = {
        key: value
        for key, value in load_file(model.find(name) / model.WEIGHTS).items()
        if key.startswith(f"{stream}.") and not key.startswith(f"{stream}.{model.JOINT}")
    }
    model.save(folder / stream, spec, tensors)
    return folder / stream


def cost(name: str) -> dict[str, float]:
    """Return milliseconds per clip on one core, in batches of analysis's size: each stream, and all."""
    net = model.load(name)
    random = np.random.default_rng(0)
    inputs: dict[str, list[Any]] = {
        "faces": [
            random.integers(0, 256, (clips.LENGTH, shape.CROP, shape.CROP)).astype(np.uint8)
            for _ in range(model.BATCH)
        ],
        "displacement": [
            random.normal(0, 0.05, (clips.LENGTH, 68, 2)).astype(np.float32) for _ in range(model.BATCH)
        ],
    }
    milliseconds: dict[str, float] = {}
    for stream in net.spec.streams:
        net.heads(stream.name, inputs[stream.reads])
        spent = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            net.heads(stream.name, inputs[stream.reads])
            spent.append(time.perf_counter() - began)
        milliseconds[stream.name] = 1000 * statistics.median(spent) / model.BATCH
    return milliseconds | {"all": sum(milliseconds.values())}


def table(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of Markdown."""
    columns = figures["columns"]
    yield "| % | " + " | ".join(columns) + " |"
    yield "|---|" + "---|" * len(columns)
    for name, row in figures["rows"].items():
        cells = [f"{100 * row[column]:.1f}" if column in row else "" for column in columns]
        yield f"| {name} | " + " | ".join(cells) + " |"
    for row, streams in figures["left_out"].items():
        if streams:
            parts = ", ".join(f"{name} {100 * value:.1f}" for name, value in streams.items())
            yield ""
            yield f"The joint model on {row}, with one stream left out: {parts}."
    both = {name: f"{100 * value:.1f}" for name, value in figures["two_labels"].items()}
    yield ""
    yield (
        f"FER2013's label and FER+'s majority agree on {both['agree']} % of the stills with both. "
        f"Of these the joint model reads {both['right_where_they_agree']} % correctly. Of the others it "
        f"gives FER2013's answer to {both['first_where_not']} % and FER+'s to {both['second_where_not']} %."
    )
    if figures["moments"] is not None:
        agreement = figures["moments"]
        yield ""
        yield (
            f"At {agreement['moments']} moments of real clips it agrees with a person in "
            f"{100 * agreement['agreement']:.1f} % (calibration error {agreement['ece']:.3f})."
        )
    yield ""
    share = 100 * figures["example_clip"]
    yield f"On the example clip it agrees with the clip's own truth in {share:.1f} % of the frames."
    yield ""
    calibration = figures["calibration"]
    yield (
        f"Expected calibration error on the stills: {calibration['ece']:.3f} "
        f"({calibration['before_temperature']:.3f} before the temperature)."
    )
    yield f"On their onsets: {calibration['onsets']:.3f}."
    if "kdef" in calibration:
        yield (
            f"On KDEF: {calibration['kdef']:.3f}; on its onsets: {calibration['kdef_onsets']:.3f}; "
            f"from the person's neutral face: {calibration['kdef_grown']:.3f}, in half a second: "
            f"{calibration['kdef_posed']:.3f}."
        )
    shares = ", ".join(f"{coverage} {100 * value:.1f}" for coverage, value in figures["coverage"].items())
    yield f"Accuracy % on the most confident share of the stills: {shares}."
    yield ""
    yield "| recall % | " + " | ".join(figures["recall"]) + " |"
    yield "|---|" + "---|" * len(figures["recall"])
    for name, key in (("original labels", "recall"), ("FER+ majority", "recall_majority")):
        cells = [f"{100 * value:.1f}" if value is not None else "-" for value in figures[key].values()]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield ""
    costs = ", ".join(f"{name} {value:.1f}" for name, value in figures["cost_ms"].items())
    yield f"Milliseconds per clip, one core, batches of {model.BATCH}: {costs}."


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how good a model is.")
    parser.add_argument("--model", default="default", help="a model's name or path [default]")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder of the packs")
    parser.add_argument("--kdef", type=Path, help="a folder of KDEF's frontal faces")
    parser.add_argument("--media", type=Path, help="the folder of the clips of moments.json")
    parser.add_argument("--landmarks", default=Settings.landmarks, help="the predictor of the 68 points")
    parser.add_argument("--detector", default=Settings.detector, help="the face detector")
    parser.add_argument("--jobs", type=int, help="worker processes [one per core]")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument(
        "--takes",
        type=int,
        help="acted and drawn samples and onsets of each label and difficulty, for a quick run",
    )
    options = parser.parse_args()
    for pack in ("ferplus.npz", "portraits.npz"):
        if not (options.data / pack).is_file():
            parser.error(f"there is no {pack} in {options.data}")
    takes = TAKES if options.takes is None else dict.fromkeys(TAKES, options.takes)
    with execute.open_executor(options.jobs) as executor:
        settings = Settings(landmarks=options.landmarks, detector=options.detector)
        figures = measure(options.model, options.data, executor, takes, settings, options.kdef, options.media)
    print("\n".join(table(figures)))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
