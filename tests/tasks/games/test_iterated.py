"""Iterated games: closed-form values are what a long sum gives, and what simulated games come to."""

import itertools

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.tasks.games.iterated import GAMES, values, visits
from quickstudy.tasks.games.opponents import OPPONENTS, STRATEGIES


def certain(*moves):
    return torch.tensor([20.0 if move == "C" else -20.0 for move in moves], dtype=torch.float64)


def play_out(p, payoffs, discount, rounds):
    """The sum over rounds, each outcome's probability carried on by hand; players look from their own sides."""
    p = p.sigmoid().tolist()
    chance = {}
    found = [0.0, 0.0]
    for t in range(rounds):
        now = {}
        for a, b in itertools.product((0, 1), (0, 1)):
            total = 0.0
            for before, weight in chance.items() if t else [(None, 1.0)]:
                one = p[0][0] if before is None else p[0][1 + 2 * before[0] + before[1]]
                two = p[1][0] if before is None else p[1][1 + 2 * before[1] + before[0]]
                total += weight * (one if a == 0 else 1 - one) * (two if b == 0 else 1 - two)
            now[a, b] = total
            for i in (0, 1):
                found[i] += discount**t * total * payoffs[i, a, b].item()
        chance = now
    return found


def test_values_are_the_sum_over_many_rounds():
    rng = torch.Generator().manual_seed(0)
    policies = torch.randn(3, 2, 5, dtype=torch.float64, generator=rng)
    payoffs = torch.randn(3, 2, 2, 2, dtype=torch.float64, generator=rng)
    found = values(policies, payoffs, 0.9)
    expected = [play_out(policies[g], payoffs[g], 0.9, 400) for g in range(3)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(visits(policies, 0.9).sum(-1), torch.full((3,), 10.0, dtype=torch.float64))


def test_known_encounters_in_the_prisoners_dilemma():
    batch = qs.tasks.IteratedGames().sample(1, 0)
    tit_for_tat, defector, sucker = (certain(*m) for m in ("CCDCD", "DDDDD", "CCCCC"))
    cases = [
        (tit_for_tat, tit_for_tat, (-1, -1)),
        (defector, defector, (-2, -2)),
        (defector, sucker, (0, -3)),
        # exploited once: -3, then -2 for ever; the other gets 0, then -2
        (tit_for_tat, defector, (-3 * 0.04 - 2 * 0.96, -2 * 0.96)),
        # out of step: the two take turns at being exploited
        (tit_for_tat, certain("D", "C", "D", "C", "D"), (-3 / 1.96, -3 * 0.96 / 1.96)),
    ]
    for first, second, expected in cases:
        found = batch.returns(torch.stack([first, second])[None])[0]
        assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("game", GAMES)
def test_which_side_one_is_on_does_not_matter_where_a_game_is_symmetric(game):
    batch = qs.tasks.IteratedGames(game=game).sample(4, 0)
    policies = torch.randn(4, 2, 5, dtype=torch.float64)
    here, there = batch.returns(policies), batch.returns(policies.flip(1)).flip(-1)
    if game == "matching-pennies":
        torch.testing.assert_close(here.sum(-1), torch.zeros_like(here[:, 0]))
        assert not torch.allclose(here, there)
    else:
        torch.testing.assert_close(here, there)


def test_simulated_games_come_to_the_values():
    batch = qs.tasks.IteratedGames(discount=0.8, noise=0.5).sample(3, 0)
    policies = torch.randn(3, 4, 2, 5, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    log_p, rewards = batch.simulate(policies, rollouts=3000, length=40)
    assert log_p.shape == rewards.shape == (3, 4, 3000, 40, 2)
    sums = (rewards * 0.8 ** torch.arange(40)[:, None]).sum(-2)
    error = (sums.mean(2) - batch.values(policies)) / (sums.std(2) / 3000**0.5)
    assert error.abs().max() < 4
    # each side's log-probabilities are those of its own moves: their mean in the first round is minus its entropy
    p = policies[..., 0].sigmoid()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log())
    torch.testing.assert_close(log_p[..., 0, :].mean(2), -entropy, atol=0.05, rtol=0)


def test_cooperation():
    batch = qs.tasks.IteratedGames(discount=0.5).sample(1, 0)
    found = batch.cooperation(torch.stack([certain(*"CCDCD"), certain(*"DDDDD")])[None])
    assert found[0].tolist() == pytest.approx([0.5, 0.0], abs=1e-6)


def test_opponents_are_as_their_names_say():
    tasks = qs.tasks.IteratedGames(opponent_lr=(0.5, 1.5))
    o = tasks.sample(600, 0).opponents
    for kind, name in enumerate(OPPONENTS):
        own = o.kind == kind
        assert 60 < own.sum() < 140
        learns, shapes = name in ("naive", "lola"), name == "lola"
        assert bool(((o.lr[own] >= 0.5) & (o.lr[own] < 1.5)).all() if learns else (o.lr[own] == 0).all())
        assert torch.equal(o.lookahead[own], o.lr[own] if shapes else torch.zeros_like(o.lr[own]))
        if name in STRATEGIES:
            assert o.logits[own].unique(dim=0).shape[0] == 1
        else:
            assert 0.8 < o.logits[own].std() < 1.2
    only = qs.tasks.IteratedGames(opponents=("tit-for-tat",)).sample(5, 0).opponents
    assert torch.equal(only.logits.sign(), torch.tensor([[1.0, 1, -1, 1, -1]]).expand(5, 5))


def test_sampling_is_pure_and_batches_are_cut_by_task():
    tasks = qs.tasks.IteratedGames(noise=0.1)
    again, batch = tasks.sample(6, 3), tasks.sample(6, 3)
    part = batch[2:4].to("cpu")
    assert len(part) == 2
    for name in ("payoffs", "starts", "seat"):
        assert torch.equal(getattr(again, name), getattr(batch, name))
        assert torch.equal(getattr(part, name), getattr(batch, name)[2:4])
    assert torch.equal(part.opponents.logits, batch.opponents.logits[2:4])
    assert not torch.equal(batch.payoffs, tasks.sample(6, 4).payoffs)
    assert not torch.equal(batch.payoffs, qs.tasks.IteratedGames(noise=0.1, split="test").sample(6, 3).payoffs)
    assert 0.03 < (batch.payoffs[:, 0] - torch.tensor([[-1.0, -3], [0, -2]])).std() < 0.3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"opponents": ("me",)}, "opponents must be one of 'naive'"),
        ({"discount": 1.0}, r"discount in \[0, 1\)"),
        ({"opponents": ()}, "at least one opponent"),
    ],
)
def test_wrong_options(options, text):
    with pytest.raises(qs.UsageError, match=text):
        qs.tasks.IteratedGames(**options)


def test_written_down_and_built_again():
    tasks = qs.tasks.IteratedGames(game="chicken", opponents=("lola", "random"), noise=0.2, discount=0.9)
    again = registry.build(registry.describe(tasks))
    assert registry.describe(again) == registry.describe(tasks)
    assert torch.equal(again.sample(3, 0).opponents.logits, tasks.sample(3, 0).opponents.logits)
