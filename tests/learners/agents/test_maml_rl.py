"""MAML with policy gradients: derivatives against enumeration and by hand, in float64."""

from itertools import product

import pytest
import torch

import quickstudy as qs
from quickstudy.learners.agents._trust import trust_region_step
from quickstudy.learners.agents.episodes import Episodes, advantages, baseline, dice, gae
from quickstudy.recipes import Choice
from quickstudy.report.pictures import draw
from quickstudy.testing import gradient
from quickstudy.training import distributed

STEPS, STATES, ACTIONS, DISCOUNT = 3, 2, 2, 0.9


def tiny_mdp():
    rng = torch.Generator().manual_seed(0)
    transitions = torch.rand(STATES, ACTIONS, STATES, generator=rng, dtype=torch.float64)
    rewards = torch.randn(STATES, ACTIONS, generator=rng, dtype=torch.float64)
    values = torch.randn(STEPS, STATES, generator=rng, dtype=torch.float64)  # any baseline
    logits = torch.randn(STATES, ACTIONS, generator=rng, dtype=torch.float64)
    return transitions / transitions.sum(-1, keepdim=True), rewards, values, logits


def every_episode():
    """All episodes from state 0: states, actions, and the log-probability of the transitions."""
    transitions, *_ = tiny_mdp()
    found = []
    for actions in product(range(ACTIONS), repeat=STEPS):
        for later in product(range(STATES), repeat=STEPS - 1):
            states = (0, *later)
            luck = torch.stack([transitions[states[k], actions[k], states[k + 1]] for k in range(STEPS - 1)]).prod()
            found.append((states, actions, luck))
    return found


def expected_return(logits):
    """Exact: dynamic programming, no sampling, no enumeration."""
    transitions, rewards, *_ = tiny_mdp()
    pi = logits.softmax(-1)
    value = torch.zeros(STATES, dtype=torch.float64)
    for _ in range(STEPS):
        value = (pi * (rewards + DISCOUNT * transitions @ value)).sum(-1)
    return value[0]


def expected_dice(logits, credit):
    """The mean of the DiCE objective over all episodes, each as likely as it is; the likelihoods are no function."""
    _, rewards, values, _ = tiny_mdp()
    total = torch.zeros((), dtype=torch.float64)
    for states, actions, luck in every_episode():
        log_p = logits.log_softmax(-1)[list(states), list(actions)]
        got = rewards[list(states), list(actions)]
        to_come = torch.stack([sum(DISCOUNT ** (k - t) * got[k] for k in range(t, STEPS)) for t in range(STEPS)])
        worth = to_come - values[range(STEPS), list(states)]
        likely = (luck * log_p.sum().exp()).detach()
        total = total + likely * dice(log_p[None, None], worth[None, None], DISCOUNT, credit=credit)[0]
    return total


def derivatives(function):
    logits = tiny_mdp()[-1].requires_grad_()
    (slope,) = torch.autograd.grad(function(logits), logits, create_graph=True)
    return slope, torch.stack([torch.autograd.grad(s, logits, retain_graph=True)[0].flatten() for s in slope.flatten()])


def test_dice_has_the_first_and_second_derivatives_of_the_expected_return():
    slope, curvature = derivatives(expected_return)
    found = derivatives(lambda logits: expected_dice(logits, "past"))
    torch.testing.assert_close(found[0], slope)
    torch.testing.assert_close(found[1], curvature)
    assert curvature.norm() > 0.1


def test_own_credit_has_the_first_derivative_only():
    slope, curvature = derivatives(expected_return)
    found = derivatives(lambda logits: expected_dice(logits, "own"))
    torch.testing.assert_close(found[0], slope)
    assert (found[1] - curvature).norm() > 0.01 * curvature.norm()


def test_gae_is_a_double_sum():
    rewards, values = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 5, dtype=torch.float64)
    after = torch.cat([values[..., 1:], torch.zeros(2, 3, 1)], -1)
    delta = rewards + 0.9 * after - values
    expected = torch.stack([sum((0.9 * 0.7) ** (k - t) * delta[..., k] for k in range(t, 5)) for t in range(5)], -1)
    torch.testing.assert_close(gae(rewards, values, 0.9, 0.7), expected)


def some_episodes():
    rng = torch.Generator().manual_seed(0)
    mask = torch.ones(2, 6, 4, dtype=torch.float64)
    mask[0, 1, 2:] = 0
    seen = torch.randn(2, 6, 4, 2, generator=rng, dtype=torch.float64)
    rewards = torch.randn(2, 6, 4, generator=rng, dtype=torch.float64) * mask
    return Episodes(seen, torch.zeros(2, 6, 4, 2, dtype=torch.float64), rewards, mask)


def test_the_baseline_is_least_squares_for_each_task():
    episodes = some_episodes()
    found = baseline(episodes, 0.9)
    for task in range(2):
        rows, goals, where = [], [], []
        for e, t in product(range(6), range(4)):
            if episodes.mask[task, e, t]:
                seen = episodes.observations[task, e, t]
                clock = torch.tensor([(t / 100) ** k for k in (1, 2, 3, 0)], dtype=torch.float64)
                rows.append(torch.cat([seen, seen**2, clock]))
                goals.append(sum(0.9 ** (k - t) * episodes.rewards[task, e, k] for k in range(t, 4)))
                where.append((e, t))
        x, y = torch.stack(rows), torch.stack(goals)
        weights = torch.linalg.solve(x.T @ x + 1e-5 * torch.eye(8, dtype=torch.float64), x.T @ y)
        values = torch.stack([found[task, e, t] for e, t in where])
        torch.testing.assert_close(values, x @ weights, rtol=1e-6, atol=1e-8)
    assert found[0, 1, 2:].abs().sum() == 0
    worth = advantages(episodes, discount=0.9, gae_lambda=1.0)
    assert worth[0, 1, 2:].abs().sum() == 0
    lived = worth[0][episodes.mask[0] > 0]
    torch.testing.assert_close(lived.mean(), torch.zeros((), dtype=torch.float64), atol=1e-10, rtol=0)
    torch.testing.assert_close(lived.std(correction=0), torch.ones((), dtype=torch.float64), rtol=1e-6, atol=0)


def make(outer="gradient", **options):
    torch.manual_seed(0)
    given = {"hidden": (3,), "episodes": 3, "inner_lr": 0.5, "log_std": -0.5, **options}
    return qs.MAMLRL(outer=outer, **given).double()


def environments(tasks=3, horizon=4, seed=0):
    return qs.tasks.Navigation(horizon=horizon).sample(tasks, seed)


@pytest.mark.parametrize(("order", "credit"), [(1, "past"), (2, "past"), (2, "own")])
def test_meta_gradient_by_hand(order, credit):
    """(I + alpha H) g, task by task, with H written out as a sum of score products and Hessians."""
    learner, batch = make(order=order, credit=credit), environments(tasks=2)
    names = [n for n, _ in learner.policy.named_parameters()]
    shapes = [p.shape for p in learner.policy.parameters()]
    flat = torch.cat([p.detach().flatten() for p in learner.policy.parameters()])
    total = torch.zeros_like(flat)
    paths = list(learner.path(batch, 1))

    def log_p(vector, episodes, task, e, t):
        parts = vector.split([s.numel() for s in shapes])
        params = {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        seen = episodes.observations[task, e, t].double()
        h = (params["mlp.layers.0.weight"] @ seen + params["mlp.layers.0.bias"]).relu()
        mean = params["mlp.layers.2.weight"] @ h + params["mlp.layers.2.bias"]
        normal = torch.distributions.Normal(mean, params["log_std"].exp())
        return normal.log_prob(episodes.actions[task, e, t]).sum()

    for task in range(2):
        before, after = (played for _, played in paths)
        worth, later = (advantages(e, discount=0.99, gae_lambda=1.0)[task].double() for e in (before, after))
        slope, curvature = torch.zeros_like(flat), torch.zeros(len(flat), len(flat), dtype=torch.float64)
        for e in range(3):
            score, bend = torch.zeros_like(flat), torch.zeros_like(curvature)
            for t in range(4):
                weight = 0.99**t * worth[e, t] / (3 * 4)
                own = torch.func.grad(log_p)(flat, before, task, e, t)
                own_bend = torch.func.jacrev(torch.func.grad(log_p))(flat, before, task, e, t)
                slope += weight * own
                past = torch.outer(score, score) + bend
                score, bend = score + own, bend + own_bend
                whole = torch.outer(score, score) + bend - past
                curvature += weight * (whole if credit == "past" else torch.outer(own, own) + own_bend)
        phi = flat + 0.5 * slope
        torch.testing.assert_close(torch.cat([paths[1][0][n][task].flatten() for n in names]), phi)
        g = sum(later[e, t] * torch.func.grad(log_p)(phi, after, task, e, t) for e in range(3) for t in range(4)) / 12
        total -= (g + 0.5 * curvature @ g if order == 2 else g) / 2
    torch.testing.assert_close(gradient(learner, batch), total)


@pytest.mark.parametrize("tasks", [qs.tasks.Navigation(horizon=4), qs.tasks.TabularMDPs(horizon=4)])
def test_a_batch_is_its_tasks_one_by_one(tasks):
    learner = make(in_features=tasks.x_shape[0], out_features=tasks.outputs)
    batch = tasks.sample(3, 1)
    each = torch.stack([gradient(learner, batch[t : t + 1]) for t in range(3)])
    together = gradient(learner, batch)
    assert together.norm() > 1e-3
    torch.testing.assert_close(together, each.mean(0))
    scores = torch.cat([learner.score_tasks(batch[t : t + 1], [0, 2]) for t in range(3)], -1)
    torch.testing.assert_close(learner.score_tasks(batch, [0, 2]), scores)
    assert learner.score_tasks(batch, [1]).shape == (2, 1, 3)


def test_reptile_goes_to_the_mean_of_the_stepped_policies():
    learner, batch = make("reptile", inner_steps=2), environments()
    *_, (params, _) = learner.path(batch, 2)
    names = [name for name, _ in learner.policy.named_parameters()]
    aims = [torch.stack([params[name][t] for t in range(3)]).mean(0) for name in names]
    opt = torch.optim.SGD(learner.parameters(), lr=1.0)
    learner.meta_backward(batch)
    opt.step()
    torch.testing.assert_close(list(learner.policy.parameters()), [torch.nn.Parameter(aim) for aim in aims])


@pytest.mark.parametrize("outer", ["gradient", "trpo", "reptile"])
def test_nothing_changes_and_nothing_is_random(outer):
    learner, batch = make(outer), environments()
    before = [p.clone() for p in learner.parameters()]
    state = torch.get_rng_state()
    first, second = learner.meta_gradient(batch), learner.meta_gradient(batch)
    assert all(torch.equal(a, b) for a, b in zip(first.gradients, second.gradients, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert set(first.metrics) >= {"loss", "return", "return_before"}


def test_a_policy_that_takes_no_step_by_itself_can_take_some_in_the_test():
    learner, tasks = qs.MAMLRL(inner_steps=0, episodes=2, hidden=(4,)), qs.tasks.Navigation(horizon=3)
    assert learner.adapt_steps == 0
    result = qs.evaluate(learner, tasks, n_tasks=2, steps=2)
    assert [by.step for by in result.by_step] == [0, 1, 2]
    batch, x = tasks.sample(2, 0), torch.rand(2, 5, 2)
    first, after = learner.adapt_path(batch, 1)
    torch.testing.assert_close(first(x), learner.policy.forward_tasks(learner.policy.start(2), x))
    assert (first(x) - after(x)).abs().max() > 1e-6


def test_later_steps_are_half_the_first():
    learner, batch = make(), environments()
    (start, _), (one, _), (two, _) = ((p["log_std"], e) for p, e in learner.path(batch, 2))
    scaled = make(inner_lr=0.5, later_lr=0.5)
    *_, (other, _) = scaled.path(batch, 2)
    torch.testing.assert_close(2 * (two - one), other["log_std"] - one)
    assert (one - start).abs().max() > 1e-4


def test_trust_region_step():
    """On a quadratic the full step is the natural gradient of the length that max_kl says."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(4, 4, generator=rng, dtype=torch.float64)
    metric, g = root @ root.T + torch.eye(4), torch.randn(4, generator=rng, dtype=torch.float64)

    def judge(step):
        return float(-g @ step[0]), float(step[0] @ metric @ step[0] / 2) * (1 - 1e-9)

    (step,), share = trust_region_step([g], lambda v: [metric @ v[0]], judge, max_kl=0.1)
    assert share == 1
    natural = torch.linalg.solve(metric + 0.01 * torch.eye(4), g)
    torch.testing.assert_close(step, natural * (0.2 / (natural @ metric @ natural)).sqrt())
    # A divergence four times what the metric says: half the step.
    (half,), share = trust_region_step(
        [g], lambda v: [metric @ v[0]], lambda s: (judge(s)[0], 4 * judge(s)[1]), max_kl=0.1
    )
    assert share == 0.5
    torch.testing.assert_close(half, step / 2)
    (none,), share = trust_region_step([g], lambda v: [metric @ v[0]], lambda s: (0.0, 0.0), max_kl=0.1)
    assert (share, float(none.norm())) == (0.0, 0.0)


def test_the_metric_is_the_fisher_matrix():
    """Of a Gaussian: J^T J / variance for the mean, 2 for the log of the spread."""
    learner, batch = make("trpo", log_std=0.3), environments(tasks=2, horizon=6)
    *_, (params, after) = learner.path(batch, 1)
    fixed = {n: p.detach() for n, p in params.items()}
    vector = [torch.randn_like(p) for p in learner.policy.parameters()]
    found = learner._fisher(batch, fixed, after)(vector)
    names = [n for n, _ in learner.policy.named_parameters()]
    expected = [torch.zeros_like(v) for v in vector]
    for task in range(2):
        own = {n: p[task] for n, p in fixed.items()}
        seen = after.observations[task, :, ::5].flatten(0, 1)

        def mean(p, seen=seen):
            return learner.policy.on({n: t[None] for n, t in p.items()}, seen[None], False).outputs[0]

        slopes = torch.func.jacrev(mean)(own)
        moved = sum((slopes[n] * v).flatten(2).sum(-1) for n, v in zip(names, vector, strict=True))
        _, back = torch.func.vjp(mean, own)
        (pulled,) = back(moved / (2 * own["log_std"]).exp() / len(seen))
        pulled["log_std"] = pulled["log_std"] + 2 * vector[names.index("log_std")]
        expected = [e + pulled[n] / 2 for n, e in zip(names, expected, strict=True)]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_trpo_stays_in_its_region_and_improves():
    learner = qs.MAMLRL(hidden=(16,), episodes=10)
    tasks = qs.tasks.Navigation(horizon=20)
    torch.manual_seed(0)
    before = qs.evaluate(learner, tasks, n_tasks=50)
    run = qs.train(learner, tasks, steps=8, meta_batch=10, meta_lr=1.0, optimizer="sgd", log_every=1)
    assert {"train/return", "train/return_before", "train/step"} <= set(run.metrics()[-1])
    after = qs.evaluate(learner, tasks, n_tasks=50)
    assert (before.metric, [s.step for s in after.by_step]) == ("return", [0, 1])
    assert after.mean > before.mean + before.ci95


def test_the_step_of_a_batch_is_not_taken_in_pieces(monkeypatch):
    """By trpo; the other outer steps are means over tasks."""
    tasks = qs.tasks.Navigation(horizon=5)
    message = r"MAMLRL \(outer='trpo'\) searches one step for the whole batch, so 4 tasks in pieces of 2 would"
    with pytest.raises(qs.UsageError, match=message):
        qs.MAMLRL(hidden=(4,), episodes=2, chunk=2).meta_backward(tasks.sample(4, 0))
    qs.MAMLRL(hidden=(4,), episodes=2, chunk=2, outer="gradient").meta_backward(tasks.sample(4, 0))
    monkeypatch.setattr(distributed, "world", lambda: 2)
    with pytest.raises(qs.UsageError, match="so 2 processes that share a batch would give another meta-gradient"):
        qs.train(qs.MAMLRL(hidden=(4,), episodes=2), tasks, steps=1, meta_batch=4)


def test_pictures_and_solver():
    learner, batch = make(), environments()
    (picture,) = draw(learner, batch)
    assert picture.name == "paths"
    assert draw(make(in_features=10, out_features=5), qs.tasks.TabularMDPs(horizon=4).sample(2, 0)) == []
    x = torch.randn(3, 4, 2, dtype=torch.float64)
    *_, (params, _) = learner.path(batch, 1)
    torch.testing.assert_close(learner.adapt(batch)(x), learner.policy.forward_tasks(params, x))


def test_built_by_name():
    choice = Choice.of("maml-rl")
    options = choice.options()
    assert (choice.tasks, options["optimizer"], options["meta_lr"]) == ("navigation", "sgd", 1.0)
    on_mdps = Choice.of("maml-rl", "mdps")
    learner, _ = on_mdps.build(on_mdps.options({"hidden": (4,)}))
    assert (learner.in_features, learner.out_features) == (10, 5)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"inner_lr": 0.0}, "inner_lr"),
        ({"order": 3}, "order"),
        ({"max_kl": 0.0}, "max_kl"),
        ({"discount": 2.0}, "disc"),
        ({"outer": "reptile", "inner_steps": 0}, "inner_steps"),
    ],
)
def test_wrong_options(options, word):
    with pytest.raises(qs.UsageError, match=word):
        qs.MAMLRL(**options)
    with pytest.raises(qs.UsageError, match="2 numbers and has 2 actions, these environments 10 and 5"):
        make().meta_gradient(qs.tasks.TabularMDPs().sample(2, 0))
