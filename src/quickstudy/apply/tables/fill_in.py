"""The empty cells of a table's column, filled in from its other rows by ``TabularClassifier``.

Needs the extra ``sklearn``.
"""

import csv
import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from quickstudy.apply.tables.classified import classify
from quickstudy.apply.tables.csv_file import table_of
from quickstudy.apply.tables.labelled import Labelled, known_classes
from quickstudy.apply.tables.methods import OURS, method
from quickstudy.apply.tables.plan import gaps
from quickstudy.apply.tables.table import Table, as_objects, listed
from quickstudy.core.errors import DataError, UsageError

FOLDS = 5
VIEWS = 4  # of the table, see TabularClassifier
ROWS, COLUMNS = 5000, 500


@dataclass(frozen=True)
class FilledIn:
    """A table whose target column has no empty cells any more.

    Args:
        table: the whole of it.
        target: the column that was filled in.
        classes: what may stand there.
        filled: of the rows whose cell was empty, from the top: how sure the answer is, 0 to 1.
        silent: columns that tell no rows apart, or only name them, and were left out.
        checked: of the rows that had an answer, the share that is right when each fifth of them is asked of the others
            (None: too few of a class for that).
    """

    table: Table
    target: str
    classes: list[str]
    filled: dict[int, float]
    silent: list[str]
    checked: float | None

    @property
    def rows(self) -> list[list[str]]:
        """The cells of each row, from the top."""
        return [[*row] for row in zip(*self.table.columns.values(), strict=True)]

    def to_csv(self) -> str:
        """The table as it came, filled in, and beside it how sure each filled cell is."""
        sure = [f"{self.filled[i]:.3f}" if i in self.filled else "" for i in range(len(self.table))]
        file = io.StringIO(newline="")
        to = csv.writer(file, delimiter=self.table.separator, lineterminator="\n")
        to.writerow([*self.table.columns, f"{self.target} confidence"])
        to.writerows([*row, cell] for row, cell in zip(self.rows, sure, strict=True))
        return file.getvalue()


def fill_in(text: str, target: str | None = None) -> FilledIn:
    """Fill in a column of a table, from the rows that have an answer there.

    Args:
        text: the table, as ``read_table`` takes it from a file, but its first row names the columns; at most 5,000 rows
            of 500 columns. A cell of the target that is empty, or ``?``, ``NA``, ``nan`` or ``null``, is filled in.
        target: the column (None: the last one that has such cells).

    Raises:
        DataError: no table, or one that is too large.
        UsageError: no such column, nothing to fill in, or no classes in that column.

    >>> found = fill_in("size,colour,kind\\n1,red,a\\n2,red,a\\n8,blue,b\\n9,blue,b\\n1.5,red,\\n8.5,blue,?")
    >>> found.table.column("kind").tolist(), found.target
    (['a', 'a', 'b', 'b', 'a', 'b'], 'kind')
    """
    table = table_of(text.removeprefix("\ufeff"), "the table", header=True)
    if len(table) > ROWS or len(table.columns) > COLUMNS:
        raise DataError(
            f"the table has {len(table)} rows of {len(table.columns)} columns; at most {ROWS} of {COLUMNS}."
        )
    known = Labelled.of(table, _target(table) if target is None else target)
    where = np.flatnonzero(~known.is_labelled).tolist()
    if not where:
        raise UsageError(
            f"no cell of {known.target!r} is empty: leave those empty that are to be filled in, or write ?."
        )
    if not known.plan.names("number", "date", "category", "text"):
        raise UsageError(f"no column beside {known.target!r} tells rows apart; it has {listed(table.columns)}.")
    found = classify(known, known.rest, name=OURS, views=VIEWS)
    cells = table.columns[known.target].copy()
    cells[where] = as_objects(found.labels)
    sure = dict(zip(where, found.probabilities.max(1).tolist(), strict=True))
    filled = replace(table, columns={**table.columns, known.target: cells})
    silent = known.plan.names("id", "nothing")
    return FilledIn(filled, known.target, [*known.classes], sure, silent, _checked(known))


def _target(table: Table) -> str:
    for name in reversed([*table.columns]):
        if gaps(known_classes(table.columns[name])).any():
            return name
    raise UsageError("no cell is empty: leave those empty that are to be filled in, or write ? there.")


def _checked(known: Labelled) -> float | None:
    """By cross-validation, each class shared out evenly."""
    folds = min(FOLDS, *known.classes.values())
    if folds < 2 or len(known.labels) < 2 * FOLDS:
        return None
    right, y = 0, known.labels
    splits: Any = StratifiedKFold(folds, shuffle=True, random_state=0).split(y, y.astype(str))
    for rest, asked in splits:
        model = method(OURS, known.plan, rows=len(rest), views=1).fit(known.table.take(rest), y[rest])
        right += int((model.predict(known.table.take(asked)) == y[asked]).sum())
    return right / len(y)
