"""Meta-SGD: MAML with a learned step size for every parameter, so that the direction and the length of the inner step
are learned together with where it starts.

Equations (Li et al. 2017, section 3.2), for task i with support loss L_i and query loss L'_i; alpha has the shape of
theta, and * is element by element:

    phi_i = theta - alpha * grad L_i(theta)                                   inner step, ``inner_steps`` times
    (theta, alpha) <- (theta, alpha) - beta * grad mean_i L'_i(phi_i)         outer step, through the inner ones

The paper takes one inner step, and so does the default.

Where it differs from the paper: the mean over tasks stands for the sum; BatchNorm's mode is an option; more than one
step shares its rates with the others.

Reference: Li, Zhou, Chen, Li: Meta-SGD: Learning to Learn Quickly for Few-Shot Learning. arXiv:1707.09835, 2017.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution, trainable
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import PerParameter


class MetaSGD(GradientLearner):
    """Meta-SGD: a start and a step size for every parameter, from which one gradient step solves a task.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: where the step sizes alpha start, > 0: one value, or (low, high) of a uniform distribution.
        inner_steps: gradient steps per task in training, validation and test, >= 0.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        loss: ``cross_entropy``, ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float | tuple[float, float] = 0.01,
        inner_steps: int = 1,
        order: int = 2,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__(
            model, inner_steps=inner_steps, order=order, loss=loss, bn=bn, execution=execution, chunk=chunk
        )
        self.inner_lr = inner_lr
        self.rule = PerParameter(trainable(model), lr=inner_lr)
        self.inner = InnerLoop(self.net, self.rule, loss)
