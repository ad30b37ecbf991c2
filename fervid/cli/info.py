"""`fervid info`: describe a video file."""

from __future__ import annotations

from typing import Any

import click

from fervid.cli.shared.inputs import each_input, label
from fervid.cli.shared.messages import Messages
from fervid.cli.shared.options import command
from fervid.cli.shared.output import show


@command("info", examples="fervid info movie.mp4\nfervid info --json movie.mp4")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per input, one per line.")
@click.pass_obj
def info(messages: Messages, inputs: tuple[str, ...], as_json: bool) -> int:
    """Describe each INPUT without decoding it: size, rotation, codec, clock, frames, keyframes.

    INPUT is a video file, a folder of stills, a URL, or - for standard input.
    """

    def describe(name: str, path: str) -> None:
        from fervid.video.planning import properties

        facts = properties(path)
        if as_json:
            import json

            show(json.dumps({"input": label(name), **facts}))
            return
        show(label(name))
        width = max(len(key) for key in facts)
        for key, value in facts.items():
            show(f"  {key.replace('_', ' '):<{width}}  {_plain(value)}")

    return each_input(messages, inputs, describe)


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value) or "none"
    return str(value)
