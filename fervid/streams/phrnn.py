"""PHRNN: a part-based, hierarchical, bidirectional recurrent net over landmark trajectories.

After Zhang, Huang, Du and Wang (2017): brows, eyes, nose and mouth, each with its own recurrent net, are
joined step by step until a bidirectional LSTM reads the whole face. The paper gives the layers but not their
widths, which are chosen here. So is what follows the LSTM: other implementations concatenate all time steps;
here their mean and maximum are taken, so that an expression counts the same at any time in the clip.

The input differs from the paper's, which is the landmarks' coordinates: each point has its displacement from
the person's neutral face, and beside it its velocity, the change from frame to frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import Network, weigh_by_motion
from fervid.streams.phrnn_numpy import GAIN, INNER, PARTS, VELOCITY_GAIN

DROPOUT = 0.3


def recurrent(inputs: int, hidden: int, layers: int = 1) -> nn.RNN:
    return nn.RNN(inputs, hidden, layers, batch_first=True, bidirectional=True)


@stream("phrnn")
class PHRNN(Network):
    """Four parts -> three groups -> two overlapping groups -> the whole face."""

    reads = "displacement"
    optimizer, rate, decay = "adamw", 2e-3, 1e-2

    def __init__(self, classes: int, width: int = 30, hidden: int = 128, motion: int = 0) -> None:
        """Build the net. Features of a face that moves by `motion` count half, and none if it does not move.

        `motion` is the root mean square over a window, in thousandths of an eye distance. Where other streams
        see the picture, landmarks at rest say more about a person than about an expression.
        """
        super().__init__()
        self.motion = motion / 1000
        points = {name: part.stop - part.start for name, part in PARTS.items()}
        self.parts = nn.ModuleDict({name: recurrent(4 * count, width) for name, count in points.items()})
        outputs = 2 * width  # of a part, both directions
        self.upper = recurrent(2 * outputs, width, 2)  # brows and eyes
        self.nose = recurrent(outputs, width, 2)
        self.mouth = recurrent(outputs, width, 2)
        self.upper_middle = recurrent(2 * outputs, 2 * width, 2)
        self.lower_middle = recurrent(2 * outputs, 2 * width, 2)
        self.whole = nn.LSTM(8 * width, 3 * width, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * 6 * width, hidden)
        self.dropout = nn.Dropout(DROPOUT)
        self.top = nn.Linear(hidden, classes)

    def features(self, clip: Tensor) -> Tensor:
        velocity = clip.diff(dim=1, prepend=clip[:, :1])  # (B, L, 68, 2)
        points = torch.cat([GAIN * clip, VELOCITY_GAIN * velocity], dim=3)  # (B, L, 68, 4)
        part = {name: net(points[:, :, PARTS[name]].flatten(2))[0] for name, net in self.parts.items()}
        upper = self.upper(torch.cat([part["brows"], part["eyes"]], 2))[0]
        nose, mouth = self.nose(part["nose"])[0], self.mouth(part["mouth"])[0]
        upper_middle = self.upper_middle(torch.cat([upper, nose], 2))[0]
        lower_middle = self.lower_middle(torch.cat([nose, mouth], 2))[0]
        whole = self.whole(torch.cat([upper_middle, lower_middle], 2))[0]  # (B, L, 6 * W)
        pooled = torch.cat([whole.mean(1), whole.amax(1)], 1)
        features = self.dropout(nn.functional.relu(self.hidden(self.dropout(pooled))))
        inner = clip[:, :, INNER]
        squared = (inner - inner.mean(1, keepdim=True)).square().sum(3).mean((1, 2))  # (B,)
        return weigh_by_motion(features, squared, self.motion)
