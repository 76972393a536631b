"""Whether a computation is being recorded, to be compiled: no value can be looked at then (``compiled``)."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_recorded = ContextVar("recorded", default=False)


@contextmanager
def recording() -> Generator[None]:
    """While a computation is recorded. What must look at values looks before."""
    token = _recorded.set(True)
    try:
        yield
    finally:
        _recorded.reset(token)


def is_recorded() -> bool:
    """Whether what runs here is being recorded."""
    return _recorded.get()
