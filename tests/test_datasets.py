"""Test the specs of datasets, what they read from disk, and the command."""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ROOT, Call, Fervid
from folders import POINTER, fails, remarked, seen, write
from hypothesis import given
from hypothesis import strategies as some

from fervid import datasets
from fervid.datasets import Dataset, Option, Spec, disk, naming
from fervid.errors import InputError, UsageError
from fervid.labels import LABELS, VALENCE_AROUSAL
from fervid.types.samples import OnDisk, Sample
from fervid.video import source

# --- specs and the registry


def test_every_layout_is_listed_with_a_description() -> None:
    assert datasets.names() == tuple(dict.fromkeys(datasets.names()))
    assert {"afew", "ckplus", "ravdess", "cremad", "fer2013", "folder", "csv"} <= set(datasets.names())
    for layout in datasets.layouts():
        assert layout.description
        assert "\n" not in layout.description
        for name, option in layout.options.items():
            assert option.meaning
            if option.default:
                assert option.check(name, option.default) == option.default


def test_two_layouts_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="two layouts"):
        datasets.layout("folder", "again")(lambda path, options: Dataset((), ()))


words = some.text(string.ascii_letters + string.digits + "äß漢 ./\\:-_%+", min_size=1)


@given(path=words, usage=some.sampled_from(("Training", "PublicTest", "all")), votes=words)
def test_a_spec_as_text_is_parsed_back(path: str, usage: str, votes: str) -> None:
    for options in ({}, {"usage": usage}, {"usage": usage, "votes": votes}):
        spec = Spec("fer2013", path, options)
        assert datasets.parse(str(spec)) == spec


@given(path=some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_parsed_or_an_error(path: str) -> None:
    try:
        spec = datasets.parse(f"folder:{path}")
    except UsageError:
        assert "?" in path or not path
    else:
        assert path.startswith(spec.path)


@pytest.mark.parametrize(
    ("spec", "path", "options"),
    [
        ("fer2013:fer2013.csv?usage=PublicTest", "fer2013.csv", {"usage": "PublicTest"}),
        ("FER2013:fer2013.csv?usage=publictest", "fer2013.csv", {"usage": "PublicTest"}),
        ("fer2013:C:\\sets\\fer2013.csv?usage=all", "C:\\sets\\fer2013.csv", {"usage": "all"}),
        ("fer2013:C:/sets", "C:/sets", {}),
        ("fer2013:a.csv?", "a.csv", {}),
        ("synth:posed?people=007&seed=0", "posed", {"people": "7", "seed": "0"}),
        ("fer2013:a.csv?votes=b?c=d.csv", "a.csv", {"votes": "b?c=d.csv"}),
    ],
)
def test_specs(spec: str, path: str, options: dict[str, str]) -> None:
    asked = datasets.parse(spec)
    assert (asked.path, dict(asked.options)) == (path, options)


@pytest.mark.parametrize(
    "name", ["what?.csv", "a?usage=all", "who?&why.csv", "a:b.csv", "ä漢.csv", "a?b?usage=all"]
)
def test_a_path_that_exists_is_the_path(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    path = str(tmp_path / name)
    assert datasets.parse(f"fer2013:{path}").path == path
    asked = datasets.parse(f"fer2013:{path}?usage=Training")
    assert (asked.path, asked.options) == (path, {"usage": "Training"})


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path, "clips/happy/a.mp4")
    assert seen(datasets.read("folder:~/clips")) == {"happy/a.mp4": "happiness"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("clips/", ["NAME:PATH", "folder:clips/", "ravdess"]),
        ("imagenet:x", ["unknown dataset layout 'imagenet'", "folder", "afew"]),
        ("folder:", ["names no path"]),
        ("folder:?split=train", ["names no path"]),
        ("folder:x?usage=all", ["no option 'usage'", "split, rate"]),
        ("ckplus:x?classes=9", ["classes=9", "6, 7, 8"]),
        ("ckplus:x?classes", ["needs a value"]),
        ("ckplus:x?classes=6&classes=7", ["given twice"]),
        ("ckplus:x?classes=6&", ["no option ''"]),
        ("folder:x?split=", ["split= has no value"]),
        ("folder:x?rate=0", ["rate=0", "above 0"]),
        ("folder:x?rate=fast", ["rate=fast", "number"]),
        ("folder:x?rate=1e99999999", ["rate=1e99999999", "number"]),
        ("synth:posed?people=0", ["people=0", "1 or more"]),
        ("synth:posed?people=many", ["people=many"]),
        ("synth:posed?people=²", ["people=²"]),
        ("synth:hard", ["synth:hard", "posed, medium, spontaneous, weak"]),
        ("fer2013:x?labels=majority", ["labels=majority", "votes="]),
        ("fer2013:x?classes=8", ["classes=8", "votes="]),
    ],
)
def test_invalid_specs_are_errors(tmp_path: Path, spec: str, words: Sequence[str]) -> None:
    (tmp_path / "x").mkdir()
    spec = spec.replace(":x", f":{tmp_path}/x")
    fails(spec, words=words, error=UsageError)


@pytest.mark.parametrize("name", [name for name in datasets.names() if name != "synth"])
def test_every_layout_reports_what_it_expected(tmp_path: Path, name: str) -> None:
    """Try a missing path, an empty folder, a folder of something else, an archive and a pointer."""
    for path in ("nothing", "empty/", "strange/odd.txt", "file.zip", "pointer.csv"):
        write(tmp_path, path, text=POINTER if path.startswith("pointer") else "x")
        (tmp_path / "nothing").unlink(missing_ok=True)
        with pytest.raises(InputError, match="expected") as caught:
            datasets.read(f"{name}:{tmp_path / path.split('/')[0]}")
        assert path.split("/")[0] in str(caught.value)


def test_options_check_their_values() -> None:
    assert Option("a", "", choices=("a", "B")).check("x", "b") == "B"
    assert Option("1", "", least=1).check("x", "010") == "10"
    for default, least, value in (("1", 2, "1"), ("1", 0, "-1"), ("", None, "")):
        with pytest.raises(UsageError):
            Option(default, "", least=least).check("x", value)


def test_an_inconsistent_dataset_is_an_error() -> None:
    sample = Sample("a", "fear", pixels=OnDisk("a.mp4"))
    with pytest.raises(ValueError, match="same name"):
        Dataset(("fear",), (sample, sample))
    with pytest.raises(ValueError, match="usual order"):
        Dataset(("fear", "anger"), ())
    with pytest.raises(ValueError, match="labels that the dataset does not have"):
        Dataset(("anger",), (sample,))
    with pytest.raises(ValueError, match="labels that the dataset does not have"):
        Dataset(("anger",), (Sample("a", "anger", pixels=OnDisk("a"), votes={"anger": 0.5, "fear": 0.5}),))
    with pytest.raises(ValueError, match="calm"):
        naming.ordered(["calm"])


def test_words_for_emotions() -> None:
    assert set(naming.ORDER) == set(VALENCE_AROUSAL) == set(LABELS.values())
    words = {"Happy": "happiness", " JOY ": "happiness", "Afraid": "fear", "calm": None, "": None}
    assert {word: naming.label_of(word) for word in words} == words


# --- the disk


def test_pictures_are_listed_in_the_order_of_the_video_reader(tmp_path: Path) -> None:
    names = ["01.png", "1a.JPG", "1b.jpg", "2.PNG", "10.png"]
    write(tmp_path, *reversed(names), ".hidden.png", "Thumbs.db", "notes.txt", "b/")
    assert disk.pictures(tmp_path) == source.stills(tmp_path)
    assert [path.name for path in disk.pictures(tmp_path)] == names


def test_debris_is_not_listed(tmp_path: Path) -> None:
    write(tmp_path, "__MACOSX/a.png", "@eaDir/", ".git/", ".DS_Store", "desktop.ini", "b/", "c.txt")
    assert disk.contents(tmp_path) == ([tmp_path / "b"], [tmp_path / "c.txt"])


def test_why_a_file_cannot_be_decoded(tmp_path: Path) -> None:
    write(tmp_path, "good.avi", "texts/a.txt", "clip/1.png", "clip/2.png", "none/")
    write(tmp_path, "pointer.avi", "half/2.png", text=POINTER)
    write(tmp_path, "half/1.png")
    write(tmp_path, "empty.avi", text="")
    write(tmp_path, "long.avi", text=POINTER + "x" * 2000)  # longer than any pointer
    reason = disk.undecodable_reason
    dataset = {name: reason(tmp_path / name) for name in ("good.avi", "clip", "long.avi")}
    assert set(dataset.values()) == {None}
    assert reason(tmp_path / "empty.avi") == "empty"
    assert reason(tmp_path / "gone.avi") == reason(tmp_path / "good.avi" / "x") == "missing"
    assert reason(tmp_path / "texts") == reason(tmp_path / "none") == "without pictures"
    for name in ("pointer.avi", "half"):
        assert "git lfs pull" in (reason(tmp_path / name) or "")


def test_unusable_samples_are_left_out_with_a_remark(tmp_path: Path) -> None:
    write(tmp_path, *(f"happy/{n}.mp4" for n in range(5)), text=POINTER)
    fails(f"folder:{tmp_path}", r"none of the 5 samples .*git lfs pull")
    write(tmp_path, "happy/whole.mp4")
    write(tmp_path, "happy/empty.mp4", text="")
    (tmp_path / "happy" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    dataset = datasets.read(f"folder:{tmp_path}")
    assert seen(dataset) == {"happy/whole.mp4": "happiness"}
    assert remarked(dataset, "left out, a Git LFS pointer ... 5 (happy/0.mp4, happy/1.mp4, happy/2.mp4, ...)")
    assert remarked(dataset, "left out, empty: 1 (happy/empty.mp4)", "left out, missing: 1 (happy/gone.mp4)")


# --- drawn faces


def test_synth() -> None:
    dataset = datasets.read("synth:posed?people=3&per_class=6&classes=8&seed=1")
    assert dataset.labels == naming.ORDER
    assert len(dataset.samples) == 3 * 2 * 8
    assert len({sample.subject for sample in dataset.samples}) == 3
    assert all(sample.pixels.name for sample in dataset.samples)
    again = datasets.read("synth:posed?people=3&per_class=6&classes=8&seed=1")
    other = datasets.read("synth:posed?people=3&per_class=6&classes=8&seed=2")
    drawn = [[sample.pixels.name for sample in each.samples] for each in (dataset, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


# --- the command


def test_layouts_are_listed(call: Call) -> None:
    listed = json.loads(call("datasets", "list", "--json").stdout)["layouts"]
    assert [each["name"] for each in listed] == list(datasets.names())
    assert listed[0]["options"]["split"]["default"] == "all"
    plain = call("datasets", "list").stdout
    assert all(name in plain for name in datasets.names())
    assert "usage=all|Training|PublicTest|PrivateTest" in plain


def test_a_dataset_is_checked(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "clips/train/happy/a.mp4", "clips/test/sad/b/1.png", "clips/test/sad/c.jpg")
    write(tmp_path, "clips/train/happy/empty.mp4", text="")
    done = call("datasets", "check", "folder:clips", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert (facts["layout"], facts["path"], facts["options"]) == ("folder", "clips", {})
    assert (facts["samples"], facts["subjects"], facts["samples_without_subject"]) == (3, 0, 3)
    assert facts["samples_per_label"] == {"happiness": 1, "sadness": 2}
    assert facts["samples_per_split"]["test"] == {"happiness": 0, "sadness": 2}
    assert facts["kinds"] == {"videos": 1, "folders": 1, "pictures": 1}
    assert facts["samples_with_votes"] == 0
    plain = call("datasets", "check", "folder:clips").stdout
    assert "3 samples" in plain
    assert "people: not known" in plain
    assert "- left out, empty: 1 (train/happy/empty.mp4)" in plain
    assert [line.split() for line in plain.splitlines() if "sadness" in line] == [["sadness", "2", "0", "2"]]


def test_people_are_counted(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = "path,label,subject\na.mp4,sad,anna\nb.mp4,sad,bob\nc.mp4,sad,\n"
    (tmp_path / "list.csv").write_text(rows)
    plain = call("datasets", "check", "csv:list.csv").stdout
    assert "people: 2, not known for 1 samples" in plain
    assert [line.split() for line in plain.splitlines() if "sadness" in line] == [["sadness", "3"]]


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("folder:none", 1, "there is no folder none"),
        ("folder:.?a=b", 2, "no option 'a'"),
        ("x:y", 2, "unknown"),
        ("folder:\udcff", 1, "there is no folder"),
    ],
)
def test_an_unusable_dataset(call: Call, spec: str, code: int, words: str) -> None:
    done = call("datasets", "check", spec, "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_that_are_not_text_are_shown(call: Call, tmp_path: Path) -> None:
    write(tmp_path, "clips/sad/a.mp4")
    try:
        write(tmp_path, "clips/sad/\udcff.txt", "clips/sad/\udcfe.mp4")
    except OSError:
        pytest.skip("this file system does not allow such names")
    assert "sad/\ufffd.txt" in call("datasets", "check", "folder:clips").stdout
    assert json.loads(call("datasets", "check", "folder:clips", "--json").stdout)["samples"] == 2


def test_the_command_does_not_import_torch_or_opencv(fervid: Fervid, tmp_path: Path) -> None:
    write(tmp_path, "clips/sad/a.mp4")
    for name in ("torch", "cv2", "dlib", "scipy", "av"):
        write(tmp_path, f"{name}.py", text="raise ImportError('not needed')")
    done = fervid("datasets", "check", "folder:clips", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert (done.returncode, done.stderr) == (0, "")


# --- the documentation


@pytest.mark.parametrize("layout", datasets.layouts(), ids=lambda layout: layout.name)
def test_every_layout_and_option_is_documented(layout: datasets.Layout) -> None:
    text = (ROOT / "docs" / "datasets.md").read_text("utf-8")
    _, heading, rest = text.partition(f"\n## `{layout.name}`")
    assert heading
    section = rest.partition("\n## ")[0]
    for name, option in layout.options.items():
        assert re.search(rf"\| `{name}=[^|]*` ", section.replace("\\|", "/")), name
        for choice in option.choices:
            assert choice in section
