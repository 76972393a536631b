"""Gradient descent with a step size of their own for some parameters (an architecture's beside the weights, say).

p' = p - lr * g,    and p' = p - other_lr * g for those that are named
"""

import torch

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule


class TwoRates(UpdateRule):
    """Gradient descent, the parameters of some names by a step size of their own.

    Args:
        names: of those parameters.
        lr: step size of the others, > 0.
        other_lr: step size of those named, > 0.
    """

    def __init__(self, *, names: tuple[str, ...] = (), lr: float = 0.1, other_lr: float = 0.1) -> None:
        super().__init__()
        if min(lr, other_lr) <= 0:
            raise UsageError(f"TwoRates needs step sizes > 0, got {lr} and {other_lr}.")
        self.names = tuple(names)
        self.lr = lr
        self.other_lr = other_lr

    def init(self, params: Params) -> None:
        return None

    def update(self, params: Params, grads: Params, state: None) -> tuple[Params, None]:
        rates = {name: self.other_lr if name in self.names else self.lr for name in params}
        return {name: torch.sub(p, grads[name], alpha=rates[name]) for name, p in params.items()}, None
