"""Convolutions and linear layers in float32 whose derivatives of any order are products in 16 bits (``precision``)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quickstudy.core.precision import lowered, raised

_aten = torch.ops.aten
Numbers = int | Sequence[int]


def convolution_backward(
    low: torch.dtype | None, dy: Tensor, x: Tensor, weight: Tensor, how: Sequence[Any], to_x: bool, to_weight: bool
) -> tuple[Any, Any]:
    """``(dx, dweight)``, None for what is not asked; with a graph where grad mode is on.

    Args:
        low: of the products (None: that of the tensors).
        dy: the gradient of the outputs.
        x: the inputs.
        weight: the filters.
        how: stride, padding and dilation, a list each, and groups.
        to_x: whether dx is asked for.
        to_weight: whether dweight is.
    """
    stride, padding, dilation, groups = how
    more = (None, stride, padding, dilation, False, [0] * len(stride), groups, [to_x, to_weight, False])
    if low is None:
        dx, dweight, _ = _aten.convolution_backward(dy, x, weight, *more)
        return dx, dweight
    terms = max(dy.numel() // dy.shape[1], weight.numel() // weight.shape[1])
    (dy, of_dy), (x, of_x), (weight, of_weight) = (lowered(t, low, terms) for t in (dy, x, weight))
    dx, dweight, _ = _aten.convolution_backward(dy, x, weight, *more)
    return raised(dx, of_dy, of_weight) if to_x else None, raised(dweight, of_dy, of_x) if to_weight else None


class _Convolution(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, how: tuple[Any, ...], low: torch.dtype) -> Tensor:
        stride, padding, dilation, groups = how
        return _aten.convolution(x, weight, None, stride, padding, dilation, False, [0] * len(stride), groups)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, ctx.how, ctx.low = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        return *convolution_backward(ctx.low, grads[0], x, weight, ctx.how, *ctx.needs_input_grad[:2]), None, None


class _Linear(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, low: torch.dtype) -> Tensor:
        return F.linear(x, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, ctx.low = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (x, weight), low = ctx.saved_tensors, ctx.low
        rows, dy = x.reshape(-1, x.shape[-1]), grads[0].reshape(-1, len(weight))
        terms = max(len(rows), len(weight))
        (dy, of_dy), (rows, of_x), (w, of_weight) = (lowered(t, low, terms) for t in (dy, rows, weight))
        return raised(dy @ w, of_dy, of_weight).view(x.shape), raised(dy.mT @ rows, of_dy, of_x), None


def _linear(low: torch.dtype, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if weight.ndim != 2 or not _both_float32(x, weight):
        return F.linear(x, weight, bias)
    y: Tensor = _Linear.apply(x, weight, low)
    return y if bias is None else y + bias


def _convolved_by(function: Callable[..., Tensor], dims: int) -> Callable[..., Tensor]:
    def convolved(
        low: torch.dtype,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Numbers = 1,
        padding: Numbers | str = 0,
        dilation: Numbers = 1,
        groups: int = 1,
    ) -> Tensor:
        if isinstance(padding, str) or input.ndim != dims + 2 or not _both_float32(input, weight):
            return function(input, weight, bias, stride, padding, dilation, groups)
        how = *([n] * dims if isinstance(n, int) else [*n] for n in (stride, padding, dilation)), groups
        y: Tensor = _Convolution.apply(input, weight, how, low)
        return y if bias is None else y + bias.view(-1, *[1] * dims)

    return convolved


def _both_float32(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == weight.dtype == torch.float32


PRODUCTS: Mapping[Any, Callable[..., Tensor]] = {
    F.linear: _linear,
    F.conv1d: _convolved_by(F.conv1d, 1),
    F.conv2d: _convolved_by(F.conv2d, 2),
    F.conv3d: _convolved_by(F.conv3d, 3),
}
"""By the function that a layer calls: the same, given the type of its derivatives' products first."""
