"""Write every output of some clips into a folder, or compare those of two versions of fervid byte for byte.

    python benchmarks/outputs.py CLIP [CLIP ...] -o FOLDER                         # of the fervid it imports
    python benchmarks/outputs.py CLIP [CLIP ...] -o FOLDER --versions BEFORE AFTER  # of two checkouts

It runs every command one after the other, in one process per version, with every format that the version has,
and writes each exit code into codes.txt. Pictures, cut clips, annotated videos and faces are made of the
first clips only. With --versions it then lists the files that differ, and exits with 1 if any does.

Some bytes differ between runs of one version: give one checkout twice to see which. These are ids in
plot.svg, random ids in cut .webm files, and in old versions annotated videos of odd sizes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import click

LAID_OUT = ("edl", "otio", "premiere", "fcpxml")  # formats with markers or clips
SHOWN = ("table", "json", "csv", "jsonl")  # formats of peaks that are lists, highest first
OF_TRACKS = ("openface", "frames")  # formats of the archive of every frame
WITH_PICTURES = 3  # clips for which the slow commands run as well

Lines = Iterator[tuple[str, tuple[object, ...]]]


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


def has_command(name: str) -> bool:
    from fervid.cli.main import fervid

    return name in fervid.list_commands(click.Context(fervid))


def formats(name: str) -> list[str]:
    """Return the formats that a command of this version writes."""
    from fervid.cli.main import fervid

    command = fervid.get_command(click.Context(fervid), name)
    assert command is not None
    (option,) = [option for option in command.params if "-f" in option.opts]
    assert isinstance(option.type, click.Choice)
    return list(option.type.choices)


def commands(clip: Path, folder: Path, end: tuple[object, ...], with_pictures: bool) -> Lines:
    """Yield every command over a clip, with a name; what the .out ones print is kept."""
    timeline, tracks = folder / "timeline.json", folder / "tracks.npz"
    analyze = ("analyze", clip, "--jobs", 1, "--no-cache", "-t")
    yield "timeline", (*analyze, timeline, *end, "--frames", folder / "frames.csv", "--tracks", tracks)
    for form in formats("export"):
        source = tracks if form in OF_TRACKS else timeline
        yield f"export.{form}", ("export", source, "-f", form, "-o", folder / f"export-{form}")
    for form in formats("peaks"):
        if form in SHOWN:
            yield f"peaks.{form}.out", ("peaks", timeline, "--top", 9, "-f", form, "-o", "-")
            continue
        for layout in ("markers", "clips") if form in LAID_OUT else ("",):
            laid_out = ("--as", layout) if layout else ()
            path = folder / f"peaks-{form}{'-' if layout else ''}{layout}"
            yield path.name, ("peaks", timeline, "--min-gap", 1, *laid_out, "-f", form, "-o", path)
    yield "report", ("report", timeline, "-o", folder / "report.html")
    for suffix in ("svg", "png", "pdf"):
        yield f"plot.{suffix}", ("plot", timeline, "-o", folder / f"plot.{suffix}")
    yield "show.out", ("show", timeline)
    yield "people.out", ("people", timeline)
    yield "people.json.out", ("people", timeline, "--json")
    yield "named", ("people", timeline, "--name", "P1=Eileen", "-o", folder / "named.json")
    if "eaf" in formats("export"):
        yield "elan", ("export", timeline, "-o", folder / "timeline.eaf")
        yield "compare.out", ("compare", timeline, folder / "timeline.eaf")
    yield "info.out", ("info", clip)
    if with_pictures:
        yield from pictures(clip, folder, analyze, end)


def pictures(clip: Path, folder: Path, analyze: tuple[object, ...], end: tuple[object, ...]) -> Lines:
    """Yield the slow commands over a clip."""
    timeline, tracks = folder / "timeline.json", folder / "tracks.npz"
    yield "lines", (*analyze, folder / "lines.jsonl", "--start", 0.5, "--end", 2, "--sample-fps", 12)
    yield "open", (*analyze, folder / "open.json", "--landmarks", "open", "--end", 2, "--no-people")
    yield "pictures", ("people", timeline, "--video", clip, "--pictures", folder / "pictures")
    yield "page", ("report", timeline, "--video", clip, "-o", folder / "page.html")
    yield "cut.out", ("peaks", timeline, "--video", clip, "--top", 2, "--cut", folder / "cut")
    draw = ("annotate", clip, "-t", timeline, "--tracks", tracks)
    yield "annotated", (*draw, "-o", folder / "annotated.mp4")
    yield "faces", ("extract", clip, "--end", 2, "--crops", "png", "-o", folder / "faces", "--no-cache")
    if has_command("explain"):
        yield "explain.out", ("explain", clip, "--at", 1, "--json", "--no-cache")


def together(clips: Sequence[Path], folder: Path) -> Lines:
    """Yield the commands over several clips, and those that train."""
    yield "schema.out", ("schema",)
    yield "dir", ("analyze", *clips, "--end", 1, "--output-dir", folder / "dir", "--jobs", 2)
    yield "batch", ("batch", *clips, "--end", 2, "-f", "json,csv", "-o", folder / "batch", "--jobs", 2)
    drawn, mine = "synth:posed?people={}&per_class={}&seed={}", folder / "mine"
    small = ("--streams", "c3d+phrnn+still", "--size", "c3d.width=4", "--epochs", 2, "--no-cache")
    yield "train", ("train", "--data", drawn.format(4, 4, 0), *small, "-o", mine)
    less = ("--data", drawn.format(2, 2, 3), "--epochs", 1, "--no-cache")
    yield "finetune", ("finetune", "--model", mine, *less, "-o", folder / "better")
    yield "eval.out", ("eval", "--data", drawn.format(2, 2, 1), "--model", mine, "--json", "--no-cache")


def write_all(clips: Sequence[Path], folder: Path, seconds: float | None) -> None:
    """Write all outputs into a new folder."""
    folder.mkdir(parents=True)
    end = () if seconds is None else ("--end", seconds)
    work = [(folder, together(clips[:WITH_PICTURES], folder))]
    for index, clip in enumerate(clips):
        inside = folder / clip.name
        inside.mkdir()
        work.append((inside, commands(clip, inside, end, index < WITH_PICTURES)))
    for inside, lines in work:
        print(inside, file=sys.stderr)
        with (inside / "codes.txt").open("w", encoding="utf-8") as codes:
            for name, words in lines:
                with standard_output(inside / name if name.endswith(".out") else Path(os.devnull)):
                    code = run("-q", *words)
                codes.write(f"{name}: {code}\n")
                codes.flush()


class Comparison(NamedTuple):
    """The files of two folders, by their paths in the folder."""

    same: list[Path]
    different: list[Path]
    only_before: list[Path]
    only_after: list[Path]


def compare(before: Path, after: Path) -> Comparison:
    """Compare the bytes of all files of two folders."""
    first, second = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        for folder in (before, after)
    )
    same, different = [], []
    for path in sorted(first & second):
        is_same = (before / path).read_bytes() == (after / path).read_bytes()
        (same if is_same else different).append(path)
    return Comparison(same, different, sorted(first - second), sorted(second - first))


def first_difference(before: Path, after: Path) -> str:
    """Return the first lines of two files that differ, or that they are not text."""
    try:
        texts = before.read_text("utf-8"), after.read_text("utf-8")
    except UnicodeDecodeError:
        return f"{before.stat().st_size} and {after.stat().st_size} bytes that are no text"
    for number, (old, new) in enumerate(zip_longest(*(text.split("\n") for text in texts)), 1):
        if old != new:
            pairs = enumerate(zip_longest(old or "", new or ""))
            start = next((index for index, (left, right) in pairs if left != right), 0)
            parts = ["nothing" if line is None else repr(line[start : start + 70]) for line in (old, new)]
            return f"line {number} from character {start + 1}: {parts[0]} -> {parts[1]}"
    raise ValueError(f"{before} and {after} do not differ")


def print_comparison(comparison: Comparison, before: Path, after: Path) -> None:
    """Print which outputs differ, once for each kind of output, with an example."""
    counts = zip(("same", "different", "only before", "only after"), comparison, strict=True)
    print("files: " + ", ".join(f"{len(paths)} {name}" for name, paths in counts))
    kinds: dict[str, list[Path]] = defaultdict(list)
    for path in comparison.different:
        name = path.name if len(path.parts) < 3 else f"*{path.suffix}"
        kinds["/".join((*path.parts[1:-1], name))].append(path)
    for kind, paths in kinds.items():
        print(f"\n{kind} differs in {len(paths)}: {', '.join(sorted({path.parts[0] for path in paths}))}")
        print(f"  {paths[0]}, {first_difference(before / paths[0], after / paths[0])}")
    for title, paths in (("before", comparison.only_before), ("after", comparison.only_after)):
        if paths:
            print(f"\nonly {title}: {', '.join(map(str, paths))}")


def run_version(checkout: Path, arguments: Sequence[str], folder: Path) -> None:
    """Write all outputs of a checkout into a folder, at a path that is the same for every version."""
    running = folder.with_name("running")
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    check = [sys.executable, "-c", "import fervid; print(fervid.__file__)"]
    imported = subprocess.run(
        check, env=environment, cwd=folder.parent, capture_output=True, text=True, check=True
    )
    if not Path(imported.stdout.strip()).is_relative_to(checkout.resolve()):
        raise SystemExit(
            f"{checkout} is no checkout of fervid: {imported.stdout.strip()} is imported instead"
        )
    script = [sys.executable, str(Path(__file__).resolve())]
    subprocess.run([*script, *arguments, "-o", str(running)], env=environment, cwd=folder.parent, check=True)
    running.rename(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write all outputs, or compare those of two versions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="a folder, which is replaced")
    parser.add_argument("--seconds", type=float, help="only the first seconds of each clip")
    checkouts = {"nargs": 2, "type": Path, "metavar": ("BEFORE", "AFTER")}
    parser.add_argument("--versions", help="two checkouts whose outputs are compared", **checkouts)
    given = parser.parse_args(arguments)
    output, clips = given.output.resolve(), sorted(clip.resolve() for clip in given.clips)
    shutil.rmtree(output, ignore_errors=True)
    if given.versions is None:
        write_all(clips, output, given.seconds)
        return 0
    output.mkdir(parents=True)
    before, after = output / "before", output / "after"
    words = [*map(str, clips), *([] if given.seconds is None else ["--seconds", str(given.seconds)])]
    for checkout, folder in zip(given.versions, (before, after), strict=True):
        run_version(checkout, words, folder)
    comparison = compare(before, after)
    print_comparison(comparison, before, after)
    return 1 if comparison.different or comparison.only_before or comparison.only_after else 0


if __name__ == "__main__":
    sys.exit(main())
