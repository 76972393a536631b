"""Reptile by hand, by higher and by TorchOpt."""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import quickstudy as qs
from contenders.parts import Prepare, Step, without_running_statistics
from workloads import Workload


def plain_reptile(*, fused: bool) -> Prepare:
    """A copy of the net and a ``torch.optim.Adam`` per task."""

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        net = without_running_statistics(net)

        def step() -> list[Tensor]:
            ends = []
            for x, y in whole_tasks(batch):
                own = copy.deepcopy(net)
                adam = torch.optim.Adam(own.parameters(), lr=work.inner_lr, betas=(0.0, 0.999), fused=fused)
                for _ in range(work.steps):
                    adam.zero_grad()
                    work.loss(own(x), y).backward()
                    adam.step()
                ends.append([p.detach() for p in own.parameters()])
            return toward(net, ends)

        return step

    return prepare


def reptile_by_higher(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    import higher

    net = without_running_statistics(net)
    adam = torch.optim.Adam(net.parameters(), lr=work.inner_lr, betas=(0.0, 0.999))

    def step() -> list[Tensor]:
        ends = []
        for x, y in whole_tasks(batch):
            with higher.innerloop_ctx(net, adam, track_higher_grads=False) as (fnet, opt):
                for _ in range(work.steps):
                    opt.step(work.loss(fnet(x), y))
                ends.append([p.detach() for p in fnet.parameters()])
        return toward(net, ends)

    return step


def reptile_by_torchopt(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    import torchopt

    net = without_running_statistics(net)

    def step() -> list[Tensor]:
        ends = []
        for x, y in whole_tasks(batch):
            own = copy.deepcopy(net)
            adam = torchopt.Adam(own.parameters(), lr=work.inner_lr, betas=(0.0, 0.999))
            for _ in range(work.steps):
                adam.zero_grad()
                work.loss(own(x), y).backward()
                adam.step()
            ends.append([p.detach() for p in own.parameters()])
        return toward(net, ends)

    return step


def reptile_by_torchopt_vmap(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    import torchopt

    # No second derivative here, so F.batch_norm serves.
    net = without_running_statistics(net)
    params = dict(net.named_parameters())
    adam = torchopt.adam(lr=work.inner_lr, betas=(0.0, 0.999))

    def support_loss(adapted: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return work.loss(functional_call(net, adapted, (x,)), y)

    def end(adapted: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
        state = adam.init(adapted)
        for _ in range(work.steps):
            updates, state = adam.update(grad(support_loss)(adapted, x, y), state, inplace=False)
            adapted = torchopt.apply_updates(adapted, updates, inplace=False)
        return adapted

    def step() -> list[Tensor]:
        with torch.no_grad():
            # A start per task: its Adam adds to the moments in place, which must have a task axis for that.
            starts = {name: p.expand(work.tasks, *p.shape) for name, p in params.items()}
            ends = vmap(end)(starts, *whole_batch(batch))
            return [p - ends[name].mean(0) for name, p in params.items()]

    return step


def whole_batch(batch: qs.TaskBatch) -> tuple[Tensor, Tensor]:
    """Reptile trains on all examples of a task."""
    x = torch.cat([batch.support.x, batch.query.x], 1)
    return x, torch.cat([batch.support.y, batch.query.y], 1)


def whole_tasks(batch: qs.TaskBatch) -> list[tuple[Tensor, Tensor]]:
    return list(zip(*whole_batch(batch), strict=True))


def toward(net: nn.Module, ends: list[list[Tensor]]) -> list[Tensor]:
    """The mean over tasks of start minus end."""
    with torch.no_grad():
        return [p - torch.stack(end).mean(0) for p, end in zip(net.parameters(), zip(*ends, strict=True), strict=True)]
