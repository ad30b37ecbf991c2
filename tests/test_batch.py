"""`fervid batch` from a shell: what is done, what is skipped, and what is in the folder of results."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from conftest import CLIP, Call
from media import pictures
from media import write as write_video
from test_cli import says

from fervid import files
from fervid.batch import Input, Record, work
from fervid.batch import folder as folders
from fervid.export.timelines.json import schema
from fervid.labels import EMOTIONS

SMALL = ("--end", "0.4")
OUT = Path("out")
INPUTS = ["films/a/one.mp4", "films/a/text.mp4", "films/b/two.mp4"]


pytestmark = pytest.mark.usefixtures("no_workers")


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a third of a second without any face."""
    return write_video(tmp_path_factory.mktemp("bare") / "bare.mp4", pictures(8))


@pytest.fixture(autouse=True)
def films(tmp_path: Path, bare: Path) -> Path:
    """Write two clips in folders of their own, a damaged file between them, and files that are not videos."""
    for name in ("a/one.mp4", "b/two.mp4"):
        (tmp_path / "films" / name).parent.mkdir(parents=True)
        shutil.copy(bare, tmp_path / "films" / name)
    (tmp_path / "films" / "a" / "text.mp4").write_text("hello")
    (tmp_path / "films" / "a" / "notes.txt").write_text("hello")
    (tmp_path / "films" / "a" / "._one.mp4").write_text("debris")
    return tmp_path / "films"


def manifest(folder: Path = OUT) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def statuses(call: Call, *arguments: str) -> dict[str, str]:
    """Run a batch, and return what it reports of each input."""
    done = call("batch", *arguments, "-o", "out", "--progress", "json")
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    return {line["input"]: line["status"] for line in lines if line["event"] == "input"}


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


# --- what comes out


def test_one_bad_file_stops_nothing(call: Call, tmp_path: Path) -> None:
    done = call("batch", "films/", "-o", "out")
    assert done.returncode == 3
    assert "films/a/text.mp4 is text, not a video" in done.stderr
    assert "1 of 3 inputs failed: out/manifest.jsonl says why" in done.stderr
    timelines = ["films/a/one.mp4.json", "films/b/two.mp4.json"]
    assert sorted(contents(OUT)) == ["emotions.csv", *timelines, "manifest.jsonl"]
    first, second, third = manifest()
    assert [first["input"], second["input"], third["input"]] == INPUTS
    assert (first["status"], first["error"]) == ("done", None)
    assert first["outputs"] == {"json": "films/a/one.mp4.json"}
    assert first["frames"] == {"planned": 8, "decoded": 8, "with_faces": 0, "undecodable": 0}
    assert (second["status"], second["outputs"], second["frames"]) == ("failed", {}, None)
    jsonschema.validate(json.loads((OUT / "films/a/one.mp4.json").read_bytes()), schema())
    for content in contents(OUT).values():
        assert os.fsencode(tmp_path) not in content


@pytest.mark.parametrize("more", [(), ("--aus", "--phases")])
def test_the_timeline_is_the_one_that_analyze_writes(more: tuple[str, ...], call: Call) -> None:
    shutil.copy(CLIP, "clip.mp4")
    asked = (*SMALL, *more)
    assert call("batch", "clip.mp4", *asked, "-o", "out", "-f", "json,jsonl,csv").returncode == 0
    assert call("analyze", "clip.mp4", *asked, "-j", "1", "-t", "o.json", "--frames", "o.csv").returncode == 0
    assert (b'"units"' in Path("o.json").read_bytes()) == bool(more)
    for suffix in ("json", "csv"):
        assert (OUT / f"clip.mp4.{suffix}").read_bytes() == Path(f"o.{suffix}").read_bytes()
    (line,) = manifest()
    assert sum(line["scores"].values()) == pytest.approx(1, abs=1e-5)
    rows = table(OUT / "emotions.csv")
    assert [row["emotion"] for row in rows] == list(line["scores"])
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("form", list(work.FORMATS))
def test_every_format_is_written(call: Call, form: str) -> None:
    assert call("batch", "films/b", "-o", "out", "-f", form).returncode == 0
    (line,) = manifest()
    size = (OUT / line["outputs"][form]).stat().st_size
    assert (size > 0) == (form != "srt")  # there is no face, and SubRip cannot contain a note


def test_all_failed_is_1_and_quiet_is_silent(call: Call) -> None:
    assert call("batch", "films/a/text.mp4", "-o", "out").returncode == 1
    done = call("-q", "batch", "films/b", "-o", "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_progress_for_programs(call: Call) -> None:
    done = call("batch", "films/", "-o", "out", "--progress", "json")
    assert (done.returncode, done.stdout) == (3, "")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[0] == {"event": "begin", "inputs": 3}
    reported = [line for line in lines if line["event"] == "input"]
    assert [line["input"] for line in reported] == INPUTS
    assert [line["status"] for line in reported] == ["done", "failed", "done"]
    end = lines[-1]
    assert (end["event"], end["done"], end["failed"], end["of"], end["share"]) == ("end", 2, 1, 3, 1.0)


def test_a_dry_run_says_what_would_be_done_and_does_nothing(call: Call, cache: Path) -> None:
    done = call("batch", "films/", "empty*", "-o", "out", "-f", "json,csv", "-n")
    assert done.stdout.splitlines() == [
        *(f"analyze\t{name}\t{name}.json\t{name}.csv" for name in INPUTS),
        "fail\tempty*\tno file matches this pattern",
    ]
    assert done.returncode == 0
    assert not OUT.exists() and list(cache.iterdir()) == []
    call("batch", "films/b", "-o", "out")
    assert call("batch", "films/b", "-o", "out", "-n").stdout.startswith("skip\t")


# --- resuming


def test_what_is_done_is_skipped_by_content_settings_and_model(call: Call, films: Path) -> None:
    def kinds(*more: str) -> list[str]:
        return list(statuses(call, "films/", *more).values())

    assert kinds() == ["done", "failed", "done"]
    before = contents(OUT)
    for path in films.rglob("*.mp4"):
        os.utime(path, (1, 1))
    assert kinds() == ["skipped", "failed", "skipped"]
    assert contents(OUT) == before
    assert kinds("--aus") == ["done", "failed", "done"]
    assert kinds("--aus") == ["skipped", "failed", "skipped"]
    assert kinds("--phases") == ["done", "failed", "done"]
    assert kinds("--overwrite") == ["done", "failed", "done"]
    assert contents(OUT) == before
    assert kinds("--faces", "largest") == ["done", "failed", "done"]
    assert kinds("--faces", "largest", "-f", "json,csv") == ["done", "failed", "done"]
    assert kinds("--faces", "largest") == ["skipped", "failed", "skipped"]
    (OUT / "films/a/one.mp4.json").write_text("{}")
    (OUT / "films/b/two.mp4.csv").unlink()
    assert kinds("--faces", "largest", "-f", "json,csv") == ["done", "failed", "done"]
    write_video(films / "a" / "one.mp4", pictures(9))
    assert kinds("--faces", "largest") == ["done", "failed", "skipped"]


def test_another_model_does_all_again(call: Call) -> None:
    from fervid.model import find

    own = Path(shutil.copytree(find("untrained"), "own"))
    spec = json.loads((own / "model.json").read_text())
    (own / "model.json").write_text(json.dumps(spec | {"temperature": 2.0}))
    assert call("batch", "films/b", "-o", "out").returncode == 0
    assert statuses(call, "films/b", "--model", "own") == {"films/b/two.mp4": "done"}


def test_the_manifest_knows_what_earlier_batches_left(call: Call) -> None:
    call("batch", "films/b", "-o", "out")
    call("batch", "films/a/one.mp4", "-o", "out")
    assert [line["input"] for line in manifest()] == ["films/a/one.mp4", "films/b/two.mp4"]
    assert statuses(call, "films/b") == {"films/b/two.mp4": "skipped"}


def test_formats_are_asked_for_one_after_the_other(call: Call) -> None:
    for form, formats in (("csv", ["csv"]), ("json", ["json", "csv"]), ("csv", ["json", "csv"])):
        assert call("batch", "films/b", "-o", "out", "-f", form).returncode == 0
        assert list(manifest()[0]["outputs"]) == formats
    call("batch", "films/b", "-o", "out", "-f", "csv", "--faces", "largest")
    assert list(manifest()[0]["outputs"]) == ["csv"]  # the other is of other settings
    assert call("batch", "films/b", "-o", "out", "--faces", "largest").returncode == 0


def test_a_file_that_is_none_of_the_folder_s_is_not_replaced(call: Call) -> None:
    target = OUT / "films" / "b" / "two.mp4.json"
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    done = call("batch", "films/b", "-o", "out")
    assert (done.returncode, target.read_text()) == (1, "mine")
    assert "no manifest lists it: use -y" in done.stderr
    assert call("batch", "films/b", "-o", "out", "-y").returncode == 0
    assert target.read_text() != "mine"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]\nnull\n7\n", b'{"input": 7, "status": "done"}\n', b"\xff"]
)
def test_a_damaged_manifest_is_one_that_knows_nothing(call: Call, content: bytes) -> None:
    call("batch", "films/b", "-o", "out")
    before = contents(OUT)
    (OUT / "manifest.jsonl").write_bytes(content)
    assert call("batch", "films/b", "-o", "out", "-y").returncode == 0
    assert contents(OUT) == before


@pytest.mark.parametrize("cached", ["{precious}", "../precious", ".", "", 7, ["0" * 32], "0" * 31])
def test_a_journal_deletes_nothing_outside_the_cache(
    call: Call, films: Path, tmp_path: Path, cache: Path, cached: object
) -> None:
    precious = cache.parent / "precious"
    precious.mkdir(exist_ok=True)
    kept = [precious / "thesis.npy", precious / "thesis.part", cache / "thesis.npy"]
    for path in kept:
        path.touch()
    (tmp_path / "out" / folders.STATE).mkdir(parents=True)
    key = cached.format(precious=precious) if isinstance(cached, str) else cached
    line = json.dumps({"input": "x", "status": "done", "cached": key})
    (tmp_path / "out" / folders.STATE / "journal.jsonl").write_text(f"{line}\n")
    assert call("batch", "films/b", "-o", "out").returncode == 0
    assert all(path.exists() for path in kept)


def test_an_input_in_a_folder_with_the_name_of_the_state_keeps_its_output(
    call: Call, films: Path, tmp_path: Path
) -> None:
    (films / "b").rename(tmp_path / folders.STATE)
    assert call("batch", f"{folders.STATE}/two.mp4", "-o", "out").returncode == 0
    (line,) = manifest(tmp_path / "out")
    assert (tmp_path / "out" / line["outputs"]["json"]).is_file()


def test_a_file_that_appears_during_a_batch_is_not_replaced(
    call: Call, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, target = folders.Results.open, tmp_path / "out" / "films" / "b" / "two.mp4.json"

    def interfere(self: folders.Results) -> None:
        begin(self)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("mine")

    monkeypatch.setattr(folders.Results, "open", interfere)
    done = call("batch", "films/b", "-o", "out")
    assert (done.returncode, target.read_text()) == (1, "mine")
    assert "films/b/two.mp4.json exists already" in done.stderr
    assert call("batch", "films/b", "-o", "out", "-y").returncode == 0
    assert target.read_text() != "mine"


def test_an_output_without_a_line_in_the_journal_is_accepted(call: Call, films: Path, tmp_path: Path) -> None:
    assert call("batch", "films/b", "-o", "out").returncode == 0
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "manifest.jsonl").unlink()
    (tmp_path / "out" / folders.STATE).mkdir()  # as if it had been killed after writing the output
    assert call("batch", "films/b", "-o", "out").returncode == 0
    assert contents(tmp_path / "out") == before


def test_what_an_interrupted_batch_has_done_stays_known(call: Call, films: Path, tmp_path: Path) -> None:
    assert call("batch", "films/a/one.mp4", "-o", "out").returncode == 0
    state = tmp_path / "out" / folders.STATE
    state.mkdir()
    (tmp_path / "out" / "manifest.jsonl").rename(state / "journal.jsonl")
    assert call("batch", "films/b", "-o", "out").returncode == 0
    assert {line["input"] for line in manifest(tmp_path / "out")} == {"films/a/one.mp4", "films/b/two.mp4"}


def test_a_table_of_somebody_else_is_not_replaced(call: Call, films: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "emotions.csv").write_text("mine")
    assert call("batch", "films/b", "-o", "out").returncode == 1
    assert contents(tmp_path / "out") == {"emotions.csv": b"mine"}


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the locks from all file systems."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


def test_without_locks_there_is_a_warning(call: Call, films: Path, no_locks: None) -> None:
    done = call("batch", "films/b", "-o", "out")
    assert done.returncode == 0
    assert "the file system of out has no locks: make sure that no other batch writes there" in done.stderr
    assert "has no locks" not in call("-q", "batch", "films/b", "-o", "out").stderr


def test_two_batches_without_locks_keep_each_other_s_results(tmp_path: Path, no_locks: None) -> None:
    out = tmp_path / "out"

    def save(results: folders.Results, name: str) -> Record:
        item = Input(f"/{name}", name, name)
        text = name.encode()
        return results.save(item, Record(name, "done", key=name), {"json": lambda s: s.write(text)}, "")

    first, second = folders.Results(out), folders.Results(out)
    first.open()
    second.open()
    assert not first.is_locked and not second.is_locked
    done = {"a": save(first, "a"), "b": save(second, "b")}
    first.finish([done["a"]])
    done["c"] = save(second, "c")
    second.finish([done["b"], done["c"]])
    assert {line["input"] for line in manifest(out)} == {"a", "b", "c"}
    assert {name: (out / f"{name}.json").read_text() for name in "abc"} == {name: name for name in "abc"}
    assert sorted(path.name for path in out.iterdir()) == [
        "a.json",
        "b.json",
        "c.json",
        "manifest.jsonl",
    ]


def test_an_input_s_outputs_are_on_the_disk_before_the_journal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, sync, events = folders.Results(tmp_path), os.fsync, []
    results.open()
    names = {"journal": f"{folders.STATE}/journal.jsonl", "output": "a.json", "folder": ""}

    def record(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        events.extend(
            name
            for name, path in names.items()
            if (tmp_path / path).exists() and os.path.samestat(os.stat(tmp_path / path), status)
        )

    monkeypatch.setattr(os, "fsync", record)
    writers: dict[str, folders.Writer] = {"json": lambda stream: stream.write(b"text")}
    results.save(Input("/a", "a", "a"), Record("a", "done"), writers, "")
    assert events == ["folder", "journal"]  # an output is synced before it has its name
    results.close()


def test_what_a_batch_deletes_from_the_cache_is_synced_before_its_journal_goes(
    call: Call, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, seen = os.fsync, []

    def record(descriptor: int) -> None:
        sync(descriptor)
        if os.path.samestat(os.fstat(descriptor), os.stat(cache)):
            seen.append(((Path("out") / folders.STATE / "journal.jsonl").exists(), os.listdir(cache)))

    monkeypatch.setattr(os, "fsync", record)
    assert call("batch", CLIP, *SMALL, "-o", "out").returncode == 0
    assert seen == [(True, [])]


def test_the_score_of_a_clip_is_that_of_its_windows_which_show_something() -> None:
    rest, smile = np.eye(len(EMOTIONS), dtype=np.float32)[
        [EMOTIONS.index("neutral"), EMOTIONS.index("happiness")]
    ]
    faces = ((rest, 0.9), (rest, 0.9), (smile, 0.97))
    scores = np.stack([sure * face + (1 - sure) / len(EMOTIONS) for face, sure in faces]).astype(np.float32)
    straightness = np.array([0, 0.5, 1], np.float32)
    curve = SimpleNamespace(track=1, pts=np.arange(3), scores=scores, straightness=straightness)
    timeline = SimpleNamespace(curves=(curve,), model=SimpleNamespace(labels=EMOTIONS))
    got = work._main_scores(SimpleNamespace(timeline=timeline, rows=lambda: iter(())))  # type: ignore[arg-type]
    assert got is not None and got.sum() == pytest.approx(1)
    weights = (1 - scores[:, EMOTIONS.index("neutral")]) ** [0.2, 0.2 + 1 / 16, 1.2]
    logits = weights @ np.log(scores) / weights.sum()
    np.testing.assert_allclose(got, np.exp(logits) / np.exp(logits).sum(), rtol=1e-4)
    assert EMOTIONS[int(got.argmax())] == "happiness"  # by the plain mean, it would be neutral


# --- labels


def test_known_labels_are_scored(call: Call, bare: Path) -> None:
    for name in ("AFEW/Happy/1.mp4", "AFEW/Angry/2.mp4", "AFEW/Angry/3.mp4", "AFEW/other/4.mp4"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bare if name.endswith("3.mp4") else CLIP, name)
    Path("AFEW/Happy/5.mp4").write_text("hello")
    done = call("batch", "AFEW/", *SMALL, "-o", "out", "--labels", "folder")
    assert done.returncode == 3
    for word in ("confusion", "accuracy", "No face was found in 2 of 4 samples", "1 inputs are in no folder"):
        assert word in done.stderr
    figures = json.loads((OUT / "accuracy.json").read_text())
    said = json.loads((OUT / "manifest.jsonl").read_text().splitlines()[0])
    best = max(said["scores"], key=lambda label: said["scores"][label])
    assert figures["labels"] == ["anger", "happiness"]
    assert (figures["n"], figures["n_no_face"]) == (4, 2)
    shared = {label: said["scores"][label] for label in ("anger", "happiness")}
    assert figures["accuracy"] == 0.25, best  # both clips read alike: one of them is right
    rows = table(OUT / "predictions.csv")
    assert [row["label"] for row in rows] == ["anger", "anger", "happiness", "happiness"]
    assert [row["found"] for row in rows] == ["true", "false", "true", "false"]
    assert rows[0]["predicted"] == max(shared, key=lambda label: shared[label])
    assert float(rows[0]["anger"]) == pytest.approx(shared["anger"] / sum(shared.values()), abs=1e-5)


def test_labels_need_a_folder_with_an_emotion_s_name(call: Call) -> None:
    done = call("batch", "films/", "-o", "out", "--labels", "folder")
    says(done, 1, "no input is in a folder named after an emotion")


def test_a_model_without_any_of_the_labels_is_an_error_before_any_work(call: Call, bare: Path) -> None:
    os.mkdir("contempt")
    shutil.copy(bare, "contempt/1.mp4")
    says(call("batch", "contempt", "-o", "out", "--labels", "folder"), 1, "none of the folders' labels")
    assert not OUT.exists()


# --- lists


def test_a_table_s_columns_pass_through(call: Call) -> None:
    rows = "7,films/b/two.mp4,joy\n8,films/b/two.mp4,\n9,films/a/text.mp4,x\n"
    Path("clips.csv").write_text(f"subject,path,emotion\n{rows}")
    assert call("batch", "--from-file", "clips.csv", "-o", "out").returncode == 3
    rows = table(OUT / "emotions.csv")
    assert list(rows[0])[:4] == ["subject", "emotion", "input", "status"]
    assert "fervid_emotion" in rows[0]
    assert [(row["subject"], row["emotion"], row["status"]) for row in rows[::7]] == [
        ("7", "joy", "done"),
        ("8", "", "done"),
        ("9", "x", "failed"),
    ]
    assert len(manifest()) == 2


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_list_on_standard_input(call: Call, end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("list").write_bytes(end.join([b"films/b/two.mp4", b"films/a", b""]))
    with open("list") as stream:
        monkeypatch.setattr("sys.stdin", stream)
        call("batch", "--from-file", "-", "-o", "out")
    assert [line["input"] for line in manifest()] == [INPUTS[2], *INPUTS[:2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there are no inputs"),
        ("name,subject\nx,7\n", "has no column of paths"),
        ("path,a,a\nx,7,8\n", "two columns with the same name"),
        ("path,subject\nx,7,8\n", "line 2: expected 2 cells and a path, not 3"),
        ("path,subject\n,7\n", "line 2"),
        ('path,subject\n"x,7\n', "unexpected end of data"),
    ],
)
def test_an_invalid_list_is_an_error(call: Call, content: str, message: str) -> None:
    Path("clips.csv").write_text(content)
    done = call("batch", "--from-file", "clips.csv", "-o", "out")
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert not OUT.exists()


def test_a_list_s_paths_count_from_here_or_from_the_list(call: Call, films: Path) -> None:
    (films / "list.csv").write_text("file\nb/two.mp4\n")
    assert call("batch", "--from-file", "films/list.csv", "-o", "out").returncode == 0


# --- the odd cases


def test_no_space_stops_the_batch_and_the_next_one_goes_on(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, count = os.link, iter(range(9))

    def full(source: Path, target: Path) -> None:
        if target.suffix == ".json" and next(count) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    done = call("batch", "films/", "-o", "out")
    assert done.returncode == 1
    assert "no space is left for out/films/b/two.mp4.json: free some" in done.stderr
    monkeypatch.setattr(os, "link", link)
    assert list(statuses(call, "films/").values()) == ["skipped", "failed", "done"]
    call("batch", "films/", "-o", "other")
    assert contents(OUT) == contents(Path("other"))


def test_two_batches_at_once_on_one_folder(call: Call) -> None:
    (OUT / folders.STATE).mkdir(parents=True)
    lock = files.take_lock(OUT / folders.STATE / "lock")
    assert lock is not None
    message = "another batch is writing to out: wait for it, or name another folder"
    says(call("batch", "films/b", "-o", "out"), 1, message)
    lock.release()
    assert call("batch", "films/b", "-o", "out").returncode == 0


def test_an_unwritable_folder(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:  # root may write anywhere, so that access rights would test nothing
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files, "take_lock", fail)
    says(call("batch", "films/b", "-o", "out"), 1, "cannot write to out: Permission denied")


def test_a_folder_that_is_a_file(call: Call) -> None:
    OUT.write_text("mine")
    says(call("batch", "films/b", "-o", "out"), 1, "out is a file: name a folder")
    assert OUT.read_text() == "mine"


def test_one_output_that_cannot_be_written_stops_nothing(call: Call) -> None:
    (OUT / "films").mkdir(parents=True)
    (OUT / "films" / "a").write_text("in the way")
    done = call("batch", "films/", "-o", "out")
    assert done.returncode == 3
    assert [line["status"] for line in manifest()] == ["failed", "failed", "done"]
    assert "cannot write out/films/a/one.mp4.json" in done.stderr


def test_outputs_may_be_on_another_disk(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in a folder of inputs that is the folder of results, too: nothing can be renamed across it."""
    disk = tmp_path / "disk"
    shutil.move(tmp_path / "films" / "b", disk)
    (tmp_path / "films" / "b").symlink_to(disk)

    def is_there(path: str | Path) -> bool:
        return disk in Path(path).parent.resolve().joinpath(Path(path).name).parents

    def stop_at_the_disk(move: Callable[..., None]) -> Callable[..., None]:
        def checked(source: Path, target: Path) -> None:
            if is_there(source) != is_there(target):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            move(source, target)

        return checked

    for name in ("link", "rename", "replace"):
        monkeypatch.setattr(os, name, stop_at_the_disk(getattr(os, name)))
    monkeypatch.setattr(folders, "_disk", lambda folder: is_there(folder / "file"))
    done = call("batch", "films/a/one.mp4", "films/b", "-o", ".")
    assert done.returncode == 0, done.stderr
    assert (disk / "two.mp4.json").is_file()
    assert not list(tmp_path.rglob("*.part"))


def test_an_input_that_vanishes_fails_alone(call: Call, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = folders.Results.open

    def vanish(self: folders.Results) -> None:
        begin(self)
        (films / "a" / "one.mp4").unlink()

    monkeypatch.setattr(folders.Results, "open", vanish)
    assert call("batch", "films/", "-o", "out").returncode == 3
    first, *_ = manifest()
    assert (first["status"], first["error"]) == ("failed", "there is no file films/a/one.mp4: check the name")


def test_names_with_line_ends_and_bytes_that_are_no_text(call: Call, films: Path, tmp_path: Path) -> None:
    odd = [b"films/b/line\nend.mp4", b"films/b/\xff\xfe.mp4", b"films/b/" + b"n" * 250 + b".mp4"]
    for name in odd:
        os.link(films / "b" / "two.mp4", os.path.join(os.fsencode(tmp_path), name))
    done = call("batch", "films/b", "-o", "out")
    assert done.returncode == 0
    inputs = [line["input"] for line in manifest()]
    assert "films/b/line\nend.mp4" in inputs
    assert "films/b/\\xff\\xfe.mp4" in inputs
    there = os.listdir(os.fsencode("out/films/b"))
    assert {b"line\nend.mp4.json", b"\xff\xfe.mp4.json"} <= set(there)
    assert len(there) == 4
    assert '"skipped": 4' in call("batch", "films/b", "-o", "out", "--progress", "json").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name videos or folders"),
        (("-",), "--from-file - reads a list"),
        (("films", "-f", "json,strange"), "should name some of json"),
        (("films", "--no-cache", "--keep-cache"), "cannot be combined"),
        (("films", "--dask-address", "tcp://x:1"), "give --executor dask"),
        (("films/", "--end", "5f"), "give seconds or a timecode"),
        (("films", "--aus", "-f", "srt,npz"), "--aus needs one of the formats json, windows"),
        (("films", "--phases", "-f", "windows,csv"), "--phases needs one of the formats json, segments"),
    ],
)
def test_invalid_options_are_an_error(call: Call, arguments: tuple[str, ...], message: str) -> None:
    says(call("batch", *arguments, "-o", "out"), 2, message)
    assert not OUT.exists()


@pytest.mark.parametrize(("option", "spans"), [((), 0), (("--keep-cache",), 1), (("--no-cache",), 0)])
def test_the_cache_keeps_what_it_shall(call: Call, cache: Path, option: tuple[str, ...], spans: int) -> None:
    assert call("batch", "films/b", "-o", "out", *option).returncode == 0
    assert len(list(cache.rglob("*.span"))) == spans


def test_long_and_short_inputs_come_out_alike_whoever_does_them(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fervid.batch import running

    write_video(Path("long.mp4"), pictures(70, 32, 24), rate=1)
    assert call("batch", "long.mp4", "-o", "alone", "-f", "json,csv,npz", "-j", "1").returncode == 0
    monkeypatch.setattr(running, "WHOLE", 1)
    done = call("batch", "long.mp4", "-o", "together", "-f", "json,csv,npz", "-j", "2")
    assert done.returncode == 0
    assert manifest(Path("alone"))[0]["spans"] == 3
    assert contents(Path("alone")) == contents(Path("together"))
    assert np.load("alone/long.mp4.npz")["pts"].shape == (70,)
