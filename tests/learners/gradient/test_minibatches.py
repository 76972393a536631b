"""Each task's minibatches come in an order of its own, which favours no label and follows from its examples alone."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.learners.gradient.minibatches import Minibatches

WAY, EACH = 5, 9


def noise(tasks, seed=0, each=EACH):
    """Examples that say nothing of their labels, class by class as episodes have them."""
    x = torch.randn(tasks, WAY * each, 3, generator=torch.Generator().manual_seed(seed))
    return qs.Examples(x, torch.arange(WAY).repeat_interleave(each).expand(tasks, -1).contiguous())


def numbered(tasks, n, seed=0):
    """Examples whose label is their place."""
    x = torch.randn(tasks, n, 2, generator=torch.Generator().manual_seed(seed))
    return qs.Examples(x, torch.arange(n).expand(tasks, -1).contiguous())


def stream(examples, size, steps):
    at = Minibatches(size)(examples)
    return torch.cat([at(step).y for step in range(steps)], 1)


@pytest.mark.parametrize(("n", "size"), [(12, 4), (7, 3), (5, 4), (2, 1)])
def test_none_comes_twice_before_all_came_once(n, size):
    drawn = stream(numbered(6, n), size, steps=2 * n)
    for row in drawn.unflatten(1, (-1, n)).flatten(0, 1):
        assert sorted(row.tolist()) == list(range(n))
    if n > 2:
        assert len({tuple(row) for row in drawn.tolist()}) == 6, "the tasks have one order"
        assert (drawn[:, :n] != drawn[:, n : 2 * n]).any(), "the passes have one order"


def test_x_and_y_stay_together():
    examples = numbered(4, 6)
    batch = Minibatches(4)(examples)(1)
    for t in range(4):
        assert torch.equal(batch.x[t], examples.x[t, batch.y[t]])


def test_as_many_as_there_are_or_more_are_all():
    examples = numbered(2, 6)
    for size in (None, 6, 7):
        assert Minibatches(size)(examples)(3) is examples


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8, torch.bool])
def test_an_order_follows_from_the_task_alone(dtype):
    x = torch.randn(5, 8, 16, generator=torch.Generator().manual_seed(1))
    x = x > 0 if dtype == torch.bool else (x * 30).to(dtype)
    examples = qs.Examples(x, torch.arange(8).expand(5, -1).contiguous())
    whole = stream(examples, 3, 5)
    assert torch.equal(whole, torch.cat([stream(examples[t : t + 1], 3, 5) for t in range(5)]))
    assert torch.equal(whole, stream(examples, 3, 5))
    assert len({tuple(row) for row in whole.tolist()}) == 5
    if dtype == torch.float64:
        single = qs.Examples(x.float(), examples.y)
        assert torch.equal(stream(single, 3, 5), stream(qs.Examples(x.float().double(), examples.y), 3, 5))
    other = qs.Examples(x, examples.y.roll(1, 1))
    assert not torch.equal(Minibatches(3)(other)(0).x, Minibatches(3)(examples)(0).x), "the labels do not count"


def test_every_label_is_as_frequent_at_every_step():
    tasks, size = 4000, 10
    at = Minibatches(size)(noise(tasks))
    for step in range(9):
        shares = torch.bincount(at(step).y.flatten(), minlength=WAY) / (tasks * size)
        torch.testing.assert_close(shares, torch.full((WAY,), 1 / WAY), rtol=0, atol=4 * (0.16 / tasks / size) ** 0.5)


def made(name):
    torch.manual_seed(0)
    net = nn.Linear(3, WAY)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    if name == "reptile":
        return qs.Reptile(net, inner_lr=0.5, inner_steps=5, inner_batch=10, inner_optimizer="sgd")
    return qs.LSTMMetaLearner(net, inner_steps=5, inner_batch=10, hidden_size=4, step_bias=(0.0, 0.0))


@pytest.mark.parametrize("name", ["reptile", "lstm-meta"])
def test_no_label_is_favoured_by_what_is_adapted(name):
    """In the test, and in Reptile's training: from a start that favours none, on tasks that favour none."""
    learner, tasks = made(name), 2000
    bias = learner.adapt(noise(tasks)).params["bias"].detach()
    spread = bias.std(0) / tasks**0.5
    assert (bias.mean(0).abs() < 4 * spread).all(), (bias.mean(0) / spread).tolist()
    if name == "reptile":
        batch = qs.TaskBatch(noise(tasks, 1, each=1), noise(tasks, 2))
        step = learner.meta_gradient(batch).gradients[1]
        assert (step.abs() < 4 * spread).all(), (step / spread).tolist()


@pytest.mark.parametrize("name", ["reptile", "lstm-meta"])
def test_the_meta_gradient_is_the_same_in_pieces(name):
    batch, found = qs.TaskBatch(noise(7, 1, each=3), noise(7, 2)), []
    for chunk, workers in ((None, 1), (2, 1), (3, 2)):
        learner = made(name)
        learner.chunk = chunk
        learner.meta_backward(batch, workers=workers)
        found.append(torch.cat([p.grad.flatten() for p in learner.parameters() if p.grad is not None]))
    assert found[0].abs().max() > 0
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own affairs
def test_compiled():
    batch, found = qs.TaskBatch(noise(4, 1, each=2), noise(4, 2)), []
    for compiled in (False, True):
        learner = made("reptile")
        learner.inner_steps = 2
        for tasks in (batch, qs.TaskBatch(batch.support, noise(4, 5))):  # what was recorded serves other tasks
            learner.zero_grad()
            learner.meta_backward(tasks, compile=compiled)
        found.append(torch.cat([p.grad.flatten() for p in learner.parameters()]))
    torch.testing.assert_close(found[1], found[0])
