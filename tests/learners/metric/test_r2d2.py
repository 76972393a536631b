"""Ridge regression against the normal equations, and against its own optimality condition."""

import pytest
import torch

import quickstudy as qs
from quickstudy.learners.metric.r2d2 import ridge_regression


@pytest.mark.parametrize(("n", "f"), [(3, 8), (8, 3)])
def test_woodbury_equals_the_normal_equations(n, f):
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, n, k, generator=rng, dtype=torch.float64) for k in (f, 4))
    found = ridge_regression(x, y, torch.tensor(0.3, dtype=torch.float64))
    for t in range(2):
        primal = torch.linalg.solve(x[t].T @ x[t] + 0.3 * torch.eye(f, dtype=torch.float64), x[t].T @ y[t])
        torch.testing.assert_close(found[t], primal)


def test_logits_by_hand(as_it_is, uneven):
    """alpha (x W + b) + beta, where (W, b) minimises the regularised squared error to one-hot labels."""
    support, q = uneven(4)
    learner = qs.R2D2(as_it_is(4), lam=0.7, scale=3.0).double()
    with torch.no_grad():
        learner.beta.fill_(0.25)
    found = learner.adapt(support)(q)
    for t in range(2):
        x = torch.cat([support.x[t], torch.ones(6, 1, dtype=torch.float64)], 1)
        y = torch.eye(3, dtype=torch.float64)[support.y[t]]
        w = torch.zeros(5, 3, dtype=torch.float64, requires_grad=True)
        for _ in range(2000):
            (gradient,) = torch.autograd.grad(((x @ w - y) ** 2).sum() + 0.7 * (w * w).sum(), w)
            w = (w - 0.02 * gradient).detach().requires_grad_()
        torch.testing.assert_close(found[t], 3.0 * (q[t] @ w[:4] + w[4]) + 0.25)


def test_what_is_learned_beside_the_network(as_it_is, uneven):
    learner = qs.R2D2(as_it_is(4), lam=0.7).double()
    support, q = uneven(4)
    batch = qs.TaskBatch(support, qs.Examples(q, torch.tensor([[0, 1, 2, 1, 0]] * 2)))
    learner.meta_backward(batch)
    assert learner.log_lambda.exp().item() == pytest.approx(0.7)
    assert all(abs(p.grad.item()) > 0 for p in (learner.log_lambda, learner.alpha))
    # A shift of all logits changes no softmax.
    assert learner.beta.grad.item() == pytest.approx(0, abs=1e-12)


def test_regression_of_values(as_it_is):
    """A line is found from two points of it, where the features are the input itself."""
    learner = qs.R2D2(as_it_is(1), lam=1e-9, loss="mse").double()
    x = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    solver = learner.adapt(qs.Examples(x, 2 * x + 3))
    torch.testing.assert_close(solver(x + 5), 2 * (x + 5) + 3, rtol=1e-6, atol=0)
    torch.manual_seed(0)
    on_sines = qs.R2D2(qs.nets.MLP(out_features=None), loss="mse")
    assert qs.evaluate(on_sines, qs.tasks.Sinusoids(shot=10), n_tasks=20).metric == "mse"
    with pytest.raises(qs.UsageError, match=r"needs values y \[tasks, n, outputs\]"):
        learner.adapt(qs.Examples(x, torch.tensor([[0, 1]])))


def test_a_lambda_that_is_nothing_beside_the_features_is_said(as_it_is):
    x = torch.full((1, 4, 3), 1e20)
    with pytest.raises(qs.UsageError, match="no solution in floating point"):
        qs.R2D2(as_it_is(3)).adapt(qs.Examples(x, torch.tensor([[0, 1, 0, 1]])))


def test_options_out_of_range(as_it_is):
    with pytest.raises(qs.UsageError, match="lam > 0 and loss cross_entropy or mse"):
        qs.R2D2(as_it_is(4), lam=0.0)
