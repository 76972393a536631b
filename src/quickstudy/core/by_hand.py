"""What derivatives written by hand share.

A derivative that is itself differentiated goes by the graph instead, and autocast, which would change the precision of
some operations and not of others, is off.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor, nn

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")
P = ParamSpec("P")


def under_autocast(like: Tensor) -> bool:
    """Whether there is autocast on the device of a tensor."""
    kind = like.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def without_autocast(like: Tensor) -> AbstractContextManager[Any]:
    """No autocast on the device of a tensor."""
    return torch.autocast(like.device.type, enabled=False) if under_autocast(like) else nullcontext()


def in_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """A function of tensors that loses too many digits in less than float32: without autocast, in float32 at least."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        like = next((arg for arg in args if isinstance(arg, Tensor)), None)
        if like is None or not under_autocast(like):
            return function(*args, **kwargs)
        with without_autocast(like):
            return function(*map(_wide, args), **kwargs)  # pyright: ignore[reportCallIssue]

    return run


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value


def in_own_precision(method: F) -> F:
    """A method of x and a state, without autocast, x in the precision of the module's parameters."""

    @wraps(method)
    def run(self: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> Any:
        with without_autocast(x):
            return method(self, x.to(next(self.parameters()).dtype), state)

    return cast("F", run)


def by_graph(
    graph: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor], needed: Sequence[bool], grads: Sequence[Tensor]
) -> tuple[Tensor | None, ...]:
    """The derivative of ``graph(*tensors)`` along ``grads``, with a graph of its own; None for what is not needed."""
    # Aliases: what one input does by way of another (the state by the weights) is not for us to count.
    own = [t.view_as(t) for t in tensors]
    asked = [t for t, need in zip(own, needed, strict=True) if need]
    pairs = [(o, g) for o, g in zip(graph(*own), grads, strict=True) if o.requires_grad]
    outputs, along = [o for o, _ in pairs], [g for _, g in pairs]
    found = iter(torch.autograd.grad(outputs, asked, along, create_graph=True, allow_unused=True))
    return tuple(next(found) if need else None for need in needed)
