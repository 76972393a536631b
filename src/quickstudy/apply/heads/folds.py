"""Folds of few examples: every class stays in every training part, and views of one example stay together."""

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

ALWAYS = -1
"""The fold of a row that is never held out: its class has no other example."""


def folds(
    y: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"], most: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """The fold in which each row is held out.

    Args:
        y: the rows' classes.
        groups: rows of one number are views of one example, whose class is one.
        most: folds at most; a class of fewer examples is spread over as many as it has, from a random one on.
        rng: for the order.
    """
    found = np.full(len(y), ALWAYS)
    start = 0
    for c in np.unique(y):
        examples = rng.permutation(np.unique(groups[y == c]))
        if len(examples) > 1:
            of = dict(zip(examples.tolist(), ((start + np.arange(len(examples))) % most).tolist(), strict=True))
            start += len(examples)
            found[y == c] = [of[g] for g in groups[y == c].tolist()]
    return found


def places(y: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight of each row: an example's views share the weight 1."""
    _, which, count = np.unique(groups, return_inverse=True, return_counts=True)
    return 1 / count[which.reshape(-1)]
