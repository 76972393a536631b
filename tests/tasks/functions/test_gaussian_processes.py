"""Functions drawn from a prior, and the exact answer about them."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.core.losses import mean_of, std_of, task_losses
from quickstudy.tasks import GaussianProcesses

KERNELS = ("rbf", "matern52", "periodic")


def k(kernel, a, b, length, scale, period):
    """By hand, of two numbers."""
    r = abs(a - b)
    if kernel == "rbf":
        return scale**2 * math.exp(-(r**2) / (2 * length**2))
    if kernel == "matern52":
        u = math.sqrt(5) * r / length
        return scale**2 * (1 + u + u**2 / 3) * math.exp(-u)
    return scale**2 * math.exp(-2 * math.sin(math.pi * r / period) ** 2 / length**2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_exact_is_the_conditional_of_the_joint_normal(kernel):
    """The joint covariance in a loop; its conditional by an inverse and Schur's complement."""
    gp = GaussianProcesses(
        kernel=kernel, shot=4, query=3, length_scale=(0.3, 0.8), output_scale=(0.5, 2.0), noise=0.2, period=1.3
    )
    batch = gp.sample(3, seed=5)
    found = gp.exact(batch.support, batch.query.x.double(), seed=5)
    length, scale = gp.parameters(3, 5)
    assert length.unique().numel() == scale.unique().numel() == 3
    for t in range(3):
        x = torch.cat([batch.support.x[t, :, 0], batch.query.x[t, :, 0]]).tolist()
        joint = torch.tensor(
            [[k(kernel, a, b, float(length[t]), float(scale[t]), 1.3) for b in x] for a in x], dtype=torch.float64
        ) + 0.2**2 * torch.eye(7)
        own, across, rest = joint[:4, :4], joint[:4, 4:], joint[4:, 4:]
        weights = across.T @ own.inverse()
        torch.testing.assert_close(mean_of(found)[t], weights @ batch.support.y[t].double(), rtol=1e-4, atol=1e-4)
        std = (rest - weights @ across).diagonal().sqrt()
        torch.testing.assert_close(std_of(found)[t, :, 0], std, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_draws_are_as_surprising_as_exact_says(kernel):
    """Standardised errors have mean 0 and variance 1; a wrong std loses log-likelihood."""
    gp = GaussianProcesses(kernel=kernel, shot=8, query=10)
    batch = gp.sample(400, seed=0)
    exact = gp.exact(batch.support, batch.query.x)
    z = (batch.query.y - mean_of(exact)) / std_of(exact)
    assert abs(float(z.mean())) < 0.1
    assert float(z.var()) == pytest.approx(1, abs=0.1)
    nats = task_losses("gaussian", exact, batch.query.y).mean()
    for factor in (0.7, 1.4):
        other = exact * torch.tensor([1.0, factor])
        assert task_losses("gaussian", other, batch.query.y).mean() > nats + 0.05


def test_the_same_arguments_give_the_same_tasks():
    gp = GaussianProcesses()
    one, again, other = gp.sample(3, 7), gp.sample(3, 7), gp.sample(3, 8)
    assert torch.equal(one.query.y, again.query.y)
    assert not torch.equal(one.query.y, other.query.y)
    assert not torch.equal(one.query.y, GaussianProcesses(split="test").sample(3, 7).query.y)
    assert (one.query.y.dtype, gp.x_shape, gp.outputs, gp.kind) == (torch.float32, (1,), 1, "regression")


def test_shots_of_a_range_are_drawn_batch_by_batch():
    gp = GaussianProcesses(shot=(2, 4))
    assert {gp.sample(1, seed).support.x.shape[1] for seed in range(40)} == {2, 3, 4}
    assert gp.describe() == "GaussianProcesses train (rbf), 2- to 4-shot, 20 query points"
    assert "5-shot" in GaussianProcesses(shot=5).describe()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"shot": 0}, "shot"),
        ({"shot": (5, 3)}, "low <= high"),
        ({"query": 0}, "query"),
        ({"noise": 0.0}, "must be > 0"),
        ({"length_scale": (0.0, 1.0)}, "must be > 0"),
        ({"x_range": (0.0, math.inf)}, "x_range"),
        ({"split": "x"}, "split"),
    ],
)
def test_what_cannot_work_is_refused(options, text):
    with pytest.raises(qs.UsageError, match=text):
        GaussianProcesses(**options)


def test_scales_of_each_tasks_own_need_the_seed():
    gp = GaussianProcesses(output_scale=(0.5, 1.0), shot=3)
    batch = gp.sample(2, 0)
    with pytest.raises(qs.UsageError, match="give the seed"):
        gp.exact(batch.support, batch.query.x)
