"""Pictures of what learners do: one file per subject, which registers the learners that it draws.

A learner of your own gets pictures the same way::

    from quickstudy.report.pictures import draw

    @draw.register
    def draw_mine(learner: Mine, batch: TaskBatch) -> list[Picture]: ...
"""

import functools
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any

from quickstudy.core.picture import Picture


@functools.singledispatch
def draw(learner: object, batch: Any) -> Sequence[Picture]:
    """Pictures of what a learner does with a few tasks, by its type; none of a type that nobody registered.

    Nothing is changed.
    """
    return draw(learner, batch) if _subjects() else []


def is_drawn(cls: type) -> bool:
    """Whether there is something to draw of a learner of this class."""
    _subjects()
    return draw.dispatch(cls) is not draw.dispatch(object)


def _subjects() -> bool:
    """Import the subjects, and with them the learners that they register; whether any was new."""
    names = (f"{__name__}.{subject.name}" for subject in pkgutil.iter_modules(__path__))
    new = [name for name in names if name not in sys.modules]
    for name in new:
        importlib.import_module(name)
    return bool(new)
