"""Which class was taken for which, where the classes of a batch have names (``TaskBatch.class_names``)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from quickstudy.core.errors import UsageError

OTHER = "(none of the task's classes)"
"""What a label is called that a learner gives, but the task has not: its network has outputs for more classes."""


@dataclass(frozen=True)
class Confusion:
    """How often queries of one class were taken for another, over all tasks in which both occurred.

    Args:
        counts: ``counts[true][predicted]`` by the classes' names; pairs that did not occur are left out.
    """

    counts: Mapping[str, Mapping[str, int]]

    def __repr__(self) -> str:
        right = sum(row.get(name, 0) for name, row in self.counts.items())
        total = sum(sum(row.values()) for row in self.counts.values())
        return f"<Confusion of {len(self.names)} classes: {right} of {total} queries right>"

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that occurred, sorted; last, where a learner predicted it, ``OTHER``."""
        found = {*self.counts, *(name for row in self.counts.values() for name in row)}
        return (*sorted(found - {OTHER}), *(found & {OTHER}))

    @property
    def accuracy(self) -> dict[str, float]:
        """By class, in [0, 1]: the share of its queries that were taken for it."""
        return {name: self.counts[name].get(name, 0) / sum(self.counts[name].values()) for name in sorted(self.counts)}

    def matrix(self) -> Int[Tensor, "classes classes"]:
        """Queries, a row by true and a column by predicted class, in the order of ``names``.

        A class can be taken for those of its own task only, so rows tell who is confused, not how far out of all.
        """
        at = {name: place for place, name in enumerate(self.names)}
        found = torch.zeros(len(at), len(at), dtype=torch.int64)
        for true, row in self.counts.items():
            for predicted, count in row.items():
                found[at[true], at[predicted]] = count
        return found

    def to_json(self) -> dict[str, Any]:
        return {true: dict(row) for true, row in self.counts.items()}


def counted(
    names: tuple[tuple[str, ...], ...], y: Int[Tensor, "tasks n"], predicted: Int[Tensor, "tasks n"]
) -> Counter[tuple[str, str]]:
    """Pairs (true, predicted) of a batch: ``names[task][label]``; padding (``y`` below 0) does not count.

    Raises:
        UsageError: a query has a label that no name is given for.
    """
    found: Counter[tuple[str, str]] = Counter()
    for called, true, guess in zip(names, y.cpu(), predicted.cpu(), strict=True):
        if int(true.max()) >= len(called):
            raise UsageError(f"class_names of a task has {len(called)} names, but labels run to {int(true.max())}.")
        pairs, counts = torch.stack([true, guess])[:, true >= 0].unique(dim=1, return_counts=True)
        for (t, p), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            found[called[t], called[p] if p < len(called) else OTHER] += count
    return found


def confusion_of(counts: Iterable[Counter[tuple[str, str]]]) -> Confusion | None:
    """Of all counts; None where nothing was counted."""
    total: Counter[tuple[str, str]] = Counter()
    for some in counts:
        total.update(some)
    rows: dict[str, dict[str, int]] = {}
    for (true, predicted), count in sorted(total.items()):
        rows.setdefault(true, {})[predicted] = count
    return Confusion(rows) if rows else None
