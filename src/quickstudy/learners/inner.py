"""What learners that adapt a network by gradient steps share: the network, the rule, the loss, and the path."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

from quickstudy.batchnorm import describe
from quickstudy.functional import AdaptedModel, TaskModel
from quickstudy.learners.base import Metrics
from quickstudy.losses import TaskLoss, check_loss, score_name, task_losses, task_scores
from quickstudy.rules import UpdateRule
from quickstudy.tasks.batch import Examples
from quickstudy.unroll import unroll


@dataclass(frozen=True)
class InnerLoop:
    """Gradient steps from the network's own parameters down each task's support loss.

    Args:
        net: the network, for a batch of tasks.
        rule: how parameters move.
        loss: of one task, by name or as a callable.
        examples: the support examples that a step looks at (None: all of them at every step).
    """

    net: TaskModel
    rule: UpdateRule
    loss: str | TaskLoss
    examples: Callable[[Examples, int], Examples] | None = None

    def __post_init__(self) -> None:
        check_loss(self.loss)

    @property
    def bn_mode(self) -> str:
        return describe(self.net.bn, self.net.model)

    def path(self, support: Examples, *, steps: int, order: int) -> Iterator[AdaptedModel]:
        """The solvers after 0, 1, ..., ``steps`` steps."""

        def objective(params: dict[str, Tensor], step: int) -> Tensor:
            seen = self.examples(support, step) if self.examples else support
            return task_losses(self.loss, self.net.forward(params, seen.x), seen.y)

        for params in unroll(objective, self.net.start(len(support)), self.rule, steps=steps, order=order):
            yield AdaptedModel(self.net, params, self.net.statistics(params, support.x))

    def adapt(self, support: Examples, *, steps: int, order: int) -> AdaptedModel:
        """The solver after the last step."""
        *_, solver = self.path(support, steps=steps, order=order)
        return solver

    def judge(self, solver: AdaptedModel, query: Examples) -> tuple[Tensor, Metrics]:
        """The mean over tasks of the query loss, and the diagnostics that every learner reports."""
        predictions = solver(query.x)
        loss = task_losses(self.loss, predictions, query.y).mean()
        score = task_scores(self.loss, predictions.detach(), query.y).mean()
        return loss, {"loss": loss.item(), score_name(self.loss, query.y): score.item()}
