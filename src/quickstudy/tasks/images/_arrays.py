"""A user's examples as the tensor that episodes index; each check raises a clear error."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks.images.pixels import check_pixels

AT_ONCE = 4_000_000  # numbers that are looked at together


def as_examples(examples: Any, series: bool | None = None) -> Shaped[Tensor, "n ..."]:
    """Images ``[N, C, H, W]`` or ``[N, H, W]``, series ``[N, C, L]``, features ``[N, f]``, or of more axes.

    Not copied where that can be. uint8 as it is; floating point and truth values as float32; whole numbers of other
    types are 8-bit images (then uint8) or features (token ids), as int64.

    Args:
        examples: a tensor, an array, a table, or lists.
        series: whether three axes are series, or images without a channel (None: images are uint8 or square).
    """
    given = _tensor(examples)
    if given.ndim < 2 or 0 in given.shape:
        raise UsageError(
            f"images must be [N, C, H, W] or [N, H, W], series [N, C, L], features [N, f], and not empty, got "
            f"{[*given.shape]}{'; for one number per example x[:, None]' if given.ndim == 1 else ''}."
        )
    square = given.ndim == 3 and given.shape[1] == given.shape[2]
    if given.ndim == 3 and not (series if series is not None else given.dtype != torch.uint8 and not square):
        given = given.unsqueeze(1)
    if given.is_complex():
        raise UsageError(f"examples must be real numbers, got {given.dtype}; pass real and imaginary parts apart.")
    if given.dtype == torch.uint8:
        return given.cpu()
    if given.is_floating_point() or given.dtype == torch.bool:
        return _finite(given.float().cpu())
    kind, whole = str(given.dtype).removeprefix("torch."), given.long().cpu()
    if given.ndim == 2:
        return whole
    if given.ndim == 3:  # series of whole numbers: no pixels
        return whole.float()
    check_pixels(int(whole.min()), int(whole.max()), kind)
    return whole.byte()


def _tensor(examples: Any) -> Tensor:
    if isinstance(examples, Tensor):
        return examples.detach()
    try:
        array = np.asarray(examples)
    except ValueError as error:
        raise UsageError("examples must be alike, an array [N, ...], got lists of several lengths.") from error
    if array.dtype.kind not in "biufc":
        raise UsageError(
            f"examples must be numbers, got {array.dtype} ({_first_odd(array)}); encode texts, dates and missing "
            f"values as numbers first."
        )
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        array = array.astype(np.float64)
    array = np.require(array.astype(array.dtype.newbyteorder("="), copy=False), requirements=["C"])
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Readable(array)))


class _Readable:
    """A read-only array (a memory map may be one, larger than memory), of which torch need not be warned.

    It is not copied, and nothing here writes into it.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array  # which it keeps alive
        given = array.__array_interface__
        self.__array_interface__ = {**given, "data": (given["data"][0], False)}


def _first_odd(array: Any) -> str:
    """The first element that is no number."""
    return repr(next((one for one in array.flat if not isinstance(one, int | float)), "no element"))


def _finite(given: Tensor) -> Tensor:
    parts = given.split(max(1, AT_ONCE // given[0].numel()))  # there may be more than fits into memory
    broken = torch.nonzero(~torch.cat([torch.isfinite(part).flatten(1).all(1) for part in parts])).flatten()
    if len(broken):
        what = "images" if given.ndim == 4 else "examples"
        raise DataError(
            f"{len(broken)} of {len(given)} {what} hold NaN or infinite values, the first is {what[:-1]} "
            f"{int(broken[0])}; repair or leave them out."
        )
    return given
