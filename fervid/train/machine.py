"""The hardware of a training run: device, precision, and the other processes of torchrun."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

import torch
from torch import distributed, nn

from fervid.model import check_device
from fervid.streams.network import Network

LARGE = 1_000_000  # weights


@dataclass(frozen=True)
class Machine:
    """One process among `parts` of the same run; all have the same data and weights."""

    device: torch.device
    part: int = 0
    parts: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and messages."""
        return self.part == 0

    def autocast(self, network: Network) -> AbstractContextManager[object]:
        """Compute in bfloat16 where it is faster: large normalised convolutions, on hardware that has it.

        Recurrent networks gain no speed and lose precision; without normalisation gradients leave its range;
        and on a CPU the gradients of narrow 3-D convolutions have been wrong in it.
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

    def average_gradients(self, network: nn.Module) -> None:
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
        """Return the sums over the processes."""
        if self.parts == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return summed.tolist()

    def broadcast(self, values: tuple[float, float, float]) -> tuple[float, float, float]:
        """Return the main process's values, so that all processes decide alike."""
        if self.parts == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        first, second, third = tensor.tolist()
        return first, second, third

    def average_buffers(self, network: nn.Module) -> None:
        """Average the running statistics of normalisation, which differ between processes."""
        if self.parts == 1:
            return
        for buffer in network.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= self.parts

    def wait(self) -> None:
        """Wait for every process."""
        if self.parts > 1:
            distributed.barrier()


def has_bfloat16() -> bool:
    """Return whether the CPU has bfloat16 instructions; without them it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def open_machine(device: str = "cpu", jobs: int | None = None) -> Iterator[Machine]:
    """Open the machine of this run; under torchrun, one of several processes, each on its GPU or CPU."""
    check_device(device)
    parts = int(os.environ.get("WORLD_SIZE", "1"))
    if jobs is not None:  # shared by the processes of this computer
        torch.set_num_threads(max(1, jobs // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    torch.set_flush_denormal(True)  # denormal gradients slow a CPU down tenfold
    try:
        if parts == 1:
            yield Machine(torch.device(device))
        else:
            with _open_process(parts, device) as machine:
                yield machine
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def _open_process(parts: int, device: str) -> Iterator[Machine]:
    """Join the processes that torchrun has started."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda":
        torch.cuda.set_device(local)
    # Its functions keep the group that is open when torch imports it. A group that is alive at the end of
    # Python can abort the process: a thread of gloo still frees the tensors of the last barrier.
    import_module("torch.distributed.nn.functional")
    # The others wait while the main process detects faces, which can take hours.
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=timedelta(days=3))
    try:
        yield Machine(
            torch.device(device, local) if device == "cuda" else torch.device(device),
            distributed.get_rank(),
            parts,
        )
    finally:
        distributed.destroy_process_group()
