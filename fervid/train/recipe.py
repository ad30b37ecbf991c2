"""What decides what training makes of its data: one frozen record, kept beside the model that it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fervid import streams
from fervid.errors import UsageError

FINE = 0.1  # of the usual rate, where a trained model is fine-tuned
FINE_EPOCHS = 10

SETTING = "setting"  # the key of a field's Setting in its metadata; None: the field is no option
DATASET = "NAME:PATH[?option=value]"


@dataclass(frozen=True)
class Setting:
    """What the command line says of a field of `Recipe`, and the limits of its value."""

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the option; none: it is called as the field is
    metavar: str | None = None
    joined: str = ""  # between several values in one option; "": the option is given once for each


def _setting(
    default: Any, help: str, low: float | None = None, high: float | None = None, **more: Any
) -> Any:
    """Make a field with a `Setting`; a default that is a type is called for each recipe."""
    kind = {"default_factory": default} if isinstance(default, type) else {"default": default}
    return field(**kind, metadata={SETTING: Setting(help, low, high, **more)})


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run: defaults, and the help and limits of the options made of them."""

    data: tuple[str, ...] = _setting(
        (),
        "A labelled dataset, see `fervid datasets list`; may be given several times.",
        names=("-d", "--data"),
        metavar=DATASET,
    )
    validation: tuple[str, ...] = _setting(
        (), "Data to judge by.  [default: people held out of --data]", metavar=DATASET
    )
    labels: tuple[str, ...] = _setting(
        (), "The labels to learn.  [default: all that the data has]", metavar="A,B,...", joined=","
    )
    streams: tuple[str, ...] = _setting(("c3d", "phrnn"), "The networks, joined by +.", joined="+")
    sizes: Mapping[str, Mapping[str, int]] = _setting(  # stream -> size -> value
        dict,
        "A size of a network other than its own, such as c3d.width=24.",
        names=("--size", "sizes"),
        metavar="STREAM.SIZE=NUMBER",
    )
    fusion: str = _setting(
        "joint",
        "How streams become one: joint fine-tuning, or a weighted sum.",
        choices=("joint", "weighted"),
    )
    start_from: tuple[str, ...] = _setting(
        (),
        "Take over weights: of the same streams, or of those that others begin from, as c3d from still; "
        "repeatable.",
        metavar="MODEL",
    )
    finetune: bool = field(default=False, metadata={SETTING: None})  # a command of its own
    epochs: int = _setting(
        40, "Rounds over the data, for each stream; 0 leaves them as --start-from has them.", 0
    )
    joint_epochs: int = _setting(10, "Rounds of joint fine-tuning.", 1)
    # What the paper of joint fine-tuning weighs the losses with (Jung et al., 2015).
    own_loss: float = _setting(1.0, "Of joint fine-tuning: what the loss of each stream alone weighs.", 0)
    sum_loss: float = _setting(0.1, "Of joint fine-tuning: what the loss of their sum weighs.", 0)
    epoch_clips: int = _setting(0, "Clips in a round; 0 takes one of every sample.", 0)
    moving: float = _setting(0.0, "The share of clips in a round of clips and stills; 0: as they come.", 0, 1)
    batch: int = _setting(64, "Clips that are learnt at once.", 2)
    rate: float = _setting(1.0, "Learning rate, times each stream's own.", 0)
    soft_labels: float = _setting(
        0.5, "The share of the taggers' votes, where there are any, against the one label.", 0, 1
    )
    smoothing: float = _setting(0.05, "The share of every label that is spread over all.", 0, 0.5)
    balance: float = _setting(0.5, "0: classes weigh as many as they are; 1: all the same.", 0, 1)
    mixup: float = _setting(0.0, "Strength of blending clips in pairs; 0 blends none.", 0)
    center_loss: float = _setting(0.0, "Weight of the center loss.", 0)
    island_loss: float = _setting(0.0, "Weight of the island loss.", 0)
    locality_loss: float = _setting(0.0, "Weight of the locality-preserving loss.", 0)
    tuplet_loss: float = _setting(0.0, "Weight of the (N+M)-tuplet clusters loss.", 0)
    triplet_loss: float = _setting(0.0, "Weight of the exponential triplet loss.", 0)
    augmentation: str = _setting(
        "strong", "How much clips are changed on the fly.", choices=("none", "mild", "strong")
    )
    illumination: str = _setting("none", "Even out the light by this method.")
    coarse: float = _setting(
        0.0, "The share of rounds, the first ones, that show faces smaller, at half the cost.", 0, 1
    )
    variants: bool = _setting(False, "Show each clip under one of four illuminations.")  # Kuo et al.
    held_out: float = _setting(0.15, "The share of people to judge by.", 0, 0.9)
    patience: int = _setting(
        0, "Stop a stream after so many rounds without a better one; 0 never stops early.", 0
    )
    average: float = _setting(0.999, "How much of the averaged weights stays at each step.", 0, 0.99999)
    seed: int = _setting(0, "Of all that is drawn at random.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        self._check_streams()
        self._check_choices()
        fixed = [name for name in self.streams if not streams.registered(name).any_side]
        if self.coarse and len(fixed) == len(self.streams):
            raise UsageError(f"--coarse is of no use to {'+'.join(self.streams)}, which read one size alone")
        if self.epochs == 0 and not self.start_from:
            raise UsageError("without --epochs every stream has to come from a model: give --start-from")
        for name, setting in settings().items():
            value = getattr(self, name)
            low, high = setting.low, setting.high
            if low is not None and (not value >= low or (high is not None and value > high)):
                limits = f"at least {low}" if high is None else f"from {low} to {high}"
                raise UsageError(f"--{name.replace('_', '-')} should be {limits}, not {value:g}")

    def _check_streams(self) -> None:
        have = streams.names()
        if (
            not self.streams
            or not set(self.streams) <= set(have)
            or len(set(self.streams)) < len(self.streams)
        ):
            raise UsageError(
                f"--streams takes different names of: {', '.join(have)}; not {'+'.join(self.streams)!r}"
            )
        stray = sorted(set(self.sizes) - set(self.streams))
        if stray:
            raise UsageError(f"--size names {stray[0]!r}, which is none of --streams")
        if any(value < 1 for sizes in self.sizes.values() for value in sizes.values()):
            raise UsageError("--size takes numbers from 1 on")

    def _check_choices(self) -> None:
        from fervid.clips import illumination  # imports much: options are made of this file

        choices = {name: setting.choices for name, setting in settings().items() if setting.choices}
        for name, known in (choices | {"illumination": illumination.names()}).items():
            if getattr(self, name) not in known:
                raise UsageError(f"--{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        known = {each.name for each in fields(cls)}
        kept: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
        }
        return cls(**kept)


def settings() -> dict[str, Setting]:
    """Return the settings of those fields of `Recipe` that are options, by name."""
    each = {each.name: each.metadata[SETTING] for each in fields(Recipe)}
    return {name: setting for name, setting in each.items() if setting is not None}
