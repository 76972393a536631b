"""A user's images and labels as the tensors that episodes index; each check raises a clear error."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import DataError, UsageError


def as_images(images: Tensor | NDArray[Any]) -> Shaped[Tensor, "n c h w"]:
    """``[N, C, H, W]`` uint8 as it is, or float32; not copied where that can be."""
    pixels = images if isinstance(images, Tensor) else torch.from_numpy(np.require(images, requirements=["C", "W"]))
    if pixels.ndim == 3:
        pixels = pixels.unsqueeze(1)
    if pixels.ndim != 4 or 0 in pixels.shape:
        raise UsageError(f"images must be [N, C, H, W] or [N, H, W] and not empty, got {[*pixels.shape]}.")
    if pixels.dtype == torch.uint8:
        return pixels.cpu()
    if not pixels.is_floating_point():
        raise UsageError(
            f"images must be uint8 (0..255) or floating point, got {pixels.dtype}; convert them first, for example "
            f"with images.to(torch.uint8)."
        )
    broken = torch.nonzero(~torch.isfinite(pixels).flatten(1).all(1)).flatten()
    if len(broken):
        raise DataError(
            f"{len(broken)} of {len(pixels)} images hold NaN or infinite values, the first is image "
            f"{int(broken[0])}; repair or leave them out."
        )
    return pixels.float().cpu()


def as_labels(labels: Tensor | NDArray[Any] | Sequence[int], images: int) -> Int[Tensor, " n"]:
    """``[N]`` int64."""
    given = torch.as_tensor(labels).cpu()
    if given.is_floating_point() or given.is_complex() or tuple(given.shape) != (images,):
        raise UsageError(f"labels must be integers [{images}], one for each image, got {given.dtype} {[*given.shape]}.")
    return given.long()


def wanted(labels: Int[Tensor, " n"], classes: Tensor | Sequence[int]) -> Int[Tensor, " classes"]:
    """The distinct labels that are asked for, ascending; each must occur."""
    asked = torch.unique(torch.as_tensor(classes).long().cpu())
    missing = asked[~torch.isin(asked, labels)]
    if len(missing) or not len(asked):
        raise UsageError(
            f"classes must be labels that occur, got {missing[:5].tolist() or 'none'} of which no image is."
        )
    return asked
