"""What rules share that move every coordinate of every tensor by one small learned function.

Legend: t tasks, k tensors, c coordinates of all tensors of a group one after the other, f features. A rule's state is
``{parameter: {part: [t, ..., coordinates]}}``, so that it can be split up by parameter.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.functional import Params

CoordinateState: TypeAlias = dict[str, dict[str, Tensor]]
GROUP = 1 << 17  # coordinates of small tensors that are treated together
BLOCK = 1 << 15  # coordinates at a time where no graph is kept: their features stay in the cache
TINY = 1e-24  # beside mean squares: its power -3/2 is still a float32


def row(tensor: Tensor) -> Float[Tensor, "tasks c"]:
    """A tensor's coordinates, one after the other; a scalar has one."""
    return tensor.reshape(len(tensor), -1)


def join(parts: Sequence[Tensor]) -> Tensor:
    """Along the last axis; of one part, itself."""
    return parts[0] if len(parts) == 1 else torch.cat([*parts], -1)


def names_in_groups(params: Params) -> Iterator[list[str]]:
    """The names, in order, in groups of small tensors; a large one is a group of its own."""
    group: list[str] = []
    held = 0
    for name, p in params.items():
        size = p[0].numel()
        if group and held + size > GROUP:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    yield group


def blocks(count: int) -> Iterator[slice]:
    """All coordinates at once where a graph is kept, else block by block."""
    size = count if torch.is_grad_enabled() else BLOCK
    return (slice(i, min(i + size, count)) for i in range(0, count, size))


def means(x: Float[Tensor, "*axes c"], sizes: tuple[int, ...]) -> Float[Tensor, "*axes k"]:
    """The mean over each tensor's coordinates."""
    if len(sizes) == 1:
        return x.mean(-1, keepdim=True)
    return torch.stack([part.mean(-1) for part in x.split(list(sizes), -1)], -1)


def spread(x: Float[Tensor, "*axes k"], sizes: tuple[int, ...], at: slice) -> Float[Tensor, "*axes n"]:
    """Each tensor's number for its coordinates, of those in ``at``; of a single tensor left to broadcasting."""
    if len(sizes) == 1:
        return x
    return x.index_select(-1, _owner(sizes, x.device)[at])


@lru_cache(maxsize=64)
def _owner(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    counts = torch.tensor(sizes, device=device)
    return torch.arange(len(sizes), device=device).repeat_interleave(counts, output_size=sum(sizes))


def place(moved: Callable[[slice], Tensor], params: Params) -> Params:
    """New parameters out of a function that gives the new coordinates ``[t, n]`` of a block."""
    sizes = [p[0].numel() for p in params.values()]
    whole = join([moved(at) for at in blocks(sum(sizes))])
    return {n: part.view(p.shape) for (n, p), part in zip(params.items(), whole.split(sizes, -1), strict=True)}


def layer(weight: Float[Tensor, "o i"], x: Float[Tensor, "t i n"], bias: Tensor) -> Float[Tensor, "t o n"]:
    """A linear layer of examples along the last axis (``weight @ x`` would lay its result out the other way round)."""
    return torch.baddbmm(bias, weight.expand(len(x), -1, -1), x)


def lstm_cell(
    x: Float[Tensor, "t i n"],
    h: Tensor,
    c: Tensor,
    weight: Float[Tensor, "gates inputs"],
    bias: Float[Tensor, " gates"],
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM whose examples lie along the last axis; h and c ``[t, hidden, n]``."""
    gates = layer(weight, torch.cat([x, h], -2), bias[:, None])
    i, f, o, g = gates.chunk(4, -2)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c
