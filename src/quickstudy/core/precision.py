"""Derivatives in 16 bits, and everything else in float32.

Two thirds of a gradient's multiply-adds, and eight ninths of those of an inner step that is differentiated through, are
the products of its derivatives. Under ``computing_in`` those of convolutions and linear layers are of operands rounded
to bfloat16 or float16; what the layers give, BatchNorm's statistics, losses, inner steps and sums over tasks stay in
float32. (Rounded outputs change which elements a ReLU and a pooling pick, and BatchNorm of a few images makes much of
it.)

float16 ends at 6e-8, where many a gradient lies. So each product scales its operands by powers of two to where they
neither vanish nor overflow: what a gradient scaler does for a whole loss, without its steps that are thrown away.
"""

import math
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Precision: TypeAlias = Literal["float32", "bf16", "fp16"]


class _Here(threading.local):
    low: torch.dtype | None = None


_here = _Here()


def low_dtype() -> torch.dtype | None:
    """What the operands of derivatives are rounded to on this thread (None: they are not)."""
    return _here.low


@contextmanager
def computing_in(low: torch.dtype | None) -> Generator[None]:
    """Round the operands of the derivatives of what is computed in here on this thread; None: do not."""
    before, _here.low = _here.low, low
    try:
        yield
    finally:
        _here.low = before


def lowered(t: Tensor, low: torch.dtype, terms: int) -> tuple[Tensor, Tensor | None]:
    """An operand of a product in ``low``, and the power of two that it was multiplied by (None: 1).

    Args:
        t: the operand, in float32.
        low: bfloat16, whose range is float32's, or float16.
        terms: of the product's longest sum, which must not overflow.
    """
    if low != torch.float16:
        return t.to(low), None
    with torch.no_grad():
        # Two such operands make a sum of at most 2 ** 15; zeros are left as they are.
        most = math.sqrt(min(1.0, 2.0**15 / terms))
        size = t.abs().amax() if t.numel() else t.new_ones(())
        scale = torch.exp2(torch.floor(torch.log2(most / torch.where(size > 0, size, 1.0))).clamp(-100, 100))
    return (t * scale).to(low), scale


def raised(t: Tensor, *scales: Tensor | None) -> Tensor:
    """A product in float32, as it would be without the scales of its operands."""
    wide = t.float()
    for scale in scales:
        wide = wide if scale is None else wide / scale
    return wide
