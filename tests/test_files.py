"""Names as text, and atomic writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fervid import files


def test_a_name_in_a_message_is_one_printable_line() -> None:
    assert files.shown(Path("ü 五.mp4")) == "ü 五.mp4"
    assert files.shown("a\x1b[31m\nb\udce9\ud800\u200b") == "a\ufffd[31m\ufffdb\ufffd\ufffd\ufffd"


def test_bytes_of_a_name_that_are_not_utf_8_are_escaped() -> None:
    assert files.encodable("ü\udce9\ud800") == "ü\\xe9\\ud800"


def test_text_on_one_line_has_single_spaces_and_is_printable() -> None:
    assert files.one_line(" a\r\nb\tc\x00d\u200b ") == "a b cd"
    assert files.one_line("b\tc\x00d\u200b ", " ") == "b c d"


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with files.whole(target) as stream:
        stream.write(b"new")
        stream.flush()
        assert not target.exists()
    files.write(tmp_path / "b.txt", "ü\n")
    assert target.read_bytes() == b"new" and (tmp_path / "b.txt").read_bytes() == "ü\n".encode()
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.whole(target) as stream:
        stream.write(b"new")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]


def test_a_file_is_written_in_the_given_folder(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with files.whole(tmp_path / "a.json", within=tmp_path / "state"):
        assert os.listdir(tmp_path) == ["state"] and len(os.listdir(tmp_path / "state")) == 1
    assert os.listdir(tmp_path / "state") == []


def test_errors_of_the_file_are_explained_and_those_of_the_block_are_not(tmp_path: Path) -> None:
    def explain(error: OSError) -> Exception:
        return RuntimeError(f"cannot write: {error.strerror}")

    missing, folder = tmp_path / "missing" / "a", tmp_path / "a"
    folder.mkdir()
    for path in (missing, folder):
        with pytest.raises(RuntimeError, match="cannot write: "), files.whole(path, explain):
            pass
    with pytest.raises(PermissionError), files.whole(tmp_path / "b", explain):
        raise PermissionError
    assert os.listdir(tmp_path) == ["a"]
