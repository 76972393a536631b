"""A PettingZoo environment of one's own: played games come to what the same game is worth in closed form."""

from typing import ClassVar

import pytest
import torch

import quickstudy as qs

pytest.importorskip("pettingzoo", reason="no pettingzoo: install the extra rl")

from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class Dilemma(ParallelEnv):
    """The iterated prisoner's dilemma; ends after ``rounds``."""

    metadata: ClassVar = {"name": "dilemma"}
    possible_agents: ClassVar = ["ann", "bob"]

    def __init__(self, rounds=100, sees=None, does=None):
        self.rounds = rounds
        self.sees, self.does = sees or Discrete(5), does or Discrete(2)
        self.agents = []

    def observation_space(self, agent):
        return self.sees

    def action_space(self, agent):
        return self.does

    def reset(self, seed=None, options=None):
        self.agents, self.round = [*self.possible_agents], 0
        return {"ann": 0, "bob": 0}, {"ann": {}, "bob": {}}

    def step(self, actions):
        a, b = actions["ann"], actions["bob"]
        self.round += 1
        payoff = [[-1, -3], [0, -2]]
        over = dict.fromkeys(self.agents, self.round == self.rounds)
        found = (
            {"ann": 1 + 2 * a + b, "bob": 1 + 2 * b + a},
            {"ann": payoff[a][b], "bob": payoff[b][a]},
            over, dict.fromkeys(self.agents, False), {agent: {} for agent in self.agents},
        )  # fmt: skip
        if self.round == self.rounds:
            self.agents = []
        return found


class Seen(Dilemma):
    """Observations are vectors."""

    def __init__(self):
        super().__init__(rounds=3, sees=Box(-1, 1, (2, 2)))

    def reset(self, seed=None, options=None):
        super().reset()
        return dict.fromkeys(self.possible_agents, torch.full((2, 2), 0.5).numpy()), {"ann": {}, "bob": {}}

    def step(self, actions):
        _, *rest = super().step(actions)
        return dict.fromkeys(self.possible_agents, torch.full((2, 2), -0.5).numpy()), *rest


def test_the_test_environment_keeps_pettingzoos_interface():
    from pettingzoo.test import parallel_api_test

    parallel_api_test(Dilemma(), num_cycles=20)


def test_played_games_come_to_the_closed_form():
    games = qs.tasks.ParallelGames(Dilemma, discount=0.7, score_games=150, score_length=20)
    assert (games.x_shape, games.outputs) == ((5,), 10)
    logits = torch.randn(2, 3, 2, 5, generator=torch.Generator().manual_seed(0))
    policies = torch.stack([logits, torch.zeros_like(logits)], -1).flatten(-2)
    torch.manual_seed(0)
    found = games.sample(2, 0).returns(policies)
    exact = qs.tasks.IteratedGames(discount=0.7).sample(2, 0).returns(logits)
    assert found.shape == (2, 3, 2)
    assert (found - exact).abs().max() < 0.15
    assert (found - exact).mean().abs() < 0.03


def test_log_probabilities_are_those_of_the_policy_and_end_with_the_game():
    batch = qs.tasks.ParallelGames(lambda: Dilemma(rounds=3)).sample(1, 0)
    p = torch.tensor([0.3, 0.8])
    policies = torch.stack([p.log(), (1 - p).log()], -1).repeat(1, 1, 5).view(1, 2, 10).requires_grad_()
    torch.manual_seed(0)
    log_p, rewards = batch.simulate(policies, rollouts=50, length=5)
    assert log_p.shape == rewards.shape == (1, 50, 5, 2)
    assert not log_p[:, :, 3:].any()
    assert not rewards[:, :, 3:].any()
    # the reward tells who did what: ann cooperated where she got -1 or -3
    cooperated = rewards[0, :, :3, 0].abs() % 2 == 1
    expected = torch.where(cooperated, p[0].log(), (1 - p[0]).log())
    torch.testing.assert_close(log_p[0, :, :3, 0], expected)
    assert torch.autograd.grad(log_p.sum(), policies)[0].abs().sum() > 0


def test_vectors_are_seen_with_a_one():
    games = qs.tasks.ParallelGames(Seen)
    assert (games.features, games.outputs) == (5, 10)
    w = torch.zeros(1, 2, 5, 2)
    w[..., :4, 0] = 10.0  # cooperates where the observation is 0.5, that is at first
    w[..., 4, 1] = 5.0
    _, rewards = games.sample(1, 0).simulate(w.flatten(2), rollouts=2, length=3)
    assert rewards[0, 0].tolist() == [[-1.0, -1.0], [-2.0, -2.0], [-2.0, -2.0]]


def test_agents_learn_there():
    games = qs.tasks.ParallelGames(lambda: Dilemma(rounds=6), discount=0.5, score_games=8, score_length=6)
    torch.manual_seed(0)
    learner = qs.LOLA(
        in_features=5, out_features=games.outputs, method="dice", lookahead_steps=0, pairs=2, rollouts=16, length=6
    )
    run = qs.train(learner, games, steps=12, meta_batch=1, meta_lr=2.0, optimizer="sgd")
    assert run.config["tasks"]["opaque"] == "quickstudy.tasks.games.parallel.ParallelGames"
    assert run.config["tasks"]["options"]["discount"] == 0.5
    first_move = learner.policies.detach().view(2, 2, 5, 2)[:, :, 0].softmax(-1)
    assert first_move[..., 1].mean() > 0.75  # naive learners come to defect
    result = qs.evaluate(learner, games, n_tasks=4)
    assert result.metric == "return"
    with pytest.raises(qs.UsageError, match="method='dice'"):
        qs.LOLA(out_features=10, pairs=2).meta_gradient(games.sample(1, 0))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Dilemma(does=Box(0, 1, (1,))), "actions must be Discrete"),
        (lambda: Dilemma(sees=Discrete(5, start=1)), "observations must be"),
    ],
)
def test_environments_that_do_not_fit(make, text):
    with pytest.raises(qs.UsageError, match=text):
        qs.tasks.ParallelGames(make)
