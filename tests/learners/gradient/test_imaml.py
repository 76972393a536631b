"""iMAML: the gradient at the inner problem's solution, and the memory that it needs."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.tasks import Examples, TaskBatch

pytestmark = pytest.mark.usefixtures("double_by_default")


def regression_batch(tasks=4, n=6, d=3):
    def draw():
        return Examples(torch.randn(tasks, n, d), torch.randn(tasks, n, 1))

    return TaskBatch(draw(), draw())


def gradient_of(learner, batch):
    return torch.cat([g.flatten() for g in learner.meta_gradient(batch).gradients if g is not None])


def test_on_a_quadratic_it_is_the_implicit_gradient_in_closed_form():
    """L(w) = |Xw - y|^2 / n: (H + lambda) phi = 2 X'y / n + lambda theta, and (I + H / lambda) g = g_q."""
    lam = 0.7
    batch = regression_batch()
    model = nn.Linear(3, 1, bias=False)
    theta = model.weight.detach()[0]
    expected, solutions = torch.zeros(3), []
    for t in range(4):
        xs, ys = batch.support.x[t], batch.support.y[t, :, 0]
        xq, yq = batch.query.x[t], batch.query.y[t, :, 0]
        hessian = 2 * xs.T @ xs / len(xs)
        phi = torch.linalg.solve(hessian + lam * torch.eye(3), 2 * xs.T @ ys / len(xs) + lam * theta)
        solutions.append(phi[None])
        query_grad = 2 * xq.T @ (xq @ phi - yq) / len(xq)
        expected += torch.linalg.solve(torch.eye(3) + hessian / lam, query_grad) / 4
    options = {"inner_lr": 0.2, "lam": lam, "loss": "mse"}
    learner = qs.IMAML(model, inner_steps=200, cg_steps=3, **options)  # three unknowns, three directions
    found = learner.adapt(batch.support).params["weight"].detach()
    torch.testing.assert_close(found, torch.stack(solutions), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(gradient_of(learner, batch), expected, rtol=1e-8, atol=1e-10)
    assert learner.meta_gradient(batch).metrics["cg_residual"] < 1e-8
    # And without the conjugate gradients, or far from the solution, it is not.
    for fewer in ({"inner_steps": 200, "cg_steps": 0}, {"inner_steps": 1, "cg_steps": 3}):
        assert not torch.allclose(gradient_of(qs.IMAML(model, **fewer, **options), batch), expected, rtol=1e-2)


@pytest.mark.parametrize("damping", [0.0, 1.5])
def test_damping_is_added_to_lambda_in_the_equation_alone(damping):
    """(I + H / (lambda + damping)) g = g_q, at the solution of the inner problem without it."""
    lam, batch = 0.7, regression_batch()
    model = nn.Linear(3, 1, bias=False)
    options = {"inner_lr": 0.2, "inner_steps": 200, "cg_steps": 3, "lam": lam, "loss": "mse"}
    learner = qs.IMAML(model, cg_damping=damping, **options)
    expected = torch.zeros(3)
    for t, phi in enumerate(learner.adapt(batch.support).params["weight"].detach()[:, 0]):
        xs, xq, yq = batch.support.x[t], batch.query.x[t], batch.query.y[t, :, 0]
        hessian = 2 * xs.T @ xs / len(xs)
        torch.testing.assert_close(
            (hessian + lam * torch.eye(3)) @ phi, 2 * xs.T @ batch.support.y[t, :, 0] / 6 + lam * model.weight[0]
        )
        query_grad = 2 * xq.T @ (xq @ phi - yq) / len(xq)
        expected += torch.linalg.solve(torch.eye(3) + hessian / (lam + damping), query_grad) / 4
    torch.testing.assert_close(gradient_of(learner, batch), expected, rtol=1e-8, atol=1e-10)


def test_it_approaches_the_derivative_of_the_meta_loss_as_the_inner_steps_grow():
    """The derivative through all steps is computed by hand, by differentiating the unrolled proximal steps."""
    batch = regression_batch(tasks=2)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    names = [name for name, _ in model.named_parameters()]
    lr, lam = 0.1, 3.0

    def loss(params, x, y):
        return nn.functional.mse_loss(torch.func.functional_call(model, params, (x,)), y)

    gaps = []
    for steps in (1, 10, 100):
        theta = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
        total = 0.0
        for t in range(2):
            phi = theta
            for _ in range(steps):
                objective = loss(phi, batch.support.x[t], batch.support.y[t]) + lam / 2 * sum(
                    ((phi[n] - theta[n]) ** 2).sum() for n in names
                )
                grads = torch.autograd.grad(objective, [phi[n] for n in names], create_graph=True)
                phi = {n: phi[n] - lr * g for n, g in zip(names, grads, strict=True)}
            total = total + loss(phi, batch.query.x[t], batch.query.y[t]) / 2
        exact = torch.cat([g.flatten() for g in torch.autograd.grad(total, list(theta.values()))])
        learner = qs.IMAML(model, inner_lr=lr, inner_steps=steps, lam=lam, cg_steps=30, loss="mse")
        torch.testing.assert_close(learner.meta_loss(batch)[0], total, rtol=1e-9, atol=1e-12)
        gaps.append(float((gradient_of(learner, batch) - exact).norm() / exact.norm()))
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]
    assert gaps[2] < 1e-6


def test_without_pull_and_without_conjugate_gradients_it_is_first_order_maml():
    batch = regression_batch()
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    learner = qs.IMAML(model, inner_lr=0.1, inner_steps=3, lam=1e-14, cg_steps=0, loss="mse")
    maml = qs.MAML(model, inner_lr=0.1, inner_steps=3, order=1, loss="mse")
    torch.testing.assert_close(gradient_of(learner, batch), gradient_of(maml, batch), rtol=1e-9, atol=1e-12)


class Kept:
    """Bytes of what autograd keeps for a backward pass: now, and at most."""

    def __init__(self):
        self.now, self.most = 0, 0

    def pack(self, tensor):
        return Held(self, tensor)

    def __enter__(self):
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.pack, lambda held: held.tensor)
        self.hooks.__enter__()
        return self

    def __exit__(self, *error):
        self.hooks.__exit__(*error)


class Held:
    def __init__(self, kept, tensor):
        self.kept, self.tensor, self.bytes = kept, tensor, tensor.numel() * tensor.element_size()
        kept.now += self.bytes
        kept.most = max(kept.most, kept.now)

    def __del__(self):
        self.kept.now -= self.bytes


@pytest.mark.parametrize("cls", [qs.IMAML, qs.MAML])
def test_what_is_kept_for_the_gradient_does_not_grow_with_the_steps(cls):
    batch = qs.tasks.Glyphs(way=3, query=2, size=16).sample(1, seed=0)
    kept = []
    for steps in (1, 8):
        learner = cls(qs.nets.Conv4(filters=3, size=16, out_features=3), inner_lr=0.1, inner_steps=steps)
        with Kept() as bytes_:
            learner.meta_gradient(batch)
        kept.append(bytes_.most)
    assert kept[0] > 10_000
    assert (kept[1] == kept[0]) if cls is qs.IMAML else (kept[1] > 3 * kept[0])


def test_options_out_of_range():
    with pytest.raises(qs.UsageError, match="lam > 0"):
        qs.IMAML(nn.Linear(3, 1), lam=0.0)
