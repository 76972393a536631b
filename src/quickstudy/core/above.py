"""What stands above the one who asks, found by name when it is asked for, as what is registered is.

A run can be asked for its page, and a batch for its picture, without knowing who makes them.
"""

import importlib
from typing import Any


def above(path: str) -> Any:
    """What ``module:name`` in quickstudy is.

    >>> above("core.words:duration")(8.21)
    '8.2 s'
    """
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(f"quickstudy.{module}"), name)
