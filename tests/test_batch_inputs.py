"""Which inputs a batch has, and where their outputs go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fervid.batch import FORMATS, InputList, find_inputs
from fervid.batch.stems import RESERVED, Stems
from fervid.files import LONGEST


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def make(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(*arguments: str, results: str = "out") -> list[str]:
    return [item.name for item in find_inputs(arguments, None, results).inputs]


def stems(listed: InputList) -> list[str]:
    return [item.stem for item in listed.inputs]


def test_folders_are_searched_for_videos_in_order() -> None:
    make("f/b.mp4", "f/a.MKV", "f/c/d.webm", "f/notes.txt", "f/.hidden.mp4", "f/.git/x.mp4", "f/c/cover.jpg")
    assert names("f") == ["f/a.MKV", "f/b.mp4", "f/c/d.webm"]
    assert names("f/notes.txt", "f/b.mp4") == ["f/notes.txt", "f/b.mp4"]


def test_a_folder_of_stills_is_one_input() -> None:
    make("f/a/1.png", "f/a/2.png", "f/b.mp4", "f/c/3.jpg")
    assert names("f") == ["f/a", "f/b.mp4", "f/c"]
    assert names("f/a") == ["f/a"]


def test_a_path_is_taken_once_whatever_it_is_called() -> None:
    make("f/a.mp4")
    os.symlink("a.mp4", "f/link.mp4")
    os.symlink("f", "g")
    listed = find_inputs(["f", "f/../f/a.mp4", "g/a.mp4", "f/link.mp4"], None, "out")
    assert [item.name for item in listed.inputs] == ["f/a.mp4"]
    assert listed.repeats == 4


def test_loops_of_links_end() -> None:
    make("f/a.mp4", "f/sub/b.mp4")
    os.symlink("..", "f/sub/up")
    os.symlink("loop", "f/loop")
    os.symlink(".", "f/self")
    os.symlink("nowhere.mp4", "f/dangling.mp4")
    assert names("f") == ["f/a.mp4", "f/dangling.mp4", "f/sub/b.mp4"]


def test_folders_may_be_nested_deeper_than_calls() -> None:
    deep = "f"
    for _ in range(1200):
        os.mkdir(deep)
        deep += "/d"
    try:
        make(f"{deep[:-2]}/a.mp4", "f/b.mp4")
        assert names("f") == ["f/b.mp4", f"{deep[:-2]}/a.mp4"]
        (failed,) = find_inputs(["f/**/*.mp4"], None, "out").inputs
        assert failed.error == "its folders are too deep for a pattern: name the folder"
    finally:
        os.remove(f"{deep[:-2]}/a.mp4")
        while deep := os.path.dirname(deep):
            if deep != "f":
                os.rmdir(deep)


def test_the_folder_of_results_is_not_searched_within_an_input() -> None:
    make("f/a.mp4", "f/out/b.mp4")
    assert names("f", results="f/out") == ["f/a.mp4"]
    assert names("f/out", results="f/out") == ["f/out/b.mp4"]
    assert names("f", results="f") == ["f/a.mp4", "f/out/b.mp4"]


def test_what_is_not_there_is_an_input_that_fails() -> None:
    os.mkdir("empty")
    listed = find_inputs(["gone.mp4", "empty", "*.mkv"], None, "out").inputs
    assert [(item.name, item.error) for item in listed] == [
        ("gone.mp4", ""),  # found out when its turn comes, as for one that vanishes
        ("empty", "the folder contains no videos"),
        ("*.mkv", "no file matches this pattern"),
    ]


def test_a_folder_that_cannot_be_read_is_an_input_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    make("f/a.mp4", "f/secret/b.mp4")
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listed = find_inputs(["f"], None, "out").inputs
    assert [(item.name, item.error) for item in listed] == [
        ("f/a.mp4", ""),
        ("f/secret", "the folder cannot be read: Permission denied"),
    ]


def test_patterns_are_for_shells_that_do_not_expand_them() -> None:
    make("f/b.mp4", "f/a.mp4", "f/[x].mp4")
    assert names("f/?.mp4") == ["f/a.mp4", "f/b.mp4"]
    assert names("f/[x].mp4") == ["f/[x].mp4"]


def test_outputs_mirror_paths_from_here_or_from_what_holds_them_all(tmp_path: Path) -> None:
    make("f/a.mp4", "f/b/a.mp4", "../there/x/a.mp4", "../there/y/a.mp4")
    assert stems(find_inputs(["f"], None, "out")) == ["f/a.mp4", "f/b/a.mp4"]
    assert stems(find_inputs(["f/b"], None, "out")) == ["f/b/a.mp4"]
    assert stems(find_inputs([str(tmp_path / "there" / "x")], None, "out")) == ["x/a.mp4"]
    assert stems(find_inputs(["../there/x", "../there/y/a.mp4"], None, "out")) == ["x/a.mp4", "y/a.mp4"]
    both = stems(find_inputs(["f", "../there/x"], None, "out"))
    assert both == ["here/f/a.mp4", "here/f/b/a.mp4", "there/x/a.mp4"]


def test_no_two_inputs_have_one_output() -> None:
    make("f/a.mp4", "f/A.mp4", "f/a.mp4.2", "f/a.mov", "f/e\u0301.mp4", "f/\u00e9.mp4")
    make("manifest", "EMOTIONS")
    listed = find_inputs(["f", "f/a.mp4.2", "manifest", "EMOTIONS"], None, "out")
    folded = [stem.casefold() for stem in stems(listed)]
    assert len(set(folded)) == len(folded) == 8
    assert not set(folded) & set(RESERVED)


def outputs(listed: InputList) -> list[str]:
    """Return every path that an output of any format may have."""
    return [stem.casefold() + suffix.casefold() for stem in stems(listed) for suffix in FORMATS.values()]


@pytest.mark.parametrize(
    "inputs",
    [
        ("a.mp4", "a.mp4.openface/1.png"),
        ("a.mp4.openface/1.png", "a.mp4"),
        ("a", "a.windows", "a.segments", "a.windows.segments"),
        ("a.mp4", "A.MP4.JSON/b.mp4", "A.MP4.JSON/c.mp4"),
        ("a.mp4.json/b.mp4", "a.mp4"),
        ("a.mp4", "a.mp4.openface.csv/b.mp4"),
        (".fervid-batch/b.mp4", "x/.fervid-batch/c.mp4"),
        ("manifest.jsonl/b.mp4", "emotions.csv/a/b.mp4", "accuracy.json/c.mp4"),
    ],
)
def test_no_output_is_a_folder_or_an_output_of_another_input(inputs: tuple[str, ...]) -> None:
    make(*inputs)
    named = [name.removesuffix("/1.png") for name in inputs]
    listed = find_inputs(named, None, "out")
    paths = outputs(listed)
    folders = {path.rpartition("/")[0] for path in paths} - {""}
    assert len(set(paths)) == len(paths)
    assert not folders & {*paths, "manifest.jsonl", "emotions.csv", "accuracy.json", ".fervid-batch"}
    assert len({os.path.dirname(stem) for stem in stems(listed)}) <= len({os.path.dirname(n) for n in named})


def test_a_name_leaves_room_for_a_suffix() -> None:
    make("f/" + "n" * 251 + ".mp4", "f/" + "n" * 250 + "m.mp4", "f/" + "é" * 120 + ".mp4")
    listed = stems(find_inputs(["f"], None, "out"))
    assert len(set(listed)) == 3
    assert all(len(os.fsencode(stem)) <= LONGEST + len("f/") for stem in listed)


def test_urls_that_differ_in_the_query_are_different_inputs() -> None:
    urls = [f"https://me:password@host/a/b.mp4?key=secret&id={number}" for number in range(3)]
    listed = find_inputs([*urls, "https://host/a/b.mp4", "https://host/a/b.mp4#t=7"], None, "out")
    for values in ({item.name for item in listed.inputs}, set(stems(listed))):
        assert len(values) == 4 and not any("secret" in text or "password" in text for text in values)
    assert listed.inputs[3].name == "https://host/a/b.mp4" and listed.inputs[3].stem == "host/a/b.mp4"
    alone = find_inputs([urls[1]], None, "out").inputs  # in another batch
    assert alone == listed.inputs[1:2]


@pytest.mark.parametrize(
    "query",
    ["X-Amz-Date={}&X-Amz-Signature={}", "Expires={}&Signature={}&Key-Pair-Id=K", "se={}&sig={}&sp=r"],
)
def test_a_url_that_is_signed_again_is_the_same_input(query: str) -> None:
    first, again = (f"https://host/b.mp4?v=3&{query.format(part, part)}" for part in ("1", "2"))
    listed = find_inputs([first, again], None, "out")
    assert len(listed.inputs) == 1 and listed.repeats == 1
    assert listed.inputs[0].name == find_inputs([again], None, "out").inputs[0].name
    assert listed.inputs[0].name != find_inputs(["https://host/b.mp4?v=4"], None, "out").inputs[0].name
    unsigned = find_inputs(["https://host/b.mp4?se=1", "https://host/b.mp4?se=2"], None, "out")
    assert len({item.name for item in unsigned.inputs}) == 2


def test_names_that_are_written_alike_are_different_inputs() -> None:
    urls = ["ftp://me:secret@host/a.mp4", "ftp://you@host/a.mp4", "s3://a/\t", "s3://a/\n"]
    listed = find_inputs(urls, None, "out")
    assert len({item.name for item in listed.inputs}) == 4
    assert not any("secret" in item.name for item in listed.inputs)


def test_many_inputs_with_one_path_take_one_step_each(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    is_taken = Stems._is_taken
    monkeypatch.setattr(Stems, "_is_taken", lambda self, stem: steps.append(stem) or is_taken(self, stem))
    given = Stems()
    assert len({given.take(["host", "a.mp4"]) for _ in range(1000)}) == 1000
    assert len(steps) <= 2 * 1000


class Entry:
    """What scandir would say of a file or folder; making 100,000 of them takes a disk its time."""

    def __init__(self, folder: str, name: str, holds: bool) -> None:
        self.name, self.path, self._holds = name, f"{folder}/{name}", holds

    def is_dir(self) -> bool:
        return self._holds

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        return os.stat_result([0] * 10)


def test_a_hundred_thousand_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(folder: str) -> list[Entry]:
        if folder.endswith("/f"):
            return [Entry(folder, f"{number:02}", True) for number in range(100)]
        return [Entry(folder, f"{number:03}.mp4", False) for number in range(1000)]

    os.mkdir("f")
    monkeypatch.setattr(os, "scandir", scan)
    listed = find_inputs(["f"], None, "out")
    assert len(listed.inputs) == 100_000
    assert listed.inputs[-1].stem == "f/99/999.mp4"
    assert len({item.stem for item in listed.inputs}) == 100_000
