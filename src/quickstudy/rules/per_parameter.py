"""Gradient descent with a learned step size for every parameter (Meta-SGD's rule).

    p' = p - alpha * g        element by element

The rates alpha have the parameters' shapes, are shared by the tasks and may become negative: they choose the direction
of a step as well as its length.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule, key


class PerParameter(UpdateRule):
    """Gradient descent with a learned step size for every parameter.

    Args:
        like: the parameters that move, by name; the rates have their shapes, types and devices.
        lr: the rates' start, > 0: one value for all, or (low, high) of a uniform distribution.
    """

    def __init__(self, like: Mapping[str, Tensor], *, lr: float | tuple[float, float] = 0.01) -> None:
        super().__init__()
        low, high = lr if isinstance(lr, tuple) else (lr, lr)
        if not 0 < low <= high:
            raise UsageError(f"rates start from lr > 0, or from (low, high) with 0 < low <= high, got {lr}.")
        self.lr = lr
        self.rates = nn.ParameterDict()
        for name, p in like.items():
            self.rates[key(name, "rate")] = torch.empty_like(p, requires_grad=False).uniform_(low, high)

    def init(self, params: Params) -> None:
        return None

    def update(self, params: Params, grads: Params, state: None) -> tuple[Params, None]:
        return {name: p - self.rates[key(name, "rate")] * grads[name] for name, p in params.items()}, None
