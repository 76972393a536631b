"""ANIL ("almost no inner loop"): only the head adapts to a task, on features that all tasks share. The body is learned
by the outer steps alone, for what the adapted heads make of it.

Equations (Raghu et al. 2020, section 4), for task i with support loss L_i and query loss L'_i, and parameters theta
(the body's) and w (the head's):

    w_i = w - alpha * grad_w L_i(theta, w)                       inner step, ``inner_steps`` times
    (theta, w) <- (theta, w) - beta * grad mean_i L'_i(theta, w_i)        outer step, through the inner ones

Where it differs from the paper: the mean over tasks stands for the sum; BatchNorm's mode is an option (in a
transductive body the features of a query still depend on its task's other queries).

Reference: Raghu, Raghu, Bengio, Vinyals: Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of
MAML. ICLR 2020.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution
from quickstudy.core.heads import find_head
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import SGD


class ANIL(GradientLearner):
    """ANIL: features on which a few gradient steps of the head alone solve a new task.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``.
        head: what the names of the parameters that adapt begin with (None: ``model.head``, or the last layer).
        inner_lr: step size alpha of the head's gradient steps, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 0.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        loss: ``cross_entropy``, ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or a head that the model does not have; at the first forward, one
            that it does not use, or that is not the output layer although nobody said that it is the head.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        head: str | None = None,
        inner_lr: float = 0.1,
        inner_steps: int = 5,
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
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss, adapts=found.names)
