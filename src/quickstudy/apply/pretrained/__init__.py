"""Trained learners that come with the package: safetensors for the weights, JSON for what they are. No pickle."""

import json
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch

from quickstudy import registry
from quickstudy.core.errors import UsageError
from quickstudy.core.files import write_atomic, write_json
from quickstudy.core.learner import MetaLearner
from quickstudy.core.packing import to_save
from quickstudy.training.runs import Run, load_weights
from quickstudy.training.upgrade import FORMAT, upgraded
from quickstudy.version import __version__


def names() -> list[str]:
    """What there is.

    >>> names()
    ['optimizer', 'tabular']
    """
    return sorted(file.name.removesuffix(".json") for file in _folder().iterdir() if file.name.endswith(".json"))


def about(name: str) -> dict[str, Any]:
    """How the learner was made: its options, its training tasks, the command, and its result on test tasks.

    Raises:
        UsageError: an unknown name.
    """
    if name not in names():
        raise UsageError(f"there is no pretrained {name!r}: {', '.join(names())}.")
    return json.loads((_folder() / f"{name}.json").read_text())


def load(name: str, **changes: Any) -> MetaLearner:
    """The learner, in evaluation mode.

    Args:
        name: which, of ``names()``.
        changes: options to build it with in place of its own, such as ``model``, where the weights fit the result.

    Raises:
        UsageError: an unknown name or option.
        RunError: the weights do not fit what the changes make of it.
    """
    told = about(name)
    learner: MetaLearner = registry.build(upgraded(told["learner"], told.get("format", 1)), **changes)
    load_weights(learner, safetensors.torch.load((_folder() / f"{name}.safetensors").read_bytes()))
    return learner.eval()


def export(
    run: Run,
    folder: Path,
    name: str,
    step: int | None = None,
    *,
    learner: MetaLearner | None = None,
    notes: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint of a run for ``load`` to find, if the folder is this one.

    Args:
        run: what trained it.
        folder: where to.
        name: what to call it.
        step: of the checkpoint (None: the best).
        learner: what was made of that checkpoint, to write in place of it.
        notes: more for ``about`` to tell.
    """
    step = run.best_step() if step is None else step
    kept = {part: run.config[part] for part in ("learner", "tasks", "training")}
    results = [record for record in run.results() if record["checkpoint"] == step]
    about = {"format": FORMAT, "quickstudy": __version__, "step": step, **kept, "results": results, **(notes or {})}
    write(folder, name, run.learner(step) if learner is None else learner, about)


def write(folder: Path, name: str, learner: MetaLearner, about: dict[str, Any]) -> None:
    """Put a learner, and what ``about`` tells of it, into a folder."""
    write_atomic(folder / f"{name}.safetensors", safetensors.torch.save(to_save(learner.state_dict())))
    write_json(folder / f"{name}.json", about)


def _folder() -> Any:
    return resources.files(__name__)
