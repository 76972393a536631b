"""A table apart into what is known of each row, which class it has, and rows whose class is not known."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.apply.tables.parsing import number_style, numbers
from quickstudy.apply.tables.plan import Kind, Plan, gaps
from quickstudy.apply.tables.table import Column, Table, as_objects, as_table, listed
from quickstudy.core.errors import DataError, UsageError

UNKNOWN = frozenset(("", "?", "na", "n/a", "nan", "<na>", "null"))
"""What a class that is not known is written as, in small letters: fewer words than for other gaps (none, - may be)."""
MOST_VALUES = 30
"""More different numbers than these are no classes."""


@dataclass(frozen=True)
class Labelled:
    """Rows with their classes, and rows without.

    Args:
        table: the rows that have a class; neither the target nor the columns that are not used.
        labels: their classes, as texts ``[rows]``.
        rest: the rows that have none.
        plan: what the columns are.
        target: the name of the column that has the classes.
        is_labelled: which rows of the whole table have a class.
    """

    table: Table
    labels: NDArray[Any]
    rest: Table
    plan: Plan
    target: str
    is_labelled: NDArray[np.bool_]

    @staticmethod
    def of(thing: Any, target: str | None, *, ids: Iterable[str] = (), leave_out: Iterable[str] = ()) -> "Labelled":
        """A table, or a DataFrame, with the classes in one of its columns.

        Args:
            thing: what ``as_table`` takes.
            target: the column of the classes.
            ids: columns that name the rows, and are not used.
            leave_out: columns that are not used.

        Raises:
            UsageError: no such column, or no classes in it: one class, a value of its own in each row, or numbers
                that are amounts.
            DataError: no row has a class.
        """
        table = as_table(thing)
        if not target:
            raise UsageError(
                f"say which column has the classes (target); {table.name} has {listed(table.columns, 30)}."
            )
        target = table.named(target)
        named = [[table.named(name) for name in names] for names in (ids, leave_out)]
        classes = known_classes(table.columns[target])
        known = ~gaps(classes)
        labels = classes[known]
        check_classes(labels, f"the column {target!r} of {table.name}")
        rest = table.without([target])
        return Labelled(
            table=rest.take(known),
            labels=labels,
            rest=rest.take(~known),
            plan=Plan.of(rest, ids=named[0], leave_out=named[1]),
            target=target,
            is_labelled=known,
        )

    @property
    def classes(self) -> dict[str, int]:
        """How many rows each class has, by its name."""
        return dict(sorted(Counter(self.labels.tolist()).items()))

    def like(self, new: Any) -> Table:
        """Other rows, with the columns of this table.

        Columns without a header go by their place; the target may be among them or not.

        Raises:
            UsageError: columns that are used are not there.
        """
        table = as_table(new)
        own = [*self.table.columns]
        if not self.table.has_header and not table.has_header and len(table.columns) == len(own):
            table = Table(dict(zip(own, table.columns.values(), strict=True)), table.name, table.notes, False)
        self.plan.read(table)
        return table


def known_classes(column: Column) -> Column:
    """The class of each row as a text, None where it is not known."""
    texts = column if column.dtype == object else Kind("category").read(column)
    return as_objects([None if text is None or text.strip().lower() in UNKNOWN else text.strip() for text in texts])


def check_classes(labels: NDArray[Any], name: str) -> None:
    """Raise an error where labels are no classes that could be told apart."""
    if not len(labels):
        raise DataError(f"{name} is empty in every row; rows with known classes are what is learned from.")
    classes = Counter(labels.tolist())
    if len(classes) < 2:
        raise UsageError(f"{name} has one class only, {labels[0]!r} in {len(labels)} rows; at least two are needed.")
    style = number_style(labels)
    values = numbers(labels, style) if style else np.zeros(0)
    values = values[~gaps(values)]
    fractions = bool((values != np.round(values)).any())
    if len(classes) > (10 if fractions else MOST_VALUES) and len(values) == len(labels):
        raise UsageError(
            f"{name} has {len(classes)} different numbers from {values.min():g} to {values.max():g}: amounts to be "
            f"estimated (regression), and what is done here is to tell classes apart. Make ranges of them (low, high); "
            f"numbers that are names of classes need a letter in front."
        )
    if len(classes) > 20 and len(classes) > len(labels) / 2:
        raise UsageError(
            f"{name} has {len(classes)} different values in {len(labels)} rows ({listed(classes, 3)}): hardly a class "
            f"comes twice. Is it the column of the classes?"
        )
