"""MetaGAN: what each part minimizes and is moved by, what adapting sees, and that without its game it is its base."""

import math

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.learners.generative._discriminators import discriminator_losses, log_odds
from quickstudy.nets.generators.fakes import FakeGenerator
from quickstudy.report.pictures import draw
from quickstudy.testing import check_learner, double


def gan(base="maml", *, way=3, size=16, **options):
    """In float64 and evaluation mode: the noise is always the same."""
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=3, size=size, out_features=None, pools=2 if base == "relation" else 4)
    options = {"inner_lr": 0.1, "noise": 4, "width": 6, "fakes": 3, "relation_filters": 4, "bn": "support", **options}
    return qs.MetaGAN(net, out_features=way, x_shape=(1, size, size), base=base, **options).double().eval()


def glyphs(way=3, shot=2, seed=0):
    return double(qs.tasks.Glyphs(way=way, shot=shot, query=2, size=16).sample(2, seed))


def test_losses_item_by_item():
    """Against probabilities of N + 1 classes, one example after the other."""
    torch.manual_seed(0)
    real, fake, y = torch.randn(2, 4, 4).double(), torch.randn(2, 3, 4).double(), torch.tensor([[0, 2, 1, 2]] * 2)
    found = discriminator_losses(real, y, fake, 0.7)
    for t in range(2):
        p, q = real[t].softmax(-1), fake[t].softmax(-1)
        of_classes = -sum(math.log(p[n, y[t, n]] / p[n, :3].sum()) for n in range(4)) / 4
        of_real = -sum(math.log(1 - p[n, 3]) for n in range(4)) / 4
        of_fakes = -sum(math.log(q[d, 3]) for d in range(3)) / 3
        assert found[t].item() == pytest.approx(of_classes + 0.7 * (of_real + of_fakes), rel=1e-12)
    assert torch.isfinite(log_odds(1e4 * real)).all()


def logits_by_hand(learner, batch, x, fakes):
    """Logits of N classes and "fake" for one task, with a graph of every parameter."""
    if learner.base == "relation":
        relation = learner.discriminator.relation
        scores = relation.adapt(batch.support)(x).exp()
        return torch.cat([scores.logit(), torch.zeros_like(scores[..., :1])], -1)
    net = learner.discriminator.net
    params = {name: p.unsqueeze(0) for name, p in learner.discriminator.headed.named_parameters()}
    for _ in range(learner.inner_steps):
        statistics = net.statistics(params, batch.support.x)
        real, fake = net.forward(params, batch.support.x), net.forward(params, fakes, statistics)
        p, q = real[0].softmax(-1), fake[0].softmax(-1)
        labelled = p[torch.arange(len(p)), batch.support.y[0]]
        # log p(y | real) + log p(real) is the likelihood of N + 1 classes.
        loss = -labelled.log().mean() - q[:, -1].log().mean()
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        params = {name: v - learner.inner_lr * g for (name, v), g in zip(params.items(), grads, strict=True)}
    return net.forward(params, x, net.statistics(params, batch.support.x))


@pytest.mark.parametrize("base", ["maml", "relation"])
def test_each_part_gets_the_gradient_of_its_own_loss(base):
    """Task by task, with the losses of the paper; the learner adapts to fakes that are constants."""
    learner, batch = gan(base, inner_steps=2), glyphs()
    result = learner.meta_gradient(batch)
    of_learner, of_generator = [], []
    for t in range(2):
        one = batch[t : t + 1]
        to_adapt, to_judge = learner.make_fakes(one.support).split(3, 1)
        real = logits_by_hand(learner, one, one.query.x, to_adapt.detach())[0].softmax(-1)
        fake = logits_by_hand(learner, one, to_judge, to_adapt.detach())[0].softmax(-1)
        of_learner.append(-real[torch.arange(len(real)), one.query.y[0]].log().mean() - fake[:, -1].log().mean())
        of_generator.append(-fake[:, :-1].sum(-1).log().mean())
    params = list(learner.parameters())
    many = {"retain_graph": True, "materialize_grads": True, "allow_unused": True}
    by_learner = torch.autograd.grad(sum(of_learner) / 2, params, **many)
    by_generator = torch.autograd.grad(sum(of_generator) / 2, params, **many)
    crossed = False
    for (name, _), found, d, g in zip(
        learner.named_parameters(), result.gradients, by_learner, by_generator, strict=True
    ):
        own, other = (g, d) if name.startswith("generator.") else (d, g)
        torch.testing.assert_close(found, own, rtol=1e-6, atol=1e-9)
        crossed |= bool(other.any())
        if other.abs().max() > 1e-9:
            assert not torch.allclose(found, other, atol=1e-12)
    assert crossed  # either loss would move the other part
    assert result.metrics["learner_loss"].item() == pytest.approx(sum(of_learner).item() / 2)
    assert result.metrics["generator_loss"].item() == pytest.approx(sum(of_generator).item() / 2)


def test_without_the_game_it_is_maml():
    learner, batch = gan(adversarial=0.0, inner_steps=2), glyphs()
    head = nn.Linear(3, 3).double()
    maml = qs.MAML(nn.Sequential(learner.model, nn.Flatten(), head), inner_lr=0.1, inner_steps=2, bn="support").eval()
    with torch.no_grad():
        head.weight.copy_(learner.discriminator.headed[2].weight[:3])
        head.bias.copy_(learner.discriminator.headed[2].bias[:3])
    torch.testing.assert_close(learner.adapt(batch.support)(batch.query.x), maml.adapt(batch.support)(batch.query.x))
    expected = {id(p): g for p, g in zip(maml.parameters(), maml.meta_gradient(batch).gradients, strict=True)}
    found = dict(zip((id(p) for p in learner.parameters()), learner.meta_gradient(batch).gradients, strict=True))
    for p in learner.model.parameters():
        torch.testing.assert_close(found[id(p)], expected[id(p)])
    assert not found[id(learner.discriminator.headed[2].bias)][3]  # "fake" is never heard of


def test_relation_scores_are_the_logits():
    learner, batch = gan("relation"), glyphs()
    solver = learner.adapt(batch.support)
    log_r = learner.discriminator.relation.adapt(batch.support)(batch.query.x)
    torch.testing.assert_close(solver(batch.query.x).sigmoid(), log_r.exp())
    assert not solver.solver(batch.query.x)[..., -1].any()
    assert torch.equal(solver(batch.query.x).argmax(-1), log_r.argmax(-1))


def test_maml_adapts_to_fakes_and_the_solver_does_not_tell():
    learner, batch = gan(inner_steps=3, inner_lr=0.5), glyphs()
    solver = learner.adapt(batch.support)
    assert solver(batch.query.x).shape == (2, 6, 3)
    assert solver.solver(batch.query.x).shape == (2, 6, 4)
    before, after = (
        log_odds(s.solver(learner.make_fakes(batch.support)[:, :3])).mean()
        for s in (next(learner.adapt_path(batch.support, 0)), solver)
    )
    assert after < before - 0.1


@pytest.mark.parametrize("bn", ["transductive", "support"])
def test_the_contract_of_a_relation_network(bn):
    learner = gan("relation", bn=bn)
    check_learner(learner, qs.tasks.Glyphs(way=3, shot=1, query=2, size=16), exact_gradient=False)
    assert learner.adapt_steps == 0
    more = double(qs.tasks.Glyphs(way=5, shot=1, query=2, size=16).sample(2, 0))
    assert learner.adapt(more.support)(more.query.x).shape == (2, 10, 5)  # any way


def test_vectors():
    """Fakes of features that are no images."""
    torch.manual_seed(0)
    tasks = qs.tasks.Episodes(torch.randn(40, 6), torch.arange(8).repeat(5), way=3, shot=1, query=2)
    learner = qs.MetaGAN(qs.nets.MLP(in_features=6, out_features=None, hidden=(8,)), out_features=3, x_shape=(6,))
    check_learner(learner, tasks, exact_gradient=False)
    assert not draw(learner, tasks.sample(2, 0))


@pytest.mark.parametrize("size", [(28, 28), (16, 16), (21, 30)])
def test_fakes_have_the_shape_of_their_task(size):
    torch.manual_seed(0)
    make = FakeGenerator((3, *size), noise=4, width=6, filters=2)
    x, z = torch.rand(2, 5, 3, *size), torch.randn(2, 7, 4)
    fakes = make(x, z)
    assert fakes.shape == (2, 7, 3, *size)
    assert 0 <= fakes.min() < fakes.max() <= 1
    assert not torch.allclose(make(x[:, :1], z), fakes)  # told of the task
    torch.testing.assert_close(make(x.flip(1), z), fakes)  # as a set
    torch.testing.assert_close(make(x[1:], z[1:, :2]), fakes[1:, :2])  # no fake sees another
    with pytest.raises(qs.UsageError, match=r"x_shape=\(1, 9, 9\)"):
        make(torch.rand(2, 5, 1, 9, 9), z)


def train(learner, folder=None, **options):
    tasks = qs.tasks.Glyphs(way=3, shot=1, query=2, size=16)
    return qs.train(learner, tasks, meta_batch=2, meta_lr=3e-3, log_every=10, out=folder, **options)


def test_resuming_is_the_same_to_the_bit(tmp_path):
    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    whole, begun, resumed = (gan().float() for _ in range(3))
    train(whole, steps=4)
    with pytest.raises(KeyboardInterrupt):
        train(begun, tmp_path / "run", steps=4, checkpoint_every=2, progress=stop)
    assert max(qs.Run.open(tmp_path / "run").steps()) == 2
    train(resumed, tmp_path / "run", steps=4, checkpoint_every=2, resume=True)
    assert all(torch.equal(t, resumed.state_dict()[name]) for name, t in whole.state_dict().items())


def test_a_short_training_keeps_up_with_the_base():
    """Both learn; the game costs little of what MAML has learned in as many steps."""
    tasks, scores = {"way": 3, "shot": 1, "query": 4, "size": 16}, []
    net = {"in_features": 256, "hidden": (32,)}
    for make in (
        lambda: qs.MAML(qs.nets.MLP(**net, out_features=3), inner_lr=0.1),
        lambda: qs.MetaGAN(
            qs.nets.MLP(**net, out_features=None), out_features=3, x_shape=(1, 16, 16), inner_lr=0.1, adversarial=0.1
        ),
    ):
        torch.manual_seed(0)
        learner = make()
        run = qs.train(learner, qs.tasks.Glyphs(**tasks), steps=60, meta_batch=8, meta_lr=3e-3, log_every=15)
        scores.append(qs.evaluate(learner, qs.tasks.Glyphs(**tasks, split="test"), n_tasks=100).mean)
    assert scores[1] > 0.45
    assert scores[1] > scores[0] - 0.1
    first, *_, last = run.metrics()
    assert last["train/variety"] > first["train/variety"] > 0  # the generator, too, has learned something


def test_it_says_when_the_game_is_over():
    learner = gan(fail_after=3).float().train()
    learner.health.beaten.fill_(3)
    with pytest.raises(qs.DivergedError, match="every generated example from every real one"):
        train(learner, steps=5)
    frozen = gan(fail_after=2).float()
    with torch.no_grad():
        frozen.generator.decoder[0].weight[:, 6:] = 0  # noise that goes nowhere
    frozen.generator.requires_grad_(False)
    with pytest.raises(qs.DivergedError, match="More dimensions of noise"):
        train(frozen, steps=5)
    assert frozen.health.collapsed == 2


def test_a_picture_of_fakes():
    learner = gan().float()
    (picture,) = draw(learner, qs.tasks.Glyphs(way=3, size=16).sample(2, 0))
    assert picture.name == "fakes"
    assert "fakes" in picture.caption


def test_what_cannot_work_is_refused():
    with pytest.raises(qs.UsageError, match="fakes >= 2"):
        gan(fakes=1)
    with pytest.raises(qs.UsageError, match="order 1 or 2"):
        gan(order=3)
    with pytest.raises(qs.UsageError, match="out_features=3"):
        gan().adapt(glyphs(way=4).support)
    with pytest.raises(qs.UsageError, match="feature_shape"):
        qs.MetaGAN(nn.Linear(3, 3))
