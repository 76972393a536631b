"""Copy, repeat-copy and associative recall: what is shown, and what is to be answered."""

import pytest
import torch

import quickstudy as qs
from quickstudy.tasks import AssociativeRecall, Copy, RepeatCopy

ALL = [Copy(), RepeatCopy(), AssociativeRecall()]


def test_copy():
    batch = Copy(bits=5, length=(7, 7)).sample(4, seed=0)
    x, y = batch.support.x, batch.query.y
    assert torch.equal(x[:, :7, :5], y)
    assert torch.equal(x[:, 7], torch.tensor([0.0] * 5 + [1]).expand(4, -1))
    assert x[:, :7, 5].eq(0).all()


def test_repeat_copy():
    batch = RepeatCopy(bits=5, length=(4, 4), copies=(3, 3)).sample(2, seed=0)
    x, y = batch.support.x, batch.query.y
    assert x.shape == (2, 5, 7)
    assert torch.equal(x[:, 4], torch.tensor([0.0] * 5 + [1, 0.3]).expand(2, -1))
    assert x[:, :4, 5:].eq(0).all()
    assert torch.equal(y[:, :12, :5], torch.cat([x[:, :4, :5]] * 3, 1))
    assert y[:, :12, 5].eq(0).all()
    assert torch.equal(y[:, 12], torch.tensor([0.0] * 5 + [1]).expand(2, -1))


def test_mixed_repeat_copy_has_every_size_and_short_ones_more_often():
    drawn = {
        mixed: [RepeatCopy(mixed=mixed).sample(1, seed).support.x for seed in range(600)] for mixed in (True, False)
    }
    lengths = {mixed: torch.tensor([x.shape[1] - 1.0 for x in drawn[mixed]]) for mixed in drawn}
    copies = torch.stack([10 * x[0, -1, -1] for x in drawn[True]])
    assert set(lengths[True].tolist()) == set(copies.round().tolist()) == set(range(1, 11))
    assert abs(lengths[False].mean() - 5.5) < 0.4
    assert lengths[True].mean() < 4
    assert torch.corrcoef(torch.stack([lengths[True], copies]))[0, 1] > 0.2, "one limit for both"


def test_recall():
    """The answer is found in what was shown, without knowing how it was drawn."""
    batch = AssociativeRecall(bits=10, items=(5, 5), item_length=2).sample(20, seed=0)
    asked = set()
    for x, y in zip(batch.support.x, batch.query.y, strict=True):
        assert x[:, 10].nonzero().flatten().tolist() == [0, 3, 6, 9, 12]
        assert x[:, 11].nonzero().flatten().tolist() == [15, 18]
        assert x[[0, 3, 6, 9, 12, 15, 18], :10].eq(0).all()
        items = [x[start + 1 : start + 3, :10] for start in (0, 3, 6, 9, 12)]
        (place,) = [i for i, item in enumerate(items) if torch.equal(item, x[16:18, :10])]
        assert torch.equal(y, items[place + 1])
        asked.add(place)
    assert asked == {0, 1, 2, 3}


@pytest.mark.parametrize("tasks", ALL, ids=lambda tasks: type(tasks).__name__)
def test_nothing_but_the_shown_is_given_away(tasks):
    batch = tasks.sample(3, seed=1)
    assert batch.query.x.eq(0).all()
    assert batch.support.y.eq(0).all()
    assert batch.query.y.unique().tolist() == [0, 1]
    assert batch.support.x.shape[2:] == batch.query.x.shape[2:] == tasks.x_shape
    assert batch.query.y.shape[2] == tasks.outputs
    assert not torch.equal(batch.query.y[0], batch.query.y[1])


@pytest.mark.parametrize("tasks", ALL, ids=lambda tasks: type(tasks).__name__)
def test_a_pure_function_of_the_seed(tasks):
    assert torch.equal(tasks.sample(3, seed=1).support.x, tasks.sample(3, seed=1).support.x)
    other = type(tasks)(split="test").sample(3, seed=1).support.x
    assert not torch.equal(tasks.sample(3, seed=1).support.x, other)
    shapes = {tasks.sample(1, seed=seed).support.x.shape for seed in range(120)}
    assert len(shapes) == {Copy: 20, RepeatCopy: 10, AssociativeRecall: 5}[type(tasks)]


def test_lengths_are_drawn_from_both_ends_on():
    found = {Copy(length=(2, 5)).sample(1, seed=seed).query.y.shape[1] for seed in range(40)}
    assert found == {2, 3, 4, 5}
    steps = {RepeatCopy(length=(1, 1), copies=(1, 3)).sample(1, seed=seed).query.y.shape[1] for seed in range(40)}
    assert steps == {2, 3, 4}


@pytest.mark.parametrize(
    ("cls", "options", "text"),
    [
        (Copy, {"length": (0, 3)}, "length must be two integers"),
        (Copy, {"length": (4, 3)}, "low <= high"),
        (Copy, {"bits": 0}, "bits"),
        (RepeatCopy, {"copies": (0, 1)}, "copies"),
        (AssociativeRecall, {"items": (1, 3)}, "items must be an integer of at least 2"),
        (AssociativeRecall, {"split": "holdout"}, "split"),
    ],
)
def test_options_out_of_range(cls, options, text):
    with pytest.raises(qs.UsageError, match=text):
        cls(**options)


def test_one_line_for_people():
    assert Copy(length=(3, 3)).describe() == "Copy train, 3 vectors of 8 bits"
    assert RepeatCopy().describe() == "RepeatCopy train, 1 to 10 vectors of 8 bits, 1 to 10 copies"
    assert AssociativeRecall(split="test").describe() == "AssociativeRecall test, 2 to 6 items of 3 x 6 bits"
