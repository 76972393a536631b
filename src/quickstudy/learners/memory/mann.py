"""MANN: a network with a memory reads examples one by one, each with the label of the one before, and says which class
each belongs to before it is told. Adapting is reading the support set; learned is how to store and to recall.

Equations (Santoro et al. 2016, sections 2 and 3), for a stream of examples x_1, x_2, ... of a task, the network h, the
memory's cell (``quickstudy.nets.memory.lrua``) and its state s_t, which starts anew in every task:

    o_t, s_t = cell([h(x_t), y_t-1], s_t-1)              y_0 = 0: the label comes a step late
    p_t      = softmax(W o_t + b)                        string labels: a softmax for each character
    loss     = mean_t -log p_t(y_t)                      every step counts, the first time a class is seen, too

A solver reads the support set in the order in which it is given; each query is then a next step of its own, from the
same state. The meta-loss is that of one stream of support and query examples in random order (``stream=True``), or
that of the queries alone after the support set in random order (``stream=False``).

Where it differs from the paper: a stream's order and string labels follow from its examples
(``learners/memory/streams.py``), so that an episode is always read the same way; strings are distinct within a task.
The paper reads raw pixels (``--net flat``); any network does. With BatchNorm in mode ``transductive`` a stream is
normalised as one batch before it is read. Padding (``quickstudy.tasks.pad``) leaves memory and last label as they were.
What the memories leave open or differ in is in their own files.

Reference: Santoro, Bartunov, Botvinick, Wierstra, Lillicrap: Meta-Learning with Memory-Augmented Neural Networks.
ICML 2016.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.features import FromFeatures, solver_of_features
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.core.learner import Scalars, Solver
from quickstudy.core.pad import present, refuse_counted
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.learners.memory import streams
from quickstudy.learners.metric.base import feature_shape
from quickstudy.nets.memory.cells import Cell, LSTMCell, State, repeat
from quickstudy.nets.memory.lrua import LRUA

Memory = Literal["lrua", "ntm", "lstm"]


class Read(NamedTuple):
    """What a solver goes on from: the memory, the last label, and what the classes are called."""

    state: State
    last: Float[Tensor, "tasks w"]
    words: Float[Tensor, "tasks k w"]


class MANN(SupportQueryLearner):
    """Memory-augmented network: reads examples and labels as a stream, and recalls.

    Args:
        model: maps ``[n, ...]`` to features (a net without a head) and has a ``feature_shape``; maps are flattened.
        out_features: the largest number of classes.
        memory: ``lrua`` (least recently used access), ``ntm`` (a neural Turing machine) or ``lstm`` (none but its own).
        labels: what classes are called: ``one_hot``, or a ``string`` of five characters out of five, drawn per task.
        stream: learn from every step of a stream of support and queries (False: from the queries alone).
        hidden_size: size of the controller's hidden state.
        slots: rows of the memory.
        slot_width: numbers per row.
        heads: read heads; as many write.
        decay: what is left of a slot's usage after a step, in [0, 1] (lrua).
        sharpen: let the controller say how much similarity counts (lrua; the paper: no).
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how the network runs on a batch of tasks: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: all, for reading is fastest so.

    Raises:
        UsageError: an option out of its range, or a model without a ``feature_shape``.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy"}
    training_curve: ClassVar[str] = "whole streams, the first sight of a class too"
    embeds: ClassVar[bool] = True

    def __init__(
        self,
        model: nn.Module,
        *,
        out_features: int = 5,
        memory: Memory = "lrua",
        labels: Literal["one_hot", "string"] = "one_hot",
        stream: bool = True,
        hidden_size: int = 200,
        slots: int = 128,
        slot_width: int = 40,
        heads: int = 4,
        decay: float = 0.95,
        sharpen: bool = False,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if memory not in ("lrua", "ntm", "lstm") or labels not in ("one_hot", "string") or out_features < 1:
            raise UsageError(
                f"MANN needs memory lrua, ntm or lstm, labels one_hot or string and out_features >= 1, got {memory!r}, "
                f"{labels!r} and {out_features}."
            )
        self.model = model
        self.out_features = out_features
        self.memory: Memory = memory
        self.labels: Literal["one_hot", "string"] = labels
        self.stream = stream
        self.hidden_size = hidden_size
        self.slots = slots
        self.slot_width = slot_width
        self.heads = heads
        self.decay = decay
        self.sharpen = sharpen
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        label_size = out_features if labels == "one_hot" else streams.CHARACTERS * streams.LENGTH
        self.cell = self._make_cell(math.prod(feature_shape(model)) + label_size)
        self.head = nn.Linear(self.cell.output_size, label_size)

    def _make_cell(self, read: int) -> Cell:
        if self.memory == "lstm":
            return LSTMCell(read, self.hidden_size)
        size, slots, width, heads = self.hidden_size, self.slots, self.slot_width, self.heads
        if self.memory == "ntm":
            from quickstudy.nets.memory.ntm import NTM

            return NTM(read, hidden_size=size, slots=slots, slot_width=width, reads=heads, writes=heads)
        return LRUA(
            read,
            hidden_size=size,
            slots=slots,
            slot_width=width,
            heads=heads,
            decay=self.decay,
            sharpen=self.sharpen,
        )

    def adapt(self, support: Examples) -> Solver:
        """Read the support set; log-probabilities ``[tasks, n, out_features]`` of each query as the next step."""
        refuse_counted(support.y, self.bn_mode, "MANN")

        def fit(features: Tensor, y: Tensor) -> FromFeatures:
            known = self._read(features.flatten(2), support)
            return lambda asked: self._ask(known, asked.flatten(2))

        return solver_of_features(self.net, support, fit, bn_mode=self.bn_mode, again=self.adapt)

    def _read(self, features: Float[Tensor, "tasks n f"], support: Examples) -> Read:
        words = self._words(support, features)
        known = self._labels_before(support.y, words)
        there = present(support.y)
        _, state = streams.read_present(self.cell, torch.cat([features, known[:, :-1]], -1), there)
        return Read(state, known[:, -1], words)

    def _ask(self, known: Read, asked: Float[Tensor, "tasks q f"]) -> Float[Tensor, "tasks q k"]:
        tasks, q, _ = asked.shape
        steps = torch.cat([asked, known.last.unsqueeze(1).expand(-1, q, -1)], -1)
        outputs, _ = self.cell(steps.flatten(0, 1), repeat(known.state, q))
        return self._say(outputs.unflatten(0, (tasks, q)), known.words)

    def meta_loss(self, batch: TaskBatch) -> tuple[Tensor, Scalars]:
        if not self.stream:
            shuffled = streams.shuffled(batch.support)  # class by class, the place of an example tells its label
            return self.query_loss(self.adapt(shuffled)(batch.query.x), batch.query.y)
        log_p, y = self.read_stream(batch)
        there = present(y)
        nll_tn = -log_p.gather(2, y.clamp(min=0).unsqueeze(-1)).squeeze(-1).masked_fill(~there, 0.0)
        loss = (nll_tn.sum(1) / there.sum(1)).mean()
        right, seen = log_p.detach().argmax(-1) == y, streams.presentations(y, self.out_features)

        def accuracy(where: Bool[Tensor, "tasks n"]) -> Tensor:
            return ((right & where).sum() / where.sum().clamp(min=1)).to(loss.dtype)

        named = {"accuracy": there, "accuracy_first": seen == 0, "accuracy_second": seen == 1}
        return loss, {"loss": loss.detach(), **{name: accuracy(where) for name, where in named.items()}}

    def read_stream(self, batch: TaskBatch) -> tuple[Float[Tensor, "tasks n k"], Int[Tensor, "tasks n"]]:
        """Support and query examples of each task, read as one stream in random order.

        Returns:
            the log-probabilities of every class at each step, and the labels in the order of the steps (-1: padding).
        """
        steps, y, words = self.stream_steps(batch)
        outputs, _ = streams.read_present(self.cell, steps, present(y))
        return self._say(outputs, words), y

    def stream_steps(
        self, batch: TaskBatch
    ) -> tuple[Float[Tensor, "tasks n f"], Int[Tensor, "tasks n"], Float[Tensor, "tasks k w"]]:
        """What is read of a stream, step by step; the labels in that order, and what the classes are called."""
        all_of_them = (
            torch.cat([a, b], 1) for a, b in ((batch.support.x, batch.query.x), (batch.support.y, batch.query.y))
        )
        stream = streams.shuffled(Examples(*all_of_them))
        refuse_counted(stream.y, self.bn_mode, "MANN")
        y, shared = stream.y, self.net.start(len(batch))
        features = self.net.forward(shared, stream.x, self.net.statistics(shared, batch.support.x)).flatten(2)
        words = self._words(batch.support, features)
        return torch.cat([features, self._labels_before(y, words)[:, :-1]], -1), y, words

    def _words(self, support: Examples, like: Tensor) -> Float[Tensor, "tasks k w"]:
        """What each class is called."""
        if self.labels == "string":
            return streams.words(support.x, self.out_features, like)
        return torch.eye(self.out_features, dtype=like.dtype, device=like.device).expand(len(support), -1, -1)

    def _labels_before(self, y: Tensor, words: Float[Tensor, "tasks k w"]) -> Float[Tensor, "tasks m w"]:
        """The label of the step before each step, and after the last one: m = n + 1."""
        streams.check_labels(y, self.out_features)
        called = words.gather(1, y.clamp(min=0).unsqueeze(-1).expand(-1, -1, words.shape[-1]))
        return streams.offset(called, present(y))

    def _say(
        self, outputs: Float[Tensor, "tasks n o"], words: Float[Tensor, "tasks k w"]
    ) -> Float[Tensor, "tasks n k"]:
        said = self.head(outputs)
        return said.log_softmax(-1) if self.labels == "one_hot" else streams.spell(said, words)

    @property
    def tasks_at_once(self) -> int | None:
        return self.chunk

    @property
    def task_model(self) -> TaskModel:
        return self.net
