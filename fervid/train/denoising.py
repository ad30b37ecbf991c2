"""An unsupervised start: a frame network is the encoder of a denoising autoencoder (Vincent et al., 2010).

Faithful: parts of each picture are set to the mean (masking noise), the decoder restores the whole picture
from the code, by squared error, and the encoder's weights are where the training with labels starts. Chosen:
the whole network is trained at once, not layer by layer, with a decoder of its own; its code is the network's
features; squares are masked instead of single pixels, because a convolution fills single pixels from their
neighbours; the picture is restored at half its size. It sees the training pictures, augmented, for as many
epochs as the training with labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.faces.shape import CROP
from fervid.streams.network import Network
from fervid.train.batches import Batch, Clips
from fervid.train.fitting import Stage
from fervid.train.machine import Machine
from fervid.train.stages import Run

SQUARE = 8  # pixels: the side of what is masked
MASKED = 0.25  # share of the squares
SIDE = CROP // 2  # pixels of the restored picture
MAPS = 32  # of the decoder's first layer, at a quarter of SIDE
OPTIMIZER, RATE, DECAY = "adamw", 1e-3, 1e-2


def is_possible(network: Network | type[Network]) -> bool:
    """Return whether a network can start so: it reads single faces."""
    return network.reads == "faces" and network.frames == 1


class Denoiser(nn.Module):
    """A frame network as encoder, and a decoder: features (B, F) -> pictures (B, SIDE, SIDE)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        small = SIDE // 4
        self.decoder = nn.Sequential(
            nn.Linear(network.top.in_features, MAPS * small**2),
            nn.ReLU(),
            nn.Unflatten(1, (MAPS, small, small)),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(MAPS, MAPS // 2, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(MAPS // 2, 1, 3, padding=1),
        )

    def forward(self, faces: Tensor, corrupted: Tensor) -> Tensor:
        """Return the mean squared error for single frames: clean and corrupted faces (B, 1, S, S)."""
        restored = self.decoder(self.network.features(corrupted).float())
        return nn.functional.mse_loss(restored, small(faces))


def small(faces: Tensor) -> Tensor:
    """Return faces (B, 1, S, S) at the size of restored ones."""
    return nn.functional.interpolate(faces, (SIDE, SIDE), mode="area")


def masked(faces: Tensor) -> Tensor:
    """Set random squares of faces (B, 1, S, S) to 0, their mean, by torch's generator."""
    count = -(-faces.shape[-1] // SQUARE)
    kept = (torch.rand(len(faces), 1, count, count) >= MASKED).to(faces)
    whole = kept.repeat_interleave(SQUARE, 2).repeat_interleave(SQUARE, 3)
    return faces * whole[..., : faces.shape[-2], : faces.shape[-1]]


def train(run: Run, network: Network, name: str) -> None:
    """Train a network as the encoder of an autoencoder, on the training pictures without their labels."""
    learner = Denoiser(network).to(run.machine.device)

    def loss(batch: Batch) -> tuple[Tensor, None]:
        faces = batch["faces"]
        with run.machine.autocast(network):
            return learner(faces, masked(faces)), None

    clips = run.validation_clips(network)
    stage = Stage(
        name=f"{name}.denoising",
        epochs=run.recipe.epochs,
        rate=RATE * run.recipe.rate,
        decay=DECAY,
        optimizer=OPTIMIZER,
        learner=learner,
        loss=loss,
        validate=lambda: explained(learner, clips, run.recipe.batch, run.machine),
        measure="explained variance",
    )
    run.fit(stage, run.training_clips(network))


def explained(learner: Denoiser, clips: Clips, batch: int, machine: Machine) -> tuple[float, float, float]:
    """Return the share of the variance of clean pictures that is restored, twice, and the error."""
    error = total = 0.0
    for _, ready in clips.plain(batch, machine.device):
        faces = ready["faces"]
        wanted = small(faces)
        error += float(learner(faces, faces)) * wanted.numel()
        total += float((wanted - wanted.mean((2, 3), keepdim=True)).square().sum())
    share = 1 - error / max(total, 1e-9)
    return share, share, error / max(total, 1e-9)
