"""Hypernet: a second network writes the solver's parameters from the support set, in one forward pass and without a
gradient step. It is trained by the query loss of what it writes.

Equations, for task i with support set S, features f(x) of the network under its learned start theta:

    classification    r_k = mean of f(x) over the support examples of class k,  h = mean_k r_k
    regression        h   = mean over S of m([f(x), y])                         m: an MLP
    every tensor p    phi_p,j = theta_p,j + s_p V_p u([h, e_p,j])               row j with a learned embedding e_p,j
    a class's row     (w_k, b_k) = (2 (r_k - h), |h|^2 - |r_k|^2) + s V u'([r_k, h])    of the head of a classification
    (theta, u, V ...) <- ... - beta * grad mean_i L'_i(phi_i)                   outer step

V begins at zero (see ``quickstudy.nets.generators.generator``): the first solver is the learned start, with a head of
prototypes. A class's row depends on the class's own examples and the set of all, so renaming classes renames
predictions. The head's own parameters in ``model`` say its size only. A class that a task does not have gets a logit of
-1e9.

Where it differs from the papers: rows as in HyperNetworks, whose generated layers do not depend on data; that the
support set says what is generated follows LEO and CNAPs, without LEO's latent optimization and CNAPs' pretrained body.
``inner_steps`` gradient steps may follow, in training and in the test, from what was generated.

References: Ha, Dai, Le: HyperNetworks. ICLR 2017. Rusu et al.: Meta-Learning with Latent Embedding Optimization. ICLR
2019. Requeima et al.: Fast and Flexible Multi-Task Classification Using Conditional Neural Adaptive Processes. NeurIPS
2019.
"""

from torch import nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution
from quickstudy.core.losses import TaskLoss
from quickstudy.learners.generative._generated import Generates, SolverGenerator
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.rules import SGD


class Hypernet(GradientLearner):
    """Hypernet: a network writes each task's solver from its support set, in one forward pass.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, classes]``, at least as many as a task has, or values ``[n, outputs]``;
            its head (``model.head``, or its last layer) is an ``nn.Linear`` with a bias.
        generates: ``all`` parameters, or those of the ``head`` alone.
        width: of the generator's hidden layers, and of a regression's code.
        prototypes: whether the head of a classification starts at the classes' prototypes; else it starts at zero.
        inner_lr: step size of gradient steps after the generation, > 0.
        inner_steps: gradient steps after the generation, in training, validation and test, >= 0.
        order: 2 differentiates through these steps' gradients, 1 takes them as constants.
        loss: ``cross_entropy`` for labels; for values ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or a model whose head is no linear layer.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        generates: Generates = "all",
        width: int = 128,
        prototypes: bool = True,
        inner_lr: float = 0.01,
        inner_steps: int = 0,
        order: int = 2,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__(
            model, inner_steps=inner_steps, order=order, loss=loss, bn=bn, execution=execution, chunk=chunk
        )
        self.generates: Generates = generates
        self.width = width
        self.prototypes = prototypes
        self.inner_lr = inner_lr
        self.generator = SolverGenerator(
            self.net,
            by_class=loss == "cross_entropy",
            generates=generates,
            width=width,
            prototypes=prototypes,
            who="Hypernet",
        )
        self.inner = InnerLoop(self.net, SGD(lr=inner_lr), loss, begin=self.generator.begin)
