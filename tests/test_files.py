"""Names as text, whole files, locks."""

from __future__ import annotations

from pathlib import Path

from fervid import files


def test_a_name_in_a_message_is_one_line_that_can_be_printed() -> None:
    assert files.shown(Path("ü 五.mp4")) == "ü 五.mp4"
    assert files.shown("a\x1b[31m\nb\udce9\ud800\u200b") == "a\ufffd[31m\ufffdb\ufffd\ufffd\ufffd"


def test_a_name_in_a_file_loses_no_byte() -> None:
    assert files.encodable("ü\udce9\ud800") == "ü\\xe9\\ud800"


def test_text_on_one_line_has_single_spaces_and_nothing_unseen() -> None:
    assert files.one_line(" a\r\nb\tc\x00d\u200b ") == "a b cd"
    assert files.one_line("b\tc\x00d\u200b ", " ") == "b c d"
