"""Environments as tensors: dynamics by hand, random numbers that are the task's own, and nothing changed."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.tasks.environments.base import uniforms

DISTRIBUTIONS = [qs.tasks.Bandits(arms=3), qs.tasks.TabularMDPs(states=4, actions=3, horizon=3), qs.tasks.Navigation()]


def some_action(batch, episodes, seed=0):
    rng = torch.Generator().manual_seed(seed)
    if batch.discrete:
        return torch.randint(0, batch.actions, (len(batch), episodes), generator=rng)
    return torch.randn(len(batch), episodes, batch.actions, generator=rng)


def run(batch, episodes=5, steps=7, repeat=False, seed=3):
    state, seen = batch.reset(episodes, seed, repeat=repeat)
    found = [(seen, seen.new_zeros(len(batch), episodes), torch.zeros(len(batch), episodes, dtype=torch.bool))]
    for k in range(steps):
        actions = torch.cat([some_action(batch[t : t + 1], episodes, k) for t in range(len(batch))])
        state, *rest = batch.step(state, actions)
        found.append(tuple(rest))
    return [torch.stack(part, 2) for part in zip(*found, strict=True)]


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("tasks", DISTRIBUTIONS, ids=lambda t: type(t).__name__)
def test_a_batch_does_what_its_tasks_do_one_by_one(tasks, repeat):
    batch = tasks.sample(4, seed=1)
    assert isinstance(batch, qs.tasks.Environments)
    together = run(batch, repeat=repeat)
    each = [run(batch[t : t + 1], repeat=repeat) for t in range(4)]
    assert all(torch.equal(part, torch.cat(own)) for part, own in zip(together, zip(*each, strict=True), strict=True))
    again, other = run(batch, repeat=repeat), run(batch, repeat=repeat, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(together, again, strict=True))
    if batch.discrete:
        assert not torch.equal(together[1], other[1])


@pytest.mark.parametrize("tasks", DISTRIBUTIONS, ids=lambda t: type(t).__name__)
def test_a_step_changes_nothing(tasks):
    batch = tasks.sample(2, seed=0)
    state, _ = batch.reset(3, 0)
    before = state.now.clone()
    first, second = (batch.step(state, some_action(batch, 3)) for _ in range(2))
    assert torch.equal(state.now, before)
    assert torch.equal(first.reward, second.reward)
    assert torch.equal(first.state.now, second.state.now)


def test_lots_are_uniform_and_independent():
    u = uniforms(torch.arange(50), (2000,), 0, 1, "move").double()
    n = u.numel()
    assert 0 < float(u.min()) < float(u.max()) < 1
    assert abs(float(u.mean()) - 0.5) < 4 / math.sqrt(12 * n)
    counts = torch.histc(u, bins=100, min=0, max=1)
    chi = float(((counts - n / 100).square() / (n / 100)).sum())
    assert abs(chi - 99) < 5 * math.sqrt(2 * 99)
    for shifted in (uniforms(torch.arange(50), (2000,), 0, 2, "move"), u.roll(1, 0), u.roll(1, 1)):
        correlation = float(((u - 0.5) * (shifted - 0.5)).mean() * 12)
        assert abs(correlation) < 4 / math.sqrt(n)


def test_bandits_pay_by_their_chances():
    batch = qs.tasks.Bandits(arms=3).sample(4, seed=0)
    state, _ = batch.reset(20000, 0)
    for arm in range(3):
        paid = batch.step(state, torch.full((4, 20000), arm)).reward
        assert set(paid.unique().tolist()) == {0.0, 1.0}
        assert ((paid.mean(1) - batch.chances[:, arm]).abs() < 4 * 0.5 / math.sqrt(20000)).all()


def test_mdps_go_and_pay_as_drawn():
    n = 20000
    batch = qs.tasks.TabularMDPs(states=4, actions=2).sample(2, seed=5)
    torch.testing.assert_close(batch.upto[..., -1], torch.ones(2, 4, 2))
    state, seen = batch.reset(n, 0)
    assert (seen.argmax(-1) == 0).all()
    middle = batch.step(state, torch.ones(2, n, dtype=torch.int64))
    step = batch.step(middle.state, torch.zeros(2, n, dtype=torch.int64))
    chances = batch.upto.diff(dim=-1, prepend=torch.zeros(2, 4, 2, 1))
    for task in range(2):
        from_ = middle.observation[task].argmax(-1)
        for s in range(4):
            here = from_ == s
            share = step.observation[task][here].mean(0)
            assert ((share - chances[task, s, 0]).abs() < 4 * 0.5 / math.sqrt(int(here.sum()))).all()
            reward = step.reward[task][here]
            bound = 4 / math.sqrt(int(here.sum()))
            assert abs(float(reward.mean() - batch.means[task, s, 0])) < bound
            assert abs(float(reward.std()) - 1) < bound
    flat = qs.tasks.TabularMDPs().sample(200, 0)
    first = flat.upto[..., 0]  # Beta(1, 9)
    assert float(first.mean()) == pytest.approx(0.1, abs=0.005)
    assert float(first.var()) == pytest.approx(9 / (100 * 11), rel=0.1)
    assert float(flat.means.mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("reward", ["squared", "distance"])
def test_navigation_by_hand(reward):
    batch = qs.tasks.Navigation(reward=reward).sample(2, seed=0)
    goal = batch.goals[1]
    state, seen = batch.reset(2, 0)
    assert seen.abs().sum() == 0
    action = torch.tensor([[[0.5, -3.0], [0.0, 0.0]]]).expand(2, 2, 2)
    _, seen, got, done = batch.step(state, action)
    torch.testing.assert_close(seen[1], torch.tensor([[0.05, -0.1], [0.0, 0.0]]))
    squared = (0.05 - goal[0]) ** 2 + (-0.1 - goal[1]) ** 2
    torch.testing.assert_close(got[1, 0], -squared if reward == "squared" else -squared.sqrt())
    assert not done.any()


def to_the_goal(repeat):
    """Straight to the first task's goal, in at most five steps of at most 0.1; then on for three."""
    batch = qs.tasks.Navigation().sample(1, seed=0)
    state, seen = batch.reset(1, 0, repeat=repeat)
    found = []
    for _ in range(8):
        action = ((batch.goals[:, None] - seen) / 0.1).clamp(-1, 1)
        state, seen, reward, done = batch.step(state, action)
        found.append((float(reward), bool(done), seen[0, 0].tolist()))
    return batch, found


def test_an_episode_that_reached_the_goal_is_over():
    batch, found = to_the_goal(repeat=False)
    needed = math.ceil(float(batch.goals.abs().max()) / 0.1)
    assert [done for _, done, _ in found] == [k >= needed for k in range(1, 9)]
    assert all(reward == 0 for reward, _, _ in found[needed:])
    assert all(reward < 0 for reward, _, _ in found[: needed - 1])


def test_in_a_trial_the_next_episode_begins():
    batch, found = to_the_goal(repeat=True)
    needed = math.ceil(float(batch.goals.abs().max()) / 0.1)
    assert [done for _, done, _ in found] == [k % needed == 0 for k in range(1, 9)]
    assert found[needed - 1][2] == [0.0, 0.0]
    assert found[needed][0] == pytest.approx(found[0][0])


def test_the_horizon_ends_every_episode():
    batch = qs.tasks.Navigation(horizon=3).sample(2, 0)
    *_, done = run(batch, steps=4)
    assert done[0, 0].tolist() == [False, False, False, True, True]
    *_, done = run(batch, steps=6, repeat=True)
    assert done[0, 0].tolist() == [False, False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: qs.tasks.Bandits(arms=1), "arms"),
        (lambda: qs.tasks.TabularMDPs(horizon=0), "horizon"),
        (lambda: qs.tasks.Navigation(split="abacus"), "split"),
        (lambda: qs.tasks.Navigation().sample(2, 0).reset(0, 0), "episodes"),
    ],
)
def test_wrong_options(make, word):
    with pytest.raises(qs.UsageError, match=word):
        make()


@pytest.mark.parametrize("tasks", DISTRIBUTIONS, ids=lambda t: type(t).__name__)
def test_splits_are_different_tasks_of_one_shape(tasks):
    make = type(tasks)
    first, other = make().sample(2, 0), make(split="test").sample(2, 0)
    assert not torch.equal(first.seeds, other.seeds)
    assert make().x_shape == (first.observations,)
    assert make().outputs == first.actions
    assert "train" in make().describe()
