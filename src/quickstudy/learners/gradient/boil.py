"""BOIL ("body only update in inner loop"): only the body adapts to a task, under a head that stays as it is. What is
learned is a body whose features move quickly to where a fixed classifier wants them.

Equations (Oh et al. 2021, section 3), for task i with support loss L_i and query loss L'_i, and parameters theta (the
body's) and w (the head's):

    theta_i = theta - alpha * grad_theta L_i(theta, w)           inner step, ``inner_steps`` times
    (theta, w) <- (theta, w) - beta * grad mean_i L'_i(theta_i, w)        outer step, through the inner ones

Where it differs from the paper: the mean over tasks stands for the sum; BatchNorm's mode is an option.

Reference: Oh, Yoo, Kim, Yun: BOIL: Towards Representation Change for Few-shot Learning. ICLR 2021.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution, trainable
from quickstudy.core.heads import find_head
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import SGD


class BOIL(GradientLearner):
    """BOIL: a body that a few gradient steps fit to a new task, under a head that does not adapt.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``.
        head: what the names of the parameters that do not adapt begin with (None: ``model.head``, or the last layer).
        inner_lr: step size alpha of the body's gradient steps, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 0.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        loss: ``cross_entropy``, ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, a head that the model does not have, or a model that is all head; at the
            first forward, a head that it does not use, or that is not the output layer although nobody said so.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        head: str | None = None,
        inner_lr: float = 0.1,
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
        self.head = head
        self.inner_lr = inner_lr
        found = find_head(model, head)
        self.net.expect(found)
        body = frozenset(trainable(model)) - found.names
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss, adapts=body)
