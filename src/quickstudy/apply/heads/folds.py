"""Folds of few examples: every class stays in every training part, and views of one example stay together."""

import numpy as np
from jaxtyping import Float, Int

ALWAYS = -1
"""The fold of a row that is never held out: its class has no other example."""


def folds(
    y: Int[np.ndarray, " n"], groups: Int[np.ndarray, " n"], most: int, rng: np.random.Generator
) -> Int[np.ndarray, " n"]:
    """The fold in which each row is held out: of a class with k examples at most one in k is in each.

    Args:
        y: the rows' classes.
        groups: rows of one number are views of one example.
        most: folds at most, >= 2.
        rng: for the order.
    """
    found = np.full(len(y), ALWAYS)
    start = 0
    for c in np.unique(y):
        own = np.flatnonzero(y == c)
        examples, which = np.unique(groups[own], return_inverse=True)
        if len(examples) > 1:
            order = rng.permutation(len(examples))
            found[own] = ((start + order) % most)[which.reshape(-1)]
            start += len(examples)  # so that folds are of one size
    return found


def weights_of(groups: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The weight of each row: an example's views share the weight 1."""
    _, which, count = np.unique(groups, return_inverse=True, return_counts=True)
    return 1 / count[which.reshape(-1)]
