"""What a terminal gets: no text of a file, a server or a name may control it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import Call
from timelines import text_of, timeline_of, video_of

from fervid.cli.shared.messages import Messages, printable
from fervid.export import EDITS, TIMELINES
from fervid.export.editors.edit import plan
from fervid.export.timelines import reading

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e[red]:boom:"


def is_harmless(text: str) -> bool:
    return not set(text.replace("\n", "")) & set(map(chr, [*range(32), *range(127, 160), 0x202E]))


def test_printable_text_has_no_codes_and_loses_nothing_else() -> None:
    text = "\x1b[31mred\r\n\tfünf 五 👩\u200d🔬\xa0\udcff"
    assert printable(text) == "\ufffd[31mred\ufffd\n\tfünf 五 👩\u200d🔬\xa0\\xff"


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """Write a timeline with codes in every text that may have them."""
    timeline = timeline_of(video_of(EVIL), EVIL, None)
    source = replace(timeline.source, reel=EVIL, container=EVIL, codec=EVIL)
    model = replace(timeline.model, name=EVIL, streams=(EVIL,), licences={EVIL: EVIL})
    path = tmp_path / "evil.json"
    path.write_text(text_of(replace(timeline, source=source, model=model)), "utf-8")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "evil.json"],
        ["people", "evil.json"],
        ["people", "evil.json", "--json"],
        ["peaks", "evil.json"],
        ["peaks", "evil.json", "-f", "edl", "-o", "out.edl", "--person", EVIL + "x"],
        ["people", "evil.json", "--merge", EVIL + "=P2"],
        ["report", "evil.json", "-o", EVIL + ".html", "-v"],
        ["export", "evil.json", "-o", f"nowhere{EVIL}/a.srt"],
        ["info", EVIL + ".mp4"],
        ["show", EVIL + ".json", "-vv"],
        ["info", "--" + EVIL],
        ["datasets", "check", f"folder:{EVIL}"],
        ["models", "verify", EVIL],
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.usefixtures("evil")
def test_names_do_not_control_the_terminal(call: Call, arguments: list[str]) -> None:
    done = call(*arguments, "--log-file", "log.txt")
    assert done.stdout + done.stderr
    assert is_harmless(done.stdout) and is_harmless(done.stderr)
    log = Path("log.txt")
    assert not log.exists() or is_harmless(log.read_text("utf-8"))
    assert "unexpected" not in done.stderr


def test_the_summary_does_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from fervid.cli.shared.summary import people_table, table

    messages, timeline = Messages(), timeline_of(video_of(EVIL), EVIL, None)
    messages.console.print(table([timeline]))
    messages.console.print(people_table(timeline))
    messages.say(EVIL)
    printed = capsys.readouterr().err
    assert is_harmless(printed)
    assert "[red]:boom:" in printed


@pytest.mark.parametrize("label", [EVIL, "", "neutral"])
def test_a_label_that_cannot_be_printed_or_repeats_is_damage(call: Call, evil: Path, label: str) -> None:
    text = evil.read_text("utf-8").replace('"happiness"', json.dumps(label))
    evil.write_text(text, "utf-8")
    done = call("show", evil)
    assert done.returncode == 1
    assert "labels of its model repeat, or cannot be printed" in done.stderr


@pytest.mark.parametrize("form", ["eaf", "premiere", "fcpxml"])
def test_names_with_codes_are_xml(form: str, evil: Path) -> None:
    timeline = reading.read(io.StringIO(evil.read_text("utf-8")))
    stream = io.StringIO()
    if form in TIMELINES:
        TIMELINES[form].write(timeline, stream)
    else:
        EDITS[form].write(plan(timeline), stream)
    ElementTree.fromstring(stream.getvalue())
