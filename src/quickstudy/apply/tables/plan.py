"""What each column of a table is: numbers, dates, categories, text, an id, or nothing that tells rows apart."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quickstudy.apply.tables.parsing import date_format, dates, is_missing, number_style, numbers
from quickstudy.apply.tables.table import Column, Table, as_objects, listed
from quickstudy.core.errors import UsageError

LEVELS = 50
"""More different texts than these in a column are no categories, unless each comes many times."""
WORDS = 4
"""Words of a cell, in the mean, from which on a column is text."""
_ID = re.compile(r"(?i:(?:^|[\W_])(?:id|ids|uuid|guid|key|index|idx|rowid|row|nr|no)|unnamed: 0)$|(?<=[a-z])I[dD]$")
"""How the columns are called that name rows."""


@dataclass(frozen=True)
class Kind:
    """What a column is, and how it is read.

    Args:
        name: ``number``, ``date``, ``category``, ``text``, ``id`` or ``nothing`` (one value, or none).
        written: of texts: the numbers' style or the dates' format.
    """

    name: str
    written: str | None = None

    def read(self, column: Column) -> Column:
        """The column as float64 or datetime64, or as texts without the words for a gap."""
        if column.dtype == object:
            if self.name == "number":
                return numbers(column, self.written or "point")
            if self.name == "date":
                return dates(column, self.written or "iso")
            return as_objects([None if is_missing(text) else text for text in column])
        wanted = {"number": "f", "date": "M"}.get(self.name)
        if wanted is None:
            return as_objects(
                [
                    None if gap else f"{value:.15g}" if column.dtype.kind == "f" else str(value)
                    for value, gap in zip(column.tolist(), gaps(column), strict=True)
                ]
            )
        nothing = np.nan if wanted == "f" else np.datetime64("NaT", "us")
        return column if column.dtype.kind == wanted else np.full(len(column), nothing)


@dataclass(frozen=True)
class Plan:
    """What every column of a table is."""

    kinds: Mapping[str, Kind]

    @staticmethod
    def of(table: Table, *, ids: Iterable[str] = (), leave_out: Iterable[str] = ()) -> "Plan":
        """What the columns of a table seem to be.

        Args:
            table: with as many rows as there are.
            ids: columns that name the rows.
            leave_out: columns that are not to be used.
        """
        kinds = {name: kind_of(name, column) for name, column in table.columns.items()}
        return Plan(kinds | dict.fromkeys(leave_out, Kind("nothing")) | dict.fromkeys(ids, Kind("id")))

    def names(self, *kinds: str) -> list[str]:
        """The columns of these kinds, in order."""
        return [name for name, kind in self.kinds.items() if kind.name in kinds]

    def read(self, table: Table) -> Table:
        """The columns that are used, read; of this table or of another with the same columns.

        Raises:
            UsageError: the other lacks some of them.
        """
        used = self.names("number", "date", "category", "text")
        lacking = [name for name in used if name not in table.columns]
        if lacking:
            raise UsageError(f"{table.name} lacks {listed(lacking)}; it has {listed(table.columns, most=30)}.")
        return Table({name: self.kinds[name].read(table.columns[name]) for name in used}, table.name)

    def lines(self, table: Table) -> list[str]:
        """What a person should know: a line for each kind, with gaps counted."""
        words = {"number": "numbers", "date": "dates", "category": "categories", "text": "text", "id": "id, not used"}
        words["nothing"] = "left out"
        read = self.read(table)
        counts = {name: int(gaps(column).sum()) for name, column in read.columns.items()}
        return [
            f"{word}: {listed((name + (f' ({n} missing)' if (n := counts.get(name)) else '') for name in found), 12)}"
            for kind, word in words.items()
            if (found := self.names(kind))
        ]


def kind_of(name: str, column: Column) -> Kind:
    """What a column seems to be."""
    kind = _kind_of_values(column)
    read = kind.read(column)
    present = read[~gaps(read)]
    different = len({*present.tolist()})
    if different < 2:
        return Kind("nothing", kind.written)
    if different == len(column) and kind.name != "date" and _names_rows(name, kind, present):
        return Kind("id", kind.written)
    return kind


def _kind_of_values(column: Column) -> Kind:
    if column.dtype.kind in "fM":
        return Kind("number" if column.dtype.kind == "f" else "date")
    if (style := number_style(column)) is not None:
        return Kind("number", style)
    if (form := date_format(column)) is not None:
        return Kind("date", form)
    present = [text for text in column if not is_missing(text)]
    different = len({*present})
    words = sum(len(text.split()) for text in {*present}) / max(1, different)
    many = different > max(LEVELS, len(present) / 20) or (different > 10 and different > len(present) / 2)
    return Kind("text" if many or (words >= WORDS and different > len(present) / 2) else "category")


def _names_rows(name: str, kind: Kind, values: Column) -> bool:
    """Whether values that are all different say nothing but which row it is: by the column's name, or as they count."""
    if _ID.search(name.strip()):
        return True
    return kind.name == "number" and len(values) >= 10 and values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def gaps(column: Column) -> NDArray[np.bool_]:
    """Which cells of a column that was read are missing."""
    if column.dtype == object:
        return np.array([text is None for text in column], bool)
    return np.isnat(column) if column.dtype.kind == "M" else np.isnan(column)
