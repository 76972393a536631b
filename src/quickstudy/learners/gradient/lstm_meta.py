"""The LSTM meta-learner: gradient descent written as the cell state of an LSTM, whose gates, for every coordinate, are
learned together with the start.

Equations (Ravi and Larochelle 2017, algorithm 1), for task i with support loss L_i and query loss L'_i, and the gates
of ``quickstudy.rules.LSTMGates``:

    theta_0 = the learned start, the initial cell state
    theta_t = f_t * theta_{t-1} - i_t * grad L_i(theta_{t-1})         ``inner_steps`` times, element by element
    (theta_0, gates) <- (theta_0, gates) - beta * grad mean_i L'_i(theta_T)

Gradients and losses of the inner steps are taken as constants (the paper's assumption), so the outer gradient runs
through the gates and the parameters alone: no second derivatives.

Where it differs from the paper: the outer step is of a batch of tasks, the paper's of one. The paper takes care that
no BatchNorm statistics of training leak into the test: here no mode of BatchNorm's carries any from task to task,
``running`` apart, which never changes those that came with the model.

Reference: Ravi, Larochelle: Optimization as a Model for Few-Shot Learning. ICLR 2017.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.learners.gradient.minibatches import Minibatches
from quickstudy.rules import LSTMGates


class LSTMMetaLearner(GradientLearner):
    """LSTM meta-learner: a start, and an LSTM that decides each coordinate's step and decay.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_steps: steps per task in training, validation and test, >= 0.
        inner_batch: support examples per step, drawn without replacement until all were seen, in an order of each
            task's own that follows from its examples (None: all, at each step).
        hidden_size: units of the LSTM, >= 1.
        keep_bias: (low, high) of the uniform distribution from which the forget gate's bias starts.
        step_bias: the same for the input gate's bias: sigmoid of it is about the step size at the start.
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
        inner_steps: int = 5,
        inner_batch: int | None = None,
        hidden_size: int = 20,
        keep_bias: tuple[float, float] = (4.0, 6.0),
        step_bias: tuple[float, float] = (-5.0, -4.0),
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__(model, inner_steps=inner_steps, order=1, loss=loss, bn=bn, execution=execution, chunk=chunk)
        self.inner_batch = inner_batch
        self.hidden_size = hidden_size
        self.keep_bias = keep_bias
        self.step_bias = step_bias
        self.rule = LSTMGates(hidden_size=hidden_size, keep_bias=keep_bias, step_bias=step_bias)
        self.inner = InnerLoop(self.net, self.rule, loss, Minibatches(inner_batch))
