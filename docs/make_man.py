"""Write a man page of each command, and a Markdown reference of all, from the commands themselves.

    python docs/make_man.py [FOLDER]        man/ by default; then man -l man/fervid-peaks.1

Everything in the pages is what `fervid COMMAND --help` prints.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from fervid import __version__
from fervid.cli.main import EPILOG, SECTIONS, fervid
from fervid.cli.shared.options import Command

Records = list[tuple[str, str]]


def pages() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield each command with its whole name and its context, the program first."""

    def below(
        command: click.Command, context: click.Context
    ) -> Iterator[tuple[str, click.Command, click.Context]]:
        yield context.command_path, command, context
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                part = command.get_command(context, name)
                assert part is not None
                yield from below(part, click.Context(part, info_name=name, parent=context))

    yield from below(fervid, click.Context(fervid, info_name="fervid", **fervid.context_settings))


def blocks(command: click.Command, context: click.Context) -> dict[str, Records]:
    """Return the options of a command by block, as its help has them."""
    if isinstance(command, Command):
        return command.option_blocks(context)
    records = [param.get_help_record(context) for param in command.get_params(context)]
    return {"Options": [record for record in records if record is not None]}


def paragraphs(command: click.Command) -> list[str]:
    """Return the paragraphs of a command's description."""
    return [" ".join(part.split()) for part in (command.help or "").replace("\b", "").split("\n\n")]


def summary(command: click.Command) -> str:
    """Return the first sentence of a command's description."""
    return paragraphs(command)[0].split(". ")[0].rstrip(".")


def examples(command: click.Command) -> list[str]:
    """Return the command lines of a command's examples."""
    text = EPILOG if command is fervid else command.epilog or ""
    return [
        line.strip() for line in text.splitlines() if line.strip().startswith(("fervid ", "cat ", "find "))
    ]


def subcommands(name: str, command: click.Command, context: click.Context) -> dict[str, Records]:
    """Return the commands of a group, in the sections of the program's help."""
    if command is fervid:
        return {title: list(commands.items()) for title, commands in SECTIONS.items()}
    if not isinstance(command, click.Group):
        return {}
    return {"Commands": [(part, summary(command.commands[part])) for part in command.list_commands(context)]}


def usage(command: click.Command, context: click.Context) -> str:
    """Return the arguments of a command, as its help has them."""
    return " ".join(command.collect_usage_pieces(context))


def roff(text: str) -> str:
    """Return text in which roff obeys nothing."""
    return re.sub(r"^([.'])", r"\\&\1", text.replace("\\", r"\e").replace("-", r"\-"), flags=re.MULTILINE)


def man(name: str, command: click.Command, context: click.Context) -> str:
    """Return the man page of a command."""
    title = name.replace(" ", "-")
    lines = [f'.TH "{roff(title.upper())}" "1" "" "fervid {__version__}" "fervid"']
    lines += [".SH NAME", f"{roff(title)} \\- {roff(summary(command))}"]
    lines += [".SH SYNOPSIS", f".B {roff(name)}", roff(usage(command, context)), ".SH DESCRIPTION"]
    for paragraph in paragraphs(command):
        lines += [".PP", roff(paragraph)]
    for heading, records in (subcommands(name, command, context) | blocks(command, context)).items():
        if records:
            lines.append(f".SH {roff(heading.upper())}")
            for term, text in records:
                lines += [".TP", f".B {roff(term)}", roff(" ".join(text.split()))]
    if examples(command):
        lines += [".SH EXAMPLES", ".nf", *map(roff, examples(command)), ".fi"]
    others = [other for other, _, _ in pages() if other.count(" ") == 1] if name == "fervid" else ["fervid"]
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{roff(other.replace(' ', '-'))}\\fR(1)" for other in others)]
    return "\n".join(lines) + "\n"


def markdown() -> str:
    """Return the reference of all commands."""
    lines = ["# Reference", "", f"The help of every command of fervid {__version__}.", ""]
    for name, command, context in pages():
        lines += [f"## {name}", "", f"`{name} {usage(command, context)}`", ""]
        for paragraph in paragraphs(command):
            lines += [paragraph.replace("*", r"\*").replace("<", r"\<"), ""]
        for heading, records in (subcommands(name, command, context) | blocks(command, context)).items():
            if records:
                lines += [f"**{heading}**", "", "| | |", "|---|---|"]
                lines += [f"| `{cell(term)}` | {cell(' '.join(text.split()))} |" for term, text in records]
                lines.append("")
        if examples(command):
            lines += ["```console", *examples(command), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", r"\|")


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "man")
    folder.mkdir(exist_ok=True)
    for name, command, context in pages():
        path = folder / f"{name.replace(' ', '-')}.1"
        path.write_text(man(name, command, context), encoding="utf-8")
    (folder / "reference.md").write_text(markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
