"""The features of a single tensor, written number by number, for a compiler to fuse into few passes over memory.

What ``_features.py`` does in products over a batch of tasks, these do in sums over lists of like-shaped tensors, one
for each feature or unit: a compiler keeps them in registers. ``tests/rules/test_one_tensor.py`` compares the two.

Legend: p, g: a tensor and its gradient, ``[c]`` or ``[rows, columns]``; ``state``: its parts (see ``MovesOne``).
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from quickstudy.rules._coordinates import TINY
from quickstudy.rules._features import DECAYS, FLOOR, SECOND, TIMES

Parts: TypeAlias = dict[str, list[Tensor]]


def dense(weight: Tensor, bias: Tensor, x: Sequence[Tensor]) -> list[Tensor]:
    """A linear layer: ``weight [o, i]``, ``bias [o]``, i tensors to o tensors."""
    return [sum((weight[o, i] * part for i, part in enumerate(x)), bias[o]) for o in range(len(weight))]


def follow_one(g: Tensor, state: Parts) -> Parts:
    """The state of features after one more gradient."""
    square = g * g
    after = {
        "step": [state["step"][0] + 1],
        "m": [torch.lerp(g, old, decay) for old, decay in zip(state["m"], DECAYS, strict=True)],
        "v": [torch.lerp(square, state["v"][0], SECOND)],
    }
    if "rows" in state:
        after["rows"] = [torch.lerp(square.mean(1), state["rows"][0].flatten(), SECOND)]
        after["columns"] = [torch.lerp(square.mean(0), state["columns"][0].flatten(), SECOND)]
    return after


def features_of_one(p: Tensor, g: Tensor, state: Parts) -> tuple[list[Tensor], Tensor, Tensor]:
    """Coordinate features, each to be multiplied by its scale; the scales; the tensor features."""
    (step,), (v,) = state["step"], state["v"]
    by_v = (v + 1e-6 * v.mean() + TINY).rsqrt()
    by_w = by_v
    if "rows" in state:
        (rows,), (columns,) = state["rows"], state["columns"]
        by_row = (rows / (rows.mean() + TINY) + 1e-6).rsqrt()
        by_w = by_row[:, None] * (columns + 1e-6 * columns.mean() + TINY).rsqrt()
    moments = [g, *state["m"]]
    plain = [*moments, p, by_v, by_w]
    squares = torch.stack([(x * x).mean() for x in plain])
    floor = g.new_tensor([TINY] * 4 + [FLOOR**2] + [TINY] * 2)
    adam = (1 - SECOND**step).sqrt() / (1 - g.new_tensor((0.0, *DECAYS)) ** step)
    count = torch.full_like(step, p.numel()).log10() / 3
    about = torch.stack([0.5 * (squares[4] + FLOOR**2).log(), count, torch.full_like(step, "rows" not in state)])
    tensor = torch.cat([torch.tanh(step / step.new_tensor(TIMES) - 1), about])
    coordinates = [*plain, *(m * by_v for m in moments), *(m * by_w for m in moments)]
    return coordinates, torch.cat([(squares + floor).rsqrt(), adam, adam]), tensor
