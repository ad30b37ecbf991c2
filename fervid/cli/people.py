"""`fervid people`: who a timeline tells of, and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import read_timeline
from fervid.cli.shared.work import open_gallery
from fervid.errors import UsageError

if TYPE_CHECKING:
    from fervid.types import Person, Timeline, Video


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
        timeline = read_timeline(path, input)
        text = Path(path).read_text(encoding="utf-8")
    video = None
    if film is not None:
        from fervid.video import planning

        video = planning.of(timeline.source, film)
    changed = change(messages, timeline, video, merges, gallery, names)
    if pictures is not None and video is not None:
        write_pictures(messages, changed, video, pictures, overwrite)
    if changes:
        from fervid.export.timelines import people as writer

        with output.open_text(place) as stream:
            writer.write(changed, text, stream)
        if place != output.STANDARD:
            messages.say(f"wrote {place}")
    elif pictures is None or as_json:
        show(timeline, as_json)


def change(
    messages: Messages,
    timeline: Timeline,
    video: Video | None,
    merges: list[tuple[str, str]],
    gallery: str | None,
    names: list[tuple[str, str]],
) -> Timeline:
    """Return the timeline with persons merged, then named by the gallery, then by hand."""
    from fervid.timeline.people import merge, rename

    for first, second in merges:
        timeline, together = merge(timeline, first, second)
        if together:
            seconds = float(together * timeline.source.time_base)
            log.warning("%s and %s are on screen together for %.1f s", first, second, seconds)
    if gallery is not None and video is not None:
        timeline = name_by_gallery(messages, timeline, video, gallery)
    for who, name in names:
        if name:
            from fervid.people import check_name

            check_name(name)
        timeline = rename(timeline, who, name or None)
    return timeline


def show(timeline: Timeline, as_json: bool) -> None:
    """Write the list of persons to standard output."""
    with output.open_text(output.STANDARD) as stream:
        if as_json:
            write_json(timeline, stream)
        elif not timeline.people:
            stream.write("no person was told apart\n")
        else:
            from fervid.cli.shared.summary import console, people_table

            console(stream).print(people_table(timeline))


def write_json(timeline: Timeline, stream: TextIO) -> None:
    """Write the persons and the seconds of each visible expression."""
    from fervid.export.timelines import shapes
    from fervid.export.timelines.json import pieces
    from fervid.timeline.people import expressions

    tick = timeline.source.time_base
    rows = [
        {
            **shapes.person(person, timeline.source),
            "expressions": {
                emotion: shapes.number(ticks * tick)
                for emotion, ticks in expressions(timeline, person).items()
            },
        }
        for person in timeline.people
    ]
    stream.writelines(pieces({"note": shapes.NOTE, "people": rows}))
    stream.write("\n")


def name_by_gallery(messages: Messages, timeline: Timeline, video: Video, folder: str) -> Timeline:
    """Name the persons whose picture is like a portrait of the gallery."""
    from fervid.people import nearest_names
    from fervid.timeline.people import rename

    gallery = open_gallery(folder)
    assert gallery is not None
    descriptors = {}
    for person in timeline.people:
        descriptor = describe(video, person)
        if descriptor is None:
            log.warning("the picture of %s cannot be decoded", person.id)
        else:
            descriptors[person.id] = descriptor
    named: dict[str, str] = {}
    for who, name in nearest_names(descriptors, gallery):
        if name not in named.values() and who not in named:
            named[who] = name
            timeline = rename(timeline, who, name)
            messages.say(f"{who} is {name}")
        elif who not in named:
            messages.say(f"{who} looks like {name}, too: --merge {name}={who} where they are the same")
    return timeline


def describe(video: Video, person: Person) -> Any:
    """Return what the face of a person's picture is like, (1, 128); None where the frame is lost."""
    from fervid.faces.finder import FaceFinder, describe
    from fervid.video import reading

    frame = next(reading.frames(video, person.pts, person.pts + 1), None)
    if frame is None:
        return None
    finder = FaceFinder()
    return describe(finder.portrait(frame.luma, finder.fit(frame.luma, person.box)))[None]


def write_pictures(
    messages: Messages, timeline: Timeline, video: Video, folder: str, overwrite: bool
) -> None:
    """Write a picture of each person, cut from the video."""
    from fervid.export.timelines.people import picture
    from fervid.video import thumbnails

    path = output.make_folder(folder)
    wanted = {str(path / f"{person.id}.png"): person for person in timeline.people}
    output.check_targets(wanted, [video.path], overwrite, messages.log_file)
    missing = set(wanted)
    for moment, image in thumbnails.in_colour(video, [person.pts for person in timeline.people]):
        for target, person in wanted.items():
            if person.pts == moment:
                with output.open_binary(target) as stream:
                    stream.write(picture(image, person.box))
                missing.discard(target)
    for target in sorted(missing):
        log.warning("%s is not written: its frame cannot be decoded", target)
    messages.say(f"wrote {len(wanted) - len(missing)} pictures to {folder}")
