"""Any ``nn.Module`` as a pure function of a batch of tasks: ``forward(parameters, x) -> predictions``.

Parameters are dicts of tensors with a leading task axis. The module itself is never changed, patched or copied: a call
runs on module objects of its own around the task's tensors (``stateless``), buffers are copies that are thrown away, so
that nothing leaks between tasks or threads. What a checkpoint (``torch.utils.checkpoint``) runs again later is run
under the same tensors; the first forward is watched for what else it leaves behind (``first_look``).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.func import vmap

from quickstudy.core import batchnorm
from quickstudy.core.batch import check_tasks
from quickstudy.core.errors import UsageError
from quickstudy.core.forward import Forward
from quickstudy.core.heads import Head
from quickstudy.core.model_checks import check_model, device_of, floating_dtype
from quickstudy.core.taken import check_task, network_of_task

Params: TypeAlias = dict[str, Tensor]
"""Parameters by name, each ``[tasks, ...]``."""
Execution: TypeAlias = Literal["auto", "vmap", "threads", "loop"]


@runtime_checkable
class RunsTasks(Protocol):
    """A model that has a way of its own to run a batch of tasks, each with its own parameters; it has no BatchNorm."""

    def forward_tasks(self, params: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Predictions ``[tasks, n, ...]`` for x ``[tasks, n, ...]`` and parameters ``{name: [tasks, ...]}``."""
        ...


# Layers that are slower under vmap on a CPU (convolutions), or that vmap cannot take (recurrent cells).
_NOT_FOR_CPU_VMAP = (nn.modules.conv._ConvNd, nn.RNNBase, nn.modules.batchnorm._BatchNorm)


class TaskModel:
    """``model`` for a batch of tasks at once.

    Args:
        model: any module that maps ``[n, ...]`` to ``[n, ...]``.
        bn: BatchNorm's mode, see ``quickstudy.core.batchnorm``.
        execution: ``loop`` (one task after the other, each on all cores), ``threads`` (tasks side by side, each on one
            core), ``vmap`` (all tasks in one set of operations), or ``auto``: the model's own way for a batch of tasks
            if it has one (``RunsTasks``), vmap on GPUs and for models without convolutions, recurrent cells and
            BatchNorm, else threads. All give the same numbers to rounding. A model that vmap cannot take falls back to
            threads with one warning.
        adapts: whether the model must have something to adapt.

    Examples in another floating type than the model's are converted.

    Raises:
        UsageError: an unknown mode, a model that cannot be run task by task (see ``model_checks``), or one without
            trainable parameters that should have some.
    """

    def __init__(
        self, model: nn.Module, bn: batchnorm.Mode, execution: Execution = "auto", *, adapts: bool = True
    ) -> None:
        if execution not in get_args(Execution):
            raise UsageError(f"execution must be one of {', '.join(get_args(Execution))}, got {execution!r}.")
        check_model(model)
        batchnorm.check_mode(bn, model)
        if adapts and not any(p.requires_grad for p in model.parameters()):
            raise UsageError("the model has no parameter with requires_grad=True: there is nothing to adapt.")
        self.model = model
        self.bn: batchnorm.Mode = bn
        self.execution = execution
        self.forward_once = Forward(model)
        self.known = self.forward_once.known
        self._runs_tasks = execution == "auto" and isinstance(model, RunsTasks)
        self._cpu_vmap = not any(isinstance(m, _NOT_FOR_CPU_VMAP) for m in model.modules())

    def expect(self, head: Head) -> None:
        """Hold what a learner takes for the model's head against the first forward (``Head.check``)."""
        self.forward_once.head = head

    def look(self, params: Mapping[str, Tensor], x: Tensor) -> None:
        """Watch a first forward if there was none: under its own tensors, before some are exchanged."""
        if not self._runs_tasks and not self.known.looked:
            with torch.random.fork_rng([]):
                self.forward(params, x)

    @property
    def bn_mode(self) -> str:
        """BatchNorm's mode, ``none`` where the model has none."""
        return batchnorm.describe(self.bn, self.model)

    @property
    def runs_tasks(self) -> bool:
        """Whether the model's own way for a batch of tasks is taken (``RunsTasks``)."""
        return self._runs_tasks

    @property
    def tasks_at_once(self) -> int | None:
        """The pieces in which a batch runs best: task by task on threads (it stays in cache), else all at once."""
        if self.execution == "loop" or self._runs_tasks:
            return None
        return None if self._use_vmap(device_of(self.model)) else 1

    def start(self, tasks: int) -> Params:
        """The model's trainable parameters, shared by all tasks (views, attached to the graph)."""
        return {name: p.unsqueeze(0).expand(tasks, *p.shape) for name, p in trainable(self.model).items()}

    def forward(
        self,
        params: Mapping[str, Tensor],
        x: Shaped[Tensor, "tasks n ..."],
        statistics: batchnorm.Statistics | None = None,
    ) -> Shaped[Tensor, "tasks n ..."]:
        """Predictions ``[tasks, n, ...]`` of each task's parameters for its own examples.

        Args:
            statistics: BatchNorm statistics to use, each ``[tasks, channels]`` (from ``statistics``).
        """
        return self._run(params, x, statistics, record=False)[0]

    def statistics(self, params: Mapping[str, Tensor], x: Shaped[Tensor, "tasks n ..."]) -> batchnorm.Statistics | None:
        """What queries are normalised by after adapting on ``x``: the support's statistics, or None (see the mode)."""
        if not batchnorm.by_support(self.bn_mode):
            return None
        return self._run(params, x, None, record=True)[1]

    def _run(
        self, params: Mapping[str, Tensor], x: Tensor, statistics: batchnorm.Statistics | None, *, record: bool
    ) -> tuple[Tensor, batchnorm.Statistics]:
        if x.is_floating_point():
            own = next((p.dtype for p in params.values() if p.is_floating_point()), None)
            x = x.to(own or floating_dtype(self.model) or x.dtype)
        if self._runs_tasks:
            assert isinstance(self.model, RunsTasks)
            return self.model.forward_tasks(params, x), ()
        if self._use_vmap(x.device):
            try:
                one_task = partial(self._one_task, record=record, written_out=True)
                axes = (0, 0, None if statistics is None else 0)
                return vmap(one_task, in_dims=axes, randomness="different")(dict(params), x, statistics)
            except (UsageError, Warning):  # warnings may be errors
                raise
            except Exception as error:  # vmap refuses in many types; a fault of the model's own comes again in the loop
                result = self._loop(params, x, statistics, record)
                self.known.vmap_works = False
                reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                warnings.warn(
                    f"vmap cannot run this model ({reason}); taking the tasks one by one instead.", stacklevel=3
                )
                return result
        return self._loop(params, x, statistics, record)

    def _use_vmap(self, device: torch.device) -> bool:
        if self.execution == "auto":
            return self.known.vmap_works and (self._cpu_vmap or device.type == "cuda")
        return self.execution == "vmap" and self.known.vmap_works

    def _loop(
        self, params: Mapping[str, Tensor], x: Tensor, statistics: batchnorm.Statistics | None, record: bool
    ) -> tuple[Tensor, batchnorm.Statistics]:
        per_task = {name: _split(p) for name, p in params.items()}
        outputs, seen = [], []
        for t in range(len(x)):
            fixed = None if statistics is None else tuple((mean[t], var[t]) for mean, var in statistics)
            one = {name: p[t] for name, p in per_task.items()}
            output, stats = self._one_task(one, x[t], fixed, record=record, written_out=False)
            outputs.append(output)
            seen.append(stats)
        stacked = tuple(
            (_join([mean for mean, _ in layer]), _join([var for _, var in layer])) for layer in zip(*seen, strict=True)
        )
        return _join(outputs), stacked

    def _one_task(
        self,
        params: Mapping[str, Tensor],
        x: Tensor,
        fixed: batchnorm.Statistics | None,
        *,
        record: bool,
        written_out: bool,
    ) -> tuple[Tensor, batchnorm.Statistics]:
        mode = batchnorm.BatchNormAs(running=self.bn == "running", fixed=fixed, record=record, written_out=written_out)
        return self.forward_once(params, x, mode), tuple(mode.seen)


def _split(t: Tensor) -> Sequence[Tensor]:
    """Each task's part; of a single task without the copies that ``unbind`` makes on the way back."""
    return (t.squeeze(0),) if len(t) == 1 else t.unbind(0)


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack([*parts])


@dataclass(frozen=True)
class AdaptedModel:
    """A solver: ``net`` under each task's own parameters, its queries normalised by ``statistics`` where given."""

    net: TaskModel
    params: Params
    statistics: batchnorm.Statistics | None

    def __call__(self, x: Shaped[Tensor, "tasks n ..."]) -> Shaped[Tensor, "tasks n ..."]:
        """Predictions ``[tasks, n, ...]`` for ``x [tasks, n, ...]``.

        Raises:
            UsageError: ``x`` holds another number of tasks than the solver was adapted to.
        """
        check_tasks(x, self.tasks)
        return self.net.forward(self.params, x, self.statistics)

    @property
    def tasks(self) -> int:
        return len(next(iter(self.params.values())))

    def module(self, task: int) -> nn.Module:
        """One task's network as a plain module, ``[n, ...]`` to ``[n, ...]``: a copy with the task's weights, in
        evaluation mode, normalising as this solver does.

        Raises:
            UsageError: there is no such task, or no module that normalises so (see ``taken``).
        """
        check_task(task, self.tasks)
        params = {name: p[task] for name, p in self.params.items()}
        mine = None if self.statistics is None else [(mean[task], var[task]) for mean, var in self.statistics]
        return network_of_task(self.net.model, params, mine, self.net.known.norms, self.net.bn)

    def __reduce__(self) -> Any:
        """Pickled and copied without a graph."""
        params = {name: p.detach() for name, p in self.params.items()}
        fixed = None if self.statistics is None else tuple((m.detach(), v.detach()) for m, v in self.statistics)
        return AdaptedModel, (self.net, params, fixed)


def trainable(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that may move, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
