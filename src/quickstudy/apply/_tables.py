"""Examples as scikit-learn passes them on: tables, of which a network wants each row in its own shape."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.apply._units import divisor
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner


def as_table(given: Any) -> tuple[Any, tuple[int, ...] | None]:
    """X as a table where it is not one, and the shape that its examples had then."""
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    elif isinstance(given, list | tuple):
        given = np.asarray(given)
    if getattr(given, "ndim", 2) <= 2:
        return given, None
    table = np.asarray(given)
    return table.reshape(len(table), -1), table.shape[1:]


def shape_of_one(
    wanted: tuple[int, ...] | None, learner: MetaLearner, given: tuple[int, ...] | None, features: int
) -> tuple[int, ...]:
    """The shape of one example for the network."""
    said = (getattr(module, "x_shape", None) for module in learner.modules())
    of_net = next((shape for shape in said if isinstance(shape, tuple)), None)
    shape = tuple(next((s for s in (wanted, of_net, given) if s is not None), (features,)))
    if math.prod(shape) != features:
        raise UsageError(f"an example has {features} numbers, but the network takes {[*shape]}: {math.prod(shape)}.")
    return shape


def as_examples(
    flat: NDArray[Any], given: tuple[int, ...] | None, own: tuple[int, ...], dtype: torch.dtype, support: Tensor | None
) -> Tensor:
    """A table's rows as a network takes them.

    Args:
        flat: the table.
        given: the shape that its examples had (None: they came as a table).
        own: of one example for the network.
        dtype: of the network's numbers; a whole one for token ids, which stay what they are.
        support: the examples that were fitted, in whose unit the others are taken (None: they are these).

    Raises:
        UsageError: another shape, numbers that the type cannot hold, or in an unknown unit.
    """
    if given is not None and given != own and (1, *given) != own and len(own) > 1:
        raise UsageError(
            f"examples must be [n, {', '.join(map(str, own))}] (channels first) or flattened, got {['n', *given]}."
        )
    x = torch.from_numpy(np.array(flat))
    if not dtype.is_floating_point:
        return x.to(dtype).view(-1, *own)
    scale = divisor(x, own, support)
    largest = float(x.abs().max()) if len(x) else 0.0
    if largest > torch.finfo(dtype).max:
        raise UsageError(
            f"X reaches {largest:.1e}, more than this learner's {str(dtype).removeprefix('torch.')} can hold "
            f"({torch.finfo(dtype).max:.1e}); scale its columns first (sklearn.preprocessing.StandardScaler)."
        )
    return (x.to(dtype) / scale).view(-1, *own)
