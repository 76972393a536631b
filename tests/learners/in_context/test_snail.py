"""SNAIL against a plain reading of the paper: each query's whole sequence through causal convolutions and attention."""

import math

import pytest
import torch
import torch.nn.functional as F

import quickstudy as qs
from quickstudy.learners.in_context.snail import SNAIL
from quickstudy.nets.memory.temporal import Chain, DenseBlock, tc_block
from quickstudy.tasks import pad
from quickstudy.testing import check_learner

SMALL = {"embedding": 5, "keys": (2, 3, 4), "values": (3, 2, 4), "tc_filters": 3}


def snail(as_it_is, **options):
    torch.manual_seed(0)
    return SNAIL(as_it_is(4), **{"out_features": 3, "length": 6, **SMALL, **options}).double()


def attention(block, x):
    """``x [length, channels]``; one row of the causally masked softmax after the other."""
    rows = []
    for t in range(len(x)):
        past = x[: t + 1]
        scores = block.to_key(past) @ block.to_query(x[t]) / math.sqrt(block.to_key.out_features)
        rows.append(torch.cat([x[t], scores.softmax(0) @ block.to_value(past)]))
    return torch.stack(rows)


def dense(block, x):
    """A convolution of kernel 2, padded on the left."""
    kernel = torch.stack([block.before.weight, block.now.weight], -1)  # [out, in, 2]: the earlier tap comes first
    padded = F.pad(x.T[None], (block.dilation, 0))
    f, g = F.conv1d(padded, kernel, block.now.bias, dilation=block.dilation)[0].T.chunk(2, -1)
    return torch.cat([x, f.tanh() * g.sigmoid()], -1)


def whole_sequence(block, x):
    if isinstance(block, Chain):
        for part in block.blocks:
            x = whole_sequence(part, x)
        return x
    return dense(block, x) if isinstance(block, DenseBlock) else attention(block, x)


def slowly(learner, support_x, labels, query_x):
    """Logits of one query of one task."""
    steps = torch.cat([learner.embed(support_x), labels], -1)
    last = torch.cat([learner.embed(query_x), torch.zeros_like(labels[0])])
    return learner.head(whole_sequence(learner.blocks, torch.cat([steps, last[None]])))[-1]


@pytest.mark.parametrize("length", [2, 6, 20])
def test_every_query_is_the_last_step_of_its_own_sequence(length, as_it_is, uneven):
    learner = snail(as_it_is, length=length, arrange="given")
    support, q = uneven(4)
    found = learner.adapt(support)(q)
    for t in range(2):
        labels = F.one_hot(support.y[t], 3).double()
        for i in range(5):
            torch.testing.assert_close(found[t, i], slowly(learner, support.x[t], labels, q[t, i]), rtol=1e-10, atol=0)


def test_sorted_steps_are_the_plain_reading_of_the_sorted_support(as_it_is, uneven):
    learner = snail(as_it_is)
    support, q = uneven(4)
    found = learner.adapt(support)(q)
    for t in range(2):
        order = learner.embed(support.x[t])[:, 0].argsort()
        labels = F.one_hot(support.y[t], 3).double()[order]
        torch.testing.assert_close(found[t, 0], slowly(learner, support.x[t][order], labels, q[t, 0]))


def test_values_stand_where_the_labels_were(as_it_is, uneven):
    learner = snail(as_it_is, out_features=2, loss="mse", arrange="given")
    support, q = uneven(4)
    y = torch.randn(2, 6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = learner.adapt(qs.Examples(support.x, y))(q)
    torch.testing.assert_close(found[1, 2], slowly(learner, support.x[1], y[1], q[1, 2]))
    with pytest.raises(qs.UsageError, match=r"needs values y \[tasks, n, 2\], got torch.int64 \[2, 6\]"):
        learner.adapt(support)


def test_the_order_of_the_support_matters_only_as_given(as_it_is, uneven):
    support, q = uneven(4)
    other = torch.tensor([4, 0, 5, 2, 1, 3])
    shuffled = qs.Examples(support.x[:, other], support.y[:, other])
    anyhow, as_given = (snail(as_it_is, arrange=arrange) for arrange in ("sorted", "given"))
    torch.testing.assert_close(anyhow.adapt(shuffled)(q), anyhow.adapt(support)(q))
    assert (as_given.adapt(shuffled)(q) - as_given.adapt(support)(q)).abs().min() > 1e-6


@pytest.mark.parametrize("arrange", ["sorted", "given"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_padding_cannot_be_seen(loss, arrange, as_it_is, uneven):
    """Neither by the convolutions nor by attention, in predictions or gradients; whole rows of it, too."""
    learner = snail(as_it_is, loss=loss, arrange=arrange)
    support, q = uneven(4)
    values = support.y.unsqueeze(-1) * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    y = support.y if loss == "cross_entropy" else values
    short, long = qs.Examples(support.x[:1, :3], y[:1, :3]), qs.Examples(support.x[1:], y[1:])
    together = pad([short, long])
    garbage = torch.where(together.y.isnan() if loss == "mse" else together.y == -1, 7.0, 0.0)
    padded_x = together.x + (garbage[..., :1] if loss == "mse" else garbage.unsqueeze(-1))
    found = learner.adapt(qs.Examples(padded_x, together.y))(q)
    alone = torch.cat([learner.adapt(short)(q[:1]), learner.adapt(long)(q[1:])])
    torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-14)
    params = list(learner.parameters())
    for a, b in zip(torch.autograd.grad(found.sum(), params), torch.autograd.grad(alone.sum(), params), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_the_convolutions_look_length_steps_back():
    """The last step depends on every one of ``length`` steps, and for a power of two on none before them."""
    torch.manual_seed(0)
    for length in (2, 5, 8):
        block = tc_block(2, length, 3).double()
        x = torch.randn(1, 12, 2, dtype=torch.float64, requires_grad=True)
        y, _ = block.read(x, torch.ones(1, 12, dtype=torch.bool))
        (grad,) = torch.autograd.grad(y[0, -1].sum(), x)
        seen = (grad[0].abs().sum(-1) > 0).tolist()
        covers = 2 ** math.ceil(math.log2(length))
        assert seen == [False] * (12 - covers) + [True] * covers


def test_fewer_classes_and_no_more(as_it_is, uneven):
    learner = snail(as_it_is, out_features=4)
    support, q = uneven(4)
    assert learner.adapt(support)(q).shape == (2, 5, 4)
    with pytest.raises(qs.UsageError, match=r"out_features=4, for labels from 0 to 3 .* run from 0 to 4"):
        learner.adapt(qs.Examples(support.x, support.y * 2))


@pytest.mark.parametrize("arrange", ["sorted", "given"])
def test_keeps_the_contract_at_other_shots(arrange):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=3, size=16, out_features=None)
    learner = SNAIL(net, **{**SMALL, "out_features": 3, "length": 4}, arrange=arrange, bn="support")
    others = [qs.tasks.Glyphs(way=3, shot=4, size=16), qs.tasks.Glyphs(way=2, size=16)]
    check_learner(learner, qs.tasks.Glyphs(way=3, query=2, size=16), others=others)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 1}, "length >= 2 and sizes >= 1, got length=1"),
        ({"tc_filters": 0}, "tc_filters=0"),
        ({"keys": (2, 0, 2)}, r"keys=\(2, 0, 2\)"),
    ],
)
def test_options_out_of_range(options, message, as_it_is):
    with pytest.raises(qs.UsageError, match=message):
        SNAIL(as_it_is(4), **options)
