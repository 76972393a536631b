"""Each head by itself: what it promises of weights, biases and views; folds; answers in the span of few rows."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from quickstudy.apply.heads.bd_cspn import bd_cspn
from quickstudy.apply.heads.candidates import OF_COLUMNS, PLAIN, candidates
from quickstudy.apply.heads.folds import ALWAYS, folds, weights_of
from quickstudy.apply.heads.ridge import ridge
from quickstudy.apply.heads.span import Span
from quickstudy.apply.heads.transform import Centre, Spec, Transform


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 4)
    return rng.normal(size=(3, 20))[y] + 0.5 * rng.normal(size=(12, 20)), y


@pytest.mark.parametrize("name", PLAIN)
def test_a_weight_counts_as_so_many_rows(rows, name):
    x, y = rows
    weight = np.where(np.arange(12) % 4 == 0, 2.0, 1.0)
    twice = np.concatenate([np.arange(12), np.arange(0, 12, 4)])
    once = PLAIN[name].fit(x, y, weight)
    again = PLAIN[name].fit(x[twice], y[twice], np.ones(15))
    for found, expected in zip(once, again, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-2 if name == "svm" else 2e-3)
    for two in (PLAIN[name].fit(x[:8], y[:8], np.ones(8)),):
        assert two[0].shape == (2, 20)
        assert two[1].shape == (2,)


def test_ridge_is_scikit_learns(rows):
    x, y = rows
    weight = np.linspace(0.5, 2, 12)
    found, expected = ridge(x, y, weight, penalty=0.7), Ridge(alpha=0.7).fit(x, np.eye(3)[y], sample_weight=weight)
    np.testing.assert_allclose(found[0], expected.coef_, atol=1e-9)
    np.testing.assert_allclose(found[1], expected.intercept_, atol=1e-9)


def test_every_class_stays_in_every_fitting_and_views_stay_together():
    y = np.repeat([0, 1, 2], [7, 3, 1]).repeat(2)
    groups = np.arange(11).repeat(2)
    fold = folds(y, groups, 5, np.random.default_rng(0))
    assert (fold[::2] == fold[1::2]).all()
    assert (fold[-2:] == ALWAYS).all()
    for held in range(5):
        assert {*y[fold != held]} == {0, 1, 2}
        assert (fold == held).any()
    np.testing.assert_array_equal(weights_of(np.array([4, 4, 9])), [0.5, 0.5, 1])


@pytest.mark.parametrize("spec", [Spec(), Spec(power=True, centre=Centre.MEAN)])
def test_in_the_span_of_few_rows_a_head_is_what_it_is_of_all_features(rows, spec):
    x, y = rows
    weight, given = torch.ones(12, dtype=torch.float64), torch.from_numpy(x)
    transform = Transform(spec, 20).fit(given, weight)
    weights, biases = Span.of(transform, given).fit(PLAIN["ridge"], y, weight)
    z = transform(given)
    expected = ridge(z.numpy(), y, weight.numpy())
    np.testing.assert_allclose((z @ weights.T + biases).numpy(), z.numpy() @ expected[0].T + expected[1], atol=1e-9)
    np.testing.assert_allclose(z.norm(dim=1), 1)


def test_columns_of_one_unit_each_are_standardised():
    """One column is a thousand times as large as the others: lengths would see nothing but that one."""
    x = np.random.default_rng(0).normal(size=(12, 4)) * [1000, 1, 1, 1]
    assert candidates("auto", x, shrinks=False, can_measure=True) == OF_COLUMNS
    transform = Transform(Spec(standard=True), 4).fit(torch.from_numpy(x), torch.ones(12, dtype=torch.float64))
    np.testing.assert_allclose(transform(torch.from_numpy(x)).std(0, correction=0), 0.5)
    few = candidates("auto", x / [1000, 1, 1, 1], shrinks=False, can_measure=False)
    assert not {*few} & {*OF_COLUMNS}


def test_rectified_means_are_nearer_to_where_the_asked_rows_are():
    """One labelled row a class lies aside of its class; the asked rows say where that is."""
    rng = np.random.default_rng(0)
    means = np.eye(3, 20)
    labelled = means + 0.35 * rng.normal(size=(3, 20))
    y = np.repeat(np.arange(3), 20)
    asked = means[y] + 0.25 * rng.normal(size=(60, 20))
    given = [torch.nn.functional.normalize(torch.from_numpy(part), dim=1) for part in (labelled, asked)]
    p = bd_cspn(given[0], torch.arange(3), torch.ones(3, dtype=torch.float64), given[1])
    alone = (given[1] @ given[0].T).argmax(1).numpy()
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1).numpy() == y).mean() > (alone == y).mean()
