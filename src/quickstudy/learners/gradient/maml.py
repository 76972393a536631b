"""MAML: learn a start from which a few gradient steps solve a new task.

Equations (Finn et al. 2017, algorithm 2), for task i with support loss L_i and query loss L'_i:

    phi_i = theta - alpha * grad L_i(theta)                     inner step, ``inner_steps`` times
    theta <- theta - beta * grad_theta mean_i L'_i(phi_i)       outer step, through the inner ones

``order=1`` takes the inner gradients as constants (first-order MAML): the outer gradient is then that of L'_i at
phi_i. The outer step itself is any ``torch.optim`` optimizer (the paper: Adam).

Where it differs from the paper: the mean over tasks stands for the sum; BatchNorm's mode is an option.

Reference: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import SGD


class MAML(GradientLearner):
    """MAML: a start from which a few gradient steps solve a new task; for any differentiable network.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: step size alpha of the inner gradient steps, > 0.
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
        inner_lr: float = 0.01,
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
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss)
