"""First-order MAML: MAML without the derivative of the inner gradients. An outer step costs about as much as ordinary
training on as many batches, and its memory does not grow with the inner steps.

Equations (Finn et al. 2017, section 5.2), for task i with support loss L_i and query loss L'_i:

    phi_i = theta - alpha * grad L_i(theta)              inner step, ``inner_steps`` times
    theta <- theta - beta * mean_i grad L'_i(phi_i)      outer step: the gradient AT phi_i

It is ``MAML(order=1)`` under a name and with recipes of its own: it needs smaller steps, and more of them.

Where it differs from the paper: the mean over tasks stands for the sum; BatchNorm's mode is an option.

Reference: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import SGD


class FOMAML(GradientLearner):
    """First-order MAML: a start from which a few gradient steps solve a task; no second derivatives.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: step size alpha of the inner gradient steps, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 0.
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
        inner_steps: int = 5,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__(model, inner_steps=inner_steps, order=1, loss=loss, bn=bn, execution=execution, chunk=chunk)
        self.inner_lr = inner_lr
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss)
