"""Make docs/show.svg again: what `fervid show` prints about the example clip, as a picture.

    python examples/make_picture.py [-o docs/show.svg]

The picture loads no font from the network.
"""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

from rich.console import Console

from fervid.analysis import analyze
from fervid.cli.show import show_on

HERE = Path(__file__).parent
COLUMNS, PEAKS = 84, 4

# rich's own format names a font in the network.
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix, .{unique_id}-title {{
    font: {char_height}px/{line_height}px Menlo, Consolas, "DejaVu Sans Mono", monospace;
    white-space: pre;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def picture(clip: Path, model: str) -> str:
    """Return the timeline of a clip as the terminal shows it, in SVG."""
    console = Console(
        file=io.StringIO(),
        width=COLUMNS,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )
    show_on(console, analyze(clip, model=model), PEAKS)
    svg = console.export_svg(title="fervid show clip.json", code_format=FORMAT, unique_id="show")
    return "\n".join(line.strip() for line in svg.splitlines() if line.strip()) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the picture of the README.")
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "docs" / "show.svg")
    target = parser.parse_args().output
    target.write_text(picture(HERE / "clip.mp4", os.environ.get("FERVID_MODEL", "default")), encoding="utf-8")
