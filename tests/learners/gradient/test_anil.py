"""ANIL moves the head and nothing else; the body learns through what the moved heads make of it."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import double, gradient


def test_only_the_head_adapts():
    torch.manual_seed(0)
    learner = qs.ANIL(qs.nets.Conv4(filters=3, size=16, out_features=3), inner_steps=2)
    solver = learner.adapt(qs.tasks.Glyphs(way=3, size=16).sample(2, seed=0).support)
    for name, p in learner.model.named_parameters():
        same = [torch.equal(own, p) for own in solver.params[name]]
        assert same == [not name.startswith("head.")] * 2, name


class Scaled(nn.Module):
    """x -> w . (s x): a body of one number, and a linear head."""

    def __init__(self):
        super().__init__()
        self.s = nn.Parameter(torch.tensor(0.7))
        self.out = nn.Linear(3, 1, bias=False)

    def forward(self, x):
        return self.out(self.s * x)


@pytest.mark.parametrize(("order", "head"), [(1, None), (2, None), (2, "out.")])
def test_linear_regression_by_hand(order, head):
    """L(s, w) = |s X w - y|^2 / n: its gradient in w is g = 2 s X'(s X w - y) / n and w' = w - a g.

    Then dL'/dw = (I - a 2 s^2 X'X / n) dL'/dw'   and   dL'/ds = (dL'/ds at w') - a (dg/ds) . (dL'/dw'),
    dg/ds = 2 X'(2 s X w - y) / n; of first order the terms with a are left out.
    """
    rng = torch.Generator().manual_seed(0)
    xs, xq = torch.randn(2, 1, 6, 3, generator=rng, dtype=torch.float64)
    ys, yq = torch.randn(2, 1, 6, 1, generator=rng, dtype=torch.float64)
    batch = TaskBatch(Examples(xs, ys), Examples(xq, yq))
    torch.manual_seed(0)
    model, a = Scaled().double(), 0.1
    s, w = model.s.detach(), model.out.weight.detach()[0]
    x, y, v, z = xs[0], ys[0, :, 0], xq[0], yq[0, :, 0]
    adapted = w - a * 2 * s * x.T @ (s * x @ w - y) / 6
    error = s * v @ adapted - z
    by_w, by_s = 2 * s * v.T @ error / 6, 2 * (v @ adapted) @ error / 6
    if order == 2:
        by_s = by_s - a * (2 * x.T @ (2 * s * x @ w - y) / 6) @ by_w
        by_w = (torch.eye(3) - a * 2 * s**2 * x.T @ x / 6) @ by_w
    learner = qs.ANIL(model, head=head, inner_lr=a, inner_steps=1, order=order, loss="mse")
    expected = torch.cat([by_s[None], by_w])
    torch.testing.assert_close(gradient(learner, batch), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(learner.adapt(batch.support).params["out.weight"][0, 0], adapted)


def test_a_network_that_is_all_head_gives_maml():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 3)).double()
    batch = double(qs.tasks.Glyphs(way=3, query=2, size=16).sample(2, seed=0))
    options = {"inner_lr": 0.1, "inner_steps": 2}
    assert torch.equal(gradient(qs.ANIL(model, **options), batch), gradient(qs.MAML(model, **options), batch))


def test_options():
    with pytest.raises(qs.UsageError, match=r"head='top'; it has layers\.0\.weight"):
        qs.ANIL(qs.nets.MLP(), head="top")
    with pytest.raises(qs.UsageError, match="order 1 or 2"):
        qs.ANIL(qs.nets.MLP(), order=3)
