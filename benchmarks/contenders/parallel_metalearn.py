"""parallel-metalearn as a contender: its MAML, Reptile and prototypical network, on its two backends.

Its own ``step`` draws a batch, fills ``.grad`` and steps the outer optimizer: here SGD with a step size of 0. The inner
step size is not learned. Its ``ModelTranslator`` cannot take over a net with BatchNorm (0.5.6 raises a TypeError), so
the net is built with its BatchNorm by hand; its modules take options that Conv4 has no use for.
"""

import copy
import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import quickstudy as qs
from contenders.parts import APART, TRAP, Contender, Prepare, Step, gradients, with_batch_norm
from contenders.reptile import whole_batch
from workloads import Workload


def parallel_metalearn(work: Workload, tolerance: float) -> list[Contender]:
    remark, like = "", None
    if work.family == "reptile":
        remark = "its InnerAdam (0.5.6) takes its results apart as trees, and gives tuples for weights"
    elif work.family == "prototypical":
        remark, like = "normalises support and query apart", APART
    found = [
        Contender(f"parallel-metalearn, {backend}", by_parallel_metalearn(backend), remark, False, tolerance, like)
        for backend in ("vmap", "sequential")
    ]
    if work.family == "maml" and work.net_kind == "conv":
        native = by_parallel_metalearn("vmap", own_batch_norm=False)
        found.append(Contender("parallel-metalearn, vmap, F.batch_norm", native, TRAP, only_checked=True))
    return found


class TakesOptions(nn.Module):
    """A net that is called with options it does not know."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, **_options: Any) -> Tensor:
        return self.net(x)


def by_parallel_metalearn(backend: str, *, own_batch_norm: bool = True) -> Prepare:
    def prepare(work: Workload, net: nn.Sequential, batch: qs.TaskBatch) -> Step:
        net = copy.deepcopy(net)
        with_batch_norm(net, _own_batch_norm if own_batch_norm else _native_batch_norm)
        algorithm, model = _algorithm(work, net, backend)
        support, query = (batch.support, batch.query)
        if work.family == "reptile":
            # It trains on the support set, and evaluates the query set after: one example is the least it takes.
            support, query = (qs.Examples(*whole_batch(batch)), qs.Examples(query.x[:, :1], query.y[:, :1]))
        batches = itertools.repeat((support.x, {"labels": support.y}, query.x, {"labels": query.y}))

        def step() -> list[Tensor]:
            algorithm.step(batches, training=True)
            return gradients(model)

        return step

    return prepare


def _algorithm(work: Workload, net: nn.Sequential, backend: str) -> tuple[Any, nn.Module]:
    from metalearn.algorithms import MAML, PrototypicalNetwork, Reptile
    from metalearn.inner_optimizers import InnerAdam, InnerSGD
    from metalearn.loss import CategoricalAccuracy, CrossEntropy
    from metalearn.model_wrappers import MAML_Model, ProtoNet_Model

    loss = CrossEntropy(metric_fn=CategoricalAccuracy()) if work.net_kind == "conv" else _mean_squared_error()
    common = {"backend": backend, "chunk_size": work.tasks, "device": torch.device("cpu")}
    if work.family == "prototypical":
        features = work.filters * (work.size // 16) ** 2
        model = ProtoNet_Model(backbone=TakesOptions(net), max_classes=work.way, latent_dim=features)
        outer = torch.optim.SGD(model.parameters(), lr=0.0)
        return PrototypicalNetwork(model=model, optimizer=outer, loss_fn=loss, **common), model
    model = MAML_Model(backbone=TakesOptions(net[:-1]), head=TakesOptions(net[-1]))
    outer = torch.optim.SGD(model.parameters(), lr=0.0)
    steps = {"inner_lr": work.inner_lr, "max_inner_steps": work.steps, "first_order": work.order == 1}
    if work.family == "reptile":
        inner = InnerAdam(model.get_fast_weights(), beta1=0.0, learn_params=False, **steps)
        kind = Reptile
    else:
        inner = InnerSGD(model.get_fast_weights(), learn_lr=False, **steps)
        kind = MAML
    made = kind(
        model=model, optimizer=outer, inner_optimizer=inner, support_loss_fn=loss, inner_steps=work.steps, **common
    )
    return made, model


def _own_batch_norm(native: nn.BatchNorm2d) -> nn.Module:
    from metalearn.nn_models.basic_layers import BatchNorm

    own = BatchNorm(native.num_features, eps=native.eps, track_running_stats=False)
    own.weight, own.bias = native.weight, native.bias
    return own


def _native_batch_norm(native: nn.BatchNorm2d) -> nn.Module:
    untracked = nn.BatchNorm2d(native.num_features, eps=native.eps, track_running_stats=False)
    untracked.weight, untracked.bias = native.weight, native.bias
    return untracked


def _mean_squared_error() -> nn.Module:
    from metalearn.loss.base import BaseLoss

    class MeanSquaredError(BaseLoss):
        """Its documented way to another loss than cross-entropy."""

        def forward(
            self, out_dict: dict[str, Tensor], targets: Any, model_states: Any = None, **_options: Any
        ) -> tuple[Tensor, Tensor]:
            loss = F.mse_loss(out_dict["logits"], targets["labels"])
            return loss, loss.detach()

    return MeanSquaredError()
