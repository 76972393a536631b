"""Prototypical networks by hand."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import quickstudy as qs
from contenders.parts import Prepare, Step, gradients, per_task, without_running_statistics
from workloads import Workload


def plain_prototypical(*, together: bool) -> Prepare:
    """Embed, average by class, squared distances, cross-entropy; one task after the other.

    Args:
        together: support and query go through the net as one batch, as in Snell's code (and in quickstudy), and so
            share BatchNorm's statistics: another function than with a batch each, at the same price.
    """

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        net = without_running_statistics(net)

        def step() -> list[Tensor]:
            net.zero_grad()
            for xs, ys, xq, yq in per_task(batch):
                if together:
                    support, query = net(torch.cat([xs, xq])).split([len(xs), len(xq)])
                else:
                    support, query = net(xs), net(xq)
                prototypes = torch.stack([support[ys == k].mean(0) for k in range(work.way)])
                distances = (query[:, None] - prototypes[None]).square().sum(2)
                (F.cross_entropy(-distances, yq) / work.tasks).backward()
            return gradients(net)

        return step

    return prepare
