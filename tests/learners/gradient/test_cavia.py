"""CAVIA: the context alone adapts, and it enters as the paper says."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.core.functional import TaskModel
from quickstudy.core.losses import query_loss
from quickstudy.learners.gradient.inner import InnerLoop
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import check_learner, double

pytestmark = pytest.mark.usefixtures("double_by_default")


def sinusoids(tasks=3):
    return double(qs.tasks.Sinusoids(shot=5, query=4).sample(tasks, seed=0))


def images():
    return double(qs.tasks.Glyphs(way=3, query=2, size=16).sample(2, seed=0))


def gradients(learner, batch):
    named = [name for name, _ in learner.named_parameters()]
    return dict(zip(named, learner.meta_gradient(batch).gradients, strict=True))


def test_only_the_context_layers_parameters_differ_between_tasks():
    model = qs.nets.Conv4(filters=3, size=16, out_features=3)
    learner = qs.CAVIA(model, context=4, inner_steps=2)
    params = learner.adapt(images().support).params
    own = dict(model.named_parameters())
    differing = {name for name, p in params.items() if not torch.allclose(p, own[name].expand_as(p))}
    third = next(
        n for n, m in model.named_modules() if m is [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)][2]
    )
    assert differing == {f"{third}.weight", f"{third}.bias"}


@pytest.mark.parametrize("order", [1, 2])
def test_with_a_context_for_each_bias_it_is_maml_of_that_bias_alone(order):
    """A = identity, so that b + A phi is the bias itself on its way."""
    model = qs.nets.MLP(hidden=(6,))
    learner = qs.CAVIA(model, context=6, inner_lr=0.1, inner_steps=3, order=order, loss="mse")
    with torch.no_grad():
        learner.shift.weight.copy_(torch.eye(6))
    batch = sinusoids()
    net = TaskModel(model, "transductive")
    inner = InnerLoop(net, qs.rules.SGD(lr=0.1), "mse", adapts=frozenset({"layers.0.bias"}))
    loss, _ = query_loss("mse", inner.adapt(batch.support, steps=3, order=order)(batch.query.x), batch.query.y)
    expected = torch.autograd.grad(loss, list(model.parameters()))
    torch.testing.assert_close(learner.meta_loss(batch)[0], loss, rtol=1e-10, atol=1e-12)
    found = gradients(learner, batch)
    for (name, _), g in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(found[f"model.{name}"], g, rtol=1e-9, atol=1e-11)
    # A is learned, too: at first order, by where the context ended alone.
    assert found["shift.weight"].abs().max() > 0


def test_shift_is_the_context_appended_to_the_input():
    """One step by hand on a network with three more inputs, whose weights for them are A."""
    learner = qs.CAVIA(qs.nets.MLP(hidden=(8,)), context=3, inner_lr=0.5, loss="mse")
    wide = qs.nets.MLP(in_features=4, hidden=(8,))
    state = learner.model.state_dict()
    state["layers.0.weight"] = torch.cat([state["layers.0.weight"], learner.shift.weight.detach()], 1)
    wide.load_state_dict(state)
    batch = sinusoids()
    predictions = learner.adapt(batch.support)(batch.query.x)
    for t in range(len(batch)):
        phi = torch.zeros(3, requires_grad=True)
        inputs = torch.cat([batch.support.x[t], phi.expand(5, 3)], 1)
        (grad,) = torch.autograd.grad(F.mse_loss(wide(inputs), batch.support.y[t]), phi)
        phi = -0.5 * grad
        expected = wide(torch.cat([batch.query.x[t], phi.expand(4, 3)], 1))
        torch.testing.assert_close(predictions[t], expected, rtol=1e-9, atol=1e-11)


def test_film_scales_and_shifts_after_the_normalisation():
    """Against four convolutional blocks written out, the third with (1 + B phi) h + A phi before its ReLU."""
    model = qs.nets.Conv4(filters=3, size=16, out_features=3)
    learner = qs.CAVIA(model, context=4)
    phi = torch.randn(4)
    found = learner.net.forward(learner._params(phi[None]), images().query.x[:1])[0]
    x = images().query.x[0]
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for block, (conv, norm) in enumerate(zip(convolutions, norms, strict=True)):
        x = conv(x)
        x = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + norm.eps).sqrt()
        x = x * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
        if block == 2:
            gamma, beta = 1 + learner.scale.weight @ phi, learner.shift.weight @ phi
            x = gamma.view(-1, 1, 1) * x + beta.view(-1, 1, 1)
        x = F.max_pool2d(F.relu(x), 2)
    torch.testing.assert_close(found, model.head(x.flatten(1)), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("enters", ["shift", "film"])
def test_without_steps_it_is_the_network_as_given(enters):
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Tanh(), nn.Linear(8, 3))
    x = images().query.x
    solver = qs.CAVIA(model, enters=enters, inner_steps=0).adapt(images().support)
    torch.testing.assert_close(solver(x), torch.stack([model(one) for one in x]))


@pytest.mark.parametrize("at", ["0", "1", "4"])
def test_any_layer_will_do(at):
    torch.set_default_dtype(torch.float32)  # check_learner converts by itself
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.GroupNorm(1, 3), nn.ReLU(), nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        nn.Linear(12, 3),
    )  # fmt: skip
    tasks = qs.tasks.Glyphs(way=3, query=2, size=16)
    check_learner(qs.CAVIA(model, at=at, enters="film", inner_steps=2, inner_lr=0.1), tasks)


def test_a_layer_that_is_none():
    with pytest.raises(qs.UsageError, match=r"at must be one of layers.0, layers.2, got 'layers.1'"):
        qs.CAVIA(qs.nets.MLP(hidden=(4,)), at="layers.1")
    with pytest.raises(qs.UsageError, match="the model has none"):
        qs.CAVIA(nn.Linear(3, 2, bias=False))


def test_a_single_linear_layer_is_a_place_too():
    draw = lambda n: Examples(torch.randn(2, n, 3), torch.randn(2, n, 1))
    loss, _ = qs.CAVIA(nn.Linear(3, 1), loss="mse").meta_loss(TaskBatch(draw(4), draw(3)))
    assert loss.isfinite()
