"""Types and shapes of what quickstudy's functions take and give, checked where each test begins.

A check costs more than many a function on small tensors, and the thousandth round of a loop shows what the first did:
after ``LIMIT`` checks (a call takes one or two) a test and its fixtures go on unchecked.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import beartype
import pytest
from jaxtyping import config

LIMIT = 2000
_check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
_done = 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Count anew: before a test's fixtures are made, of whatever scope."""
    global _done
    _done = 0
    config.update("jaxtyping_disable", False)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """What jaxtyping's import hook decorates with, in place of beartype."""
    check: Callable[..., Any] | None = None  # made at the first call: a process calls few of the functions it imports

    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        global _done
        nonlocal check
        check = check or _check(function)
        _done += 1
        if _done >= LIMIT:
            config.update("jaxtyping_disable", True)
        return check(*args, **kwargs)

    return counted
