"""The inner loop: what is differentiated, what is kept, and what it costs."""

import gc
import weakref

import pytest
import torch

import quickstudy as qs
from quickstudy.core.unroll import losses_and_gradients, unroll
from quickstudy.rules import SGD, Adam, UpdateRule

LR = 0.1
CURVATURE = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)  # of each task's bowl
TARGET = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def bowl(params, step):
    """0.5 c (w - target)^2 for each of three tasks."""
    return 0.5 * CURVATURE * (params["w"] - TARGET) ** 2


def start():
    shared = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    return shared, {"w": shared.expand(3)}


def last(path):
    *_, end = path
    return end


def test_yields_the_start_and_every_step():
    _, params = start()
    path = list(unroll(bowl, params, SGD(lr=LR), steps=4, order=2))
    assert len(path) == 5
    assert path[0] is params
    for k, point in enumerate(path):
        expected = TARGET + (1 - LR * CURVATURE) ** k * (3.0 - TARGET)
        torch.testing.assert_close(point["w"].detach(), expected)


@pytest.mark.parametrize("steps", [1, 3])
def test_order_2_is_the_derivative_through_the_steps_and_order_1_is_not(steps):
    for order, slope in ((2, (1 - LR * CURVATURE) ** steps), (1, torch.ones(3, dtype=torch.float64))):
        shared, params = start()
        end = last(unroll(bowl, params, SGD(lr=LR), steps=steps, order=order))
        (found,) = torch.autograd.grad(end["w"].sum(), shared)
        torch.testing.assert_close(found, slope.sum())


@pytest.mark.parametrize("order", [1, 2])
def test_without_grad_mode_the_steps_are_the_same_and_nothing_is_kept(order):
    _, params = start()
    kept = last(unroll(bowl, params, SGD(lr=LR), steps=3, order=order))
    with torch.no_grad():
        points = list(unroll(bowl, params, SGD(lr=LR), steps=3, order=order))
    assert all(point["w"].grad_fn is None and not point["w"].requires_grad for point in points[1:])
    assert torch.equal(points[-1]["w"], kept["w"])


def test_plain_tensors_are_a_start_too():
    end = last(unroll(bowl, {"w": torch.full((3,), 3.0, dtype=torch.float64)}, SGD(lr=LR), steps=2, order=2))
    torch.testing.assert_close(end["w"].detach(), TARGET + (1 - LR * CURVATURE) ** 2 * (3.0 - TARGET))


def test_grad_mode_of_the_caller_is_kept_between_steps():
    """The caller's own work between two steps is recorded, or not, as the caller has it."""
    _, params = start()
    for _ in unroll(bowl, params, SGD(lr=LR), steps=2, order=2):
        assert torch.is_grad_enabled()
    with torch.no_grad():
        for _ in unroll(bowl, params, SGD(lr=LR), steps=2, order=2):
            assert not torch.is_grad_enabled()


def test_the_objective_is_told_the_step():
    seen = []

    def objective(params, step):
        seen.append(step)
        return bowl(params, step)

    last(unroll(objective, start()[1], SGD(lr=LR), steps=3, order=1))
    assert seen == [0, 1, 2]


def test_parameters_that_the_loss_does_not_use_stay():
    params = {**start()[1], "idle": torch.ones(3, 2, dtype=torch.float64, requires_grad=True)}
    end = last(unroll(bowl, params, Adam(lr=LR), steps=2, order=2))
    assert torch.equal(end["idle"], params["idle"])


@pytest.mark.parametrize("rule", [SGD(lr=LR, momentum=0.9), Adam(lr=LR)], ids=["momentum", "adam"])
def test_the_rules_state_is_carried_from_step_to_step_and_starts_fresh(rule):
    end = last(unroll(bowl, start()[1], rule, steps=3, order=1))
    params, state = {"w": start()[1]["w"].detach()}, rule.init(start()[1])
    for _ in range(3):
        params, state = rule.update(params, {"w": CURVATURE * (params["w"] - TARGET)}, state)
    torch.testing.assert_close(end["w"].detach(), params["w"])
    again = last(unroll(bowl, start()[1], rule, steps=3, order=1))
    assert torch.equal(end["w"], again["w"])


class Learned(UpdateRule):
    """A rule with a meta-parameter: its step size."""

    def __init__(self):
        super().__init__()
        self.log_lr = torch.nn.Parameter(torch.tensor(LR, dtype=torch.float64).log())

    def init(self, params):
        return None

    def update(self, params, grads, state):
        return {name: p - self.log_lr.exp() * grads[name] for name, p in params.items()}, None


@pytest.mark.parametrize("order", [1, 2])
def test_a_rule_is_learned_through(order):
    """One step: the end depends on the step size by minus the gradient, in either order."""
    rule = Learned()
    _, params = start()
    end = last(unroll(bowl, params, rule, steps=1, order=order))
    (slope,) = torch.autograd.grad(end["w"].sum(), rule.log_lr)
    torch.testing.assert_close(slope, -(LR * CURVATURE * (3.0 - TARGET)).sum())


def test_each_tasks_gradient_is_its_own():
    _, params = start()
    losses, found = losses_and_gradients(lambda p: bowl(p, 0), params, through=False)
    torch.testing.assert_close(found["w"], CURVATURE * (3.0 - TARGET))
    assert not found["w"].requires_grad
    torch.testing.assert_close(losses, bowl(params, 0).detach())
    assert not losses.requires_grad


class LossSized(UpdateRule):
    """A rule whose steps are as long as the loss is large."""

    def init(self, params):
        return None

    def with_losses(self, state, losses):
        return losses

    def update(self, params, grads, state):
        return {name: p - state.view(-1, *[1] * (p.ndim - 1)) * grads[name] for name, p in params.items()}, None


@pytest.mark.parametrize("order", [1, 2])
def test_a_rule_may_look_at_the_losses(order):
    """phi = w - L(w) L'(w), so that d phi / dw = 1 - L'^2 - L L'': in order 1 losses and gradients are constants."""
    w, params = start()
    end = last(unroll(bowl, params, LossSized(), steps=1, order=order))
    loss, slope = bowl(params, 0).detach(), CURVATURE * (3.0 - TARGET)
    torch.testing.assert_close(end["w"].detach(), 3.0 - loss * slope)
    (found,) = torch.autograd.grad(end["w"].sum(), w)
    expected = torch.ones_like(slope) if order == 1 else 1 - slope**2 - loss * CURVATURE
    torch.testing.assert_close(found, expected.sum())


def wave(params, step):
    """Its derivative needs the point itself, so a graph holds on to the point."""
    return params["w"].sin()


@pytest.mark.parametrize("rule", [SGD(lr=0.01), SGD(lr=0.01, momentum=0.9), Adam(lr=0.01)], ids=["sgd", "mom", "adam"])
@pytest.mark.parametrize("order", [1, 2])
def test_memory_does_not_grow_with_the_steps_without_grad_mode(rule, order):
    """Of all points of the path that were seen, only the start is still alive: it is the caller's."""
    seen = []
    with torch.no_grad():
        for params in unroll(wave, start()[1], rule, steps=20, order=order):
            assert sum(reference() is not None for reference in seen) <= 1
            seen.append(weakref.ref(params["w"]))
    assert len(seen) == 21


def test_with_order_2_the_whole_path_is_kept_for_as_long_as_its_end():
    """The opposite, without which the test above would prove nothing."""
    seen, end = [], None
    for end in unroll(wave, start()[1], SGD(lr=0.01), steps=20, order=2):
        seen.append(weakref.ref(end["w"]))
    assert all(reference() is not None for reference in seen)
    del end
    gc.collect()
    assert all(reference() is None for reference in seen)


@pytest.mark.parametrize(("steps", "order"), [(1, 0), (1, 3), (-1, 2)])
def test_bad_arguments(steps, order):
    with pytest.raises(qs.UsageError, match=f"order={order}, steps={steps}"):
        last(unroll(bowl, start()[1], SGD(), steps=steps, order=order))
