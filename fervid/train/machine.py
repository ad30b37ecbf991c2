"""The hardware of a training run: its device, its arithmetic, and the other processes of a torchrun."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn

from fervid.model import check_device
from fervid.streams.network import Network

LARGE = 1_000_000  # weights


@dataclass(frozen=True)
class Machine:
    """One process among `parts` of the same run."""

    device: torch.device
    part: int = 0
    parts: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints messages."""
        return self.part == 0

    def arithmetic(self, network: Network) -> AbstractContextManager[object]:
        """Compute in bfloat16 where it pays: for large normalised convolutions, on hardware that has it.

        Recurrent nets gain nothing and lose digits; without normalisation gradients leave its range; and on
        a CPU the gradients of narrow 3-D convolutions have come out as garbage in it.
        """
        norms = any(isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) for module in network.modules())
        if (
            not (norms and network.allows_bfloat16)
            or sum(parameter.numel() for parameter in network.parameters()) < LARGE
        ):
            return contextlib.nullcontext()
        if self.device.type == "cuda":
            return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported())
        return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())

    def shared(self, network: nn.Module) -> None:
        """Average the gradients over the processes."""
        if self.parts == 1:
            return
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])  # one message for all of them
        distributed.all_reduce(together)
        together /= self.parts
        shares = torch.split(together, [gradient.numel() for gradient in gradients])
        for gradient, share in zip(gradients, shares, strict=True):
            gradient.copy_(share.view_as(gradient))

    def total(self, values: list[float]) -> list[float]:
        """Sum over the processes."""
        if self.parts == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return summed.tolist()

    def agreed(self, values: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return the leading process's values in all processes, so that they decide alike."""
        if self.parts == 1:
            return values
        agreed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(agreed, 0)
        first, second, third = agreed.tolist()
        return first, second, third

    def evened(self, network: nn.Module) -> None:
        """Average the running figures of normalisation, which each process gathers for itself."""
        if self.parts == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= self.parts

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.parts > 1:
            distributed.barrier()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; elsewhere it would be slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def open_machine(device: str = "cpu", jobs: int | None = None) -> Iterator[Machine]:
    """Open the machine of this run; under torchrun, one of several processes on one GPU or CPU each."""
    check_device(device)
    parts = int(os.environ.get("WORLD_SIZE", "1"))
    if jobs is not None:  # of this computer: its processes share them
        torch.set_num_threads(max(1, jobs // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    torch.set_flush_denormal(True)  # fading gradients would slow a processor down tenfold
    try:
        if parts == 1:
            yield Machine(torch.device(device))
        else:
            with _one_of(parts, device) as machine:
                yield machine
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def _one_of(parts: int, device: str) -> Iterator[Machine]:
    """Join the processes that torchrun has started."""
    here = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        torch.cuda.set_device(here)
    # The first process finds the faces while the others wait: for hours, where there are many.
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=timedelta(days=3))
    try:
        yield Machine(
            torch.device(device, here) if device == "cuda" else torch.device(device),
            distributed.get_rank(),
            parts,
        )
    finally:
        distributed.destroy_process_group()
