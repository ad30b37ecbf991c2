"""Write every output of some clips into a folder, so that two versions of fervid can be compared.

    python benchmarks/outputs.py CLIP [CLIP ...] -o before/
    python benchmarks/outputs.py CLIP [CLIP ...] -o after/     # with the other version
    diff -r before/ after/

It runs the commands of the fervid that it imports, one after the other in this process, and writes each one's
exit code into codes.txt. Pictures, cut clips, annotated videos and faces are made of the first clips only.

Some bytes differ between runs of one version: ids in plot.svg, random ids in cut .webm files, and annotated
videos of odd sizes, in which the encoder reads memory that nobody has set.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Format -> the end of the file's name.
TIMELINES = {"jsonl": "jsonl", "csv": "csv", "windows": "windows.csv", "segments": "segments.csv"}
TIMELINES |= {"srt": "srt", "vtt": "vtt", "textgrid": "TextGrid", "eaf": "eaf"}
LISTS = ("table", "json", "csv", "jsonl")
EDITS = {"edl": "edl", "otio": "otio", "markers": "markers.edl", "premiere": "xml", "fcpxml": "fcpxml"}
EDITS |= {"ffmetadata": "ffmeta", "srt": "peaks.srt", "vtt": "peaks.vtt"}
LAID_OUT = ("edl", "otio", "premiere", "fcpxml")  # formats with markers or clips
WITH_PICTURES = 3  # clips for which the slow commands run as well


def run(*arguments: object) -> int | str:
    """Run a command in this process; return its exit code, or the name of its error."""
    from fervid.cli.main import fervid

    try:
        fervid.main([str(argument) for argument in arguments], prog_name="fervid")
    except SystemExit as end:
        return int(end.code or 0)
    except Exception as error:
        return type(error).__name__
    return 0


@contextmanager
def standard_output(path: Path) -> Iterator[None]:
    """Send standard output to a file, by its descriptor: fervid writes to that."""
    kept = os.dup(1)
    with path.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)


def commands(clip: Path, folder: Path, with_pictures: bool) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield every command over a clip, with a name; what the .out ones print is kept."""
    timeline, tracks = folder / "timeline.json", folder / "tracks.npz"
    analyze = ("analyze", clip, "--jobs", 1, "--no-cache", "-t")
    yield "timeline", (*analyze, timeline, "--frames", folder / "frames.csv", "--tracks", tracks)
    for form, suffix in TIMELINES.items():
        yield f"export.{suffix}", ("export", timeline, "-f", form, "-o", folder / f"export.{suffix}")
    for form in ("openface", "frames"):
        yield f"export.{form}", ("export", tracks, "-f", form, "-o", folder / f"export.{form}.csv")
    for form in LISTS:
        yield f"peaks.{form}.out", ("peaks", timeline, "--top", 9, "-f", form, "-o", "-")
    for form, suffix in EDITS.items():
        for layout in ("markers", "clips") if form in LAID_OUT else ("markers",):
            laid_out = ("--as", layout) if form in LAID_OUT else ()
            path = folder / f"{layout}.{suffix}"
            yield path.name, ("peaks", timeline, "--min-gap", 1, *laid_out, "-f", form, "-o", path)
    yield "report", ("report", timeline, "-o", folder / "report.html")
    yield "plot", ("plot", timeline, "-o", folder / "plot.svg")
    yield "show.out", ("show", timeline)
    yield "people.out", ("people", timeline)
    yield "named", ("people", timeline, "--name", "P1=Eileen", "-o", folder / "named.json")
    yield "compare.out", ("compare", timeline, folder / "export.eaf")
    yield "info.out", ("info", clip)
    if with_pictures:
        part = ("--start", 0.5, "--end", 2, "--sample-fps", 12)
        yield "lines", (*analyze, folder / "lines.jsonl", *part)
        yield "open", (*analyze, folder / "open.json", "--landmarks", "open", "--end", 2, "--no-people")
        yield "pictures", ("people", timeline, "--video", clip, "--pictures", folder / "pictures")
        yield "page", ("report", timeline, "--video", clip, "-o", folder / "page.html")
        yield "cut.out", ("peaks", timeline, "--video", clip, "--top", 2, "--cut", folder / "cut")
        draw = ("annotate", clip, "-t", timeline, "--tracks", tracks)
        yield "annotated", (*draw, "-o", folder / "annotated.mp4")
        yield "faces", ("extract", clip, "--end", 2, "--crops", "png", "-o", folder / "faces", "--no-cache")


def together(clips: Sequence[Path], folder: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the commands over several clips, and those that train."""
    yield "dir", ("analyze", *clips, "--end", 1, "--output-dir", folder / "dir", "--jobs", 2)
    yield "batch", ("batch", *clips, "--end", 2, "-f", "json,csv", "-o", folder / "batch", "--jobs", 2)
    drawn, mine = "synth:posed?people={}&per_class={}&seed={}", folder / "mine"
    small = ("--streams", "c3d+phrnn+still", "--size", "c3d.width=4", "--epochs", 2, "--no-cache")
    yield "train", ("train", "--data", drawn.format(4, 4, 0), *small, "-o", mine)
    less = ("--data", drawn.format(2, 2, 3), "--epochs", 1, "--no-cache")
    yield "finetune", ("finetune", "--model", mine, *less, "-o", folder / "better")
    yield "eval.out", ("eval", "--data", drawn.format(2, 2, 1), "--model", mine, "--json", "--no-cache")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all outputs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder, which is replaced")
    given = parser.parse_args(arguments)
    shutil.rmtree(given.output, ignore_errors=True)
    given.output.mkdir(parents=True)
    clips = sorted(given.clips)
    work = [(given.output, together(clips[:WITH_PICTURES], given.output))]
    for index, clip in enumerate(clips):
        folder = given.output / clip.name
        folder.mkdir()
        work.append((folder, commands(clip, folder, index < WITH_PICTURES)))
    for folder, lines in work:
        print(folder, file=sys.stderr)
        with (folder / "codes.txt").open("w", encoding="utf-8") as codes:
            for name, words in lines:
                with standard_output(folder / name if name.endswith(".out") else Path(os.devnull)):
                    code = run("-q", *words)
                codes.write(f"{name}: {code}\n")


if __name__ == "__main__":
    main()
