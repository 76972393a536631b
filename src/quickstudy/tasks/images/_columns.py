"""Where a dataset holds its examples and labels, whatever it is: columns, rows, pairs, a table."""

from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
from torch.utils.data import IterableDataset

from quickstudy.core.errors import UsageError

X_NAMES = ("image", "img", "images", "pixel_values", "input_ids", "x", "features", "data")
"""What the examples' column is called, looked for in this order."""
Y_NAMES = ("label", "labels", "fine_label", "target", "y", "class")
"""What the labels' column is called, looked for in this order."""


def columns(dataset: Any, x: str | None, y: str | None) -> tuple[Any, Any, int, Sequence[str] | None]:
    """The examples, to be iterated over once; the labels, complete after that; how many; names of the classes.

    Raises:
        UsageError: a dataset without positions, or columns that cannot be guessed.
    """
    if hasattr(dataset, "columns") and hasattr(dataset, "to_numpy"):
        dataset = _of_table(dataset, x, y)
    if isinstance(dataset, Mapping):
        nested = [name for name, part in dataset.items() if hasattr(part, "column_names")]
        if nested:
            raise UsageError(f"this is a dict of datasets; choose one: dataset[{nested[0]!r}] ({', '.join(nested)}).")
        dataset = tuple(dataset[name] for name in _names(dataset, {}, x, y))
    if isinstance(dataset, tuple) and len(dataset) == 2:
        # A pandas column is an array by another name.
        inputs, labels = (part.to_numpy() if hasattr(part, "to_numpy") else part for part in dataset)
        if not (hasattr(inputs, "__len__") and hasattr(labels, "__len__")) or len(inputs) != len(labels):
            raise UsageError(
                f"x and labels must be [N, ...] and [N], got {type(inputs).__name__} and {type(labels).__name__} of "
                f"different lengths, or without any."
            )
        return inputs, labels, len(inputs), None
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise UsageError(
            f"{type(dataset).__name__} has no positions or no length; episodes draw examples by position: collect it "
            f"first, for example with list(dataset) (a part of it, if it does not fit into memory)."
        )
    return _rows(dataset, x, y)


def _rows(dataset: Any, x: str | None, y: str | None) -> tuple[Any, Any, int, Sequence[str] | None]:
    n = len(dataset)
    if n == 0:
        raise UsageError("the dataset is empty.")
    first = dataset[0]
    names: tuple[Any, Any] = (0, 1)
    unlabelled: Any = None
    classes: Any = getattr(dataset, "classes", None)
    if isinstance(first, Mapping):
        features = getattr(dataset, "features", None) or {}
        names = _names(first, features, x, y)
        # Hugging Face decodes every column of a row; but a transform of its own may need them all.
        if hasattr(dataset, "select_columns") and dataset.format["type"] != "custom":
            dataset = dataset.select_columns([*names])
        if _type(features, names[1]) == "ClassLabel":
            unlabelled, classes = -1, getattr(features[names[1]], "names", None)
    elif not isinstance(first, Sequence) or isinstance(first, str) or len(first) < 2:
        raise UsageError(
            f"the dataset's examples must be pairs (x, label) or dicts, got {type(first).__name__}: without labels "
            f"there are no classes to draw."
        )
    labels: list[Any] = []

    def inputs() -> Iterator[Any]:
        for i in range(n):  # one pass: a row may cost a file to read and decode
            row = dataset[i]
            label = row[names[1]]
            labels.append(None if unlabelled is not None and label == unlabelled else label)
            yield row[names[0]]

    return inputs(), labels, n, _called(classes)


def _called(classes: Any) -> Sequence[str] | None:
    """A dataset's names of its classes, where they are such (of several names for one, the first)."""
    if not isinstance(classes, list | tuple) or not classes:
        return None
    listed: list[Any] = [*classes]
    found: list[Any] = [name[0] if isinstance(name, tuple) and name else name for name in listed]
    return found if all(isinstance(name, str) for name in found) else None


def _of_table(table: Any, x: str | None, y: str | None) -> tuple[Any, Any]:
    """A table's examples and labels; without a column of examples, all other columns are features."""
    names = [*table.columns]
    label = _names(dict.fromkeys(names), {}, names[0], y)[1]
    if x is None:
        objects = {name for name in names if not isinstance(next(iter(table[name]), 0), Number | np.generic)}  # images
        x = next((name for name in X_NAMES if name in objects), None)
    if x is not None:
        return [*table[_names(dict.fromkeys(names), {}, x, y)[0]]], table[label]
    features = [name for name in names if name != label]
    if not features:
        raise UsageError(f"the table has the labels {label!r} and no other column.")
    return table[features], table[label]


def _type(features: Mapping[str, Any], name: str) -> str:
    """What Hugging Face calls a column's type."""
    return type(features.get(name)).__name__


def _names(columns: Mapping[str, Any], features: Mapping[str, Any], x: str | None, y: str | None) -> tuple[str, str]:
    found: list[str] = []
    for option, given, typed, usual in (("x", x, "Image", X_NAMES), ("y", y, "ClassLabel", Y_NAMES)):
        of_type = [name for name in columns if _type(features, name) == typed]
        guesses = of_type if len(of_type) == 1 else [name for name in usual if name in columns]
        name = (guesses or [None])[0] if given is None else given
        if name is None or name not in columns:
            what = {"x": "examples", "y": "labels"}[option]
            raise UsageError(
                f"which column holds the {what}? There {'is no ' + repr(given) if given else 'are'}"
                f"{' among ' if given else ' '}{', '.join(map(str, columns))}; pass {option}=NAME."
            )
        found.append(name)
    return found[0], found[1]
