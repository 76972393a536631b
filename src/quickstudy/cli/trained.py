"""What the commands that use a trained run have in common."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.training.distributed import pick_device
from quickstudy.training.runs import Run


def trained_learner(run: Run, checkpoint: str, device: str) -> tuple[MetaLearner, int]:
    """The learner with the weights of a checkpoint (``best``, ``last`` or a step), on a device; and the step.

    Raises:
        UsageError: a checkpoint of another name, or no such device.
        RunError: no such checkpoint, or a damaged one.
    """
    learner, step = run.trained(checkpoint_step(run, checkpoint))
    return learner.to(pick_device(device)), step


def checkpoint_step(run: Run, name: str) -> int | None:
    """The outer step of a checkpoint's name; None: the best."""
    if name in ("best", "last"):
        return None if name == "best" else run.load().step
    if not name.isdecimal():
        raise UsageError(f"--checkpoint must be best, last or an outer step ({run.steps()}), got {name!r}.")
    return int(name)


@contextmanager
def threads(workers: int | None) -> Generator[None]:
    """Let torch use this many threads on a CPU (None: as many as it would).

    Raises:
        UsageError: fewer than one.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, got {workers}.")
    before = torch.get_num_threads()
    torch.set_num_threads(workers or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
