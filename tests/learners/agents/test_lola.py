"""LOLA: its second-order term against an independent computation; what it comes to in the prisoner's dilemma."""

import contextlib
import signal

import pytest
import torch
from torch.func import grad, jacrev

import quickstudy as qs
from quickstudy.learners.agents.shaping import dice, dice_objective, lookahead, taylor
from quickstudy.report.pictures import draw
from quickstudy.tasks.games.iterated import values

TASKS = qs.tasks.IteratedGames()


def small_game():
    rng = torch.Generator().manual_seed(0)
    payoffs = torch.randn(2, 2, 2, dtype=torch.float64, generator=rng)
    return payoffs, torch.randn(2, 5, dtype=torch.float64, generator=rng)


def numeric(f, x, step=1e-6):
    found = torch.zeros_like(x)
    for i in range(len(x)):
        e = torch.zeros_like(x)
        e[i] = step
        found[i] = (f(x + e) - f(x - e)) / (2 * step)
    return found


@pytest.mark.parametrize("player", [0, 1])
def test_each_rule_against_its_equation(player):
    """Naive and look-ahead by finite differences, LOLA's term by the full Hessian block and two gradients."""
    payoffs, policies = small_game()
    eta, me, other = 0.3, player, 1 - player

    def v(own, theirs, who):
        pair = torch.stack([own, theirs] if me == 0 else [theirs, own])
        return values(pair, payoffs, 0.8)[who]

    own, theirs = policies[me], policies[other]
    all_values = lambda p: values(p, payoffs, 0.8)
    naive = taylor(all_values, policies, 0.0)[me]
    torch.testing.assert_close(naive, numeric(lambda x: v(x, theirs, me), own), rtol=1e-6, atol=1e-8)

    def after(x, steps):
        moved = theirs
        for _ in range(steps):
            moved = moved + eta * grad(lambda y: v(x, y, other))(moved)
        return v(x, moved, me)

    for steps in (0, 1, 3):
        found = lookahead(all_values, policies, eta, steps)[me]
        torch.testing.assert_close(found, numeric(lambda x, s=steps: after(x, s), own), rtol=1e-5, atol=1e-7)

    # [own, theirs] block of the other's Hessian, and what the other's policy is worth to me
    block = jacrev(lambda x: grad(lambda y: v(x, y, other))(theirs))(own)
    expected = naive + eta * block.T @ grad(lambda y: v(own, y, me))(theirs)
    torch.testing.assert_close(taylor(all_values, policies, eta)[me], expected)
    assert not torch.allclose(expected, naive, rtol=0.05)


def test_rates_are_each_players_own_and_games_do_not_mix():
    rng = torch.Generator().manual_seed(0)
    batch = TASKS.sample(3, 0)
    policies = torch.randn(3, 2, 5, generator=rng)
    eta = torch.tensor([[0.0, 0.5], [0.5, 0.0], [0.5, 0.5]])
    found = taylor(batch.values, policies, eta)
    naive, both = (taylor(batch.values, policies, e) for e in (0.0, 0.5))
    for game in range(3):
        for player in (0, 1):
            expected = both if eta[game, player] else naive
            torch.testing.assert_close(found[game, player], expected[game, player])
            alone = taylor(batch[game : game + 1].values, policies[game : game + 1], 0.5)[0]
            torch.testing.assert_close(alone, both[game])


def test_lola_is_the_first_order_expansion_of_lookahead():
    """Their difference from each other falls with eta like the expansion's own neglected terms; from naive, too."""
    payoffs, policies = small_game()
    f = lambda p: values(p, payoffs, 0.8)
    # lookahead's derivative = naive + eta * (term by the step + term by the start) + O(eta^2)
    x = policies.clone().requires_grad_()
    v = f(x)
    d0, d1 = (torch.autograd.grad(v[i], x, create_graph=True)[0] for i in (0, 1))
    left_out = torch.autograd.grad(d0[1], x, d1[1].detach())[0][0]  # d2V_1/dtheta_1 dtheta_2 dV_2/dtheta_2
    eta = 1e-4
    gap = (lookahead(f, policies, eta, 1)[0] - taylor(f, policies, eta)[0]) / eta
    torch.testing.assert_close(gap, left_out, rtol=0.01, atol=1e-4)


def test_dice_estimates_lookahead():
    """Averaged over many pairs with the same policies; without the derivative through the other's step it would not."""
    batch = qs.tasks.IteratedGames(discount=0.6).sample(1, 0)
    policies = torch.randn(1, 1, 2, 5, generator=torch.Generator().manual_seed(3))
    exact = lookahead(batch.values, policies, 2.0, 1)[0, 0]
    naive = taylor(batch.values, policies, 0.0)[0, 0]
    torch.manual_seed(0)
    each = dice(batch, policies.expand(1, 60, 2, 5), 2.0, 1, rollouts=500, length=14)[0]
    error = each.std(0) / 60**0.5
    # 4 standard errors, and a little for the game's end and the step that is itself an estimate
    assert ((each.mean(0) - exact).abs() < 4 * error + 0.02).all()
    assert ((naive - exact).abs() > 4 * error + 0.02).any()


def test_derivatives_of_dice_by_enumeration():
    """All outcomes of two rounds of one coin, weighted by their probability: value, gradient and Hessian are exact."""
    logit = torch.tensor(0.4, dtype=torch.float64)
    outcomes = torch.tensor([[a, b] for a in (0, 1) for b in (0, 1)])
    rewards = torch.tensor([[1.0, 2.0], [1.0, -1.0], [0.5, 3.0], [0.5, 0.0]], dtype=torch.float64)

    def log_p(x):
        return torch.where(outcomes == 1, torch.nn.functional.logsigmoid(x), torch.nn.functional.logsigmoid(-x))

    def true(x):
        return (log_p(x).sum(-1).exp() * (rewards * torch.tensor([1.0, 0.9])).sum(-1)).sum()

    def estimated(x):
        # Two copies of each outcome: the baseline is the other copy's reward, so it is wrong to leave it out.
        weights = log_p(logit).sum(-1).exp()
        each = [
            dice_objective(log_p(x)[[i, j]], rewards[[i, j]], 0.9) * weights[i] * weights[j]
            for i in range(4)
            for j in range(4)
        ]
        return torch.stack(each).sum()

    assert estimated(logit).item() == pytest.approx(true(logit).item())
    assert grad(estimated)(logit).item() == pytest.approx(grad(true)(logit).item())
    assert grad(grad(estimated))(logit).item() == pytest.approx(grad(grad(true))(logit).item())


def learned(rule, steps=100, pairs=40):
    torch.manual_seed(0)
    learner = qs.LOLA(method=rule, pairs=pairs)
    qs.train(learner, TASKS, steps=steps, meta_batch=1, optimizer="sgd", meta_lr=1.0)
    return learner


def test_naive_learners_defect_and_lola_plays_tit_for_tat():
    p = {rule: learned(rule).policies.detach() for rule in ("naive", "lola")}
    batch = TASKS.sample(1, 0)
    naive, lola = (batch.returns(p[rule][None]).mean().item() for rule in ("naive", "lola"))
    assert naive < -1.9
    assert lola > -1.2
    _, cc, cd, dc, dd = p["lola"].sigmoid().mean((0, 1)).tolist()
    assert min(cc, dc) > 0.8  # what the other's cooperation is answered with
    assert max(cd, dd) < 0.35  # and its defection


def test_dice_needs_no_exact_values_to_play_tit_for_tat():
    policies = learned("dice", steps=30, pairs=15).policies.detach()
    _, cc, cd, dc, dd = policies.sigmoid().mean((0, 1)).tolist()
    assert min(cc, dc) > 0.65
    assert max(cd, dd) < 0.35
    assert TASKS.sample(1, 0).returns(policies[None]).mean() > -1.5  # naive learners are below -1.9


def test_a_batch_of_games_gives_the_mean_direction():
    learner = qs.LOLA(pairs=3).double()
    batch = qs.tasks.IteratedGames(noise=0.5).sample(4, 0)
    found = learner.meta_gradient(batch).gradients[0]
    each = [learner.meta_gradient(batch[t : t + 1]).gradients[0] for t in range(4)]
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    assert found.dtype == torch.float64
    assert learner.policies.grad is None
    learner.meta_backward(batch, workers=2)
    torch.testing.assert_close(learner.policies.grad, found)


def test_scores_and_solver_are_those_of_the_pair_that_sits_there():
    learner = qs.LOLA(pairs=7)
    batch = TASKS.sample(20, 0)
    seats = (batch.seat * 7).long()
    assert len(set(seats.tolist())) > 3
    scores = learner.score_tasks(batch, [0])
    assert scores.shape == (2, 1, 20)
    torch.testing.assert_close(scores[0, 0], batch.returns(learner.policies[seats]).mean(-1))
    x = torch.eye(5).expand(20, 5, 5)
    torch.testing.assert_close(learner.adapt(batch)(x).squeeze(-1), learner.policies[seats, 0])


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path):
    def go(steps, resume, out):
        torch.manual_seed(0)
        learner = qs.LOLA(method="dice", pairs=4, rollouts=4, length=5)
        with pytest.raises(KeyboardInterrupt) if steps == 2 else contextlib.nullcontext():
            qs.train(
                learner, TASKS, steps=4, meta_batch=1, optimizer="sgd", meta_lr=1.0, out=out, resume=resume,
                progress=stop if steps == 2 else None,
            )  # fmt: skip
        return learner.policies.detach()

    def stop(progress):
        if progress.step == 2:
            signal.raise_signal(signal.SIGTERM)

    straight = go(4, False, tmp_path / "a")
    go(2, False, tmp_path / "b")
    assert torch.equal(go(4, True, tmp_path / "b"), straight)


def test_wrong_options():
    for options, text in (
        ({"rollouts": 1}, "rollouts >= 2"),
        ({"out_features": 7}, "multiple of in_features"),
    ):
        with pytest.raises(qs.UsageError, match=text):
            qs.LOLA(**options)


def test_pictures():
    learner = qs.LOLA(pairs=3)
    (picture,) = draw(learner, TASKS.sample(3, 0))
    assert picture.name == "self-play"
    assert "step size 1" in picture.caption
    (plain,) = draw(qs.LOLA(pairs=3, method="dice"), TASKS.sample(3, 0))
    assert "step size" not in plain.caption
