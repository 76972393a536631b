"""A user's examples as the tensor that episodes index; each check raises a clear error."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.core.errors import DataError, UsageError


def as_examples(examples: Tensor | NDArray[Any]) -> Shaped[Tensor, "n ..."]:
    """Images ``[N, C, H, W]`` (from ``[N, H, W]`` too) or features ``[N, f]``; not copied where that can be.

    uint8 as it is, floating point as float32; whole numbers of other types are features only (token ids), as int64.
    """
    given = examples
    if not isinstance(given, Tensor):
        given = torch.from_numpy(np.require(given, requirements=["C", "W"]))
    if given.ndim == 3:
        given = given.unsqueeze(1)
    if given.ndim not in (2, 4) or 0 in given.shape:
        raise UsageError(
            f"images must be [N, C, H, W] or [N, H, W], features [N, f], and not empty, got {[*given.shape]}."
        )
    if given.dtype == torch.uint8:
        return given.cpu()
    if not given.is_floating_point():
        if given.ndim == 2 and not given.is_complex() and given.dtype != torch.bool:
            return given.long().cpu()
        raise UsageError(
            f"images must be uint8 (0..255) or floating point, and features real numbers, got {given.dtype}; convert "
            f"them first, for example with images.to(torch.uint8) or features.float()."
        )
    broken = torch.nonzero(~torch.isfinite(given).flatten(1).all(1)).flatten()
    if len(broken):
        what = "images" if given.ndim == 4 else "examples"
        raise DataError(
            f"{len(broken)} of {len(given)} {what} hold NaN or infinite values, the first is {what[:-1]} "
            f"{int(broken[0])}; repair or leave them out."
        )
    return given.float().cpu()
