"""What derivatives written by hand share: a derivative that is itself differentiated goes by the graph instead."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


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
