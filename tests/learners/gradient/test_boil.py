"""BOIL moves the body and leaves the head; the head learns through what the moved bodies give it."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import gradient


def test_all_but_the_head_adapts():
    torch.manual_seed(0)
    learner = qs.BOIL(qs.nets.Conv4(filters=3, size=16, out_features=3), bn="support", inner_steps=2)
    solver = learner.adapt(qs.tasks.Glyphs(way=3, size=16).sample(2, seed=0).support)
    for name, p in learner.model.named_parameters():
        if not name.endswith("conv.bias"):  # it has no gradient: BatchNorm takes the mean away
            assert [torch.equal(own, p) for own in solver.params[name]] == [name.startswith("head.")] * 2, name


@pytest.mark.parametrize("order", [1, 2])
def test_two_numbers_by_hand(order):
    """f(x) = w v x with head w and body v, on x = 1, y = 0: v' = v - a 2 w^2 v.

    L' = (w v' - 1)^2 at x = 1, y = 1, with r = 2 (w v' - 1): dL'/dv = r w (1 - 2 a w^2), and
    dL'/dw = r v' + r w (-4 a w v); of first order the terms with a are left out.
    """
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    w, v, a = 1.5, -0.8, 0.1
    nn.init.constant_(model[0].weight, v)
    nn.init.constant_(model[1].weight, w)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    batch = TaskBatch(Examples(one, 0 * one), Examples(one, one))
    learner = qs.BOIL(model, inner_lr=a, order=order, loss="mse")
    adapted = v - a * 2 * w**2 * v
    r = 2 * (w * adapted - 1)
    by_v, by_w = r * w, r * adapted
    if order == 2:
        by_v, by_w = by_v * (1 - 2 * a * w**2), by_w + r * w * (-4 * a * w * v)
    assert gradient(learner, batch).tolist() == pytest.approx([by_v, by_w], rel=1e-12)
    solver = learner.adapt(batch.support)
    assert solver.params["0.weight"].item() == pytest.approx(adapted)


def test_the_head_can_be_named():
    learner = qs.BOIL(qs.nets.MLP(hidden=(4, 4)), head="layers.2.", loss="mse")
    assert learner.inner.adapts == {"layers.0.weight", "layers.0.bias", "layers.4.weight", "layers.4.bias"}


def test_options():
    with pytest.raises(qs.UsageError, match="head='top'"):
        qs.BOIL(qs.nets.MLP(), head="top")
    with pytest.raises(qs.UsageError, match="what adapts must be some of"):
        qs.BOIL(nn.Linear(3, 3))
    with pytest.raises(qs.UsageError, match="inner_steps >= 0"):
        qs.BOIL(qs.nets.MLP(), inner_steps=-1)
