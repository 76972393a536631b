"""What scores are held beside: against plays, draws and answers of the tasks themselves."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.core.losses import task_losses
from quickstudy.core.references import Judged, Reference, references_of, unit_of
from quickstudy.tasks.games.named import MOVES

RETURN, SELF_PLAY, TRIAL = Judged("return"), Judged("return", self_play=True), Judged("return", trial=3)


def values(tasks, judged):
    return {each.name: each.value for each in references_of(tasks, judged)}


def test_classes_are_guessed_and_bits_too():
    assert values(qs.tasks.Glyphs(way=4), Judged("accuracy")) == {"chance": 0.25}
    assert values(qs.tasks.Glyphs(way=4), Judged("mse")) == {}
    assert values(qs.tasks.Copy(), Judged("bit_error")) == {"guessing": 0.5}
    mixed = qs.tasks.Mixture(parts=("glyphs",), way=(2, 4))
    assert values(mixed, Judged("accuracy")) == {"chance": pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 3)}


def test_of_tables_the_way_is_as_they_draw_it():
    tasks, rng = qs.tasks.TabularPrior(way=5), torch.Generator().manual_seed(0)
    ways = [tasks._shape(rng)[0] for _ in range(2000)]
    assert values(tasks, Judged("accuracy"))["chance"] == pytest.approx(sum(1 / way for way in ways) / 2000, abs=0.01)
    assert values(qs.tasks.TabularPrior(way=5, fixed=True), Judged("accuracy")) == {"chance": 0.2}


@pytest.mark.parametrize("options", [{}, {"amplitude": (1.0, 3.0), "phase": (0.3, 0.9), "x_range": (0.0, 1.5)}])
def test_curves(options):
    tasks = qs.tasks.Sinusoids(**options)
    y = tasks.sample(4000, 0).query.y
    found = values(tasks, Judged("mse"))
    assert found["0 everywhere"] == pytest.approx(float(y.square().mean()), rel=0.05)
    assert found["best possible"] == 0
    assert "best possible" not in values(qs.tasks.Sinusoids(shot=1), Judged("mse"))
    std = math.sqrt(found["0 everywhere"])
    nats = task_losses("gaussian", torch.stack([torch.zeros_like(y), torch.full_like(y, std)], -1), y).mean()
    (normal,) = values(tasks, Judged("gaussian")).values()
    assert normal == pytest.approx(float(nats), abs=0.05)


def test_the_exact_posterior_is_better_than_nothing_learned():
    for metric in ("mse", "gaussian"):
        nothing, exact = references_of(qs.tasks.GaussianProcesses(shot=(8, 9)), Judged(metric))
        assert exact.name == "exact posterior"
        assert exact.value + exact.ci95 < nothing.value - 0.5
    drawn = qs.tasks.GaussianProcesses(shot=2, output_scale=(0.5, 2.0))
    nothing, exact = references_of(drawn, Judged("mse"))
    assert nothing.value == pytest.approx(float(drawn.sample(4000, 0).query.y.square().mean()), rel=0.08)
    assert exact.name == "exact posterior, scales known"


def test_bandits_by_the_trial():
    found = values(qs.tasks.Bandits(arms=3), TRIAL)
    assert found["arms at random"] < found["Thompson sampling"] < found["best arm known"] == 0.75
    assert "Thompson sampling" not in values(qs.tasks.Bandits(), RETURN)
    chances = qs.tasks.Bandits(arms=3).sample(4000, 0).chances
    assert float(chances.amax(1).mean()) == pytest.approx(0.75, abs=0.02)


def test_what_was_sampled_is_the_same_again_and_draws_nothing_of_the_callers():
    before = torch.get_rng_state()
    first = references_of(qs.tasks.TabularMDPs(states=3, actions=2, horizon=4), TRIAL)
    assert torch.equal(before, torch.get_rng_state())
    from quickstudy.tasks.environments import mdps

    mdps._played.cache_clear()
    assert references_of(qs.tasks.TabularMDPs(split="test", states=3, actions=2, horizon=4), TRIAL) == first
    random, sampling, known = first
    assert random == Reference("actions at random", 4.0)
    assert random.value < sampling.value < known.value


@pytest.mark.parametrize("reward", ["squared", "distance"])
def test_navigation(reward):
    tasks = qs.tasks.Navigation(reward=reward, horizon=30)
    batch = tasks.sample(2000, 1)
    state, total = batch.reset(1, 0)[0], torch.zeros(2000)
    for _ in range(30):
        state, _, gained, _ = batch.step(state, torch.zeros(2000, 1, 2))
        total += gained[:, 0]
    still, straight = references_of(tasks, RETURN)
    assert still.value == pytest.approx(float(total.mean()), rel=0.03)
    assert still.value < straight.value < 0


@pytest.mark.parametrize("game", MOVES)
def test_games(game):
    tasks = qs.tasks.IteratedGames(game=game)
    both, met = values(tasks, SELF_PLAY), values(tasks, RETURN)
    if game == "matching-pennies":
        assert both == met == {"the game's value": 0.0}
        return
    batch = tasks.sample(1, 0)
    for name, logit in zip(both, (9.0, -9.0), strict=True):
        played = float(batch.returns(torch.full((1, 2, 5), logit)).mean())
        assert both[name] == pytest.approx(played, abs=0.01)
    assert len(met) == 4


def test_units():
    assert unit_of(qs.tasks.Bandits(), Judged("return", 10)) == "per pull, in trials of 10 pulls"
    assert unit_of(qs.tasks.TabularMDPs(), Judged("return", 1)) == "per episode, in trials of 1 episode"
    assert unit_of(qs.tasks.IteratedGames(), SELF_PLAY) == "per round, mean of both players"
    assert unit_of(qs.tasks.GaussianProcesses(), Judged("gaussian")) == "nats per target"
    assert unit_of(qs.tasks.Sinusoids(), Judged("mse")) == ""
    assert unit_of(object(), RETURN) == "per episode"


def test_tasks_of_ones_own():
    class Own:
        def references(self, judged):
            return [Reference("mine", 0.5, 0.01)]

    assert references_of(Own(), RETURN) == (Reference("mine", 0.5, 0.01),)
    assert references_of(object(), Judged("accuracy")) == ()
    Own.references = lambda self, judged: [0.5]
    with pytest.raises(qs.UsageError, match="must be a tuple of Reference"):
        references_of(Own(), RETURN)


def test_a_result_says_them_and_keeps_them():
    learner = qs.RL2(in_features=1, out_features=2, episodes=2, hidden_size=2)
    result = qs.evaluate(learner, qs.tasks.Bandits(arms=2), n_tasks=4)
    assert [each.name for each in result.references] == ["arms at random", "Thompson sampling", "best arm known"]
    assert " per pull, in trials of 2 pulls (95% interval" in str(result)
    assert str(result).endswith("best arm known 0.6667")
    assert qs.Result.from_json(result.to_json()) == result
