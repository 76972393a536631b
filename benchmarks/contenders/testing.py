"""MAML tested by hand (a loop, and vmap) and by higher: accuracies of tasks after the inner steps, no graph kept."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

import quickstudy as qs
from contenders.parts import Prepare, Step, batch_norm_written_out, per_task, without_running_statistics
from workloads import Workload

AT_ONCE = 25  # tasks in one vmap: so is ``qs.evaluate``'s; of all at once the memory would not do


def accuracy(logits: Tensor, y: Tensor) -> Tensor:
    return (logits.argmax(-1) == y).double().mean(-1)


def test_by_plain_loop(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    """``functional_call`` and ``torch.autograd.grad``, one task after the other."""
    net = without_running_statistics(net)
    params = {name: p.detach() for name, p in net.named_parameters()}

    def step() -> list[Tensor]:
        found: list[Tensor] = []
        for xs, ys, xq, yq in per_task(batch):
            adapted = params
            for _ in range(work.steps):
                now = {name: p.detach().requires_grad_() for name, p in adapted.items()}
                loss = work.loss(functional_call(net, now, (xs,)), ys)
                grads = torch.autograd.grad(loss, list(now.values()))
                adapted = {n: p.detach() - work.inner_lr * g for (n, p), g in zip(now.items(), grads, strict=True)}
            with torch.no_grad():
                found.append(accuracy(functional_call(net, adapted, (xq,)), yq))
        return [torch.stack(found)]

    return step


def test_by_vmap(*, written_out: bool) -> Prepare:
    """``AT_ONCE`` tasks in one ``torch.func.vmap``.

    Args:
        written_out: BatchNorm by elementary operations in place of ``F.batch_norm``.
    """

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        net = batch_norm_written_out(net) if written_out else without_running_statistics(net)
        params = {name: p.detach() for name, p in net.named_parameters()}

        def support_loss(adapted: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return work.loss(functional_call(net, adapted, (x,)), y)

        def logits(xs: Tensor, ys: Tensor, xq: Tensor) -> Tensor:
            adapted = params
            for _ in range(work.steps):
                grads = grad(support_loss)(adapted, xs, ys)
                adapted = {n: p - work.inner_lr * grads[n] for n, p in adapted.items()}
            return functional_call(net, adapted, (xq,))

        def step() -> list[Tensor]:
            found: list[Tensor] = []
            with torch.no_grad():
                for start in range(0, len(batch), AT_ONCE):
                    part = batch[start : start + AT_ONCE]
                    predicted = vmap(logits)(part.support.x, part.support.y, part.query.x)
                    found.append(accuracy(predicted, part.query.y))
            return [torch.cat(found)]

        return step

    return prepare


def test_by_higher(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
    """The loop of higher's example for its test: ``track_higher_grads=False``."""
    import higher

    net = without_running_statistics(net)
    sgd = torch.optim.SGD(net.parameters(), lr=work.inner_lr)

    def step() -> list[Tensor]:
        found: list[Tensor] = []
        for xs, ys, xq, yq in per_task(batch):
            with higher.innerloop_ctx(net, sgd, track_higher_grads=False) as (fnet, opt):
                for _ in range(work.steps):
                    opt.step(work.loss(fnet(xs), ys))
                with torch.no_grad():
                    found.append(accuracy(fnet(xq), yq))
        return [torch.stack(found)]

    return step
