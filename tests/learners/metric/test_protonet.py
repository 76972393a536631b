"""Prototypes and distances against loops."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.core.distances import cosine_distances, squared_distances


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_logits_are_minus_the_distances_to_the_class_means(distance, as_it_is, uneven):
    support, q = uneven(4)
    found = qs.ProtoNet(as_it_is(4), distance=distance, scale=3.0).double().adapt(support)(q)
    for t in range(2):
        for k in range(3):
            own = [x for x, y in zip(support.x[t], support.y[t], strict=True) if y == k]
            prototype = sum(own) / len(own)
            for i, z in enumerate(q[t]):
                if distance == "euclidean":
                    far = sum((float(a) - float(b)) ** 2 for a, b in zip(z, prototype, strict=True))
                else:
                    far = 1 - float(z @ prototype) / math.sqrt(float(z @ z) * float(prototype @ prototype))
                assert found[t, i, k].item() == pytest.approx(-3.0 * far, rel=1e-12)


def test_the_loss_is_the_queries_mean_log_probability(as_it_is, uneven):
    support, q = uneven(4)
    learner = qs.ProtoNet(as_it_is(4)).double()
    y = torch.tensor([[0, 1, 2, 1, 0]] * 2)
    p = learner.adapt(support)(q).softmax(-1).tolist()
    expected = -sum(math.log(p[t][i][y[t, i]]) for t in range(2) for i in range(5)) / 10
    loss, metrics = learner.meta_loss(qs.TaskBatch(support, qs.Examples(q, y)))
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert set(metrics) == {"loss", "accuracy"}


def test_a_query_on_a_prototype_and_a_feature_of_length_zero():
    centres = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(squared_distances(centres, centres)[0].diagonal(), torch.zeros(2, dtype=torch.float64))
    assert cosine_distances(centres, centres).isfinite().all()


def test_options_out_of_range(as_it_is):
    with pytest.raises(qs.UsageError, match="euclidean or cosine and scale > 0"):
        qs.ProtoNet(as_it_is(4), scale=0.0)


def test_it_learns():
    torch.manual_seed(0)
    learner = qs.ProtoNet(qs.nets.Conv4(filters=8, size=16, out_features=None))
    tasks, test = (qs.tasks.Glyphs(split=s, way=5, query=5, size=16) for s in ("train", "test"))
    before = qs.evaluate(learner, test, n_tasks=25).loss
    qs.train(learner, tasks, steps=20, meta_batch=2, meta_lr=1e-2)
    assert qs.evaluate(learner, test, n_tasks=25).loss < 0.8 * before
