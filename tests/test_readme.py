"""Test that the commands of the README and the docs run, and that every command and option is documented."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import click
import pytest
from conftest import CLIP, ROOT, environment, made_in

from fervid.cli.main import fervid as program

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Pages whose `sh` blocks run, in order, beside movie.mp4, a.mp4 and b.mp4.
RUN = ("README.md", "docs/guide.md", "docs/report.md")
# The README runs with the default model; in the other pages, a tiny one is faster.
MODELS = {"README.md": "default"}
SECONDS = {"movie.mp4": 4, "a.mp4": 1, "b.mp4": 1}  # of the videos that the pages name
# Commands that install, or run these tests: only checked to exist.
NOT_RUN = ("make ", "python3 ", ". .venv/", ".venv/", "pipx ", "uvx ", "docker ")


def blocks(text: str, kind: str = "[a-z]*") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def lines(text: str, kind: str) -> list[str]:
    return [line for block in blocks(text, kind) for line in block.splitlines() if line.strip()]


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


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the videos that the pages name, and the timelines of one."""
    folder = tmp_path_factory.mktemp("material")
    for name, seconds in SECONDS.items():
        cut_short(CLIP, folder / name, seconds)
    for model in ("default", "untrained"):
        made_in(folder, "analyze", "movie.mp4", "--model", model, "-t", f"{model}.json")
    return folder


@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run(page: str, material: Path, tmp_path: Path, programs: str) -> None:
    script = lines((ROOT / page).read_text("utf-8"), "sh")
    assert script
    assert not any(line.startswith(NOT_RUN) for line in script)
    makes_timeline = any(re.search(r"-(t|-timeline) out\.json", line) for line in script)
    model = MODELS.get(page, "untrained")
    timeline = (material / f"{model}.json").read_bytes()
    for name in SECONDS:
        (tmp_path / name).write_bytes((material / name).read_bytes())
    if not makes_timeline:
        (tmp_path / "out.json").write_bytes(timeline)
    # Pages analyze movie.mp4 again and again.
    (tmp_path / "fervid.toml").write_text("keep-cache = true\n")
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment(PATH=programs, FERVID_MODEL=model),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    named = re.findall(
        r"(?:-t|-o|--timeline|--frames|--tracks|--output-dir|>) (\w[\w./]*)", "\n".join(script)
    )
    assert named
    assert all((tmp_path / name).exists() for name in named)
    expected = json.loads(timeline)
    if 'fervid people out.json --name "P1=Anna" -y' in "\n".join(script):
        expected["people"][0]["name"] = "Anna"
    assert json.loads((tmp_path / "out.json").read_bytes()) == expected
    if page == "README.md":
        (shown,) = blocks(README, "text")
        for line in (shown.splitlines()[0], shown.splitlines()[-1]):  # the headings, and what was written
            assert line.split() in [printed.split() for printed in done.stderr.splitlines()]


def test_sh_blocks_of_other_pages_would_not_run() -> None:
    """A command that cannot run in the test is in a console block."""
    with_scripts = {
        page.relative_to(ROOT).as_posix() for page in PAGES if blocks(page.read_text("utf-8"), "sh")
    }
    assert with_scripts == set(RUN)


def calls(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of fervid in the blocks of a page."""
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|<>;()")
            words.whitespace_split = True
            command: list[str] = []
            try:
                tokens = [*words, ";"]
            except ValueError:  # prose or code with an apostrophe
                continue
            for word in tokens:
                if set(word) <= set("|<>;()"):
                    if command[:1] == ["fervid"]:
                        yield command[1:]
                    command = []
                else:
                    command.append(word)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_calls_of_a_page_have_valid_options(page: Path) -> None:
    for words in calls(page.read_text("utf-8")):
        arguments = [word for word in words if word != "..."]
        if Path(arguments[0]).suffix:
            arguments = ["analyze", *arguments]
        group: click.Group = program
        context = click.Context(program)
        while isinstance(command := group.get_command(context, arguments[0]), click.Group):
            group, arguments = command, arguments[1:]
        assert command is not None, words
        command.make_context(arguments[0], arguments[1:], parent=context)


def test_a_call_with_a_wrong_option_is_seen() -> None:
    (arguments,) = calls("```console\ncat x | fervid analyze - \\\n  --nonsense 'a b' > y  # why\n```\n")
    assert arguments == ["analyze", "-", "--nonsense", "a b"]
    command = program.get_command(click.Context(program), "analyze")
    assert command is not None
    with pytest.raises(click.UsageError, match="nonsense"):
        command.make_context("analyze", arguments[1:])


def test_the_make_targets_of_the_pages_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    script = lines(README, "console") + lines((ROOT / "docs" / "install.md").read_text("utf-8"), "console")
    assert any(line.startswith("make ") for line in script)
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for link, _, anchor in re.findall(r"\]\(([^)#]*)(#([^)]*))?\)", text):
        if "://" in link:
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), flags=re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/\w+\.md)", README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages - linked == {"docs/landmarks.md"}  # of interest to readers of other pages


def test_the_guide_s_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cut_short(CLIP, tmp_path / "movie.mp4", 7)
    (block,) = blocks((ROOT / "docs" / "guide.md").read_text("utf-8"), "python")
    (tmp_path / "script.py").write_text(block)
    runpy.run_path("script.py", run_name="__main__")
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) > 1 and printed.err == ""
