"""Trained learners that come with the package: safetensors for the weights, JSON for what they are. No pickle."""

from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch

from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import read_bytes, read_json, reason, write_atomic, write_json
from quickstudy.core.learner import MetaLearner
from quickstudy.core.packing import to_save
from quickstudy.core.sealed import check_json, checksum, sealed_json
from quickstudy.training.runs import Run, load_weights
from quickstudy.training.upgrade import FORMAT, built
from quickstudy.version import __version__


def names() -> list[str]:
    """What there is.

    >>> names()
    ['characters', 'optimizer', 'tabular']
    """
    return sorted(file.name.removesuffix(".json") for file in _folder().iterdir() if file.name.endswith(".json"))


def about(name: str) -> dict[str, Any]:
    """How the learner was made: its options, its training tasks, the command, and its result on test tasks.

    Raises:
        UsageError: an unknown name.
    """
    if name not in names():
        raise UsageError(f"there is no pretrained {name!r}: {', '.join(names())}.")
    return _told(_folder() / f"{name}.json")


def load(name: str, **changes: Any) -> MetaLearner:
    """The learner, in evaluation mode.

    Args:
        name: which, of ``names()``.
        changes: options to build it with in place of its own, such as ``model``, where the weights fit the result.

    Raises:
        UsageError: an unknown name or option.
        RunError: its files are damaged, or the weights do not fit what the changes make of it.
    """
    if name not in names():
        raise UsageError(f"there is no pretrained {name!r}: {', '.join(names())}.")
    return read(Path(str(_folder())), name, **changes)


def characters() -> MetaLearner:
    """The learner of handwritten characters, in evaluation mode: any number of classes, one drawing of each or more.

    It takes drawings ``[tasks, n, 1, 64, 64]``, ink = 1 and paper = 0, wherever on the paper they are and however large
    (``quickstudy.tasks.images.pixels.read_ink(path, 64)`` reads a file so). No query sees another.

    >>> import torch, quickstudy as qs
    >>> few = qs.Examples(torch.rand(1, 3, 1, 64, 64), torch.tensor([[0, 1, 2]]))
    >>> qs.pretrained.characters().adapt(few)(torch.rand(1, 5, 1, 64, 64)).shape
    torch.Size([1, 5, 3])
    """
    return load("characters")


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
    """Put a learner, and what ``about`` tells of it, into a folder, with checksums of both."""
    content = safetensors.torch.save(to_save(learner.state_dict()))
    write_atomic(folder / f"{name}.safetensors", content)
    write_json(folder / f"{name}.json", sealed_json({**about, "sha256": checksum(content)}))


def read(folder: Path, name: str, **changes: Any) -> MetaLearner:
    """What ``write`` put into a folder, in evaluation mode; built with some of its options changed.

    Raises:
        RunError: its files are missing or damaged, or the weights do not fit.
        UsageError: a change is none of its options.
    """
    told, file = _told(folder / f"{name}.json"), folder / f"{name}.safetensors"
    try:
        content = read_bytes(file)
        if told.get("sha256", checksum(content)) != checksum(content):  # of older versions: none
            raise ValueError("its content does not match its checksum")
        weights = safetensors.torch.load(content)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(
            f"{file} cannot be read: {reason(error)}. Install quickstudy again, or export it again."
        ) from error
    learner: MetaLearner = built(told.get("learner"), told.get("format", 1), folder / f"{name}.json", **changes)
    load_weights(learner, weights)
    return learner.eval()


def _told(file: Any) -> dict[str, Any]:
    told = read_json(Path(str(file)))
    try:
        if not isinstance(told, dict):
            raise ValueError("it is no JSON object")
        check_json(told)
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}. Install quickstudy again, or export it again.") from error
    return told


def _folder() -> Any:
    return resources.files(__name__)
