"""Class-disjoint splits: which classes are trained on, which are kept for validation and test."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.tasks.images._labels import Label, read_labels


def split_classes(
    labels: Any,
    *,
    fractions: tuple[float, ...] = (0.64, 0.16, 0.2),
    seed: int = 0,
) -> tuple[Int[Tensor, " classes"] | list[Label], ...]:
    """Class-disjoint splits: the labels of each split, for the option ``classes`` of ``Episodes``.

    Args:
        labels: ``[N]``, whole numbers or texts, as in ``Episodes``.
        fractions: share of the classes in each split; must sum to 1.
        seed: of the shuffle of the classes, below 2**32.

    Returns:
        The labels of each split, ascending: a tensor of whole numbers, or a list where there are texts.

    Raises:
        UsageError: fractions that do not sum to 1, or a split that would get no class.
        DataError: examples without a label.

    >>> train, val, test = split_classes([c for c in range(25) for _ in range(4)])
    >>> len(train), len(val), len(test)
    (16, 4, 5)
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(f"fractions must be positive and sum to 1, got {fractions}.")
    found = read_labels(labels)[1]
    ends = [round(len(found) * end) for end in accumulate(fractions)]
    sizes = [end - start for start, end in pairwise([0, *ends])]
    if min(sizes) < 1:
        raise UsageError(
            f"{len(found)} classes cannot be split into the fractions {fractions}: a split would get no class; use "
            f"more classes or other fractions."
        )
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(found)))  # a stream that never changes
    return tuple(_listed([found[i] for i in part.sort().values.tolist()]) for part in order.split(sizes))


def _listed(labels: Sequence[Label]) -> Int[Tensor, " classes"] | list[Label]:
    if all(isinstance(label, int) and label < 2**63 for label in labels):
        return torch.tensor(labels, dtype=torch.int64)
    return [*labels]
