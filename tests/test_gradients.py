"""Evidence 1: the meta-gradients are the right ones, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.nets import Conv4
from quickstudy.tasks import Examples, TaskBatch

pytestmark = pytest.mark.usefixtures("double_by_default")


def image_batch(tasks=3, way=3, query=4):
    def draw(n):
        return Examples(torch.rand(tasks, way * n, 1, 16, 16), torch.arange(way).repeat_interleave(n).repeat(tasks, 1))

    return TaskBatch(draw(1), draw(query))


def flat_grad(learner):
    return torch.cat([p.grad.flatten() for p in learner.parameters()])


def finite_difference(learner, batch, direction, h=1e-6):
    """Central difference of the meta-loss along ``direction`` (a flat vector)."""
    values = []
    for sign in (+1, -1):
        offset = 0
        with torch.no_grad():
            for p in learner.parameters():
                p += sign * h * direction[offset : offset + p.numel()].view_as(p)
                offset += p.numel()
        values.append(learner.meta_loss(batch)[0].item())
        offset = 0
        with torch.no_grad():
            for p in learner.parameters():
                p -= sign * h * direction[offset : offset + p.numel()].view_as(p)
                offset += p.numel()
    return (values[0] - values[1]) / (2 * h)


@pytest.mark.parametrize("execution", ["loop", "vmap"])
@pytest.mark.parametrize("bn", ["transductive", "support"])
@pytest.mark.parametrize("steps", [1, 3])
def test_second_order_equals_finite_differences_with_conv_batchnorm_and_pooling(steps, bn, execution):
    model = Conv4(filters=4, size=16, out_features=3)
    learner = qs.MAML(model, inner_lr=0.05, inner_steps=steps, order=2, bn=bn, execution=execution)
    batch = image_batch()
    learner.meta_backward(batch)
    grad = flat_grad(learner)
    for _ in range(4):
        direction = torch.randn_like(grad)
        direction /= direction.norm()
        expected = finite_difference(learner, batch, direction)
        assert grad @ direction == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_first_order_differs_from_finite_differences():
    """The check above can fail: first-order MAML is no derivative of the meta-loss."""
    learner = qs.MAML(Conv4(filters=4, size=16, out_features=3), inner_lr=0.05, inner_steps=3, order=1)
    batch = image_batch()
    learner.meta_backward(batch)
    grad = flat_grad(learner)
    direction = grad / grad.norm()
    assert grad @ direction != pytest.approx(finite_difference(learner, batch, direction), rel=1e-3)


def linear_batch(tasks=4, n=6, d=3):
    def draw():
        return Examples(torch.randn(tasks, n, d), torch.randn(tasks, n, 1))

    return TaskBatch(draw(), draw())


def test_linear_regression_equals_the_gradient_derived_by_hand():
    """L(w) = |Xw - y|^2 / n has gradient 2 X'(Xw - y) / n and Hessian H = 2 X'X / n.

    One step gives w' = w - a * g_s(w), so d L_q(w') / dw = (I - a H_s) g_q(w').
    """
    a = 0.1
    batch = linear_batch()
    model = nn.Linear(3, 1, bias=False)
    w = model.weight.detach()[0]
    expected_2, expected_1 = torch.zeros(3), torch.zeros(3)
    for t in range(4):
        xs, ys = batch.support.x[t], batch.support.y[t, :, 0]
        xq, yq = batch.query.x[t], batch.query.y[t, :, 0]
        hessian = 2 * xs.T @ xs / len(xs)
        adapted = w - a * 2 * xs.T @ (xs @ w - ys) / len(xs)
        at_adapted = 2 * xq.T @ (xq @ adapted - yq) / len(xq)
        expected_2 += (torch.eye(3) - a * hessian) @ at_adapted / 4
        expected_1 += at_adapted / 4
    for order, expected in ((2, expected_2), (1, expected_1)):
        learner = qs.MAML(model, inner_lr=a, inner_steps=1, order=order, loss="mse")
        model.zero_grad()
        learner.meta_backward(batch)
        torch.testing.assert_close(model.weight.grad[0], expected, rtol=1e-12, atol=1e-12)


def test_first_order_is_the_gradient_at_the_adapted_weights():
    learner = qs.MAML(Conv4(filters=4, size=16, out_features=3), inner_lr=0.1, inner_steps=3, order=1)
    batch = image_batch(tasks=1)
    learner.meta_backward(batch)
    solver = learner.adapt(batch.support)
    params = {name: p.detach().requires_grad_() for name, p in solver.params.items()}
    logits = learner.inner.net.forward(params, batch.query.x)
    grads = torch.autograd.grad(F.cross_entropy(logits[0], batch.query.y[0]), list(params.values()))
    torch.testing.assert_close(flat_grad(learner), torch.cat([g.flatten() for g in grads]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("optimizer", "make"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_reptile_goes_from_start_to_the_mean_of_the_ends(optimizer, make):
    """Each end is computed anew with a torch.optim optimizer on a copy of the network."""
    batch = linear_batch()
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    learner = qs.Reptile(model, inner_lr=0.05, inner_steps=4, inner_optimizer=optimizer, loss="mse")
    learner.meta_backward(batch)
    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    ends = []
    for t in range(4):
        copy = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
        copy.load_state_dict(model.state_dict())
        options = {"betas": (0.0, 0.999)} if optimizer == "adam" else {}
        inner = make(copy.parameters(), lr=0.05, **options)
        x = torch.cat([batch.support.x[t], batch.query.x[t]])
        y = torch.cat([batch.support.y[t], batch.query.y[t]])
        for _ in range(4):
            inner.zero_grad()
            F.mse_loss(copy(x), y).backward()
            inner.step()
        ends.append(torch.cat([p.detach().flatten() for p in copy.parameters()]))
    torch.testing.assert_close(flat_grad(learner), start - torch.stack(ends).mean(0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3])
def test_chunks_workers_and_executions_give_one_gradient(steps):
    batch = image_batch(tasks=5)
    grads = []
    for chunk, workers, execution in (
        (None, 1, "loop"),
        (2, 1, "loop"),
        (None, 2, "threads"),
        (2, 2, "threads"),
        (2, 2, "vmap"),
        (5, 1, "vmap"),
    ):
        torch.manual_seed(1)
        model = Conv4(filters=4, size=16, out_features=3)
        learner = qs.MAML(model, inner_lr=0.4, inner_steps=steps, chunk=chunk, execution=execution)
        learner.meta_backward(batch, workers=workers)
        grads.append(flat_grad(learner))
    for other in grads[1:]:
        torch.testing.assert_close(other, grads[0], rtol=1e-9, atol=1e-12)


def test_adam_rule_can_be_differentiated_where_a_gradient_is_zero():
    """A dead unit has gradient zero, where the root of Adam's second moment has an infinite slope."""
    from quickstudy.core.unroll import unroll
    from quickstudy.rules import Adam

    start = {"w": torch.tensor([[1.0, 2.0]], requires_grad=True)}
    *_, end = unroll(lambda p, _: (p["w"][:, :1] ** 2).sum(1), start, Adam(lr=0.1), steps=2, order=2)
    (grad,) = torch.autograd.grad(end["w"].sum(), start["w"])
    assert all(math.isfinite(g) for g in grad[0].tolist())
