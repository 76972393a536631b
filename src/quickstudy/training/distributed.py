"""The same training on several processes (``torchrun``): tasks are sharded, meta-gradients summed.

On one process all of this does nothing, so the outer loop has no second path.
"""

import atexit
import os
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from quickstudy.core.batch import Batch
from quickstudy.core.errors import UsageError

B = TypeVar("B", bound=Batch)
T = TypeVar("T")


def start(device: torch.device) -> None:
    """Join the process group that ``torchrun`` announces in the environment, if it does."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(_leave)


def _leave() -> None:
    """Before the interpreter ends: a group that is still there when C++ ends may abort the process."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, 0 on one process."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def shard(batch: B) -> B:
    """This process's part of a batch that every process drew alike.

    Raises:
        UsageError: fewer tasks than processes.
    """
    if len(batch) < world():
        raise UsageError(f"{len(batch)} tasks cannot be shared by {world()} processes; raise meta_batch.")
    return batch[len(batch) * rank() // world() : len(batch) * (rank() + 1) // world()]


def sum_(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor by its sum over the processes (one collective for all of them)."""
    tensors = list(tensors)
    if world() == 1 or not tensors:
        return
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    flat = torch.cat([t.detach().reshape(-1).to(device, torch.float64) for t in tensors])
    dist.all_reduce(flat)
    for t, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        t.copy_(part.view_as(t))


def gather(own: T) -> list[T]:
    """What each process has, in their order (sent by pickle, between the processes of one training)."""
    if world() == 1:
        return [own]
    found: list[Any] = [None] * world()
    dist.all_gather_object(found, own)
    return found


def same_start_(module: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    if world() > 1:
        for t in (*module.parameters(), *module.buffers()):
            dist.broadcast(t.detach(), 0)


def average_buffers_(module: nn.Module, weight: float) -> None:
    """Give every process the mean of what each made of the module's buffers, weighed by their shares of the tasks."""
    if world() > 1:
        buffers = list(module.buffers())
        means = [b.double() * weight for b in buffers]
        sum_(means)
        for b, mean in zip(buffers, means, strict=True):
            b.copy_(mean if b.is_floating_point() else mean.round())


def weigh_gradients(module: nn.Module, weight: float) -> list[Tensor]:
    """The module's gradients, scaled in place by this process's share of the tasks."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    if world() > 1:
        for g in grads:
            g.mul_(weight)
    return grads


def pick_device(name: str | torch.device) -> torch.device:
    """``auto`` is a GPU if there is one, else the CPU.

    Raises:
        UsageError: no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UsageError(f"cannot use device {name!r}: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))  # torchrun: a GPU for each process
    return device
