"""Try a wheel as somebody who installs it does: in an empty environment, in a folder outside the checkout.

    python tests/try_wheel.py dist/fervid-*.whl

Tests run from the tree, where nothing can be missing. This installs the wheel and its dependencies into a new
virtual environment, checks that it contains each tracked file of the package, and runs every command.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "examples" / "clip.mp4"

LIST_COMMANDS = """
import click
from fervid.cli.main import fervid

def walk(group, words):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            walk(command, [*words, name])
        print(*words, name)

walk(fervid, [])
"""

# Run one after the other, beside a copy of the example clip.
COMMANDS = """
doctor
models verify
info movie.mp4
analyze movie.mp4 -t out.json --frames frames.csv --tracks geometry.npz
analyze movie.mp4 -t open.json --landmarks open --end 1
analyze movie.mp4 -t cluster.json --executor dask --jobs 2
peaks out.json -o peaks.edl
export out.json -o movie.srt
export geometry.npz -f openface --aus -o openface.csv
report out.json --video movie.mp4 -o report.html
show out.json
people out.json
explain movie.mp4 --at 1 -o why.png
annotate movie.mp4 -t out.json --tracks geometry.npz -o annotated.mp4
extract movie.mp4 --end 1 -o faces
batch movie.mp4 --end 1 -f json,csv -o results
schema
completion bash
datasets list
cache info
train --data synth:posed?people=4&per_class=4 --streams c3d+phrnn --size c3d.width=4 --epochs 1 -o mine
finetune --model mine --data synth:posed?people=2&per_class=2&seed=1 --epochs 1 -o better
eval --model better --data synth:posed?people=2&per_class=2&seed=2
bench survey --synthetic --size smoke --only phrnn -o survey
bench robust --data synth:posed?people=2&per_class=1 --model mine
"""


def run(arguments: Sequence[str | Path], folder: Path) -> str:
    """Run a program in a folder, and return what it prints; raise when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["FERVID_CACHE_DIR"] = str(folder / "cache")
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        command = " ".join(map(str, arguments))
        raise SystemExit(f"{command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def missing_files(wheel: Path) -> list[str]:
    """Return the tracked files of the package that the wheel does not contain."""
    tracked = subprocess.run(
        ["git", "ls-files", "fervid"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    return [path for path in tracked if path not in packed]


def main(arguments: Sequence[str] | None = None) -> None:
    """Install the wheel into an empty environment, and run every command there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args(arguments).wheel.resolve()
    if missing := missing_files(wheel):
        raise SystemExit(f"{wheel.name} lacks {len(missing)} files: {', '.join(missing[:10])}")
    with tempfile.TemporaryDirectory(prefix="fervid-wheel-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--constraint", ROOT / "constraints.txt", f"fervid[dask] @ {wheel.as_uri()}"], folder)
        origin = run([programs / "python", "-c", "import fervid; print(fervid.__file__)"], folder)
        if not origin.startswith(str(folder)):
            raise SystemExit(f"fervid was imported from {origin.strip()}, not from the wheel")
        (folder / "movie.mp4").write_bytes(CLIP.read_bytes())
        commands = run([programs / "python", "-c", LIST_COMMANDS], folder).splitlines()
        for command in commands:
            run([programs / "fervid", *command.split(), "--help"], folder)
        for line in COMMANDS.strip().splitlines():
            print(f"fervid {line}", flush=True)
            run([programs / "fervid", *line.split()], folder)
    print(f"{wheel.name} has every file of the package, and its {len(commands)} commands work")


if __name__ == "__main__":
    main()
