"""The options, progress bar and run folder that the training commands share."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from fervid.cli.shared.messages import Bar, Messages, log
from fervid.cli.shared.options import MOST_JOBS, Decorator, completer
from fervid.cli.shared.output import make_folder, show
from fervid.errors import OutputError, UsageError
from fervid.files import take_lock, temporary
from fervid.times import format_seconds
from fervid.train.recipe import Recipe, settings

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from fervid.train.listener import Listener, Progress
    from fervid.train.machine import Machine
    from fervid.train.material import Material
    from fervid.types.samples import Sample

OWN_FILES = (
    "model.json",
    "model.safetensors",
    "recipe.json",
    "history.json",
    "validation.json",
    "card.md",
    "annotators.json",
)

LATENT = "latent"  # among the labels: their truth is inferred

# Fields with values that a shell can complete, and the function of `completing` for them.
COMPLETED = {"data": "datasets", "validation": "datasets", "start_from": "models", "teacher": "models"}


def option(name: str, **changes: Any) -> Decorator[Any]:
    """Make the option of a field of `Recipe`; `changes` are arguments of click.option."""
    setting, default = settings()[name], getattr(Recipe, name, ())
    given: dict[str, Any] = {"help": setting.help, "metavar": setting.metavar}
    if name in COMPLETED:
        given["shell_complete"] = completer(COMPLETED[name])
    if setting.joined:
        given |= {"default": setting.joined.join(default) or None, "show_default": True}
    elif isinstance(default, bool):
        given["is_flag"] = True
    elif isinstance(default, tuple):
        given["multiple"] = True
    else:  # Recipe checks the limits of numbers
        kind = click.Choice(setting.choices) if setting.choices else type(default)
        given |= {"type": kind, "default": default, "show_default": True}
    return click.option(*(setting.names or [f"--{name.replace('_', '-')}"]), **(given | changes))


DATA = option("data")

ARCHITECTURE_FIELDS = (
    *("streams", "sizes", "fusion", "fixed_tops", "labels", "window", "illumination", "start_from"),
)
ARCHITECTURE = [*map(option, ARCHITECTURE_FIELDS)]  # fine-tuning takes it from the model
# The options of training, in the order of the help.
LEARNING = [
    *map(option, ("held_out", "epoch_clips", "moving", "joint_epochs", "own_loss", "sum_loss")),
    *map(option, ("batch", "rate", "optimizer", "soft_labels", "smoothing", "balance", "mixup", "coarse")),
    *map(option, ("center_loss", "island_loss", "locality_loss", "tuplet_loss", "triplet_loss")),
    *map(option, ("augmentation", "variants", "patience", "average", "seed", "committee", "vote")),
]
TEACHING = [  # not of protocols: the teacher would know their tested people
    option("teacher", show_default=False),
    *map(option, ("teacher_share", "teacher_temperature")),
]
TRAINING = [*map(option, ("epochs", "validation")), *LEARNING]

NO_CACHE = click.option(
    "--no-cache", is_flag=True, help="Delete the faces cropped from the data when the command ends."
)

JOBS = click.option(
    "-j", "--jobs", type=click.IntRange(1, MOST_JOBS), help="Processes and threads.  [default: one per core]"
)


def given(ctx: click.Context, values: dict[str, Any]) -> list[str]:
    """Return the names of the options that are on the command line."""
    return [name for name in values if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]


def check_one_process(what: str) -> None:
    """Raise UsageError under torchrun with several processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(f"{what} runs in one process: start it without torchrun")


def read(data: Sequence[str]) -> tuple[Sample, ...]:
    """Read labelled samples, and print the remarks on them as warnings."""
    from fervid.train import material

    samples, remarks = material.read(data)
    for remark in remarks:
        log.warning("%s", remark)
    return samples


def warn_of_missing_labels(material: Material, finetune: bool = False) -> None:
    """Warn of labels that a dataset, or all of the training data, does not show, before training begins."""
    from fervid.labels import EMOTIONS

    shown: dict[str, set[str]] = {}
    for sample in material.train:
        shown.setdefault(sample.origin, set()).update({sample.label, *sample.votes})
    if nowhere := [label for label in EMOTIONS if label not in set().union(*shown.values())]:
        fate = "may unlearn" if finetune else "will not learn"
        them = "it" if len(nowhere) == 1 else "them"
        log.warning("the training data has no %s: the model %s %s", ", ".join(nowhere), fate, them)
    for origin, labels in shown.items():
        missing = [label for label in material.labels if label not in labels and label not in nowhere]
        if missing:
            log.warning("%s has no %s, learned from the other data only", origin, ", ".join(missing))


def recipe_of(values: dict[str, Any]) -> Recipe:
    """Return the recipe of some options."""
    wanted = dict(values)
    for name in wanted.keys() & {"streams", "fixed_tops"}:
        wanted[name] = tuple(wanted[name].split("+")) if wanted[name] else ()
    if "sizes" in wanted:
        wanted["sizes"] = _sizes(wanted["sizes"])
    if "labels" in wanted:
        names = [name.strip() for name in wanted["labels"].split(",")] if wanted["labels"] else []
        wanted["latent"] = LATENT in names
        wanted["labels"] = _labels([name for name in names if name != LATENT])
    return Recipe(**wanted)


def _sizes(given: tuple[str, ...]) -> dict[str, dict[str, int]]:
    sizes: dict[str, dict[str, int]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        stream, dot, size = name.partition(".")
        if not (equals and dot and size) or not (value.isascii() and value.isdigit() and len(value) < 10):
            raise UsageError(f"--size must be STREAM.SIZE=NUMBER, such as c3d.width=24, not {text!r}")
        sizes.setdefault(stream, {})[size] = int(value)
    return sizes


def _labels(given: Sequence[str]) -> tuple[str, ...]:
    from fervid.labels import CONTEMPT, EMOTIONS

    unknown = [label for label in given if label not in (*EMOTIONS, CONTEMPT)]
    if unknown:
        known = ", ".join((*EMOTIONS, CONTEMPT, LATENT))
        raise UsageError(f"--labels must be some of {known}; not {unknown[0]!r}")
    return tuple(given)


def begin(target: str, overwrite: bool, recipe: Recipe, material: Material, device: str) -> Path:
    """Create the run folder, in the main process of a run."""
    from fervid.train import folders, run, starting

    run.check(recipe, material, device)
    for name in (*starting.models_of(recipe), *([recipe.teacher] if recipe.teacher else [])):
        from fervid.model import find

        if find(name).resolve() == Path(target).resolve():
            what = "the teacher" if name == recipe.teacher else "the model to start from"
            raise UsageError(f"{target} is {what}: name another folder for the new one")
    if os.environ.get("RANK", "0") != "0":
        return Path(target)
    folder = check_run_folder(target, overwrite)
    folders.begin(folder, recipe, material)
    return folder


def check_run_folder(target: str, overwrite: bool) -> Path:
    """Check that a run folder is empty, and lock it; with `overwrite`, delete the earlier run in it."""
    folder = Path(target)
    try:
        names = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    except OSError as failure:
        raise OutputError(f"cannot write a model to {target}: {failure.strerror}") from failure
    if names and not any(name in names for name in OWN_FILES):
        raise OutputError(f"{folder} is not a training run, and not empty: name a new folder")
    if names and not overwrite:
        raise OutputError(
            f"{target} contains a training run: continue it with --resume, or replace it with --overwrite"
        )
    lock_run(folder)
    import shutil

    for name in names:
        if name in OWN_FILES or name.startswith(("curves_", "confusion.")):
            (folder / name).unlink()
        elif name == "state" or name.startswith("member_"):
            shutil.rmtree(folder / name)
    return folder


def lock_run(folder: Path) -> None:
    """Lock a run folder, which is created if it is missing, until the command ends."""
    if os.environ.get("RANK", "0") != "0":  # the main process has the lock
        return
    lock = take_lock(make_folder(str(folder)).resolve())
    if lock is None:
        raise OutputError(f"another command trains in {folder}: wait for it, or name another folder")
    context = click.get_current_context(silent=True)
    if context is None:  # no command runs
        lock.release()
    else:
        context.call_on_close(lock.release)


class _Watch:
    """The progress of a run: a bar on a terminal, and a line after each epoch."""

    def __init__(self, messages: Messages, bar: Bar) -> None:
        self.messages, self.bar = messages, bar
        self.stage, self.started, self.start = "", 0.0, 0.0

    def crop(self, done: int, total: int) -> None:
        """Show how many samples have cropped faces."""
        self.bar.show(description="detecting faces", completed=done, total=total, text=f"{done} of {total}")

    def tick(self, now: Progress) -> None:
        """Show a step or an epoch."""
        if now.stage != self.stage:
            self.stage, self.started, self.start = now.stage, time.monotonic(), now.done
        left = ""
        if now.done > self.start:
            pace = (time.monotonic() - self.started) / (now.done - self.start)
            left = f"{format_seconds(pace * (1 - now.done))} left"
        is_epoch = bool(now.epochs) and math.isnan(now.loss)
        if is_epoch and not self.messages.quiet:
            finished = now.epoch if now.done == 1.0 else now.epoch - 1
            self.messages.say(
                f"{now.stage}: epoch {finished} of {now.epochs}: "
                f"validation {now.measure} {now.validation:.4f}"
                + (f", {left}" if left and now.done < 1 else "")
            )
        if not is_epoch:
            text = left
            if now.epochs:
                text = f"epoch {now.epoch}/{now.epochs}  loss {now.loss:.3f}"
                if not math.isnan(now.accuracy):
                    text += f"  accuracy {now.accuracy:.3f}"
                if not math.isnan(now.validation):
                    text += f"  validation {now.validation:.3f}"
                text += f"  {left}"
            self.bar.show(description=now.stage, completed=now.done, total=1.0, text=text)


@contextmanager
def listening(messages: Messages, is_main: bool = True) -> Iterator[Listener]:
    """Show the progress of a run while the block runs; other processes write to the log file only."""
    from fervid.train.listener import Listener

    if not is_main:
        yield Listener(log.debug, log.debug)
        return
    with messages.bar("reading", _columns, text="") as bar:
        watch = _Watch(messages, bar)
        yield Listener(log.warning, log.info, watch.tick, watch.crop)


def _columns() -> list[ProgressColumn]:
    from rich.progress import BarColumn, TextColumn

    return [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[text]}", markup=False),
    ]


@contextmanager
def hardware(device: str, jobs: int | None) -> Iterator[Machine]:
    """Open the machine to train on, with a thread per job."""
    from fervid import execute
    from fervid.train.machine import open_machine

    with open_machine(device, jobs or execute.cores()) as machine:
        yield machine


def strips(no_cache: bool) -> AbstractContextManager[Path | None]:
    """Open a temporary folder for faces cropped from the data; None is the cache folder, which stays."""
    return temporary.folder() if no_cache else nullcontext()


def kept_runs(target: str | None) -> AbstractContextManager[Path]:
    """Open the folder for the runs of a protocol: the target, or a temporary folder."""
    return temporary.folder() if target is None else nullcontext(Path(target))


def carry_out(
    messages: Messages,
    recipe: Recipe,
    folder: Path,
    device: str,
    jobs: int | None,
    no_cache: bool,
    material: Material | None = None,
) -> None:
    """Train in a run folder, show the progress, and print the folder on standard output."""
    from fervid import execute
    from fervid.train import run

    with (
        strips(no_cache) as cache,  # deleted when the workers have ended
        execute.open_executor(jobs) as executor,
        hardware(device, jobs) as machine,
        listening(messages, machine.is_main) as listener,
    ):
        run.train(
            recipe, material or run.prepare(recipe), folder, executor, machine, cache=cache, listener=listener
        )
    if machine.is_main:
        show(str(folder))
