"""Tasks of unequal size in one batch."""

import pytest
import torch

import quickstudy as qs
from quickstudy.tasks import pad, present


def test_classes_of_images():
    tasks = [qs.tasks.Glyphs(way=way, shot=shot, size=16).sample(2, 0).support for way, shot in ((2, 1), (3, 2))]
    both = pad(tasks)
    assert both.x.shape == (4, 6, 1, 16, 16)
    assert both.y.dtype == torch.int64
    for t, one in enumerate(tasks):
        n = one.y.shape[1]
        rows = slice(2 * t, 2 * t + 2)
        assert torch.equal(both.x[rows, :n], one.x)
        assert torch.equal(both.y[rows, :n], one.y)
        assert (both.x[rows, n:] == 0).all()
        assert (both.y[rows, n:] == -1).all()
    assert present(both.y).tolist() == [[True] * 2 + [False] * 4] * 2 + [[True] * 6] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values(dtype):
    x = torch.randn(1, 5, 1, dtype=dtype)
    both = pad([qs.Examples(x[:, :2], x[:, :2].expand(1, 2, 3)), qs.Examples(x, x.expand(1, 5, 3))])
    assert both.y.shape == (2, 5, 3)
    assert both.y.dtype == dtype
    assert both.y[0, 2:].isnan().all()
    assert present(both.y).tolist() == [[True, True, False, False, False], [True] * 5]
    assert torch.equal(both.x[1:], x)


def test_values_of_a_single_number_each():
    """Labels ``[tasks, n]`` may be values too; one output that is missing of two is no padding."""
    assert present(torch.tensor([[1.0, float("nan")]])).tolist() == [[True, False]]
    assert present(torch.tensor([[[1.0, float("nan")], [float("nan")] * 2]])).tolist() == [[True, False]]


def test_a_learner_that_does_not_know_of_padding_says_so():
    two, three = (qs.tasks.Glyphs(way=2, shot=shot, size=16).sample(1, 0).support for shot in (1, 2))
    net = qs.nets.Conv4(filters=2, size=16, out_features=None)
    batch = pad([two, three])
    with pytest.raises(qs.UsageError, match="run from -1"):
        qs.ProtoNet(net).adapt(batch)(batch.x)
    waves = [qs.tasks.Sinusoids(shot=shot).sample(1, 0) for shot in (2, 3)]
    learner = qs.MAML(qs.nets.MLP(), loss="mse")
    assert learner.adapt(pad([w.support for w in waves]))(waves[0].query.x.expand(2, -1, -1))[0].isnan().all()


def test_what_cannot_be_one_batch():
    one = qs.tasks.Sinusoids().sample(1, 0).support
    with pytest.raises(qs.UsageError, match="at least one task"):
        pad([])
    with pytest.raises(qs.UsageError, match=r"x \[1\] torch.float32, y \[1\] torch.float32; x \[2\]"):
        pad([one, qs.Examples(one.x.expand(1, 10, 2), one.y)])
