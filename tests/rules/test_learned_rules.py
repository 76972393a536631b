"""Learned update rules against slow computations by hand, coordinate by coordinate, in float64."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.apply._parameters import rows
from quickstudy.rules import CoordinateLSTM, FeatureMLP, HyperMLP, LearnedAdam, _coordinates
from quickstudy.rules._features import FLOOR, TIMES

TASKS = 2
RULES = {
    "learned-adam": lambda: LearnedAdam(lr=0.02),
    "coordinate-lstm": lambda: CoordinateLSTM(hidden=3),
    "feature-mlp": lambda: FeatureMLP(hidden=5),
    "hyper-mlp": lambda: HyperMLP(hidden=4, bank=3, lstm=4),
}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def make(name, seed=0):
    """A rule in float64 whose weights are all away from where they start."""
    torch.manual_seed(seed)
    rule = RULES[name]().double()
    with torch.no_grad():
        for p in rule.parameters():
            p += 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=rng(seed))
    return rule


def start(seed=0):
    shapes = {"scalar": (), "bias": (4,), "weight": (3, 4), "kernel": (2, 3, 2, 2)}
    r = rng(seed)
    return {name: torch.randn(TASKS, *shape, generator=r, dtype=torch.float64) for name, shape in shapes.items()}


def gradients(steps, seed=1):
    return [{n: 10.0 ** (i - 2) * g for n, g in start(seed + i).items()} for i in range(steps)]


def run(rule, params, grads):
    state = rule.init(params)
    for g in grads:
        params, state = rule.update(params, g, state)
    return params, state


def test_learned_adam_is_torchs():
    rule, params = LearnedAdam(lr=0.02, betas=(0.8, 0.95)).double(), start()
    own = [p.clone().requires_grad_() for p in params.values()]
    optimizer = torch.optim.Adam(own, lr=0.02, betas=(0.8, 0.95))
    grads = gradients(5)
    for g in grads:
        for p, one in zip(own, g.values(), strict=True):
            p.grad = one.clone()
        optimizer.step()
    for p, found in zip(own, run(rule, params, grads)[0].values(), strict=True):
        torch.testing.assert_close(found, p.detach(), rtol=1e-6, atol=1e-8)  # beta's logit is a float32


def test_coordinate_lstm_by_hand():
    rule = make("coordinate-lstm")
    params, grads = start(), gradients(4)
    grads[2] = {name: g * 1e-9 for name, g in grads[2].items()}  # below exp(-10): the other branch
    rule.normalize = False
    found, _ = run(rule, params, grads)
    p = float(params["weight"][1, 2, 3])
    memory = [(torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)) for _ in range(2)]
    for step in grads:
        g = float(step["weight"][1, 2, 3])
        seen = (math.log(abs(g)) / 10, math.copysign(1, g)) if abs(g) >= math.exp(-10) else (-1.0, math.exp(10) * g)
        y = torch.tensor(seen, dtype=torch.float64)
        for layer in range(2):
            h, c = memory[layer]
            i, f, o, new = (rule.weights[layer] @ torch.cat([y, h]) + rule.biases[layer]).chunk(4)
            c = f.sigmoid() * c + i.sigmoid() * new.tanh()
            y = o.sigmoid() * c.tanh()
            memory[layer] = (y, c)
        p += 0.1 * (rule.out @ y).item()
    assert found["weight"][1, 2, 3].item() == pytest.approx(p, rel=1e-10)


def test_coordinate_lstm_divides_by_a_running_root_mean_square():
    rule = make("coordinate-lstm")
    params, grads = start(), gradients(3)
    divided, mean = [], 0.0
    for t, step in enumerate(grads, start=1):
        mean = 0.99 * mean + 0.01 * (step["kernel"].flatten(1) ** 2).mean(1)
        divided.append({"kernel": step["kernel"] / (mean / (1 - 0.99**t)).sqrt()[:, None, None, None, None]})
    only = {"kernel": params["kernel"]}
    expected, _ = run(rule, only, [{"kernel": g["kernel"]} for g in grads])
    rule.normalize = False
    found, _ = run(rule, only, divided)
    torch.testing.assert_close(found["kernel"], expected["kernel"])


def moments(grads, at):
    """Momenta and second moment of one coordinate, corrected for their start, by plain recursion."""
    m, v = [0.0, 0.0, 0.0], 0.0
    for g in grads:
        value = float(g[at])
        m = [d * old + (1 - d) * value for d, old in zip((0.5, 0.9, 0.99), m, strict=True)]
        v = 0.999 * v + 0.001 * value**2
    t = len(grads)
    return [x / (1 - d**t) for d, x in zip((0.5, 0.9, 0.99), m, strict=True)], v / (1 - 0.999**t)


def features_by_hand(p, grads):
    """``[f, c]`` and ``[s]`` of one tensor of one task; the floors that keep slopes finite are left out."""
    flat = (
        [tuple(int(i) for i in index) for index in torch.cartesian_prod(*(torch.arange(n) for n in p.shape))]
        if (p.ndim > 1)
        else [(i,) for i in range(len(p))]
    )
    now = grads[-1]
    columns = []
    rows = sum(0.999 ** (len(grads) - 1 - i) * 0.001 * g**2 for i, g in enumerate(grads))  # not corrected: only ratios
    correction = 1 - 0.999 ** len(grads)
    for at in flat:
        m, v = moments(grads, at)
        w = v
        if p.ndim > 1:
            by_row = rows.flatten(1).mean(1)
            w = float(by_row[at[0]] / by_row.mean() * rows.mean(0)[at[1:]] / correction)
        g = float(now[at])
        gm = [g, *m]
        columns.append([*gm, float(p[at]), v**-0.5, w**-0.5, *(x * v**-0.5 for x in gm), *(x * w**-0.5 for x in gm)])
    x = torch.tensor(columns, dtype=torch.float64).T
    size = (x[4] ** 2).mean() + FLOOR**2
    x[4] = x[4] / size.sqrt()
    for row in (0, 1, 2, 3, 5, 6):
        x[row] = x[row] / (x[row] ** 2).mean().sqrt()
    t = len(grads)
    times = [math.tanh(t / tau - 1) for tau in TIMES]
    u = [*times, 0.5 * math.log(size), math.log10(p.numel()) / 3, float(p.ndim <= 1)]
    return x, torch.tensor(u, dtype=torch.float64)


@pytest.mark.parametrize("name", ["bias", "weight", "kernel"])
def test_feature_mlp_by_hand(name):
    rule = make("feature-mlp")
    params, grads = start(), gradients(3, seed=4)
    before, _ = run(rule, params, grads[:-1])
    found, _ = run(rule, params, grads)
    p = before[name][1].detach()
    x, u = features_by_hand(p, [g[name][1] for g in grads])
    h = (rule.first @ x + (rule.first_tensor @ u + rule.first_bias)[:, None]).relu()
    h = (rule.second @ h + rule.second_bias[:, None]).relu()
    d, s = rule.out @ h
    step = ((rule.skip @ x + d) * (0.3 * s).exp()).clamp(-4, 4) * (rule.base + rule.size @ u).exp()
    torch.testing.assert_close((p - found[name][1]).flatten(), step, rtol=1e-3, atol=1e-7)  # the floors


def test_a_coordinate_that_never_had_a_gradient_does_not_leap():
    rule = FeatureMLP(lr=0.02)
    with torch.no_grad():
        rule.skip[5] = 1.0  # v^-1/2, over its root mean square: here the root of the number of coordinates
    p, quiet = torch.ones(1, 1000), torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    quiet[0, 0] = 0.0
    state = rule.init({"p": p})
    with torch.no_grad():
        moved, _ = rule.update({"p": p}, {"p": quiet}, state)
        step, _ = rule.move_one(p[0], quiet[0], {part: rows(t[0], p[0]) for part, t in state["p"].items()})
    assert float((p - moved["p"])[0, 0]) == pytest.approx(4 * 0.02, rel=1e-3)
    torch.testing.assert_close(p[0] + step, moved["p"][0])


def test_hyper_mlp_by_hand():
    """One step of two tensors: the LSTM sees each beside the mean, and mixes the bank."""
    rule = make("hyper-mlp")
    params = {name: start()[name] for name in ("bias", "weight")}
    grads = {name: gradients(1)[0][name] for name in params}
    found, _ = run(rule, params, [grads])
    made = {name: features_by_hand(params[name][0], [grads[name][0]]) for name in params}
    # After one step all momenta's directions are the gradient's: their roots, not corrected, are 1 - decay of its.
    seen = []
    for name, (_, u) in made.items():
        g = grads[name][0]
        by_v = (1 / (0.001 * g**2)).mean() ** -0.5
        ratios = [0.5, 0.1, 0.01, float(by_v / (g**2).mean().sqrt())]
        seen.append(torch.cat([u, torch.tensor([math.log(r + 1e-6) / 3 for r in ratios], dtype=torch.float64)]))
    mean = torch.stack(seen).mean(0)
    for (name, (x, u)), own in zip(made.items(), seen, strict=True):
        gates = rule.lstm_weight @ torch.cat([own, mean, torch.zeros(4, dtype=torch.float64)]) + rule.lstm_bias
        i, _, o, new = gates.chunk(4)
        said = rule.choose @ (o.sigmoid() * (i.sigmoid() * new.tanh()).tanh())
        mix = said[:3].softmax(0)
        first, bias, out, skip = (
            sum(w * part[k] for k, w in enumerate(mix)) for part in (rule.first, rule.first_bias, rule.out, rule.skip)
        )
        d, s = out @ (first @ x + bias[:, None]).relu()
        step = (skip @ x + d) * (0.3 * s).exp() * (rule.base + rule.size @ u + said[3]).exp()
        torch.testing.assert_close((params[name][0] - found[name][0]).flatten(), step, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("rule", [FeatureMLP(lr=0.02).double(), HyperMLP(lr=0.02).double()], ids=["mlp", "hyper"])
def test_untrained_rules_are_adam_relative_to_the_parameters(rule):
    with torch.no_grad():
        rule.out.zero_()
    params, grads = start(), gradients(4, seed=7)
    before, _ = run(rule, params, grads[:-1])
    found, _ = run(rule, params, grads)
    for name, p in before.items():
        at = (1, *(0 for _ in p.shape[1:]))
        m, v = moments([g[name] for g in grads], at)
        size = math.sqrt((p[1] ** 2).mean().item() + FLOOR**2)
        assert (p - found[name])[at].item() == pytest.approx(0.02 * size * m[1] / math.sqrt(v), rel=1e-4)


@pytest.mark.parametrize("name", RULES)
def test_tasks_are_apart_and_nothing_is_changed(name):
    rule, params, grads = make(name), start(), gradients(3)
    copies = {n: p.clone() for n, p in params.items()}
    together, state = run(rule, params, grads)
    for t in range(TASKS):
        own = {n: p[t : t + 1] for n, p in params.items()}
        alone, _ = run(rule, own, [{n: g[t : t + 1] for n, g in step.items()} for step in grads])
        for n, p in alone.items():
            torch.testing.assert_close(together[n][t : t + 1], p)
    before = {n: {part: t.clone() for part, t in own.items()} for n, own in state.items()}
    rule.update(together, grads[0], state)
    assert all(torch.equal(params[n], copies[n]) for n in params)
    assert all(torch.equal(state[n][part], t) for n, own in before.items() for part, t in own.items())


@pytest.mark.parametrize("name", ["coordinate-lstm", "feature-mlp", "hyper-mlp"])
def test_steps_do_not_depend_on_the_losss_scale(name):
    rule, params, grads = make(name), start(), gradients(3)
    found, _ = run(rule, params, grads)
    scaled, _ = run(rule, params, [{n: 1000 * g for n, g in step.items()} for step in grads])
    for n in params:
        torch.testing.assert_close(scaled[n], found[n], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["coordinate-lstm", "feature-mlp", "hyper-mlp"])
def test_blocks_and_groups_change_nothing(name, monkeypatch):
    """Large tensors go block by block where no graph is kept, small ones together."""
    rule, params, grads = make(name), start(), gradients(3)
    found, _ = run(rule, params, grads)
    monkeypatch.setattr(_coordinates, "BLOCK", 5)
    for group in (1, 14, 10**6):
        monkeypatch.setattr(_coordinates, "GROUP", group)
        with torch.no_grad():
            blocked, _ = run(rule, params, grads)
        for n in params:
            torch.testing.assert_close(blocked[n], found[n].detach())


@pytest.mark.parametrize("name", RULES)
def test_a_parameter_that_never_had_a_gradient_keeps_slopes_finite(name):
    rule = make(name).float()
    params = {n: p.float().requires_grad_() for n, p in start().items()}
    zeros = {n: torch.zeros_like(p).requires_grad_() for n, p in params.items()}
    moved, _ = run(rule, params, [zeros, zeros])
    total = sum((p**2).sum() for p in moved.values())
    grads = torch.autograd.grad(total, [*rule.parameters(), *params.values(), *zeros.values()], allow_unused=True)
    assert all(g.isfinite().all() for g in grads if g is not None)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: LearnedAdam(lr=0.0),
        lambda: LearnedAdam(betas=(0.0, 0.9)),
        lambda: CoordinateLSTM(hidden=0),
        lambda: FeatureMLP(lr=-1.0),
        lambda: HyperMLP(bank=0),
    ],
)
def test_wrong_options(wrong):
    with pytest.raises(qs.UsageError, match="needs"):
        wrong()
