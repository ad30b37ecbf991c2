"""Defaults of options from fervid.toml, in the current folder and in the user's configuration folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from fervid.errors import UsageError
from fervid.files import display_name, read_text

NAME = "fervid.toml"
MOST_BYTES = 1 << 20  # of it
# A file could come with a downloaded folder: none may choose what is written or replaced, ...
NEVER = {"overwrite", "log_file", "resume", "help"}
PATHS = ("FILE", "DIR", "LIST")  # ... or name a path, by the beginning of the option's metavar ...
# ... and the file of the current folder may not send the work to other machines.
ONLY_USER = {"executor", "dask_address"}


@dataclass(frozen=True)
class Defaults:
    """The content of a file: values for every command that has the option, and tables of single commands."""

    path: Path
    is_user: bool
    values: Mapping[str, Any]

    def of(self, name: str, command: click.Command, ctx: click.Context) -> dict[str, Any]:
        """Return the defaults of a command as click takes them; of a group, those of its commands."""
        table = self.values.get(name, {})
        if not isinstance(table, dict):
            raise UsageError(f"{display_name(self.path)}: {name} is a command: write [{name}]")
        common = {key: value for key, value in self.values.items() if not isinstance(value, dict)}
        return self._of(f"[{name}] ", command, ctx, table, common)

    def _of(
        self,
        where: str,
        command: click.Command,
        ctx: click.Context,
        table: Mapping[str, Any],
        common: Mapping[str, Any],
    ) -> dict[str, Any]:
        if isinstance(command, click.Group):
            for key in table.keys() - command.commands.keys():
                raise self._unknown(f"{where}{key}", key, command.commands)
            for key in table:
                if not isinstance(table[key], dict):
                    raise UsageError(f"{display_name(self.path)}: {where}{key} is a command: write a table")
            return {
                key: self._of(f"{where}{key} ", part, ctx, table.get(key, {}), common)
                for key, part in command.commands.items()
            }
        known = options_of(command)
        for key in table:
            if key.replace("_", "-") not in known:
                raise self._unknown(f"{where}{key}", key, known)
        values = {key: value for key, value in common.items() if key.replace("_", "-") in known} | dict(table)
        taken = {}
        for key, value in values.items():
            param = known[key.replace("_", "-")]
            self._check(param, key)
            try:
                text = as_typed(param, value)
                param.type_cast_value(ctx, text)
            except click.BadParameter as error:
                raise UsageError(f"{display_name(self.path)}: {key} = {value!r}: {error.message}") from error
            if text is not None:
                taken[str(param.name)] = text
        return taken

    def _check(self, param: click.Option, key: str) -> None:
        """Raise UsageError for an option that this file may not set."""
        if param.name in NEVER or (param.metavar or "").startswith(PATHS):
            raise UsageError(
                f"{display_name(self.path)}: {key} cannot be set in a file: give it on the command line"
            )
        if param.name in ONLY_USER and not self.is_user:
            raise UsageError(f"{display_name(self.path)}: {key} can be set only in {user_file()}")

    def _unknown(self, where: str, key: str, known: Mapping[str, Any]) -> UsageError:
        close = get_close_matches(key.replace("_", "-"), known, 1)
        hint = f": did you mean {close[0]}?" if close else ""
        return UsageError(f"{display_name(self.path)}: there is no option or command {where}{hint}")

    def check_names(self, commands: Mapping[str, click.Command]) -> None:
        """Raise UsageError for a key that is neither a command nor an option of any."""
        options = {name for command in commands.values() for name in every_option(command)}
        for key, value in self.values.items():
            known: Mapping[str, Any] = commands if isinstance(value, dict) else dict.fromkeys(options)
            if key.replace("_", "-") not in known:
                raise self._unknown(key, key, known)


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command by their long names, without dashes in front."""
    return {
        name.removeprefix("--"): param
        for param in command.params
        if isinstance(param, click.Option)
        for name in param.opts
        if name.startswith("--")
    }


def every_option(command: click.Command) -> Iterator[str]:
    """Yield the names of the options of a command, or of the commands of a group."""
    if isinstance(command, click.Group):
        for part in command.commands.values():
            yield from every_option(part)
    yield from options_of(command)


def as_typed(param: click.Option, value: Any) -> Any:
    """Return a value of a file as the command line would give it; None leaves the option alone."""
    if param.is_flag and not param.count:
        if not isinstance(value, bool):
            raise click.BadParameter("write true or false")
        flag = param.flag_value if isinstance(param.flag_value, str) else True  # click may leave it unset
        return flag if value else None
    if isinstance(value, bool | dict) or (isinstance(value, list) and not param.multiple):
        raise click.BadParameter("write a number or a text")
    if param.multiple:
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    return str(value)


def user_file() -> Path:
    """Return the path of the file in the user's configuration folder."""
    return Path(click.get_app_dir("fervid")) / NAME


def files() -> Iterator[Defaults]:
    """Yield the files that exist, the user's first; a later one wins."""
    for path, is_user in ((user_file(), True), (Path(NAME), False)):
        if os.path.isfile(path):
            yield Defaults(path, is_user, _read(path))


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(read_text(path, MOST_BYTES))
    except RecursionError as error:
        raise UsageError(f"{display_name(path)} cannot be read: it is nested too deep") from error
    except OSError as error:
        raise UsageError(f"{display_name(path)} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{display_name(path)} cannot be read: {error}") from error


def defaults_of(name: str, command: click.Command, ctx: click.Context) -> dict[str, Any]:
    """Return the defaults of a command from all files."""
    merged: dict[str, Any] = {}
    for file in files():
        own = file.of(name, command, ctx)
        if isinstance(command, click.Group):
            own = {key: merged.get(key, {}) | part for key, part in own.items()}
        merged |= own
    return merged
