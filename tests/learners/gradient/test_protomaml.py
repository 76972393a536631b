"""ProtoMAML starts where the prototypical network is, and does not care for the order of the classes."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.losses import task_losses
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import check_learner, double, gradient


def conv4(classes=3):
    torch.manual_seed(0)
    return qs.nets.Conv4(filters=3, size=16, out_features=classes).double()


def glyphs(way=3, shot=2):
    return double(qs.tasks.Glyphs(way=way, shot=shot, query=2, size=16).sample(2, seed=0))


def features(model, x):
    """Each task's features in one pass of its own, so that BatchNorm sees the same as in the learner."""
    return torch.stack([model.train().blocks(one).flatten(1) for one in x])


def prototypes(model, support):
    """The means over each class, class by class and task by task."""
    f = features(model, support.x)
    classes = range(int(support.y.max()) + 1)
    return torch.stack(
        [torch.stack([one[y == k].mean(0) for k in classes]) for one, y in zip(f, support.y, strict=True)]
    )


def test_without_steps_it_is_the_prototypical_network():
    """Logits are negative squared distances to the prototypes, up to a constant per query."""
    model, batch = conv4(), glyphs()
    logits = qs.ProtoMAML(model, inner_steps=0).adapt(batch.support)(batch.query.x)
    distances = -torch.cdist(features(model, batch.query.x), prototypes(model, batch.support)).square()
    torch.testing.assert_close(logits.softmax(-1), distances.softmax(-1), rtol=1e-9, atol=1e-12)
    assert (logits - distances).std(-1).max() < 1e-9


@pytest.mark.parametrize("order", [1, 2])
def test_without_steps_its_gradient_is_the_prototypical_networks(order):
    """So the gradient goes through the prototypes, in first order too."""
    model, batch = conv4(), glyphs()
    found = gradient(qs.ProtoMAML(model, inner_steps=0, order=order), batch)
    distances = -torch.cdist(features(model, batch.query.x), prototypes(model, batch.support)).square()
    body = list(model.blocks.parameters())
    by_body = torch.autograd.grad(task_losses("cross_entropy", distances, batch.query.y).mean(), body)
    expected = torch.cat([g.flatten() for g in by_body])
    torch.testing.assert_close(found[: len(expected)], expected, rtol=1e-7, atol=1e-10)
    assert not found[len(expected) :].any()  # the model's own head is not used


@pytest.mark.parametrize("order", [1, 2])
def test_an_inner_step_holds_the_head_still_while_it_moves_the_body(order):
    """That the head was made from the body does not enter the inner gradient; compared with a step done apart."""
    model, batch = conv4(), glyphs()
    learner = qs.ProtoMAML(model, inner_lr=0.1, inner_steps=1, order=order)
    c = prototypes(model, batch.support).detach()
    m = c.mean(1, keepdim=True)
    heads = {"head.weight": 2 * (c - m), "head.bias": m.square().sum(-1) - c.square().sum(-1)}
    start = {**{n: p.detach().expand(2, *p.shape) for n, p in model.named_parameters()}, **heads}
    start = {name: p.clone().requires_grad_() for name, p in start.items()}
    losses = task_losses("cross_entropy", learner.inner.net.forward(start, batch.support.x), batch.support.y)
    grads = torch.autograd.grad(losses.sum(), list(start.values()), materialize_grads=True)
    solver = learner.adapt(batch.support)
    for (name, p), g in zip(start.items(), grads, strict=True):
        torch.testing.assert_close(solver.params[name], p - 0.1 * g, rtol=1e-9, atol=1e-12)


def test_the_order_of_the_classes_is_nothing_to_it():
    model, batch = conv4(), glyphs()
    other = torch.tensor([2, 0, 1])  # what was class k is class other[k]
    renamed = TaskBatch(*(Examples(e.x, other[e.y]) for e in (batch.support, batch.query)))
    learner = qs.ProtoMAML(model, inner_lr=0.1, inner_steps=3)
    logits = learner.adapt(batch.support)(batch.query.x)
    torch.testing.assert_close(learner.adapt(renamed.support)(batch.query.x)[..., other], logits, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(learner.meta_loss(renamed)[0], learner.meta_loss(batch)[0], rtol=1e-10, atol=0)
    maml = qs.MAML(model, inner_lr=0.1, inner_steps=3)
    assert not torch.allclose(maml.meta_loss(renamed)[0], maml.meta_loss(batch)[0], rtol=1e-3)


def test_fewer_classes_than_the_head():
    """Outputs without a class have no part in the loss, nor in the steps."""
    batch = glyphs(way=3)
    wide, narrow = conv4(classes=5), conv4(classes=3)
    narrow.blocks.load_state_dict(wide.blocks.state_dict())
    solver, own = (qs.ProtoMAML(m, inner_lr=0.1, inner_steps=2).adapt(batch.support) for m in (wide, narrow))
    logits = solver(batch.query.x)
    assert logits.shape == (2, 6, 5)
    torch.testing.assert_close(logits[..., :3], own(batch.query.x), rtol=1e-12, atol=1e-12)
    assert logits.softmax(-1)[..., 3:].max() == 0
    check_learner(qs.ProtoMAML(wide, inner_lr=0.1, bn="support"), qs.tasks.Glyphs(way=3, query=2, size=16))


def test_more_classes_than_the_head():
    with pytest.raises(qs.UsageError, match="out_features = way"):
        qs.ProtoMAML(conv4(), inner_steps=1).adapt(glyphs(way=4).support)


def test_any_linear_head_serves():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.Tanh(), nn.Linear(8, 3))
    check_learner(qs.ProtoMAML(model, inner_lr=0.1, inner_steps=2), qs.tasks.Glyphs(way=3, query=2, size=16))


def test_options():
    with pytest.raises(qs.UsageError, match="classes"):
        qs.ProtoMAML(qs.nets.MLP(), loss="mse")
    with pytest.raises(qs.UsageError, match=r"nn.Linear with a bias, got Linear\(.*bias=False\)"):
        qs.ProtoMAML(nn.Linear(3, 3, bias=False))
    with pytest.raises(qs.UsageError, match=r"nn.Linear with a bias, got Conv2d"):
        qs.ProtoMAML(nn.Sequential(nn.Conv2d(1, 3, 16), nn.Flatten()))
    values = qs.tasks.Sinusoids(shot=3).sample(2, seed=0)
    with pytest.raises(qs.UsageError, match=r"classes .* as integers"):
        qs.ProtoMAML(qs.nets.MLP()).adapt(values.support)
