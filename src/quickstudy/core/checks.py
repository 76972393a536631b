"""Checks of options that several task distributions share; each raises ``UsageError`` with what to do."""

import numbers
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from quickstudy.core.errors import UsageError

SPLITS = ("train", "val", "trainval", "test")


def at_least(least: int, **options: int) -> None:
    """Every option must be an integer >= ``least``."""
    for name, value in options.items():
        if not isinstance(value, numbers.Real) or not abs(value) < float("inf") or value != int(value) or value < least:
            raise UsageError(f"{name} must be an integer of at least {least}, got {name}={value}.")


def one_of(choices: Sequence[object], **options: object) -> None:
    """Every option must be one of ``choices``."""
    for name, value in options.items():
        if value not in choices:
            raise UsageError(f"{name} must be one of {', '.join(map(repr, choices))}, got {name}={value!r}.")


def interval(**options: tuple[float, float]) -> None:
    """Every option must be a pair (low, high) with low <= high."""
    for name, value in options.items():
        pair: tuple[object, ...] = tuple(value) if isinstance(value, tuple | list) else ()
        ends = [float(end) for end in pair if isinstance(end, numbers.Real) and abs(end) < float("inf")]
        if len(pair) != 2 or len(ends) != 2 or ends[0] > ends[1]:
            raise UsageError(f"{name} must be two finite numbers (low, high) with low <= high, got {name}={value}.")


def out_of_memory(error: MemoryError | RuntimeError) -> bool:
    """Whether it was raised for want of memory."""
    return isinstance(error, MemoryError) or bool(re.search(r"allocate memory|out of memory|overflow", str(error)))


@contextmanager
def fits_memory(what: str) -> Generator[None]:
    """Turn what is raised for want of memory into a ``UsageError`` that says of what there is too much."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise UsageError(f"{what} need more memory than there is: {str(error).splitlines()[0]:.200}") from error


def shape_text(way: int, shot: int, query: int) -> str:
    """How an episode's shape is written everywhere: ``5-way 1-shot, 15 queries per class``."""
    return f"{way}-way {shot}-shot, {query} {'query' if query == 1 else 'queries'} per class"
