"""How well a table's classes can be told, and by what: cross-validation of the in-context learner beside others.

Every method gets the same folds and the same numbers made of the columns. Of each row it counts whether it was told,
in the mean over the repeats; intervals (95%) are over rows, those of differences over the rows' differences.

Needs the extra ``sklearn``.
"""

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.model_selection import StratifiedKFold

from quickstudy.apply.tables.labelled import Labelled
from quickstudy.apply.tables.methods import METHODS, OURS, USUAL, WORDS, method
from quickstudy.core.errors import UsageError
from quickstudy.core.options import COUNT, Range, check_options
from quickstudy.core.scores import score
from quickstudy.training.intervals import mean_and_half_width

SHARE = score("accuracy")


@dataclass(frozen=True)
class MethodScore:
    """How one method did.

    Args:
        name: as ``methods.METHODS`` has it.
        accuracy: the mean over rows, in [0, 1].
        ci95: half the width of its interval.
        ahead: by how much it told more rows than the in-context learner did; below 0: fewer.
        ahead_ci95: half the width of that difference's interval.
        seconds: to fit and predict, the mean over folds.
    """

    name: str
    accuracy: float
    ci95: float
    ahead: float
    ahead_ci95: float
    seconds: float


@dataclass(frozen=True)
class TableCheck:
    """What ``check_table`` found.

    Args:
        scores: of the methods, the in-context learner's first.
        rows: that were checked, of so many labelled ones.
        of_rows: the labelled ones there are.
        classes: rows by class.
        folds: of the cross-validation.
        repeats: of it, each with folds of its own.
        columns: what they are, in lines.
    """

    scores: tuple[MethodScore, ...]
    rows: int
    of_rows: int
    classes: dict[str, int]
    folds: int
    repeats: int
    columns: tuple[str, ...]

    @property
    def better(self) -> MethodScore | None:
        """The best of the methods that are better than the in-context learner by more than the interval."""
        found = [s for s in self.scores if s.ahead > s.ahead_ci95 and s.name != OURS]
        return max(found, key=lambda s: s.ahead, default=None)

    @property
    def advice(self) -> str:
        """In a sentence or two, what to use here."""
        ours, others = self.scores[0], [s for s in self.scores if s.name not in (OURS, USUAL)]
        nothing = next(s for s in self.scores if s.name == USUAL)
        best, behind = self.better, [s for s in others if -s.ahead > s.ahead_ci95]
        if max(s.accuracy for s in (ours, *others)) <= nothing.accuracy + nothing.ci95:
            said = "No method is clearly better than always saying the most frequent class."
        elif best is not None:
            by = f"by {SHARE.gap(best.ahead, best.ahead_ci95).removeprefix('+')} points"
            said = f"{WORDS[best.name].capitalize()} is better here than in-context learning, {by}: method {best.name}."
        elif len(behind) == len(others):
            said = "In-context learning is clearly better here than the other methods."
        else:
            said = "No other method is clearly better here than in-context learning."
        if self.of_rows > self.rows:
            said += (
                f" This was seen on {self.rows} of {self.of_rows} rows; with all of them others may do better still "
                f"(in-context learning reads at most 1000)."
            )
        return said

    def __str__(self) -> str:
        lines = [f"{WORDS.get(s.name, s.name)}: {SHARE.told(s.accuracy, s.ci95)}" for s in self.scores]
        return "\n".join([*lines, self.advice])


def check_table(
    table: Any,
    target: str | None,
    *,
    ids: Iterable[str] = (),
    leave_out: Iterable[str] = (),
    rows: int = 1000,
    folds: int = 5,
    repeats: int | None = None,
    views: int = 2,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> TableCheck:
    """Cross-validate the in-context learner on a table, beside logistic regression, extra trees and gradient boosting.

    Args:
        table: a DataFrame, or what ``read_table`` gives.
        target: the column of the classes; rows without one are left out.
        ids: columns that name the rows, and are not used.
        leave_out: columns that are not used.
        rows: checked at most, chosen at random.
        folds: each row is in one of them.
        repeats: how often it is done, with other folds (None: up to five times, of less than 200 rows).
        views: of the in-context learner (``TabularClassifier.n_ensemble``).
        seed: of the choice of rows, and of the folds.
        progress: called with how many fits are done, and how many there are.

    Raises:
        UsageError: as ``Labelled.of``; classes of one row each, or an option out of its range.
        DataError: no row has a class.
    """
    check_options(check_table, locals(), {"rows": COUNT, "folds": Range(2), "repeats": COUNT, "views": COUNT})
    found = Labelled.of(table, target, ids=ids, leave_out=leave_out)
    return check_labelled(found, rows=rows, folds=folds, repeats=repeats, views=views, seed=seed, progress=progress)


def check_labelled(
    found: Labelled,
    *,
    rows: int,
    folds: int,
    repeats: int | None,
    views: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> TableCheck:
    """``check_table`` of rows that were told apart from their classes."""
    chosen = np.sort(np.random.default_rng(seed).permutation(len(found.labels))[:rows])
    data, labels = found.plan.read(found.table).take(chosen), found.labels[chosen]
    counts = np.unique(labels, return_counts=True)[1]
    if counts.max() < 2 or len(labels) < 4:
        raise UsageError(
            f"{found.table.name} has {len(labels)} rows of {len(counts)} classes with a known {found.target}: too few "
            f"to hold some out and see how well they are told. Two rows of a class are the least, ten or more say more."
        )
    folds, repeats = min(folds, int(counts.max())), repeats or min(5, max(1, 200 // len(labels)))
    splits: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than there are folds
        for repeat in range(repeats):
            splits += StratifiedKFold(folds, shuffle=True, random_state=seed + repeat).split(labels, labels.astype(str))
    splits = [split for split in splits if len({*labels[split[0]]}) > 1]
    right = {name: np.zeros(len(labels)) for name in METHODS}
    seconds, done = dict.fromkeys(METHODS, 0.0), 0
    for name in METHODS:
        for known, asked in splits:
            begun = time.perf_counter()
            model = method(name, found.plan, rows=len(known), views=views).fit(data.take(known), labels[known])
            right[name][asked] += (model.predict(data.take(asked)) == labels[asked]) / repeats
            seconds[name] += (time.perf_counter() - begun) / len(splits)
            done += 1
            if progress is not None:
                progress(done, len(splits) * len(METHODS))
    return TableCheck(
        scores=tuple(_score(name, told, right[OURS], seconds[name]) for name, told in right.items()),
        rows=len(labels),
        of_rows=len(found.labels),
        classes=found.classes,
        folds=folds,
        repeats=repeats,
        columns=tuple(found.plan.lines(found.table)),
    )


def _score(
    name: str, told: Float[np.ndarray, " rows"], ours: Float[np.ndarray, " rows"], seconds: float
) -> MethodScore:
    accuracy, ci95 = mean_and_half_width(torch.from_numpy(told))
    return MethodScore(name, accuracy, ci95, *mean_and_half_width(torch.from_numpy(told - ours)), seconds)
