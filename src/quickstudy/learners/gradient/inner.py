"""What learners that adapt a network by gradient steps share: the network, the rule, the loss, and the path."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from quickstudy.core.batch import Examples
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel, trainable
from quickstudy.core.losses import TaskLoss, check_loss, task_losses
from quickstudy.core.pad import refuse_counted
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.core.unroll import unroll
from quickstudy.rules import UpdateRule


@dataclass(frozen=True)
class InnerLoop:
    """Gradient steps from a start (the network's own parameters, if none is given) down each task's support loss.

    Args:
        net: the network, for a batch of tasks.
        rule: how parameters move.
        loss: of one task, by name or as a callable.
        examples: from a support, the examples of it that each step looks at (None: all of them at every step).
        adapts: the names of the parameters that move (None: all that are trainable).
        begin: makes each task's start from its support (None: the network's own parameters).
    """

    net: TaskModel
    rule: UpdateRule
    loss: str | TaskLoss
    examples: Callable[[Examples], Callable[[int], Examples]] | None = None
    adapts: frozenset[str] | None = None
    begin: Callable[[Examples], Params] | None = None

    def __post_init__(self) -> None:
        check_loss(self.loss)
        if self.adapts is not None:
            names = set(trainable(self.net.model))
            if not self.adapts or not self.adapts <= names:
                raise UsageError(
                    f"what adapts must be some of the model's trainable parameters ({', '.join(sorted(names))}), got "
                    f"{', '.join(sorted(self.adapts)) or 'none'}."
                )

    def solver(self, params: Params, support: Examples) -> AdaptedModel:
        """The network under given parameters, its queries normalised as the BatchNorm mode says."""
        return AdaptedModel(self.net, params, self.net.statistics(params, support.x))

    def _start(self, support: Examples) -> Params:
        if self.begin is None:
            return self.net.start(len(support))
        # Views of their own: where one part of the start was made from another (a head of prototypes from the body),
        # an inner gradient holds the one still while it moves the other.
        return {name: p.view_as(p) for name, p in self.begin(support).items()}

    def params(self, support: Examples, *, steps: int, order: int) -> Iterator[Params]:
        """All parameters after 0, 1, ..., ``steps`` steps."""
        padding = refuse_counted(support.y, self.net.bn_mode, "adapting by gradient steps")
        whole = self._start(support)
        moving = whole if self.adapts is None else {name: p for name, p in whole.items() if name in self.adapts}
        at = self.examples(support) if self.examples else None

        def objective(params: Params, step: int) -> Tensor:
            seen = at(step) if at else support
            return task_losses(self.loss, self.net.forward({**whole, **params}, seen.x), seen.y, padding=padding)

        for params in unroll(objective, moving, self.rule, steps=steps, order=order):
            yield {**whole, **params}

    def path(self, support: Examples, *, steps: int, order: int) -> Iterator[AdaptedModel]:
        """The solvers after 0, 1, ..., ``steps`` steps."""
        return (self.solver(params, support) for params in self.params(support, steps=steps, order=order))

    def adapt(self, support: Examples, *, steps: int, order: int) -> AdaptedModel:
        """The solver after the last step."""
        # Of all steps' weights only the last are kept.
        (last,) = deque(self.params(support, steps=steps, order=order), maxlen=1)
        return self.solver(last, support)


class GradientLearner(SupportQueryLearner):
    """A learner whose adapting is ``inner_steps`` steps of one ``InnerLoop``, and whose meta-gradient goes through it.

    What makes it one method or another is the loop, ``inner``, which its constructor builds after this one's.

    Args:
        model: as of the learner.
        inner_steps: steps per task in training, validation and test, >= 0.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        loss: of one task, by name or as a callable.
        bn: BatchNorm's mode.
        execution: how a batch of tasks runs.
        chunk: tasks at once in ``meta_backward`` (None: what suits the model).

    Raises:
        UsageError: an option out of its range.
    """

    inner: InnerLoop

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_steps: int,
        order: int = 2,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if order not in (1, 2) or inner_steps < 0:
            name = type(self).__name__
            raise UsageError(f"{name} needs order 1 or 2 and inner_steps >= 0, got {order} and {inner_steps}.")
        self.model = model
        self.inner_steps = inner_steps
        self.order = order
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution)

    @final
    def adapt(self, support: Examples) -> AdaptedModel:
        return self.inner.adapt(support, steps=self.inner_steps, order=self.order)

    @final
    def adapt_path(self, support: Examples, steps: int) -> Iterator[AdaptedModel]:
        return self.inner.path(support, steps=steps, order=self.order)

    @property
    @final
    def adapt_steps(self) -> int:
        return self.inner_steps

    @property
    @final
    def task_model(self) -> TaskModel:
        return self.net
