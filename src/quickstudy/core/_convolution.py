"""A convolution that is fast on a CPU, and twice differentiable; the first half of ``fused.py``'s step.

Convolutions keep their channels last in memory, where a CPU's kernels are several times faster; their second derivative
is again convolutions of the usual shapes (torch's own runs a forward convolution whose filter is a whole image).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from quickstudy.core._low_products import convolution_backward
from quickstudy.core.errors import UsageError
from quickstudy.core.precision import low_dtype, lowered, raised


def convolve(x: Tensor, weight: Tensor, bias: Tensor, sign: Tensor | None, padding: int) -> Tensor:
    """The convolution, channels last, its outputs' signs changed; the bias is left out (its gradient is zero)."""
    filters = weight if sign is None else weight * sign.view(-1, 1, 1, 1)
    return _Convolution.apply(channels_last(x), filters, bias, padding, low_dtype())  # type: ignore[no-any-return]


def channels_last(x: Tensor) -> Tensor:
    """In memory; with a single channel only the strides tell."""
    if x.shape[1] == 1:
        return x.contiguous().as_strided(x.shape, (x.shape[2] * x.shape[3], 1, x.shape[3], 1))
    return x.contiguous(memory_format=torch.channels_last)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int, low: torch.dtype | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.low = padding, low
        return F.conv2d(x, weight, padding=padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        dx, dweight = _ConvolutionGradient.apply(grads[0], x, weight, ctx.padding, ctx.needs_input_grad[0], ctx.low)
        return dx, dweight, weight.new_zeros(len(weight)), None, None


class _ConvolutionGradient(torch.autograd.Function):
    """(dx, dweight) of dy, x and weight: ``dx = convT(dy, weight)``, ``dweight = correlation(x, dy)``."""

    @staticmethod
    def forward(
        ctx: Any, dy: Tensor, x: Tensor, weight: Tensor, padding: int, with_x: bool, low: torch.dtype | None
    ) -> Any:
        ctx.set_materialize_grads(False)
        ctx.padding, ctx.low = padding, low
        dy = channels_last(dy)
        ctx.save_for_backward(dy, x, weight)
        dx, dweight = _backward(dy, x, weight, padding, with_x, True, low)
        return (dx if with_x else None), dweight

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> Any:
        twice_at_most()
        dy, x, weight = ctx.saved_tensors
        u, v = cotangents  # of dx and dweight
        to_dy = to_x = to_weight = None
        if v is not None:
            to_dy = _convolved(x, v, ctx.padding, ctx.low)
            if ctx.needs_input_grad[1]:
                to_x, _ = _backward(dy, x, v, ctx.padding, True, False, ctx.low)
        if u is not None:
            u = channels_last(u)
            through = _convolved(u, weight, ctx.padding, ctx.low)
            to_dy = through if to_dy is None else to_dy.add_(through)
            if ctx.needs_input_grad[2]:
                _, to_weight = _backward(dy, u, weight, ctx.padding, False, True, ctx.low)
        return to_dy, to_x, to_weight, None, None, None


def _convolved(x: Tensor, weight: Tensor, padding: int, low: torch.dtype | None) -> Tensor:
    if low is None:
        return F.conv2d(x, weight, padding=padding)
    (x, of_x), (weight, of_weight) = (lowered(t, low, weight[0].numel()) for t in (x, weight))
    return raised(F.conv2d(x, weight, padding=padding), of_x, of_weight)


def _backward(
    dy: Tensor, x: Tensor, weight: Tensor, padding: int, to_x: bool, to_weight: bool, low: torch.dtype | None
) -> Any:
    how = ([1, 1], [padding, padding], [1, 1], 1)
    return convolution_backward(low, dy, x, weight, how, to_x, to_weight)


def twice_at_most() -> None:
    """The formulas end at the second derivative: a graph of it would be silently wrong."""
    if torch.is_grad_enabled():
        raise UsageError(
            "a convolution block's fast path can be differentiated twice, and this asks for a third derivative "
            "(create_graph=True in the second); use execution='vmap', which is written out in torch's own operations."
        )
