"""MAML++: MAML with what made its training steadier and its result better, each part an option or a value of one.

Equations (Antoniou et al. 2019, section 4), for task i with support loss L_i, query loss L'_i, and N inner steps:

    phi_i,k+1 = phi_i,k - alpha[layer, k] * grad L_i(phi_i,k; k)      a learned rate per layer and step (LSLR)
    loss      = sum_k v_k * mean_i L'_i(phi_i,k; k), k = 1 ... N      multi-step loss (MSL), sum_k v_k = 1

``; k`` are BatchNorm's weight and bias, which are learned for each step, and do not adapt (BNWB). The weights v start
equal and go over ``multi_step`` outer steps to the last step alone. For the first ``first_order_steps`` outer steps the
inner gradients count as constants (DA). ``per_step_statistics`` keeps running statistics for each step (BNRS).

Where it differs from the paper: the network after k steps has BatchNorm's k-th weight and bias, k = 0 ... N, in the
support pass as in the query pass; in the paper's code the query pass takes those of the support pass before it. There,
running statistics are kept, but every batch is normalised by its own; here, too, unless ``per_step_statistics`` is on.
The weights v of the earlier steps go to zero (to 0.03 / N there, and at the end to zero). The outer step size falls
along a cosine by ``train``'s own option.

Reference: Antoniou, Edwards, Storkey: How to Train Your MAML. ICLR 2019.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode, Statistics
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel, trainable
from quickstudy.core.learner import MetaGradient, Scalars, derivative
from quickstudy.core.losses import TaskLoss, check_loss, task_losses
from quickstudy.core.pad import refuse_counted
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.core.unroll import unroll
from quickstudy.rules import PerStep

_MOMENTUM = 0.1


class MAMLPlusPlus(SupportQueryLearner):
    """MAML++: MAML with learned rates and BatchNorm per inner step, and a loss after every inner step.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, way]`` or values ``[n, outputs]``; its trainable parameters adapt.
        inner_lr: where the rates alpha start, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 1.
        order: 2 differentiates through the inner gradients, 1 takes them as constants.
        first_order_steps: outer steps at the beginning that are of order 1 whatever ``order`` says.
        multi_step: outer steps over which the multi-step loss turns into the last step's loss; 0: from the beginning.
        per_step_bn: learn BatchNorm's weight and bias for each step, in place of adapting them.
        per_step_statistics: outside training, normalise queries by running statistics of the step (of the queries seen
            in training) in place of their own; needs ``bn`` transductive.
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
        inner_steps: int = 5,
        order: int = 2,
        first_order_steps: int = 0,
        multi_step: int = 5000,
        per_step_bn: bool = True,
        per_step_statistics: bool = False,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if order not in (1, 2) or inner_steps < 1 or min(first_order_steps, multi_step) < 0:
            raise UsageError(
                "MAMLPlusPlus needs order 1 or 2, inner_steps >= 1, first_order_steps and multi_step >= 0, got "
                f"{order}, {inner_steps}, {first_order_steps} and {multi_step}."
            )
        if per_step_statistics and bn != "transductive":
            raise UsageError(f"per_step_statistics says how queries are normalised, and so does bn={bn!r}; use one.")
        check_loss(loss)
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.order = order
        self.first_order_steps = first_order_steps
        self.multi_step = multi_step
        self.per_step_bn = per_step_bn
        self.per_step_statistics = per_step_statistics
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution)
        self.observer = TaskModel(model, "support", execution)
        named = trainable(model)
        layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        affine = [f"{layer}.{part}".lstrip(".") for layer, _ in layers for part in ("weight", "bias")]
        self.norm_names = tuple(name for name in affine if per_step_bn and name in named)
        # Index k is that of the network after k steps.
        each_step = (inner_steps + 1, 1)
        self.norms = nn.ParameterList(named[name].detach().repeat(each_step) for name in self.norm_names)
        self.rule = PerStep([name for name in named if name not in self.norm_names], steps=inner_steps, lr=inner_lr)
        self.layers = len(layers) if per_step_statistics else 0
        for i, (_, layer) in enumerate(layers[: self.layers]):
            self.register_buffer(f"running_mean_{i}", torch.zeros(inner_steps + 1, layer.num_features))
            self.register_buffer(f"running_var_{i}", torch.ones(inner_steps + 1, layer.num_features))
        self.outer_step: Tensor
        self.register_buffer("outer_step", torch.zeros(()))

    def adapt(self, support: Examples) -> AdaptedModel:
        *_, last = self.adapt_path(support, self.inner_steps)
        return last

    def adapt_path(self, support: Examples, steps: int) -> Iterator[AdaptedModel]:
        path = enumerate(self._path(support, steps, self.order))
        return (self._solver(step, params, support) for step, params in path)

    def meta_loss(self, batch: TaskBatch) -> tuple[Tensor, Scalars]:
        """The multi-step loss as it is now; the metric ``loss`` is the last step's alone."""
        return self._meta_loss(batch, self._order())[:2]

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        with torch.enable_grad():
            loss, metrics, path = self._meta_loss(batch, self._order())
            gradients = derivative(self, loss)
        with torch.no_grad():
            # Rounded: the mean over pieces that meta_backward takes is exact to rounding only.
            buffers = {"outer_step": self.outer_step.round() + 1}
            if self.layers and self.training:
                buffers |= self._moved_statistics([self._statistics_of(params, batch.query.x) for params in path])
        return MetaGradient(gradients, metrics, buffers)

    def step_weights(self) -> list[float]:
        """How much the loss after each inner step counts at this outer step; they sum to 1."""
        n = self.inner_steps
        gone = 1.0 if self.multi_step == 0 else min(1.0, self._now() / self.multi_step)
        earlier = (1 - gone) / n
        return [earlier] * (n - 1) + [1 - (n - 1) * earlier]

    def _meta_loss(self, batch: TaskBatch, order: int) -> tuple[Tensor, dict[str, Tensor], list[Params]]:
        path = list(self._path(batch.support, self.inner_steps, order))
        total: Tensor | float = 0.0
        metrics: dict[str, Tensor] = {}
        for step, weight in enumerate(self.step_weights(), start=1):
            if weight > 0:
                predictions = self._solver(step, path[step], batch.support)(batch.query.x)
                loss, metrics = self.query_loss(predictions, batch.query.y)
                total = total + weight * loss
        assert isinstance(total, Tensor), "the last step always counts"
        return total, {**metrics, "multi_step_loss": total.detach()}, path

    def _path(self, support: Examples, steps: int, order: int) -> Iterator[Params]:
        """All parameters after 0, 1, ..., ``steps`` steps."""
        padding = refuse_counted(support.y, "support" if self.layers else self.bn_mode, "MAML++")
        start = self.net.start(len(support))
        moving = {name: p for name, p in start.items() if name not in self.norm_names}

        def whole(params: Params, step: int) -> Params:
            k = min(step, self.inner_steps)
            norms = zip(self.norm_names, self.norms, strict=True)
            return {**params, **{name: p[k].expand(len(support), -1) for name, p in norms}}

        def objective(params: Params, step: int) -> Tensor:
            return task_losses(self.loss, self.net.forward(whole(params, step), support.x), support.y, padding=padding)

        path = unroll(objective, moving, self.rule, steps=steps, order=order)
        return (whole(params, step) for step, params in enumerate(path))

    def _solver(self, step: int, params: Params, support: Examples) -> AdaptedModel:
        if not self.layers or self.training:
            return AdaptedModel(self.net, params, self.net.statistics(params, support.x))
        k = min(step, self.inner_steps)
        running = [
            (self.get_buffer(f"running_mean_{i}"), self.get_buffer(f"running_var_{i}")) for i in range(self.layers)
        ]
        tasks = len(support)
        return AdaptedModel(
            self.net, params, tuple((m[k].expand(tasks, -1), v[k].expand(tasks, -1)) for m, v in running)
        )

    def _statistics_of(self, params: Params, x: Tensor) -> Statistics:
        seen = self.observer.statistics(params, x) or ()
        widths = [self.get_buffer(f"running_mean_{i}").shape[1] for i in range(self.layers)]
        if [mean.shape[1] for mean, _ in seen] != widths:
            raise UsageError(
                f"per_step_statistics needs a model that calls each BatchNorm once, in the order in which it has them "
                f"(channels {widths}); it called {[mean.shape[1] for mean, _ in seen]}. Use bn='support'."
            )
        return seen

    def _moved_statistics(self, by_step: list[Statistics]) -> dict[str, Tensor]:
        """The running statistics after a batch of tasks, ``[steps + 1, channels]`` of each layer."""
        moved: dict[str, Tensor] = {}
        for i in range(self.layers):
            for part, name in enumerate((f"running_mean_{i}", f"running_var_{i}")):
                seen = torch.stack([statistics[i][part].mean(0) for statistics in by_step])
                moved[name] = torch.lerp(self.get_buffer(name), seen, _MOMENTUM)
        return moved

    def _now(self) -> int:
        return round(float(self.outer_step))

    def _order(self) -> int:
        return 1 if self.first_order_steps and self._now() < self.first_order_steps else self.order

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps

    @property
    def task_model(self) -> TaskModel:
        return self.net

    @property
    def bn_mode(self) -> str:
        return "running per step" if self.layers else super().bn_mode
