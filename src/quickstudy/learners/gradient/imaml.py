"""iMAML: MAML's start, with the meta-gradient from where the inner problem ends and not from the way there.

The inner steps solve a problem that holds on to the start; at its solution the derivative by the start follows from
the implicit function theorem, and a few Hessian-vector products give it. Memory does not grow with the inner steps.

Equations (Rajeswaran et al. 2019, algorithms 1 and 2), for task i with support loss L_i and query loss L'_i:

    phi_i = argmin_phi  L_i(phi) + lambda/2 |phi - theta|^2     ``inner_steps`` gradient steps, no graph kept
    (I + H_i / lambda) g_i = grad L'_i(phi_i)                   H_i = Hessian of L_i at phi_i; conjugate gradients
    theta <- theta - beta * mean_i g_i                          outer step

Where it differs from the paper: the mean over tasks stands for the sum; conjugate gradients run for all tasks of a
piece at once and stop for a task where they meet negative curvature; BatchNorm's mode is an option. The authors' code
takes the proximal term's step once, after the others; here it is part of each step, as in the paper's problem.

Reference: Rajeswaran, Finn, Kakade, Levine: Meta-Learning with Implicit Gradients. NeurIPS 2019.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.conjugate_gradients import conjugate_gradients
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel
from quickstudy.core.learner import MetaGradient, Scalars
from quickstudy.core.losses import TaskLoss, task_losses
from quickstudy.core.pad import padded
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.core.twice import differentiable_twice
from quickstudy.learners.gradient.inner import InnerLoop
from quickstudy.rules import ProximalSGD


class IMAML(SupportQueryLearner):
    """Implicit MAML: the meta-gradient at the inner problem's solution; memory flat in the steps.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: step size of the inner gradient steps, > 0; below 2 / (lambda + the loss's curvature).
        inner_steps: gradient steps per task in training, validation and test, >= 0; the more, the
            closer to the solution that the gradient assumes.
        lam: lambda of the paper, how strongly the inner problem holds on to the start, > 0.
        cg_steps: steps of conjugate gradients, >= 0; 0 takes the query's gradient as it is (first-order MAML's).
        cg_damping: added to lambda in the equation that conjugate gradients solve, >= 0; 0 is the paper's equation.
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
        inner_lr: float = 0.1,
        inner_steps: int = 16,
        lam: float = 2.0,
        cg_steps: int = 5,
        cg_damping: float = 0.0,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if inner_lr <= 0 or lam <= 0 or min(inner_steps, cg_steps, cg_damping) < 0:
            raise UsageError(
                "IMAML needs inner_lr and lam > 0, inner_steps, cg_steps and cg_damping >= 0, got "
                f"{inner_lr}, {lam}, {inner_steps}, {cg_steps} and {cg_damping}."
            )
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.lam = lam
        self.cg_steps = cg_steps
        self.cg_damping = cg_damping
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.inner = InnerLoop(TaskModel(model, bn, execution), ProximalSGD(lr=inner_lr, lam=lam), loss)

    def adapt(self, support: Examples) -> AdaptedModel:
        return self.inner.adapt(support, steps=self.inner_steps, order=1)

    def adapt_path(self, support: Examples, steps: int) -> Iterator[AdaptedModel]:
        return self.inner.path(support, steps=steps, order=1)

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        """mean_i (I + H_i / lambda)^-1 grad L'_i(phi_i), exact where phi_i solves the inner problem."""
        support, net = batch.support, self.inner.net
        with torch.no_grad():
            end = self.inner.adapt(support, steps=self.inner_steps, order=1).params
        with torch.enable_grad():
            at = {name: p.detach().requires_grad_() for name, p in end.items()}
            loss, metrics = self.query_loss(self.inner.solver(at, support)(batch.query.x), batch.query.y)
            # The mean over tasks, undone: each task's own gradient.
            query_grad = derivative(len(batch) * loss, at)
            if self.cg_steps == 0:
                return self._result(query_grad, metrics)
            with differentiable_twice():
                predictions = net.forward(at, support.x)
                support_loss = task_losses(self.loss, predictions, support.y, padding=padded(support.y)).sum()
            support_grad = derivative(support_loss, at, create_graph=True)

        def matrix(v: Params) -> Params:
            """v + H v / lambda, by one more derivative of the support's gradient at phi."""
            h = derivative(support_grad, at, along=v)
            return {name: v[name] + h[name] / (self.lam + self.cg_damping) for name in v}

        with torch.no_grad():
            g, residual = conjugate_gradients(matrix, query_grad, steps=self.cg_steps)
        return self._result(g, {**metrics, "cg_residual": residual.mean()})

    def _result(self, g: Params, metrics: Scalars) -> MetaGradient:
        named = [name.removeprefix("model.") for name, _ in self.named_parameters()]
        return MetaGradient([g[name].mean(0) if name in g else None for name in named], metrics)

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps

    @property
    def task_model(self) -> TaskModel:
        return self.inner.net


def derivative(of: Tensor | Params, at: Params, *, along: Params | None = None, create_graph: bool = False) -> Params:
    """The derivative by the parameters of a scalar, or of a gradient along a vector; the graph stays."""
    outputs = [of] if isinstance(of, Tensor) else list(of.values())
    weights = None if along is None else [along[name] for name in at]
    inputs = list(at.values())
    # What does not depend on the parameters any more (a linear network's gradient, in part) counts as zero.
    kept = [i for i, o in enumerate(outputs) if o.requires_grad]
    if not kept:
        return {name: torch.zeros_like(p) for name, p in at.items()}
    grads = torch.autograd.grad(
        [outputs[i] for i in kept],
        inputs,
        None if weights is None else [weights[i] for i in kept],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(at, grads, strict=True))
