"""MAML by hand (a loop, and vmap), by higher and by TorchOpt.

Every loop over tasks goes backward task by task, as higher's example does, which is at least as fast as one backward
for all tasks, and needs less memory.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import quickstudy as qs
from contenders.parts import Prepare, Step, batch_norm_written_out, gradients, per_task, without_running_statistics
from workloads import Workload


def plain_loop(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    """``torch.func.functional_call`` and ``torch.autograd.grad``, one task after the other."""
    net = without_running_statistics(net)
    params = dict(net.named_parameters())

    def step() -> list[Tensor]:
        net.zero_grad()
        for xs, ys, xq, yq in per_task(batch):
            adapted = params
            for _ in range(work.steps):
                loss = work.loss(functional_call(net, adapted, (xs,)), ys)
                grads = torch.autograd.grad(loss, list(adapted.values()), create_graph=work.order == 2)
                adapted = {n: p - work.inner_lr * g for (n, p), g in zip(adapted.items(), grads, strict=True)}
            (work.loss(functional_call(net, adapted, (xq,)), yq) / work.tasks).backward()
        return gradients(net)

    return step


def plain_vmap(*, grad_inside: bool, written_out: bool) -> Prepare:
    """All tasks in one ``torch.func.vmap``.

    Args:
        grad_inside: vmap(grad(task)), the gradients of each task, then their mean; otherwise the tasks' losses by
            vmap, and one backward of their mean.
        written_out: BatchNorm by elementary operations in place of ``F.batch_norm``.
    """

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        net = batch_norm_written_out(net) if written_out else without_running_statistics(net)
        params = dict(net.named_parameters())

        def support_loss(adapted: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return work.loss(functional_call(net, adapted, (x,)), y)

        def task_loss(params: dict[str, Tensor], xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
            adapted = params
            for _ in range(work.steps):
                grads = grad(support_loss)(adapted, xs, ys)
                if work.order == 1:
                    grads = {n: g.detach() for n, g in grads.items()}
                adapted = {n: p - work.inner_lr * grads[n] for n, p in adapted.items()}
            return support_loss(adapted, xq, yq)

        tensors = batch.support.x, batch.support.y, batch.query.x, batch.query.y
        axes = (None, 0, 0, 0, 0)

        def step() -> list[Tensor]:
            net.zero_grad()
            if grad_inside:
                with torch.no_grad():
                    return [g.mean(0) for g in vmap(grad(task_loss), in_dims=axes)(params, *tensors).values()]
            vmap(task_loss, in_dims=axes)(params, *tensors).mean().backward()
            return gradients(net)

        return step

    return prepare


def by_higher(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    """The loop of higher's Omniglot example; first order by the gradient at the adapted parameters."""
    import higher

    net = without_running_statistics(net)
    sgd = torch.optim.SGD(net.parameters(), lr=work.inner_lr)
    second = work.order == 2

    def step() -> list[Tensor]:
        net.zero_grad()
        totals: list[Tensor] | None = None
        for xs, ys, xq, yq in per_task(batch):
            with higher.innerloop_ctx(net, sgd, copy_initial_weights=False, track_higher_grads=second) as (fnet, opt):
                for _ in range(work.steps):
                    opt.step(work.loss(fnet(xs), ys))
                loss = work.loss(fnet(xq), yq) / work.tasks
                if second:
                    loss.backward()
                else:
                    grads = torch.autograd.grad(loss, list(fnet.parameters()))
                    totals = list(grads) if totals is None else torch._foreach_add(totals, grads)
        return gradients(net) if totals is None else list(totals)

    return step


def by_torchopt_loop(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    """The loop of TorchOpt's Omniglot example: MetaSGD, the net's state taken out before and put back after a task."""
    import torchopt

    net = without_running_statistics(net)
    # MetaSGD puts other tensors in the parameters' places: the parameters themselves are kept here.
    params = list(net.parameters())
    sgd = torchopt.MetaSGD(net, lr=work.inner_lr)

    def step() -> list[Tensor]:
        net.zero_grad()
        start = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
        fresh = torchopt.extract_state_dict(sgd, by="reference")
        for xs, ys, xq, yq in per_task(batch):
            for _ in range(work.steps):
                sgd.step(work.loss(net(xs), ys))
            (work.loss(net(xq), yq) / work.tasks).backward()
            torchopt.recover_state_dict(net, start)
            torchopt.recover_state_dict(sgd, fresh)
        return [p.grad for p in params if p.grad is not None]

    return step


def by_torchopt_vmap(*, written_out: bool) -> Prepare:
    """TorchOpt's functional example: vmap over the tasks' losses, ``torchopt.sgd`` within, one backward."""

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        import torchopt

        net = batch_norm_written_out(net) if written_out else without_running_statistics(net)
        params = dict(net.named_parameters())
        sgd = torchopt.sgd(lr=work.inner_lr)

        def support_loss(adapted: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return work.loss(functional_call(net, adapted, (x,)), y)

        def task_loss(xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
            adapted, state = params, sgd.init(params)
            for _ in range(work.steps):
                grads = grad(support_loss)(adapted, xs, ys)
                if work.order == 1:
                    grads = {n: g.detach() for n, g in grads.items()}
                updates, state = sgd.update(grads, state, inplace=False)
                adapted = torchopt.apply_updates(adapted, updates, inplace=False)
            return support_loss(adapted, xq, yq)

        def step() -> list[Tensor]:
            net.zero_grad()
            tensors = batch.support.x, batch.support.y, batch.query.x, batch.query.y
            vmap(task_loss)(*tensors).mean().backward()
            return gradients(net)

        return step

    return prepare
