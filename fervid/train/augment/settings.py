"""The settings of augmentation: the greatest strength of each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from fervid.errors import UsageError

ILLUMINATIONS = ("none", "kuo")


@dataclass(frozen=True)
class Augmentation:
    """The greatest strength of each change; 0, the default, turns it off.

    A clip draws its own strength of each, evenly from zero, or from the opposite, to the greatest.
    """

    flip: float = 0.0  # chance
    rotation: float = 0.0  # degrees, either way
    scale: float = 0.0  # the face grows or shrinks by this share
    shift: float = 0.0  # share of the side, each way
    aspect: float = 0.0  # the face gets wider or narrower by this share
    shear: float = 0.0  # the same along the diagonals
    wander: float = 0.0  # change of rotation (radians), scale and shift during a clip

    chance: float = 0.0  # of each of the changes to the pixels that follow
    occlusion: float = 0.0  # hidden share of the side, each way
    gradient: float = 0.0  # half the natural logarithm of the light on one side over that on the other
    light: float = 0.0  # natural logarithm of gain and of gamma
    contrast: float = 0.0  # natural logarithm of the contrast about the mean
    blur: float = 0.0  # pixels, deviation
    motion: float = 0.0  # pixels that the face moves while the shutter is open
    lowres: float = 0.0  # share of the side's pixels that is lost
    gaussian: float = 0.0  # grey levels, deviation
    salt_and_pepper: float = 0.0  # share of the pixels
    speckle: float = 0.0  # deviation of each pixel's gain
    compression: float = 0.0  # fall of JPEG's quality from 1

    illumination: str = "none"  # "kuo": each clip is raw, equalised, stretched, or the mean of these two

    landmark_noise: float = 0.0  # eye distances, deviation over the frames; twice that at the jaw
    landmark_bias: float = 0.0  # the same, for the error that all frames of a clip share

    speed: float = 0.0  # time runs faster or slower by this share
    dropped: float = 0.0  # share of dropped frames

    def __post_init__(self) -> None:
        if self.illumination not in ILLUMINATIONS:
            have = ", ".join(ILLUMINATIONS)
            raise UsageError(f"augmentation illumination must be one of {have}, not {self.illumination!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            most = MOST.get(field.name, float("inf"))
            if field.name != "illumination" and not 0 <= value <= most:
                raise UsageError(f"augmentation {field.name} must be from 0 to {most:g}, not {value:g}")

    @property
    def warps(self) -> bool:
        """Whether pixels move to positions between pixels."""
        return any((self.rotation, self.scale, self.shift, self.aspect, self.shear, self.wander))


MOST: Mapping[str, float] = {
    **dict.fromkeys(("flip", "chance", "occlusion", "salt_and_pepper", "compression", "dropped"), 1.0),
    **dict.fromkeys(("aspect", "shear", "lowres"), 0.9),
}

OFF = Augmentation()
MILD = Augmentation(
    flip=0.5,
    rotation=6,
    scale=0.05,
    shift=0.03,
    aspect=0.02,
    shear=0.01,
    wander=0.01,
    chance=0.15,
    occlusion=0.3,
    gradient=0.5,
    light=0.25,
    contrast=0.3,
    blur=0.8,
    motion=3,
    lowres=0.4,
    gaussian=6,
    salt_and_pepper=0.01,
    speckle=0.06,
    compression=0.7,
    landmark_noise=0.01,
    landmark_bias=0.01,
    speed=0.1,
    dropped=0.1,
)
STRONG = Augmentation(
    flip=0.5,
    rotation=12,
    scale=0.1,
    shift=0.05,
    aspect=0.05,
    shear=0.03,
    wander=0.02,
    chance=0.25,
    occlusion=0.5,
    gradient=0.8,
    light=0.5,
    contrast=0.4,
    blur=1.5,
    motion=6,
    lowres=0.6,
    gaussian=12,
    salt_and_pepper=0.03,
    speckle=0.12,
    compression=0.9,
    landmark_noise=0.025,
    landmark_bias=0.025,
    speed=0.25,
    dropped=0.3,
)

# Kuo, Lai and Sarkis (2018): a random crop of 96 of 120 pixels, or its mirror image; here 64 of 80, which a
# strip contains. The middle crop, which a test reads, is the crop of an analysis.
CROPS = Augmentation(flip=0.5, shift=(80 - 64) / 2 / 64)

AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {"none": OFF, "mild": MILD, "strong": STRONG, "crops": CROPS}
)
