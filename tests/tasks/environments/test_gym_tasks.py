"""Gymnasium environments behind the interface of those that are tensors."""

from functools import partial

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy import registry

gymnasium = pytest.importorskip("gymnasium", reason="no gymnasium: install the extra rl")
spaces = gymnasium.spaces
Box = spaces.Box


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


# -- spaces ----------------------------------------------------------------------------------------------------------


class Of(gymnasium.Env):
    """Given spaces; an observation is the number of steps everywhere, or a sample; the reward an action's sum."""

    def __init__(self, observations, actions, seen):
        self.observation_space, self.action_space, self.seen, self.time = observations, actions, seen, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.time = 0
        return self._observed(), {}

    def step(self, action):
        self.seen.append(action)
        self.time += 1
        return self._observed(), float(np.sum(action)), self.time >= 3, False, {}

    def _observed(self):
        space = self.observation_space
        return np.full(space.shape, self.time, space.dtype) if isinstance(space, Box) else space.sample()


VECTOR = Box(-10, 10, (3,), np.float32)


TWO = spaces.Discrete(2)


def of(observations=VECTOR, actions=TWO):
    seen = []
    return qs.tasks.GymTasks(lambda p: Of(observations, actions, seen), draw, horizon=4), seen


@pytest.mark.parametrize(
    ("space", "count", "discrete"),
    [
        (spaces.Discrete(3, start=1), 3, True),
        (spaces.Discrete(2, start=-1), 2, True),
        (spaces.MultiDiscrete([2, 3]), 6, True),
        (spaces.MultiDiscrete([[2, 3], [1, 2]], start=[[5, 0], [1, -1]]), 12, True),
        (spaces.MultiBinary(3), 8, True),
        (spaces.MultiBinary([2, 2]), 16, True),
        (Box(-1, 1, (), np.float32), 1, False),
        (Box(-1, 1, (2, 2), np.float32), 4, False),
        (Box(-np.inf, np.inf, (2,), np.float64), 2, False),
        (Box(0, 3, (2,), np.int64), 2, False),
        (Box(0, 255, (2,), np.uint8), 2, False),
    ],
    ids=str,
)
def test_actions_are_members_of_the_space(space, count, discrete):
    tasks, seen = of(actions=space)
    batch = tasks.sample(2, 0)
    assert (batch.actions, batch.discrete, tasks.outputs) == (count, discrete, count)
    learner = qs.MAMLRL(in_features=3, out_features=count, hidden=(4,), episodes=3, log_std=1.0)
    learner.meta_backward(batch)
    assert seen
    assert all(space.contains(action) for action in seen)
    if discrete:  # every one of them, each once
        seen.clear()
        state, _ = batch[:1].reset(count, 0)
        batch[:1].step(state, torch.arange(count)[None])
        assert len({np.asarray(action).tobytes() for action in seen}) == count


def test_numbers_of_an_integer_box_are_rounded():
    tasks, seen = of(actions=Box(0, 3, (1,), np.int64))
    batch = tasks.sample(1, 0)
    batch.step(batch.reset(4, 0)[0], torch.tensor([-0.9, 0.6, 1.4, 7.0]).view(1, 4, 1))
    assert [int(action[0]) for action in seen] == [0, 1, 1, 3]


@pytest.mark.parametrize(
    ("space", "count"),
    [
        (spaces.Discrete(4), 4),
        (spaces.MultiBinary(3), 3),
        (spaces.Dict({"a": VECTOR, "b": spaces.Discrete(2)}), 5),
        (spaces.Tuple((VECTOR, Box(0, 1, (2, 2), np.float32))), 7),
        (Box(0, 1, (), np.float32), 1),
        (Box(0, 255, (3,), np.uint8), 3),
    ],
    ids=str,
)
def test_observations_become_vectors(space, count):
    tasks, _ = of(observations=space)
    assert tasks.x_shape == (count,)
    learner = qs.RL2(in_features=count, out_features=2, hidden_size=4, episodes=2)
    qs.train(learner, tasks, steps=1, meta_batch=2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"observations": Box(0, 255, (8, 8, 3), np.uint8)}, "see vectors of numbers, not images"),
        ({"observations": spaces.Sequence(VECTOR)}, "observations must be numbers of a fixed count"),
        ({"actions": spaces.Dict({"a": VECTOR})}, "actions must be a Box, Discrete, MultiDiscrete or MultiBinary"),
        ({"actions": spaces.MultiBinary(20)}, "1048576 combinations of choices"),
    ],
    ids=str,
)
def test_spaces_that_cannot_work_are_refused(given, message):
    with pytest.raises(qs.UsageError, match=message):
        of(**given)


def test_tasks_with_other_spaces_are_refused():
    tasks = qs.tasks.GymTasks(
        lambda p: Of(VECTOR, spaces.Discrete(2 if p == 0 else 3), []), lambda n, rng: torch.arange(n), horizon=4
    )
    with pytest.raises(qs.UsageError, match="environments of all tasks must have the same actions"):
        tasks.sample(2, 0).reset(1, 0)


def test_a_told_environment_behind_a_flattened_observation():
    class Numbered(Told):
        observation_space = spaces.Dict({"place": Box(-10, 10, (2,), np.float32)})

        def _seen(self):
            return {"place": super()._seen()}

    tasks = make(Numbered)
    tasks.sample(3, 0).reset(2, 0)
    before = Line.made
    tasks.sample(3, 1).reset(2, 0)
    assert Line.made == before


def test_a_trial_on_cart_pole_is_scored_by_its_episodes():
    """Steps of a trial are not what it is scored by: a policy that always pushes right lets the pole fall at once."""
    tasks = qs.tasks.GymTasks(lambda p: gymnasium.make("CartPole-v1").unwrapped, draw, horizon=50)
    learner = qs.RL2(in_features=4, out_features=2, hidden_size=4, episodes=2)
    at_random = qs.evaluate(learner, tasks, n_tasks=10).mean
    with torch.no_grad():
        learner.policy.head.bias.copy_(torch.tensor([0.0, 100.0]))
    assert 8 <= qs.evaluate(learner, tasks, n_tasks=10).mean <= 11 < at_random < 40
