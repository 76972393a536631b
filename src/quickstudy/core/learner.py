"""The interface of a meta-learner, and what its parts are called.

A meta-learner is an ``nn.Module`` whose parameters are the meta-parameters. It is saved, moved and optimised like any
module; the two methods that make it a meta-learner are ``adapt`` and ``meta_loss``. One whose tasks are a support and a
query set is a ``SupportQueryLearner`` (``support_query.py``), of which ``adapt`` is all there is to write.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeAlias, cast, final

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from quickstudy.core.batch import Batch, TaskBatch
from quickstudy.core.batchnorm import describe
from quickstudy.core.compiled import run_compiled
from quickstudy.core.draws import Noise
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import TaskModel
from quickstudy.core.meant import check_batch
from quickstudy.core.model_checks import check_differentiable, floating_dtype, precision_told
from quickstudy.core.options import checks_options
from quickstudy.core.parallel import pieces, run_pieces
from quickstudy.core.shown import shown

B = TypeVar("B", bound=Batch, default=Any)
"""The batches of tasks that a learner takes: ``MetaLearner[TaskBatch]``, say (``MetaLearner`` alone: of any)."""
Solver: TypeAlias = Callable[[Tensor], Tensor]
"""``solver(x [tasks, n, ...]) -> predictions [tasks, n, ...]``, attached to the graph where grad mode was on."""
Metrics: TypeAlias = dict[str, float]
"""Diagnostics by name, each a mean over tasks. Nothing is ever computed from them."""
Scalars: TypeAlias = Mapping[str, float | Tensor]
"""Metrics as a learner gives them: numbers, or tensors of no axis and no graph (so that nothing waits for a device)."""
Gradients: TypeAlias = list[Tensor | None]
"""One gradient per parameter of the learner, in the order of ``parameters()`` (None: not reached)."""


@dataclass(frozen=True)
class MetaGradient:
    """What one batch of tasks says: where to go, and how it went.

    Args:
        gradients: the direction to descend, mean over tasks.
        metrics: diagnostics, each a mean over tasks.
        buffers: new values of some of the learner's buffers by name, mean over tasks (running statistics, say).
            ``meta_backward`` puts them in place in training mode.
    """

    gradients: Gradients
    metrics: Scalars
    buffers: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


class MetaLearner(nn.Module, ABC, Generic[B]):
    """What every learner promises. ``quickstudy.testing.check_learner`` checks the promises.

    Neither ``adapt`` nor ``meta_loss`` changes anything: not the learner, not its buffers, not what is passed in.
    """

    learns: ClassVar[Mapping[str, str]] = {}
    """The kinds of tasks that it is for (``kind`` of a task distribution), and what it is judged by on each: the loss,
    which is its option ``loss`` where it has one, or the score where tasks are no examples."""
    embeds: ClassVar[bool] = False
    """Whether the network gives features to compare (a net without a head) rather than one output per class."""
    any_way: ClassVar[bool] = False
    """Whether it takes tasks of more classes than it was built for (it counts them in the support set)."""
    titles: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """What it is called in titles where an option, by name and value, makes something else of it."""
    training_curve: ClassVar[str] = ""
    """What the scores of its training are of, where it is something else than a test's."""
    self_play: ClassVar[bool] = False
    """Whether of two players it is both, so that the tasks' opponents are not met."""
    trial: int | None = None
    """Episodes in a row, of which its score is the mean; None: it is of those after adapting, or of examples."""
    chunk: int | None = None
    """Tasks at once, where its user said so: an option of most learners."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):
            cls.__init__ = checks_options(cls.__init__)

    __repr__ = shown

    @property
    def task_model(self) -> TaskModel | None:
        """The network that it runs on a batch of tasks, if there is one."""
        return None

    @property
    def tasks_at_once(self) -> int | None:
        """How many tasks ``meta_backward`` and evaluation run at once (None: all); bounds the memory.

        ``chunk``, or else what suits the network.
        """
        model = self.task_model
        return self.chunk or (None if model is None else model.tasks_at_once)

    @property
    def whole_batch(self) -> str | None:
        """Why the meta-gradient of a batch is not the mean of its tasks' own, so that a batch is neither taken in
        pieces nor shared by processes (None: it is the mean)."""
        return None

    @property
    def bn_mode(self) -> str:
        """BatchNorm's mode, printed beside every result (``none`` without BatchNorm)."""
        model = self.task_model
        return "none" if model is None else describe(model.bn, self)

    @property
    def adapt_steps(self) -> int | None:
        """Steps that ``adapt`` takes; more can be taken in the test. None: it adapts in one go."""
        return None

    @abstractmethod
    def adapt(self, support: Any) -> Solver:
        """Learn each task from its support examples (where tasks are no examples: from the batch of them)."""

    def adapt_path(self, support: Any, steps: int) -> Iterator[Solver]:
        """The solvers after 0, 1, ..., ``steps`` steps; where it adapts in one go, the one solver that there is."""
        del steps
        return iter([self.adapt(support)])

    @abstractmethod
    def meta_loss(self, batch: B) -> tuple[Tensor, Scalars]:
        """The mean over tasks of the adapted solvers' query loss, and diagnostics."""

    @abstractmethod
    def score_tasks(self, batch: B, at: Sequence[int]) -> Tensor:
        """The score and the loss of each task after each of the steps ``at`` (ascending): ``[2, len(at), tasks]``."""

    def score_answers(self, batch: B, at: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """``score_tasks``, and which class each query was taken for, ``[tasks, queries]`` (None: there are none)."""
        return self.score_tasks(batch, at), None

    @abstractmethod
    def score_name(self, batch: B) -> str:
        """What the score is called; of ``accuracy`` and ``return`` more is better, of anything else less."""

    def meta_gradient(self, batch: B) -> MetaGradient:
        """The direction to descend, mean over tasks. Fills nothing.

        The derivative of ``meta_loss``; a learner that goes another way (Reptile and its like) says which.
        """
        with torch.enable_grad():
            loss, metrics = self.meta_loss(batch)
            return MetaGradient(derivative(self, loss), metrics)

    @final
    def meta_backward(
        self, batch: B, *, workers: int | None = None, compile: bool = False, noise: Noise | None = None
    ) -> Metrics:
        """Add ``meta_gradient`` of the batch to ``.grad`` of the parameters.

        Runs ``tasks_at_once`` tasks at a time on ``workers`` threads (None: as many as torch may use on a CPU, one
        elsewhere), or compiled: recorded and compiled at the first batch of its shapes, then one piece after the other
        on all cores, which pays for small networks. None of this changes the result by more than rounding.

        What is random (dropout, a learner's noise) follows from ``noise``; None: from torch's default generator, which
        moves on if anything is drawn.

        Raises:
            UsageError: ``compile`` of a learner that looks into its data to decide what to do; a batch of more than
                ``chunk`` tasks of a learner that takes the ``whole_batch``; inference mode.
        """
        check_differentiable()
        check_batch(batch)
        parts = pieces(in_floats_of(self, batch), self.tasks_at_once)
        if len(parts) > 1 and self.whole_batch is not None:
            raise UsageError(
                f"{type(self).__name__} {self.whole_batch}, so {len(batch)} tasks in pieces of {self.tasks_at_once} "
                f"would give another meta-gradient; leave out chunk, or take fewer tasks (meta_batch)."
            )
        on_cpu = all(p.device.type == "cpu" for p in self.parameters())
        with precision_told(self):
            if compile:
                results = run_pieces(_compiled, self, parts, 1, noise=noise)
            else:
                results = run_pieces(type(self).meta_gradient, self, parts, workers if on_cpu else 1, noise=noise)
        shares = [(result, len(part) / len(batch)) for result, part in zip(results, parts, strict=True)]
        metrics = {name: float(sum(share * r.metrics[name] for r, share in shares)) for name in results[0].metrics}
        with torch.no_grad():  # after the metrics, which may be the learner's own buffers
            for i, p in enumerate(self.parameters()):
                for result, share in shares:
                    g = result.gradients[i]
                    if g is not None:
                        p.grad = g * share if p.grad is None else p.grad.add_(g, alpha=share)
            for name in results[0].buffers if self.training else ():
                self.get_buffer(name).copy_(torch.stack([r.buffers[name] * share for r, share in shares]).sum(0))
        return metrics


def _compiled(learner: Any, part: Any) -> MetaGradient:
    return MetaGradient(*run_compiled(_fields, learner, part))


def in_floats_of(learner: MetaLearner[B], batch: B) -> B:
    """A batch of examples in the learner's floating type, whatever they came in; another batch as it is."""
    dtype = floating_dtype(learner)
    if dtype is None or not isinstance(batch, TaskBatch):
        return batch
    return cast("B", batch.floating(dtype))


def _fields(learner: Any, batch: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    found: MetaGradient = learner.meta_gradient(batch)
    return found.gradients, dict(found.metrics), dict(found.buffers)


def derivative(learner: MetaLearner, loss: Tensor) -> Gradients:
    """The derivative of a loss by the learner's parameters."""
    params = [p for p in learner.parameters() if p.requires_grad]
    grads = iter(torch.autograd.grad(loss, params, allow_unused=True) if params else ())
    return [next(grads) if p.requires_grad else None for p in learner.parameters()]
