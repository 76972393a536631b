"""The tabular classifier: scikit-learn's checks, the shipped weights, symmetries, missing values, limits."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import quickstudy as qs
from quickstudy.apply import pretrained
from quickstudy.apply.tabular import _rank, _some_of_each, _telling

TYPED = "the tests check types at run time, so a constructor refuses nonsense; without that it passes"
EXPECTED = {"check_do_not_raise_errors_in_init_or_set_params": TYPED}


@parametrize_with_checks([qs.TabularClassifier()], expected_failed_checks=lambda estimator: EXPECTED, xfail_strict=True)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    """Five labelled rows per class, and all others."""
    x, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    few = np.concatenate([np.flatnonzero(y == k)[:5] for k in range(3)])
    rest = np.setdiff1d(np.arange(150), few)
    return x[few], names[few], x[rest], names[rest]


# -- what is shipped -------------------------------------------------------------------------------------------------


def test_the_shipped_checkpoint_knows_iris(iris):
    x, y, asked, truth = iris
    assert qs.TabularClassifier().fit(x, y).score(asked, truth) > 0.85
    assert qs.TabularClassifier(n_ensemble=3).fit(x, y).score(asked, truth) > 0.85


def test_what_is_shipped_is_small_and_says_how_it_was_made():
    folder = Path(pretrained.__file__).parent
    assert sum(file.stat().st_size for file in folder.glob("tabular.*")) < 5e6
    about = pretrained.about("tabular")
    assert about["tasks"]["tasks"] == "tabular"  # synthetic tables alone
    assert about["training"]["steps"] >= 1000
    assert about["results"][-1]["mean"] > 0.4
    learner = pretrained.load("tabular")
    assert isinstance(learner, qs.InContext)
    assert learner.table
    assert not learner.training
    with pytest.raises(qs.UsageError, match="no pretrained 'chess': characters, optimizer, tabular"):
        pretrained.about("chess")


def test_export_and_load(tmp_path, monkeypatch):
    learner = qs.InContext(qs.nets.Flat(in_features=4), table=True, width=8, label_width=4, layers=1, heads=2)
    tasks = qs.tasks.TabularPrior(way=2, shot=2, query=2, features=4)
    run = qs.train(learner, tasks, steps=1, meta_batch=1, out=tmp_path / "run")
    pretrained.export(run, tmp_path / "shipped", "tiny")
    monkeypatch.setattr(pretrained, "_folder", lambda: tmp_path / "shipped")
    assert pretrained.names() == ["tiny"]
    assert json.loads((tmp_path / "shipped" / "tiny.json").read_text())["step"] == 1
    batch = tasks.sample(1, 0)
    found = pretrained.load("tiny").adapt(batch.support)(batch.query.x)
    assert torch.equal(found, run.learner().adapt(batch.support)(batch.query.x))
    wider = pretrained.load("tiny", model=qs.nets.Flat(in_features=9))
    assert (
        wider.adapt(qs.Examples(torch.rand(1, 4, 9), torch.tensor([[0, 1, 0, 1]])))(torch.rand(1, 2, 9)).shape[-1] == 2
    )


# -- what it promises ------------------------------------------------------------------------------------------------


def test_order_and_units_do_not_matter(iris):
    x, y, asked, _ = iris
    expected = qs.TabularClassifier().fit(x, y).predict_proba(asked)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(15), rng.permutation(4)
    found = (
        qs.TabularClassifier().fit(x[rows][:, columns] * 1e6 - 3, y[rows]).predict_proba(asked[:, columns] * 1e6 - 3)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    renamed = np.char.add(np.where(y == "setosa", "z", "a"), y)
    found = qs.TabularClassifier().fit(x, renamed).predict_proba(asked)
    np.testing.assert_allclose(found[:, [2, 0, 1]], expected, atol=1e-9)


@pytest.mark.parametrize("n_ensemble", [1, 2])
@pytest.mark.parametrize(
    ("scale", "shift"),
    [(1.0, 1e7), (1.0, -1e12), (1e-6, 1e3), (1e-3, 1.7e9), (1e-35, 0), (1e-300, 0), (1e160, 0), (1e307, 0)],
)
def test_neither_size_nor_a_large_common_part_matters(iris, scale, shift, n_ensemble):
    """Columns whose spread is tiny beside their mean, and numbers whose squares no float holds."""
    x, y, asked, _ = iris
    expected = qs.TabularClassifier(n_ensemble=n_ensemble).fit(x, y).predict_proba(asked)
    found = qs.TabularClassifier(n_ensemble=n_ensemble).fit(scale * x + shift, y).predict_proba(scale * asked + shift)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_column_that_differs_by_rounding_alone_is_constant(iris):
    x, y, asked, _ = iris
    constant = np.where(np.arange(15) % 2, 0.1 + 0.2, 0.3)[:, None]
    expected = qs.TabularClassifier().fit(np.hstack([x, 0 * constant]), y).predict_proba(np.c_[asked, asked[:, 0]])
    found = qs.TabularClassifier().fit(np.hstack([x, constant]), y).predict_proba(np.c_[asked, asked[:, 0]])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_query_far_out_of_the_labelled_rows_has_a_probability(iris):
    x, y, asked, _ = iris
    asked = np.concatenate([asked[:2] * 1e300, asked[:2] - 1.7e308])
    assert np.isfinite(qs.TabularClassifier(n_ensemble=2).fit(x * 1e-200, y).predict_proba(asked)).all()


def test_queries_are_alone(iris):
    x, y, asked, _ = iris
    classifier = qs.TabularClassifier(n_ensemble=2).fit(x, y)
    np.testing.assert_allclose(classifier.predict_proba(asked)[3:4], classifier.predict_proba(asked[3:4]), atol=1e-12)
    many = np.tile(asked, (3, 1))  # more than are run at once
    np.testing.assert_allclose(classifier.predict_proba(many)[-135:], classifier.predict_proba(asked), atol=1e-12)


def test_missing_values(iris):
    x, y, asked, truth = iris
    rng = np.random.default_rng(0)
    x, asked = x.copy(), asked.copy()
    x[rng.random(x.shape) < 0.1] = np.nan
    asked[rng.random(asked.shape) < 0.1] = np.nan
    for n_ensemble in (1, 2):
        classifier = qs.TabularClassifier(n_ensemble=n_ensemble).fit(x, y)
        assert np.isfinite(classifier.predict_proba(asked)).all()
        assert classifier.score(asked, truth) > 0.75
    x[:, 2] = np.nan  # a column of which nothing is known
    assert np.isfinite(qs.TabularClassifier(n_ensemble=2).fit(x, y).predict_proba(asked)).all()
    with pytest.raises(ValueError, match="infinity"):
        classifier.predict(np.full((1, 4), np.inf))


def test_the_views_of_an_ensemble(iris):
    x, y, asked, _ = iris
    one, two, four = (qs.TabularClassifier(n_ensemble=n).fit(x, y) for n in (1, 2, 4))
    ranks = 2 * two.predict_proba(asked) - one.predict_proba(asked)
    # ranks do not care for a monotone change of the columns
    bent = qs.TabularClassifier(n_ensemble=2).fit(np.exp(x), y).views_[1].predict(np.exp(asked))
    np.testing.assert_allclose(bent, ranks, atol=1e-9)
    assert [len(view.columns) for view in four.views_] == [4, 4, 3, 3]
    np.testing.assert_allclose(four.predict_proba(asked).sum(1), 1)
    again = pickle.loads(pickle.dumps(four))
    np.testing.assert_allclose(again.predict_proba(asked), four.predict_proba(asked))


def test_ranks():
    known = np.array([1.0, 2.0, 2.0, 5.0, np.nan])
    found = _rank(known, np.array([0.0, 1.0, 2.0, 9.0, np.nan]))
    share = (np.array([0.0, 0.5, 2.0, 4.0]) + 0.5) / 5
    np.testing.assert_allclose(found[:4], torch.special.ndtri(torch.from_numpy(share)).numpy())
    assert np.isnan(found[4])


# -- more than it was trained on -------------------------------------------------------------------------------------


def test_more_classes_columns_and_rows():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 12
    x = 4 * rng.normal(size=(12, 30))[y] + rng.normal(size=(60, 30))
    assert qs.TabularClassifier().fit(x[:36], y[:36]).score(x[36:], y[36:]) > 0.7
    wide = np.concatenate([rng.normal(size=(60, 300)), x], 1)
    kept = _telling(wide, y, 40)
    assert len(kept) == 40
    assert (kept >= 300).sum() >= 25
    for changed in (wide + 1e11, wide * 1e-200, wide * 1e300):
        assert (_telling(changed, y, 40) == kept).mean() > 0.9
    assert qs.TabularClassifier(max_features=40).fit(wide[:36], y[:36]).views_[0].columns.shape == (40,)
    chosen = _some_of_each(y, 15, rng)
    assert len(set(chosen.tolist())) == 15
    assert set(y[chosen]) == set(range(12))


def test_search_and_cross_validation(iris):
    *_, x, y = iris
    assert cross_val_score(qs.TabularClassifier(), x, y, cv=3).min() > 0.8


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"n_ensemble": 0}, [0, 1, 0, 1], "n_ensemble, max_rows and max_features must be >= 1"),
        ({}, [1, 1, 1, 1], "at least 2 classes .* got 1 class"),
        ({"max_rows": 2}, [0, 1, 2, 1], "no more classes than max_rows=2, got 3 classes"),
    ],
)
def test_what_cannot_work_is_refused(options, y, message):
    with pytest.raises(qs.UsageError, match=message):
        qs.TabularClassifier(**options).fit(np.arange(8.0).reshape(4, 2), y)
