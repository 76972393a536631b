"""A person's labels, whatever they come as: which class each example is of, and what the classes are called."""

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.core.errors import DataError, UsageError

Label: TypeAlias = int | str
Names: TypeAlias = Mapping[Any, str] | Sequence[str]
"""What labels are called: the name of each, or that of label i."""
EXPECTED = "whole numbers or texts"


def read_labels(labels: Any, examples: int | None = None) -> tuple[Int[Tensor, " n"], list[Label]]:
    """The place of each example's label among the distinct ones; and these: numbers ascending, then texts sorted.

    Args:
        labels: ``[N]`` (or ``[N, 1]``) whole numbers, truth values or texts: a list, a tensor, an array, a column of a
            table. 1 and 1.0 are one label, 1 and "1" are two.
        examples: how many there must be (None: any number).

    Raises:
        UsageError: another shape or type, one-hot rows, or numbers that are not whole.
        DataError: examples without a label (None, nan, NA, NaT).
    """
    given = _as_array(labels)
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim == 2 and given.dtype.kind in "biuf" and len(given) and np.isin(given, (0, 1)).all():
        raise UsageError(
            f"labels must be {EXPECTED} [N], got rows of zeros and ones {[*given.shape]}; where each has a single 1 "
            f"(one-hot), pass labels.argmax(1). Several labels of one example are not supported."
        )
    if given.ndim != 1 or (examples is not None and len(given) != examples):
        number = "N" if examples is None else examples
        raise UsageError(
            f"labels must be {EXPECTED} [{number}], one for each example, got {given.dtype} {[*given.shape]}."
        )
    if given.dtype.kind in "biuU":
        values, places = np.unique(given, return_inverse=True)
        return torch.from_numpy(places.astype(np.int64)), values.tolist()
    return _of_objects([*given] if given.dtype.kind in "mM" else given.tolist())


def _as_array(labels: Any) -> NDArray[Any]:
    """Any column as an array; of objects, where they could be of several types."""
    if isinstance(labels, Tensor):
        plain = labels.detach().cpu()
        return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    if hasattr(labels, "__array__"):
        return np.asarray(labels)
    if isinstance(labels, str | bytes | Mapping) or not hasattr(labels, "__iter__"):
        raise UsageError(f"labels must be {EXPECTED}, one for each example, got a {type(labels).__name__}.")
    each = [one.tolist() if isinstance(one, Tensor | np.generic | np.ndarray) else one for one in labels]
    if any(isinstance(one, list | tuple) for one in each):  # rows: one label each, one-hot, or not alike
        try:
            return np.asarray(each)
        except ValueError as error:
            raise UsageError(f"labels must be {EXPECTED} [N], got rows of several lengths.") from error
    array = np.empty(len(each), object)
    array[:] = each
    return array


def _of_objects(given: list[Any]) -> tuple[Int[Tensor, " n"], list[Label]]:
    _refuse_missing(given)
    keys = [_key(one) for one in given]
    distinct = sorted({*keys})
    place = {key: i for i, key in enumerate(distinct)}
    return torch.tensor([place[key] for key in keys], dtype=torch.int64), [label for _, label in distinct]


def check_complete(labels: Any) -> None:
    """Refuse labels that scikit-learn would take for texts: missing ones, and numbers beside texts.

    Raises:
        DataError: examples without a label.
        UsageError: 1 and "1" at once, say.
    """
    listed = isinstance(labels, list | tuple) or hasattr(labels, "__array__")
    given = _as_array(labels) if listed and getattr(labels, "ndim", 1) == 1 else np.empty(0)
    if given.ndim == 1 and given.dtype.kind in "OMm":
        each = given.tolist() if given.dtype.kind == "O" else [*given]
        _refuse_missing(each)
        if len({isinstance(one, str | bytes) for one in each}) > 1:
            raise UsageError("labels must be all numbers or all texts here, got both; make texts of them: str(label).")


def _refuse_missing(given: list[Any]) -> None:
    missing = [i for i, one in enumerate(given) if _is_missing(one)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(given)} examples have no label, the first is example {missing[0]} (its label is "
            f"{given[missing[0]]}); leave them out."
        )


def _is_missing(one: Any) -> bool:
    """None, nan, and what pandas and numpy put in its place; pandas itself is not needed for that."""
    if one is None or type(one).__name__ in ("NAType", "NaTType"):
        return True
    return bool(isinstance(one, Real | np.datetime64 | np.timedelta64) and one != one)


def _key(one: Any) -> tuple[bool, Any]:
    """What makes a label what it is, in the order of the classes: numbers first."""
    if isinstance(one, str | bytes):
        return True, str(one.decode("utf-8", "replace") if isinstance(one, bytes) else one)
    if isinstance(one, bool | np.bool):
        return False, bool(one)
    if isinstance(one, Integral | np.floating | float) and float(one).is_integer():
        return False, int(one)
    raise UsageError(
        f"labels must be {EXPECTED}, got {one!r} ({type(one).__name__}); values in place of classes need tasks of "
        f"regression, other objects a name: str(label)."
    )


def names_of(labels: Sequence[Label], names: Names | None) -> tuple[str, ...]:
    """What classes are called: what ``names`` says (with the label where it says so of several), else by their labels.

    Raises:
        UsageError: a label without a name.
    """
    if names is None:
        numbers = {str(label) for label in labels if not isinstance(label, str)}
        return tuple(repr(label) if label in numbers else str(label) for label in labels)  # 1 and "1"
    known: Mapping[Any, str] = names if isinstance(names, Mapping) else dict(enumerate(names))
    nameless = [label for label in labels if label not in known]
    if nameless:
        raise UsageError(f"names must name every label, but {nameless[:5]} have no name.")
    found = [str(known[label]) for label in labels]
    return tuple(
        f"{name} ({label})" if found.count(name) > 1 else name for name, label in zip(found, labels, strict=True)
    )


def wanted(classes: Any, labels: Sequence[Label], names: Sequence[str]) -> Int[Tensor, " classes"]:
    """The places, ascending, of the classes that are asked for, each by its label or else by its name.

    Raises:
        UsageError: none is asked for, or one that there is not.
    """
    asked = read_labels(classes)[1]
    places: dict[Label, int] = {name: place for place, name in enumerate(names)}
    places |= {label: place for place, label in enumerate(labels)}
    missing = [label for label in asked if label not in places]
    if missing or not asked:
        there = f"{', '.join(map(repr, labels[:10]))}{' ...' if len(labels) > 10 else ''}"
        raise UsageError(
            f"classes must be labels that occur, got {missing[:5] or 'none'} of which no example is; there are {there}."
        )
    return torch.tensor(sorted({places[label] for label in asked}))
