"""One parameter of a model as a rule takes it: its type, its gradient, and its step compiled."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.rules import MovesOne


def working(p: Tensor) -> torch.dtype:
    """What is computed in, and what the state is."""
    return torch.float64 if p.dtype == torch.float64 else torch.float32


def gradient(p: Tensor) -> Tensor:
    """That there is one was seen before."""
    assert p.grad is not None
    return p.grad


def check_gradient(p: Tensor) -> None:
    """Raise ``UsageError`` for a sparse gradient, or a parameter that is not real-valued."""
    if gradient(p).is_sparse or gradient(p).layout != torch.strided:
        raise UsageError(
            "LearnedOptimizer takes no sparse gradients; use nn.Embedding(sparse=False), or torch.optim.SparseAdam for "
            "these parameters."
        )
    if not p.is_floating_point():
        raise UsageError(f"LearnedOptimizer moves real-valued parameters, got one of {p.dtype}.")


def _move_in_place(rule: MovesOne, p: Tensor, g: Tensor, state: dict[str, list[Tensor]], factors: Tensor) -> None:
    moved, after = rule.move_one(p, g, state)
    p.add_(factors[0] * (moved - factors[1] * p))
    for part, old in state.items():
        for kept, new in zip(old, after[part], strict=True):
            kept.copy_(new.view(kept.shape))


def rows(part: Tensor, like: Tensor) -> list[Tensor]:
    """What lies along a part's axes but the last; what there is of every coordinate, in the shape of ``like``."""
    if part.ndim == 0 or part.shape[-1] != like.numel():
        return [part]
    return [row.view(like.shape).data for row in part.reshape(-1, like.numel())]


@cache
def compiled_move() -> Callable[..., None]:
    """What moves a parameter, its state and all, in place; compiled at the first call of its shapes."""
    return torch.compile(_move_in_place, dynamic=True)
