"""Meta-NAS: the architecture of a network is meta-learned with its weights, and both adapt to each task. Every edge of
a cell is a mixture of operations; a task's gradient steps move the weights and the mixture, and then the cell is pruned
for this task.

Equations (Lian et al. 2020, sections 3.2 and 3.3), for weights w, architecture parameters theta ``[edges, operations]``
(an edge's weights are the softmax of its row of theta / temperature), task i with support loss L_i and query loss L'_i:

    a_i = theta / temperature
    (w_i, a_i) <- (w_i - alpha * grad_w L_i(w_i, a_i), a_i - beta * grad_a L_i(w_i, a_i))     ``inner_steps`` times
    (w, theta) <- (w, theta) - gamma * mean_i grad L'_i(w_i, a_i)                  outer step, of first order
    cell_i = what is strongest in a_i;  w_i <- w_i - alpha * grad_w L_i(w_i, cell_i)      when adapting: pruned, from w

The temperature falls over the outer steps, so that the mixtures become single operations and pruning changes little
(Elsken et al. 2020 call it soft pruning). ``genotype`` is the cell that theta itself stands for, to be trained anew.

Where it differs from the papers: the cells of ``quickstudy.nets.backbones.cell_net``; theta and w go by the same outer
optimizer; the temperature falls geometrically; nodes keep ``keep`` edges by their rank (the second paper anneals these,
too).

References: Lian, Zheng, Xu, Lu, Lin, Zhao, Huang, Gao: Towards Fast Adaptation of Neural Architectures with Meta
Learning (T-NAS). ICLR 2020. Elsken, Staffler, Metzen, Hutter: Meta-Learning of Neural Architectures for Few-Shot
Learning (MetaNAS). CVPR 2020.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel
from quickstudy.core.learner import MetaGradient, Scalars, derivative
from quickstudy.core.losses import TaskLoss
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.learners.gradient.inner import InnerLoop
from quickstudy.nets.backbones.cell_net import RelaxedCellNet
from quickstudy.nets.backbones.genotype import OPERATIONS, Genotype
from quickstudy.rules import SGD, TwoRates

THETA = "theta"


class MetaNAS(SupportQueryLearner):
    """Meta-NAS: a network's cell and its weights, learned so that both adapt to a task in few steps.

    Args:
        x_shape: of an image: channels, height, width (as high as it is wide).
        out_features: outputs (the way).
        filters: channels of the network.
        cells: how many equal cells the network has.
        nodes: nodes of a cell besides its input, >= 1.
        keep: edges that a node keeps at most, >= 1.
        operations: what an edge can be (see ``quickstudy.nets.OPERATIONS``).
        inner_lr: step size alpha of the weights' inner gradient steps, > 0.
        theta_lr: step size beta of the inner steps of the logits of an edge's operations, > 0.
        inner_steps: gradient steps per task in training, validation and test, >= 0.
        discretise: whether adapting ends in a pruned cell for each task; else in the mixture.
        temperatures: where the temperature starts and where it ends, > 0.
        anneal: outer steps over which it falls (0: it stays where it starts).
        loss: ``cross_entropy``, ``mse``, or ``loss(predictions, targets) -> scalar`` of one task.
        bn: BatchNorm's mode: ``transductive`` or ``support`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy"}
    training_curve: ClassVar[str] = "mixtures of operations, not yet decided"
    temperature: Tensor

    def __init__(
        self,
        *,
        x_shape: tuple[int, ...] = (1, 28, 28),
        out_features: int = 5,
        filters: int = 16,
        cells: int = 3,
        nodes: int = 2,
        keep: int = 2,
        operations: tuple[str, ...] = OPERATIONS,
        inner_lr: float = 0.3,
        theta_lr: float = 1.0,
        inner_steps: int = 5,
        discretise: bool = True,
        temperatures: tuple[float, float] = (1.0, 0.1),
        anneal: int = 0,
        loss: str | TaskLoss = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if len(x_shape) != 3 or x_shape[1] != x_shape[2]:
            raise UsageError(f"MetaNAS is for images [channels, size, size], got x_shape {[*x_shape]}.")
        if keep < 1 or min(inner_steps, anneal) < 0 or min(inner_lr, theta_lr, *temperatures) <= 0:
            raise UsageError(
                "MetaNAS needs keep >= 1, inner_steps and anneal >= 0, inner_lr, theta_lr and temperatures > 0, got "
                f"{keep}, {inner_steps}, {anneal}, {inner_lr}, {theta_lr} and {temperatures}."
            )
        self.x_shape = tuple(x_shape)
        self.out_features = out_features
        self.filters = filters
        self.cells = cells
        self.nodes = nodes
        self.keep = keep
        self.operations = tuple(operations)
        self.inner_lr = inner_lr
        self.theta_lr = theta_lr
        self.inner_steps = inner_steps
        self.discretise = discretise
        self.temperatures = temperatures
        self.anneal = anneal
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.model = RelaxedCellNet(
            in_channels=x_shape[0],
            out_features=out_features,
            filters=filters,
            size=x_shape[1],
            cells=cells,
            nodes=nodes,
            operations=operations,
        )
        self.register_buffer("temperature", torch.tensor(float(temperatures[0])))
        self.net = TaskModel(self.model, bn, execution)
        weights = frozenset(name for name, _ in self.model.named_parameters()) - {THETA}
        rule = TwoRates(names=(THETA,), lr=inner_lr, other_lr=theta_lr)
        self.mixed = InnerLoop(self.net, rule, loss, begin=self._mixture)
        self.pruned = InnerLoop(self.net, SGD(lr=inner_lr), loss, adapts=weights, begin=self._pruned)

    def adapt(self, support: Examples) -> AdaptedModel:
        return self._loop.adapt(support, steps=self.inner_steps, order=1)

    def adapt_path(self, support: Examples, steps: int) -> Iterator[AdaptedModel]:
        """The solvers after 0, 1, ..., ``steps`` steps; of pruned cells, each pruned after the search's own steps."""
        return self._loop.path(support, steps=steps, order=1)

    def meta_loss(self, batch: TaskBatch) -> tuple[Tensor, Scalars]:
        """The query loss of the mixtures; the metric ``entropy`` says how mixed they still are."""
        solver = self.mixed.adapt(batch.support, steps=self.inner_steps, order=1)
        loss, metrics = self.query_loss(solver(batch.query.x), batch.query.y)
        return loss, {**metrics, "entropy": self._entropy(), "temperature": self.temperature.clone()}

    def meta_gradient(self, batch: TaskBatch) -> MetaGradient:
        with torch.enable_grad():
            loss, metrics = self.meta_loss(batch)
            return MetaGradient(derivative(self, loss), metrics, {"temperature": self._cooler()})

    @property
    def genotype(self) -> Genotype:
        """The cell that theta itself stands for: ``CellNet(genotype=str(learner.genotype))`` has it."""
        return self._strongest(self.weights())

    def weights(self) -> Tensor:
        """How much each operation of each edge weighs before adapting, ``[edges, operations]``."""
        return (self.model.theta.detach() / self.temperature).softmax(-1)

    def genotypes(self, support: Examples) -> list[Genotype]:
        """The cell of each task."""
        (last,) = deque(self.mixed.params(support, steps=self.inner_steps, order=1), maxlen=1)
        return [self._strongest(logits.detach().softmax(-1)) for logits in last[THETA]]

    def _mixture(self, support: Examples) -> Params:
        start = self.net.start(len(support))
        return {**start, THETA: start[THETA] / self.temperature}

    def _pruned(self, support: Examples) -> Params:
        cells = torch.stack([cell.logits(self.operations) for cell in self.genotypes(support)])
        return {**self.net.start(len(support)), THETA: cells.to(self.model.theta)}

    def _strongest(self, weights: Tensor) -> Genotype:
        return Genotype.strongest(weights, keep=self.keep, operations=self.operations)

    def _cooler(self) -> Tensor:
        high, low = self.temperatures
        if not self.anneal:
            return self.temperature.detach().clone()
        cooler = self.temperature.detach() * (low / high) ** (1 / self.anneal)
        return cooler.clamp(min=low) if low < high else cooler.clamp(max=low)

    def _entropy(self) -> Tensor:
        weights = self.weights()
        return -torch.special.xlogy(weights, weights).sum(-1).mean()

    @property
    def _loop(self) -> InnerLoop:
        return self.pruned if self.discretise else self.mixed

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps

    @property
    def task_model(self) -> TaskModel:
        return self.net
