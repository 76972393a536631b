"""Gradient descent with a learned step size for every tensor at every step (MAML++'s rule, LSLR).

    p' = p - alpha[p, k] * g        at step k = 0, 1, ...

A step beyond those that there are rates for takes the last one's.
"""

from collections.abc import Iterable

import torch
from torch import nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule, key


class PerStep(UpdateRule):
    """Gradient descent with a learned step size for every tensor at every step.

    Args:
        names: of the parameters that move.
        steps: how many steps have rates of their own, >= 1.
        lr: the rates' start, > 0.
    """

    def __init__(self, names: Iterable[str], *, steps: int, lr: float = 0.1) -> None:
        super().__init__()
        if steps < 1 or lr <= 0:
            raise UsageError(f"PerStep needs steps >= 1 and lr > 0, got {steps} and {lr}.")
        self.steps = steps
        self.lr = lr
        self.rates = nn.ParameterDict({key(name, "rate"): torch.full((steps,), lr) for name in names})

    def init(self, params: Params) -> int:
        return 0

    def update(self, params: Params, grads: Params, state: int) -> tuple[Params, int]:
        k = min(state, self.steps - 1)
        return {name: p - self.rates[key(name, "rate")][k] * grads[name] for name, p in params.items()}, state + 1
