"""DCPN: peak piloting at every depth of a deeper net, trained in cascade (Yu, Liu and Liu, 2017).

Faithful: peak-piloted as `peak_piloted`, with the same suppressed gradient; the maps between the layers of
weak frames are drawn to those of the peak, too; a deeper net (the paper's has 42 layers), fine-tuned in
cascade from a trained one, so that it does not overfit.

Chosen: nearly everything else, as the details of the cascade are behind the publisher's paywall. The deeper
net is `peak_piloted` with a residual module after each of its nine, 40 layers in all; a new residual module
changes nothing. So the cascade is: train `peak_piloted`, then start from it (--streams cascaded_peak
--start-from). The peak pilots after each of the three stages and at the features, with equal weights.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from fervid.streams import stream
from fervid.streams.survey.peak_piloted import Inception, PeakPiloted, convolved


class Deepened(nn.Module):
    """A module followed by a residual one of two convolutions, which changes nothing at first."""

    def __init__(self, module: Inception) -> None:
        super().__init__()
        self.module, inner = module, max(1, module.after // 8)
        self.narrow = convolved(module.after, inner, 3)
        self.wide = nn.Conv2d(inner, module.after, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(module.after)
        nn.init.zeros_(self.norm.weight)

    def forward(self, maps: Tensor) -> Tensor:
        before = self.module(maps)
        return nn.functional.relu(before + self.norm(self.wide(self.narrow(before))))


@stream("cascaded_peak")
class CascadedPeak(PeakPiloted):
    """`peak_piloted`, with a residual module after each of its modules."""

    parent = "peak_piloted"
    pilots = (0, 1, 2, 3)

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__(classes, width)
        for stage in self.stages:
            assert isinstance(stage, nn.Sequential)
            for index, module in enumerate(stage):
                assert isinstance(module, Inception)
                stage[index] = Deepened(module)

    def inflate(self, parent: Mapping[str, Tensor]) -> None:
        """Start from the weights of a `peak_piloted` of the same width."""
        weights = {}
        for name, value in parent.items():
            parts = name.split(".")
            if parts[0] == "stages":  # stages.STAGE.MODULE.rest
                parts.insert(3, "module")
            weights[".".join(parts)] = value
        self.load_state_dict(self.state_dict() | weights)
