"""When "none of these" is said."""

import pytest
import torch

import quickstudy as qs
from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.nets.backbones.flat import Flat
from quickstudy.web.doubt import REJECTED, Doubt, chosen


def tasks(count: int, way: int, query: int) -> TaskBatch:
    """Classes are points in space; their examples lie around them."""
    rng = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(count, way, 1, 3, generator=rng)
    x = centres + 0.3 * torch.randn(count, way, 1 + query, 3, generator=rng)
    y = torch.arange(way)[None, :, None].expand(count, way, 1 + query)
    support, asked = ((x[:, :, a:b].flatten(1, 2), y[:, :, a:b].flatten(1, 2)) for a, b in ((0, 1), (1, 1 + query)))
    return TaskBatch(Examples(*support), Examples(*asked))


def test_so_many_of_the_known_are_rejected_and_most_of_the_unknown():
    learner = qs.ProtoNet(Flat(in_features=3)).eval()
    doubt = chosen(learner, tasks(60, 8, 5), (2, 4))
    fresh = tasks(60, 8, 6)
    for way in (2, 4):
        known, unknown = [], []
        for t in range(60):
            x, y, asked, true = fresh.support.x[t], fresh.support.y[t], fresh.query.x[t], fresh.query.y[t]
            solver = learner.adapt(Examples(x[None, y < way], y[None, y < way]))
            none = doubt.shares(solver(asked[None])[0]).argmax(1) == way
            known.append(none[true < way])
            unknown.append(none[true >= way])
        assert abs(float(torch.cat(known).double().mean()) - REJECTED) < 0.04
        assert torch.cat(unknown).double().mean() > 0.6


def test_shares_sum_to_one_for_any_number_of_classes():
    doubt = Doubt([2, 8], [-3.0, -1.0], [1.0, 2.0])
    for way in (1, 2, 4, 8, 30):
        shares = doubt.shares(torch.randn(5, way))
        assert shares.shape == (5, way + 1)
        assert torch.allclose(shares.sum(1), torch.ones(5))
    assert float(doubt.shares(torch.full((1, 4), -2.0))[0, -1]) == pytest.approx(0.5)  # half way between the two
    assert float(doubt.shares(torch.full((1, 30), -1.0))[0, -1]) == pytest.approx(0.5)
