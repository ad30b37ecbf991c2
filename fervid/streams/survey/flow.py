"""A net over optical flow of the aligned face (two streams: Simonyan and Zisserman, 2014; Sun et al., 2017).

Faithful: flow along x and y and the size of the optical strain, clipped and scaled to -1..1, stacked over
the frames of a clip as the channels of a frame net. With a frame net it makes the two-stream ensemble
(`still+flow`, --fusion weighted).

With --size flow.rest=1 the net also reads the flow from the first frame to each of the others, which is that
from the neutral to the apex of Sun et al. if the clip begins at rest and is read whole (--window clip).

Chosen: the faces are aligned, so that flow is motion of the face and not of the head. By default it is
computed only from each of six frames to the next, because a window of 0.64 s seldom has a neutral frame. The
method is Farneback's on 64 pixels; there a large motion between frames 0.1 s apart is two
pixels, not 20. The net is small and normalised. A face that keeps its expression has no flow; training
therefore takes the windows in which it changes most.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, sample_frames

FRAMES = 6
CHANNELS = 3  # u, v, strain
MOST = 2.0  # pixels between two frames; more is clipped
MOST_FROM_REST = 6.0  # the same, from the first frame to another
STRAIN_GAIN = 4.0  # strain, the flow's change from pixel to pixel, is smaller than flow
GREY, CONTRAST = 128.0, 40.0  # from unit contrast back to the grey values that the method expects
EDGE = 8  # pixels of padding, because the method computes false motion near the edge
DROPOUT = 0.4


def flow_and_strain(clip: Tensor, from_rest: bool = False) -> Tensor:
    """Return flow and strain between neighbouring frames: (B, L, S, S) -> (B, 3 * (L - 1), S, S) in -1..1.

    With `from_rest` it is between the first frame and each of the others.
    """
    pictures = (GREY + CONTRAST * clip.detach().float()).clamp(0, 255).to(torch.uint8).cpu().numpy()
    batch, length, side, _ = pictures.shape
    pictures = np.pad(pictures, ((0, 0), (0, 0), (EDGE, EDGE), (EDGE, EDGE)), mode="edge")
    most = MOST_FROM_REST if from_rest else MOST
    flows = np.empty((batch, length - 1, CHANNELS, side, side), np.float32)
    for index, frames in enumerate(pictures):
        for step in range(length - 1):
            flow = _flow(frames[0 if from_rest else step], frames[step + 1])
            flows[index, step] = _with_strain(flow, most)[:, EDGE:-EDGE, EDGE:-EDGE]
    return torch.from_numpy(flows).flatten(1, 2).to(clip.device)


def _flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the flow from one frame to another: (S, S, 2)."""
    flow = cv2.calcOpticalFlowFarneback(
        before,
        after,
        np.zeros((*before.shape, 2), np.float32),
        pyr_scale=0.5,
        levels=3,
        winsize=9,
        iterations=2,
        poly_n=5,
        poly_sigma=1.1,
        flags=0,
    )
    return np.asarray(flow, np.float32)


def _with_strain(flow: np.ndarray, most: float) -> np.ndarray:
    """Return the channels of flow (S, S, 2), and the size of its strain: (3, S, S)."""
    right, down = flow[..., 0], flow[..., 1]
    right_down, right_right = np.gradient(right)
    down_down, down_right = np.gradient(down)
    shear = (right_down + down_right) / 2
    strain = np.sqrt(right_right**2 + down_down**2 + 2 * shear**2)
    return np.stack([right, down, STRAIN_GAIN * strain]).clip(-most, most) / most


def convolved(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())


@stream("flow")
class Flow(Network):
    """6 frames -> 5 x (u, v, strain) -> 64x64 -> four stages of two convolutions -> mean over pixels."""

    reads = "faces"
    by_motion = True

    def __init__(self, classes: int, width: int = 32, rest: int = 0) -> None:
        super().__init__()
        if rest > 1:
            raise ValueError("rest is 0 or 1")
        self.rest = rest
        before = CHANNELS * (FRAMES - 1) * (1 + rest)
        layers: list[nn.Module] = []
        for stage in range(4):
            after = width << stage
            layers += [convolved(before, after, 2), convolved(after, after, 1)]
            before = after
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(before, classes)

    def features(self, clip: Tensor) -> Tensor:
        frames = sample_frames(clip, FRAMES)
        flow = flow_and_strain(frames)
        if self.rest:
            flow = torch.cat([flow, flow_and_strain(frames, from_rest=True)], dim=1)
        return self.dropout(self.layers(flow).mean((2, 3)))
