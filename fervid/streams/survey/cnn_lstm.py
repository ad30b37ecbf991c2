"""An LSTM over a frame net's features: LRCN (Donahue et al., 2015), CNN-RNN (Fan et al., EmotiW 2016).

Faithful: features of single frames, one LSTM of 256, a prediction at every step, averaged; everything is
trained together. The frame net can be trained on pictures first, as Fan's is (--start-from a `still`).

Chosen: the frame net is `still`, 2.8 million weights instead of a VGG-16's 138; every second frame of a
window is read; logits are averaged, and not probabilities, so that the top stays one linear layer.
"""

from __future__ import annotations

from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.still import OverFrames

EVERY = 2  # every second frame of a window is read


@stream("cnn_lstm")
class CNNLSTM(OverFrames):
    """`still` of 8 frames -> LSTM -> mean over the steps."""

    optimizer, rate, decay = "adamw", 1e-3, 1e-2

    def __init__(self, classes: int, width: int = 32, blocks: int = 2, hidden: int = 256) -> None:
        super().__init__(classes, width, blocks)
        self.recurrent = nn.LSTM(self.top.in_features, hidden, batch_first=True)
        self.top = nn.Linear(hidden, classes)

    def features(self, clip: Tensor) -> Tensor:
        states, _ = self.recurrent(self.dropout(self.frame_features(clip[:, ::EVERY])))
        return self.dropout(states.mean(1))
