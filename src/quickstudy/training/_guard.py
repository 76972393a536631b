"""The way back from a step that went wrong: weights and buffers as they were before it."""

import math

import torch
from torch import Tensor, nn

from quickstudy.core.errors import DivergedError
from quickstudy.training._fingerprint import tensors_in


class Before:
    """What a module was before a step.

    Args:
        module: what is trained.
        params: those of its parameters that move.
    """

    def __init__(self, module: nn.Module, params: list[nn.Parameter]) -> None:
        self.module = module
        self.params = params
        self.weights = [p.detach().clone() for p in params]
        self.buffers: dict[str, tuple[int, int, Tensor]] = {}
        self.keep()

    @torch.no_grad()
    def keep(self) -> None:
        """From here on, this is before. Buffers that have not moved since are not copied again."""
        for kept, p in zip(self.weights, self.params, strict=True):
            kept.copy_(p)
        for name, b in self.module.named_buffers():
            if self._has_moved(name, b):
                self.buffers[name] = id(b), b._version, b.detach().clone()

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back."""
        for kept, p in zip(self.weights, self.params, strict=True):
            p.copy_(kept)
        for name, b in self.module.named_buffers():
            if name in self.buffers and self._has_moved(name, b):
                b.copy_(self.buffers[name][2])

    def is_spoiled(self) -> bool:
        """Whether a weight is not finite, or a buffer that has moved not a number."""
        moved = [b for name, b in self.module.named_buffers() if b.is_floating_point() and self._has_moved(name, b)]
        largest = torch.nn.utils.get_total_norm(self.params, math.inf)
        return not math.isfinite(float(largest)) or any(bool(b.isnan().any()) for b in moved)

    def _has_moved(self, name: str, b: Tensor) -> bool:
        return self.buffers.get(name, (0, 0))[:2] != (id(b), b._version)


def diverged(what: str, batch: object, tasks: str, weights: str) -> DivergedError:
    """The error that says what is not finite, and whether it came with the tasks.

    Args:
        what: happened.
        batch: the tasks of the step.
        tasks: how to draw them again.
        weights: where those from before the step are.
    """
    broken = [
        f"{name} of task {int(torch.nonzero(~t.isfinite().flatten(1).all(1))[0])}"
        for name, t in tensors_in(batch)
        if t.ndim > 1 and (t.is_floating_point() or t.is_complex()) and not bool(t.isfinite().all())
    ]
    advice = (
        f"The tasks themselves hold values that are not finite ({', '.join(broken)}): repair the data."
        if broken
        else "A smaller inner or outer step size, or clip=10, often helps."
    )
    return DivergedError(
        f"{what}. The tasks were {tasks}; the weights from before this step are in {weights}. {advice}"
    )
