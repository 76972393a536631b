"""Distances keep their digits where what the rows have in common is large: in every learner that takes some."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.distances import cosine_distances, squared_distances
from quickstudy.learners.generative._drawn_sets import energy_distance
from quickstudy.nets._comparisons import compare


def exactly(a, b):
    return (a.double().unsqueeze(-2) - b.double().unsqueeze(-3)).square().sum(-1)


@pytest.mark.parametrize("size", [0.0, 1e4, 1e6, 1e-18, 1e15])
def test_squared_distances_are_those_of_float64(size):
    """Two far heaps of close rows, too, which no common centre helps."""
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, n, 8, generator=rng) for n in (30, 5))
    scale = 1.0 if size == 0 or 1e3 < size < 1e9 else size
    heaps = torch.tensor([1.0, -1.0]).view(2, 1, 1) if scale == 1.0 else 0.0
    a, b = scale * a + size * heaps, scale * b + size * heaps
    torch.testing.assert_close(squared_distances(a, b).double(), exactly(a, b), rtol=1e-5, atol=0)


def test_cosine_distances_of_rows_in_nearly_one_direction():
    rng = torch.Generator().manual_seed(0)
    a, b = (1e3 + torch.randn(1, n, 8, generator=rng) for n in (30, 5))
    u, v = (nn.functional.normalize(rows.double(), dim=-1) for rows in (a, b))
    torch.testing.assert_close(cosine_distances(a, b).double(), 1 - u @ v.mT, rtol=2e-3, atol=0)
    nothing = torch.zeros(1, 1, 8)
    assert cosine_distances(a, nothing).flatten().tolist() == pytest.approx([1.0] * 30)
    assert cosine_distances(nothing, nothing).item() == 1.0


def test_they_can_be_derived_where_a_row_is_its_own_centre():
    a = torch.ones(1, 1, 3, requires_grad=True)
    squared_distances(a, torch.cat([a.detach(), a.detach() + 1], 1)).sum().backward()
    assert a.grad is not None
    assert a.grad.flatten().tolist() == [-2.0, -2.0, -2.0]


def far_from_zero(offset, shot):
    """Five classes of 64 numbers, a tenth apart, all of them at ``offset``; and what the nearest mean says."""
    rng = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 5, 1, 64, generator=rng, dtype=torch.float64)
    spread = 0.5 * torch.randn(4, 5, shot + 5, 64, generator=rng, dtype=torch.float64)
    x = (centres + spread + offset).float()
    y = torch.arange(5).view(1, 5, 1).expand(4, 5, shot + 5)
    parts = [qs.Examples(x[:, :, at].flatten(1, 2), y[:, :, at].flatten(1)) for at in (slice(shot), slice(shot, None))]
    nearest = exactly(parts[1].x, x[:, :, :shot].double().mean(2)).argmin(-1)
    return qs.TaskBatch(*parts), nearest


class AsItIs(nn.Module):
    def __init__(self, outputs=None):
        super().__init__()
        self.feature_shape = (64,)
        self.one = nn.Parameter(torch.ones(()))
        self.head = None if outputs is None else nn.Linear(64, outputs)

    def forward(self, x):
        return x * self.one if self.head is None else self.head(x * self.one)


LEARNERS = {
    "protonet": lambda: qs.ProtoNet(AsItIs()),
    "r2d2": lambda: qs.R2D2(AsItIs()),
    "protomaml": lambda: qs.ProtoMAML(AsItIs(5), inner_steps=0),
    "hypernet": lambda: qs.Hypernet(AsItIs(5), generates="head"),
}


@pytest.mark.parametrize("shot", [1, 5])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e5])
@pytest.mark.parametrize("name", LEARNERS)
def test_learners_tell_classes_apart_far_from_zero(name, offset, shot):
    batch, nearest = far_from_zero(offset, shot)
    torch.manual_seed(0)
    learner = LEARNERS[name]()
    with torch.no_grad():
        found = learner.adapt(batch.support)(batch.query.x)
    assert found.isfinite().all()
    assert (found.argmax(-1) == nearest).float().mean() >= 0.99


def test_cosine_distances_rank_as_in_float64_far_from_zero():
    batch, _ = far_from_zero(1e3, 1)
    u, v = (nn.functional.normalize(part.x.double(), dim=-1) for part in (batch.query, batch.support))
    found = qs.ProtoNet(AsItIs(), distance="cosine").adapt(batch.support)(batch.query.x)
    assert (found.argmax(-1) == (u @ v.mT).argmax(-1)).float().mean() >= 0.99


def test_rows_of_a_context_are_compared_by_their_distances():
    rng = torch.Generator().manual_seed(0)
    rows = 1e4 + torch.randn(1, 1, 30, 8, generator=rng)
    squares = -compare(rows, rows)[:, 1]
    torch.testing.assert_close(squares.double(), exactly(rows, rows)[:, 0], rtol=1e-3, atol=1e-4)


def test_sets_of_many_drawings_have_no_distance_to_themselves():
    rng = torch.Generator().manual_seed(0)
    same = torch.rand(1, 1, 1, 1, 14, 14, generator=rng).expand(1, 40, 1, 1, 14, 14)
    assert energy_distance(same, same).item() == 0.0
