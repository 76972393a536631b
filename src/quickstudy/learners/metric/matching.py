"""Matching networks: a query's label is a mean of the support labels, weighted by how alike the examples are.

Equations (Vinyals et al. 2016, section 2.1 and appendix A), with the network h, support examples x_i and labels y_i:

    P(y | x) = sum_i a(x, x_i) y_i                          a(x, x_i) = softmax_i( cos(f(x), g(x_i)) )

Without full-context embeddings f = g = h. With them (``fce=True``) an example is embedded in the light of the support
set S: g by a bidirectional LSTM over S, f by K reading steps of an LSTM that attends to g(S), from h_0 = 0:

    g(x_i) = forward_i + backward_i + h(x_i)
    r_k    = sum_i softmax_i( h_k . g(x_i) ) g(x_i)         what is read
    h_k+1  = LSTM([h(x), r_k], h_k) + h(x)                  f(x) = h_K

The meta-loss is the mean over the queries of -log P(y | x); the solver gives log P.

Where it differs from the paper: ``scale`` multiplies the cosines (the paper: 1); BatchNorm's mode is an option. With
full context, predictions depend on the order of the support set (class by class in episodes), as in the paper.

Reference: Vinyals, Blundell, Lillicrap, Kavukcuoglu, Wierstra: Matching Networks for One Shot Learning. NeurIPS 2016.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.distances import cosine_distances
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, feature_shape, one_hot


class MatchingNet(MetricLearner):
    """Matching networks: attention over the support set's labels, with full context or without.

    Args:
        model: maps ``[n, ...]`` to features ``[n, f]`` (a net without a head); maps are flattened.
        fce: full-context embeddings: LSTMs embed each example in the light of the whole support set.
        processing_steps: reading steps K of a query with full context, >= 1.
        scale: factor on the cosine similarities, > 0 (the paper: 1; larger ones sharpen the attention).
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or full context for a model without a ``feature_shape``.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        fce: bool = False,
        processing_steps: int = 5,
        scale: float = 1.0,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if processing_steps < 1 or scale <= 0:
            raise UsageError(f"MatchingNet needs processing_steps >= 1 and scale > 0, got {processing_steps}, {scale}.")
        self.model = model
        self.fce = fce
        self.processing_steps = processing_steps
        self.scale = scale
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        self.context = FullContext(math.prod(feature_shape(model)), processing_steps) if fce else None

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """Attention over the support set, to log-probabilities (softmax leaves them as they are)."""
        h_tnf = features.flatten(2)
        g_tnf = h_tnf if self.context is None else self.context.support(h_tnf)
        members = one_hot(y, h_tnf)

        def predict(asked: Tensor) -> Tensor:
            h_tqf = asked.flatten(2)
            f_tqf = h_tqf if self.context is None else self.context.query(h_tqf, g_tnf)
            # cos - 1 in place of cos: the same to the softmax, and exact where all angles are small.
            return log_label_attention(-self.scale * cosine_distances(f_tqf, g_tnf), members)

        return predict


def log_label_attention(
    likeness: Float[Tensor, "tasks q n"], members: Float[Tensor, "tasks n way"]
) -> Float[Tensor, "tasks q way"]:
    """log sum_i softmax_i(likeness) y_i, without taking the logarithm of a number that may be 0."""
    log_attention = likeness.log_softmax(-1).unsqueeze(-1)
    return log_attention.masked_fill(members.unsqueeze(1) == 0, -math.inf).logsumexp(2)


class FullContext(nn.Module):
    """The embeddings f and g that see the support set.

    Args:
        features: numbers per embedding.
        steps: reading steps K.
    """

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.both_ways = nn.LSTM(features, features, batch_first=True, bidirectional=True)
        self.reader = nn.LSTMCell(2 * features, features)

    def support(self, h: Float[Tensor, "tasks n f"]) -> Float[Tensor, "tasks n f"]:
        """g: what a bidirectional LSTM says of each example, added to it."""
        forward, backward = self.both_ways(h)[0].chunk(2, dim=-1)
        return forward + backward + h

    def query(self, h: Float[Tensor, "tasks q f"], g: Float[Tensor, "tasks n f"]) -> Float[Tensor, "tasks q f"]:
        """f: K steps of reading g, each query for itself."""
        state = memory = torch.zeros_like(h)
        for _ in range(self.steps):
            read = (state @ g.mT).softmax(-1) @ g
            seen = torch.cat([h, read], -1).flatten(0, 1)
            out, cell = self.reader(seen, (state.flatten(0, 1), memory.flatten(0, 1)))
            state, memory = out.view_as(h) + h, cell.view_as(h)
        return state
