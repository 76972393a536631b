"""MAML++: what its parts add to MAML, each by hand, and the state that moves with the outer steps."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.rules import PerStep
from quickstudy.testing import check_learner, double

pytestmark = pytest.mark.usefixtures("double_by_default")


def conv4():
    return qs.nets.Conv4(filters=3, size=16, out_features=3)


def images(tasks=2):
    return double(qs.tasks.Glyphs(way=3, query=2, size=16).sample(tasks, seed=0))


def sinusoids(tasks=2):
    return double(qs.tasks.Sinusoids(shot=5, query=4).sample(tasks, seed=0))


def gradients(learner, batch):
    named = [name for name, _ in learner.named_parameters()]
    return dict(zip(named, learner.meta_gradient(batch).gradients, strict=True))


@pytest.mark.parametrize("order", [1, 2])
def test_without_its_parts_it_is_maml(order):
    model, batch = conv4(), images()
    options = {"inner_lr": 0.1, "inner_steps": 2, "order": order}
    learner = qs.MAMLPlusPlus(model, per_step_bn=False, multi_step=0, **options)
    maml = qs.MAML(model, **options)
    torch.testing.assert_close(learner.meta_loss(batch)[0], maml.meta_loss(batch)[0], rtol=1e-10, atol=1e-12)
    found, expected = gradients(learner, batch), gradients(maml, batch)
    for name, g in expected.items():
        torch.testing.assert_close(found[name], g, rtol=1e-8, atol=1e-10)


def test_the_multi_step_losses_weights_sum_to_one_and_go_to_the_last_step():
    learner = qs.MAMLPlusPlus(qs.nets.MLP(), inner_steps=4, multi_step=8, loss="mse")
    seen = []
    for step in range(10):
        learner.outer_step.fill_(step)
        seen.append(learner.step_weights())
        assert sum(seen[-1]) == pytest.approx(1, abs=1e-12)
    assert seen[0] == pytest.approx([1 / 4] * 4)
    assert seen[4] == pytest.approx([1 / 8, 1 / 8, 1 / 8, 5 / 8])
    assert seen[8] == seen[9] == [0.0, 0.0, 0.0, 1.0]


def by_hand(learner, batch, t, steps):
    """The adapted weights after each step of one task of ``MLP(hidden=(4,))``, by plain autograd."""
    names = ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]
    params = {name: dict(learner.model.named_parameters())[name] for name in names}
    path = [params]
    for k in range(steps):
        loss = F.mse_loss(torch.func.functional_call(learner.model, params, (batch.support.x[t],)), batch.support.y[t])
        grads = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        rates = [learner.rule.rates[f"{name.replace('.', '/')}/rate"][k] for name in names]
        params = {n: p - a * g for (n, p), a, g in zip(params.items(), rates, grads, strict=True)}
        path.append(params)
    return path


def test_multi_step_loss_and_every_rates_gradient_by_hand():
    """Different rates everywhere; the loss is a weighted sum of the query losses after 1, 2 and 3 steps."""
    learner = qs.MAMLPlusPlus(qs.nets.MLP(hidden=(4,)), inner_steps=3, multi_step=8, loss="mse")
    with torch.no_grad():
        for rate in learner.rule.rates.values():
            rate.copy_(torch.rand(3) * 0.05)
    learner.outer_step.fill_(2)
    batch = sinusoids()
    total = 0.0
    for t in range(2):
        for weight, params in zip((0.25, 0.25, 0.5), by_hand(learner, batch, t, 3)[1:], strict=True):
            predictions = torch.func.functional_call(learner.model, params, (batch.query.x[t],))
            total = total + weight * F.mse_loss(predictions, batch.query.y[t]) / 2
    loss, metrics = learner.meta_loss(batch)
    torch.testing.assert_close(loss, total, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(metrics["multi_step_loss"], total.detach(), rtol=1e-10, atol=1e-12)
    assert metrics["loss"] != metrics["multi_step_loss"]
    expected = torch.autograd.grad(total, list(learner.parameters()))
    for found, g in zip(learner.meta_gradient(batch).gradients, expected, strict=True):
        torch.testing.assert_close(found, g, rtol=1e-8, atol=1e-10)


def test_a_rates_gradient_is_minus_the_product_of_two_gradients():
    """d L'(p - a g) / d a = -g . grad L'(p'), at first order as at second."""
    start = {"w": torch.randn(1, 3), "b": torch.randn(1, 2)}
    grads = {"w": torch.randn(1, 3), "b": torch.randn(1, 2)}
    outer = {"w": torch.randn(1, 3), "b": torch.randn(1, 2)}
    rule = PerStep(start, steps=2, lr=0.3)
    moved, state = rule.update(start, grads, 1)
    sum((moved[name] * outer[name]).sum() for name in start).backward()
    for name in start:
        rate = rule.rates[f"{name}/rate"]
        expected = torch.stack([torch.zeros(()), -(grads[name] * outer[name]).sum()])
        torch.testing.assert_close(rate.grad, expected)
        torch.testing.assert_close(moved[name], start[name] - 0.3 * grads[name])
    with torch.no_grad():
        rule.rates["w/rate"][1] = 0.7
    torch.testing.assert_close(rule.update(start, grads, state + 5)[0]["w"], start["w"] - 0.7 * grads["w"])


def test_each_step_has_its_own_batchnorm_and_it_does_not_adapt():
    model, batch = conv4(), images(1)
    learner = qs.MAMLPlusPlus(model, inner_steps=2, inner_lr=0.1, multi_step=0)
    norm_names = set(learner.norm_names)
    assert len(norm_names) == 8  # weight and bias of four layers
    assert not any(name.replace(".", "/") + "/rate" in learner.rule.rates for name in norm_names)
    with torch.no_grad():
        for p in learner.norms:
            p.add_(0.1 * torch.randn_like(p))
    # By hand: step k's loss is that of the network with the k-th norms in place.
    params = dict(model.named_parameters())
    for k in range(3):
        norms = {name: p[k] for name, p in zip(learner.norm_names, learner.norms, strict=True)}
        whole = {**params, **norms}
        solver = list(learner.adapt_path(batch.support, 2))[k]
        for name, p in whole.items():
            torch.testing.assert_close(solver.params[name][0], p, rtol=1e-8, atol=1e-10)
        if k < 2:
            net = copy.deepcopy(model)  # in training mode: normalises by the batch
            loss = F.cross_entropy(torch.func.functional_call(net, whole, (batch.support.x[0],)), batch.support.y[0])
            moving = [name for name in params if name not in norm_names]
            grads = torch.autograd.grad(loss, [params[name] for name in moving])
            params |= {n: (params[n] - 0.1 * g).detach().requires_grad_() for n, g in zip(moving, grads, strict=True)}
    found = gradients(learner, batch)
    for i in range(8):
        assert all(found[f"norms.{i}"][k].abs().max() > 0 for k in range(3))


@pytest.mark.parametrize("per_step_statistics", [False, True])
def test_nothing_moves_but_by_meta_backward_in_training_mode(per_step_statistics):
    learner = qs.MAMLPlusPlus(conv4(), inner_steps=2, per_step_statistics=per_step_statistics)
    before = {name: b.clone() for name, b in learner.named_buffers()}
    batch = images()
    learner.eval()
    learner.meta_backward(batch)
    learner.train()
    learner.meta_gradient(batch)
    learner.meta_loss(batch)
    assert all(torch.equal(b, before[name]) for name, b in learner.named_buffers())
    for expected in (1, 2, 3):
        learner.meta_backward(batch, workers=2)
        assert float(learner.outer_step) == pytest.approx(expected, abs=1e-6)
    moved = {name for name, b in learner.named_buffers() if not torch.equal(b, before[name])}
    running = {f"running_{part}_{i}" for part in ("mean", "var") for i in range(4)} if per_step_statistics else set()
    assert moved == {"outer_step", *running}
    assert {name for name in learner.state_dict() if "running" in name and "model" not in name} == running


def test_running_statistics_are_the_momentum_mean_of_what_the_queries_gave_at_each_step():
    """The first layer's, whose input is the query images themselves, from its adapted convolution."""
    model, batch = conv4(), images()
    learner = qs.MAMLPlusPlus(model, inner_steps=2, inner_lr=0.1, per_step_statistics=True)
    solvers = list(learner.adapt_path(batch.support, 2))
    convolution = next(name for name, m in model.named_modules() if isinstance(m, nn.Conv2d))
    learner.meta_backward(batch)
    for k in range(3):
        means, variances = [], []
        for t in range(2):
            weight, bias = (solvers[k].params[f"{convolution}.{part}"][t] for part in ("weight", "bias"))
            y = F.conv2d(batch.query.x[t], weight, bias, padding=1)
            means.append(y.mean((0, 2, 3)))
            variances.append(y.var((0, 2, 3), correction=0))
        torch.testing.assert_close(learner.running_mean_0[k], 0.1 * torch.stack(means).mean(0), rtol=1e-8, atol=1e-10)
        expected = 0.9 + 0.1 * torch.stack(variances).mean(0)
        torch.testing.assert_close(learner.running_var_0[k], expected, rtol=1e-8, atol=1e-10)


def test_with_running_statistics_no_query_sees_another():
    learner = qs.MAMLPlusPlus(conv4(), inner_steps=2, inner_lr=0.05, per_step_statistics=True)
    learner.meta_backward(images())
    assert learner.bn_mode == "running per step"
    torch.set_default_dtype(torch.float32)  # check_learner converts by itself
    check_learner(learner, qs.tasks.Glyphs(way=3, query=2, size=16))
    assert qs.MAMLPlusPlus(qs.nets.MLP(), per_step_statistics=True).bn_mode == "none"


def test_first_order_first():
    batch = images()
    learner = qs.MAMLPlusPlus(conv4(), inner_steps=2, inner_lr=0.1, first_order_steps=3)
    for step, order in ((0, 1), (2, 1), (3, 2)):
        learner.outer_step.fill_(step)
        expected = copy.deepcopy(learner)
        expected.first_order_steps, expected.order = 0, order
        for g, e in zip(gradients(learner, batch).values(), gradients(expected, batch).values(), strict=True):
            assert (g is None) == (e is None)
            assert g is None or torch.equal(g, e)


def test_a_resumed_run_ends_in_the_same_bits(tmp_path):
    """With the outer step in two phases, and running statistics."""
    torch.set_default_dtype(torch.float32)
    tasks = qs.tasks.Glyphs(way=3, query=2, size=16)

    def learner():
        torch.manual_seed(0)
        return qs.MAMLPlusPlus(conv4(), inner_steps=2, first_order_steps=3, multi_step=5, per_step_statistics=True)

    options = {"steps": 6, "meta_batch": 3, "checkpoint_every": 2, "log_every": 1}
    whole = learner()
    qs.train(whole, tasks, **options)

    def stop(now):
        if now.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        qs.train(learner(), tasks, out=tmp_path / "run", progress=stop, **options)
    resumed = learner()
    qs.train(resumed, tasks, out=tmp_path / "run", resume=True, **options)
    assert float(resumed.outer_step) == pytest.approx(6)
    for name, t in whole.state_dict().items():
        assert torch.equal(t, resumed.state_dict()[name]), name


def test_options_that_do_not_go_together():
    with pytest.raises(qs.UsageError, match="use one"):
        qs.MAMLPlusPlus(conv4(), bn="support", per_step_statistics=True)
    with pytest.raises(qs.UsageError, match="inner_steps >= 1"):
        qs.MAMLPlusPlus(conv4(), inner_steps=0)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.norm(self.norm(x.flatten(1)[:, :4])))

    with pytest.raises(qs.UsageError, match="calls each BatchNorm once"):
        qs.MAMLPlusPlus(Twice(), per_step_statistics=True).meta_gradient(images())
