"""Tasks of unequal size in one batch."""

import pytest
import torch

import quickstudy as qs
from quickstudy.core.losses import task_losses
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


def test_labels_of_no_numbers_mark_nothing():
    assert present(torch.zeros(1, 3, 0)).tolist() == [[True, True, True]]


def test_a_learner_that_does_not_skip_padding_says_so():
    two, three = (qs.tasks.Glyphs(way=2, shot=shot, size=16).sample(1, 0).support for shot in (1, 2))
    net = qs.nets.Conv4(filters=2, size=16, out_features=None)
    batch = pad([two, three])
    with pytest.raises(qs.UsageError, match="embeddings of all support examples are compared, so padding"):
        qs.ProtoNet(net).adapt(batch)(batch.x)
    with pytest.raises(qs.UsageError, match="this learner's loss counts all examples, so padding"):
        task_losses("cross_entropy", torch.zeros(1, 2, 3), torch.tensor([[0, -1]]))
    with pytest.raises(qs.UsageError, match="an inner step draws its minibatch from all examples, so padding"):
        qs.Reptile(qs.nets.MLP(in_features=1, out_features=2), inner_batch=1).adapt(
            pad([qs.Examples(torch.ones(1, n, 1), torch.zeros(1, n, dtype=torch.int64)) for n in (1, 3)])
        )


@pytest.mark.parametrize("bn", ["support", "transductive"])
def test_padding_that_batchnorm_would_count_is_refused_by_every_learner(bn):
    """In the support set; and among queries where these are normalised together."""
    short, long = (qs.tasks.Glyphs(way=2, shot=shot, query=shot, size=16).sample(1, 0) for shot in (1, 2))
    batch = qs.TaskBatch(*(pad([getattr(short, p), getattr(long, p)]) for p in ("support", "query")))
    whole = qs.TaskBatch(pad([long.support, long.support]), batch.query)
    same = {"bn": bn}
    for cls, head, options in (
        (qs.MAML, 2, {}),
        (qs.CAVIA, 2, {}),
        (qs.MAMLPlusPlus, 2, {}),
        (qs.ProtoMAML, 2, {}),
        (qs.InContext, None, {"width": 8, "heads": 2, "label_width": 4, "layers": 1}),
        (qs.SNAIL, None, {"out_features": 2}),
        (qs.MANN, None, {"out_features": 2, "hidden_size": 4, "slots": 4, "slot_width": 4, "heads": 1}),
        (qs.MANN, None, {"out_features": 2, "stream": False, "memory": "lstm"}),
        (qs.ANP, None, {"width": 8}),
    ):
        learner = cls(qs.nets.Conv4(filters=2, size=16, out_features=head), **same, **options)
        with pytest.raises(qs.UsageError, match=rf"BatchNorm \({bn}\) counts all examples in its statistics"):
            learner.adapt(batch.support)(batch.query.x)
        with pytest.raises(qs.UsageError, match="padding"):
            learner.meta_backward(batch, workers=1)
        if bn == "transductive":
            with pytest.raises(qs.UsageError, match="padding"):
                learner.score_tasks(whole, [learner.adapt_steps or 0])


def test_losses_of_ones_own_see_no_padding():
    """A callable is called with a task's examples alone, in the inner loop as for the queries."""
    waves = [qs.tasks.Sinusoids(shot=shot, query=shot).sample(1, shot) for shot in (2, 5)]
    both = qs.TaskBatch(*(pad([getattr(w, p) for w in waves]) for p in ("support", "query")))

    def largest(predictions, y):
        assert not y.isnan().any()
        return (predictions - y).abs().max()

    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(), loss=largest, inner_steps=2)
    each = [float(learner.meta_loss(wave)[0].detach()) for wave in waves]
    assert float(learner.meta_loss(both)[0].detach()) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_what_is_compiled_takes_no_padding():
    waves = [qs.tasks.Sinusoids(shot=shot).sample(1, 0) for shot in (2, 5)]
    batch = qs.TaskBatch(pad([w.support for w in waves]), pad([w.query for w in waves]))
    with pytest.raises(qs.UsageError, match="what is compiled cannot look into its data, so padding"):
        qs.MAML(qs.nets.MLP(), loss="mse").meta_backward(batch, compile=True)


def test_what_cannot_be_one_batch():
    one = qs.tasks.Sinusoids().sample(1, 0).support
    with pytest.raises(qs.UsageError, match="at least one task"):
        pad([])
    with pytest.raises(qs.UsageError, match=r"x \[1\] torch.float32, y \[1\] torch.float32; x \[2\]"):
        pad([one, qs.Examples(one.x.expand(1, 10, 2), one.y)])
