"""The classifier of features: scikit-learn's checks, few and uneven rows, views, its limits, files, export."""

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import parametrize_with_checks

import quickstudy as qs
from quickstudy.apply.background import Background

TYPED = "the tests check types at run time, so a constructor refuses nonsense; without that it passes"
EXPECTED = {"check_do_not_raise_errors_in_init_or_set_params": TYPED}


@parametrize_with_checks(
    [qs.EmbeddingClassifier()], expected_failed_checks=lambda estimator: EXPECTED, xfail_strict=True
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


NAMES = np.array(["ash", "birch", "cedar", "elm"])


def rows_of(classes, each, seed, spread=1.0):
    """Features like an encoder's: each class around a mean of its own, and all of them far from zero."""
    means = np.random.default_rng(0).normal(size=(8, 32)) + 2
    y = np.repeat(np.arange(classes), each)
    return means[y] + spread * np.random.default_rng(seed).normal(size=(len(y), 32)), y


@pytest.fixture(scope="module")
def few():
    x, y = rows_of(4, 5, 1)
    return qs.EmbeddingClassifier(reject=0.05).fit(x, NAMES[y])


@pytest.fixture(scope="module")
def known():
    return Background({"any": Background.component(*rows_of(8, 6, 9), rank=4)})


# -- what it answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["auto", "centroid", "ridge", "logistic", "svm"])
@pytest.mark.parametrize("counts", [(1, 1), (1, 1, 1), (1, 30, 2), (5, 5)])
def test_from_one_row_a_class_upwards_in_any_numbers(head, counts, known):
    x, y = rows_of(len(counts), 30, 1)
    kept = np.concatenate([np.flatnonzero(y == c)[:count] for c, count in enumerate(counts)])
    asked, truth = rows_of(len(counts), 20, 2)
    for background in (None, known):
        classifier = qs.EmbeddingClassifier(head=head, background=background, reject=0.1).fit(x[kept], y[kept])
        p = classifier.predict_proba(asked)
        np.testing.assert_allclose(p.sum(1), 1)
        assert (p.argmax(1) == truth).mean() > 0.85  # however few a class has beside others
        assert np.isfinite(classifier.threshold_)
        covered = classifier.predict_set(asked)[np.arange(len(truth)), truth].mean()
        assert covered > 0.6 or counts[0] < counts[1]  # by rows of the larger classes alone
        np.testing.assert_allclose(classifier.weights_.sum(), 1)


def test_views_of_an_example_weigh_as_one():
    x, y = rows_of(3, 4, 1, spread=3)
    asked, _ = rows_of(3, 10, 2, spread=3)
    once = qs.EmbeddingClassifier().fit(x, y)
    thrice = qs.EmbeddingClassifier().fit(np.repeat(x, 3, 0), np.repeat(y, 3), groups=np.repeat(np.arange(12), 3))
    np.testing.assert_allclose(thrice.predict_proba(asked), once.predict_proba(asked), atol=1e-6)
    naive = qs.EmbeddingClassifier().fit(np.repeat(x, 3, 0), np.repeat(y, 3))  # held out beside its own copies
    assert naive.predict_proba(asked).max(1).mean() > once.predict_proba(asked).max(1).mean()
    with pytest.raises(qs.UsageError, match="one label"):
        qs.EmbeddingClassifier().fit(x, y, groups=np.zeros(12))


def test_it_is_as_sure_as_it_is_right():
    """On rows that can hardly be told apart it says so."""
    found = {}
    for spread in (1.0, 6.0):
        x, y = rows_of(4, 10, 1, spread)
        asked, truth = rows_of(4, 100, 2, spread)
        p = qs.EmbeddingClassifier().fit(x, y).predict_proba(asked)
        found[spread] = (p.argmax(1) == truth).mean() - p.max(1).mean()
    assert abs(found[1.0]) < 0.05
    assert abs(found[6.0]) < 0.15


def test_a_background_helps_with_what_varies_in_every_class():
    rng = np.random.default_rng(0)
    loud = np.where(np.arange(32) < 4, 6.0, 0.5)
    means = rng.normal(size=(30, 32))
    background = Background({"any": Background.component(*_loud(means, np.arange(5, 30), 6, loud, rng))})
    x, y = _loud(means, np.arange(5), 1, loud, rng)
    asked, truth = _loud(means, np.arange(5), 20, loud, rng)
    plain, told = (qs.EmbeddingClassifier(background=b).fit(x, y).score(asked, truth) for b in (None, background))
    assert told > plain + 0.1
    with pytest.raises(qs.UsageError, match=r"width \[32\], X has 31"):
        qs.EmbeddingClassifier(background=background).fit(x[:, 1:], y)


def _loud(means, classes, each, loud, rng):
    y = np.repeat(classes, each)
    return means[y] + loud * rng.normal(size=(len(y), 32)), y


def test_asked_together_they_help_each_other():
    """All asked rows are shifted alike, as by another camera."""
    x, y = rows_of(3, 1, 1)
    asked, truth = rows_of(3, 15, 2)
    asked = asked + 3 * np.random.default_rng(5).normal(size=32)
    alone, together = (qs.EmbeddingClassifier(transductive=t).fit(x, y) for t in (False, True))
    assert together.score(asked, truth) > alone.score(asked, truth)
    np.testing.assert_allclose(together.unknown_score(asked[:2]), together.unknown_score(asked)[:2])


# -- what it does not know -------------------------------------------------------------------------------------------


def test_rows_of_no_class_are_unknown_and_few_others(few):
    asked, truth = rows_of(8, 50, 2)
    found = few.predict(asked)
    assert (found[truth >= 4] == "unknown").mean() > 0.85
    assert (found[truth < 4] == "unknown").mean() < 0.15
    assert (found[truth < 4] == NAMES[truth[truth < 4]]).mean() > 0.85
    assert np.isnan(qs.EmbeddingClassifier().fit(*rows_of(2, 2, 1)).threshold_)


def test_sets_hold_the_right_class_as_often_as_they_say():
    shares = []
    for seed in range(10):
        x, y = rows_of(4, 5, seed, spread=4)
        asked, truth = rows_of(4, 30, 100 + seed, spread=4)
        sets = qs.EmbeddingClassifier().fit(x, y).predict_set(asked, 0.8)
        shares.append(sets[np.arange(120), truth].mean())
    assert 0.74 < np.mean(shares) < 0.88


def test_what_to_label_next_is_what_it_is_unsure_of(few):
    pool, of = rows_of(4, 20, 3)
    between = (pool[of == 0] + pool[of == 1]) / 2
    found = few.next_to_label(np.concatenate([pool, between]), 5)
    assert len({*found.tolist()}) == 5
    assert (found >= 80).mean() > 0.5
    with pytest.raises(qs.UsageError, match="at most the 80"):
        few.next_to_label(pool, 81)
    with pytest.raises(qs.UsageError, match="coverage"):
        few.predict_set(pool, 1.0)


def test_check_says_how_good_it_will_be():
    x, y = rows_of(3, 9, 1)
    y[4] = 2
    told = qs.EmbeddingClassifier().fit(np.concatenate([x, x[:1] + 50]), [*NAMES[y], "elm"]).check(repeats=2)
    assert told.accuracy.low < told.accuracy.value < told.accuracy.high
    assert told.accuracy.value > 0.9
    assert [(s.row, s.given, s.looks_like) for s in told.suspects] == [(4, "cedar", "ash")]
    assert told.untested == ("elm",)
    assert told.confusion.sum() == pytest.approx(27)
    with pytest.raises(qs.UsageError, match="every class has one example"):
        qs.EmbeddingClassifier().fit(x[::9], y[::9]).check()


# -- taken away ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels", [NAMES, np.array([3, 5, 9, 11]), NAMES.astype(object)], ids=["text", "int", "object"]
)
def test_what_was_saved_answers_as_it_did(labels, known, tmp_path):
    x, y = rows_of(4, 3, 1)
    asked, _ = rows_of(4, 10, 2)
    classifier = qs.EmbeddingClassifier(background=known, reject=0.2, random_state=3).fit(x, labels[y])
    classifier.save(tmp_path / "few.safetensors")
    again = qs.EmbeddingClassifier.load(tmp_path / "few.safetensors")
    np.testing.assert_allclose(again.predict_proba(asked), classifier.predict_proba(asked), atol=1e-12)
    np.testing.assert_array_equal(again.predict(asked), classifier.predict(asked))
    np.testing.assert_array_equal(again.predict_set(asked), classifier.predict_set(asked))
    assert again.threshold_ == classifier.threshold_
    assert again.fit(x, labels[y]).threshold_ == pytest.approx(classifier.threshold_)  # with the same options
    content = bytearray((tmp_path / "few.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(content)
    for name in ("bad", "none"):
        with pytest.raises(qs.RunError, match=rf"{name}\.safetensors is no classifier"):
            qs.EmbeddingClassifier.load(tmp_path / f"{name}.safetensors")


def test_the_module_gives_the_same_answers_in_float32(few):
    asked, _ = rows_of(4, 10, 2)
    p, score = few.module(torch.from_numpy(asked).float())
    np.testing.assert_allclose(p.numpy(), few.predict_proba(asked), atol=1e-4)
    np.testing.assert_allclose(score.numpy(), few.unknown_score(asked), atol=1e-4)
    with pytest.raises(qs.UsageError, match="cannot be exported"):
        _ = qs.EmbeddingClassifier(transductive=True).fit(*rows_of(2, 2, 1)).module


# -- bad input -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_said():
    x, y = rows_of(2, 3, 1)
    wrong = {"head": ({"head": "tail"}), "reject": {"reject": 1.5}, "called 0": {"unknown": 0, "reject": 0.1}}
    for message, options in wrong.items():
        with pytest.raises(qs.UsageError, match=message):
            qs.EmbeddingClassifier(**options).fit(x, y)
    with pytest.raises(qs.UsageError, match="at least 2 classes, got 1 class"):
        qs.EmbeddingClassifier().fit(x, np.zeros(6, int))
    with pytest.raises(qs.DataError):
        qs.EmbeddingClassifier().fit(x, [None, *y[1:]])
    with pytest.raises(ValueError, match="NaN"):
        qs.EmbeddingClassifier().fit(np.where(x == x[0, 0], np.nan, x), y)


def test_rows_of_zeros_and_constant_columns_have_answers(known):
    x, y = rows_of(2, 3, 1)
    x[0], x[:, 3] = 0, 0
    for background in (None, known):
        p = qs.EmbeddingClassifier(background=background).fit(x, y).predict_proba(np.zeros((2, 32)))
        assert np.isfinite(p).all()
