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
_sent: list[Tensor] = []
"""What the last collective was about. Gloo's own thread lets go of it some time after the call; were that the last to
hold it, the thread would need the interpreter to free it, which ends the process where the interpreter is ending."""


def start(device: torch.device) -> None:
    """Join the process group that ``torchrun`` announces in the environment, if it does.

    Raises:
        UsageError: several processes are announced, but not how they find each other.
    """
    if announced() > 1 and not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        except (ValueError, RuntimeError) as error:
            raise UsageError(
                f"the environment says WORLD_SIZE={os.environ['WORLD_SIZE']}, but they cannot meet: {error}. "
                f"Start them with torchrun, or unset WORLD_SIZE."
            ) from error
        atexit.register(leave)


def announced() -> int:
    """How many processes the environment speaks of, whether they have joined or not.

    Raises:
        UsageError: WORLD_SIZE is no number.
    """
    said = os.environ.get("WORLD_SIZE", "1")
    if not said.strip().isdecimal():
        raise UsageError(f"WORLD_SIZE must be the number of processes, got {said!r}; unset it to train on one.")
    return int(said)


def leave() -> None:
    """Leave the process group, if there is one; to be called before the interpreter ends."""
    if dist.is_initialized():
        dist.destroy_process_group()  # waits for gloo's threads, which then let go of what was sent
    _sent.clear()


def finish() -> None:
    """Wait until all processes come here, then leave: none may be ended by the launcher while it still writes."""
    if world() > 1:
        dist.barrier()
    leave()


def rank() -> int:
    """This process's number in the process group, 0 without one (what the environment says alone does not count)."""
    return dist.get_rank() if dist.is_initialized() else 0


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
    return batch[first_of_shard(len(batch)) : len(batch) * (rank() + 1) // world()]


def first_of_shard(tasks: int) -> int:
    """The number of the first of this process's tasks, of so many."""
    return tasks * rank() // world()


def sum_(tensors: Iterable[Tensor]) -> None:
    """Replace every tensor by its sum over the processes (one collective for all of them)."""
    tensors = list(tensors)
    if world() == 1 or not tensors:
        return
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    flat = torch.cat([t.detach().reshape(-1).to(device, torch.float64) for t in tensors])
    dist.all_reduce(flat)
    _sent[:] = [flat]
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
            _sent[:] = [t.detach()]
            dist.broadcast(_sent[0], 0)


def from_first(value: T) -> T:
    """The first process's value, on every process (sent by pickle, between the processes of one training)."""
    if world() == 1:
        return value
    found: list[Any] = [value]
    dist.broadcast_object_list(found, 0)
    return found[0]  # type: ignore[no-any-return]


def check_enough(tasks: int, at_a_time: int, what: str) -> None:
    """Raise ``UsageError`` where there are fewer draws of tasks than processes: each must have one.

    Args:
        tasks: how many there are.
        at_a_time: how many are drawn at once.
        what: the option to raise.
    """
    if -(-tasks // at_a_time) < world():
        raise UsageError(
            f"{tasks} tasks are too few for {world()} processes ({at_a_time} tasks at a time); raise {what} to "
            f"{(world() - 1) * at_a_time + 1}."
        )


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
    if device.type == "cuda" and device.index is None and announced() > 1 and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))  # torchrun: a GPU for each process
    return device
