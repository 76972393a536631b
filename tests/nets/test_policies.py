"""Policies: distributions over actions, drawn by given uniform numbers."""

import math

import pytest
import torch

from quickstudy.nets.policies import ActionDistribution, Policy, RecurrentPolicy


def gaussians():
    torch.manual_seed(0)
    means, log_stds = torch.randn(2, 7, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    return [ActionDistribution(mean, log_std, False) for mean, log_std in zip(means, log_stds, strict=True)]


def categoricals():
    torch.manual_seed(0)
    nothing = torch.zeros(3, dtype=torch.float64)
    return [ActionDistribution(logits, nothing, True) for logits in torch.randn(2, 7, 3, dtype=torch.float64)]


def test_several_independent_normal_numbers():
    ours, theirs = gaussians()
    action = torch.randn(7, 3, dtype=torch.float64)
    std, other = ours.log_std.exp(), theirs.log_std.exp()
    z = (action - ours.outputs) / std
    log_p = (-z.square() / 2 - ours.log_std - math.log(2 * math.pi) / 2).sum(-1)
    torch.testing.assert_close(ours.log_prob(action), log_p)
    entropy = (ours.log_std + (1 + math.log(2 * math.pi)) / 2).sum()
    torch.testing.assert_close(ours.entropy(), entropy.expand(7))
    apart = (std.square() + (ours.outputs - theirs.outputs).square()) / (2 * other.square())
    torch.testing.assert_close(ours.kl(theirs), (apart - 0.5 + theirs.log_std - ours.log_std).sum(-1))
    upper = torch.full_like(action, 0.841344746)
    torch.testing.assert_close(ours.act(upper), ours.outputs + std, rtol=1e-5, atol=1e-5)


def test_one_of_several_actions():
    ours, theirs = categoricals()
    p, q = (a.outputs.exp() / a.outputs.exp().sum(-1, keepdim=True) for a in (ours, theirs))
    action = torch.arange(7) % 3
    torch.testing.assert_close(ours.log_prob(action), p[torch.arange(7), action].log())
    torch.testing.assert_close(ours.entropy(), -(p * p.log()).sum(-1))
    torch.testing.assert_close(ours.kl(theirs), (p * (p / q).log()).sum(-1))
    u = (torch.arange(10000) + 0.5) / 10000
    many = ActionDistribution(ours.outputs[:1].expand(10000, 3), ours.log_std, True)
    torch.testing.assert_close(many.act(u[:, None]).bincount() / 10000, p[0].float(), atol=2e-4, rtol=0)
    assert many.act(torch.ones(10000, 1)).max() == 2  # not past the last


@pytest.mark.parametrize("pair", [gaussians, categoricals])
def test_the_divergence_bends_as_the_fisher_matrix_says(pair):
    """Its slope is zero where both are the same, its second derivative is not (the natural gradient needs it)."""
    ours, _ = pair()
    outputs = ours.outputs.clone().requires_grad_()
    new = ActionDistribution(outputs, ours.log_std, ours.discrete)
    (slope,) = torch.autograd.grad(new.detach().kl(new).sum(), outputs, create_graph=True)
    torch.testing.assert_close(slope, torch.zeros_like(slope))
    (bent,) = torch.autograd.grad(slope[0, 0], outputs)
    p = outputs.softmax(-1).detach()[0]
    expected = p[0] * (1 - p[0]) if ours.discrete else (-2 * ours.log_std[0]).exp()
    torch.testing.assert_close(bent[0, 0], expected)
    assert bent[1:].abs().sum() == 0


@pytest.mark.parametrize("discrete", [True, False])
def test_each_task_has_weights_of_its_own(discrete):
    policy = Policy(in_features=2, actions=3, hidden=(4,), log_std=-1.0)
    params = {name: p + torch.randn_like(p) for name, p in policy.start(2).items()}
    x = torch.randn(2, 5, 6, 2)
    found = policy.on(params, x, discrete)
    assert found.entropy().shape == (2, 5, 6)
    for task in range(2):
        alone = policy.on({name: p[task : task + 1] for name, p in params.items()}, x[task : task + 1], discrete)
        torch.testing.assert_close(alone.entropy()[0], found.entropy()[task])
        torch.testing.assert_close(alone.outputs[0], found.outputs[task])


def test_a_recurrent_policy_goes_on_from_its_state():
    policy = RecurrentPolicy(in_features=2, actions=3, hidden_size=4)
    x = torch.randn(5, 6, 2)
    whole, values, last = policy.read(x, policy.start(5), True)
    _, _, state = policy.read(x[:, :4], policy.start(5), True)
    rest, _, end = policy.read(x[:, 4:], state, True)
    torch.testing.assert_close(rest.outputs, whole.outputs[:, 4:])
    torch.testing.assert_close(end, last)
    assert values.shape == (5, 6)
