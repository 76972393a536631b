"""Hand-made features of coordinates and of tensors, for rules that turn them into a step (Metz et al. 2022).

Per coordinate, from g (gradient), p (parameter), momenta m_i of three decays, a second moment v, and Adafactor's
factored second moment w (for a vector w = v), each divided by its own root mean square over the tensor where it has a
scale:

    g    m_1 .. m_3    p    v^-1/2    w^-1/2        divided by their root mean squares
    (g, m_1 .. m_3) * v^-1/2    (g, m_1 .. m_3) * w^-1/2        without a scale already

with m_i and v corrected for their start at zero as in Adam. So no feature changes when the loss is multiplied by a
number. Per tensor: tanh of the step at many time scales, the parameter's root mean square, its size, and whether it is
a vector.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.functional import Params
from quickstudy.rules._coordinates import TINY, CoordinateState, join, means, row, spread

DECAYS = (0.5, 0.9, 0.99)
SECOND = 0.999
COORDINATE_FEATURES = 15
ADAM = 9  # the feature m_2 * v^-1/2: Adam's step
TIMES = (1, 3, 10, 30, 100, 300, 1000)  # of longer ones training would see the beginning only
TENSOR_FEATURES = len(TIMES) + 3
LOG_SIZE = len(TIMES)  # the tensor feature: log of the root mean square of p
FLOOR = 1e-2  # of that root mean square: a bias that starts at zero has no scale


def begin(p: Tensor) -> dict[str, Tensor]:
    """The state of one tensor ``[t, ...]``."""
    size = row(p).shape[-1]
    state = {"step": p.new_zeros(len(p)), "m": p.new_zeros(len(p), len(DECAYS), size), "v": p.new_zeros(len(p), size)}
    if p.ndim > 2:
        rows = p.shape[1]
        state |= {"rows": p.new_zeros(len(p), rows), "columns": p.new_zeros(len(p), size // rows)}
    return state


def follow(grads: Params, state: CoordinateState) -> CoordinateState:
    """The state after one more gradient."""
    moved: CoordinateState = {}
    for name, grad in grads.items():
        g, old = row(grad), state[name]
        square = g * g
        decays = g.new_tensor(DECAYS)[:, None]
        new = {
            "step": old["step"] + 1,
            "m": torch.lerp(g[:, None], old["m"], decays),
            "v": torch.lerp(square, old["v"], SECOND),
        }
        if "rows" in old:
            square = square.view(len(g), old["rows"].shape[-1], -1)
            new["rows"] = torch.lerp(square.mean(2), old["rows"], SECOND)
            new["columns"] = torch.lerp(square.mean(1), old["columns"], SECOND)
        moved[name] = new
    return moved


class Features(NamedTuple):
    """What features are made of, for a group of tensors.

    p, g: ``[t, c]``; m: ``[t, 3, c]``; by_v, by_w: ``v^-1/2`` and ``w^-1/2`` ``[t, c]``; scales: of each coordinate
    feature ``[t, f, k]``; tensors: the tensor features ``[t, s, k]``; sizes: coordinates of each tensor.
    """

    p: Tensor
    g: Tensor
    m: Tensor
    by_v: Tensor
    by_w: Tensor
    scales: Tensor
    tensors: Tensor
    sizes: tuple[int, ...]

    def raw(self, at: slice) -> Float[Tensor, "t f n"]:
        """The features of some coordinates, not multiplied by their scales yet."""
        gm = torch.cat([self.g[:, None, at], self.m[..., at]], 1)
        by_v, by_w = self.by_v[:, None, at], self.by_w[:, None, at]
        return torch.cat([gm, self.p[:, None, at], by_v, by_w, gm * by_v, gm * by_w], 1)

    def coordinates(self, at: slice) -> Float[Tensor, "t f n"]:
        """The features of some coordinates."""
        return self.raw(at) * spread(self.scales, self.sizes, at)


def features(params: Params, grads: Params, state: CoordinateState) -> Features:
    """Those of tensors whose state has followed this gradient already."""
    sizes = tuple(p[0].numel() for p in params.values())
    p, g = (join([row(t) for t in group.values()]) for group in (params, grads))
    own = [state[name] for name in params]
    m, v = (join([s[part] for s in own]) for part in ("m", "v"))
    whole = slice(None)
    by_v = (v + spread(1e-6 * means(v, sizes) + TINY, sizes, whole)).rsqrt()
    by_w = by_v
    if any("rows" in s for s in own):
        each = by_v.split(list(sizes), -1)
        by_w = join([_factored(s) if "rows" in s else part for s, part in zip(own, each, strict=True)])
    parts = [g[:, None], m, p[:, None], by_v[:, None], by_w[:, None]]
    squares = torch.cat([_mean_squares(x, sizes) for x in (parts if len(sizes) == 1 else [torch.cat(parts, 1)])], 1)
    size = squares[:, 4] + FLOOR**2  # [t, k]
    roots = torch.cat([squares[:, :4] + TINY, size[:, None], squares[:, 5:] + TINY], 1).rsqrt()
    step = torch.stack([s["step"] for s in own], -1)[:, None]  # [t, 1, k]
    first = 1 - step.new_tensor((0.0, *DECAYS))[:, None] ** step
    adam = (1 - SECOND**step).sqrt() / first  # [t, 4, k]
    tanh = torch.tanh(step / step.new_tensor(TIMES)[:, None] - 1)
    count = step.new_tensor([[math.log10(n) / 3 for n in sizes], [float(q.ndim <= 2) for q in params.values()]])
    described = [tanh, 0.5 * size.log()[:, None], count.expand(len(p), -1, -1)]
    return Features(p, g, m, by_v, by_w, torch.cat([roots, adam, adam], 1), torch.cat(described, 1), sizes)


def _factored(state: dict[str, Tensor]) -> Tensor:
    rows, columns = state["rows"], state["columns"]
    by_row = (rows / (rows.mean(-1, keepdim=True) + TINY) + 1e-6).rsqrt()
    by_column = (columns + 1e-6 * columns.mean(-1, keepdim=True) + TINY).rsqrt()
    return (by_row[:, :, None] * by_column[:, None]).flatten(1)


def _mean_squares(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    if torch.is_grad_enabled() or len(sizes) > 1:
        return means(x * x, sizes)
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True) ** 2 / x.shape[-1]
