"""Gymnasium environments behind the interface of those that are tensors."""

from functools import partial

import pytest
import torch

import quickstudy as qs
from quickstudy import registry

gymnasium = pytest.importorskip("gymnasium", reason="no gymnasium: install the extra rl")


class Line(gymnasium.Env):
    """A place on a line; an action 0, 1 or 2 goes left, stays, goes right; over beyond 2. Reward: parameter * place."""

    observation_space = gymnasium.spaces.Box(-10, 10, (2,))
    action_space = gymnasium.spaces.Discrete(3)
    made = 0

    def __init__(self, parameter):
        self.parameter = parameter
        self.start = 0.0
        Line.made += 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.start = self.np_random.random()
        return self._seen(), {}

    def step(self, action):
        self.place += int(action) - 1
        return self._seen(), self.parameter * self.place, bool(abs(self.place) > 2), False, {}

    def _seen(self):
        import numpy as np

        return np.array([self.place, 1.0], dtype=np.float32)


class Told(Line):
    def set_task(self, parameter):
        self.parameter = parameter


def draw(tasks, rng):
    return torch.rand(tasks, generator=rng)


def make(cls=Line, horizon=4):
    return qs.tasks.GymTasks(cls, draw, horizon=horizon)


def right(batch, episodes):
    return torch.full((len(batch), episodes), 2)


def test_steps_by_hand():
    batch = make().sample(3, 0)
    assert isinstance(batch, qs.tasks.Environments)
    assert (batch.observations, batch.actions, batch.discrete, batch.horizon) == (2, 3, True, 4)
    state, seen = batch.reset(2, 0)
    assert len(seen[..., 0].unique()) == 6
    rewards, dones = [], []
    for _ in range(3):
        state, seen, reward, done = batch.step(state, right(batch, 2))
        rewards.append(reward)
        dones.append(done.all())
    start = batch.reset(2, 0)[1][..., 0]
    torch.testing.assert_close(rewards[0], batch.parameters[:, None] * (start + 1))
    torch.testing.assert_close(rewards[1], batch.parameters[:, None] * (start + 2))
    assert dones == [False, True, True]
    assert rewards[2].abs().sum() == 0


def test_a_trial_goes_on_and_the_horizon_ends_episodes():
    batch = make(horizon=3).sample(2, 0)
    state, _ = batch.reset(2, 0, repeat=True)
    dones = []
    for _ in range(6):
        state, seen, _, done = batch.step(state, torch.ones(2, 2, dtype=torch.int64))
        dones.append(bool(done.all()))
    assert dones == [False, False, True, False, False, True]
    assert (seen[..., 0] <= 1).all()


def test_a_batch_does_what_its_tasks_do_one_by_one():
    batch = make(Told).sample(3, 1)

    def first(part):
        state, seen = part.reset(2, 5)
        return torch.cat([seen.flatten(2), part.step(state, right(part, 2)).reward[..., None]], -1)

    torch.testing.assert_close(first(batch), torch.cat([first(batch[t : t + 1]) for t in range(3)]))
    torch.testing.assert_close(first(batch), first(batch))


def test_environments_that_can_be_told_their_task_are_kept():
    for cls, more in ((Told, 0), (Line, 6)):
        tasks = make(cls)
        tasks.sample(3, 0).reset(2, 0)
        before = Line.made
        other = tasks.sample(3, 1)
        state, seen = other.reset(2, 0)
        assert Line.made - before == more
        reward = other.step(state, right(other, 2)).reward
        torch.testing.assert_close(reward, other.parameters[:, None] * (seen[..., 0] + 1))


def test_a_state_is_good_for_one_step():
    batch = make().sample(2, 0)
    state, _ = batch.reset(2, 0)
    batch.step(state, right(batch, 2))
    with pytest.raises(qs.UsageError, match="moved on from this state"):
        batch.step(state, right(batch, 2))


@pytest.mark.parametrize(
    "learner", [partial(qs.MAMLRL, hidden=(4,), episodes=2), partial(qs.RL2, hidden_size=4, episodes=2)]
)
def test_both_learners_take_them(learner):
    tasks = make(Told)
    own = learner(in_features=2, out_features=3)
    qs.train(own, tasks, steps=2, meta_batch=3)
    assert qs.evaluate(own, tasks, n_tasks=4).metric == "return"


def test_half_cheetah():
    pytest.importorskip("mujoco", reason="no mujoco: install the extra rl")
    for goal in ("direction", "velocity"):
        tasks = qs.tasks.HalfCheetah(goal=goal, horizon=5)
        again = registry.build(registry.describe(tasks), split="test")
        assert (again.goal, again.split, again.x_shape, again.outputs) == (goal, "test", (17,), 6)
        batch = tasks.sample(4, 0)
        numbers = batch.parameters
        assert set(numbers.tolist()) == {-1.0, 1.0} if goal == "direction" else 0 <= numbers.min() < numbers.max() < 2
        state, _ = batch.reset(1, 0)
        bodies = [env.unwrapped for env in batch.pool.of(numbers.tolist()).envs]
        before = [body.data.qpos[0] for body in bodies]
        reward = batch.step(state, torch.full((4, 1, 6), 0.5)).reward
        speeds = torch.tensor([(b.data.qpos[0] - x) / b.dt for b, x in zip(bodies, before, strict=True)]).float()
        gain = numbers * speeds if goal == "direction" else -(speeds - numbers).abs()
        torch.testing.assert_close(reward[:, 0], gain - 0.05 * 6 * 0.25)
