"""Attentive neural processes: every query reads the support set itself, and attends to the examples that matter to it.

A conditional neural process (``cnp.py``) whose mean over the support set is an attention; so it fits the support
examples, where the mean underfits.

Equations (Kim et al. 2019, sections 2 and 3), with an embedding f, an encoder h, a decoder g:

    regression          r_i = h(f(x_i), y_i),   r_i <- r_i + attend(r_i; r_j, r_j)        j over the support set
                        r(x) = attend(f(x); f(x_i), r_i)                                  i over the support set
                        mean, raw = g(f(x), r(x))
                        y ~ N(mean, std^2),   std = s + (1 - s) softplus(raw)       s: least std
    classification      r_i = h(f(x_i)), with i and j over the examples of one class k at a time: r_k(x)
                        p(k | x) = softmax_k( g(f(x), r_k(x), mean_j r_j(x)) )

    attend(q; k_i, r_i) = W_o [ sum_i softmax_i( (W_q q) . (W_k k_i) / sqrt(d) ) W_v r_i ]   joined over heads of size d

and the meta-loss is the mean over the queries of -log p(y | x, support). With ``latent=True`` (of values) there is the
paper's latent path, too: a vector z per task says which function it may be, r(x) becomes r(x) + V z, and with the
targets T, which are the support set C and the queries, the meta-loss is minus the ELBO per target:

    q(z | S) = N(mu(s), omega(s)^2),   s = mean over S of h_z(f(x_i), y_i),   omega = 0.1 + 0.9 sigmoid
    loss     = 1/|T| [ - sum_T log p(y | x, r(x), z) + KL( q(z | T) || q(z | C) ) ],   z ~ q(z | T)

A solver takes z at its mean given the support set; ``functions`` draws it.

Where it differs from the paper: the latent path is an option, and without it the loss is that of the queries alone (the
paper: of the support set, too); self-attention is one layer, added to what goes in, in the deterministic path only;
classification is not in the paper and follows ``cnp.py``. The draw of z is a function of the task's examples.

Reference: Kim, Mnih, Schwarz, Garnelo, Eslami, Rosenbaum, Vinyals, Teh: Attentive Neural Processes. ICLR 2019.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.features import solver_of_features
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.core.learner import Scalars, Solver
from quickstudy.core.losses import task_losses
from quickstudy.core.pad import padded, present
from quickstudy.learners.in_context._latent import LatentPath, noise_of
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
        latent: a latent path beside the deterministic one, trained by the ELBO: functions can be drawn (values only).
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
        latent: bool = False,
        min_std: float = 0.1,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        check_options("ANP", loss, width=width, depth=depth, min_std=min_std, heads=heads)
        if latent and loss != "gaussian":
            raise UsageError("latent=True is for functions: build it with loss='gaussian', or leave latent out.")
        self.model = model
        self.loss = loss
        self.out_features = out_features
        self.width = width
        self.depth = depth
        self.heads = heads
        self.self_attention = self_attention
        self.latent = latent
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
        self.latent_path = LatentPath(model, out_features, width, depth) if latent else None

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """The codes of the support set; every query reads them, each class's apart, and is decoded with that."""
        return self._fit(features, y, None)

    def _fit(self, features: Tensor, y: Tensor, noise: Tensor | None) -> FromFeatures:
        """``fit`` with z at its mean, or (``noise [tasks, width]``) so many standard deviations from it."""
        z_tnf = features.flatten(2)
        members_tng = groups(y, self.loss, self.bn_mode)
        known = None if self.latent_path is None else self.latent_path(z_tnf, y, members_tng)
        latent = None if known is None else known.mean if noise is None else known.mean + known.std * noise
        return self._decode(z_tnf, y, members_tng, latent)

    def _decode(self, z_tnf: Tensor, y: Tensor, members_tng: Tensor, latent: Tensor | None) -> FromFeatures:
        r_tnw = self.encoder(z_tnf, y)
        if self.among is not None:
            together_t1nn = (members_tng.unsqueeze(2) & members_tng.unsqueeze(1)).any(3).unsqueeze(1)
            r_tnw = r_tnw + self.among(r_tnw, r_tnw, r_tnw, together_t1nn).squeeze(2)
        seen_tg1n = members_tng.mT.unsqueeze(2)

        def predict(asked: Tensor) -> Tensor:
            z_tmf = asked.flatten(2)
            code = self.across(z_tmf, z_tnf, r_tnw, seen_tg1n)
            if self.latent_path is not None and latent is not None:
                code = code + self.latent_path.to_code(latent)[:, None, None]
            return self.decoder(z_tmf, code)

        return predict

    def functions(self, support: Examples, draws: int, *, seed: int = 0) -> list[Solver]:
        """Solvers of functions drawn from what may be, given the support set: each with a z of its own.

        Raises:
            UsageError: there is no latent path.
        """
        if self.latent_path is None:
            raise UsageError("only with a latent path can functions be drawn: build the ANP with latent=True.")
        like = support.x.new_zeros(len(support), self.width, dtype=self.latent_path.mean.weight.dtype)
        each = [noise_of(support.x, like, seed, k) for k in range(draws)]
        return [
            solver_of_features(
                self.net, support, partial(self._fit, noise=noise), bn_mode=self.bn_mode, again=self._drawn
            )
            for noise in each
        ]

    def _drawn(self, support: Examples) -> Solver:
        raise UsageError(
            "a function that was drawn cannot be made a module or be pickled: take the solver of adapt, or draw again "
            "with the same seed where it is needed."
        )

    def meta_loss(self, batch: TaskBatch) -> tuple[Tensor, Scalars]:
        """The queries' loss; with a latent path minus the ELBO per target, and the metric ``kl``, in nats per task."""
        if self.latent_path is None:
            return super().meta_loss(batch)
        support, query = batch.support, batch.query
        x, y = torch.cat([support.x, query.x], 1), torch.cat([support.y, query.y], 1)
        shared, n = self.net.start(len(batch)), support.x.shape[1]
        statistics = self.net.statistics(shared, support.x)
        f_tnf = self.net.forward(shared, x, statistics).flatten(2)
        members = [groups(part, self.loss, self.bn_mode) for part in (support.y, y)]
        prior = self.latent_path(f_tnf[:, :n], support.y, members[0])
        posterior = self.latent_path(f_tnf, y, members[1])
        drawn = posterior.mean + posterior.std * noise_of(x, posterior.mean)
        predictions = self._decode(f_tnf[:, :n], support.y, members[0], drawn)(f_tnf)
        kl = posterior.kl(prior)
        nll = task_losses(self.loss, predictions, y, padding=padded(y))
        loss = (nll + kl / present(y).sum(1)).mean()
        _, metrics = self.query_loss(predictions[:, n:].detach(), query.y)
        return loss, {**metrics, "loss": loss.detach(), "kl": kl.detach().mean()}
