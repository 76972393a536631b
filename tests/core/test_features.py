"""A solver from features: in mode ``transductive`` support and queries are one batch, in the others never."""

import pytest
import torch

import quickstudy as qs
from quickstudy.core.features import solver_of_features
from quickstudy.core.functional import TaskModel
from quickstudy.tasks import Examples


@pytest.fixture
def support():
    rng = torch.Generator().manual_seed(0)
    return Examples(torch.rand(2, 4, 1, 16, 16, generator=rng), torch.tensor([[0, 1, 0, 1]] * 2))


@pytest.mark.parametrize(("bn", "fits"), [("transductive", 2), ("support", 1)])
def test_fit_is_asked_once_unless_support_and_queries_are_one_batch(support, bn, fits):
    torch.manual_seed(0)
    net = TaskModel(qs.nets.Conv4(filters=3, size=16, out_features=None), bn)
    seen = []

    def fit(features, y):
        seen.append(features)
        return lambda asked: asked + features.mean(1, keepdim=True)

    solver = solver_of_features(net, support, fit, bn_mode=net.bn_mode, again=lambda support: None)
    x = torch.rand(2, 3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        first, alone = solver(x), solver(x[:, :1])
    assert len(seen) == fits
    assert first.shape[:2] == (2, 3)
    assert torch.allclose(first[:, :1], alone, atol=1e-5) == (bn == "support")
    with pytest.raises(qs.UsageError, match="adapted to 2 tasks"):
        solver(x[:1])
