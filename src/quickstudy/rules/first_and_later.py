"""Gradient descent whose first step is of another size than those after it.

p' = p - first * g at the first step,    p' = p - later * g after it
"""

import torch

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule


class FirstAndLater(UpdateRule):
    """Gradient descent with one step size for the first step and another for the rest.

    Args:
        first: step size of the first step, > 0.
        later: step size of the steps after it, > 0.
    """

    def __init__(self, *, first: float = 0.1, later: float = 0.05) -> None:
        super().__init__()
        if min(first, later) <= 0:
            raise UsageError(f"FirstAndLater needs step sizes > 0, got {first} and {later}.")
        self.first = first
        self.later = later

    def init(self, params: Params) -> int:
        return 0

    def update(self, params: Params, grads: Params, state: int) -> tuple[Params, int]:
        rate = self.later if state else self.first
        return {name: torch.sub(p, grads[name], alpha=rate) for name, p in params.items()}, state + 1
