"""Which classes a run was trained on, and which were kept for its test: written down, and held against what is there.

A folder of a person's own changes: a class is renamed, moved or added. Then what is called the test may hold classes
that were trained on, and no number would show it.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from quickstudy.core.errors import RunError
from quickstudy.training._differences import differences


@runtime_checkable
class ClassSplits(Protocol):
    """Tasks whose classes are split up by what is found when they are built."""

    split: str
    class_names: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    """The classes of every split."""


def classes_of(tasks: Any) -> dict[str, Any] | None:
    """What ``config.json`` says of the classes: those trained on, and those of each split (None: tasks without)."""
    if not isinstance(tasks, ClassSplits):
        return None
    return {"trained": [*tasks.class_names], **{part: [*names] for part, names in tasks.splits.items()}}


def check_classes(config: Mapping[str, Any], tasks: Any, run: str) -> None:
    """Hold tasks that were built now against what a run wrote down.

    Args:
        config: of the run.
        tasks: built of its description, perhaps of another split.
        run: what the run is called.

    Raises:
        RunError: classes that the run was trained on are in a split now that they were not in.

    A change that is no such fault is a ``UserWarning``; so is a run that did not write its classes down.
    """
    if not isinstance(tasks, ClassSplits):
        return
    then: dict[str, list[str]] | None = config.get("classes")
    if then is None:
        warnings.warn(
            f"{run} did not write down its classes (it is of an older version), so it cannot be told whether those of "
            f"the {tasks.split} split are still the same, and whether some were trained on.",
            UserWarning,
            stacklevel=3,
        )
        return
    parts = [part for part in ("train", "val", "test") if part in tasks.split]  # "trainval" is both
    known = {name for part in parts for name in then.get(part, [])}
    trained = {*then["trained"]}
    wrong = sorted((trained & {*tasks.class_names}) - known)
    if wrong:
        raise RunError(
            f"{run} was trained on {len(wrong)} of the {len(tasks.class_names)} classes that are in the {tasks.split} "
            f"split now ({', '.join(wrong[:5])}{', ...' if len(wrong) > 5 else ''}): the folder has changed, and a "
            f"score on them would say nothing. Put the class folders back as they were, or train anew."
        )
    changed = differences({p: then.get(p, []) for p in parts}, {p: [*tasks.splits.get(p, [])] for p in parts})
    gone = sorted(trained - {name for names in tasks.splits.values() for name in names})
    if gone and not trained <= known:
        changed.append(
            f"of the classes trained on, {', '.join(gone[:5])} are gone; if one of them has another name now, it may "
            f"be in the {tasks.split} split"
        )
    if changed:
        warnings.warn(
            f"the classes of {run} have changed since it was trained: {'; '.join(changed)}.", UserWarning, stacklevel=3
        )
