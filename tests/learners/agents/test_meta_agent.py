"""The meta-learned agent: its meta-gradient goes through both players' learning, and it learns to shape others."""

import copy
import dataclasses

import pytest
import torch

import quickstudy as qs
from quickstudy.learners.agents.shaping import taylor
from quickstudy.report.pictures import draw

TASKS = qs.tasks.IteratedGames(noise=0.1)


def double(batch):
    o = batch.opponents
    own = dataclasses.replace(o, logits=o.logits.double(), lr=o.lr.double(), lookahead=o.lookahead.double())
    return dataclasses.replace(batch, payoffs=batch.payoffs.double(), opponents=own)


@pytest.mark.parametrize("options", [{"hidden_size": 0}, {"hidden_size": 4}, {"hidden_size": 4, "average": False}])
def test_the_meta_gradient_is_the_derivative(options):
    """By finite differences in float64, learning opponents and LOLA among them."""
    torch.manual_seed(0)
    learner = qs.MetaAgent(inner_steps=3, inner_lr=0.3, **options).double()
    with torch.no_grad():
        for p in learner.parameters():
            p += 0.1 * torch.randn_like(p)
    batch = double(TASKS.sample(20, 0))
    assert {0, 1} < set(batch.opponents.kind.tolist())
    grads = learner.meta_gradient(batch).gradients
    for k in range(3):
        directions = [torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(k)) for p in grads]
        losses = []
        for step in (1e-6, -1e-6):
            own = copy.deepcopy(learner)
            with torch.no_grad():
                for p, d in zip(own.parameters(), directions, strict=True):
                    p += step * d
            losses.append(own.meta_loss(batch)[0].item())
        expected = sum(float((g * d).sum()) for g, d in zip(grads, directions, strict=True))
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(expected, rel=1e-5)


def test_without_training_it_is_a_naive_learner():
    learner = qs.MetaAgent(inner_lr=0.7, inner_steps=4)
    batch = TASKS.sample(9, 0)
    o = batch.opponents
    policies = torch.stack([torch.zeros(9, 5), o.logits], 1)
    for _ in range(4):
        eta = torch.stack([torch.zeros(9), o.lookahead], 1)
        rates = torch.stack([torch.full((9,), 0.7), o.lr], 1)
        policies = policies + rates[..., None] * taylor(batch.values, policies, eta)
    with torch.no_grad():
        *_, last = learner.path(batch, 4)
    torch.testing.assert_close(last, policies)
    fixed = (o.lr == 0).nonzero().flatten()
    torch.testing.assert_close(last[fixed, 1], o.logits[fixed])


def test_scores_after_each_step():
    learner = qs.MetaAgent(inner_steps=3)
    batch = TASKS.sample(5, 0)
    with torch.no_grad():
        path = list(learner.path(batch, 3))
        scores = learner.score_tasks(batch, [0, 2])
    expected = torch.stack([batch.returns(path[k])[:, 0] for k in (0, 2)])
    torch.testing.assert_close(scores, torch.stack([expected, -expected]))
    logits = learner.adapt(batch)(torch.eye(5).expand(5, 5, 5))
    torch.testing.assert_close(logits.squeeze(-1), path[-1][:, 0])
    result = qs.evaluate(learner, TASKS, n_tasks=30)
    assert result.metric == "return"
    assert [s.step for s in result.by_step] == [0, 1, 2, 3]


def test_it_learns_to_bring_a_naive_learner_to_cooperate():
    """Learning beside it, a naive agent ends up defecting; the trained one makes cooperation worth its while."""
    tasks = qs.tasks.IteratedGames(opponents=("naive",), opponent_lr=(1.0, 1.0))
    torch.manual_seed(0)
    learner = qs.MetaAgent(inner_steps=10)
    before = qs.evaluate(learner, tasks, n_tasks=50).mean
    qs.train(learner, tasks, steps=60, meta_batch=32, meta_lr=0.03, clip=1.0)
    after = qs.evaluate(learner, tasks, n_tasks=50).mean
    assert before < -1.9
    assert after > -1.6


def test_the_learned_rates_can_be_held():
    learner = qs.MetaAgent(inner_steps=2, hidden_size=0, learn_rates=False)
    grads = learner.meta_gradient(TASKS.sample(4, 0)).gradients
    assert grads[0] is not None
    assert grads[1] is None


def test_wrong_options_and_picture():
    with pytest.raises(qs.UsageError, match="inner_steps >= 1"):
        qs.MetaAgent(inner_steps=0)
    (picture,) = draw(qs.MetaAgent(inner_steps=2), TASKS.sample(3, 0))
    assert picture.name == "meta-agent"
