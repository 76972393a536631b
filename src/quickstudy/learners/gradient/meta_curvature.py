"""Meta-Curvature: MAML whose inner gradients are multiplied by learned matrices, so that a step follows the curvature
that the tasks have in common. Each layer has three small ones, in place of one of all its parameters.

Equations (Park and Oliva 2019, section 4), for task i with support loss L_i and query loss L'_i, and a layer's gradient
G [C_out, C_in, d]:

    MC(G) = G x_3 M_f x_2 M_i x_1 M_o                               x_k: a matrix times the tensor's k-th mode
    phi_i = theta - alpha * MC(grad L_i(theta))                     inner step, ``inner_steps`` times
    (theta, M) <- (theta, M) - beta * grad mean_i L'_i(phi_i)       outer step, through the inner ones

The matrices start as identity: before the first outer step this is MAML.

Where it differs from the paper: the mean over tasks stands for the sum; BatchNorm's mode is an option. Vectors
(biases, BatchNorm's scales and shifts) have M_o alone, matrices M_o and M_i.

Reference: Park, Oliva: Meta-Curvature. NeurIPS 2019.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution, trainable
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import Curvature


class MetaCurvature(GradientLearner):
    """Meta-Curvature: a start, and matrices that turn a task's gradients into better steps from it.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: step size alpha of the inner steps, > 0.
        inner_steps: steps per task in training, validation and test, >= 0.
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
        self.rule = Curvature(trainable(model), lr=inner_lr)
        self.inner = InnerLoop(self.net, self.rule, loss)
