"""In-context learning: what is read once, which symmetries are exact, and the loss."""

import math

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.learners.in_context.incontext import ABSENT, Standardise


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def table(columns=5, **options):
    sizes = {"width": 8, "label_width": 4, "layers": 2, "heads": 2, "groups": 2, "whitened": 1}
    return qs.InContext(qs.nets.Flat(in_features=columns), table=True, **{**sizes, **options})


def curve(**options):
    return qs.InContext(qs.nets.MLP(hidden=(6,), out_features=None), loss="gaussian", layers=2, **options)


def rows(tasks=2, n=9, columns=5, way=3):
    y = torch.stack([torch.randperm(n) % way for _ in range(tasks)])
    return qs.Examples(torch.randn(tasks, n, columns), y), torch.randn(tasks, 4, columns)


# -- symmetries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [table, curve])
def test_the_order_of_the_support_does_not_matter(learner):
    own = learner()
    support, asked = rows() if learner is table else (qs.Examples(torch.randn(2, 9, 1), torch.randn(2, 9, 1)), None)
    asked = torch.randn(2, 4, 1) if asked is None else asked
    order = torch.randperm(9)
    other = qs.Examples(support.x[:, order], support.y[:, order])
    torch.testing.assert_close(own.adapt(other)(asked), own.adapt(support)(asked))


def test_renaming_classes_renames_predictions():
    learner, (support, asked) = table(), rows()
    names = torch.tensor([2, 0, 1])
    expected = learner.adapt(support)(asked)
    found = learner.adapt(qs.Examples(support.x, names[support.y]))(asked)
    torch.testing.assert_close(found[..., names], expected)
    assert expected.std(-1).min() > 1e-4  # the classes are told apart


def test_columns_may_come_in_any_order_and_units():
    learner, (support, asked) = table(), rows()
    order = torch.randperm(5)
    expected = learner.adapt(support)(asked)
    found = learner.adapt(qs.Examples(support.x[..., order], support.y))(asked[..., order])
    torch.testing.assert_close(found, expected)
    units = torch.tensor([1e-3, 1.0, 7.0, 1e4, 2.0])
    found = learner.adapt(qs.Examples(support.x * units + 3 * units, support.y))(asked * units + 3 * units)
    torch.testing.assert_close(found, expected)


def test_the_same_weights_take_any_number_of_columns_and_classes():
    learner, wider = table(5), table(11)
    wider.load_state_dict(learner.state_dict())
    support, asked = rows(n=14, columns=11, way=7)
    assert wider.adapt(support)(asked).shape == (2, 4, 7)
    # columns that say nothing are nothing
    few, asked = rows()
    blank = torch.full((2, 9, 6), 3.0), torch.full((2, 4, 6), 3.0)
    found = wider.adapt(qs.Examples(torch.cat([few.x, blank[0]], -1), few.y))(torch.cat([asked, blank[1]], -1))
    torch.testing.assert_close(found, learner.adapt(few)(asked))


# -- padding, missing values -----------------------------------------------------------------------------------------


def test_padding_changes_nothing():
    learner = table()
    long, short = (qs.Examples(e.x[:1], e.y[:1]) for e in (rows(n=9)[0], rows(n=6)[0]))
    asked = torch.randn(2, 4, 5)
    together = learner.adapt(qs.tasks.pad([long, short]))(asked)
    torch.testing.assert_close(together[1:], learner.adapt(short)(asked[1:]))
    values = [qs.Examples(torch.randn(1, n, 1), torch.randn(1, n, 1)) for n in (3, 7)]
    of_values = curve()
    found = of_values.adapt(qs.tasks.pad(values))(asked[..., :1])
    torch.testing.assert_close(found[:1], of_values.adapt(values[0])(asked[:1, :, :1]))


def test_tasks_of_several_ways_in_a_batch():
    learner = table()
    two, three = rows(n=6, way=2)[0], rows(n=6, way=3)[0]
    asked = torch.randn(2, 4, 5)
    both = qs.Examples(torch.cat([two.x[:1], three.x[:1]]), torch.cat([two.y[:1], three.y[:1]]))
    found = learner.adapt(both)(asked)
    torch.testing.assert_close(found[:1, :, :2], learner.adapt(two[:1])(asked[:1]))
    assert (found[0, :, 2] == ABSENT).all()
    torch.testing.assert_close(found[1:], learner.adapt(three[:1])(asked[1:]))


def test_a_missing_value_counts_as_the_mean():
    learner, (support, asked) = table(), rows()
    holes = support.x.clone()
    holes[:, 2, 1] = torch.nan
    unknown = asked.clone()
    unknown[:, 0, 3] = torch.nan
    scale = Standardise(holes, torch.ones(2, 9, dtype=torch.bool))
    known = holes[0, [0, 1, 3, 4, 5, 6, 7, 8], 1]
    expected = (holes[0, 0, 1] - known.mean()) / known.std()
    torch.testing.assert_close(scale(holes)[0, 0, 1], 3 * torch.asinh(expected / 3))
    assert (scale(holes)[:, 2, 1] == 0).all()
    filled = unknown.clone()
    filled[:, 0, 3] = support.x[:, :, 3].mean(1)
    support = qs.Examples(holes, support.y)
    torch.testing.assert_close(learner.adapt(support)(unknown), learner.adapt(support)(filled))


# -- reading and answering -------------------------------------------------------------------------------------------


def test_the_support_is_read_once():
    learner, (support, asked) = table(), rows()
    solver = learner.adapt(support)
    expected = solver(asked)
    with torch.no_grad():
        learner.transformer.layers[0].key.weight.zero_()  # of the support alone
        learner.transformer.embed_label.weight.zero_()
    torch.testing.assert_close(solver(asked), expected)
    assert not torch.allclose(learner.adapt(support)(asked), expected)


def test_a_head_by_hand():
    """One linear head that looks at scalar products alone computes sum_i <x, x_i> u(c_i) / n."""
    net = qs.nets.ContextTransformer(features=None, width=2, label_width=4, layers=1, heads=2, groups=1)
    layer = net.layers[0]
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
        layer.norm_c.weight.fill_(1)
        layer.by_relation[1, 0] = 1.0
        layer.label_value.weight[8:12] = torch.eye(4)  # the second head reads the state as it is
        layer.label_out.weight[:, 8:12] = torch.eye(4)
    rows_1nf, labels, there = torch.randn(1, 6, 3), torch.eye(2)[torch.arange(6) % 2][None], torch.ones(1, 2).bool()
    asked = torch.randn(1, 4, 3)
    read = net.read(rows_1nf, labels, torch.ones(1, 6).bool(), there)
    weights = read.comparison.weights[0, 0]
    assert weights.sum().item() == pytest.approx(1)
    for q in range(4):
        for o in range(2):
            c = net.unknown.clone()
            for i in range(6):
                state = nn.functional.layer_norm(net.embed_label(labels[0, i, o].view(1)), (4,))
                c = c + (weights * asked[0, q] * rows_1nf[0, i]).sum() / 6 * state
            expected = net.head(net.norm(c))
            torch.testing.assert_close(net.answer(read, asked)[0, q, o], expected)


def test_whitened_columns_are_unrelated_within_classes():
    from quickstudy.nets._comparisons import whitening

    labels = torch.eye(2)[torch.arange(400) % 2][None]
    x = torch.randn(1, 400, 3) @ torch.randn(3, 3) + 5 * labels @ torch.randn(2, 3)
    white = whitening(torch.zeros(1, 1), x, labels, torch.ones(1, 400, 1))[0, 0]
    within = torch.cat([x[0, k::2] - x[0, k::2].mean(0) for k in range(2)]) @ white
    cov = within.T @ within / 400
    assert (cov - cov.diagonal().mean() * torch.eye(3)).abs().max() < 0.1 * cov.diagonal().mean()
    raw = torch.cat([x[0, k::2] - x[0, k::2].mean(0) for k in range(2)])
    assert (raw.T @ raw / 400).corrcoef().fill_diagonal_(0).abs().max() > 0.3


def test_regression_predicts_a_mean_and_a_spread():
    learner = curve(min_std=0.3)
    batch = qs.tasks.Sinusoids(shot=4, query=3).sample(2, 0)
    batch = qs.TaskBatch(*(qs.Examples(e.x.double(), e.y.double()) for e in (batch.support, batch.query)))
    found = learner.adapt(batch.support)(batch.query.x)
    assert found.shape == (2, 3, 1, 2)
    mean, std = found.unbind(-1)
    assert (std > 0.3).all()
    nats = ((batch.query.y - mean) / std).square() / 2 + (std * math.sqrt(2 * math.pi)).log()
    torch.testing.assert_close(learner.meta_loss(batch)[0], nats.mean())


def test_it_learns_to_learn():
    """From nothing to separable clusters in a few steps."""
    torch.set_default_dtype(torch.float32)
    learner = qs.InContext(qs.nets.Flat(in_features=8), table=True, layers=1, whitened=1)
    tasks = qs.tasks.TabularPrior(way=2, shot=5, query=8, features=8, fixed=True)
    before = qs.evaluate(learner, tasks, n_tasks=50).loss
    qs.train(learner, tasks, steps=25, meta_batch=8, meta_lr=5e-3, clip=1.0)
    assert qs.evaluate(learner, tasks, n_tasks=50).loss < before - 0.03


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: table(heads=3), "an even number"),
        (lambda: table(width=9), "multiple of heads"),
        (lambda: table(loss="mse"), "loss cross_entropy or gaussian"),
        (lambda: curve(min_std=0.0), "min_std > 0"),
        (lambda: curve().adapt(qs.Examples(torch.zeros(1, 2, 1), torch.zeros(1, 2).long())), "needs values y"),
        (lambda: table().adapt(qs.Examples(torch.zeros(1, 2, 5), torch.zeros(1, 2))), "labels must be integers"),
    ],
)
def test_what_cannot_work_is_refused(make, message):
    with pytest.raises(qs.UsageError, match=message):
        make()
