"""`fervid cache`: what fervid keeps on disk, how much of it, and how to be rid of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import Command, command
from fervid.cli.shared.output import show

if TYPE_CHECKING:
    from fervid.cache import Usage

KINDS = ("spans", "footage")


@click.group()
def cache() -> None:
    """Tell what the cache holds, and clear it.

    Face geometry is biometric data in many places: it is deleted when a run succeeds, unless --keep-cache.
    """


@command("info", examples="fervid cache info\nfervid cache info --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cache_info(as_json: bool) -> None:
    """Tell how much the cache holds: results of spans, and faces cut out of datasets."""
    from fervid.cache import default_folder, limit, usage

    folder, most = default_folder(), limit()
    held = usage(folder)
    if as_json:
        import json
        from dataclasses import asdict

        show(json.dumps({"folder": str(folder), **asdict(held), "limit_bytes": most}, indent=2))
        return
    show(str(folder))
    show(
        f"  spans    {size(held.span_bytes):>9}  {held.spans} spans of {held.videos} videos, "
        f"{held.in_use} of them in use; kept up to {size(most)} (FERVID_CACHE_LIMIT)"
    )
    show(f"  footage  {size(held.footage_bytes):>9}  faces cut out of datasets, kept until they are cleared")


@command("clear", examples="fervid cache clear\nfervid cache clear footage")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.pass_obj
def cache_clear(messages: Messages, kind: str | None) -> None:
    """Delete what the cache holds, or one KIND of it; a run under way keeps what it uses."""
    from fervid.cache import clear, default_folder, usage

    folder = default_folder()
    before = usage(folder)
    clear(folder, spans=kind != "footage", footage=kind != "spans")
    after = usage(folder)
    if not messages.quiet:
        messages.say(_told(before, after, kind))


@command("path", examples='du -sh "$(fervid cache path)"')
def cache_path() -> None:
    """Print the cache folder: FERVID_CACHE_DIR, or the system's own place."""
    from fervid.cache import default_folder

    show(str(default_folder()))


def size(count: int) -> str:
    """Bytes for people: 12.3 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _told(before: Usage, after: Usage, kind: str | None) -> str:
    freed = before.span_bytes + before.footage_bytes - after.span_bytes - after.footage_bytes
    told = f"deleted {size(max(0, freed))}"
    if kind != "footage" and after.in_use:
        told += f"; results of {after.in_use} videos stay: a run is using them"
    return told


for _command in (cache_info, cache_clear, cache_path):
    assert isinstance(_command, Command)
    cache.add_command(_command)
