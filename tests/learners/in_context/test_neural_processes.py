"""Conditional and attentive neural processes against their equations, in loops and float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.core.losses import mean_of, std_of
from quickstudy.learners.in_context._latent import noise_of
from quickstudy.tasks import pad
from quickstudy.testing import check_learner, double

BOTH = [qs.CNP, qs.ANP]


def rows(layers: nn.Module, x):
    """Linear layers with ReLU between them, by hand."""
    linear = [m for m in layers.modules() if isinstance(m, nn.Linear)]
    for layer in linear[:-1]:
        x = (layer.weight @ x + layer.bias).clamp(min=0)
    return linear[-1].weight @ x + linear[-1].bias


def attend(attention, q, keys, values):
    """Head by head, key by key, for one query."""
    size = len(attention.key.bias) // attention.heads
    read = []
    for head in range(attention.heads):
        own = slice(head * size, (head + 1) * size)
        asked = (attention.query.weight @ q + attention.query.bias)[own]
        strength = [math.exp(asked @ (attention.key.weight @ k + attention.key.bias)[own] / size**0.5) for k in keys]
        told = [(attention.value.weight @ v + attention.value.bias)[own] for v in values]
        read.append(sum(s * v for s, v in zip(strength, told, strict=True)) / sum(strength))
    return attention.out.weight @ torch.cat(read) + attention.out.bias


def decoded(decoder, z, r, average=None):
    h = decoder.asked.weight @ z + decoder.asked.bias + decoder.code.weight @ r
    if average is not None:
        h = h + decoder.average.weight @ average
    return rows(decoder.rest, h.clamp(min=0))


def codes(learner, z, y):
    """h of each example of one group, and what the examples tell one another."""
    r = [rows(learner.encoder, torch.cat([a, b]) if learner.encoder.values else a) for a, b in zip(z, y, strict=True)]
    if isinstance(learner, qs.ANP) and learner.self_attention:
        r = [one + attend(learner.among, one, r, r) for one in r]
    return r


def read(learner, q, z, r):
    """The group's code for one query."""
    return attend(learner.across, q, z, r) if isinstance(learner, qs.ANP) else sum(r) / len(r)


@pytest.fixture(params=["cnp", "anp", "anp without self-attention"])
def make(request, as_it_is):
    """A small learner in float64 whose features are the inputs."""

    def build(features, **options):
        torch.manual_seed(0)
        options |= {"width": 8, "depth": 2}
        if request.param == "cnp":
            return qs.CNP(as_it_is(features), **options).double()
        own = request.param == "anp"
        return qs.ANP(as_it_is(features), heads=2, self_attention=own, **options).double()

    return build


def values(tasks=2, n=5, outputs=2):
    rng = torch.Generator().manual_seed(1)
    x, q = (torch.randn(tasks, m, 3, generator=rng, dtype=torch.float64) for m in (n, 4))
    return qs.Examples(x, torch.randn(tasks, n, outputs, generator=rng, dtype=torch.float64)), q


@torch.no_grad()
def test_regression_by_hand(make):
    learner = make(3, loss="gaussian", out_features=2, min_std=0.3)
    support, q = values()
    found = learner.adapt(support)(q)
    assert found.shape == (2, 4, 2, 2)
    for t in range(2):
        z = list(support.x[t])
        r = codes(learner, z, support.y[t])
        for i in range(4):
            raw = decoded(learner.decoder, q[t, i], read(learner, q[t, i], z, r)).view(2, 2)
            torch.testing.assert_close(mean_of(found)[t, i], raw[:, 0])
            torch.testing.assert_close(std_of(found)[t, i], 0.3 + 0.7 * (1 + raw[:, 1].exp()).log())


@torch.no_grad()
def test_classification_by_hand(make, uneven):
    """Every class by its own examples; the mean over classes goes to all."""
    learner = make(4)
    support, q = uneven(4)
    found = learner.adapt(support)(q)
    assert found.shape == (2, 5, 3)
    for t in range(2):
        by_class = [[x for x, y in zip(support.x[t], support.y[t], strict=True) if y == k] for k in range(3)]
        r = [codes(learner, z, z) for z in by_class]
        for i in range(5):
            code = [read(learner, q[t, i], *pair) for pair in zip(by_class, r, strict=True)]
            logits = [decoded(learner.decoder, q[t, i], c, sum(code) / 3) for c in code]
            torch.testing.assert_close(found[t, i], torch.cat(logits))


def test_the_order_of_the_support_set_does_not_matter(make, uneven):
    for learner, (support, q) in ((make(3, loss="gaussian", out_features=2), values()), (make(4), uneven(4))):
        order = torch.randperm(support.x.shape[1], generator=torch.Generator().manual_seed(0))
        other = qs.Examples(support.x[:, order], support.y[:, order])
        torch.testing.assert_close(learner.adapt(other)(q), learner.adapt(support)(q))


def test_renaming_the_classes_renames_the_predictions(make, uneven):
    learner = make(4)
    support, q = uneven(4)
    new = torch.tensor([1, 2, 0])
    renamed = learner.adapt(qs.Examples(support.x, new[support.y]))(q)
    torch.testing.assert_close(renamed[..., new], learner.adapt(support)(q))


def test_padding_is_not_seen(make, uneven):
    """Each task of a padded batch as if it were alone, and finite gradients."""
    classes, q = uneven(4)
    for learner, whole, x, shorter in (
        (make(3, loss="gaussian", out_features=2), *values(), 2),
        (make(4), classes, q, 4),  # of the first four examples, each class has one
    ):
        short = qs.Examples(whole.x[:1, :shorter], whole.y[:1, :shorter])
        solver = learner.adapt(pad([short, whole[1:]]))
        torch.testing.assert_close(solver(x)[:1], learner.adapt(short)(x[:1]))
        torch.testing.assert_close(solver(x)[1:], learner.adapt(whole[1:])(x[1:]))
        solver(x).square().sum().backward()
        assert all(p.grad.isfinite().all() for p in learner.parameters() if p.grad is not None)


def test_a_missing_value_of_an_example_is_not_taken_for_padding(make):
    learner = make(3, loss="gaussian", out_features=2)
    support, q = values()
    y = support.y.clone()
    y[0, 1, 0] = torch.nan
    found = learner.adapt(qs.Examples(support.x, y))(q)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@pytest.mark.parametrize("bn", ["transductive", "support"])
def test_padding_that_batchnorm_would_count_is_refused(bn):
    net = qs.nets.Conv4(filters=2, size=16, out_features=None)
    one, two = (qs.tasks.Glyphs(way=2, shot=shot, size=16).sample(1, 0).support for shot in (1, 2))
    batch = pad([one, two])
    with pytest.raises(qs.UsageError, match=rf"BatchNorm \({bn}\) counts all examples"):
        qs.CNP(net, bn=bn, width=8).adapt(batch)(batch.x)


def test_a_query_near_an_example_reads_that_example(as_it_is):
    """The attention's point: with a sharp one, the code is the value of the nearest example; the mean cannot."""
    learner = qs.ANP(as_it_is(1), loss="gaussian", width=4, depth=1, heads=1, self_attention=False).double()
    with torch.no_grad():
        # scores -(q - k)^2 up to what is the same for all keys: q.k with k on a circle, sharpened
        x = torch.tensor([[[0.0], [1.0], [2.0]]]).double()
        r = torch.randn(1, 3, 4, dtype=torch.float64)
        learner.across.query.weight.copy_(torch.tensor([[0.0], [400.0], [0.0], [0.0]]))
        learner.across.query.bias.copy_(torch.tensor([-200.0, 0.0, 0.0, 0.0]))
        learner.across.key.weight.copy_(torch.tensor([[0.0], [1.0], [0.0], [0.0]]))
        learner.across.key.bias.zero_()
        keys = x.clone()
        seen = torch.ones(1, 1, 1, 3, dtype=torch.bool)
        read_last = learner.across(torch.tensor([[[5.0]]]).double(), keys, r, seen)
        alone = learner.across(torch.tensor([[[5.0]]]).double(), keys[:, 2:], r[:, 2:], seen[..., 2:])
        hidden = learner.across(torch.tensor([[[5.0]]]).double(), keys, r, torch.tensor([[[[True, True, False]]]]))
        second = learner.across(torch.tensor([[[5.0]]]).double(), keys[:, 1:2], r[:, 1:2], seen[..., :1])
    torch.testing.assert_close(read_last, alone)
    torch.testing.assert_close(hidden, second)


@pytest.mark.parametrize("learner", BOTH)
def test_a_few_steps_learn_what_the_support_set_says(learner):
    """On lines through the origin, of a slope that the support set tells: better than knowing the distribution only."""

    class Lines:
        def sample(self, tasks, seed):
            rng = torch.Generator().manual_seed(seed)
            slope = torch.randn(tasks, 1, 1, generator=rng)
            x = torch.rand(tasks, 12, 1, generator=rng) * 2 - 1
            y = slope * x
            return qs.TaskBatch(qs.Examples(x[:, :4], y[:, :4]), qs.Examples(x[:, 4:], y[:, 4:]))

    torch.manual_seed(0)
    own = learner(qs.nets.MLP(out_features=None, hidden=(32,)), loss="gaussian", width=32, min_std=0.05)
    qs.train(own, Lines(), steps=200, meta_batch=16, meta_lr=3e-3, schedule="cosine", workers=1)
    batch = Lines().sample(200, 10**6)
    with torch.no_grad():
        found = own.adapt(batch.support)(batch.query.x)
    # Without the support set, nothing is better than zero: an error of the variance.
    assert F.mse_loss(mean_of(found), batch.query.y) < 0.15 * batch.query.y.var()
    assert std_of(found).mean() < 0.3


@pytest.mark.parametrize("learner", BOTH)
@pytest.mark.parametrize(
    ("options", "text"),
    [({"loss": "poetry"}, "poetry"), ({"width": 0}, "width"), ({"depth": 0}, "depth"), ({"min_std": 0.0}, "min_std")],
)
def test_options_out_of_range(learner, options, text):
    with pytest.raises(qs.UsageError, match=text):
        learner(qs.nets.MLP(out_features=None), **options)


def test_heads_share_the_width():
    with pytest.raises(qs.UsageError, match="a multiple of heads"):
        qs.ANP(qs.nets.MLP(out_features=None), width=12, heads=8)


@pytest.mark.parametrize("learner", BOTH)
def test_examples_of_another_kind(learner):
    waves = qs.tasks.Sinusoids().sample(2, 0).support
    with pytest.raises(qs.UsageError, match="built with loss='cross_entropy'"):
        learner(qs.nets.MLP(out_features=None)).adapt(waves)
    with pytest.raises(qs.UsageError, match="every class from 0"):
        learner(qs.nets.MLP(out_features=None)).adapt(qs.Examples(waves.x[:, :2], torch.tensor([[0, 2], [1, 2]])))


# -- the latent path -------------------------------------------------------------------------------------------------


def latent_process():
    torch.manual_seed(0)
    net = qs.nets.MLP(in_features=1, out_features=None, hidden=(8,))
    return qs.ANP(net, loss="gaussian", width=8, heads=2, depth=2, latent=True)


def test_the_latent_process_keeps_the_contract():
    tasks = qs.tasks.Sinusoids(shot=4, query=3)
    check_learner(latent_process(), tasks, others=[qs.tasks.Sinusoids(shot=7, query=2)])


def test_its_loss_is_minus_the_elbo_per_target():
    """The divergence by torch, the likelihood of support and queries at the drawn z."""
    learner = latent_process().double()
    batch = double(qs.tasks.Sinusoids(shot=4, query=3).sample(2, 0))
    loss, metrics = learner.meta_loss(batch)
    x, y = (torch.cat([getattr(batch.support, a), getattr(batch.query, a)], 1) for a in "xy")
    f, everyone = learner.net.forward(learner.net.start(2), x), torch.ones(2, 7, 1, dtype=torch.bool)
    q = [learner.latent_path(f[:, :n], y[:, :n], everyone[:, :n]) for n in (7, 4)]
    normals = [torch.distributions.Normal(one.mean, one.std) for one in q]
    kl = torch.distributions.kl_divergence(*normals).sum(1)
    torch.testing.assert_close(metrics["kl"], kl.mean().detach())
    noise = (noise_of(x, q[0].mean) * q[0].std + q[0].mean - q[1].mean) / q[1].std
    found = learner._fit(f[:, :4], batch.support.y, noise)(f)
    nats = -torch.distributions.Normal(found[..., 0], found[..., 1]).log_prob(y).sum((1, 2))
    torch.testing.assert_close(loss, ((nats + kl) / 7).mean())


def test_functions_are_drawn_around_the_solver():
    learner, batch = latent_process(), qs.tasks.Sinusoids(shot=4, query=3).sample(2, 0)
    with torch.no_grad():
        drawn = torch.stack([solver(batch.query.x) for solver in learner.functions(batch.support, 4, seed=1)])
        again = learner.functions(batch.support[1:], 4, seed=1)[2](batch.query.x[1:])
    assert drawn.shape == (4, 2, 3, 1, 2)
    assert drawn[..., 0].std(0).min() > 0
    torch.testing.assert_close(again, drawn[2, 1:])
    with pytest.raises(qs.UsageError, match="only with a latent path"):
        qs.ANP(qs.nets.MLP(out_features=None), loss="gaussian").functions(batch.support, 1)
    with pytest.raises(qs.UsageError, match="latent=True is for functions"):
        qs.ANP(qs.nets.MLP(out_features=None), latent=True)
