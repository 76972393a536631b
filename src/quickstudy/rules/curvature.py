"""Gradient descent with learned, factored preconditioning (Meta-Curvature's rule).

A layer's gradient is a tensor G [C_out, C_in, d] (a convolution has d = height * width of its kernel). Each of its
modes is multiplied by a matrix of its own, shared by the tasks and identity at the start:

    MC(G) = G x_3 M_f x_2 M_i x_1 M_o        MC(G)[o, i, f] = sum M_o[o, a] M_i[i, b] M_f[f, c] G[a, b, c]
    p'    = p - lr * MC(G)

so that vec(MC(G)) = (M_o kron M_i kron M_f) vec(G), row by row, without that matrix ever being formed. A matrix
parameter has no M_f, and a vector (a bias, BatchNorm's scale) M_o alone.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule, key

MODES = ("out", "in", "filter")


class Curvature(UpdateRule):
    """Gradient descent whose gradients learned matrices multiply, mode by mode.

    Args:
        like: the parameters that move, by name; the matrices have their sizes, types and devices.
        lr: step size, > 0.
    """

    def __init__(self, like: Mapping[str, Tensor], *, lr: float = 0.01) -> None:
        super().__init__()
        if lr <= 0:
            raise UsageError(f"Curvature needs lr > 0, got {lr}.")
        self.lr = lr
        self.matrices = nn.ParameterDict()
        for name, p in like.items():
            for mode, size in zip(MODES, modes(p.shape), strict=False):
                self.matrices[key(name, mode)] = torch.eye(size, dtype=p.dtype, device=p.device)

    def init(self, params: Params) -> None:
        return None

    def update(self, params: Params, grads: Params, state: None) -> tuple[Params, None]:
        return {name: p - self.lr * self.transformed(name, grads[name]) for name, p in params.items()}, None

    def transformed(self, name: str, grad: Tensor) -> Tensor:
        """MC(G) of one parameter's gradients ``[tasks, ...]``."""
        sizes = modes(grad.shape[1:])
        g = grad.reshape(len(grad), *sizes)
        for axis, mode in enumerate(MODES[: len(sizes)], 1):
            matrix = self.matrices[key(name, mode)]
            g = (g.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)
        return g.reshape(grad.shape)


def modes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of a parameter's modes: its first axis, its second, and all others as one.

    >>> modes((64, 32, 3, 3)), modes((5, 64)), modes((5,)), modes(())
    ((64, 32, 9), (5, 64), (5,), (1,))
    """
    if len(shape) > 2:
        return (shape[0], shape[1], math.prod(shape[2:]))
    return tuple(shape) or (1,)
