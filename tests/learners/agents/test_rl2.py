"""RL^2: the trial and its loss by hand, in float64; a memory that lasts; and that it learns to learn."""

import pytest
import torch

import quickstudy as qs
from quickstudy.cli.assemble import Choice
from quickstudy.core.seeding import generator
from quickstudy.report.pictures import draw
from quickstudy.tasks.environments.bandits import BanditBatch
from quickstudy.tasks.environments.base import seeds_of
from quickstudy.testing import gradient


def make(tasks, **options):
    torch.manual_seed(0)
    given = {"episodes": 3, "hidden_size": 4, **options}
    return qs.RL2(in_features=tasks.x_shape[0], out_features=tasks.outputs, **given).double()


MDPS = qs.tasks.TabularMDPs(states=3, actions=2, horizon=4)
ALL = [MDPS, qs.tasks.Bandits(arms=3), qs.tasks.Navigation(horizon=4)]


@pytest.mark.parametrize("tasks", ALL, ids=lambda t: type(t).__name__)
def test_what_was_done_and_got_is_read_a_step_later(tasks):
    learner, batch = make(tasks, trials=2), tasks.sample(3, 0)
    played = learner.play(batch)
    steps, seen = 3 * batch.horizon, tasks.x_shape[0]
    assert played.inputs.shape == (6, steps, seen + 2 * tasks.outputs + 2)
    state, observation = batch.reset(2, 0, repeat=True)
    did, got, done = torch.zeros(6, tasks.outputs), torch.zeros(6), torch.zeros(6)
    for t in range(steps):
        expected = torch.cat([observation.flatten(0, 1), did, got[:, None] * did, got[:, None], done[:, None]], -1)
        torch.testing.assert_close(played.inputs[:, t].float(), expected.float())
        action = played.actions[:, t]
        state, observation, reward, ended = batch.step(state, action.unflatten(0, (3, 2)))
        did = torch.nn.functional.one_hot(action, tasks.outputs).float() if batch.discrete else action.float()
        got, done = reward.flatten(), ended.flatten().float()
        torch.testing.assert_close(played.rewards[:, t].float(), got)
    assert played.inputs[:, :, -1].sum() > 0


def cell(learner, x, h):
    """A GRU's step, written out."""
    gru = learner.policy.gru
    a = x @ gru.weight_ih_l0.T + gru.bias_ih_l0
    b = h @ gru.weight_hh_l0.T + gru.bias_hh_l0
    (ar, az, an), (br, bz, bn) = a.chunk(3, -1), b.chunk(3, -1)
    z = (az + bz).sigmoid()
    return (1 - z) * (an + (ar + br).sigmoid() * bn).tanh() + z * h


def test_the_loss_by_hand():
    """Each trial and step by itself; advantages as a double sum over the whole trial."""
    learner, batch = make(MDPS, discount=0.9, gae_lambda=0.7, value_coef=0.3, entropy_coef=0.05), MDPS.sample(3, 0)
    played = learner.play(batch)
    steps = played.rewards.shape[1]
    log_p, entropies, values = [], [], []
    for n in range(3):
        h = torch.zeros(4, dtype=torch.float64)
        for t in range(steps):
            h = cell(learner, played.inputs[n, t], h)
            choice = torch.distributions.Categorical(logits=learner.policy.head(h))
            log_p.append(choice.log_prob(played.actions[n, t]))
            entropies.append(choice.entropy())
            values.append(learner.policy.value(h)[0])
    log_p, entropies, values = (torch.stack(x).view(3, steps) for x in (log_p, entropies, values))
    most = sum(0.9**k for k in range(steps))
    v = most * torch.cat([values.detach(), torch.zeros(3, 1)], 1)
    delta = played.rewards + 0.9 * v[:, 1:] - v[:, :-1]
    worth = torch.stack([sum(0.63 ** (k - t) * delta[:, k] for k in range(t, steps)) for t in range(steps)], 1)
    goal = worth / most + values.detach()
    worth = (worth - worth.mean()) / worth.std()
    expected = -(log_p * worth).mean() + 0.3 * (values - goal).square().mean() - 0.05 * entropies.mean()
    loss, metrics = learner.meta_loss(batch)
    torch.testing.assert_close(loss, expected)
    assert float(metrics["return"]) == pytest.approx(float(played.rewards.sum(1).mean()))
    slopes = torch.autograd.grad(expected, list(learner.parameters()), allow_unused=True, materialize_grads=True)
    torch.testing.assert_close(gradient(learner, batch), torch.cat([s.flatten() for s in slopes]))


@pytest.mark.parametrize("tasks", ALL, ids=lambda t: type(t).__name__)
def test_a_batch_is_its_tasks_one_by_one(tasks):
    learner, batch = make(tasks, trials=2), tasks.sample(3, 1)
    scores = torch.cat([learner.score_tasks(batch[t : t + 1], [0]) for t in range(3)], -1)
    torch.testing.assert_close(learner.score_tasks(batch, [0]), scores)
    assert scores.shape == (2, 1, 3)
    x = torch.randn(3, 5, *tasks.x_shape, dtype=torch.float64)
    each = torch.cat([learner.adapt(batch[t : t + 1])(x[t : t + 1]) for t in range(3)])
    torch.testing.assert_close(learner.adapt(batch)(x), each)


def test_nothing_changes_and_nothing_is_random():
    learner, batch = make(MDPS), MDPS.sample(3, 1)
    state = torch.get_rng_state()
    first, second = learner.meta_gradient(batch), learner.meta_gradient(batch)
    assert all(a is b or torch.equal(a, b) for a, b in zip(first.gradients, second.gradients, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in learner.parameters())


def test_trials_grow_over_the_curriculum_with_as_many_steps_in_all():
    bandits = qs.tasks.Bandits(arms=3)
    learner, whole = make(bandits, episodes=40, curriculum=4, trials=2), make(bandits, episodes=40, trials=2)
    seen = []
    learner.play = lambda *given: seen.append(given[1:]) or qs.RL2.play(learner, *given)
    for step in range(6):
        learner.meta_backward(bandits.sample(2, step))
    assert seen == [(8, 10), (4, 14), (4, 20), (2, 28), (2, 40), (2, 40)]
    batch = bandits.sample(2, 6)
    torch.testing.assert_close(gradient(learner, batch), gradient(whole, batch))
    assert learner.score_tasks(batch, [0]).shape == (2, 1, 2)
    assert make(MDPS, episodes=2, curriculum=4)._steps(8) == 8, "shorter than where a curriculum begins"


class OneArmPays:
    """Of three arms one always pays, the others never: who remembers nothing gets a third of the pulls' pay."""

    def sample(self, tasks, seed):
        best = torch.randint(0, 3, (tasks,), generator=generator(seed, "best"))
        return BanditBatch(seeds_of(tasks, seed), 1, torch.nn.functional.one_hot(best, 3).float())


def test_it_learns_to_remember_what_paid(tmp_path):
    torch.manual_seed(0)
    learner = qs.RL2(out_features=3, hidden_size=16, episodes=6)
    run = qs.train(learner, OneArmPays(), steps=80, meta_batch=256, meta_lr=0.02, out=tmp_path / "r", log_every=20)
    result = qs.evaluate(learner, OneArmPays(), n_tasks=500)
    assert (result.metric, len(result.by_step)) == ("return", 1)
    assert result.mean - result.ci95 > 2.5 > 6 / 3
    assert {"train/return", "train/entropy", "train/value_error"} <= set(run.metrics()[-1])


def test_picture():
    (picture,) = draw(make(MDPS), MDPS.sample(2, 0))
    assert picture.name == "learning"
    assert "2 test tasks" in picture.caption


def test_built_by_name():
    choice = Choice.of("rl2")
    assert choice.tasks == "bandits"
    learner, _ = choice.build(choice.options({"arms": 7, "episodes": 20}))
    assert (learner.in_features, learner.out_features, learner.episodes) == (1, 7, 20)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"episodes": 0}, "episodes"),
        ({"entropy_coef": -1.0}, "entropy_coef"),
        ({"curriculum": -1}, "curriculum"),
        ({"gae_lambda": 1.5}, "gae_lambda"),
    ],
)
def test_wrong_options(options, word):
    with pytest.raises(qs.UsageError, match=word):
        qs.RL2(**options)
    with pytest.raises(qs.UsageError, match="1 numbers and has 5 actions, these environments 3 and 2"):
        qs.RL2().meta_gradient(MDPS.sample(2, 0))
