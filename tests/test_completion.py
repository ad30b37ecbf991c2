"""Test completion in the shells themselves: a terminal, the script of `fervid completion`, the Tab key."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import split_arg_string
from conftest import Call, environment

from fervid.cli.main import fervid as program
from fervid.cli.shared.completing import SHELLS

PATIENCE = 120.0  # seconds for one answer of a shell, on a busy machine
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source ./script"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit && compinit -u -D && source ./script"),
    "fish": (["fish", "--no-config", "-i"], "source ./script"),
}

# What is typed, and the arguments that the program gets after a Tab.
TYPED = [
    ("peaks mov", ["peaks", "movie one.mp4"]),
    ("analyze movie\\ one.mp4 -t subfo", ["analyze", "movie one.mp4", "-t", "subfolder/"]),
    ("peaks --emotion happ", ["peaks", "--emotion", "happiness"]),
    ("peaks --emotion happiness,surp", ["peaks", "--emotion", "happiness,surprise"]),
    ("show --model untr", ["show", "--model", "untrained"]),
    ("analyze --detector yu", ["analyze", "--detector", "yunet"]),
    ("analyze --min-f", ["analyze", "--min-face"]),
    ("train --data ferp", ["train", "--data", "ferplus:"]),
    ("train --data folder:subfo", ["train", "--data", "folder:subfolder/"]),
    ("repo", ["report"]),
]


class Shell:
    """A shell in a terminal, in which `fervid` completes words and otherwise prints its arguments."""

    def __init__(self, shell: str, folder: Path) -> None:
        arguments, source = START[shell]
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.environ.clear()
            path = f"{folder / 'bin'}{os.pathsep}{os.defpath}"
            os.environ.update(environment(PATH=path, TERM="dumb", HOME=str(folder), PS1="% "))
            os.execvp(arguments[0], arguments)
        self.text = ""
        self.run(source)

    def read(self, pattern: str, seconds: float = PATIENCE) -> bool:
        """Read until the text has a pattern; return whether it came in time."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                return False
            self.text += os.read(self.terminal, 65536).decode("utf-8", "replace")
        return True

    def run(self, line: str) -> str:
        """Run a line, and return what is printed until the shell has done it."""
        self.text = ""
        os.write(self.terminal, f"{line}\n echo do''ne\n".encode())  # the echo of the line has the quotes
        assert self.read(r"done\r?\n"), self.text
        return self.text

    def complete(self, typed: str) -> list[str]:
        """Type a line and Tab, wait for the answer, and return the arguments that the program got."""
        log = Path("asked")
        log.unlink(missing_ok=True)
        self.text = ""
        os.write(self.terminal, f"fervid {typed}\t".encode())
        end = time.monotonic() + PATIENCE
        while not log.exists() and time.monotonic() < end:
            self.read("$^", 0.1)
        self.read("$^", 1.0)  # the shell writes the rest of the word
        os.write(self.terminal, b"\n")
        assert self.read(r"<<(.*)>>"), self.text
        match = re.findall(r"<<(.*)>>", self.text)
        return str(match[-1]).split("|")

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with files to complete, and a program that reports when it has answered."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "movie one.mp4").touch()
    (tmp_path / "subfolder").mkdir()
    (tmp_path / "bin").mkdir()
    real = f'"{sys.executable}" -m fervid'
    (tmp_path / "bin" / "fervid").write_text(
        "#!/bin/sh\n"
        f'if [ -n "$_FERVID_COMPLETE" ]; then {real} "$@"; touch "{tmp_path}/asked"; exit; fi\n'
        "printf '<<%s' \"$1\"; shift; for word; do printf '|%s' \"$word\"; done; printf '>>\\n'\n"
    )
    (tmp_path / "bin" / "fervid").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_words_are_completed_in_the_shell(folder: Path, call: Call, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    Path("script").write_text(call("completion", shell).stdout)
    opened = Shell(shell, folder)
    try:
        for typed, expected in TYPED:
            words = opened.complete(typed)
            # zsh removes the slash after the name of a folder when Enter follows it.
            assert [word.rstrip("/") for word in words] == [word.rstrip("/") for word in expected]
    finally:
        opened.close()


# --- what the program answers


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[object]:
    def ask(shell: str, words: str) -> list[str]:
        if shell == "fish":
            before, _, word = words.rpartition(" ")
            count = word
        else:
            before, count = words, str(len(split_arg_string(words)) - (not words.endswith(" ")))
        monkeypatch.setenv("COMP_WORDS", before)
        monkeypatch.setenv("COMP_CWORD", count)
        return [
            line.rstrip("\t") for line in SHELLS[shell](program, {}, "fervid", "X").complete().splitlines()
        ]

    yield ask


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("fervid show ", ["file"]),
        ("fervid show mo", ["file\tmo"]),
        ("fervid analyze a.mp4 --timeline ", ["file"]),
        ("fervid peaks a.json --emotion s", ["plain\tsadness", "plain\tsurprise"]),
        ("fervid peaks a.json --emotion fear,an", ["plain\tfear,anger"]),
        ("fervid people --model d", ["plain\tdefault"]),
        ("fervid annotate --detector m", ["plain\tmmod"]),
        ("fervid models verify u", ["plain\tuntrained"]),
        ("fervid datasets check fer", ["plain\tfer2013:", "plain\tferplus:"]),
        ("fervid eval --data folder:s", ["plain\tfolder:subfolder/"]),
        ("fervid eval --data folder:none/s", ["file\tfolder:none/s"]),
        ("fervid train --validation sy", ["plain\tsynth:"]),
        ("fervid completion z", ["plain\tzsh"]),
        ("fervid analyze --nonsens", []),
    ],
)
def test_the_answers(answer: object, shell: str, words: str, answers: list[str]) -> None:
    assert callable(answer)
    assert answer(shell, words) == answers


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("fervid eval --data folder : s", ["plain\tsubfolder/"]),
        ("fervid eval --data folder :", ["plain\tsubfolder/", "plain\tbin/"]),
        ("fervid peaks --emotion = hap", ["plain\thappiness"]),
    ],
)
def test_bash_cuts_words_at_colons_and_equals_signs(answer: object, words: str, answers: list[str]) -> None:
    assert callable(answer)
    assert set(answers) <= set(answer("bash", words))
