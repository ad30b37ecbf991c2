"""Read a timeline into pandas: segments and curves as tidy tables, and the means of each track.

pip install 'fervid[examples]'
fervid analyze movie.mp4 --timeline out.json
python examples/read_timeline.py out.json [curves.csv]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd


def segments(timeline: dict[str, Any]) -> pd.DataFrame:
    """Return a row per segment: times in seconds, a column per score."""
    table = pd.json_normalize(timeline["segments"])
    return table.rename(columns=lambda name: name.removesuffix(".seconds"))


def curves(timeline: dict[str, Any]) -> pd.DataFrame:
    """Return a row per track and window: time, scores, valence, arousal, intensity and quality."""
    tables = [
        pd.DataFrame({key: value for key, value in track["curve"].items() if key != "scores"})
        .assign(track=track["id"], person=track["person"], **track["curve"]["scores"])
        .set_index(["track", "seconds"])
        for track in timeline["tracks"]
    ]
    return pd.concat(tables) if tables else pd.DataFrame()


def main() -> None:
    timeline = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    table = segments(timeline)
    if table.empty:
        print("no face was seen")
        return
    table["length"] = table["end"] - table["start"]
    print("seconds of each visible expression")
    print(table.pivot_table("length", "track", "emotion", "sum", fill_value=0).round(2).to_string())
    whole = curves(timeline)
    print("\nmean of each track")
    print(whole.groupby("track")[["valence", "arousal", "intensity"]].mean().round(3).to_string())
    if len(sys.argv) > 2:
        whole.to_csv(sys.argv[2])


if __name__ == "__main__":
    main()
