"""ProtoMAML: MAML whose head is made for each task, from the task's prototypes. It starts where the prototypical
network of its features is, whatever the classes and their order, and gradient steps go on from there.

Equations (Triantafillou et al. 2020, section 3), for task i with features f(x), support loss L_i and query loss L'_i:

    c_k  = mean of f(x) over the support examples of class k
    w_k  = 2 (c_k - m)  b_k = -|c_k|^2 + |m|^2               the head: w_k . f + b_k = -|f - c_k|^2 + |f - m|^2
    phi  = (theta, w, b) - alpha * grad L_i(theta, w, b)     inner step, ``inner_steps`` times, of all parameters
    theta <- theta - beta * grad_theta mean_i L'_i(phi_i)    outer step, through the inner ones and the prototypes

The head's own parameters in ``model`` say its size only. A class that a task does not have gets a logit of -1e9.

Where it differs from the paper: the paper trains with ``order=1`` (the outer gradient still goes through the
prototypes); the mean over tasks stands for the sum; BatchNorm's mode is an option. m is the mean of the c_k (the paper:
0), which adds the same number to all logits and keeps them exact where the features are large.

Reference: Triantafillou et al.: Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples. ICLR 2020.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from quickstudy.core.batch import Examples
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, Params, TaskModel
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.gradient.heads import body_features, linear_head, means_by_class, prototype_head
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import SGD


class ProtoMAML(GradientLearner):
    """ProtoMAML: features whose prototypes make each task's head, which gradient steps then improve.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, classes]``, at least as many as a task has; its head (``model.head``,
            or its last layer) is an ``nn.Linear`` with a bias.
        inner_lr: step size alpha of the inner gradient steps, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 0; 0 is the prototypical network.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        loss: ``cross_entropy``, or ``loss(logits, labels) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or a model whose head cannot be made of prototypes.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy"}

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.01,
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
        if loss == "mse":
            raise UsageError("ProtoMAML's head is made of the classes' prototypes: it cannot do regression, use MAML.")
        self.inner_lr = inner_lr
        head = linear_head(self.net, "ProtoMAML makes each task's head of the prototypes of its classes")
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss, begin=PrototypeHead(self.net, head))


@dataclass(frozen=True)
class PrototypeHead:
    """Each task's start: the network's own body, and a head (weight and bias) of its support's prototypes."""

    net: TaskModel
    head: tuple[str, str]

    def __call__(self, support: Examples) -> Params:
        """All parameters ``{name: [tasks, ...]}``, the head's ``[tasks, classes, f]`` and ``[tasks, classes]``."""
        start = self.net.start(len(support))
        weight, bias = self.head
        f_tnf = body_features(self.net, start, self.head, support.x)
        w_tkf, b_tk = prototype_head(*means_by_class(f_tnf, support.y, start[bias].shape[1], "ProtoMAML"))
        return {**start, weight: w_tkf, bias: b_tk}
