"""Attention over labels, and full-context embeddings against a slow reading of the paper's equations."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.learners.metric.matching import FullContext, log_label_attention
from quickstudy.testing import check_learner


def cos(a, b):
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def by_hand(f, g, y, scale, way=3):
    """P(y | x) of one query."""
    weights = [math.exp(scale * cos(f, gi)) for gi in g]
    return [sum(w for w, label in zip(weights, y, strict=True) if label == k) / sum(weights) for k in range(way)]


def test_plain_attention_by_hand(as_it_is, uneven):
    support, q = uneven(4)
    p = qs.MatchingNet(as_it_is(4), scale=2.0).double().adapt(support)(q).exp()
    for t in range(2):
        for i in range(5):
            expected = by_hand(q[t, i], support.x[t], support.y[t].tolist(), 2.0)
            assert p[t, i].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("fce", [False, True])
def test_predictions_are_log_probabilities(fce, as_it_is, uneven):
    torch.manual_seed(0)
    support, q = uneven(4)
    found = qs.MatchingNet(as_it_is(4), fce=fce, scale=5.0).double().adapt(support)(q)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2, 5, dtype=torch.float64))
    torch.testing.assert_close(found.log_softmax(-1), found)  # so cross-entropy is the paper's loss


def test_attention_that_is_certain_keeps_finite_losses_and_gradients():
    """The probability of the other class, exp(-400), is 0 in float32; its logarithm is not."""
    likeness = torch.tensor([[[200.0, -200.0]]], requires_grad=True)
    found = log_label_attention(likeness, torch.eye(2)[None])
    assert found.tolist() == [[[0.0, -400.0]]]
    found[0, 0, 1].backward()
    assert likeness.grad is not None
    assert likeness.grad.tolist() == [[[-1.0, 1.0]]]


def test_full_context_by_hand(as_it_is, uneven):
    """With LSTMs written out gate by gate, one task, one query at a time."""
    torch.manual_seed(0)
    learner = qs.MatchingNet(as_it_is(4), fce=True, processing_steps=3, scale=2.0).double()
    support, q = uneven(4)
    p = learner.adapt(support)(q).exp()
    context = learner.context

    def step(x, h, c, suffix="", module=context.both_ways):
        weights = (getattr(module, n + suffix) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        w_x, w_h, b_x, b_h = weights
        i, f, z, o = (w_x @ x + b_x + w_h @ h + b_h).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * z.tanh()
        return o.sigmoid() * c.tanh(), c

    zero = torch.zeros(4, dtype=torch.float64)
    for t in range(2):
        outs = []
        for suffix, order in (("_l0", range(6)), ("_l0_reverse", reversed(range(6)))):
            h = c = zero
            out = {}
            for i in order:
                h, c = step(support.x[t, i], h, c, suffix)
                out[i] = h
            outs.append(torch.stack([out[i] for i in range(6)]))
        g = outs[0] + outs[1] + support.x[t]
        for i in range(5):
            h = c = zero
            for _ in range(3):
                read = sum(a * gi for a, gi in zip((g @ h).softmax(0), g, strict=True))
                out, c = step(torch.cat([q[t, i], read]), h, c, module=context.reader)
                h = out + q[t, i]
            expected = by_hand(h.detach(), g.detach(), support.y[t].tolist(), 2.0)
            assert p[t, i].tolist() == pytest.approx(expected, rel=1e-9)


def test_full_context_reduces_to_plain(as_it_is, uneven):
    """LSTMs of zero weights say nothing: g(x) = f(x) = h(x)."""
    support, q = uneven(4)
    full, plain = (qs.MatchingNet(as_it_is(4), fce=fce).double() for fce in (True, False))
    with torch.no_grad():
        for p in full.context.parameters():
            p.zero_()
    torch.testing.assert_close(full.adapt(support)(q), plain.adapt(support)(q))


def test_full_context_sees_the_support_set_and_no_other_query(uneven):
    torch.manual_seed(0)
    context = FullContext(4, 2).double()
    support, q = uneven(4)
    g = context.support(support.x)
    torch.testing.assert_close(context.query(q[:, :1], g), context.query(q, g)[:, :1])
    other = support.x.clone()
    other[:, 0] += 1
    changed = (context.support(other) - g).abs().sum(-1)
    assert (changed > 0).all()  # every example's embedding depends on every other


@pytest.mark.parametrize("bn", ["transductive", "support"])
def test_full_context_keeps_the_contract(bn):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=3, size=16, out_features=None)
    learner = qs.MatchingNet(net, fce=True, processing_steps=2, bn=bn)
    check_learner(learner, qs.tasks.Glyphs(way=3, query=2, size=16), others=[qs.tasks.Glyphs(way=4, shot=2, size=16)])


@pytest.mark.parametrize("options", [{"processing_steps": 0}, {"scale": 0.0}])
def test_options_out_of_range(options, as_it_is):
    with pytest.raises(qs.UsageError, match="processing_steps >= 1 and scale > 0"):
        qs.MatchingNet(as_it_is(4), **options)
