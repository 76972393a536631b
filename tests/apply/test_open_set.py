"""Classifiers that know what they do not know: on real digits and characters, from five examples of a class."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import quickstudy as qs
from quickstudy.apply.calibration import calibration_error

SHOTS, ASKED = 5, 10


def parted(by_class):
    """Five classes known, the others unknown: labelled x and y, x and y of known ones, x of unknown ones."""
    few, asked = (np.concatenate([own[part] for own in by_class[:5]]) for part in (slice(SHOTS), slice(SHOTS, None)))
    names = np.array(["a", "b", "c", "d", "e"])
    return few, names.repeat(SHOTS), asked, names.repeat(ASKED), np.concatenate([own[SHOTS:] for own in by_class[5:]])


def compared(numbers=784, *, scale=0.1, **options):
    """Of numbers as they are, by the nearest mean."""
    return qs.FewShotClassifier(qs.ProtoNet(qs.nets.Flat(in_features=numbers), scale=scale), **options)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))  # the rows of one writer stand together
    x, y = x[order], y[order]
    return [parted([x[y == c][start : start + SHOTS + ASKED] for c in range(10)]) for start in (0, 50, 100, 150)]


@pytest.fixture(scope="module")
def characters(omniglot_data):
    tasks = qs.tasks.Omniglot(
        split="test", way=10, shot=SHOTS, query=ASKED, protocol="lake", rotate=False, data=str(omniglot_data)
    )
    batch = tasks.sample(6, seed=0)
    x, y = (torch.cat([getattr(part, n) for part in (batch.support, batch.query)], 1).numpy() for n in "xy")
    return [parted([x[t][y[t] == c].reshape(-1, 784) for c in range(10)]) for t in range(len(x))]


@pytest.fixture(params=[("digits", qs.TabularClassifier), ("characters", compared)], ids=["tabular", "few-shot"])
def known(request):
    """A classifier that may reject, and tasks for it."""
    name, make = request.param
    return make(reject=0.1), request.getfixturevalue(name)


def test_what_is_of_no_class_is_said_to_be_unknown(known):
    classifier, tasks = known
    right, wrong, found = [], [], []
    for x, y, asked, _, unknown in tasks:
        fitted = clone(classifier).fit(x, y)
        scores = fitted.unknown_score(np.concatenate([asked, unknown]))
        found.append(roc_auc_score(np.arange(len(scores)) >= len(asked), scores))
        answers, plain = fitted.predict(asked), clone(fitted).set_params(reject=None).fit(x, y).predict(asked)
        assert ((answers == "unknown") == (scores[: len(asked)] > fitted.threshold_)).all()
        assert (answers[answers != "unknown"] == plain[answers != "unknown"]).all()
        wrong.append((answers == "unknown").mean())
        right.append((fitted.predict(unknown) == "unknown").mean())
    assert np.mean(found) > (0.7 if isinstance(classifier, qs.TabularClassifier) else 0.58)  # of pixels as they are
    assert np.mean(wrong) < 0.2  # asked for: 0.1
    assert np.mean(right) > np.mean(wrong) + 0.05


def test_sets_hold_the_right_class_as_often_as_was_asked(known):
    classifier, tasks = known
    held, sizes = {0.6: [], 0.9: []}, {0.6: [], 0.9: []}
    for x, y, asked, truth, _ in tasks:
        fitted = clone(classifier).fit(x, y)
        for coverage in held:
            sets = fitted.predict_set(asked, coverage)
            held[coverage].append(sets[np.arange(len(truth)), np.searchsorted(fitted.classes_, truth)].mean())
            sizes[coverage].append(sets.sum(1).mean())
    assert 0.82 < np.mean(held[0.9]) < 0.98
    assert np.mean(held[0.6]) < np.mean(held[0.9]) - 0.1
    assert np.mean(sizes[0.6]) < np.mean(sizes[0.9])


def test_the_threshold_is_of_examples_that_were_held_out(known):
    """Of a labelled row itself, the nearest labelled row is no distance away."""
    classifier, tasks = known
    x, y, *_ = tasks[0]
    fitted = clone(classifier).fit(x, y)
    assert fitted.threshold_ > fitted.unknown_score(x).max()
    stricter = clone(classifier).set_params(reject=0.4).fit(x, y)
    assert stricter.threshold_ < fitted.threshold_
    again = fitted.fit(tasks[1][0], tasks[1][1]).threshold_
    assert again == clone(classifier).fit(tasks[1][0], tasks[1][1]).threshold_  # nothing of the first fit is left
    assert np.isnan(fitted.set_params(reject=None).threshold_)


def test_calibration(characters):
    """Of a learner that is much too sure, and of one that is too little; what it predicts stays."""
    for scale in (1.0, 0.1):
        errors = []
        for calibrate in (False, True):
            p, truth = [], []
            for x, y, asked, names, _ in characters:
                few = compared(scale=scale, calibrate=calibrate).fit(x, y)
                p.append(few.predict_proba(asked))
                truth.append(np.searchsorted(few.classes_, names))
                assert (few.classes_[p[-1].argmax(1)] == few.predict(asked)).all()
            p, truth = torch.from_numpy(np.concatenate(p)), torch.from_numpy(np.concatenate(truth))
            errors.append(float(calibration_error(p, truth)))
        assert errors[1] < 0.8 * errors[0]


def test_a_tables_probabilities_are_calibrated(digits):
    x, y, asked, *_ = digits[0]
    plain, fitted = (qs.TabularClassifier(calibrate=calibrate).fit(x, y) for calibrate in (False, True))
    p, q = plain.predict_proba(asked), fitted.predict_proba(asked)
    ratio = (np.log(q[:, 1:]) - np.log(q[:, :1])) / (np.log(p[:, 1:]) - np.log(p[:, :1]))
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-6)  # by one sharpness
    assert abs(ratio[0, 0] - 1) > 0.01


@pytest.mark.parametrize("make", [qs.TabularClassifier, lambda: compared(2)])
def test_what_to_label_next(make):
    """What is unsure, and not the same twice."""
    x, y = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]]), [0, 0, 1, 1]
    pool = np.array([[0.0, 0.5], [5.0, 0.5], [5.0, 0.5], [10.0, 0.5], [5.2, 9.0]])
    fitted = make().fit(x, y)
    chosen = fitted.next_to_label(pool, 2).tolist()
    assert {*chosen} in ({1, 4}, {2, 4})
    assert sorted(fitted.next_to_label(pool, 5)) == [0, 1, 2, 3, 4]
    for n in (0, 6):
        with pytest.raises(qs.UsageError, match="n must be"):
            fitted.next_to_label(pool, n)


def test_one_example_of_a_class():
    """Nothing can be held out: sets are by the probabilities' own word, and a threshold there is none."""
    x, y = np.eye(3), ["a", "b", "c"]
    for make in (qs.TabularClassifier, lambda **options: compared(3, **options)):
        fitted, plain = (make(calibrate=calibrate).fit(x, y) for calibrate in (True, False))
        np.testing.assert_allclose(fitted.predict_proba(x), plain.predict_proba(x))
        assert fitted.predict_set(x, 0.99).sum() >= fitted.predict_set(x, 0.5).sum() > 0
        with pytest.raises(qs.UsageError, match=r"every class has a single example.*reject=0.1 has no threshold"):
            make(reject=0.1).fit(x, y)


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"reject": 1.0}, [0, 0, 1, 1], r"reject must be in \(0, 1\) or None, got 1.0"),
        ({"reject": 0.1}, [-1, -1, 1, 1], "a class is called -1: say what unknown ones are called, unknown=NAME"),
        ({"reject": 0.1, "unknown": "?"}, [0, 0, 1, 1], r"must be all texts or all numbers, got '\?'"),
        ({"reject": 0.1, "unknown": 3}, ["a", "a", "b", "b"], "must be all texts or all numbers, got 3"),
    ],
)
def test_what_cannot_work_is_refused(options, y, message):
    for classifier in (qs.TabularClassifier(**options), compared(2, **options)):
        with pytest.raises(qs.UsageError, match=message):
            classifier.fit(np.arange(8.0).reshape(4, 2), y)


def test_what_unknown_ones_are_called():
    x = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1]])
    far = np.array([[0.0, 0.4], [500, 900]])
    for y, options, expected in (
        ([4, 4, 7, 7], {}, [4, -1]),
        (["a", "a", "b", "b"], {}, ["a", "unknown"]),
        (["a", "a", "b", "b"], {"unknown": "something else"}, ["a", "something else"]),
    ):
        assert qs.TabularClassifier(reject=0.1, **options).fit(x, y).predict(far).tolist() == expected
    with pytest.raises(qs.UsageError, match=r"coverage must be in \(0, 1\), got 1"):
        qs.TabularClassifier().fit(x, [0, 0, 1, 1]).predict_set(far, 1)


def test_it_is_saved(characters, tmp_path):
    x, y, asked, *_ = characters[0]
    few = compared(reject=0.2, unknown="none", calibrate=True).fit(x, y)
    few.save(tmp_path / "few")
    again = qs.FewShotClassifier.load(tmp_path / "few")
    assert (again.reject, again.unknown, again.calibrate, again.threshold_) == (0.2, "none", True, few.threshold_)
    assert (again.predict(asked) == few.predict(asked)).all()
    np.testing.assert_array_equal(again.predict_proba(asked), few.predict_proba(asked))
    with pytest.raises(qs.UsageError, match="classes must be numbers or texts"):
        few.set_params(unknown=object()).save(tmp_path / "few")
