"""The empty cells of a table's column, filled in from its other rows by ``TabularClassifier``.

Needs the extra ``sklearn``; ``import quickstudy`` does not import this module.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.apply.csv_table import Table, is_empty, numbers_of, read_table, written
from quickstudy.apply.tabular import TabularClassifier
from quickstudy.core.errors import UsageError

FOLDS = 5
VIEWS = 4  # of the table, see TabularClassifier


@dataclass(frozen=True)
class FilledIn:
    """A table whose target column has no empty cells any more.

    Args:
        table: the whole of it.
        target: the column that was filled in.
        classes: what may stand there.
        filled: of the rows whose cell was empty, from the top: how sure the answer is, 0 to 1.
        silent: columns that could not be read as numbers or few words, and were left out.
        checked: of the rows that had an answer, the share that is right when each fifth of them is asked of the others
            (None: too few of a class for that).
    """

    table: Table
    target: str
    classes: list[str]
    filled: dict[int, float]
    silent: list[str]
    checked: float | None

    def to_csv(self) -> str:
        """The table as it came, filled in, and beside it how sure each filled cell is."""
        name = f"{self.target} confidence"
        sure = [f"{self.filled[i]:.3f}" if i in self.filled else "" for i in range(len(self.table.rows))]
        rows = [[*row, cell] for row, cell in zip(self.table.rows, sure, strict=True)]
        return written(replace(self.table, columns=[*self.table.columns, name], rows=rows))


def fill_in(text: str, target: str | None = None) -> FilledIn:
    """Fill in a column of a table, from the rows that have an answer there.

    Args:
        text: the table, its first row the columns' names; columns separated by commas, semicolons, tabs or bars. A cell
            that is empty, or ``?``, ``NA``, ``nan`` or ``null``, is missing.
        target: the column (None: the last one that has empty cells).

    Raises:
        DataError: no table (see ``read_table``).
        UsageError: no such column, nothing to fill in, fewer than two classes, or numbers in place of classes.

    >>> found = fill_in("size,colour,kind\\n1,red,a\\n2,red,a\\n8,blue,b\\n9,blue,b\\n1.5,red,\\n8.5,blue,?")
    >>> found.table.column("kind"), found.target
    (['a', 'a', 'b', 'b', 'a', 'b'], 'kind')
    """
    table = read_table(text)
    target = _target(table) if target is None else target
    if target not in table.columns:
        raise UsageError(f"there is no column {target!r}; there are {', '.join(table.columns)}.")
    answers = table.column(target)
    empty = np.array([is_empty(answer) for answer in answers])
    known = np.array(answers)[~empty]
    classes = sorted({*known.tolist()})
    _check(target, classes, known, int(empty.sum()))
    x, silent = numbers_of(table, target)
    if not x.shape[1]:
        raise UsageError(f"no column beside {target!r} holds numbers, or few enough words to tell anything by.")
    found = TabularClassifier(n_ensemble=VIEWS).fit(x[~empty], known)
    p = found.predict_proba(x[empty])
    at, rows = table.columns.index(target), [list(row) for row in table.rows]
    where = np.flatnonzero(empty).tolist()
    for row, best in zip(where, p.argmax(1).tolist(), strict=True):
        rows[row][at] = str(found.classes_[best])
    sure = dict(zip(where, p.max(1).tolist(), strict=True))
    return FilledIn(replace(table, rows=rows), target, classes, sure, silent, _checked(x[~empty], known))


def _target(table: Table) -> str:
    for name in reversed(table.columns):
        if any(map(is_empty, table.column(name))):
            return name
    raise UsageError("no cell is empty: leave those empty that are to be filled in, or write ? there.")


def _check(target: str, classes: list[str], known: NDArray[Any], empty: int) -> None:
    if not empty:
        raise UsageError(f"no cell of {target!r} is empty: leave those empty that are to be filled in, or write ?.")
    if len(classes) < 2:
        raise UsageError(f"{target!r} needs at least two different answers to learn from, got {len(classes)}.")
    if len(classes) > max(10, len(known) // 2):
        raise UsageError(
            f"{target!r} has {len(classes)} different answers in {len(known)} rows: that is a number or a name, and "
            f"only one of a few classes can be filled in."
        )


def _checked(x: NDArray[np.float64], y: NDArray[Any]) -> float | None:
    """By cross-validation, each class shared out evenly."""
    order = np.argsort(y, kind="stable")
    fold = np.empty(len(y), int)
    fold[order] = np.arange(len(y)) % FOLDS
    if len(y) < 2 * FOLDS or min(np.unique(y, return_counts=True)[1]) < 2:
        return None
    right = 0
    for k in range(FOLDS):
        rest, asked = fold != k, fold == k
        right += int((TabularClassifier().fit(x[rest], y[rest]).predict(x[asked]) == y[asked]).sum())
    return right / len(y)
