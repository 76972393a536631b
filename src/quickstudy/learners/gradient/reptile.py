"""Reptile: learn a start by moving it toward where training on each task ends.

Equations (Nichol et al. 2018, algorithm 2), for task i with U^k = k inner optimizer steps:

    W_i = U^k_i(phi)                                    no derivative through the steps
    phi <- phi - epsilon * mean_i (phi - W_i)           the direction phi - W_i goes into ``.grad``

so the outer step is ``torch.optim.SGD(lr=epsilon)``, or any other optimizer on that direction.

Where it differs from the paper's code: the inner optimizer's state starts fresh for every task. Meta-training uses all
examples of a task, its support and its query set together (a task of ``shot`` 1 and ``query`` 9 has the paper's 10
training shots); adapting uses the support set alone, as everywhere.

Reference: Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms. arXiv:1803.02999, 2018.
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, TaskModel
from quickstudy.core.learner import MetaGradient
from quickstudy.core.losses import TaskLoss
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.learners.gradient.inner import InnerLoop
from quickstudy.learners.gradient.minibatches import Minibatches
from quickstudy.rules import SGD, Adam


class Reptile(SupportQueryLearner):
    """Reptile: a start moved toward where training on each task ends; no second derivatives.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: step size of the inner optimizer, > 0.
        inner_steps: gradient steps per task in training, >= 1.
        eval_steps: gradient steps per task in validation and test (None: as ``inner_steps``).
        inner_batch: examples per inner step, drawn without replacement until all were seen, in an order of each task's
            own that follows from its examples (None: all at each step).
        eval_batch: the same for ``adapt`` (None: as ``inner_batch``).
        inner_optimizer: ``adam`` (with beta1 = 0, as the paper) or ``sgd``.
        loss: ``cross_entropy``, ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range.
    """

    training_curve: ClassVar[str] = "examples just fitted"

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 1e-3,
        inner_steps: int = 5,
        eval_steps: int | None = None,
        inner_batch: int | None = None,
        eval_batch: int | None = None,
        inner_optimizer: Literal["adam", "sgd"] = "adam",
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if inner_steps < 1 or (inner_batch or 1) < 1 or (eval_batch or 1) < 1:
            raise UsageError(
                f"Reptile needs inner_steps, inner_batch and eval_batch >= 1, got {inner_steps}, {inner_batch}, "
                f"{eval_batch}."
            )
        if inner_optimizer not in ("adam", "sgd"):
            raise UsageError(f"inner_optimizer must be adam or sgd, got {inner_optimizer!r}.")
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.eval_steps = eval_steps
        self.inner_batch = inner_batch
        self.eval_batch = eval_batch
        self.inner_optimizer = inner_optimizer
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        net = TaskModel(model, bn, execution)
        rule = Adam(lr=inner_lr, betas=(0.0, 0.999)) if inner_optimizer == "adam" else SGD(lr=inner_lr)
        self.inner_train = InnerLoop(net, rule, loss, Minibatches(inner_batch))
        self.inner = InnerLoop(net, rule, loss, Minibatches(eval_batch or inner_batch))

    def adapt(self, support: Examples) -> AdaptedModel:
        return self.inner.adapt(support, steps=self.adapt_steps, order=1)

    def adapt_path(self, support: Examples, steps: int) -> Iterator[AdaptedModel]:
        return self.inner.path(support, steps=steps, order=1)

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        """phi - mean_i W_i; the diagnostics are of W_i on the support set, which it was trained on."""
        together = Examples(
            torch.cat([batch.support.x, batch.query.x], 1), torch.cat([batch.support.y, batch.query.y], 1)
        )
        with torch.no_grad():
            end = self.inner_train.adapt(together, steps=self.inner_steps, order=1)
            metrics = self.query_loss(end(batch.support.x), batch.support.y)[1]
            direction: dict[str, Tensor] = {
                name: p - end.params[name].mean(0) for name, p in self.model.named_parameters() if name in end.params
            }
        return MetaGradient([direction.get(n.removeprefix("model.")) for n, _ in self.named_parameters()], metrics)

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps if self.eval_steps is None else self.eval_steps

    @property
    def task_model(self) -> TaskModel:
        return self.inner.net
