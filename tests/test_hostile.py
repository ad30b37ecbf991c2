"""Damaged models, caches, journals, lists, annotations and settings: a result, or a FervidError."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import click
import cv2
import media
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_mutated import CHANGES, changed, paths
from timelines import text_of, timeline_of, video_of

from fervid import annotations, cache
from fervid.annotations.pairing import Choice, compare
from fervid.batch import Results, lists
from fervid.cli.main import COMMANDS, fervid
from fervid.cli.shared import defaults
from fervid.errors import FervidError, ModelError, UsageError
from fervid.model import spec as specs
from fervid.people import gallery

UNTRAINED = ROOT / "fervid" / "models" / "untrained"
DEEP = b"[" * 100_000
RULES: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}


def mutants(whole: Any, most: int = 2) -> st.SearchStrategy[Any]:
    """Return copies of a JSON value with one change or more."""

    @st.composite
    def draw_one(draw: st.DrawFn) -> Any:
        value = whole
        for _ in range(draw(st.integers(1, most))):
            path, change = draw(st.sampled_from(list(paths(value)))), draw(st.sampled_from(CHANGES))
            value = changed(value, path, change)
        return value

    return draw_one()


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    """Return copies of a file with bytes changed, cut out, repeated, or replaced by odd text."""
    odd = (
        b"",
        b"\0",
        b"\xff\xfe",
        b'"',
        b"<",
        b"&",
        b"1e999",
        b"-1",
        b"9" * 5000,
        b"\n",
        b"\xed\xa0\x80",
        b"nan",
    )

    @st.composite
    def draw_one(draw: st.DrawFn) -> bytes:
        content = data
        for _ in range(draw(st.integers(1, 3))):
            chance = Random(draw(st.integers(0, 2**32)))
            start = chance.randrange(len(content) + 1)
            stop = min(len(content), start + chance.choice((0, 1, 4, 40, 4000)))
            new = chance.choice((*odd, content[start:stop] * 2, chance.randbytes(4)))
            content = content[:start] + new + content[stop:]
        return content

    return draw_one()


def attempt(function: Callable[[], Any]) -> Any:
    """Return the result of a function; None if it raises a FervidError of one line."""
    try:
        return function()
    except FervidError as error:
        assert str(error).strip()
        return None


# --- models

SPEC = json.loads((UNTRAINED / specs.SPEC).read_text("utf-8"))


def model_in(folder: Path, spec: Any, weights: bytes) -> Path:
    """Write a model into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / specs.WEIGHTS).write_bytes(weights)
    (folder / specs.SPEC).write_text(json.dumps(spec), "utf-8")
    return folder


@settings(max_examples=80, **RULES)
@given(spec=mutants(SPEC))
def test_a_damaged_spec_of_a_model(spec: Any, tmp_path: Path) -> None:
    from fervid.model import weights

    folder = model_in(tmp_path / "model", spec, (UNTRAINED / specs.WEIGHTS).read_bytes())
    weights._load.cache_clear()
    facts = attempt(lambda: specs.info(folder))
    if facts is not None:
        json.dumps(facts.licences, allow_nan=False)
        attempt(lambda: weights.load(folder))


def test_a_spec_that_is_nested_too_deep(tmp_path: Path) -> None:
    folder = model_in(tmp_path / "model", SPEC, b"")
    (folder / specs.SPEC).write_bytes(DEEP)
    with pytest.raises(ModelError, match="damaged"):
        specs.read_spec(folder)


@settings(max_examples=40, **RULES)
@given(content=damaged((UNTRAINED / specs.WEIGHTS).read_bytes()))
def test_damaged_weights_with_the_right_digest(content: bytes, tmp_path: Path) -> None:
    from fervid.model import weights

    spec = {**SPEC, "weights_sha256": hashlib.sha256(content).hexdigest()}
    folder = model_in(tmp_path / "model", spec, content)
    weights._load.cache_clear()
    specs._digest.cache_clear()
    attempt(lambda: weights.load(folder))


# --- batches and caches

RECORD = {
    "input": "/films/a.mp4", "status": "done", "outputs": {"json": "a.json"}, "frames": {"planned": 3},
    "scores": {"anger": 0.5}, "shown": {"anger": 1.0}, "sha256": "0" * 64, "key": "1" * 32,
    "digests": {"json": "2" * 64}, "cached": "3" * 32, "again": True,
}  # fmt: skip
OUTSIDE = ("../kept.txt", "/etc/hostname", "\0", "x" * 5000, "", ".", "..", "a/../../kept.txt")


@settings(max_examples=80, **RULES)
@given(records=st.lists(mutants(RECORD), min_size=1, max_size=3), name=st.sampled_from(OUTSIDE))
def test_a_damaged_journal_and_manifest(records: list[Any], name: str, tmp_path: Path) -> None:
    folder, kept = tmp_path / "results", tmp_path / "kept.txt"
    kept.write_text("kept")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / ".fervid-batch").mkdir(parents=True)
    lines = [*records, {**RECORD, "outputs": {"json": name}}]
    text = "\n".join(map(json.dumps, lines)).encode() + b"\n" + DEEP + b"\n\xff\n"
    (folder / "manifest.jsonl").write_bytes(text)
    (folder / ".fervid-batch" / "journal.jsonl").write_bytes(text)
    results = Results(folder)
    results.open()
    try:
        assert all(cache.is_key(key) for key in results.unfinished)
    finally:
        results.close()
    assert kept.read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.txt", "results"]


def test_a_record_of_a_later_version_is_read(tmp_path: Path) -> None:
    from fervid.batch.records import Record

    record = Record.from_json(
        {**RECORD, "invented_later": [1], "outputs": {"json": "a.json", "new": "a.new"}}
    )
    assert (record.input, record.outputs["new"]) == ("/films/a.mp4", "a.new")


@settings(max_examples=60, **RULES)
@given(data=st.data(), has_digest=st.booleans())
def test_a_damaged_cache_entry_is_missing(data: st.DataObject, has_digest: bool, tmp_path: Path) -> None:
    path = tmp_path / ("0" * 32) / "0-end.span"
    cache.write(path, {"pts": np.arange(3)})
    content = path.read_bytes()
    if has_digest:  # as if another program, or another version, had written it
        body = data.draw(damaged(content[32:]))
        content = hashlib.sha256(body).digest() + body
    else:
        content = data.draw(damaged(content))
    path.write_bytes(content)
    arrays = cache.read(path)
    assert arrays is None or set(arrays) == {"pts"}


# --- texts

TIMELINE = timeline_of(video_of(), "Anna", "Ben")
SHEETS = {
    suffix: text_of(TIMELINE, form).encode("utf-8")
    for suffix, form in ((".eaf", "eaf"), (".TextGrid", "textgrid"), (".csv", "segments"))
}


@pytest.mark.parametrize("suffix", SHEETS)
@settings(max_examples=60, **RULES)
@given(data=st.data())
def test_damaged_annotations(suffix: str, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / f"notes{suffix}"
    path.write_bytes(data.draw(damaged(SHEETS[suffix])))
    sheet = attempt(lambda: annotations.read(str(path)))
    if sheet is not None:
        attempt(lambda: compare(TIMELINE, [sheet], Choice()))


TABLE = b'path,label,"a ""b"""\nfilms/a.mp4,anger,1\n"films/b, c.mp4",fear,2\n'


@settings(max_examples=100, **RULES)
@given(content=damaged(TABLE))
def test_damaged_lists(content: bytes, tmp_path: Path) -> None:
    listed = attempt(lambda: lists.read(content, "list.csv", tmp_path))
    if listed is not None:
        assert len(listed.paths) == len(listed.cells)


TOML = {"model": "untrained", "jobs": 2, "analyze": {"min-face": 0.2, "faces": "all"}, "models": {"list": {}}}


@settings(max_examples=60, **RULES)
@given(value=mutants(TOML))
def test_damaged_settings(value: Any) -> None:
    if not isinstance(value, dict):
        return
    file = defaults.Defaults(Path("fervid.toml"), False, value)
    with click.Context(fervid) as ctx:
        commands = {name: fervid.get_command(ctx, name) for name in COMMANDS}
        known = {name: command for name, command in commands.items() if command is not None}
        attempt(lambda: file.check_names(known))
        for name in ("analyze", "models", "bench", "info"):
            attempt(lambda name=name: file.of(name, known[name], ctx))


@settings(max_examples=60, **RULES)
@given(content=damaged(b'model = "untrained"\njobs = 2\n[analyze]\nmin-face = 0.2\n'))
def test_a_damaged_file_of_settings(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fervid.toml"
    path.write_bytes(content)
    attempt(lambda: defaults._read(path))


def test_settings_that_are_nested_too_deep(tmp_path: Path) -> None:
    path = tmp_path / "fervid.toml"
    path.write_bytes(b"x = " + DEEP)
    with pytest.raises(UsageError, match="cannot be read"):
        defaults._read(path)


@settings(max_examples=60, **RULES)
@given(data=st.data(), suffix=st.sampled_from([".png", ".jpg"]))
def test_damaged_pictures_of_a_gallery(data: st.DataObject, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"Anna{suffix}"
    encoded = cv2.imencode(suffix, media.picture(0))[1].tobytes()
    path.write_bytes(data.draw(damaged(encoded)))
    picture = attempt(lambda: gallery._luma(path))
    assert picture is None or picture.ndim == 2


def test_a_timeline_that_is_nested_too_deep() -> None:
    from fervid.export.timelines import reading

    for text in ('{"x": ' + DEEP.decode(), DEEP.decode()):
        with pytest.raises(FervidError):
            reading.read(io.StringIO(text))
