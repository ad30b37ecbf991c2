"""A recurrent net of ReLUs, initialized as the identity, over frame features (Ebrahimi Kahou et al., 2015).

Faithful: features of single frames; one recurrent layer of ReLUs, initialized with the identity as recurrent
weights and zero as biases (Le, Jaitly and Hinton, 2015), so that it has memory before training; the last
state is classified. The frame net can be trained on pictures first, as theirs is (--start-from a `still`).

Chosen: the frame net is `still`; every second frame of a window is read; 200 units, of the 100 to 200 that
they tried; gradients are clipped at 5, as everywhere in fervid (theirs at 1); the optimiser.
"""

from __future__ import annotations

from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.still import OverFrames
from fervid.streams.survey.cnn_lstm import EVERY

BEGIN = 0.01  # deviation of the weights that read the features


@stream("irnn")
class IRNN(OverFrames):
    """`still` of 8 frames -> IRNN -> its last state."""

    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, width: int = 32, blocks: int = 2, hidden: int = 200) -> None:
        super().__init__(classes, width, blocks)
        self.recurrent = nn.RNN(self.top.in_features, hidden, nonlinearity="relu", batch_first=True)
        for name, weights in self.recurrent.named_parameters():
            if "bias" in name:
                nn.init.zeros_(weights)
            elif "hh" in name:
                nn.init.eye_(weights)
            else:
                nn.init.normal_(weights, std=BEGIN)
        self.top = nn.Linear(hidden, classes)

    def features(self, clip: Tensor) -> Tensor:
        states, _ = self.recurrent(self.dropout(self.frame_features(clip[:, ::EVERY])))
        return self.dropout(states[:, -1])
