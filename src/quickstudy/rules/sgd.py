"""Gradient descent, with momentum on request.

    v' = momentum * v + g        p' = p - lr * v'

as ``torch.optim.SGD`` computes it (its first step sets v = g).
"""

import torch

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule


class SGD(UpdateRule):
    """Plain or momentum gradient descent.

    Args:
        lr: step size, > 0.
        momentum: decay of the velocity per step, in [0, 1).
    """

    def __init__(self, *, lr: float = 0.01, momentum: float = 0.0) -> None:
        super().__init__()
        if lr <= 0 or not 0 <= momentum < 1:
            raise UsageError(f"SGD needs lr > 0 and momentum in [0, 1), got lr={lr}, momentum={momentum}.")
        self.lr = lr
        self.momentum = momentum

    def init(self, params: Params) -> Params | None:
        return None

    def update(self, params: Params, grads: Params, state: Params | None) -> tuple[Params, Params | None]:
        velocity = grads
        if self.momentum and state is not None:
            velocity = {name: self.momentum * state[name] + g for name, g in grads.items()}
        moved = {name: torch.sub(p, velocity[name], alpha=self.lr) for name, p in params.items()}
        return moved, velocity if self.momentum else None
