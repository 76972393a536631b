"""Attentive neural processes: every query reads the support set itself, and attends to the examples that matter to it.

A conditional neural process (``cnp.py``) whose mean over the support set is an attention; so it fits the support
examples, where the mean underfits.

Equations (Kim et al. 2019, sections 2 and 3, deterministic path), with an embedding f, an encoder h, a decoder g:

    regression          r_i = h(f(x_i), y_i),   r_i <- r_i + attend(r_i; r_j, r_j)        j over the support set
                        r(x) = attend(f(x); f(x_i), r_i)                                  i over the support set
                        mean, raw = g(f(x), r(x))
                        y ~ N(mean, std^2),   std = s + (1 - s) softplus(raw)       s: least std
    classification      r_i = h(f(x_i)), with i and j over the examples of one class k at a time: r_k(x)
                        p(k | x) = softmax_k( g(f(x), r_k(x), mean_j r_j(x)) )

    attend(q; k_i, r_i) = W_o [ sum_i softmax_i( (W_q q) . (W_k k_i) / sqrt(d) ) W_v r_i ]   joined over heads of size d

and the meta-loss is the mean over the queries of -log p(y | x, support).

Where it differs from the paper: there is no latent path, so functions cannot be sampled, but mean and standard
deviation are given in one go; self-attention is one layer, added to what goes in; classification is not in the
paper and follows ``cnp.py``. The loss is that of the queries alone (the paper: of the support set, too).

Reference: Kim, Mnih, Schwarz, Garnelo, Eslami, Rosenbaum, Vinyals, Teh: Attentive Neural Processes. ICLR 2019.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.learners.in_context.set_encoder import Attention, Decoder, Encoder, check_options, groups
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, feature_shape


class ANP(MetricLearner):
    """Attentive neural process: each query attends to the support examples that tell it what to predict.

    Args:
        model: maps ``[n, ...]`` to features ``[n, f]`` (a net without a head); maps are flattened.
        loss: ``cross_entropy`` for labels (logits), ``gaussian`` for values (mean and standard deviation).
        out_features: numbers in y of a regression; classes are counted in the support set.
        width: of the codes and of the hidden layers of encoder and decoder; a multiple of heads.
        depth: linear layers of encoder and decoder each.
        heads: of the attention.
        self_attention: whether the support examples attend to one another before they are read.
        min_std: least standard deviation of a regression's predictions, in units of y, between 0 and 1.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy", "regression": "gaussian"}

    def __init__(
        self,
        model: nn.Module,
        *,
        loss: str = "cross_entropy",
        out_features: int = 1,
        width: int = 128,
        depth: int = 3,
        heads: int = 8,
        self_attention: bool = True,
        min_std: float = 0.1,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        check_options("ANP", loss, width=width, depth=depth, min_std=min_std, heads=heads)
        self.model = model
        self.loss = loss
        self.out_features = out_features
        self.width = width
        self.depth = depth
        self.heads = heads
        self.self_attention = self_attention
        self.min_std = min_std
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        values = out_features if loss == "gaussian" else None
        self.encoder = Encoder(model, values, width, depth)
        self.among = Attention(width, width, heads) if self_attention else None
        self.across = Attention(math.prod(feature_shape(model)), width, heads)
        self.decoder = Decoder(model, values, width, depth, min_std)

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """The codes of the support set; every query reads them, each class's apart, and is decoded with that."""
        z_tnf = features.flatten(2)
        members_tng = groups(y, self.loss, self.bn_mode)
        r_tnw = self.encoder(z_tnf, y)
        if self.among is not None:
            together_t1nn = (members_tng.unsqueeze(2) & members_tng.unsqueeze(1)).any(3).unsqueeze(1)
            r_tnw = r_tnw + self.among(r_tnw, r_tnw, r_tnw, together_t1nn).squeeze(2)
        seen_tg1n = members_tng.mT.unsqueeze(2)

        def predict(asked: Tensor) -> Tensor:
            z_tmf = asked.flatten(2)
            return self.decoder(z_tmf, self.across(z_tmf, z_tnf, r_tnw, seen_tg1n))

        return predict
