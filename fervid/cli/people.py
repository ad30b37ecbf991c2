"""`fervid people`: list, name and merge the people of a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import open_gallery
from fervid.cli.shared.inputs import local_path
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.reading import is_timeline
from fervid.cli.shared.timelines import OPTIONS, InputTimeline, timeline_of
from fervid.errors import OutputError, UsageError
from fervid.files.urls import is_url

if TYPE_CHECKING:
    from fervid.types import Person, Timeline, Video


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = []
    for value in values:
        first, sign, second = (part.strip() for part in value.partition("="))
        if not sign or not first or (not second and param.name == "merges"):
            raise click.BadParameter(
                f"{value!r} is not a pair: write {param.opts[0]} {param.metavar}", ctx, param
            )
        pairs.append((first, second))
    return pairs


@options.command(
    "people",
    examples="""
    fervid people movie.mp4
    fervid people movie.mp4 --pictures faces/
    fervid people out.json --name P1=Anna --name P2=Ben -y
    fervid people out.json --merge P1=P3 -o fixed.json
    fervid people out.json --video movie.mp4 --gallery portraits/ -y
    """,
)
@click.argument("input", metavar="INPUT")
@click.option(
    "--name",
    "names",
    metavar="ID=NAME",
    multiple=True,
    callback=_pairs,
    help="Give a person this name; may be repeated.",
)
@click.option(
    "--merge",
    "merges",
    metavar="ID=ID",
    multiple=True,
    callback=_pairs,
    help="Merge the second person into the first; may be repeated.",
)
@click.option("--gallery", metavar="DIR", help="Name people by portraits; needs the video.")
@click.option("--video", "film", metavar="FILE", help="The video of the timeline.")
@click.option("--pictures", metavar="DIR", help="Write P1.png and so on into DIR; needs the video.")
@click.option("--json", "as_json", is_flag=True, help="List people as JSON.")
@options.target("-o", "--output", "target", help="Write the changed timeline here; - is standard output.")
@options.apply(*OPTIONS)
@click.option("-y", "--overwrite", is_flag=True, help="Overwrite; without -o, change the timeline in place.")
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
    **values: Any,
) -> None:
    """List the people of INPUT, and name or merge them.

    INPUT is a timeline that `fervid analyze` wrote (.json, .jsonl), or a video; - is standard input. fervid
    analyzes a video first, and keeps its timeline beside it. ID is an id (P1) or a name; `--name P1=` removes
    a name. fervid merges first, then applies the gallery, then --name. It writes the whole changed timeline
    to --output, or in place with -y. People are identified by a network that makes mistakes: check the
    pictures.
    """
    is_changed = bool(names or merges or gallery)
    needs_video = "--pictures" if pictures else "--gallery" if gallery else None
    if film is not None and not needs_video:
        raise UsageError("--video is for --pictures and --gallery: give one of them")
    check_target(messages, input, target, is_changed, overwrite)
    with local_path(input) as path:
        if film is None and needs_video and is_timeline(path):
            raise UsageError(f"{needs_video} needs the video: give it with --video FILE")
        given = timeline_of(messages, input, path, values, [] if target is None else [target])
        timeline, film = given.timeline, film or given.video
        video = None
        if film is not None and needs_video:
            from fervid.video import planning

            video = planning.plan_known(timeline.source, film)
        changed = change(messages, timeline, video, merges, gallery, names)
        if pictures is not None and video is not None:
            write_pictures(messages, changed, video, pictures, overwrite)
        if is_changed:
            write(messages, given, changed, target, overwrite)
        elif pictures is None or as_json:
            show(timeline, as_json)


def check_target(
    messages: Messages, input: str, target: str | None, is_changed: bool, overwrite: bool
) -> None:
    """Check before any work where the changed timeline is written; None is in place."""
    if target is not None and not is_changed:
        raise UsageError("there is nothing to change: give --name, --merge or --gallery with --output")
    if target is not None:
        output.check_targets([target], [input], overwrite, messages.log_file)
    elif is_changed and (input == output.STANDARD or is_url(input)):
        raise UsageError("standard input and URLs cannot be changed in place: give -o FILE")
    elif is_changed and not overwrite:
        raise UsageError(
            f"no output for the changed timeline: give -o FILE, or -y to change {input} in place"
        )


def write(
    messages: Messages, given: InputTimeline, changed: Timeline, target: str | None, overwrite: bool
) -> None:
    """Write the changed timeline, by default in place."""
    from fervid.export.timelines import people as writer

    target = target or given.path
    if target is None:
        raise OutputError("the timeline of the video is in no file: give -o FILE")
    output.check_targets([target], [], overwrite, messages.log_file)
    text = given.text()
    with output.open_text(target, overwrite) as stream:
        writer.write(changed, text, stream)
    if target != output.STANDARD:
        messages.say(f"wrote {target}")


def change(
    messages: Messages,
    timeline: Timeline,
    video: Video | None,
    merges: list[tuple[str, str]],
    gallery: str | None,
    names: list[tuple[str, str]],
) -> Timeline:
    """Return the timeline with people merged, then named by the gallery, then by hand."""
    from fervid.timeline.people import merge, rename

    for first, second in merges:
        timeline, together = merge(timeline, first, second)
        if together:
            seconds = float(together * timeline.source.time_base)
            log.warning("%s and %s are on screen together for %.1f s", first, second, seconds)
    if gallery is not None and video is not None:
        timeline = name_by_gallery(messages, timeline, video, gallery)
    for person, name in names:
        if name:
            from fervid.people import check_name

            check_name(name)
        timeline = rename(timeline, person, name or None)
    return timeline


def show(timeline: Timeline, as_json: bool) -> None:
    """Write the list of people to standard output."""
    with output.open_text(output.STANDARD) as stream:
        if as_json:
            write_json(timeline, stream)
        elif not timeline.people:
            stream.write("no people were identified\n")
        else:
            from fervid.cli.shared.console import console
            from fervid.cli.shared.summary import people_table

            console(stream).print(people_table(timeline))


def write_json(timeline: Timeline, stream: TextIO) -> None:
    """Write the people as JSON, with the seconds of each visible expression."""
    from fervid.export.timelines import fields
    from fervid.export.timelines.json import pieces
    from fervid.timeline.people import expressions

    tick = timeline.source.time_base
    rows = [
        {
            **fields.person(person, timeline.source),
            "expressions": {
                emotion: fields.number(ticks * tick)
                for emotion, ticks in expressions(timeline, person).items()
            },
        }
        for person in timeline.people
    ]
    stream.writelines(pieces({"note": fields.NOTE, "people": rows}))
    stream.write("\n")


def name_by_gallery(messages: Messages, timeline: Timeline, video: Video, folder: str) -> Timeline:
    """Name the people who match a portrait of the gallery."""
    from fervid.people import nearest_names
    from fervid.timeline.people import rename

    gallery = open_gallery(folder)
    assert gallery is not None
    descriptors = {}
    for person in timeline.people:
        descriptor = descriptor_of(video, person)
        if descriptor is None:
            log.warning("the picture of %s cannot be decoded", person.id)
        else:
            descriptors[person.id] = descriptor
    named: dict[str, str] = {}
    for person_id, name in nearest_names(descriptors, gallery):
        if name not in named.values() and person_id not in named:
            named[person_id] = name
            timeline = rename(timeline, person_id, name)
            messages.say(f"{person_id} is {name}")
        elif person_id not in named:
            hint = f"if they are the same, use --merge {name}={person_id}"
            messages.say(f"{person_id} looks like {name}, too: {hint}")
    return timeline


def descriptor_of(video: Video, person: Person) -> Any:
    """Return the face descriptor (1, 128) of a person's picture; None if the frame cannot be decoded."""
    from fervid.faces.detectors import Detection
    from fervid.faces.finder import FaceFinder, describe
    from fervid.video import reading

    frame = next(reading.frames(video, person.pts, person.pts + 1), None)
    if frame is None:
        return None
    finder = FaceFinder()
    return describe(finder.portrait(frame.luma, finder.fit(frame.luma, Detection(person.box, 0.0))))[None]


def write_pictures(
    messages: Messages, timeline: Timeline, video: Video, folder: str, overwrite: bool
) -> None:
    """Cut a picture of each person from the video and write it."""
    from fervid.cli.shared.columns import counted
    from fervid.export.timelines.people import picture
    from fervid.video import thumbnails

    path = output.make_folder(folder)
    targets = {str(path / f"{person.id}.png"): person for person in timeline.people}
    output.check_targets(targets, [video.path], overwrite, messages.log_file)
    missing = set(targets)
    for moment, image in thumbnails.in_colour(video, [person.pts for person in timeline.people]):
        for target, person in targets.items():
            if person.pts == moment:
                with output.open_binary(target, overwrite) as stream:
                    stream.write(picture(image, person.box))
                missing.discard(target)
    for target in sorted(missing):
        log.warning("%s was not written: its frame cannot be decoded", target)
    messages.say(f"wrote {counted(len(targets) - len(missing), 'picture')} to {folder}")
