"""What decides what training makes of its data: one frozen record, kept beside the model that it made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fervid import streams
from fervid.augment.settings import AUGMENTATIONS
from fervid.clips import illumination
from fervid.errors import UsageError
from fervid.model import FUSIONS
from fervid.train.fusion import OWN, TOGETHER

FINE = 0.1  # of the usual rate, where a trained model is fine-tuned


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run; their names are those of the command line."""

    data: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()  # data of its own; empty: a part of `data` is held out
    labels: tuple[str, ...] = ()  # empty: those of the data
    streams: tuple[str, ...] = ("c3d", "phrnn")
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # stream -> size -> value
    fusion: str = "joint"
    start_from: tuple[str, ...] = ()  # models whose weights are taken over
    finetune: bool = False
    epochs: int = 40  # 0: the streams stay as the models to start from have them
    joint_epochs: int = 10
    own_loss: float = OWN  # of joint fine-tuning: what each stream's loss weighs, and that of their sum
    sum_loss: float = TOGETHER
    epoch_clips: int = 0  # how many clips make an epoch; 0: one of every sample
    moving: float = 0.0  # share of an epoch that are clips and no stills; 0: as they come
    batch: int = 64
    rate: float = 1.0  # times the stream's own learning rate
    soft_labels: float = 0.5  # share of the votes, where there are any, in what a sample is taught as
    smoothing: float = 0.05  # share of every label that is spread over all
    balance: float = 0.5  # 0: classes weigh what they count, 1: all the same
    mixup: float = 0.0  # strength of mixing two clips into one; 0: none
    center_loss: float = 0.0
    island_loss: float = 0.0
    locality_loss: float = 0.0
    tuplet_loss: float = 0.0
    triplet_loss: float = 0.0
    augmentation: str = "strong"
    illumination: str = "none"
    coarse: float = 0.0  # share of the epochs, the first ones, that show faces smaller, at half the cost
    variants: bool = False  # teach each clip under one of four illuminations (Kuo et al.)
    held_out: float = 0.15  # share of the subjects for validation
    patience: int = 0  # epochs without a better validation after which a stream stops; 0: never early
    average: float = 0.999  # of the averaged weights, what stays at each step
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.streams) - set(streams.names()))
        if unknown or not self.streams or len(set(self.streams)) < len(self.streams):
            have = ", ".join(streams.names())
            raise UsageError(f"--streams takes different names of: {have}; not {'+'.join(self.streams)!r}")
        if self.fusion not in FUSIONS:
            raise UsageError(f"--fusion is one of {', '.join(FUSIONS)}, not {self.fusion!r}")
        if self.augmentation not in AUGMENTATIONS:
            raise UsageError(
                f"--augmentation is one of {', '.join(AUGMENTATIONS)}, not {self.augmentation!r}"
            )
        if self.illumination not in illumination.names():
            raise UsageError(
                f"--illumination is one of {', '.join(illumination.names())}, not {self.illumination!r}"
            )
        fixed = [name for name in self.streams if not streams.registered(name).any_side]
        if self.coarse and len(fixed) == len(self.streams):
            raise UsageError(f"--coarse is of no use to {'+'.join(self.streams)}, which read one size alone")
        stray = sorted(set(self.sizes) - set(self.streams))
        if stray:
            raise UsageError(f"--size names {stray[0]!r}, which is none of --streams")
        if any(value < 1 for sizes in self.sizes.values() for value in sizes.values()):
            raise UsageError("--size takes numbers from 1 on")
        if self.epochs == 0 and not self.start_from:
            raise UsageError("without --epochs every stream has to come from a model: give --start-from")
        for name, low, high in (
            ("epochs", 0, None),
            ("joint_epochs", 1, None),
            ("epoch_clips", 0, None),
            ("batch", 2, None),
            ("rate", 0, None),
            ("soft_labels", 0, 1),
            ("smoothing", 0, 0.5),
            ("balance", 0, 1),
            ("mixup", 0, None),
            ("own_loss", 0, None),
            ("sum_loss", 0, None),
            ("moving", 0, 1),
            ("coarse", 0, 1),
            ("center_loss", 0, None),
            ("island_loss", 0, None),
            ("locality_loss", 0, None),
            ("tuplet_loss", 0, None),
            ("triplet_loss", 0, None),
            ("held_out", 0, 0.9),
            ("patience", 0, None),
            ("average", 0, 0.99999),
            ("seed", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if not value >= low or (high is not None and value > high):
                limits = f"at least {low}" if high is None else f"from {low} to {high}"
                raise UsageError(f"--{name.replace('_', '-')} should be {limits}, not {value:g}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recipe:
        known = {one.name for one in fields(cls)}
        kept: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in value.items() if k in known
        }
        return cls(**kept)
