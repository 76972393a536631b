"""Synthetic tables: a pure function of the seed, every class in the support, and labels that can be learned."""

import pytest
import torch

import quickstudy as qs
from quickstudy.tasks.functions._random_tables import every_class, support_first


@pytest.fixture(scope="module")
def batches():
    tasks = qs.tasks.TabularPrior(query=8)
    return [tasks.sample(4, seed) for seed in range(25)]


def test_a_pure_function_of_the_seed():
    tasks = qs.tasks.TabularPrior(query=4)
    torch.manual_seed(1)
    first = tasks.sample(3, 5)
    torch.manual_seed(2)
    again = tasks.sample(3, 5)
    assert torch.equal(first.support.x, again.support.x)
    assert torch.equal(first.query.y, again.query.y)
    other = qs.tasks.TabularPrior(query=4, split="val").sample(3, 5)
    assert first.support.x.shape != other.support.x.shape or not torch.equal(first.support.x, other.support.x)


def test_shapes_and_ranges(batches):
    ways, columns = set(), set()
    for batch in batches:
        x = torch.cat([batch.support.x, batch.query.x], 1)
        assert torch.isfinite(x).all()
        assert x.shape[2:] == (64,)
        assert batch.query.y.shape == (4, 8)
        way = int(batch.support.y.max()) + 1
        ways.add(way)
        columns |= set((x != 0).any(1).sum(1).tolist())
        assert int(batch.query.y.max()) < way
        # every class of every task has a support row
        assert all(set(y.tolist()) == set(range(way)) for y in batch.support.y)
        assert way <= batch.support.y.shape[1] <= 100
    assert {2} < ways <= set(range(2, 11))
    assert len(columns) > 10
    assert min(columns) >= 2


def test_as_few_columns_as_may_be():
    assert qs.tasks.TabularPrior(features=2, way=5).sample(20, 0).support.x.shape[2] == 2


def test_fixed():
    batch = qs.tasks.TabularPrior(way=4, shot=3, query=5, features=6, fixed=True).sample(5, 0)
    assert batch.support.x.shape == (5, 12, 6)
    assert batch.support.y.amax(1).tolist() == [3] * 5


def test_half_of_the_supports_are_balanced():
    batch = qs.tasks.TabularPrior(way=3, shot=5, query=1, fixed=True).sample(200, 0)
    counts = torch.nn.functional.one_hot(batch.support.y).sum(1)
    balanced = (counts == 5).all(1).float().mean()
    assert 0.35 < balanced < 0.75
    assert counts.min() >= 1


def test_a_class_that_no_row_has_gets_one():
    y = torch.tensor([[0, 0, 0, 0, 2], [1, 1, 1, 1, 1]])
    found = every_class(y, 4)
    assert [len(set(row.tolist())) for row in found] == [4, 4]
    assert found[0, 4] == 2


def test_one_row_of_each_class_comes_first():
    y = torch.tensor([[0] * 8 + [1, 2]] * 20)
    rng = torch.Generator().manual_seed(0)
    first = y.gather(1, support_first(y, 3, rng))[:, :3]
    assert (first.sort(1).values == torch.tensor([0, 1, 2])).all()


def test_labels_can_be_learned_from_the_columns():
    """The nearest class mean does much better than chance; with shuffled labels it does not."""
    tasks = qs.tasks.TabularPrior(way=4, shot=20, query=40, fixed=True)
    batch = tasks.sample(60, 0)
    members = torch.nn.functional.one_hot(batch.support.y, 4).float()
    means = members.mT @ batch.support.x / members.sum(1).unsqueeze(-1)
    found = torch.cdist(batch.query.x, means).argmin(-1)
    accuracy = (found == batch.query.y).float().mean()
    chance = (found == batch.query.y[:, torch.randperm(40)]).float().mean()
    assert accuracy > chance + 0.15


def test_options_out_of_range():
    for options in ({"way": 1}, {"way": 17}, {"shot": 0}, {"query": 0}, {"features": 1}, {"split": "holdout"}):
        with pytest.raises(qs.UsageError, match=next(iter(options))):
            qs.tasks.TabularPrior(**options)


def test_other_learners_take_them():
    tasks = qs.tasks.TabularPrior(way=3, shot=2, query=4, features=6, fixed=True)
    for learner in (
        qs.ProtoNet(qs.nets.MLP(in_features=6, out_features=None)),
        qs.MAML(qs.nets.MLP(in_features=6, out_features=3)),
    ):
        assert 0 <= qs.evaluate(learner, tasks, n_tasks=4).mean <= 1
