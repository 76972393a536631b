"""A table: columns by name. What a file or a DataFrame holds, before anything is made of it.

A column is an array ``[rows]``: float64 (nan: missing), datetime64 (NaT: missing), or objects, each a text or None.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from quickstudy.core.errors import UsageError
from quickstudy.core.words import meant

Column = NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Columns of equal length, by name.

    Args:
        columns: in order.
        name: what it is called in a sentence.
        notes: what a person should know of how it was read.
        has_header: whether the names are its own (else they are ``column1``, ...).
        separator: between the cells of the text that it came from.
    """

    columns: Mapping[str, Column]
    name: str = "the table"
    notes: tuple[str, ...] = ()
    has_header: bool = True
    separator: str = ","

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> Column:
        """A column by its name or, from 1 on, its number.

        Raises:
            UsageError: there is none of this name.
        """
        return self.columns[self.named(name)]

    def named(self, name: str) -> str:
        """The name of a column that was asked for by name or number.

        Raises:
            UsageError: there is none of this name.
        """
        if name in self.columns:
            return name
        if name.isdecimal() and 1 <= int(name) <= len(self.columns):
            return [*self.columns][int(name) - 1]
        has = listed(self.columns, most=30)
        raise UsageError(f"{self.name} has no column {name!r}; it has {has}.{meant(name, self.columns)}")

    def take(self, rows: Any) -> "Table":
        """Some of the rows: indices, or one truth value per row."""
        return Table(
            {name: column[rows] for name, column in self.columns.items()},
            self.name,
            (),
            self.has_header,
            self.separator,
        )

    def without(self, names: Iterable[str]) -> "Table":
        """The other columns."""
        gone = {*names}
        return replace(self, columns={n: c for n, c in self.columns.items() if n not in gone})


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in a sentence, the first few of many."""
    every = [*names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def has_words(thing: Any) -> bool:
    """Whether it is a table with named columns (see ``as_table``) that are not all of numbers."""
    if isinstance(thing, Table):
        return True
    import narwhals as nw

    frame = nw.from_native(thing, pass_through=True)
    return isinstance(frame, nw.LazyFrame) or (
        isinstance(frame, nw.DataFrame) and not all(kind.is_numeric() for kind in frame.schema.dtypes())
    )


def as_table(thing: Any, name: str = "the table") -> Table:
    """A DataFrame as a table.

    Raises:
        UsageError: it is none, not yet computed (a lazy one), or has several columns of one name.
    """
    if isinstance(thing, Table):
        return thing
    import narwhals as nw

    if getattr(thing, "ndim", 2) == 2 and hasattr(thing, "columns") and not isinstance(thing, np.ndarray):
        twice = [str(n) for n, count in Counter(map(str, getattr(thing, "columns", ()))).items() if count > 1]
        if twice and not callable(thing.columns) and isinstance(next(iter(thing.columns), ""), str):
            raise UsageError(f"{name} has several columns that are called {listed(twice)}; give each its own name.")
    frame = nw.from_native(thing, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        raise UsageError(f"{name} is not computed yet ({type(thing).__name__}); pass .collect() of it.")
    if not isinstance(frame, nw.DataFrame):
        raise UsageError(
            f"{name} must be a DataFrame (pandas, polars, PyArrow, ...) or what quickstudy.read_table gives, got "
            f"{type(thing).__name__}."
        )
    return Table({str(s.name): _column(s) for s in cast("nw.DataFrame[Any]", frame).iter_columns()}, name)


def _column(series: Any) -> Column:
    import narwhals as nw

    kind = series.dtype
    if kind.is_numeric():
        found = series.cast(nw.Float64).to_numpy()
        return np.array(found if found.dtype != object else [np.nan if v is None else v for v in found], np.float64)
    if isinstance(kind, nw.Datetime) and kind.time_zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if isinstance(kind, nw.Datetime | nw.Date):
        return np.array(series.cast(nw.Datetime("us")).to_numpy(), "datetime64[us]")
    if isinstance(kind, nw.Duration):
        return np.array(series.dt.total_microseconds().cast(nw.Float64).to_numpy(), np.float64) / 1e6
    pairs = zip(series.to_list(), series.is_null().to_list(), strict=True)
    return as_objects([None if is_gap else str(value) for value, is_gap in pairs])


def as_objects(values: Iterable[Any]) -> Column:
    """An array of objects ``[n]``, whatever they are."""
    every = [*values]
    found = np.empty(len(every), object)
    found[:] = every
    return found
