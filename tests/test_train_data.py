"""Test the data of training: who is in which part, labels, and samples that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from training import CPU, LABELS

from fervid import execute, synth
from fervid.errors import InputError, UsageError
from fervid.train import evaluate
from fervid.train.batches import make_targets
from fervid.train.material import arrange, gather
from fervid.train.recipe import Recipe
from fervid.types.samples import Drawn, Sample


def sample(name: str, label: str, subject: str | None = None) -> Sample:
    return Sample(name=name, label=label, subject=subject, pixels=Drawn("x"))


def test_training_and_validation_share_no_people() -> None:
    samples = [sample(f"{k}", LABELS[k % 2], f"p{k // 4}") for k in range(40)]
    split = arrange(samples, (), (), 0.25, 3)
    assert split.labels == LABELS
    assert not {s.subject for s in split.train} & {s.subject for s in split.validation}
    assert len(split.train) + len(split.validation) == 40
    with pytest.raises(InputError, match=r"the same people: .*p0"):
        arrange(samples[:8], samples[2:3], (), 0.25, 3)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("happiness",), r"labels outside of happiness: surprise \(20\)"),
        (("happiness", "surprise", "anger"), "no training sample of anger"),
    ],
)
def test_labels_must_fit_the_data(labels: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        arrange([sample(f"{k}", LABELS[k % 2]) for k in range(40)], (), labels, 0.25, 0)


def test_a_run_needs_a_validation_set() -> None:
    with pytest.raises(UsageError, match="no validation set"):
        arrange([sample("a", "anger"), sample("b", "fear")], (), (), 0.0, 0)


def test_targets_mix_votes_and_labels() -> None:
    voted = replace(sample("a", "happiness"), votes={"happiness": 0.6, "surprise": 0.4})
    targets = make_targets([voted, sample("b", "surprise")], LABELS, 0.5, 0.1)
    assert targets.tolist() == [
        pytest.approx([0.9 * 0.8 + 0.05, 0.9 * 0.2 + 0.05]),
        pytest.approx([0.05, 0.95]),
    ]


def test_votes_for_other_labels_do_not_count() -> None:
    mixed = replace(sample("a", "happiness"), votes={"happiness": 0.3, "surprise": 0.3, "contempt": 0.4})
    none = replace(sample("b", "surprise"), votes={"contempt": 1.0})
    assert make_targets([mixed, none], LABELS, 1.0, 0.0).tolist() == [pytest.approx([0.5, 0.5]), [0.0, 1.0]]


def write_faces(folder: Path, seed: int) -> None:
    """Write a folder of classes with a picture in each."""
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        picture = np.random.default_rng([seed, len(label)]).integers(0, 255, (48, 48)).astype(np.uint8)
        cv2.imwrite(str(folder / label / "0.png"), picture)


def test_folders_of_the_same_name_differ_and_share_no_files(tmp_path: Path) -> None:
    for number, name in enumerate(("alice", "bob")):
        write_faces(tmp_path / name / "clips", number)
    ours, theirs = (f"folder:{tmp_path / name / 'clips'}" for name in ("alice", "bob"))
    both = gather((ours, theirs), (), (), 0.5, 0)
    names = {sample.name for sample in (*both.train, *both.validation)}
    assert len(names) == 4 and "folder:clips#2/happiness/0.png" in names
    assert len(gather((ours,), (theirs,), (), 0.5, 0).validation) == 2
    table = tmp_path / "list.csv"
    table.write_text("path,label\nalice/clips/happiness/0.png,happiness\n")
    with pytest.raises(InputError, match=r"is the same file as .* of the training set"):
        gather((ours,), (f"csv:{table}",), (), 0.5, 0)


def test_tables_of_one_folder_have_the_same_people(tmp_path: Path) -> None:
    write_faces(tmp_path / "clips", 0)
    for name, label in (("one", "happiness"), ("two", "surprise")):
        (tmp_path / f"{name}.csv").write_text(f"path,label,subject\nclips/{label}/0.png,{label},ann\n")
    with pytest.raises(InputError, match=r"the same people: .*ann"):
        gather((f"csv:{tmp_path}/one.csv",), (f"csv:{tmp_path}/two.csv",), (), 0.5, 0)


def test_a_protocol_checks_every_fold_before_it_trains(tmp_path: Path) -> None:
    rows = [*synth.samples("posed", 3, 3, 0, LABELS), *synth.samples("posed", 1, 1, 0, ("anger",))]
    words = "fold 1 of kfold:3: there is no training sample of anger"
    with pytest.raises(InputError, match=words), execute.serial() as executor:
        evaluate.by_protocol("kfold:3", rows, Recipe(), tmp_path / "runs", executor, CPU)
    assert not (tmp_path / "runs").exists()


def test_data_without_pictures_are_an_error_of_a_model_that_reads_faces() -> None:
    samples = tuple(synth.samples("posed", 1, 1, 0, [LABELS[0]], bare=True))
    with execute.serial() as executor, pytest.raises(UsageError, match="has no pictures, which untrained"):
        evaluate.predict("untrained", samples, labels=LABELS, executor=executor)
