"""In which unit a person's numbers are, pixels of 0..255 or 0..1: what is asked in the same as what was fitted."""

import warnings

import torch
from jaxtyping import Shaped
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.tasks.images.pixels import check_pixels

WHITE = 255


def divisor(x: Shaped[Tensor, "n features"], shape: tuple[int, ...], support: Tensor | None) -> float:
    """What numbers are divided by, to be in the unit of the network.

    uint8 is 0..255 and becomes [0, 1], and so are whole numbers of other types where examples are images. Of what is
    asked, numbers are brought to the unit of what was fitted, where that is sure.

    Args:
        x: examples, as they were given.
        shape: of one example for the network.
        support: the examples that were fitted, in the unit of the network (None: they are what is given).

    Raises:
        UsageError: whole numbers that are no pixels; or numbers of another unit than those that were fitted.
    """
    if not x.numel() or x.dtype == torch.bool:
        return 1
    image, whole = len(shape) == 3, not x.is_floating_point()
    numbers = x.double()  # torch has no minimum of some types
    low, high = float(numbers.min()), float(numbers.max())
    if support is None:
        if x.dtype == torch.uint8:
            return WHITE
        if image and whole:
            check_pixels(low, high, str(x.dtype).removeprefix("torch."))
            return WHITE
        if image and _is_pixels(x, low, high):
            warnings.warn(
                "X holds whole numbers 0..255 in floating point, which are taken as they are; if the learner was "
                "trained on images in [0, 1], pass X.astype('uint8') or X / 255.",
                UserWarning,
                stacklevel=5,
            )
        return 1
    least, most = float(support.min()), float(support.max())
    unit, eight_bits = least >= 0 and most <= 1, _is_eight_bits(support)
    refused = UsageError(
        f"X was fitted on numbers from {least:g} to {most:g} (as the network has them), and is asked about "
        f"{str(x.dtype).removeprefix('torch.')} from {low:g} to {high:g}: which unit is that? Give it as X of fit was."
    )
    if unit and (image or eight_bits):
        if whole and (eight_bits or high > 1 or x.dtype == torch.uint8):
            known = low >= 0 and high <= WHITE
        elif high > (2 if image else 1):  # a little more than 1 is a bright image, or rounding
            known = low >= 0 and high <= WHITE and (image or bool((x == x.round()).all()))
        else:
            return 1
        if not known:
            raise refused
        return WHITE
    if x.dtype == torch.uint8:
        if unit:
            return WHITE if high > 1 else 1
        if least < 0 or most > WHITE:
            raise refused
        return 1
    if image and not whole and low >= 0 and 0 < high <= 1 and _is_pixels(support, least, most):
        return 1 / WHITE
    return 1


def _is_pixels(x: Tensor, low: float, high: float) -> bool:
    """Whether these are surely the numbers of 8-bit pixels."""
    return low >= 0 and 127 < high <= WHITE and bool((x == x.round()).all())


def _is_eight_bits(support: Tensor) -> bool:
    """Whether these were surely uint8: multiples of 1/255 in [0, 1], and not all 0 or 1."""
    levels = support.double() * WHITE
    near = (
        bool(((levels - levels.round()).abs() < 1e-3).all())
        and 0 <= float(levels.min()) <= float(levels.max()) <= WHITE
    )
    return near and bool(((support > 0) & (support < 1)).any())
