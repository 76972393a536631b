"""Relation scores against the relation module applied to one concatenated pair after the other."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.learners.metric.relation import relation_loss
from quickstudy.testing import check_learner


def whole_module(learner):
    """g as one plain module on concatenated inputs."""
    return nn.Sequential(learner.first, learner.rest, nn.Sigmoid())


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_scores_of_flat_features_by_hand(pool, as_it_is, uneven):
    torch.manual_seed(0)
    learner = qs.RelationNet(as_it_is(4), relation_filters=6, pool=pool).double()
    support, q = uneven(4)
    scores = learner.adapt(support)(q).exp()
    g = whole_module(learner)
    for t in range(2):
        for k in range(3):
            own = support.x[t][support.y[t] == k]
            centre = own.mean(0) if pool == "mean" else own.sum(0)
            for i in range(5):
                expected = g(torch.cat([centre, q[t, i]])[None])
                torch.testing.assert_close(scores[t, i, k], expected[0, 0])


def test_scores_of_maps_by_hand_transductive(as_it_is, uneven):
    """BatchNorm in g normalises all pairs of a query and a class of ONE task together."""
    torch.manual_seed(0)
    learner = qs.RelationNet(as_it_is(1, 2, 2), relation_filters=3).double()
    support, q = uneven(1, 2, 2)
    scores = learner.adapt(support)(q).exp()
    g = whole_module(learner).train()
    for t in range(2):
        centres = [support.x[t][support.y[t] == k].mean(0) for k in range(3)]
        pairs = torch.stack([torch.cat([centre, x]) for x in q[t] for centre in centres])
        torch.testing.assert_close(scores[t], g(pairs).view(5, 3))


def test_scores_of_maps_by_hand_support(as_it_is, uneven):
    """... or by the pairs of the support examples with the classes, whatever the queries are."""
    torch.manual_seed(0)
    learner = qs.RelationNet(as_it_is(1, 2, 2), relation_filters=3, bn="support").double()
    support, q = uneven(1, 2, 2)
    scores = learner.adapt(support)(q).exp().detach()
    assert learner.bn_mode == "support"  # although the embedding has no BatchNorm
    first, rest = learner.first.requires_grad_(False), learner.rest.requires_grad_(False)
    for t in range(2):
        centres = [support.x[t][support.y[t] == k].mean(0) for k in range(3)]
        seen = torch.stack([torch.cat([centre, x]) for x in support.x[t] for centre in centres])
        for i in range(5):
            asked = torch.stack([torch.cat([centre, q[t, i]]) for centre in centres])
            own, other = first(seen), first(asked)
            for layer in rest:
                if isinstance(layer, nn.BatchNorm2d):
                    mean, var = own.mean((0, 2, 3)), own.var((0, 2, 3), correction=0)
                    own, other = (
                        nn.functional.batch_norm(z, mean, var, layer.weight, layer.bias) for z in (own, other)
                    )
                else:
                    own, other = layer(own), layer(other)
            torch.testing.assert_close(scores[t, i], other.sigmoid()[:, 0])


def test_the_loss_is_the_squared_error_of_the_scores():
    scores = torch.tensor([[0.9, 0.2], [0.5, 0.6]], dtype=torch.float64)
    expected = ((0.9 - 1) ** 2 + 0.2**2 + 0.5**2 + (0.6 - 1) ** 2) / 4
    assert relation_loss(scores.log(), torch.tensor([0, 1])).item() == pytest.approx(expected, rel=1e-12)
    with pytest.raises(qs.UsageError, match="label 2, but the support set has 2 classes"):
        relation_loss(scores.log(), torch.tensor([0, 2]))


def test_accuracy_is_what_it_is_scored_by():
    torch.manual_seed(0)
    learner = qs.RelationNet(qs.nets.Conv4(filters=3, size=16, pools=2, out_features=None), relation_filters=4)
    result = qs.evaluate(learner, qs.tasks.Glyphs(way=3, query=2, size=16), n_tasks=5)
    assert result.metric == "accuracy"
    assert 0 < result.loss < 1  # a mean of squared errors of scores


def test_flat_features_of_maps_are_maps():
    batch = qs.tasks.Glyphs(way=3, query=2, size=16).sample(2, 0)
    found = []
    for features in ("flat", "maps"):
        torch.manual_seed(0)
        net = qs.nets.Conv4(filters=3, size=16, pools=2, out_features=None, features=features)
        found.append(qs.RelationNet(net, relation_filters=4).adapt(batch.support)(batch.query.x))
    assert torch.equal(*found)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_maps_too_small_to_pool(side, as_it_is):
    learner = qs.RelationNet(as_it_is(2, side, side), relation_filters=3)
    x = torch.randn(1, 2, 2, side, side)
    assert learner.adapt(qs.Examples(x, torch.tensor([[0, 1]])))(x).shape == (1, 2, 2)


@pytest.mark.parametrize("bn", ["transductive", "support"])
def test_maps_keep_the_contract(bn):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=3, size=16, pools=2, out_features=None)
    learner = qs.RelationNet(net, relation_filters=3, bn=bn)
    check_learner(learner, qs.tasks.Glyphs(way=3, query=2, size=16), others=[qs.tasks.Glyphs(way=4, shot=2, size=16)])


@pytest.mark.parametrize("options", [{"relation_filters": 0}, {"relation_hidden": 0}])
def test_options_out_of_range(options, as_it_is):
    with pytest.raises(qs.UsageError, match=rf"{next(iter(options))} must be a whole number >= 1, got 0"):
        qs.RelationNet(as_it_is(4), **options)
    with pytest.raises(qs.UsageError, match=r"maps \[c, h, w\] or flat features"):
        qs.RelationNet(as_it_is(4, 4))
