"""SNAIL: a query is the last step of a sequence whose earlier steps are the support examples with their labels. Causal
convolutions gather what came before, attention picks out of it, in turns; adapting is reading the sequence.

Equations (Mishra et al. 2018, section 3 and appendix C.1), for support examples i = 1..n and one query at step n + 1:

    s_i     = [h(x_i), onehot(y_i)]        s_{n+1} = [h(x), 0]                             h: network and linear layer
    A_{k,v} : s_t <- [s_t, sum_j softmax_j( q(s_t) . k(s_j) / sqrt(k) ) v(s_j) ]           j <= t
    D_d     : s_t <- [s_t, tanh(F(s_t, s_{t-d})) * sigmoid(G(s_t, s_{t-d}))]               F, G linear; d steps apart
    TC      = D_1, D_2, D_4, ...           until they look back over ``length`` steps
    logits  = linear( (A_1, TC, A_2, TC, A_3 of s)_{n+1} )

The meta-loss is the mean over the queries of the loss at their last step. A step sees none that comes after it, so the
support's activations are computed once, and any number of queries are each a last step of their own.

Where it differs from the paper: dilations start at 1, so that they cover ``length`` steps and no step is passed over. A
sequence has an order, a support set has none, and episodes list it class by class, where a place tells the class: by
default the steps are sorted by the first number of h(x), so that predictions do not depend on the order in which
examples are given (``arrange="given"``: as they come). Regression takes the values where the one-hot labels were.
Padding (``quickstudy.tasks.pad``) comes first and is not looked at.

Reference: Mishra, Rohaninejad, Chen, Abbeel: A Simple Neural Attentive Meta-Learner. ICLR 2018.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.core.pad import present, refuse_counted
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, feature_shape
from quickstudy.nets.memory.temporal import CausalAttention, CausalBlock, Chain, tc_block


class SNAIL(MetricLearner):
    """SNAIL: attention and causal convolutions read the support set; a query is the last step.

    Args:
        model: maps ``[n, ...]`` to features (a net without a head) and has a ``feature_shape``; maps are flattened.
        out_features: the largest number of classes (or the values per example).
        length: steps that the convolutions look back over, >= 2: support examples and query. More or fewer examples
            than that work, too.
        embedding: numbers per example that the features become before labels are appended, >= 1.
        keys: sizes of the keys of the three attention blocks.
        values: sizes of what they read.
        tc_filters: numbers that each dense block appends to a step.
        arrange: the order of the steps: ``sorted`` by the first number of their embedding, or as ``given``.
        loss: ``cross_entropy`` for labels, ``mse`` for values.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or a model without a ``feature_shape``.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy", "regression": "mse"}
    any_way: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module,
        *,
        out_features: int = 5,
        length: int = 6,
        embedding: int = 64,
        keys: tuple[int, int, int] = (64, 256, 512),
        values: tuple[int, int, int] = (32, 128, 256),
        tc_filters: int = 128,
        arrange: Literal["sorted", "given"] = "sorted",
        loss: str = "cross_entropy",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if length < 2 or min(out_features, embedding, tc_filters, *keys, *values) < 1:
            raise UsageError(
                f"SNAIL needs length >= 2 and sizes >= 1, got length={length}, out_features={out_features}, "
                f"embedding={embedding}, keys={keys}, values={values}, tc_filters={tc_filters}."
            )
        if len(keys) != 3 or len(values) != 3:
            raise UsageError(f"SNAIL has three attention blocks: give three keys and values, got {keys} and {values}.")
        if arrange not in ("sorted", "given") or loss not in ("cross_entropy", "mse"):
            raise UsageError(
                f"arrange must be sorted or given and loss cross_entropy or mse, got {arrange!r} and {loss!r}."
            )
        self.model = model
        self.out_features = out_features
        self.length = length
        self.embedding = embedding
        self.keys = keys
        self.values = values
        self.tc_filters = tc_filters
        self.arrange: Literal["sorted", "given"] = arrange
        self.loss = loss
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        self.embed = nn.Linear(math.prod(feature_shape(model)), embedding)
        blocks: list[CausalBlock] = []
        channels = embedding + out_features
        for i, sizes in enumerate(zip(keys, values, strict=True)):
            blocks.append(CausalAttention(channels, *sizes))
            if i < 2:
                blocks.append(tc_block(blocks[-1].out_channels, length, tc_filters))
            channels = blocks[-1].out_channels
        self.blocks = Chain(blocks)
        self.head = nn.Linear(channels, out_features)

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """Read the support set as a sequence."""
        refuse_counted(y, self.bn_mode, "SNAIL")
        h_tnf, labels_tnk, is_there = self.embed(features.flatten(2)), self._labels(y), present(y)
        steps = torch.cat([h_tnf, labels_tnk.to(h_tnf.dtype)], -1)
        first = h_tnf.detach()[..., 0] if self.arrange == "sorted" else torch.zeros_like(h_tnf[..., 0])
        order = first.masked_fill(~is_there, -math.inf).argsort(dim=1, stable=True)
        steps = steps.gather(1, order.unsqueeze(-1).expand_as(steps))
        _, memory = self.blocks.read(steps, is_there.gather(1, order))

        def predict(asked: Tensor) -> Tensor:
            h_tqf = self.embed(asked.flatten(2))
            unlabelled = h_tqf.new_zeros(*h_tqf.shape[:2], self.out_features)
            return self.head(self.blocks.ask(torch.cat([h_tqf, unlabelled], -1), memory))

        return predict

    def _labels(self, y: Shaped[Tensor, "tasks n ..."]) -> Float[Tensor, "tasks n k"] | Bool[Tensor, "tasks n k"]:
        """One-hot labels, or the values; zero where there is no example."""
        k = self.out_features
        if self.loss == "mse":
            if not y.is_floating_point() or y.shape[2:] != (k,):
                raise UsageError(f"loss='mse' needs values y [tasks, n, {k}], got {y.dtype} {[*y.shape]}.")
            return y.masked_fill(~present(y).unsqueeze(-1), 0.0)
        if y.is_floating_point() or y.ndim != 2:
            raise UsageError(f"labels must be integers [tasks, n], got {y.dtype} {[*y.shape]}.")
        if int(y.min()) < -1 or int(y.max()) >= k:
            raise UsageError(
                f"this SNAIL was built with out_features={k}, for labels from 0 to {k - 1} (-1: padding); those of the "
                f"support set run from {int(y.min())} to {int(y.max())}. Build and train it with out_features = the "
                f"largest way (on the command line: train_way), or sample tasks of a smaller way."
            )
        return y.unsqueeze(-1) == torch.arange(k, device=y.device)
