"""Meta-training of learned optimizers: both estimates against slow computations, and the learner's promises."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.draws import task_generators
from quickstudy.learners.optimizers._unrolled import CEILING, evolved, truncated
from quickstudy.report.pictures import draw
from quickstudy.report.pictures.optimizers import GRID, updates
from quickstudy.rules import CoordinateLSTM, FeatureMLP, HyperMLP, LearnedAdam
from quickstudy.testing import gradient, gradient_is_the_derivative

WORDS = ["adam", "lstm", "mlp", "hyper"]


def problems(family="mlp", tasks=3, seed=2, horizon=6, **options):
    drawn = qs.tasks.Problems(families=(family,), horizon=(horizon, horizon), examples=16, **options)
    return drawn.sample(tasks, seed).double()


def make(rule, **options):
    torch.manual_seed(0)
    learner = qs.OptimizerLearner(rule=rule, **options).double()
    with torch.no_grad():
        for p in learner.parameters():
            p += 0.05 * torch.randn(p.shape, dtype=p.dtype)
    return learner


@pytest.mark.parametrize(
    ("word", "name", "cls"),
    [
        ("adam", "learned-adam", LearnedAdam),
        ("lstm", "coordinate-lstm", CoordinateLSTM),
        ("mlp", "feature-mlp", FeatureMLP),
        ("hyper", "hyper-mlp", HyperMLP),
    ],
)
def test_a_rule_by_its_word_by_its_name_or_as_it_is(word, name, cls):
    learners = [make(rule) for rule in (word, name, cls())]
    assert [type(learner.rule) for learner in learners] == [cls] * 3
    assert {key.partition(".")[0] for key in learners[0].state_dict()} == {"rule", "outer_step"}
    for learner in learners:
        assert registry.name_of(learner) == ("learners", f"{word}-optimizer")
        described = registry.describe(learner)
        assert described["options"]["rule"] == registry.describe(cls())
        registry.build(described).load_state_dict(learner.state_dict())


def test_a_rule_of_ones_own():
    class Mine(LearnedAdam):
        """One that has no name."""

    learner, batch = make(Mine()), problems()
    assert learner.meta_backward(batch)["loss"] == float(learner.meta_loss(batch)[0].detach())
    assert "opaque" in registry.describe(learner)


def test_a_name_takes_the_options_of_its_rule_and_no_others():
    learner = qs.LSTMOptimizer(hidden_size=3, saturation=5.0, truncation=2)
    assert (learner.rule.hidden_size, learner.rule.saturation, learner.truncation) == (3, 5.0, 2)
    with pytest.raises(qs.UsageError, match="adam-optimizer has no option hidden"):
        qs.AdamOptimizer(hidden=3)
    with pytest.raises(qs.UsageError, match=r"no 'abacus' among the rules: .*feature-mlp"):
        qs.OptimizerLearner(rule="abacus")


def worth(r):
    """Of a relative loss: its logarithm up to 1, then itself."""
    return (r + 0.01).log() if r <= 1 else math.log(1.01) + r - 1


def by_hand(rule, batch, *, steps, truncation, order):
    """The loss, one problem, one step at a time, cut by hand."""
    total = 0.0
    for t in range(len(batch)):
        one = batch[t : t + 1]
        level = one.train_loss(one.start)
        params, state = one.start, rule.init(one.start)
        for k in range(steps):
            if k % truncation == 0:
                params = {n: p.detach() for n, p in params.items()}
                state = {n: {part: s.detach() for part, s in own.items()} for n, own in state.items()}
            leaves = {n: p if p.requires_grad else p.clone().requires_grad_() for n, p in params.items()}
            grads = torch.autograd.grad(one.loss(leaves, k).sum(), list(leaves.values()), create_graph=True)
            grads = [g if order == 2 else g.detach() for g in grads]
            params, state = rule.update(leaves, dict(zip(leaves, grads, strict=True)), state)
            total = total + worth(one.loss(params, k + 1) / level).sum() / (steps * len(batch))
    return total


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rule", WORDS)
def test_truncated_backpropagation_by_hand(rule, order):
    learner = make(rule, truncation=2, order=order)
    batch = problems(horizon=5, tasks=2)
    expected = by_hand(learner.rule, batch, steps=5, truncation=2, order=order)
    torch.testing.assert_close(learner.meta_loss(batch)[0], expected)
    grads = torch.autograd.grad(expected, list(learner.parameters()), allow_unused=True)
    pairs = zip(grads, learner.parameters(), strict=True)
    flat = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])
    assert flat.norm() > 1e-6
    torch.testing.assert_close(gradient(learner, batch), flat, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("family", ["quadratic", "conv"])
@pytest.mark.parametrize("rule", WORDS)
def test_gradient_through_the_whole_unroll_against_finite_differences(rule, family):
    learner = make(rule, truncation=4, order=2)
    gradient_is_the_derivative(learner, problems(family, horizon=4))


def quadratic():
    """One problem and Adam as a rule: three meta-parameters, six steps."""
    rule = LearnedAdam(lr=0.1, betas=(0.6, 0.9)).double()
    return rule, problems("quadratic", tasks=1, seed=3, horizon=6)


def flat(parts):
    return torch.cat([torch.as_tensor(p).flatten() for p in parts])


def through(rule, batch, truncation):
    shares = [share for share, _ in truncated(rule, batch, steps=6, truncation=truncation, order=2)]
    return flat(torch.autograd.grad(torch.stack(shares).sum(), list(rule.parameters())))


def test_pes_is_the_full_unrolls_gradient_within_sampling_error():
    """With cuts after every second step; truncated backpropagation with the same cuts is far off."""
    rule, batch = quadratic()
    torch.manual_seed(0)
    draws = []
    for _ in range(30):
        found, loss = evolved(rule, batch, steps=6, truncation=2, sigma=0.02, pairs=300)
        draws.append(flat([found[name] for name, _ in rule.named_parameters()]))
    mean, error = torch.stack(draws).mean(0), torch.stack(draws).std(0) / math.sqrt(len(draws))
    exact, cut = through(rule, batch, 6), through(rule, batch, 2)
    assert (((mean - exact) / error).abs() < 4).all()
    assert error.norm() < 0.05 * exact.norm(), "the interval must be narrow enough to tell"
    assert ((cut - exact) / error).abs().max() > 8
    assert float(loss) == pytest.approx(float(by_hand(rule, batch, steps=6, truncation=6, order=2).detach()), rel=0.05)


@pytest.mark.parametrize("rule", WORDS)
def test_perturbed_rules_run_as_each_would_alone(rule):
    """The equation of PES, with the same random numbers, one perturbed rule at a time."""
    learner = make(rule)
    batch = problems(horizon=3, tasks=2)
    theta = {n: p.detach().clone() for n, p in learner.rule.named_parameters()}
    torch.manual_seed(5)
    found, _ = evolved(learner.rule, batch, steps=3, truncation=2, sigma=0.01, pairs=2)
    torch.manual_seed(5)
    each = task_generators(2, "perturbations")
    noises = [
        {
            n: torch.cat([0.01 * torch.randn(2, *p.shape, generator=rng, dtype=p.dtype) for rng in each])
            for n, p in theta.items()
        }
        for _ in range(2)
    ]
    expected = {n: torch.zeros_like(p) for n, p in theta.items()}
    for pair in range(4):
        one = batch[pair // 2 : pair // 2 + 1]
        level = one.train_loss(one.start)
        shares = torch.zeros(2, 2, dtype=torch.float64)  # sign, segment
        for s, sign in enumerate((1, -1)):
            params, state = one.start, learner.rule.init(one.start)
            for k in range(3):
                with torch.no_grad():
                    for n, p in learner.rule.named_parameters():
                        p.copy_(theta[n] + sign * noises[k // 2][n][pair])
                leaves = {n: p.detach().requires_grad_() for n, p in params.items()}
                grads = torch.autograd.grad(one.loss(leaves, k).sum(), list(leaves.values()))
                with torch.no_grad():
                    params, state = learner.rule.update(leaves, dict(zip(leaves, grads, strict=True)), state)
                    shares[s, k // 2] += worth(one.loss(params, k + 1) / level).item() / 3
        for n in theta:
            past = 0.0
            for segment in range(2):
                past = past + noises[segment][n][pair]
                expected[n] += past * (shares[0, segment] - shares[1, segment]) / (2 * 0.01**2 * 4)
    for n, g in found.items():
        torch.testing.assert_close(g, expected[n], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rule", WORDS)
def test_a_batch_is_its_problems_one_by_one(rule):
    learner, batch = make(rule, truncation=2), problems(horizon=4)
    each = torch.stack([gradient(learner, batch[t : t + 1]) for t in range(3)])
    torch.testing.assert_close(gradient(learner, batch), each.mean(0), rtol=1e-7, atol=1e-10)
    scores = torch.cat([learner.score_tasks(batch[t : t + 1], [0, 3]) for t in range(3)], -1)
    torch.testing.assert_close(learner.score_tasks(batch, [0, 3]), scores)
    in_pieces = make(rule, truncation=2, chunk=1)
    in_pieces.meta_backward(batch, workers=2)
    found = flat([torch.zeros_like(p) if p.grad is None else p.grad for p in in_pieces.parameters()])
    torch.testing.assert_close(found, each.mean(0), rtol=1e-7, atol=1e-10)


def test_scores_are_relative_to_the_start():
    learner, batch = make(LearnedAdam(lr=0.03)), problems()
    score, loss = learner.score_tasks(batch, [0, 2])
    torch.testing.assert_close(score[0], torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(loss[0], batch.held_loss(batch.start))
    params, state = batch.start, learner.rule.init(batch.start)
    for k in range(2):
        leaves = {n: p.detach().requires_grad_() for n, p in params.items()}
        grads = torch.autograd.grad(batch.loss(leaves, k).sum(), list(leaves.values()))
        params, state = learner.rule.update(leaves, dict(zip(leaves, grads, strict=True)), state)
    torch.testing.assert_close(score[1], (batch.train_loss(params) / batch.train_loss(batch.start)).detach())
    learner.eval_steps = 2
    weights = {n: p * batch.scales[n] for n, p in params.items()}
    torch.testing.assert_close(learner.adapt(batch)(batch.held.x), batch.net(weights, batch.held.x))


@pytest.mark.parametrize("estimator", ["backprop", "pes"])
def test_what_diverges_is_left_and_said(estimator):
    learner = qs.AdamOptimizer(lr=1e12, truncation=2, estimator=estimator)
    batch = qs.tasks.Problems(families=("mlp",), horizon=(6, 6), examples=16).sample(3, 0)
    metrics = learner.meta_backward(batch)
    assert metrics["loss"] == pytest.approx(math.log(1.01) + CEILING - 1, rel=1e-5)
    assert all(p.grad is None or p.grad.isfinite().all() for p in learner.parameters())
    if estimator == "backprop":
        assert metrics["diverged"] == 1
    assert learner.score_tasks(batch, [6])[0].tolist() == [[10.0] * 3]


def test_the_curriculum_lengthens_the_unroll():
    learner = qs.AdamOptimizer(truncation=4, curriculum=4)
    batch = qs.tasks.Problems(families=("quadratic",), horizon=(20, 20), examples=16).sample(2, 0)
    assert [learner.meta_backward(batch)["unroll"] for _ in range(6)] == [4, 8, 12, 16, 20, 20]
    again = qs.AdamOptimizer(truncation=4, curriculum=4)
    again.load_state_dict(learner.state_dict())
    assert again.meta_backward(batch)["unroll"] == 20
    learner.eval().meta_backward(batch)
    assert float(learner.outer_step) == 6


def test_training_lowers_the_loss_and_can_be_read_back(tmp_path):
    tasks = qs.tasks.Problems(families=("logistic",), horizon=(20, 20), examples=64)
    learner = qs.AdamOptimizer(lr=1e-3, eval_steps=20)
    held = qs.tasks.Problems(families=("logistic",), split="test", examples=64)
    before = qs.evaluate(learner, held, n_tasks=4)
    assert before.metric == "final_loss"
    run = qs.train(
        learner, tasks, steps=12, meta_batch=4, meta_lr=0.3, out=tmp_path / "r", validation=held, validation_tasks=2
    )
    after = qs.evaluate(run.learner(), held, n_tasks=4)
    assert after.mean < 0.9 * before.mean


def test_pictures():
    learner = qs.MLPOptimizer(eval_steps=3)
    batch = qs.tasks.Problems(families=("quadratic",), examples=16).sample(2, 0)
    drawn = draw(learner, batch)
    assert [p.name for p in drawn] == ["loss-curves", "update"]


def test_the_picture_of_adam_is_adams_step():
    """Its momentum is made of the past gradient and of the one now; its second moment, too."""
    found = updates(LearnedAdam(lr=0.5, betas=(0.9, 0.999)))
    m, g = -2.0, 1.0  # the row of the first past gradient, and three quarters along
    first, second = 0.9 * (1 - 0.9**30) * m + 0.1 * g, 0.999 * (1 - 0.999**30) * m**2 + 0.001 * g**2
    step = -0.5 * first / (1 - 0.9**31) / math.sqrt(second / (1 - 0.999**31))
    assert float(found[0, (GRID - 1) * 3 // 4]) == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("options", [{"truncation": 0}, {"sigma": 0.0}, {"curriculum": -1}, {"order": 3}])
def test_wrong_options(options):
    with pytest.raises(qs.UsageError, match=next(iter(options))):
        qs.MLPOptimizer(**options)
