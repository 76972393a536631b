"""Every rule moves each task of a batch as torch's own optimizer moves it alone, and can be differentiated."""

import pytest
import torch

import quickstudy as qs
from quickstudy.rules import SGD, Adam, AdamW, FirstAndLater, ProximalSGD, TwoRates

TASKS = 3
STEPS = 6


def objective(params, target):
    """Some curved function of all parameters of one task."""
    return ((params["w"] @ params["w"].T - target) ** 2).sum() + params["b"].cos().sum() + params["w"].sum().sin()


def start():
    rng = torch.Generator().manual_seed(0)
    params = {
        "w": torch.randn(TASKS, 2, 3, generator=rng, dtype=torch.float64),
        "b": torch.randn(TASKS, 4, generator=rng, dtype=torch.float64),
    }
    return params, torch.randn(TASKS, 2, 2, generator=rng, dtype=torch.float64)


def gradients(params, targets):
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    total = sum(objective({name: p[t] for name, p in leaves.items()}, targets[t]) for t in range(TASKS))
    return dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))


def two_groups(p):
    """The first parameter, w, at a step size of its own."""
    return torch.optim.SGD([{"params": p[:1], "lr": 0.03}, {"params": p[1:], "lr": 0.01}])


CASES = {
    "sgd": (SGD(lr=0.01), lambda p: torch.optim.SGD(p, lr=0.01)),
    "momentum": (SGD(lr=0.01, momentum=0.9), lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
    "adam": (Adam(lr=0.02), lambda p: torch.optim.Adam(p, lr=0.02)),
    "adam as in reptile": (Adam(lr=0.02, betas=(0.0, 0.999)), lambda p: torch.optim.Adam(p, 0.02, (0.0, 0.999))),
    "adam, large eps": (Adam(lr=0.02, eps=1e-3), None),
    "adamw": (AdamW(lr=0.02, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1)),
    "proximal without a pull": (ProximalSGD(lr=0.01, lam=0.0), lambda p: torch.optim.SGD(p, lr=0.01)),
    "proximal": (ProximalSGD(lr=0.01, lam=2.0), None),
    "first and later": (FirstAndLater(first=0.02, later=0.01), None),
    "two rates": (TwoRates(names=("w",), lr=0.01, other_lr=0.03), two_groups),
}


@pytest.mark.parametrize("case", [name for name, (_, optimizer) in CASES.items() if optimizer])
def test_equals_torch_step_by_step_task_by_task(case):
    rule, make = CASES[case]
    params, targets = start()
    alone = [{name: p[t].clone().requires_grad_() for name, p in params.items()} for t in range(TASKS)]
    optimizers = [make(list(own.values())) for own in alone]
    state = rule.init(params)
    for _ in range(STEPS):
        params, state = rule.update(params, gradients(params, targets), state)
        for t, (own, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            optimizer.zero_grad()
            objective(own, targets[t]).backward()
            optimizer.step()
            for name in params:
                torch.testing.assert_close(params[name][t], own[name].detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_is_passed_in_is_changed(case):
    rule, _ = CASES[case]
    params, targets = start()
    state = rule.init(params)
    for _ in range(2):
        grads = gradients(params, targets)
        before = [t.clone() for t in tensors((params, grads, state))]
        moved, later = rule.update(params, grads, state)
        assert all(torch.equal(a, b) for a, b in zip(before, tensors((params, grads, state)), strict=True))
        assert all(not torch.equal(moved[name], params[name]) for name in params)
        params, state = moved, later


def tensors(tree):
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [t for part in tree for t in tensors(part)] if isinstance(tree, list | tuple) else []


@pytest.mark.parametrize("case", CASES)
def test_derivatives_through_two_steps(case):
    """With respect to the start and to both gradients, against finite differences."""
    rule, _ = CASES[case]
    rng = torch.Generator().manual_seed(1)
    w, g1, g2 = (torch.randn(2, 3, generator=rng, dtype=torch.float64, requires_grad=True) for _ in range(3))

    def two_steps(w, g1, g2):
        params, state = rule.update({"w": w}, {"w": g1}, rule.init({"w": w}))
        return rule.update(params, {"w": g2}, state)[0]["w"]

    assert torch.autograd.gradcheck(two_steps, (w, g1, g2))


def test_a_proximal_step_goes_down_the_loss_and_its_distance_from_the_start():
    """As plain gradient descent with the pull's gradient added; where the loss is flat, back to the start."""
    rule, plain = ProximalSGD(lr=0.1, lam=2.0), SGD(lr=0.1)
    begin, now, g = (torch.randn(2, 3, generator=torch.Generator().manual_seed(k)) for k in range(3))
    moved, kept = rule.update({"w": now}, {"w": g}, rule.init({"w": begin}))
    expected, _ = plain.update({"w": now}, {"w": g + 2 * (now - begin)}, None)
    torch.testing.assert_close(moved["w"], expected["w"])
    for _ in range(60):
        moved, kept = rule.update(moved, {"w": torch.zeros_like(g)}, kept)
    torch.testing.assert_close(moved["w"], begin, atol=1e-4, rtol=0)


def test_only_the_first_step_is_of_the_first_size():
    rule, p = FirstAndLater(first=1.0, later=0.25), {"w": torch.zeros(1, 2)}
    state, places = rule.init(p), []
    for _ in range(3):
        p, state = rule.update(p, {"w": torch.ones(1, 2)}, state)
        places.append(float(p["w"][0, 0]))
    assert places == [-1.0, -1.25, -1.5]


def test_adam_has_a_finite_derivative_where_a_gradient_is_zero():
    w = torch.ones(1, 2)
    g = torch.tensor([[0.0, 1.0]], requires_grad=True)
    rule = Adam(lr=0.1)
    moved, _ = rule.update({"w": w}, {"w": g}, rule.init({"w": w}))
    (slope,) = torch.autograd.grad(moved["w"].sum(), g)
    assert slope.isfinite().all()
    assert moved["w"][0, 0] == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SGD(lr=0.0), "lr > 0"),
        (lambda: SGD(momentum=1.0), r"momentum in \[0, 1\)"),
        (lambda: Adam(lr=-1.0), "lr > 0"),
        (lambda: Adam(betas=(0.9, 1.0)), r"betas in \[0, 1\)"),
        (lambda: Adam(eps=0.0), "eps > 0"),
        (lambda: AdamW(lr=0.0), "lr > 0"),
        (lambda: AdamW(weight_decay=-0.1), "weight_decay >= 0"),
        (lambda: ProximalSGD(lam=-1.0), "lam >= 0"),
        (lambda: FirstAndLater(later=0.0), "step sizes > 0"),
        (lambda: TwoRates(other_lr=0.0), "step sizes > 0"),
    ],
)
def test_options_out_of_range(make, text):
    with pytest.raises(qs.UsageError, match=text):
        make()
