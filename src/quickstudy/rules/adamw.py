"""AdamW (Loshchilov and Hutter 2019): Adam, with a weight decay that does not pass through its moments.

p' = Adam's step from (1 - lr * weight_decay) p
"""

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule
from quickstudy.rules.adam import Adam, AdamState


class AdamW(UpdateRule):
    """Adam with decoupled weight decay.

    Args:
        lr: step size, > 0.
        weight_decay: share of a parameter that is taken off with each step, times lr; >= 0.
    """

    def __init__(self, *, lr: float = 1e-3, weight_decay: float = 0.01) -> None:
        super().__init__()
        if weight_decay < 0:
            raise UsageError(f"AdamW needs weight_decay >= 0, got {weight_decay}.")
        self.lr = lr
        self.weight_decay = weight_decay
        self.adam = Adam(lr=lr)

    def init(self, params: Params) -> AdamState:
        return self.adam.init(params)

    def update(self, params: Params, grads: Params, state: AdamState) -> tuple[Params, AdamState]:
        shrunk = {name: p * (1 - self.lr * self.weight_decay) for name, p in params.items()}
        return self.adam.update(shrunk, grads, state)
