"""`fervid batch`: analyze many inputs into one folder of results, and resume."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fervid.cli.shared import options, output
from fervid.cli.shared.analyzer import AnalysisOptions, read_options
from fervid.cli.shared.inputs import SOME_FAILED
from fervid.cli.shared.messages import Messages, log
from fervid.cli.shared.values import NumberRange
from fervid.errors import InputError, OutputError, UsageError
from fervid.export import check_parquet
from fervid.files import display_name, read_limited
from fervid.times import format_duration, format_seconds

if TYPE_CHECKING:
    from fervid.batch import InputList, Request, Results
    from fervid.cli.shared.batch_progress import BatchProgress


def _formats(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    from fervid.batch import FORMATS

    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise click.BadParameter(f"{value!r} should name some of {', '.join(FORMATS)}, with commas between")
    for name in names:
        check_parquet(FORMATS[name])
    return names


@options.command(
    "batch",
    examples="""
    fervid batch Train_AFEW/ Val_AFEW/ -o results/ --labels folder
    fervid batch films/ -o results/ -f json,csv --jobs 2
    find . -name '*.mp4' -print0 | fervid batch --from-file - -o results/
    fervid batch --from-file clips.csv -o results/
    fervid batch films/ -o results/ --dry-run
    """,
)
@click.argument("inputs", metavar="[INPUT]...", nargs=-1)
@click.option(
    "-o", "--output-dir", metavar="DIR", required=True, help="The folder of results; it is created."
)
@click.option(
    "--from-file",
    metavar="LIST",
    help="Take inputs from a list, by line or NUL, or from a table (CSV) with a column path; - is standard "
    "input.",
)
@click.option(
    "-f",
    "--format",
    "formats",
    default="json",
    show_default=True,
    metavar="FORMATS",
    callback=_formats,
    help="What to write for each input, with commas between: json, jsonl, csv (a row per frame), openface, "
    "npz (geometry), windows, segments, srt, vtt, textgrid, eaf; as Parquet, parquet (a row per frame), "
    "windows.parquet, segments.parquet, openface.parquet.",
)
@click.option(
    "--labels",
    type=click.Choice(["folder"]),
    help="Take known labels from the folders' names, and report the accuracy.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--progress", type=click.Choice(["json"]), help="Report progress as lines of JSON on stderr.")
@click.option(
    "--deadline",
    type=NumberRange(min=1),
    default=1800,
    show_default=True,
    metavar="SECONDS",
    help="Give up an input after this long without progress.",
)
@options.apply(
    *options.MODEL,
    *options.SELECTION,
    options.MIN_SEGMENT,
    options.UNITS,
    options.PHASES,
    *options.WORK,
)
@click.option(
    "-y", "--overwrite", is_flag=True, help="Analyze finished inputs again, and replace existing files."
)
@click.pass_obj
def batch(
    messages: Messages,
    /,
    inputs: tuple[str, ...],
    output_dir: str,
    from_file: str | None,
    formats: tuple[str, ...],
    labels: str | None,
    dry_run: bool,
    progress: str | None,
    deadline: float,
    aus: bool,
    phases: bool,
    overwrite: bool,
    **values: Any,
) -> int:
    """Analyze every INPUT into a folder of results that mirrors their paths.

    INPUT is a video, a folder (searched for videos), a pattern or a URL. An input that is done already,
    with the same content, settings and model, is skipped: repeat a command to resume it.
    DIR/manifest.jsonl has a line for each input, DIR/emotions.csv a row for each input and emotion.

    Exit codes: 0 done, 1 nothing could be done, 2 usage, 3 some inputs failed, 130 interrupted.
    """
    from fervid import execute
    from fervid.batch import Batch, tables
    from fervid.cli.shared.batch_progress import shown_progress
    from fervid.model import read_spec

    shared = read_options(values)
    chosen = _chosen(inputs, from_file, output_dir)
    request = _request(shared, formats, aus, phases)
    model_labels = read_spec(request.model).labels
    true_labels = tables.labels_by_folder(chosen.inputs, model_labels) if labels == "folder" else {}
    results = _results(output_dir, overwrite, chosen, formats)
    if dry_run:
        return _print_plan(results, chosen, request)
    if chosen.repeats and not messages.quiet:
        log.warning("%d inputs are named more than once: each is done once", chosen.repeats)
    figures = None
    with _without_secrets(messages, chosen), _opened(results, progress):
        with (
            shared.open_executor(contained=True) as executor,
            shown_progress(messages, chosen.inputs, progress) as view,
        ):
            workers = shared.jobs if shared.jobs is not None else execute.cores()
            work = Batch(chosen.inputs, request, results, executor, shared.store, workers, deadline, view)
            records = work.run()
        tables.write_emotions(results, chosen, records, model_labels)
        if true_labels:
            said, figures = tables.score(true_labels, records, model_labels)
            tables.write_scores(results, said, figures)
        results.finish(records)
    if not messages.quiet and progress is None:
        _summarize(messages, view.progress, output_dir, figures)
    failed = sum(not record.is_done for record in records)
    if not failed:
        return 0
    return SOME_FAILED if failed < len(records) else 1


@contextmanager
def _without_secrets(messages: Messages, chosen: InputList) -> Iterator[None]:
    """Hide the secrets of listed URLs if the block fails, as the traceback may contain them."""
    try:
        yield
    except BaseException:
        messages.hide_secrets(item.path for item in chosen.inputs)
        raise


@contextmanager
def _opened(results: Results, progress: str | None) -> Iterator[None]:
    """Open the folder of results; finished results stay, even if the block fails."""
    try:
        results.open()
        if not results.is_locked:
            log.warning(
                "the file system of %s has no locks: make sure that no other batch writes there",
                display_name(results.folder),
            )
        yield
    except KeyboardInterrupt:
        if progress is None:
            log.warning("finished inputs are kept: repeat the command to resume")
        raise
    finally:
        results.close()


def _chosen(inputs: Sequence[str], from_file: str | None, output_dir: str) -> InputList:
    from fervid.batch import find_inputs

    chosen = find_inputs(inputs, _listed(from_file, inputs), output_dir)
    if not chosen.inputs:
        raise InputError("there are no inputs: name videos or folders, or a list with --from-file")
    return chosen


def _listed(name: str | None, inputs: Sequence[str]) -> Any:
    from fervid.batch import lists

    if output.STANDARD in inputs:
        raise UsageError(
            "a batch cannot read a video from standard input; --from-file - reads a list from it"
        )
    if name is None:
        if not inputs:
            raise UsageError("name videos or folders, or a list with --from-file")
        return None
    if name != output.STANDARD:
        return lists.read_file(name)
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped into standard input: --from-file - reads a list from it")
    try:
        content = read_limited(sys.stdin.buffer, lists.MOST_BYTES)
    except OSError as error:
        raise InputError(f"cannot read the list of standard input: {error.strerror}") from error
    return lists.read(content, "standard input")


def _request(shared: AnalysisOptions, formats: tuple[str, ...], aus: bool, phases: bool) -> Request:
    from fervid.batch import Request
    from fervid.batch.work import WITH_PHASES, WITH_UNITS
    from fervid.model import check_device, check_short_windows, info, portable_name

    selection = shared.selection
    for moment in (selection.start, selection.end):
        if moment is not None and moment.frame is not None:
            raise UsageError("a frame number is a different time in each video: give seconds or a timecode")
    if aus and not set(formats) & {*WITH_UNITS}:
        raise UsageError(f"--aus needs one of the formats {', '.join(WITH_UNITS)}: add it to --format")
    if phases and not set(formats) & {*WITH_PHASES}:
        raise UsageError(f"--phases needs one of the formats {', '.join(WITH_PHASES)}: add it to --format")
    check_device(shared.device)
    assert shared.model is not None
    check_short_windows(shared.model)
    return Request(
        formats=formats,
        settings=selection.settings(""),
        model=portable_name(shared.model),
        model_sha256=info(shared.model).sha256,
        rotate=selection.rotate,
        frame_rate=selection.frame_rate,
        device=shared.device,
        limit=shared.limit,
        aus=aus,
        phases=phases,
    )


def _results(folder: str, overwrite: bool, chosen: InputList, formats: Sequence[str]) -> Results:
    """Read the folder of results; raise OutputError if files that no batch wrote would be replaced."""
    from fervid.batch import Results
    from fervid.batch.folder import UNKNOWN

    results = Results(folder, overwrite)
    results.read()
    foreign = next(results.foreign_files(chosen.inputs, formats), None)
    if foreign is not None:
        raise OutputError(
            f"{display_name(foreign)} {UNKNOWN}: use -y to overwrite it, or name another folder"
        )
    return results


def _print_plan(results: Results, chosen: InputList, request: Request) -> int:
    """Print a line per input: what would be done, and where its results would go."""
    from fervid.batch import FORMATS
    from fervid.errors import FervidError
    from fervid.files.urls import is_url
    from fervid.video import source

    lines = []
    for item in chosen.inputs:
        targets = [display_name(item.stem + FORMATS[form]) for form in request.formats]
        what = "analyze"
        if item.error:
            what, targets = "fail", [item.error]
        elif (record := results.known(item, request.formats)) and not is_url(item.path):
            try:
                if request.key(source.content_hash(Path(item.path))) == record.key:
                    what = "skip"
            except FervidError as error:
                what, targets = "fail", [str(error)]
        lines.append("\t".join([what, display_name(item.name), *targets]) + "\n")
    with output.open_text(output.STANDARD) as stream:
        stream.writelines(lines)
    return 0


def _summarize(
    messages: Messages, totals: BatchProgress, folder: str, figures: dict[str, Any] | None
) -> None:
    from rich import box
    from rich.table import Table

    from fervid.batch import MANIFEST
    from fervid.export.timelines.fields import NOTE

    if figures is not None:
        from fervid.cli.eval import as_text

        messages.say(as_text(figures))
    table = Table(box=box.SIMPLE, pad_edge=False, show_header=False)
    counts = f"{totals.done} done, {totals.skipped} skipped, {totals.failed} failed"
    speed = "" if totals.speed is None else f" ({totals.speed:.1f}x)"
    for name, value in (
        ("inputs", f"{len(totals.inputs)}: {counts}"),
        ("without a face", str(totals.faceless)),
        ("video", f"{format_seconds(totals.seconds)} in {format_duration(totals.elapsed)}{speed}"),
        ("spans", f"{totals.spans}, {totals.reused} of them reused"),
    ):
        table.add_row(name, value)
    messages.console.print(table)
    messages.say(NOTE.partition(". ")[0] + ".")
    if totals.failed:
        messages.say(
            f"{totals.failed} of {len(totals.inputs)} inputs failed: {folder.rstrip('/')}/{MANIFEST} says why"
        )
    messages.say(f"wrote {folder.rstrip('/')}/")
