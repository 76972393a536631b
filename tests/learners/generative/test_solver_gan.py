"""SolverGAN: what is averaged, what the critic sees, whose gradient goes where, and when training is over."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.learners.generative._ensembles import variety_of
from quickstudy.learners.generative.hypernet import Hypernet
from quickstudy.learners.generative.solver_gan import SolverGAN
from quickstudy.nets.generators.critic import SolverCritic, Spectral, hinge
from quickstudy.report.pictures import draw
from quickstudy.tasks import Examples
from quickstudy.testing import double

WAVES = qs.tasks.Sinusoids(shot=3, query=4)


def gan(loss="mse", *, stirred=True, **options):
    """In float64; ``stirred``: with generators that no longer begin at zero."""
    torch.manual_seed(0)
    images = qs.nets.Conv4(filters=3, size=16, out_features=3)
    model = images if loss == "cross_entropy" else qs.nets.MLP(hidden=(6,))
    learner = SolverGAN(model, width=6, noise=2, draws=3, critic_width=16, loss=loss, **options).double()
    for name, p in learner.named_parameters():
        if stirred and name.startswith("generator.") and p.ndim == 2 and not p.any():
            nn.init.normal_(p)
    return learner.eval()


def glyphs():
    return double(qs.tasks.Glyphs(way=3, shot=2, query=2, size=16).sample(2, seed=0))


def waves(seed=0):
    return double(WAVES.sample(2, seed))


def each_draw(learner, batch):
    """The predictions of every draw, one solver of one task after the other."""
    z = learner._noise(torch.zeros(2).double())
    given = learner.generator.embed(batch.support)
    found = []
    for d in range(3):
        params = learner.generator(given, z[:, d : d + 1])
        solver = learner.inner.solver(params, batch.support)
        found.append(solver(batch.query.x))
    return torch.stack(found, 1)


def test_an_ensemble_of_values_is_their_mean():
    learner, batch = gan(), waves()
    each = each_draw(learner, batch)
    assert each.std(1).min() > 1e-4  # the draws differ
    torch.testing.assert_close(learner.adapt(batch.support).each(batch.query.x), each)
    torch.testing.assert_close(learner.adapt(batch.support)(batch.query.x), each.sum(1) / 3)


def test_an_ensemble_of_classes_is_the_mean_of_probabilities():
    learner, batch = gan("cross_entropy", bn="support"), glyphs()
    each = each_draw(learner, batch)
    torch.testing.assert_close(learner.adapt(batch.support).each(batch.query.x), each)
    mean = learner.adapt(batch.support)(batch.query.x)
    torch.testing.assert_close(mean.exp(), each.softmax(-1).mean(1))
    assert (mean.exp() - each.mean(1).softmax(-1)).abs().max() > 1e-6  # not the softmax of the mean


def test_renaming_classes_renames_predictions():
    learner, batch = gan("cross_entropy", bn="support"), glyphs()
    new = torch.tensor([2, 0, 1])
    before = learner.adapt(batch.support)(batch.query.x)
    after = learner.adapt(Examples(batch.support.x, new[batch.support.y]))(batch.query.x)
    torch.testing.assert_close(after[..., new], before, rtol=1e-8, atol=1e-10)


def test_without_noise_and_steps_it_is_a_hypernet_at_its_start():
    learner, batch = gan(stirred=False), waves()
    hypernet = Hypernet(learner.model, loss="mse").double()
    torch.testing.assert_close(
        learner.adapt(batch.support)(batch.query.x), hypernet.adapt(batch.support)(batch.query.x)
    )


def test_noise_is_fixed_in_evaluation_and_new_in_training():
    learner, batch = gan(), waves()
    first, again = (learner.adapt(batch.support)(batch.query.x) for _ in range(2))
    assert torch.equal(first, again)
    learner.train()
    first, again = (learner.adapt(batch.support).each(batch.query.x) for _ in range(2))
    assert first.shape[1] == 2  # train_draws
    assert not torch.allclose(first, again)


def test_the_critic_item_by_item():
    """Against the equation, one query and class after the other; singular values from the whole decomposition."""
    torch.manual_seed(0)
    critic = SolverCritic(4, 3, 2, 5).double()
    f, c, p = torch.randn(2, 6, 4).double(), torch.randn(2, 3, 3).double(), torch.randn(2, 7, 6, 3, 2).double()
    found = critic(f, c, p)

    f, c = (v / v.square().mean(-1, keepdim=True).sqrt() for v in (f, c))

    def layer(one: Spectral, x):
        largest = torch.linalg.svd(one.weight)[1].max()
        return one.weight @ x / largest + (0 if one.bias is None else one.bias)

    def first(t, d, n, k):
        seen = ((critic.of_features, f[t, n]), (critic.of_code, c[t, k]), (critic.of_predictions, p[t, d, n, k]))
        return sum(layer(one, x) for one, x in seen).relu()

    for t, d in ((0, 0), (1, 4)):
        items = [layer(critic.second, first(t, d, n, k)).relu() for n in range(6) for k in range(3)]
        pooled = torch.stack(items).mean(0)
        torch.testing.assert_close(found[t, d], critic.last(layer(critic.third, pooled).relu())[0])


def test_hinge_by_hand():
    real, fake = torch.tensor([[2.0], [0.5]]), torch.tensor([[-3.0, 0.0], [1.0, -1.0]])
    assert hinge(real, fake).item() == pytest.approx((0 + 0.5) / 2 + (0 + 1 + 2 + 0) / 4)


def losses_by_hand(learner, batch):
    """Critic's and generator's losses of the equations, with everything attached to everything."""
    each = each_draw(learner, batch)
    query = batch.query
    params = {name: p.expand(2, *p.shape) for name, p in learner.model.named_parameters()}
    x, y = (torch.cat([getattr(batch.support, a), getattr(query, a)], 1) for a in "xy")
    for _ in range(learner.real_steps):
        held = {name: p.detach().requires_grad_() for name, p in params.items()}
        loss = (learner.net.forward(held, x) - y).square().mean((1, 2)).sum()
        grads = torch.autograd.grad(loss, list(held.values()))
        params = {n: p - learner.real_lr * g for (n, p), g in zip(params.items(), grads, strict=True)}
    found = learner.net.forward(params, query.x)
    features = learner.model.layers[:-1](query.x.flatten(0, 1)).unflatten(0, (2, -1)).detach()
    code = learner.generator.embed(batch.support).code.unsqueeze(1).detach()
    real = learner.critic(features, code, found.detach().unsqueeze(1).unsqueeze(3))
    fake = learner.critic(features, code, each.unsqueeze(3))
    of_critic = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]  # unbiased: never a draw's own square
    errors = each - query.y.unsqueeze(1)
    of_mean = sum((errors[:, a] * errors[:, b]).mean() for a, b in pairs) / len(pairs)
    return of_critic, of_mean - learner.adversarial * fake.mean() + (found - query.y).square().mean()


def test_each_part_gets_its_own_gradient():
    """Generator's and critic's parameters, against derivatives of losses that are put together by hand."""
    learner, batch = gan(adversarial=0.7, real_steps=2, real_lr=0.05), waves()
    result = learner.meta_gradient(batch)
    of_critic, of_generator = losses_by_hand(learner, batch)
    names = [name for name, _ in learner.named_parameters()]
    params = list(learner.parameters())
    by_critic = torch.autograd.grad(of_critic, params, retain_graph=True, materialize_grads=True, allow_unused=True)
    by_generator = torch.autograd.grad(of_generator, params, materialize_grads=True, allow_unused=True)
    for name, found, c, g in zip(names, result.gradients, by_critic, by_generator, strict=True):
        own, other = (c, g) if name.startswith("critic.") else (g, c)
        torch.testing.assert_close(found, own, rtol=1e-7, atol=1e-10)
        if other.any():
            assert not torch.allclose(found, other)
    assert any(c.any() for name, c in zip(names, by_critic, strict=True) if not name.startswith("critic."))


def test_training_makes_the_draws_differ_and_what_is_found_better():
    torch.manual_seed(0)
    learner = SolverGAN(qs.nets.MLP(hidden=(20,)), loss="mse", width=32, real_lr=0.02)
    tasks = qs.tasks.Sinusoids(shot=2)
    run = qs.train(learner, tasks, steps=60, meta_batch=8, meta_lr=3e-3, log_every=20)
    first, *_, last = (r for r in run.metrics() if "train/spread" in r)
    assert last["train/loss"] < first["train/loss"]
    assert last["train/spread"] > first["train/spread"] > 0
    assert 0 < last["train/variety"] <= 1


def test_it_says_when_it_has_collapsed():
    torch.manual_seed(0)
    learner = SolverGAN(qs.nets.MLP(hidden=(6,)), loss="mse", width=6, fail_after=3)
    with torch.no_grad():  # noise that goes nowhere
        learner.generator.body.from_code.weight[:, -learner.noise :] = 0
    learner.generator.body.from_code.weight.register_hook(lambda g: torch.zeros_like(g))
    frozen = learner.generator.body.from_code.weight.requires_grad_(False)
    with pytest.raises(qs.DivergedError, match=r"SolverGAN has collapsed: for 3 steps the noise"):
        qs.train(learner, WAVES, steps=10, meta_batch=2)
    assert not frozen.grad
    assert learner.health.collapsed == 3
    learner.eval()
    assert math.isfinite(qs.evaluate(learner, WAVES, n_tasks=2).mean)  # what it has learned can still be used


def test_it_says_when_the_critic_is_never_wrong():
    learner = gan(fail_after=2).train()
    learner.health.beaten.fill_(2)
    with pytest.raises(qs.DivergedError, match="lost against its critic: for 2 steps"):
        learner.meta_gradient(waves())
    counts = learner.health.after(torch.tensor(0.5), torch.tensor(1.0))
    assert [int(counts[name]) for name in ("collapsed", "beaten")] == [0, 3]
    assert int(learner.health.after(torch.tensor(0.5), torch.tensor(0.9))["beaten"]) == 0
    forever = gan(fail_after=0).train()
    forever.health.beaten.fill_(1000)
    forever.meta_gradient(waves())


def test_variety_is_the_share_of_the_change_that_draws_differ_in():
    start = {"a": torch.zeros(1, 1), "b": torch.ones(1, 2)}
    made = {"a": torch.tensor([[3.0], [5.0]]), "b": torch.ones(2, 2)}
    assert variety_of(made, start).item() == pytest.approx(math.sqrt(2 / (9 + 25)))
    assert variety_of({name: p.expand(2, -1) for name, p in start.items()}, start) == 0


def test_a_picture_of_curves_only():
    learner = gan().float()
    (picture,) = draw(learner, qs.tasks.Sinusoids(shot=5).sample(2, 0))
    assert picture.name == "family"
    assert "3 draws" in picture.caption
    assert not draw(gan("cross_entropy").float(), qs.tasks.Glyphs(way=3, size=16).sample(1, 0))


def test_what_cannot_work_is_refused():
    with pytest.raises(qs.UsageError, match="draws and train_draws >= 2"):
        gan(train_draws=1)
    with pytest.raises(qs.UsageError, match="fail_after >= 0"):
        gan(fail_after=-1)
    with pytest.raises(qs.UsageError, match="adapted to 2 tasks"):
        gan().adapt(waves().support)(torch.zeros(1, 3, 1).double())
