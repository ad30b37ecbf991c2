"""`fervid cache`: show what fervid keeps on disk, and delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import command
from fervid.cli.shared.output import show

if TYPE_CHECKING:
    from fervid.cache import Usage

KINDS = ("spans", "footage")


@click.group()
def cache() -> None:
    """Show what is in the cache, and clear it.

    Face geometry is biometric data in many jurisdictions. A run that succeeds deletes its results from the
    cache, unless you pass --keep-cache.
    """


@command("info", examples="fervid cache info\nfervid cache info --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cache_info(as_json: bool) -> None:
    """Print the size of the cache: results of spans (pieces of videos), and footage (faces of datasets)."""
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
    show(
        f"  footage  {size(held.footage_bytes):>9}  faces cropped from datasets, kept until they are cleared"
    )


@command("clear", examples="fervid cache clear\nfervid cache clear footage")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.pass_obj
def cache_clear(messages: Messages, kind: str | None) -> None:
    """Delete everything in the cache, or one KIND, except what a running command uses.

    spans are results of pieces of videos, footage is faces cropped from datasets.
    """
    from fervid.cache import clear, default_folder, usage

    folder = default_folder()
    before = usage(folder)
    clear(folder, spans=kind != "footage", footage=kind != "spans")
    after = usage(folder)
    if not messages.quiet:
        messages.say(_summary(before, after, kind))


@command("path", examples='du -sh "$(fervid cache path)"')
def cache_path() -> None:
    """Print the cache folder: FERVID_CACHE_DIR, or the system's cache folder."""
    from fervid.cache import default_folder

    show(str(default_folder()))


def size(count: int) -> str:
    """Format a number of bytes: 12.3 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _summary(before: Usage, after: Usage, kind: str | None) -> str:
    freed = before.span_bytes + before.footage_bytes - after.span_bytes - after.footage_bytes
    text = f"deleted {size(max(0, freed))}"
    if kind != "footage" and after.in_use:
        text += f"; kept the results of {after.in_use} videos, which a run is using"
    return text


for _command in (cache_info, cache_clear, cache_path):
    cache.add_command(_command)
