"""Examples as scikit-learn passes them on: tables, of which a network wants each row in its own shape."""

import math
from typing import Any

import numpy as np
from torch import Tensor

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
