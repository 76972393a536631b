"""Conditional neural processes: the support set becomes one code, the mean of its examples' codes; a decoder answers.

To learn a task is one forward pass, and what comes out of a regression is a distribution, as of a Gaussian process.

Equations (Garnelo et al. 2018, equations 1 to 3 and section 4.3), with an embedding f, an encoder h and a decoder g:

    regression          r = mean_i h(f(x_i), y_i)
                        mean, raw = g(f(x), r)
                        y ~ N(mean, std^2),   std = s + (1 - s) softplus(raw)       s: least std
    classification      r_k = mean over the examples of class k of h(f(x_i))
                        p(k | x) = softmax_k( g(f(x), r_k, mean_j r_j) )

and the meta-loss is the mean over the queries of -log p(y | x, support).

Where it differs from the paper: x goes through the same embedding f in the support set and the queries (the paper: x
itself in regression). The paper's classifier joins the codes of all classes and has an output for each; here one
decoder gives each class its logit from that class's code and the mean of all, so that the way is free and renaming
classes renames predictions. The loss is that of the queries alone (the paper: of the support set, too).

Reference: Garnelo, Rosenbaum, Maddison, Ramalho, Saxton, Shanahan, Teh, Rezende, Eslami: Conditional Neural Processes.
ICML 2018.
"""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.learners.in_context.set_encoder import Decoder, Encoder, check_options, groups, mean_of_groups
from quickstudy.learners.metric.base import FromFeatures, MetricLearner


class CNP(MetricLearner):
    """Conditional neural process: the mean code of the support set tells a decoder what to predict.

    Args:
        model: maps ``[n, ...]`` to features ``[n, f]`` (a net without a head); maps are flattened.
        loss: ``cross_entropy`` for labels (logits), ``gaussian`` for values (mean and standard deviation).
        out_features: numbers in y of a regression; classes are counted in the support set.
        width: of the code and of the hidden layers of encoder and decoder.
        depth: linear layers of encoder and decoder each.
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
        min_std: float = 0.1,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        check_options("CNP", loss, width=width, depth=depth, min_std=min_std)
        self.model = model
        self.loss = loss
        self.out_features = out_features
        self.width = width
        self.depth = depth
        self.min_std = min_std
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        values = out_features if loss == "gaussian" else None
        self.encoder = Encoder(model, values, width, depth)
        self.decoder = Decoder(model, values, width, depth, min_std)

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """The mean code of the support set (of each class); it goes to the decoder with every query."""
        members_tng = groups(y, self.loss, self.bn_mode)
        r_tgw = mean_of_groups(self.encoder(features.flatten(2), y), members_tng)
        return lambda asked: self.decoder(asked.flatten(2), r_tgw.unsqueeze(1))
