"""A GRU over a compact frame net's probabilities of nine frames (Kuo, Lai and Sarkis, CVPR workshops 2018).

Faithful: the frame net is `compact`, trained on its own cross-entropy; nine frames, evenly sampled; a GRU of
128 reads their probabilities, and nothing else, and its last state is classified. No gradient flows from the
GRU to the frame net.

Chosen: the sequence is the whole clip (--window clip) or 0.64 s; both are trained at once, unless the frame
net is trained first (--start-from); the sizes are the paper's tiny ones, because nine frames of the full net
take a CPU half a second a window (--size compact_gru.first=64 --size compact_gru.second=64 for the full net).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.network import init_small, sample_frames
from fervid.streams.survey.compact import Compact

FRAMES = 9


@stream("compact_gru")
class CompactGRU(Compact):
    """9 frames -> `compact` -> 9 x C probabilities -> GRU."""

    frames = 16
    parent = "compact"

    def __init__(
        self,
        classes: int,
        first: int = 16,
        second: int = 32,
        hidden: int = 64,
        side: int = 96,
        memory: int = 128,
    ) -> None:
        super().__init__(classes, first, second, hidden, side)
        self.frame_top = nn.Linear(hidden, classes)
        init_small(self.frame_top)
        self.recurrent = nn.GRU(classes, memory, batch_first=True)
        self.top = nn.Linear(memory, classes)

    def features(self, clip: Tensor) -> Tensor:
        return self._read(self._frame_logits(clip))

    def features_and_loss(self, clip: Tensor, targets: Tensor) -> tuple[Tensor, Tensor | None]:
        logits = self._frame_logits(clip)  # (B, 9, C)
        repeated = targets[:, None].expand_as(logits)
        flat = logits.flatten(0, 1).float()
        own = nn.functional.cross_entropy(flat, repeated.flatten(0, 1), self.class_weights)
        return self._read(logits), own

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `compact` of the same sizes; its top becomes the frames' top."""
        named = {
            f"frame_{name}" if name.startswith("top.") else name: value for name, value in parent.items()
        }
        self.load_state_dict(self.state_dict() | named)

    def _frame_logits(self, clip: Tensor) -> Tensor:
        """Return the frame net's logits of nine frames: (B, 9, C)."""
        return self.frame_top(self.frame_features(sample_frames(clip, FRAMES)))

    def _read(self, logits: Tensor) -> Tensor:
        states, _ = self.recurrent(torch.softmax(logits, 2).detach())
        return states[:, -1]
