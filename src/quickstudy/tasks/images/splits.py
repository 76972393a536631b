"""Class-disjoint splits: which classes are trained on, which are kept for validation and test."""

import hashlib
import unicodedata
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.tasks.images.labels import Label, read_labels

LEAST = 2  # classes in val and in test, of at least 6: fewer make no task


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


def split_names(names: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """Classes by split, 64 / 16 / 20 % of them on average; each by a hash of its own name.

    So a new or renamed class moves no other. But where there are few, val or test could be left with less than
    ``LEAST``: then the classes of train that are nearest to them are lent. A lent class goes back when others come. So
    a class that is added brings none of train into val or test (of 6 classes or more, and more than 2 in train).

    Args:
        names: distinct names.
        seed: other seeds give other splits.

    Returns:
        The names of ``train``, ``val`` and ``test``, sorted.
    """
    places = {name: _place(name, seed) for name in names}
    train = sorted((name for name in names if places[name] < 0.64), key=lambda name: places[name])
    val = [name for name in names if 0.64 <= places[name] < 0.8]
    test = [name for name in names if places[name] >= 0.8]
    least = LEAST if len(names) >= 3 * LEAST else 1
    for part in (test, val):
        while len(part) < least < len(train):
            part.append(train.pop())
    return {"train": sorted(train), "val": sorted(val), "test": sorted(test)}


def seed_that_gives(names: Sequence[str], least: int) -> int | None:
    """The first seed that gives every split at least so many classes (None: none does)."""
    seeds = range(1, 200) if len(names) >= 3 * least else range(0)
    return next((s for s in seeds if min(map(len, split_names(names, s).values())) >= least), None)


def _place(name: str, seed: int) -> float:
    """Uniform in [0, 1); the same however a system writes accents down."""
    text = f"{seed}/{unicodedata.normalize('NFC', name)}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest(), "big") / 2**48
