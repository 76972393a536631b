"""Learners whose tasks are examples: adapted on a support set, judged on a query set (``TaskBatch``)."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import together
from quickstudy.core.learner import MetaLearner, Scalars, Solver
from quickstudy.core.losses import TaskLoss, query_loss, score_name, task_losses, task_scores
from quickstudy.core.pad import padded, refuse_counted


class SupportQueryLearner(MetaLearner[TaskBatch]):
    """What learners of support and query sets have in common. ``adapt`` makes it one or another.

    One that adapts step by step has ``adapt_steps`` and ``adapt_path`` beside it, and is scored after each step.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy", "regression": "mse"}
    loss: str | TaskLoss = "cross_entropy"
    """By which solvers are judged on a task's query: a name or ``loss(predictions, targets) -> scalar`` of one task."""

    @abstractmethod
    def adapt(self, support: Examples) -> Solver:
        """Learn each task from its support examples."""

    def meta_loss(self, batch: TaskBatch) -> tuple[Tensor, Scalars]:
        """The mean over tasks of the adapted solvers' query loss; the loss and the score as diagnostics."""
        return self.query_loss(self.adapt(batch.support)(batch.query.x), batch.query.y)

    @final
    def query_loss(self, predictions: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over tasks of the loss of a query set's predictions, and the diagnostics; padding does not count."""
        return query_loss(self.loss, predictions, y, padding=self._padding(y))

    def _padding(self, y: Tensor) -> bool:
        """Whether a query set has padding; ``UsageError`` where the other queries would see it."""
        return padded(y) and refuse_counted(y, self.bn_mode if together(self.bn_mode) else "none", type(self).__name__)

    def predict_tasks(self, batch: TaskBatch, at: Sequence[int]) -> list[Tensor]:
        """The predictions for each task's query after each of the steps ``at`` (ascending)."""
        path = enumerate(self.adapt_path(batch.support, at[-1]))
        return [solver(batch.query.x) for step, solver in path if step in at]

    def score_tasks(self, batch: TaskBatch, at: Sequence[int]) -> Float[Tensor, "2 steps tasks"]:
        """The score and the loss of each task's query after each of the steps ``at`` (ascending)."""
        return self.scores_of(batch, self.predict_tasks(batch, at))

    def score_answers(self, batch: TaskBatch, at: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        own = type(self).score_tasks is not SupportQueryLearner.score_tasks  # its score is not of these predictions
        if own or self.score_name(batch) != "accuracy":
            return super().score_answers(batch, at)
        predictions = self.predict_tasks(batch, at)
        return self.scores_of(batch, predictions), predictions[-1].argmax(-1)

    def scores_of(self, batch: TaskBatch, predictions: Sequence[Tensor]) -> Float[Tensor, "2 steps tasks"]:
        """The score and the loss of such predictions."""
        y, padding = batch.query.y, self._padding(batch.query.y)
        scored = [[f(self.loss, p, y, padding=padding) for p in predictions] for f in (task_scores, task_losses)]
        return torch.stack([torch.stack(by_step) for by_step in scored])

    def score_name(self, batch: TaskBatch) -> str:
        """``accuracy`` of labels, ``bit_error`` of bits, else the loss's own name."""
        return score_name(self.loss, batch.query.y)
