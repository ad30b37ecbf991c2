"""Test that the README's commands run, and that every command and option is documented."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import click
import pytest
from conftest import CLIP, ROOT, environment

from fervid.cli.main import fervid as program

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")

# Commands that install, or run these tests: only checked to exist.
NOT_RUN = ("make ", "python3 ", ".venv/")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def lines(kind: str) -> list[str]:
    return [line for block in blocks(kind) for line in block.splitlines() if line.strip()]


def all_commands(
    group: click.Group = program, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command with its words; the program itself has none."""
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


def cut_short(clip: Path, target: Path, seconds: int) -> None:
    """Copy the packets of a clip before a keyframe at `seconds`."""
    with av.open(clip) as source, av.open(target, "w") as copy:
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.dts * packet.time_base < seconds:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)


def test_the_readme_s_commands_run(tmp_path: Path, programs: str) -> None:
    """Run all lines of the `sh` blocks in order, beside copies of the example clip's beginning."""
    for name in ("movie.mp4", "a.mp4", "b.mp4"):
        cut_short(CLIP, tmp_path / name, 4)
    script = lines("sh")
    assert len(script) > 10
    assert not any(line.startswith(NOT_RUN) for line in script)
    done = subprocess.run(
        ["bash", "-eu", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment(PATH=programs),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    named = re.findall(
        r"(?:-t|-o|--timeline|--frames|--tracks|--output-dir|>) (\w[\w./]*)", "\n".join(script)
    )
    assert "out.json" in named
    assert all((tmp_path / name).exists() for name in named)
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "out" / "a.json").read_bytes().replace(
        b'"a.mp4"', b'"movie.mp4"'
    )


def test_the_readme_s_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    script = lines("console")
    assert script
    for line in script:
        assert line.startswith(NOT_RUN), "other commands belong in an sh block"
        if line.startswith("make "):
            assert f"\n{line.split()[1]}:" in makefile


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(path, command, id=" ".join(path)) for path, command in all_commands()]
)
def test_every_command_and_option_is_documented(path: tuple[str, ...], command: click.Command) -> None:
    documented = README + COMMANDS
    assert " ".join(("fervid", *path)) in documented
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            for name in parameter.opts:
                assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", COMMANDS), name


def test_documented_options_exist() -> None:
    known = {name for _, command in all_commands() for parameter in command.params for name in parameter.opts}
    known |= {"-h", "--help", "-vv"}
    code = re.findall(r"`([^`\n]+)`", COMMANDS)
    named = {name for piece in code for name in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", piece)}
    assert named
    assert named <= known


def test_links_exist() -> None:
    targets = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert targets
    assert [link for link in targets if not (ROOT / link).exists()] == []


def test_the_readme_s_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cut_short(CLIP, tmp_path / "movie.mp4", 7)
    (block,) = blocks("python")
    (tmp_path / "script.py").write_text(block)
    runpy.run_path("script.py", run_name="__main__")
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) > 1 and printed.err == ""
