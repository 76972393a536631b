"""Gradient descent that holds on to where it started: iMAML's inner steps (Rajeswaran et al. 2019).

    p' = p - lr * (g + lam * (p - start))

a gradient step down ``loss + lam / 2 * |p - start|^2``.
"""

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule


class ProximalSGD(UpdateRule):
    """Gradient descent with a pull back to the start, which is its state.

    Args:
        lr: step size, > 0.
        lam: lambda of the paper, how strong the pull is, >= 0.
    """

    def __init__(self, *, lr: float = 0.1, lam: float = 2.0) -> None:
        super().__init__()
        if lr <= 0 or lam < 0:
            raise UsageError(f"ProximalSGD needs lr > 0 and lam >= 0, got {lr} and {lam}.")
        self.lr = lr
        self.lam = lam

    def init(self, params: Params) -> Params:
        return params

    def update(self, params: Params, grads: Params, state: Params) -> tuple[Params, Params]:
        pull = {name: self.lam * (p - state[name]) for name, p in params.items()}
        return {name: p - self.lr * (grads[name] + pull[name]) for name, p in params.items()}, state
