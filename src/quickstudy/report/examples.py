"""A few test tasks, kept beside a run with what the learner made of them: ``examples.safetensors``.

Tensors, the task axis first where there is no step axis:

    support_x, support_y    [tasks, examples, ...]
    query_x, query_y        [tasks, n, ...]           of images at most 3 per class
    predictions             [steps + 1, tasks, n, ...]  logits or values after 0, 1, ... inner steps
    scores                  [steps + 1, tasks]        accuracy or loss over all query examples
    grid_x, curves, truth   [points], [steps + 1, tasks, points, outputs], [tasks, points, 1]
                            only where x is one number; the truth only where it is known; of predictions that have a
                            standard deviation, curves have both on one more axis
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import write_atomic
from quickstudy.core.learner import MetaLearner
from quickstudy.core.losses import score_name, task_scores
from quickstudy.core.sealed import open_tensors, sealed_tensors
from quickstudy.core.seeding import fold
from quickstudy.core.stateless import in_evaluation
from quickstudy.tasks.functions.sinusoids import Sinusoids
from quickstudy.training.evaluation import solvers
from quickstudy.training.runs import Run

FILE = "examples.safetensors"
QUERIES_PER_CLASS = 3
GRID_POINTS = 121


@dataclass(frozen=True)
class DrawnTasks:
    """What ``save_examples`` wrote: the tensors above, and what the tasks were."""

    tensors: dict[str, Tensor]
    metric: str
    tasks: str
    bn: str
    class_names: tuple[tuple[str, ...], ...] | None = None
    """Of each task, by label, where its classes have names."""

    def __len__(self) -> int:
        return len(self.tensors["support_x"])

    @property
    def is_classification(self) -> bool:
        return not self.tensors["query_y"].is_floating_point()


def save_examples(
    run: Run, learner: MetaLearner[Any], tasks: Any, *, n: int = 3, seed: int = 0, steps: int | None = None
) -> None:
    """Adapt to a few tasks and keep them, with the predictions after every inner step, in the run folder.

    Of tasks that are no support and query sets there is nothing to keep.

    Args:
        run: with a folder; in memory there is nothing to write to.
        learner: taken in evaluation mode; it stays as it is.
        tasks: where the tasks come from; the test split, as a rule.
        n: how many tasks.
        seed: of the tasks.
        steps: inner steps (None: the learner's own).

    Raises:
        UsageError: n below 1, or a run without a folder.
        RunError: the folder cannot be written.
    """
    if n < 1 or run.path is None:
        raise UsageError(f"examples need n >= 1 and a run with a folder, got n={n} and {run.path}.")
    task_seed = fold(seed, "examples")
    batch = tasks.sample(n, task_seed)
    if not isinstance(batch, TaskBatch):
        return
    parameter = next(learner.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    batch = batch.to(device)
    loss: Any = learner.loss  # a learner of such batches has one
    grid = _grid(tasks, batch)
    predictions: list[Tensor] = []
    curves: list[Tensor] = []
    with torch.no_grad():
        for solver in solvers(in_evaluation(learner), batch.support, steps):
            predictions.append(solver(batch.query.x))
            if grid is not None:
                curves.append(solver(grid.to(device).view(1, -1, 1).expand(n, -1, -1)))
    kept = _kept(batch.query.y)
    tensors = {
        "support_x": batch.support.x,
        "support_y": batch.support.y,
        "query_x": _pick(batch.query.x, kept),
        "query_y": _pick(batch.query.y, kept),
        "predictions": torch.stack([_pick(p, kept) for p in predictions]),
        "scores": torch.stack([task_scores(loss, p, batch.query.y) for p in predictions]),
    }
    if grid is not None:
        tensors |= {"grid_x": grid, "curves": torch.stack(curves)}
        if isinstance(tasks, Sinusoids):
            amplitude, phase = tasks.parameters(n, task_seed)
            tensors["truth"] = (amplitude[:, None] * torch.sin(grid - phase[:, None])).unsqueeze(-1)
    described = getattr(tasks, "describe", None)
    about: dict[str, str] = {
        "metric": score_name(loss, batch.query.y),
        "tasks": str(described()) if callable(described) else type(tasks).__name__,
        "bn": learner.bn_mode,
        "class_names": json.dumps(batch.class_names),
    }
    write_atomic(run.path / FILE, sealed_tensors(tensors, about))


def load_examples(path: Path) -> DrawnTasks | None:
    """What ``save_examples`` wrote into a run folder, or None.

    Raises:
        RunError: the file is damaged.
    """
    file = path / FILE
    if not file.is_file():
        return None
    try:
        tensors, about = open_tensors(file)
        for name in ("support_x", "support_y", "query_x", "query_y", "predictions", "scores"):
            tensors[name]
        names = json.loads(about.get("class_names", "null"))  # older runs have none
        called = None if names is None else tuple(tuple(str(name) for name in of_task) for of_task in names)
        return DrawnTasks(tensors, about["metric"], about["tasks"], about["bn"], called)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file} cannot be read: {error}. Delete it; evaluating the run writes it again.") from error


def _grid(tasks: Any, batch: TaskBatch) -> Tensor | None:
    """Points along x for curves, where x is one number and y is not a label."""
    if batch.query.x.shape[2:] != (1,) or not batch.query.y.is_floating_point():
        return None
    given = torch.cat([batch.support.x.flatten(), batch.query.x.flatten()])
    low, high = getattr(tasks, "x_range", (float(given.min()), float(given.max())))
    return torch.linspace(low, high, GRID_POINTS, dtype=given.dtype)


def _kept(y: Tensor) -> Tensor | None:
    """Which query examples are kept, ``[tasks, n]``: of each class the first few (None: all, of values)."""
    if y.is_floating_point() or y.ndim != 2:
        return None
    earlier = (y.unsqueeze(2) == y.unsqueeze(1)).tril(-1).sum(2)  # how many of its class come before it
    chosen = [torch.nonzero(row < QUERIES_PER_CLASS).flatten() for row in earlier]
    fewest = min(len(c) for c in chosen)
    return torch.stack([c[:fewest] for c in chosen])


def _pick(values: Tensor, kept: Tensor | None) -> Tensor:
    if kept is None:
        return values
    return torch.stack([values[task, index] for task, index in enumerate(kept)])
