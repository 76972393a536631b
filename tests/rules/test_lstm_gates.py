"""The LSTM meta-learner's rule against the paper's equations, one number at a time."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.rules import LSTMGates, UsesLosses
from quickstudy.rules.lstm_gates import preprocessed


def rule(hidden=3):
    """With gates that depend on what they see more than at the start of training."""
    torch.manual_seed(0)
    made = LSTMGates(hidden_size=hidden).double()
    with torch.no_grad():
        for p in (made.w_i, made.w_f):
            p.uniform_(-1, 1)
        made.b_i.fill_(-1.0)
        made.b_f.fill_(1.0)
    return made


def drawn(seed, size=(2,)):
    rng = torch.Generator().manual_seed(seed)
    shapes = {"w": (2, 2, 3), "b": (2, 2), "scalar": (2,)}
    params = {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in shapes.items()}
    grads = {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in shapes.items()}
    return params, grads, torch.rand(size, generator=rng, dtype=torch.float64)


def in_one_row(params):
    return torch.cat([p.reshape(2, -1) for p in params.values()], 1)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def pre(x):
    if abs(x) >= math.exp(-10):
        return [math.log(abs(x)) / 10, math.copysign(1.0, x)]
    return [-1.0, math.exp(10) * x]


class Coordinate:
    """One coordinate's LSTM and gates, in plain Python."""

    def __init__(self, rule):
        self.rule = rule
        self.h = self.c = [0.0] * rule.hidden_size
        self.i = self.f = 0.0

    def step(self, theta, g, loss):
        n = self.rule.hidden_size
        seen = [*pre(g), *pre(loss), *self.h]
        weight, bias = self.rule.lstm_weight.tolist(), self.rule.lstm_bias.tolist()
        a = [sum(w * x for w, x in zip(row, seen, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
        i, f, o, new = (a[k * n : (k + 1) * n] for k in range(4))
        self.c = [sigmoid(f[k]) * self.c[k] + sigmoid(i[k]) * math.tanh(new[k]) for k in range(n)]
        self.h = [sigmoid(o[k]) * math.tanh(self.c[k]) for k in range(n)]
        self.i = self._gate(self.rule.w_i, self.rule.b_i, [*self.h, theta, self.i])
        self.f = self._gate(self.rule.w_f, self.rule.b_f, [*self.h, theta, self.f])
        return self.f * theta - self.i * g

    @staticmethod
    def _gate(weight, bias, seen):
        return sigmoid(sum(w * x for w, x in zip(weight[0].tolist(), seen, strict=True)) + bias.item())


def test_three_steps_by_hand():
    made = rule()
    params, _, _ = drawn(0)
    state = made.init(params)
    flat = in_one_row(params)
    cells = [[Coordinate(made) for _ in range(9)] for _ in range(2)]
    by_hand = flat.tolist()
    for k in range(3):
        _, grads, losses = drawn(k + 1)
        grads["w"][0, 0, 0] = 1e-7  # taken as it is, not by its logarithm
        grads["b"][1, 0] = 0.0
        params, state = made.update(params, grads, made.with_losses(state, losses))
        g = in_one_row(grads).tolist()
        by_hand = [[cells[t][c].step(by_hand[t][c], g[t][c], losses[t].item()) for c in range(9)] for t in range(2)]
        found = in_one_row(params)
        torch.testing.assert_close(found, torch.tensor(by_hand, dtype=torch.float64), rtol=1e-12, atol=1e-14)
    assert {name: p.shape for name, p in params.items()} == {name: p.shape for name, p in drawn(0)[0].items()}


def test_one_rule_for_all_coordinates_however_they_are_parted():
    made = rule()
    params, grads, losses = drawn(0)
    whole, _ = made.update(params, grads, made.with_losses(made.init(params), losses))
    for name in params:
        p, g = {"only": params[name]}, {"only": grads[name]}
        alone, _ = made.update(p, g, made.with_losses(made.init(p), losses))
        torch.testing.assert_close(alone["only"], whole[name], rtol=1e-13, atol=1e-15)


def test_small_and_large_numbers():
    border = math.exp(-10)
    x = torch.tensor([[0.0, 1.0, -math.e, border, -border / 2, 1e30]], dtype=torch.float64)
    expected = [[-1.0, 0.0, 0.1, -1.0, -1.0, math.log(1e30) / 10], [0.0, 1.0, -1.0, 1.0, -0.5, 1.0]]
    torch.testing.assert_close(preprocessed(x)[0], torch.tensor(expected, dtype=torch.float64))


def test_starts_as_gradient_descent_of_a_small_step_size():
    """sigmoid(-5..-4) = 0.0067..0.018, sigmoid(4..6) = 0.982..0.9975; the gates' weights are next to nothing."""
    torch.manual_seed(0)
    made = LSTMGates()
    params = {"w": torch.tensor([[1.0, 0.0]])}
    grads = {"w": torch.tensor([[0.0, 1.0]])}
    moved, _ = made.update(params, grads, made.with_losses(made.init(params), torch.ones(1)))
    keep, step = moved["w"][0, 0].item(), -moved["w"][0, 1].item()
    assert 0.98 < keep < 0.998
    assert 0.006 < step < 0.02


def test_the_losses_are_needed():
    made = rule()
    assert isinstance(made, UsesLosses)
    assert not isinstance(qs.rules.SGD(), UsesLosses)
    params, grads, losses = drawn(0)
    with pytest.raises(qs.UsageError, match="with_losses before each update"):
        made.update(params, grads, made.init(params))
    _, state = made.update(params, grads, made.with_losses(made.init(params), losses))
    with pytest.raises(qs.UsageError, match="with_losses"):  # those of the last step are of another point
        made.update(params, grads, state)


@pytest.mark.parametrize("options", [{"hidden_size": 0}, {"keep_bias": (2.0, 1.0)}, {"step_bias": (0.0, -1.0)}])
def test_options_out_of_range(options):
    with pytest.raises(qs.UsageError, match=r"hidden_size >= 1 and biases \(low, high\)"):
        LSTMGates(**options)
