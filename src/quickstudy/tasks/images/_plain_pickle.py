"""Pickles of plain data, read without running code: numbers, texts, lists, dicts and arrays of numbers.

A pickle is a program that may call anything. Here it can name five things only, those that NumPy's arrays are written
with, and each of them is ours: it keeps what it is given, and an array is made of it afterwards, of numbers only and of
as many bytes as there are.
"""

import pickle
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from quickstudy.core.errors import DataError
from quickstudy.core.files import reason

_ARRAYS = {(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")}
_SCALARS = {(f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")}


class _Type:
    """What stands for ``numpy.dtype``."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="

    def numpy(self) -> np.dtype[Any]:
        code = self.code.decode("ascii", "replace") if isinstance(self.code, bytes) else str(self.code)
        order = self.order.decode("ascii", "replace") if isinstance(self.order, bytes) else str(self.order)
        found = np.dtype((order if order in "<>" else "") + code)
        if found.kind not in "biufSU" or found.hasobject:
            raise ValueError(f"an array of {found}")
        return found


class _Array:
    """What stands for ``numpy.ndarray``; ``value`` is the array."""

    def __init__(self, *_: Any) -> None:
        self.value: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if isinstance(content, str):  # of Python 2
            content = content.encode("latin1")
        flat = np.frombuffer(content, kind.numpy())
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _scalar(kind: _Type, content: bytes | str) -> Any:
    of_bytes = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(of_bytes, kind.numpy(), 1)[0]


def _encoded(text: str, _: str = "latin1") -> bytes:
    return text.encode("latin1")


class _Function:
    """What stands for a function; a pickle may call it, and not set anything of it."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, *given: Any) -> Any:
        return self.do(*given)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


class _Plain(pickle._Unpickler):  # the one in Python: its memory grows with what is read, not with what is said
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ARRAYS:
            return _Array
        if (module, name) in _SCALARS:
            return _Function(_scalar)
        known = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Type, ("_codecs", "encode"): _Function(_encoded)}
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return known[module, name]


class _Bounded:
    """A file that refuses to read more than there is."""

    def __init__(self, file: BufferedReader, size: int) -> None:
        self.file, self.size = file, size
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.size - self.file.tell():
            raise EOFError("it is shorter than it says")
        return self.file.read(count)


def read_pickle(path: Path, advice: str) -> Any:
    """What a pickle holds; arrays are NumPy's, texts of Python 2 are Python's (latin-1).

    Raises:
        DataError: it is damaged, or holds anything but plain data.
    """
    try:
        with open(path, "rb") as file:
            found = _Plain(_Bounded(file, path.stat().st_size), encoding="latin1").load()
        return _arrays_in(found)
    except Exception as error:  # a pickle may be anything
        raise DataError(
            f"{path} is not read: {reason(error)}. Expected a pickle of arrays, lists and texts, of which nothing is "
            f"run; {advice}."
        ) from error


def whole_numbers(found: Any) -> Int[np.ndarray, " n"]:
    """A list or an array of whole numbers, as a pickle has it, as an array; no more of it is looked at than there is.

    Raises:
        ValueError: it is anything else.
    """
    if isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype.kind in "iu":
        return found.astype(np.int64)
    if isinstance(found, list) and all(isinstance(each, int | np.integer) for each in found):
        return np.array(found, np.int64)
    raise ValueError("what should be a list of whole numbers is not")


def by_label(labels: Int[np.ndarray, " n"]) -> dict[int, Int[np.ndarray, " m"]]:
    """The places of each label."""
    values, counts = np.unique(labels, return_counts=True)
    places = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    return dict(zip(values.tolist(), places, strict=True))


def _arrays_in(found: Any) -> Any:
    """With arrays for what stands for them, in all its lists and dicts; each is looked at once, however often named."""
    whole = [found]
    waiting, seen = list[Any]([whole]), set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            for place, value in [*(each.items() if isinstance(each, dict) else enumerate(each))]:
                if isinstance(value, _Array):
                    each[place] = value.value
                elif isinstance(value, list | dict):
                    waiting.append(value)
    return whole[0]
