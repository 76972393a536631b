"""Options of a training that belong to no class, and what becomes of all of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from quickstudy import registry
from quickstudy.core.errors import UsageError
from quickstudy.core.options import check_options
from quickstudy.training.loop import train


@dataclass(frozen=True)
class TrainingTaskOptions:
    """How training tasks differ from those of validation and test.

    Args:
        train_way: classes per training task (None: as way); validation and test keep to way. More ways train features
            harder.
    """

    train_way: int | None = None


@dataclass(frozen=True)
class TestOptions:
    """How the trained learner is tested.

    Args:
        test_tasks: tasks of the final test, at least 2.
        test_steps: inner steps per task in the final test only (None: as in validation).
        test_query: query examples per class in the final test (None: as in training).
    """

    __test__ = False  # pytest: this is no test

    test_tasks: int = 1000
    test_steps: int | None = None
    test_query: int | None = None


def matching(target: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that a class or function takes."""
    return {name: options[name] for name in inspect.signature(target).parameters if name in options}


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``train`` takes, and what the final test takes: its options, and ``test_way`` where training has another."""
    test = {field.name: options.get(field.name) for field in fields(TestOptions)}
    return matching(train, options), {**test, "test_way": options["way"] if options.get("train_way") else None}


def held_out(tasks: Any, test: Mapping[str, Any]) -> tuple[Any, Any]:
    """The validation and the test tasks that go with training tasks.

    Args:
        tasks: what is trained on.
        test: as ``split_options`` gives it; that of an older run may lack ``test_way``.

    Raises:
        UsageError: tasks that cannot be built so, or test options out of their range.
    """
    check_options(TestOptions, test, {})
    if test["test_tasks"] < 2 or (test["test_steps"] or 0) < 0:
        raise UsageError(
            f"test_tasks must be >= 2 and test_steps >= 0, got {test['test_tasks']} and {test['test_steps']}."
        )
    described = registry.describe(tasks)
    way = {} if test.get("test_way") is None else {"way": test["test_way"]}
    query = {} if test["test_query"] is None else {"query": test["test_query"]}
    return registry.build(described, split="val", **way), registry.build(described, split="test", **way, **query)
