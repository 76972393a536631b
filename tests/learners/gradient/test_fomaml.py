"""FOMAML is first-order MAML: the outer gradient is that of the query loss at the adapted weights."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import double, gradient


def test_equals_maml_of_order_1_and_not_of_order_2():
    torch.manual_seed(0)
    model = qs.nets.Conv4(filters=3, size=16, out_features=3).double()
    batch = double(qs.tasks.Glyphs(way=3, query=2, size=16).sample(3, seed=0))
    options = {"inner_lr": 0.1, "inner_steps": 3}
    found = gradient(qs.FOMAML(model, **options), batch)
    assert torch.equal(found, gradient(qs.MAML(model, order=1, **options), batch))
    assert not torch.allclose(found, gradient(qs.MAML(model, order=2, **options), batch), rtol=1e-2)


def test_one_weight_by_hand():
    """L = (w - 1)^2 on the support gives w' = w - 2a(w - 1); L' = (2w' - 6)^2 then has the slope 4(2w' - 6) at w'."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 3.0)
    one, two, six = (torch.full((1, 1, 1), value, dtype=torch.float64) for value in (1.0, 2.0, 6.0))
    batch = TaskBatch(Examples(one, one), Examples(two, six))
    learner = qs.FOMAML(model, inner_lr=0.1, inner_steps=1, loss="mse")
    assert gradient(learner, batch).item() == pytest.approx(4 * (2 * 2.6 - 6))  # second order: times 1 - 2a


def test_options():
    with pytest.raises(qs.UsageError, match="inner_steps >= 0"):
        qs.FOMAML(qs.nets.MLP(), inner_steps=-1)
