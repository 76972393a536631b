"""Meta-SGD is MAML where its rates are equal, and learns the rates by the gradient derived by hand."""

import pytest
import torch

import quickstudy as qs
from quickstudy.core.losses import task_losses
from quickstudy.testing import double, gradient


def glyphs(tasks=3):
    return double(qs.tasks.Glyphs(way=3, query=2, size=16).sample(tasks, seed=0))


def conv4():
    torch.manual_seed(0)
    return qs.nets.Conv4(filters=3, size=16, out_features=3).double()


@pytest.mark.parametrize("order", [1, 2])
def test_equal_rates_give_maml(order):
    model, batch = conv4(), glyphs()
    options = {"inner_lr": 0.3, "inner_steps": 2, "order": order}
    learner = qs.MetaSGD(model, **options)
    found = gradient(learner, batch)
    size = sum(p.numel() for p in model.parameters())
    assert len(found) == 2 * size
    torch.testing.assert_close(found[:size], gradient(qs.MAML(model, **options), batch), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_the_gradient_of_the_rates_by_hand(order):
    """After one step, dL'/dalpha = -(dL'/dphi) * (dL/dtheta), element by element: the mean over tasks of it."""
    model, batch = conv4(), glyphs()
    learner = qs.MetaSGD(model, inner_lr=(0.05, 0.5), order=order)
    start = {name: p.detach().expand(3, *p.shape).requires_grad_() for name, p in model.named_parameters()}
    net = learner.inner.net

    def by_params(params, examples):
        losses = task_losses("cross_entropy", net.forward(params, examples.x), examples.y)
        return dict(
            zip(params, torch.autograd.grad(losses.sum(), list(params.values()), materialize_grads=True), strict=True)
        )

    g = by_params(start, batch.support)
    rates = {name: learner.rule.rates[name.replace(".", "/") + "/rate"].detach() for name in start}
    phi = {name: (p - rates[name] * g[name]).detach().requires_grad_() for name, p in start.items()}
    at_phi = by_params(phi, batch.query)
    expected = torch.cat([-(at_phi[name] * g[name]).mean(0).flatten() for name in start])
    found = gradient(learner, batch)[len(expected) :]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-13)


def test_rates_start_as_said_and_are_saved():
    model = conv4().float()
    learner = qs.MetaSGD(model, inner_lr=(0.1, 0.2))
    rates = torch.cat([p.flatten() for p in learner.rule.parameters()])
    assert 0.1 <= rates.min() < 0.12 < 0.18 < rates.max() <= 0.2
    assert [p.shape for p in learner.rule.parameters()] == [p.shape for p in model.parameters()]
    constant = qs.MetaSGD(model, inner_lr=0.3)
    assert all(torch.all(p == 0.3) for p in constant.rule.parameters())
    constant.load_state_dict(learner.state_dict())
    assert torch.equal(rates, torch.cat([p.flatten() for p in constant.rule.parameters()]))


def test_frozen_parameters_have_no_rates():
    model = conv4()
    model.blocks.requires_grad_(False)
    assert list(qs.MetaSGD(model).rule.rates) == ["head/weight/rate", "head/bias/rate"]


@pytest.mark.parametrize("lr", [0.0, -1.0, (0.0, 1.0), (0.2, 0.1)])
def test_options(lr):
    with pytest.raises(qs.UsageError, match="rates start from lr > 0"):
        qs.MetaSGD(qs.nets.MLP(), inner_lr=lr)
