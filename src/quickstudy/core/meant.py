"""What somebody meant who passes one thing in place of another: a network for a learner, a list for tasks.

Asked where a person hands things over, so that the answer is a sentence and not an attribute that is missing.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from torch import nn

from quickstudy.core.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def check_learner(thing: Any) -> None:
    """Raise ``UsageError`` where something is no learner."""
    if isinstance(thing, type) or not (hasattr(thing, "adapt") and hasattr(thing, "meta_loss")):
        what = "the learner must be a meta-learner, such as quickstudy.MAML(network)"
        raise UsageError(f"{what}, got {_called(thing)}{_advice(thing)}.")


def check_distribution(thing: Any, name: str = "tasks") -> None:
    """Raise ``UsageError`` where something draws no tasks."""
    if isinstance(thing, type) or not callable(getattr(thing, "sample", None)):
        what = f"{name} must draw tasks by sample(tasks, seed), as quickstudy.tasks.Glyphs() does"
        raise UsageError(f"{what}, got {_called(thing)}{_advice(thing)}.")


def check_batch(thing: Any) -> None:
    """Raise ``UsageError`` where something is no batch of tasks."""
    if isinstance(thing, list | tuple) or not hasattr(thing, "to") or not hasattr(thing, "__len__"):
        raise UsageError(f"a batch of tasks is what tasks.sample(number, seed) gives, got {_called(thing)}.")


def takes(parts: tuple[str, ...], what: str) -> Callable[[F], F]:
    """A learner's method that says what it takes where its argument has not these parts."""

    def checking(method: F) -> F:
        @functools.wraps(method)
        def checked(self: Any, given: Any, *args: Any, **options: Any) -> Any:
            if not all(hasattr(given, part) for part in parts):
                name = f"{type(self).__name__}.{method.__name__}"
                raise UsageError(f"{name} takes {what}, got {_called(given)}.")
            return method(self, given, *args, **options)

        return cast("F", checked)

    return checking


def _called(thing: Any) -> str:
    if isinstance(thing, type):
        return f"the class {thing.__name__} itself"
    if isinstance(thing, str):
        return f"the text {thing!r:.60}"
    return f"a list of {type(thing[0]).__name__}" if isinstance(thing, list) and thing else type(thing).__name__


def _advice(thing: Any) -> str:
    if isinstance(thing, type):
        return f"; make one: {thing.__name__}(...)"
    if isinstance(thing, str):
        return "; quickstudy.preset(name) makes learner and tasks by name"
    if hasattr(thing, "adapt") and hasattr(thing, "meta_loss"):
        return "; the learner comes first, then the tasks"
    if callable(getattr(thing, "sample", None)):
        return ", which draws tasks; the learner comes first, then the tasks"
    if hasattr(thing, "checkpoints") or hasattr(thing, "best_step"):
        return "; a run gives run.learner() and run.tasks()"
    if isinstance(thing, nn.Module):
        return "; a learner is built around a network: quickstudy.MAML(network), say"
    if hasattr(thing, "support") or isinstance(thing, list):
        return "; of examples of your own, quickstudy.tasks.Episodes and episodes_from draw tasks"
    return ""
