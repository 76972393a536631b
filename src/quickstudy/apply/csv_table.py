"""A table out of a text, as people paste it: what separates its columns, which cells are empty, what each column holds.

Columns of numbers are taken as they are, those of few words as one column of zeros and ones for each; what has a word
of its own in most rows (a name, a remark) tells nothing of other rows and is left out.
"""

import csv
import math
from dataclasses import dataclass
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from quickstudy.core.errors import DataError

SEPARATORS = (",", ";", "\t", "|")
EMPTY = frozenset({"", "?", "na", "n/a", "nan", "null"})
ROWS, COLUMNS = 5000, 500
WORDS = 20
"""Different ones that a column may hold, and no more than half as many as it has rows."""


@dataclass(frozen=True)
class Table:
    """Named columns of texts.

    Args:
        columns: their names.
        rows: a text for every column, without blanks around it.
        separator: of the text that it came from.
    """

    columns: list[str]
    rows: list[list[str]]
    separator: str

    def column(self, name: str) -> list[str]:
        """All cells of a column, from the top."""
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def is_empty(cell: str) -> bool:
    """Whether a cell says nothing.

    >>> [is_empty(cell) for cell in ("", "?", "NA", "0", "none")]
    [True, True, True, False, False]
    """
    return cell.lower() in EMPTY


def read_table(text: str) -> Table:
    """The table of a text whose first row names the columns; rows without any text are skipped.

    Raises:
        DataError: no rows, one column, rows of different lengths, two columns of one name, or more than ``ROWS`` rows
            or ``COLUMNS`` columns.
    """
    text = text.removeprefix("\ufeff")
    found = {separator: _cells(text, separator) for separator in SEPARATORS}
    separator = max(SEPARATORS, key=lambda s: (_fits(found[s]), len(found[s][0]) if found[s] else 0))
    rows = found[separator]
    if len(rows) < 2:
        raise DataError("a table needs a first row with the columns' names, and rows below it.")
    columns = [name or f"column {i + 1}" for i, name in enumerate(rows[0])]
    if len(columns) < 2:
        raise DataError(f"there is one column only, {columns[0]!r}; separate columns by commas, semicolons or tabs.")
    if len(rows) - 1 > ROWS or len(columns) > COLUMNS:
        raise DataError(
            f"the table has {len(rows) - 1:,} rows and {len(columns)} columns; at most {ROWS:,} and {COLUMNS} are read."
        )
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(columns):
            raise DataError(f"row {number} has {len(row)} cells, but there are {len(columns)} columns.")
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise DataError(f"two columns are called {twice[0]!r}; give each a name of its own.")
    return Table(columns, rows[1:], separator)


def numbers_of(table: Table, leave_out: str) -> tuple[NDArray[np.float64], list[str]]:
    """All columns but one as numbers ``[rows, features]``, nan where a cell is empty; and which told nothing.

    >>> table = read_table("weight,colour,note,kind\\n1.5,red,a,x\\n,green,b,x\\n2,red,c,\\n3,red,d,y")
    >>> numbers_of(table, "kind")[0].tolist()
    [[1.5, 0.0, 1.0], [nan, 1.0, 0.0], [2.0, 0.0, 1.0], [3.0, 0.0, 1.0]]
    """
    features: list[NDArray[np.float64]] = []
    silent: list[str] = []
    for name in table.columns:
        cells = table.column(name)
        if name == leave_out:
            continue
        said = [cell for cell in cells if not is_empty(cell)]
        values = [_number(cell, comma=table.separator != ",") for cell in said]
        words = sorted({*said})
        if words and all(value is not None for value in values):
            numbers = iter(values)
            features.append(np.array([math.nan if is_empty(cell) else next(numbers) for cell in cells], float))
        elif 2 <= len(words) <= min(WORDS, len(cells) // 2):
            features += [np.array([math.nan if is_empty(c) else c == word for c in cells], float) for word in words]
        else:
            silent.append(name)
    return np.stack(features, 1) if features else np.empty((len(table.rows), 0)), silent


def written(table: Table) -> str:
    """The table as a text again."""
    out = StringIO()
    writer = csv.writer(out, delimiter=table.separator, lineterminator="\n")
    writer.writerows([table.columns, *table.rows])
    return out.getvalue()


def _cells(text: str, separator: str) -> list[list[str]]:
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(StringIO(text), delimiter=separator)]
    except csv.Error as error:
        raise DataError(f"the table cannot be read: {error}.") from error
    return [row for row in rows if any(row)]


def _fits(rows: list[list[str]]) -> bool:
    """Whether a separator makes more than one column, and the same number in every row."""
    return len({len(row) for row in rows}) == 1 and len(rows[0]) > 1


def _number(cell: str, *, comma: bool) -> float | None:
    """None: it is no finite number. With ``comma`` 1,5 is one."""
    try:
        value = float(cell.replace(",", ".") if comma else cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None
