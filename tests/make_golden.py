"""Make tests/golden/clip.json again: the timeline of the example clip under the untrained model.

    python tests/make_golden.py

Run it when a change of the result is meant, and look at what the difference says.
"""

from __future__ import annotations

import io
from pathlib import Path

from fervid import analysis
from fervid.cache import Store
from fervid.export.timelines import json

CLIP = Path(__file__).resolve().parents[1] / "examples" / "clip.mp4"
GOLDEN = Path(__file__).resolve().parent / "golden" / "clip.json"


def make() -> str:
    """Return the timeline as text; nothing in it depends on when and where it is made."""
    with analysis.start(CLIP, model="untrained", store=Store.temporary()) as run:
        json.write(run.timeline, text := io.StringIO())
    return text.getvalue()


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(make(), encoding="utf-8", newline="\n")
