"""CAVIA: tell tasks apart by a few context parameters, which adapt, while the network, shared by all tasks, does not.

Equations (Zintgraf et al. 2019, algorithm 1), for task i with support loss L_i and query loss L'_i:

    phi_i = 0 - alpha * grad_phi L_i(theta, 0)                  inner step, ``inner_steps`` times
    theta <- theta - beta * grad_theta mean_i L'_i(theta, phi_i)       outer step, through the inner ones

The context phi [context] enters at one layer of the network, whose output it shifts, or scales and shifts, feature by
feature. Both are a change of that layer's own weight w and bias b, so any network will do and none is rebuilt:

    ``shift``   b' = b + A phi                                  the same as phi appended to the layer's input
    ``film``    w' = (1 + B phi) w    b' = (1 + B phi) b + A phi       FiLM of the layer's output

A and B [features, context] are learned with theta. The paper appends phi to the input of its regression network, and
modulates the third convolution of its classifier after BatchNorm; these are the defaults here, too.

Where it differs from the paper: FiLM's scale is 1 + B phi, so that without context the network is the one given; the
mean over tasks stands for the sum; BatchNorm's mode is an option. The paper has no Omniglot: the preset takes its
settings for mini-ImageNet.

Reference: Zintgraf, Shiarlis, Kurin, Hofmann, Whiteson: Fast Context Adaptation via Meta-Learning. ICML 2019.
"""

from collections.abc import Iterator
from typing import Literal

from torch import Tensor, nn

from quickstudy.core.batch import Examples
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel, trainable
from quickstudy.core.losses import TaskLoss, check_loss, task_losses
from quickstudy.core.pad import refuse_counted
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.core.unroll import unroll
from quickstudy.rules import SGD

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)
_LAYERS = (*_NORMS, nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class CAVIA(SupportQueryLearner):
    """CAVIA: a shared network and, per task, a few context parameters that adapt by gradient steps.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; it is learned and does not adapt.
        context: number of context parameters, >= 1; they start at zero for every task.
        at: name of the layer (linear, convolution or normalisation) where the context enters. None: the last but one
            of the normalisation layers (the third block of Conv4), or the first layer where there are none.
        enters: ``shift`` (as if appended to the layer's input), ``film`` (scales and shifts its output), or ``auto``:
            film at normalisation layers, shift elsewhere.
        inner_lr: step size alpha of the context's gradient steps, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 0.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        loss: ``cross_entropy``, ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or no such layer.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        context: int = 5,
        at: str | None = None,
        enters: Literal["auto", "shift", "film"] = "auto",
        inner_lr: float = 1.0,
        inner_steps: int = 1,
        order: int = 2,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if context < 1 or order not in (1, 2) or inner_steps < 0 or enters not in ("auto", "shift", "film"):
            raise UsageError(
                "CAVIA needs context >= 1, order 1 or 2, inner_steps >= 0 and enters auto, shift or film, got "
                f"{context}, {order}, {inner_steps} and {enters!r}."
            )
        check_loss(loss)
        self.model = model
        self.context = context
        self.at = at
        self.enters: Literal["auto", "shift", "film"] = enters
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.order = order
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution)
        self.rule = SGD(lr=inner_lr)
        self.layer, film = place(model, at)
        bias = model.get_parameter(f"{self.layer}bias")
        self.shift = nn.Linear(context, len(bias), bias=False, device=bias.device, dtype=bias.dtype)
        scales = film if enters == "auto" else enters == "film"
        self.scale = nn.Linear(context, len(bias), bias=False, device=bias.device, dtype=bias.dtype) if scales else None

    def adapt(self, support: Examples) -> AdaptedModel:
        *_, last = self._contexts(support, self.inner_steps)
        return self._solver(last, support)

    def adapt_path(self, support: Examples, steps: int) -> Iterator[AdaptedModel]:
        return (self._solver(phi, support) for phi in self._contexts(support, steps))

    def _contexts(self, support: Examples, steps: int) -> Iterator[Tensor]:
        """The contexts ``[tasks, context]`` after 0, 1, ..., ``steps`` steps."""
        tasks = len(support)
        padding = refuse_counted(support.y, self.bn_mode, "CAVIA")
        zero = self.shift.weight.new_zeros(tasks, self.context)

        def objective(params: Params, step: int) -> Tensor:
            predictions = self.net.forward(self._params(params["context"]), support.x)
            return task_losses(self.loss, predictions, support.y, padding=padding)

        path = unroll(objective, {"context": zero}, self.rule, steps=steps, order=self.order)
        return (params["context"] for params in path)

    def _params(self, phi: Tensor) -> Params:
        """The network's parameters where the context ``phi [tasks, context]`` enters."""
        params = self.net.start(len(phi))
        weight, bias = f"{self.layer}weight", f"{self.layer}bias"
        if self.scale is not None:
            scale = 1 + self.scale(phi)
            params[weight] = params[weight] * scale.view(*scale.shape, *[1] * (params[weight].ndim - 2))
            params[bias] = params[bias] * scale
        params[bias] = params[bias] + self.shift(phi)
        return params

    def _solver(self, phi: Tensor, support: Examples) -> AdaptedModel:
        params = self._params(phi)
        return AdaptedModel(self.net, params, self.net.statistics(params, support.x))

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps

    @property
    def task_model(self) -> TaskModel:
        return self.net


def place(model: nn.Module, at: str | None) -> tuple[str, bool]:
    """What the names of the layer's parameters begin with, and whether it is a normalisation layer."""
    names = trainable(model)
    prefixes = {name: f"{name}." if name else "" for name, m in model.named_modules() if isinstance(m, _LAYERS)}
    fitting = [name for name, pre in prefixes.items() if f"{pre}weight" in names and f"{pre}bias" in names]
    norms = [name for name in fitting if isinstance(model.get_submodule(name), _NORMS)]
    if not fitting or (at is not None and at not in fitting):
        choice = f"at must be one of {', '.join(fitting)}, got {at!r}" if fitting else "the model has none"
        raise UsageError(
            f"the context enters at a linear, convolution or normalisation layer with a trainable weight and bias; "
            f"{choice}."
        )
    chosen = at if at is not None else (norms[-2:] or fitting)[0]
    return prefixes[chosen], chosen in norms
