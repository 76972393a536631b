"""How good will a classifier be? Cross-validation on the few rows that there are, and what it says of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from sklearn.base import clone

from quickstudy.apply.heads.folds import folds
from quickstudy.core.errors import UsageError

Z = 1.96


class Estimate(NamedTuple):
    """A share in [0, 1] and its 95% interval (Wilson's, which is none of zero width where all are right)."""

    value: float
    low: float
    high: float


class Suspect(NamedTuple):
    """A row that looks mislabelled: whichever way it is held out, it is taken for another class."""

    row: int
    given: Any
    looks_like: Any
    probability: float
    """Of the class that it looks like."""


@dataclass(frozen=True)
class Check:
    """What cross-validation says of a classifier.

    Attributes:
        accuracy: of rows that were not fitted to.
        classes: in the order of the confusion's rows and columns.
        confusion: examples of one class (row) that were taken for another (column), mean over the repeats.
        by_shots: accuracy by examples per class that were fitted to, on the others: what more examples may bring.
        suspects: the most suspicious first.
        untested: classes of a single example, which cannot be held out.
    """

    accuracy: Estimate
    classes: tuple[Any, ...]
    confusion: Float[np.ndarray, "classes classes"]
    by_shots: tuple[tuple[int, Estimate], ...]
    suspects: tuple[Suspect, ...]
    untested: tuple[Any, ...]


def check(
    classifier: Any,
    x: Float[np.ndarray, "n f"],
    y: Int[np.ndarray, " n"],
    groups: Int[np.ndarray, " n"],
    classes: Sequence[Any],
    *,
    repeats: int,
    random_state: int,
) -> Check:
    """Cross-validate a classifier; everything that it chooses, it chooses anew in each fold.

    Args:
        classifier: an estimator with ``fit(X, y, groups)`` and ``predict_proba``.
        x: features.
        y: the places of the rows' classes.
        groups: rows of one number are views of one example.
        classes: what the classes are called.
        repeats: how often all examples are held out.
        random_state: seed of the folds.

    Raises:
        UsageError: every class has a single example.
    """
    rng = np.random.default_rng(random_state)
    _, first, example = np.unique(groups, return_index=True, return_inverse=True)
    example = example.reshape(-1)
    told = y[first]
    found = np.zeros((repeats, len(first), len(classes)))
    tested = np.bincount(told)[told] > 1
    if not tested.any():
        raise UsageError("every class has one example, so that none can be held out: a check needs a class of two.")
    for repeat in range(repeats):
        fold = folds(y, groups, 5, rng)
        for held in range(fold.max() + 1):
            p = _answered(classifier, x, y, groups, fold != held)
            np.add.at(found[repeat], example[fold == held], p)
    found /= np.maximum(np.bincount(example), 1)[:, None]
    predicted = found.argmax(2)
    right = (predicted == told).mean(0)
    confusion = np.zeros((len(classes), len(classes)))
    for r in range(repeats):
        np.add.at(confusion, (told[tested], predicted[r, tested]), 1 / repeats)
    return Check(
        wilson(right[tested]),
        tuple(classes),
        confusion,
        _by_shots(classifier, x, y, groups, rng, repeats),
        _suspects(found, told, tested, first, classes),
        tuple(classes[int(c)] for c in np.flatnonzero(np.bincount(told) == 1)),
    )


def _answered(
    classifier: Any, x: NDArray[Any], y: NDArray[Any], groups: NDArray[Any], fitted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    again: Any = clone(classifier)
    return again.fit(x[fitted], y[fitted], groups[fitted]).predict_proba(x[~fitted])


def _by_shots(
    classifier: Any, x: NDArray[Any], y: NDArray[Any], groups: NDArray[Any], rng: np.random.Generator, repeats: int
) -> tuple[tuple[int, Estimate], ...]:
    """Half the examples of the smallest class at most are fitted to, so that as many are left to test on."""
    of = {c: np.unique(groups[y == c]) for c in np.unique(y)}
    most = min(len(examples) for examples in of.values()) // 2
    found = []
    for shots in [s for s in (1, 2, 5, 10, 20, 50, 100) if s <= most]:
        right = []
        for _ in range(repeats):
            fitted = np.isin(groups, np.concatenate([rng.permutation(examples)[:shots] for examples in of.values()]))
            p = _answered(classifier, x, y, groups, fitted)
            right.append(float((p.argmax(1) == y[~fitted]).mean()))
        examples = sum(len(each) - shots for each in of.values())
        found.append((shots, wilson(np.full(examples, np.mean(right)))))
    return tuple(found)


def _suspects(
    found: NDArray[np.float64],
    told: NDArray[Any],
    tested: NDArray[np.bool_],
    first: NDArray[Any],
    classes: Sequence[Any],
) -> tuple[Suspect, ...]:
    """Confident learning: as sure of another class as rows of that class are (Northcutt, Jiang, Chuang. JAIR 2021)."""
    mean = found.mean(0)
    usual = np.array(
        [mean[tested & (told == c), c].mean() if (tested & (told == c)).any() else 1 for c in range(len(classes))]
    )
    looks = mean.argmax(1)
    always = (found.argmax(2) == looks).all(0)
    which = np.flatnonzero(tested & always & (looks != told) & (mean[np.arange(len(told)), looks] >= usual[looks]))
    listed = [Suspect(int(first[i]), classes[told[i]], classes[looks[i]], float(mean[i, looks[i]])) for i in which]
    return tuple(sorted(listed, key=lambda suspect: -suspect.probability))


def wilson(right: Float[np.ndarray, " n"]) -> Estimate:
    """The mean of n values in [0, 1], each an independent example.

    >>> [round(v, 2) for v in wilson(np.ones(25))]
    [1.0, 0.87, 1.0]
    """
    n, p = len(right), float(right.mean())
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (p * (1 - p) / n + Z**2 / (4 * n**2)) ** 0.5
    return Estimate(p, max(0.0, middle - half), min(1.0, middle + half))
