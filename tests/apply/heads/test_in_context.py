"""The head that was trained reads the labelled rows as a set of sets, whatever their width."""

import numpy as np
import pytest
import torch

from quickstudy.apply.embedding_classifier import EmbeddingClassifier
from quickstudy.apply.heads import in_context as of
from quickstudy.apply.heads.in_context import in_context, plain_heads
from quickstudy.apply.heads.ridge import ridge
from quickstudy.core.errors import RunError


def rows(classes=3, each=4, width=20, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), each)
    x = rng.normal(size=(classes, width))[y] + rng.normal(size=(len(y), width))
    return x / np.linalg.norm(x, axis=1, keepdims=True), y


def scores(x, y, asked, weight=None):
    weights, biases = in_context(x, y, np.ones(len(y)) if weight is None else weight)
    return asked @ weights.T + biases


def test_neither_names_nor_order_nor_directions_matter():
    x, y = rows()
    asked = rows(seed=1)[0]
    expected = scores(x, y, asked)
    names, order = np.array([2, 0, 1]), np.random.default_rng(2).permutation(len(y))
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(30, 20)))[0].T  # to another width, too
    np.testing.assert_allclose(scores(x, names[y], asked)[:, names], expected, atol=1e-4)
    np.testing.assert_allclose(scores(x[order], y[order], asked), expected, atol=1e-4)
    np.testing.assert_allclose(scores(x @ turn, y, asked @ turn), expected, atol=1e-4)


def test_it_reads_ridge_regressions_as_they_are():
    x, y = rows()
    weight = np.array([1.0, 1, 1, 1, 2, 2, 0.5, 0.5, 1, 1, 1, 1])
    even = weight * len(y) / (3 * np.bincount(y, weight)[y])
    g, one = (
        torch.from_numpy(x @ x.T)[None],
        torch.nn.functional.one_hot(torch.from_numpy(y)) * torch.from_numpy(even)[:, None],
    )
    duals, biases, left_out = plain_heads(g, one[None])
    for k, penalty in enumerate(of.PENALTIES, start=1):
        expected = ridge(x, y, even, penalty=penalty)
        np.testing.assert_allclose(duals[k, 0].T.numpy() @ x, expected[0], atol=1e-9)
        np.testing.assert_allclose(biases[k, 0], expected[1], atol=1e-9)
    assert len(left_out) == 1 + len(of.PENALTIES)


@pytest.mark.parametrize("counts", [(1, 1), (1, 6, 3), (5,) * 5], ids=str)
def test_a_classifier_of_it_answers_and_is_saved(counts, tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(len(counts)), 40)
    x = 1.5 * rng.normal(size=(len(counts), 32))[y] + rng.normal(size=(len(y), 32))
    few = np.concatenate([np.flatnonzero(y == c)[:count] for c, count in enumerate(counts)])
    classifier = EmbeddingClassifier(head="in-context", reject=0.05).fit(x[few], y[few])
    p = classifier.predict_proba(x)
    assert (p.argmax(1) == y).mean() > 0.9
    assert np.isfinite(classifier.unknown_score(x)).all()
    classifier.save(tmp_path / "few.safetensors")
    np.testing.assert_array_equal(EmbeddingClassifier.load(tmp_path / "few.safetensors").predict_proba(x), p)


def test_a_file_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(of, "FILE", "none.safetensors")
    of._shipped.cache_clear()
    with pytest.raises(RunError, match=r"none\.safetensors cannot be read"):
        scores(*rows(), rows()[0])
    of._shipped.cache_clear()
