"""`fervid extract`: landmarks and aligned faces, without a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fervid.cli.analyze import name_outputs
from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_analyzer
from fervid.cli.shared.inputs import each_input
from fervid.cli.shared.messages import Messages
from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.analysis import Run

KINDS = ("landmarks", "csv", "crops")
PICTURES = (r"track_\d+", r"\d+\.png")  # the folders and files of --crops png


@options.command(
    "extract",
    examples="""
    fervid extract movie.mp4 -o out/
    fervid extract movie.mp4 -o out/ --what crops --crops png --faces largest
    fervid extract movie.mp4 -o out/ --aus
    fervid extract movie.mp4 -o out/ --what csv --start 10 --end 20
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "-o", "--output-dir", metavar="DIR", required=True, help="Write into this folder; it is created."
)
@options.kinds("--what", KINDS, help="What to write, separated by commas.")
@click.option("--crops", type=click.Choice(["npz", "png"]), help="How to write crops.  [default: npz]")
@options.apply(options.UNITS, *options.SELECTION, *options.WORK, options.OVERWRITE)
@click.pass_obj
def extract(
    messages: Messages,
    /,
    input: str,
    output_dir: str,
    what: tuple[str, ...],
    crops: str | None,
    aus: bool,
    overwrite: bool,
    **values: Any,
) -> int:
    """Write the faces of INPUT as data into DIR.

    \b
    landmarks  NAME.landmarks.npz   68 points, boxes, pose and quality per frame (NumPy)
    csv        NAME.csv             landmarks in OpenFace's columns
    crops      NAME.faces.npz, or NAME.faces/track_0001/000000123.png   aligned faces

    INPUT is a video file, a folder of stills, or - for standard input. No model is needed.
    """
    if crops is not None and "crops" not in what:
        raise UsageError(f"--crops {crops} needs crops, but --what leaves them out: add crops to --what")
    if aus and "csv" not in what:
        raise UsageError("--aus adds columns to csv, but --what leaves it out: add csv to --what")
    crops = crops or "npz"
    folder = output.make_folder(output_dir)
    name = name_outputs([input])[0]
    files = {"landmarks": f"{name}.landmarks.npz", "csv": f"{name}.csv", "crops": f"{name}.faces.npz"}
    targets = {kind: str(folder / files[kind]) for kind in what}
    if "crops" in targets and crops == "png":
        targets["crops"] = str(folder / f"{name}.faces")
        output.check_folder(targets["crops"], overwrite, *PICTURES)
    plain = [target for kind, target in targets.items() if kind != "crops" or crops != "png"]
    output.check_targets(plain, [input], overwrite, messages.log_file)
    with open_analyzer(messages, values) as analyzer:

        def extract_input(name: str, path: str) -> None:
            with analyzer.start(name, path, crops="crops" in targets) as run:
                write(run, targets, crops, overwrite, aus)

        code = each_input(messages, [input], extract_input)
    if code == 0 and not messages.quiet:
        for target in targets.values():
            messages.say(f"wrote {target}")
    return code


def write(run: Run, targets: dict[str, str], crops: str, overwrite: bool, aus: bool = False) -> None:
    """Analyze the input and write its faces, with action units in the CSV if `aus`."""
    from fervid.export.frames import crops as pictures
    from fervid.export.frames import geometry, openface

    for _ in run.segments():  # runs the analysis; without a model there are none
        pass
    if "landmarks" in targets:
        with output.open_binary(targets["landmarks"], overwrite) as binary:
            geometry.write(run.rows, run.row_count, run.video, (), binary)
    if "csv" in targets:
        units = None
        if aus:
            from fervid.units import measure

            units = measure(run.rows, run.video)
        with output.open_text(targets["csv"], overwrite) as stream:
            openface.write(run.rows(), run.video, (), stream, units)
    if "crops" in targets and crops == "npz":
        with output.open_binary(targets["crops"], overwrite) as binary:
            pictures.write_archive(run.crops, run.video, binary)
    elif "crops" in targets:
        with output.open_folder(targets["crops"], overwrite, *PICTURES) as folder:
            pictures.write_pictures(run.crops(), run.video, folder)
