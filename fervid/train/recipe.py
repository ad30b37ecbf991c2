"""The settings of a training run: one frozen record, stored beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fervid import streams
from fervid.errors import UsageError

FINE = 0.1  # of the usual rate, in fine-tuning
FINE_EPOCHS = 10

SETTING = "setting"  # the key of a field's Setting in its metadata; None: the field is no option
DATASET = "NAME:PATH[?option=value]"


@dataclass(frozen=True)
class Setting:
    """The help of a field of `Recipe` on the command line, and the limits of its value."""

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # of the option; by default the name of the field
    metavar: str | None = None
    joined: str = ""  # joins several values in one option; "": the option is repeated


def _setting(
    default: Any, help: str, low: float | None = None, high: float | None = None, **more: Any
) -> Any:
    """Make a field with a `Setting`; a default that is a type is a factory."""
    kind = {"default_factory": default} if isinstance(default, type) else {"default": default}
    return field(**kind, metadata={SETTING: Setting(help, low, high, **more)})


MOST_EPOCHS, MOST_CLIPS, MOST_BATCH, MOST_MODELS = 10**6, 10**8, 10**5, 100


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run, with the defaults, help and limits of the options."""

    data: tuple[str, ...] = _setting(
        (),
        "A labelled dataset, see `fervid datasets list`; may be repeated.",
        names=("-d", "--data"),
        metavar=DATASET,
    )
    validation: tuple[str, ...] = _setting(
        (), "The validation set.  [default: people held out of --data]", metavar=DATASET
    )
    labels: tuple[str, ...] = _setting(
        (),
        "The labels to learn; with latent among them, the truth is inferred from the labels and the votes.  "
        "[default: all labels of the data]",
        metavar="A,B,...",
        joined=",",
    )
    latent: bool = field(default=False, metadata={SETTING: None})  # set by `--labels latent`
    streams: tuple[str, ...] = _setting(
        ("c3d", "phrnn"), "The networks, joined by +.", joined="+", metavar="NAMES"
    )
    sizes: Mapping[str, Mapping[str, int]] = _setting(  # stream -> size -> value
        dict,
        "Change a size of a network, such as c3d.width=24; may be repeated.",
        names=("--size", "sizes"),
        metavar="STREAM.SIZE=NUMBER",
    )
    fusion: str = _setting(
        "joint",
        "How to combine streams: joint fine-tuning, or a weighted sum.",
        choices=("joint", "weighted"),
    )
    window: str = _setting(
        "short",
        "Where the 16 frames that a network over time reads come from: 0.64 s, or the whole labelled clip.",
        choices=("short", "clip"),
    )
    start_from: tuple[str, ...] = _setting(
        (),
        "Start from the weights of this model: those of the same streams, or of a stream that another can "
        "start from, as c3d from still; or from facenet or denoising, see docs/training.md. May be repeated.",
        metavar="MODEL",
    )
    finetune: bool = field(default=False, metadata={SETTING: None})  # set by `fervid finetune`
    epochs: int = _setting(
        40, "Epochs for each stream; 0 keeps the streams as --start-from gives them.", 0, MOST_EPOCHS
    )
    joint_epochs: int = _setting(10, "Epochs of joint fine-tuning.", 1, MOST_EPOCHS)
    # The weights of the losses in the paper on joint fine-tuning (Jung et al., 2015).
    own_loss: float = _setting(1.0, "In joint fine-tuning, the weight of each stream's own loss.", 0)
    sum_loss: float = _setting(0.1, "In joint fine-tuning, the weight of the loss of their sum.", 0)
    fixed_tops: tuple[str, ...] = _setting(
        (),
        "Streams, joined by +, with top layers that joint fine-tuning does not change: the others learn what "
        "these miss.",
        joined="+",
        metavar="STREAMS",
    )
    epoch_clips: int = _setting(0, "Clips per epoch; 0 draws one of every sample.", 0, MOST_CLIPS)
    moving: float = _setting(
        0.0, "The share of clips in an epoch of clips and stills; 0: as in the data.", 0, 1
    )
    batch: int = _setting(64, "Clips per batch.", 2, MOST_BATCH)
    rate: float = _setting(1.0, "A factor for each stream's own learning rate.", 0)
    optimizer: str = _setting(
        "own",
        "The optimizer of streams that are trained alone: each stream's own, or this one at its usual rate.",
        choices=("own", "sgd", "adam", "adamw"),
    )
    soft_labels: float = _setting(
        0.5,
        "The weight of the annotators' votes, if there are any; the rest is the weight of the label.",
        0,
        1,
    )
    smoothing: float = _setting(
        0.05, "Label smoothing: the share of a label that is spread over all labels.", 0, 0.5
    )
    balance: float = _setting(0.5, "0: classes weigh by frequency; 1: all classes weigh the same.", 0, 1)
    mixup: float = _setting(0.0, "Strength of mixup, which blends pairs of clips; 0 blends none.", 0)
    center_loss: float = _setting(0.0, "Weight of the center loss.", 0)
    island_loss: float = _setting(0.0, "Weight of the island loss.", 0)
    locality_loss: float = _setting(0.0, "Weight of the locality-preserving loss.", 0)
    tuplet_loss: float = _setting(0.0, "Weight of the (N+M)-tuplet clusters loss.", 0)
    triplet_loss: float = _setting(0.0, "Weight of the exponential triplet loss.", 0)
    augmentation: str = _setting(
        "strong",
        "How strongly clips are augmented in training; crops: only by random crops and mirror images.",
        choices=("none", "mild", "strong", "crops"),
    )
    illumination: str = _setting(
        "none", "Normalise illumination by this method, such as he or dog.", metavar="METHOD"
    )
    coarse: float = _setting(
        0.0, "The share of epochs, from the first, with faces of 48 pixels, at half the cost.", 0, 1
    )
    variants: bool = _setting(
        False,
        "Train on each clip with one of four illumination methods at random, instead of --illumination.",
    )  # Kuo et al.
    held_out: float = _setting(0.15, "The share of people held out for validation.", 0, 0.9)
    teacher: str = _setting(
        "", "Also learn from this model's answers; it must not know the validation samples.", metavar="MODEL"
    )
    teacher_share: float = _setting(
        0.5, "The weight of the teacher's answers; the rest is the weight of the label.", 0, 1
    )
    teacher_temperature: float = _setting(
        2.0,
        "The divisor of the teacher's logits: a larger one gives the less likely labels more weight.",
        0.1,
    )
    committee: int = _setting(
        1,
        "Train a committee of this many models, with different seeds, which answer together.",
        1,
        MOST_MODELS,
    )
    vote: str = _setting(
        "mean", "How a committee answers: by the mean, or by the majority.", choices=("mean", "majority")
    )
    patience: int = _setting(
        0, "Stop a stream after this many epochs without an improvement; 0 never stops early.", 0, MOST_EPOCHS
    )
    average: float = _setting(0.999, "Decay of the moving average of the weights.", 0, 0.99999)
    seed: int = _setting(0, "The seed of all random numbers.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        self._check_streams()
        self._check_choices()
        if self.latent:
            self._check_latent()
        fixed = [name for name in self.streams if not streams.registered(name).any_side]
        if self.coarse and len(fixed) == len(self.streams):
            raise UsageError(f"--coarse does not apply to {'+'.join(self.streams)}: leave it out")
        if self.epochs == 0 and not self.start_from:
            raise UsageError("--epochs 0 trains no stream: give --start-from with a trained model")
        for name, setting in settings().items():
            value = getattr(self, name)
            low, high = setting.low, setting.high
            if low is not None and (not value >= low or (high is not None and value > high)):
                limits = f"at least {low}" if high is None else f"from {low} to {high}"
                raise UsageError(f"--{name.replace('_', '-')} must be {limits}, not {value:g}")

    def _check_streams(self) -> None:
        have = streams.names()
        if (
            not self.streams
            or not set(self.streams) <= set(have)
            or len(set(self.streams)) < len(self.streams)
        ):
            raise UsageError(
                f"--streams must be different names of {', '.join(have)}; not {'+'.join(self.streams)!r}"
            )
        if self.fixed_tops and not set(self.fixed_tops) < set(self.streams):
            raise UsageError(
                f"--fixed-tops must be some of --streams, not all; not {'+'.join(self.fixed_tops)!r}"
            )
        stray = sorted(set(self.sizes) - set(self.streams))
        if stray:
            raise UsageError(f"--size names {stray[0]!r}, which is not in --streams")
        if any(value < 1 for sizes in self.sizes.values() for value in sizes.values()):
            raise UsageError("--size must be at least 1")

    def _check_latent(self) -> None:
        """Raise UsageError for settings that need a single target per sample, which a latent truth is not."""
        conflicts = {
            "--mixup": bool(self.mixup),
            "--teacher": bool(self.teacher),
            "--fusion joint": self.fusion == "joint" and len(self.streams) > 1,
        }
        for name in self.streams:
            conflicts[f"--streams {name}"] = streams.registered(name).has_support_vectors
        if given := [name for name, is_given in conflicts.items() if is_given]:
            raise UsageError(f"--labels latent cannot be combined with {given[0]}")

    def _check_choices(self) -> None:
        from fervid.clips import illumination  # imported here: it is slow, and the options need this module

        choices = {name: setting.choices for name, setting in settings().items() if setting.choices}
        for name, known in (choices | {"illumination": illumination.names()}).items():
            if getattr(self, name) not in known:
                raise UsageError(f"--{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
        }
        for name, given in kept.items():
            _check_kind(name, given, getattr(cls, name, {} if name == "sizes" else ()))
        return cls(**kept)


def _check_kind(name: str, value: Any, default: Any) -> None:
    """Raise TypeError if a stored setting is not of the kind of its default."""
    kind = (int, float) if type(default) is float else type(default)
    parts: Any = value if isinstance(value, tuple) else ()
    if (
        not isinstance(value, kind)
        or (isinstance(value, bool) and not isinstance(default, bool))
        or not all(isinstance(part, str) for part in parts)
    ):
        raise TypeError(f"{name} is {value!r:.40}")
    if isinstance(value, dict):
        for stream, sizes in value.items():
            for size, number in sizes.items():
                _check_kind(f"{stream}.{size}", number, 0)


def settings() -> dict[str, Setting]:
    """Return the settings of the fields of `Recipe` that are options, by name."""
    return {field.name: s for field in fields(Recipe) if (s := field.metadata[SETTING]) is not None}
