"""The LSTM meta-learner's gradient is that of steps whose inner gradients and losses are constants."""

import pytest
import torch

import quickstudy as qs
from quickstudy.core.losses import task_losses
from quickstudy.rules import LSTMGates
from quickstudy.testing import double, gradient


def made(**options):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=3, size=16, out_features=3)
    options = {"inner_steps": 3, "hidden_size": 4, "step_bias": (-1.0, 0.0), **options}
    return qs.LSTMMetaLearner(net, **options).double()


def glyphs(tasks=2, shot=1):
    return double(qs.tasks.Glyphs(way=3, shot=shot, query=2, size=16).sample(tasks, seed=0))


def slopes(learner, params, examples):
    """Each task's loss and gradient, as constants."""
    at = {name: p.detach().requires_grad_() for name, p in params.items()}
    losses = task_losses("cross_entropy", learner.net.forward(at, examples.x), examples.y)
    grads = torch.autograd.grad(losses.sum(), list(at.values()))
    return losses.detach(), dict(zip(at, grads, strict=True))


def walked(learner, batch, frozen=None):
    """The meta-loss, and what each step saw; ``frozen``: what the steps see, whatever the learner is now."""
    params = learner.net.start(len(batch))
    state, seen = learner.rule.init(params), []
    for k in range(learner.inner_steps):
        losses, grads = frozen[k] if frozen else slopes(learner, params, batch.support)
        seen.append((losses, grads))
        params, state = learner.rule.update(params, grads, learner.rule.with_losses(state, losses))
    return task_losses("cross_entropy", learner.net.forward(params, batch.query.x), batch.query.y).mean(), seen


@pytest.mark.parametrize("bn", ["transductive", "support"])
def test_adapt_takes_the_rules_steps(bn):
    learner, batch = made(bn=bn), glyphs()
    params = learner.net.start(2)
    state = learner.rule.init(params)
    for k in range(4):
        found = [*learner.adapt_path(batch.support, 3)][k].params if k < 3 else learner.adapt(batch.support).params
        torch.testing.assert_close(found, params, rtol=1e-10, atol=1e-13)
        losses, grads = slopes(learner, params, batch.support)
        params, state = learner.rule.update(params, grads, learner.rule.with_losses(state, losses))


def test_the_meta_gradient_with_inner_gradients_and_losses_held_still():
    learner, batch = made(), glyphs()
    expected = gradient(learner, batch)
    loss, frozen = walked(learner, batch)
    torch.testing.assert_close(learner.meta_loss(batch)[0], loss)
    params = list(learner.parameters())
    free = []
    for k in range(4):
        direction = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(k))
        direction /= direction.norm()
        parts = direction.split([p.numel() for p in params])
        held, moving = [], []
        for step in (1e-5, -2e-5, 1e-5):
            with torch.no_grad():
                for p, part in zip(params, parts, strict=True):
                    p += step * part.view_as(p)
                held.append(walked(learner, batch, frozen)[0].item())
            moving.append(learner.meta_loss(batch)[0].item())
        assert (held[0] - held[1]) / 2e-5 == pytest.approx((expected @ direction).item(), rel=1e-5, abs=1e-9)
        free.append(abs((moving[0] - moving[1]) / 2e-5 / (expected @ direction).item() - 1))
    assert max(free) > 1e-2  # the derivative of the meta-loss itself is another: it has second derivatives


def test_the_start_and_the_gates_are_learned():
    learner = made()
    grads = learner.meta_gradient(glyphs()).gradients
    for (name, _), grad in zip(learner.named_parameters(), grads, strict=True):
        assert grad is not None, name
    size = sum(p.numel() for p in learner.rule.parameters())
    assert size == 16 * (4 + 4) + 16 + 2 * (4 + 2) + 2  # whatever the network's


def test_gates_that_do_not_look_are_gradient_descent():
    """With W = 0 and f = 1 it is MAML of first order."""
    learner, batch = made(), glyphs()
    rate = 0.3
    with torch.no_grad():
        learner.rule.w_i.zero_()
        learner.rule.w_f.zero_()
        learner.rule.b_f.fill_(100.0)
        learner.rule.b_i.fill_(torch.tensor(rate / (1 - rate)).log())
    maml = qs.MAML(learner.model, inner_lr=rate, inner_steps=3, order=1)
    torch.testing.assert_close(learner.adapt(batch.support).params, maml.adapt(batch.support).params)
    size = sum(p.numel() for p in learner.model.parameters())
    torch.testing.assert_close(gradient(learner, batch)[:size], gradient(maml, batch))


def test_minibatches_of_the_support():
    batch = glyphs(shot=3)
    all_at_once, two, nine = (made(inner_batch=n).adapt(batch.support).params for n in (None, 2, 9))
    torch.testing.assert_close(nine, all_at_once)
    assert not torch.allclose(two["head.weight"], all_at_once["head.weight"])


def test_the_rule_is_kept():
    learner = made(keep_bias=(1.0, 1.0))
    assert isinstance(learner.rule, LSTMGates)
    assert (learner.rule.hidden_size, learner.rule.b_f.item()) == (4, 1.0)
