"""How strong each change of augmentation may get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from fervid.errors import UsageError

ILLUMINATIONS = ("none", "kuo")


@dataclass(frozen=True)
class Augmentation:
    """How strong each change may get; 0 turns it off, and so are all unless given.

    A clip draws its own amount of each, evenly from nothing, or from the opposite, up to the strength.
    """

    flip: float = 0.0  # chance
    rotation: float = 0.0  # degrees at most, either way
    scale: float = 0.0  # share by which the face grows at most, or shrinks
    shift: float = 0.0  # of the side at most, each way
    aspect: float = 0.0  # share by which the face gets wider than high at most, or the reverse
    shear: float = 0.0  # the same along the diagonals
    wander: float = 0.0  # how far rotation (radians), scale and shift stray during a clip at most

    chance: float = 0.0  # of each of the changes to the pixels that follow
    occlusion: float = 0.0  # of the side, how much is hidden at most, each way
    gradient: float = 0.0  # half the natural logarithm of the light on one side over that on the other
    light: float = 0.0  # natural logarithm of gain and of gamma
    contrast: float = 0.0  # natural logarithm of the contrast about the mean
    blur: float = 0.0  # pixels, deviation
    motion: float = 0.0  # pixels that the face moves while the shutter is open
    lowres: float = 0.0  # share of the side's pixels that goes lost
    gaussian: float = 0.0  # grey levels, deviation
    salt_and_pepper: float = 0.0  # share of the pixels
    speckle: float = 0.0  # deviation of each pixel's gain
    compression: float = 0.0  # how far the quality of JPEG falls from 1

    illumination: str = "none"  # "kuo": each clip is raw, equalised, stretched, or half of each of these two

    landmark_noise: float = 0.0  # eye distances, deviation over the frames; twice that at the jaw
    landmark_bias: float = 0.0  # the same of what all frames of a clip have in common

    speed: float = 0.0  # share by which time runs faster at most, or slower
    dropped: float = 0.0  # share of the frames that go lost at most

    def __post_init__(self) -> None:
        if self.illumination not in ILLUMINATIONS:
            have = ", ".join(ILLUMINATIONS)
            raise UsageError(f"augmentation has illumination {have}, not {self.illumination!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            most = MOST.get(field.name, float("inf"))
            if field.name != "illumination" and not 0 <= value <= most:
                raise UsageError(f"augmentation {field.name} should be from 0 to {most:g}, not {value:g}")

    @property
    def warps(self) -> bool:
        """Whether pixels come to lie between the pixels that there were."""
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

AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType({"none": OFF, "mild": MILD, "strong": STRONG})
