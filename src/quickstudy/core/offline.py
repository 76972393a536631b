"""Stretches of code in which nothing is downloaded: a report is written from what is at hand."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_offline: ContextVar[bool] = ContextVar("offline", default=False)


@contextmanager
def offline() -> Generator[None]:
    """What is not at hand is a ``DataError`` within."""
    before = _offline.set(True)
    try:
        yield
    finally:
        _offline.reset(before)


def is_offline() -> bool:
    """Whether this is within ``offline``."""
    return _offline.get()
