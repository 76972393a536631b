"""RL^2: the trial and its loss by hand, in float64; a memory that lasts; and that it learns to learn."""

from dataclasses import dataclass

import pytest
import torch

import quickstudy as qs
from quickstudy.cli.assemble import Choice
from quickstudy.core.seeding import generator
from quickstudy.report.pictures import draw
from quickstudy.tasks.environments.bandits import BanditBatch
from quickstudy.tasks.environments.base import EnvBatch, seeds_of
from quickstudy.testing import gradient
from quickstudy.training import distributed


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
    assert float(metrics["return"]) == pytest.approx(float(played.rewards.sum(1).mean()) / 3)
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


@pytest.mark.parametrize("tasks", ALL, ids=lambda t: type(t).__name__)
def test_the_solver_goes_on_from_the_trials_last_action_reward_and_end(tasks):
    """As one more step of the trial would read them."""
    learner, batch = make(tasks), tasks.sample(2, 0)
    played = learner.play(batch)
    longer = make(tasks, episodes=4)
    longer.load_state_dict(learner.state_dict())
    again = longer.play(batch)
    at = played.inputs.shape[1]
    torch.testing.assert_close(again.inputs[:, :at], played.inputs)
    actions, _, _ = learner.policy.read(again.inputs, learner.policy.start(2), batch.discrete)
    seen = again.inputs[:, at : at + 1, : tasks.x_shape[0]]
    found = learner.adapt(batch)(seen)
    torch.testing.assert_close(found, actions.outputs[:, at : at + 1])
    assert again.inputs[:, at, -1].tolist() == [1.0, 1.0], "an episode has just ended"


@dataclass(frozen=True)
class Stops(EnvBatch):
    """Every step pays 1; the second action ends the episode."""

    observations = property(lambda self: 1)
    actions = property(lambda self: 2)
    discrete = property(lambda self: True)

    def first(self, episodes, luck):
        return torch.ones(len(self), episodes, 1, dtype=torch.float64)

    def observe(self, now):
        return now

    def move(self, now, action, luck):
        return now, torch.ones(action.shape, dtype=torch.float64), action == 1


class Stopping:
    x_shape, outputs, kind = (1,), 2, "environments"

    def sample(self, tasks, seed):
        return Stops(seeds_of(tasks, seed), 30)


def test_a_trial_is_of_episodes_however_early_they_end():
    """Its return is that of an episode: of a policy that always stops 1, of one that never does the horizon's."""
    learner = make(Stopping())
    for bias, mean in ((1e3, 1.0), (-1e3, 30.0)):
        with torch.no_grad():
            learner.policy.head.bias.copy_(torch.tensor([0.0, bias]))
        assert qs.evaluate(learner, Stopping(), n_tasks=4).mean == mean
    with torch.no_grad():
        learner.policy.head.bias.zero_()
    result = qs.evaluate(learner, Stopping(), n_tasks=100)
    assert abs(result.mean - 2) < 4 * result.ci95 / 1.96


def test_what_comes_after_a_trial_counts_for_nothing():
    """The loss by hand, over the steps of each trial alone; and the same whatever the others of the batch do."""
    learner = make(Stopping(), discount=0.9, gae_lambda=0.7, value_coef=0.3, entropy_coef=0.05)
    batch = Stopping().sample(3, 0)
    played = learner.play(batch)
    lengths = [int(one) for one in played.mask.sum(1)]
    assert len(set(lengths)) > 1
    assert played.rewards.sum(1).tolist() == lengths
    assert played.by_episode(3).sum(1).tolist() == lengths
    assert (played.by_episode(3) >= 1).all()
    most = sum(0.9**k for k in range(90))
    log_p, worths, goals, values, entropies = [], [], [], [], []
    for n, length in enumerate(lengths):
        x = played.inputs[n : n + 1, :length]
        actions, value, _ = learner.policy.read(x, learner.policy.start(1), True)
        log_p.append(actions.log_prob(played.actions[n : n + 1, :length])[0])
        v = torch.cat([most * value[0].detach(), torch.zeros(1)])
        delta = 1 + 0.9 * v[1:] - v[:-1]
        worth = torch.stack([sum(0.63 ** (k - t) * delta[k] for k in range(t, length)) for t in range(length)])
        worths.append(worth)
        goals.append(worth / most + value[0].detach())
        values.append(value[0])
        entropies.append(actions.entropy()[0])
    log_p, worth, goal, value, entropy = (torch.cat(x) for x in (log_p, worths, goals, values, entropies))
    worth = (worth - worth.mean()) / worth.std()
    expected = -(log_p * worth).mean() + 0.3 * (value - goal).square().mean() - 0.05 * entropy.mean()
    torch.testing.assert_close(learner.meta_loss(batch)[0], expected)
    each = torch.cat([learner.score_tasks(batch[t : t + 1], [0]) for t in range(3)], -1)
    torch.testing.assert_close(learner.score_tasks(batch, [0]), each)
    x = torch.ones(3, 2, 1, dtype=torch.float64)
    alone = torch.cat([learner.adapt(batch[t : t + 1])(x[t : t + 1]) for t in range(3)])
    torch.testing.assert_close(learner.adapt(batch)(x), alone)


@pytest.mark.parametrize("how", ["chunk", "processes"])
def test_a_batch_is_taken_whole(how, monkeypatch):
    learner = make(MDPS, chunk=2 if how == "chunk" else None)
    if how == "processes":
        monkeypatch.setattr(distributed, "world", lambda: 2)
    else:
        assert qs.evaluate(learner.float(), MDPS, n_tasks=5).n_tasks == 5
    with pytest.raises(qs.UsageError, match="RL2 normalises advantages over the whole batch, so"):
        qs.train(learner, MDPS, steps=1, meta_batch=4)


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
    assert result.mean - result.ci95 > 2.5 / 6 > 1 / 3
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
