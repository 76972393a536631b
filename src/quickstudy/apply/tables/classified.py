"""The classes of a table's rows, with their probabilities, as they leave the house: a file beside the ids.

Needs the extra ``sklearn``.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from quickstudy.apply.tables.labelled import Labelled, known_classes
from quickstudy.apply.tables.methods import method
from quickstudy.apply.tables.table import Column, Table
from quickstudy.core.errors import UsageError


@dataclass(frozen=True)
class Classified:
    """What rows are taken for.

    Args:
        target: what their class is called.
        classes: in order.
        probabilities: of the classes, a row for each row of the table.
        kept: columns that stay beside the answers: ids, or else the rows' numbers in their file.
        truth: the classes that the table itself has, where it has some (None: unknown).
    """

    target: str
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, "rows classes"]
    kept: Mapping[str, Column]
    truth: NDArray[Any] | None = None

    @property
    def labels(self) -> list[str]:
        """The most probable class of each row."""
        return [self.classes[best] for best in self.probabilities.argmax(1)]

    @property
    def accuracy(self) -> tuple[float, int] | None:
        """The share of rows that were told right, of how many whose class is known; None: of none."""
        truth = [] if self.truth is None else [*zip(self.truth, self.labels, strict=True)]
        right = [true == said for true, said in truth if true is not None]
        return (sum(right) / len(right), len(right)) if right else None

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """A header and rows: what is kept, the class, the probability of each class."""
        header = [*self.kept, self.target, *(f"p({name})" for name in self.classes)]
        cells = zip(zip(*self.kept.values(), strict=True), self.labels, self.probabilities, strict=True)
        return header, [[*map(_text, ids), label, *(f"{p:.4f}" for p in row)] for ids, label, row in cells]

    def to_json(self) -> list[dict[str, Any]]:
        """A row each: what is kept, the class, and the probabilities by class."""
        rows = self.rows()[1]
        return [
            {
                **dict(zip(self.kept, row, strict=False)),
                self.target: label,
                "probabilities": dict(zip(self.classes, p, strict=True)),
            }
            for row, label, p in zip(rows, self.labels, self.probabilities.tolist(), strict=True)
        ]

    def csv(self) -> bytes:
        """As a file: commas between cells, UTF-8."""
        header, rows = self.rows()
        file = io.StringIO(newline="")
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
        return file.getvalue().encode(errors="backslashreplace")


def classify(known: Labelled, new: Table, *, name: str, views: int) -> Classified:
    """What the rows of a table are taken for, by a method that has learned from labelled ones.

    Args:
        known: the labelled rows.
        new: the others; it may have the target among its columns.
        name: of the method (``methods.METHODS``).
        views: of the in-context learner.

    Raises:
        UsageError: an unknown method, columns that are not there, or no rows.
    """
    table = known.like(new)
    if not len(table):
        raise UsageError(f"{table.name} has no rows to classify.")
    model = method(name, known.plan, rows=len(known.labels), views=views).fit(known.table, known.labels)
    truth = None
    if known.target in table.columns:
        truth = known_classes(table.columns[known.target])
    kept = {column: table.columns[column] for column in known.plan.names("id") if column in table.columns}
    own = np.flatnonzero(~known.is_labelled) if new is known.rest else np.arange(len(table))
    return Classified(
        target=known.target,
        classes=tuple(str(label) for label in model.classes_),
        probabilities=np.asarray(model.predict_proba(table), np.float64),
        kept=kept or {"row": own + 1},
        truth=truth,
    )


def _text(cell: Any) -> str:
    return "" if cell is None else f"{cell:.15g}" if isinstance(cell, float) else str(cell)
