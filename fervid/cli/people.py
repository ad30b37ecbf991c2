"""`fervid people`: who a timeline tells of, and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import read_timeline
from fervid.cli.shared.work import open_gallery
from fervid.errors import InputError, UsageError

if TYPE_CHECKING:
    from fervid.export.timelines.people import Pages
    from fervid.export.timelines.reading import Document
    from fervid.types import Video


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = []
    for value in values:
        first, sign, second = (part.strip() for part in value.partition("="))
        if not sign or not first or (not second and param.name == "merges"):
            raise click.BadParameter(
                f"{value!r} is no pair: write {param.opts[0]} {param.metavar}", ctx, param
            )
        pairs.append((first, second))
    return pairs


@options.command(
    "people",
    examples="""
    fervid people out.json
    fervid people out.json --name P1=Anna --name P2=Ben -y
    fervid people out.json --merge P1=P3 -o fixed.json
    fervid people out.json --video movie.mp4 --pictures faces/
    fervid people out.json --video movie.mp4 --gallery portraits/ -y
    """,
)
@click.argument("input", metavar="TIMELINE")
@click.option(
    "--name", "names", metavar="ID=NAME", multiple=True, callback=_pairs, help="Call a person so; repeat it."
)
@click.option(
    "--merge",
    "merges",
    metavar="ID=ID",
    multiple=True,
    callback=_pairs,
    help="The second person is the first, too; repeat it.",
)
@click.option("--gallery", metavar="DIR", help="Name persons by portraits: a picture or folder per name.")
@click.option("--video", "film", metavar="FILE", help="The video of the timeline: pictures come from there.")
@click.option("--pictures", metavar="DIR", help="Write a picture of each person there, as P1.png and so on.")
@click.option("--json", "as_json", is_flag=True, help="List them as JSON.")
@options.target("-o", "--output", "target", help="Write the changed timeline here; - is standard output.")
@click.option("-y", "--overwrite", is_flag=True, help="Overwrite; without --output, the timeline itself.")
@click.pass_obj
def people(
    messages: Messages,
    /,
    input: str,
    names: list[tuple[str, str]],
    merges: list[tuple[str, str]],
    gallery: str | None,
    film: str | None,
    pictures: str | None,
    as_json: bool,
    target: str | None,
    overwrite: bool,
) -> None:
    """List the persons of TIMELINE, and name or merge them.

    TIMELINE is what `fervid analyze` wrote (.json, .jsonl); - is standard input. A person may be told by id
    or name; `--name P1=` takes a name away. Merging comes first, then the gallery, then --name. A changed
    timeline is written whole to --output, or in place with -y. Persons are told apart by a net that errs:
    look at the pictures.
    """
    changes = bool(names or merges or gallery)
    if changes and target is None and not overwrite:
        raise UsageError(f"say where the changed timeline goes: -o FILE, or -y to change {input} itself")
    if changes and target is None and input == output.STANDARD:
        raise UsageError("the timeline came by standard input: say with -o where the changed one goes")
    if target is not None and not changes:
        raise UsageError("nothing is to be changed: give --name, --merge or --gallery with --output")
    if film is None and (pictures or gallery):
        raise UsageError(
            f"{'--pictures' if pictures else '--gallery'} needs the video: give it with --video FILE"
        )
    if film is not None and not (pictures or gallery):
        raise UsageError("--video is for --pictures and --gallery: give one of them")
    if changes:
        place = input if target is None else target
        output.check_targets([place], [] if place == input else [input], overwrite, messages.log_file)
    with local_path(input) as path:
        document = read_timeline(path, input)
        pages = open_pages(path)
    planned = None if film is None else plan(film, document)
    for first, second in merges:
        together = pages.merge(first, second)
        if together > 0:
            log.warning("%s and %s are on screen together for %.1f s", first, second, together)
    if gallery is not None and planned is not None:
        name_by_gallery(messages, pages, planned, gallery)
    for who, name in names:
        give_name(pages, who, name)
    if pictures is not None and planned is not None:
        write_pictures(messages, pages, planned, pictures, overwrite)
    if changes:
        with output.open_text(place) as stream:
            pages.write(stream)
        if place != output.STANDARD:
            messages.say(f"wrote {place}")
    elif pictures is None or as_json:
        show(document, as_json)


def open_pages(path: str) -> Pages:
    from fervid.export.timelines.people import Pages

    return Pages(Path(path).read_text(encoding="utf-8"))


def give_name(pages: Pages, who: str, name: str) -> None:
    """Name one person, or take the name away."""
    from fervid.people import check_name

    if name:
        check_name(name)
    pages.name(who, name or None)


def show(document: Document, as_json: bool) -> None:
    """The list of persons, on standard output."""
    from fervid.export.timelines.people import totals
    from fervid.export.timelines.shapes import NOTE

    rows = [
        {**person, "expressions": totals(person, document.segments, document.clock)}
        for person in document.people
    ]
    if as_json:
        from fervid.export.timelines.json import pieces

        with output.open_text(output.STANDARD) as stream:
            stream.writelines(pieces({"note": NOTE, "people": rows}))
            stream.write("\n")
        return
    from rich.console import Console

    from fervid.cli.shared.summary import people_table

    with output.open_text(output.STANDARD) as stream:
        if not rows:
            stream.write("no person was told apart\n")
            return
        width = None if stream.isatty() else 120
        Console(file=stream, highlight=False, width=width).print(
            people_table(rows, document.curves, document.clock)
        )


def plan(film: str, document: Document) -> Video:
    """The video of a timeline, turned as it was for it; another one is refused."""
    from fractions import Fraction

    from fervid.video import planning

    source = document.source
    rate = source["rate"]
    planned = planning.plan(film, frame_rate=Fraction(rate) if Path(film).is_dir() and rate else None)
    if planned.sha256 != source["sha256"]:
        raise InputError(
            f"{film} is not the video of this timeline, which is of {source['name']}: give that one"
        )
    if planned.rotation != source["rotation"]:
        planned = planning.plan(film, rotate=str(source["rotation"]))
    return planned


def name_by_gallery(messages: Messages, pages: Pages, planned: Video, folder: str) -> None:
    """Name the persons whose picture is like a portrait of the gallery."""
    from fervid.people import nearest_names

    gallery = open_gallery(folder)
    assert gallery is not None
    descriptors = {}
    for person in pages.people:
        descriptor = describe(planned, person["portrait"])
        if descriptor is None:
            log.warning("the picture of %s cannot be decoded", person["id"])
        else:
            descriptors[person["id"]] = descriptor
    named: dict[str, str] = {}
    for who, name in nearest_names(descriptors, gallery):
        if name not in named.values() and who not in named:
            named[who] = name
            pages.name(who, name)
            messages.say(f"{who} is {name}")
        elif who not in named:
            messages.say(f"{who} looks like {name}, too: --merge {name}={who} where they are the same")


def describe(planned: Video, portrait: dict[str, Any]) -> Any:
    """What the face of a person's picture is like, (1, 128); None where the frame is lost."""
    import numpy as np

    from fervid.faces.finder import FaceFinder, describe
    from fervid.video import reading

    pts = int(portrait["time"]["pts"])
    frame = next(reading.frames(planned, pts, pts + 1), None)
    if frame is None:
        return None
    box = np.array([portrait["box"][name] for name in ("x", "y", "width", "height")], np.float32)
    finder = FaceFinder()
    return describe(finder.portrait(frame.luma, finder.fit(frame.luma, box)))[None]


def write_pictures(messages: Messages, pages: Pages, planned: Video, folder: str, overwrite: bool) -> None:
    """A picture of each person, cut from the video."""
    from fervid.export.timelines.people import picture
    from fervid.video import thumbnails

    place = output.make_folder(folder)
    wanted = {str(place / f"{person['id']}.png"): person["portrait"] for person in pages.people}
    output.check_targets(wanted, [planned.path], overwrite, messages.log_file)
    missing = set(wanted)
    for moment, image in thumbnails.in_colour(planned, [found["time"]["pts"] for found in wanted.values()]):
        for target, portrait in wanted.items():
            if portrait["time"]["pts"] == moment:
                with output.open_binary(target) as stream:
                    stream.write(picture(image, portrait["box"]))
                missing.discard(target)
    for target in sorted(missing):
        log.warning("%s is not written: its frame cannot be decoded", target)
    messages.say(f"wrote {len(wanted) - len(missing)} pictures to {folder}")
