"""The contract of a learner, checked: for our own tests and for yours, as Gymnasium ships ``check_env``."""

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch, TaskDistribution
from quickstudy.core.learner import AdaptsInSteps, MetaLearner
from quickstudy.training.evaluation import evaluate, solvers


def check_learner(
    learner: MetaLearner,
    tasks: TaskDistribution[TaskBatch],
    *,
    others: Iterable[TaskDistribution[TaskBatch]] = (),
    exact_gradient: bool = True,
    queries_alone: bool = True,
) -> None:
    """Hold a learner to what ``MetaLearner`` promises, in float64 on a few tasks.

    Args:
        learner: stays as it is; copies are checked.
        tasks: what it is made for.
        others: tasks of other ways or shots that it claims to take, too.
        exact_gradient: whether ``meta_gradient`` claims to be the derivative of ``meta_loss`` (first-order methods
            and Reptile do not).
        queries_alone: whether a query's prediction claims to be its own (the steps of a sequence do not).

    Raises:
        AssertionError: a promise that it does not keep; the message names it.
    """
    learner = copy.deepcopy(learner).double().eval()
    batch = double(tasks.sample(3, seed=0))
    nothing_is_changed(learner, batch)
    same_under_a_seed(learner, batch)
    batch_equals_task_by_task(learner, batch)
    gradient_does_not_depend_on_pieces(learner, batch)
    loss_is_among_the_metrics(learner, batch)
    if exact_gradient:
        gradient_is_the_derivative(learner, batch)
    if queries_alone and learner.bn_mode != "transductive":
        queries_are_alone(learner, batch)
    if isinstance(learner, AdaptsInSteps):
        path_ends_where_adapt_does(learner, batch)
    survives_a_round_trip(learner, batch)
    for distribution in (tasks, *others):
        result = evaluate(copy.deepcopy(learner).float(), distribution, n_tasks=2)
        assert result.mean == result.mean, f"evaluate gives nan on {result.tasks}"


def double(batch: TaskBatch) -> TaskBatch:
    """Inputs and real-valued targets in float64."""

    def convert(examples: Examples) -> Examples:
        return Examples(*(t.double() if t.is_floating_point() else t for t in (examples.x, examples.y)))

    return replace(batch, support=convert(batch.support), query=convert(batch.query))


def predict(learner: MetaLearner, batch: TaskBatch) -> Tensor:
    """Query predictions after adapting, without a graph, with a fixed seed for whatever is random."""
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        return learner.adapt(batch.support)(batch.query.x)


def gradient(learner: MetaLearner, batch: Any) -> Tensor:
    """The meta-gradient as one vector."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        grads = learner.meta_gradient(batch).gradients
    pairs = zip(grads, learner.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def nothing_is_changed(learner: MetaLearner, batch: TaskBatch) -> None:
    """Neither the learner (weights, buffers, ``.grad``, mode) nor the batch."""
    state = {name: t.clone() for name, t in learner.state_dict().items()}
    tensors = (batch.support.x, batch.support.y, batch.query.x, batch.query.y)
    copies = [t.clone() for t in tensors]
    for training in (True, False):
        learner.train(training)
        learner.adapt(batch.support)(batch.query.x)
        learner.meta_loss(batch)
        learner.meta_gradient(batch)
        assert learner.training is training, "adapting or the meta-loss changed the learner's train/eval mode"
    for name, t in learner.state_dict().items():
        assert torch.equal(t, state[name]), f"adapting or the meta-loss changed {name}"
    for t, before in zip(tensors, copies, strict=True):
        assert torch.equal(t, before), "adapting or the meta-loss changed the batch"
    assert all(p.grad is None for p in learner.parameters()), "only meta_backward may fill .grad"


def same_under_a_seed(learner: MetaLearner, batch: TaskBatch) -> None:
    """The same batch and torch seed give the same predictions and gradient, to the bit."""
    assert torch.equal(predict(learner, batch), predict(learner, batch)), "predictions differ under one seed"
    assert torch.equal(gradient(learner, batch), gradient(learner, batch)), "gradients differ under one seed"


def batch_equals_task_by_task(learner: MetaLearner, batch: TaskBatch) -> None:
    """No task sees another."""
    alone = [predict(learner, batch[t : t + 1]) for t in range(len(batch))]
    _close(predict(learner, batch), torch.cat(alone), "a task's predictions depend on the other tasks of the batch")
    each = torch.stack([gradient(learner, batch[t : t + 1]) for t in range(len(batch))])
    _close(gradient(learner, batch), each.mean(0), "the meta-gradient is not the mean over the tasks'")


def gradient_does_not_depend_on_pieces(learner: MetaLearner, batch: TaskBatch) -> None:
    """``meta_backward`` adds ``meta_gradient`` to ``.grad``, however it is split up."""
    expected = gradient(learner, batch)
    own = copy.deepcopy(learner)
    for workers, times in ((1, 1), (2, 2)):
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            own.meta_backward(batch, workers=workers)
        found = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in own.parameters()])
        _close(found, times * expected, "meta_backward does not add meta_gradient to .grad")


def loss_is_among_the_metrics(learner: MetaLearner, batch: TaskBatch) -> None:
    """The outer loop watches ``metrics["loss"]``."""
    loss, metrics = learner.meta_loss(batch)
    assert loss.ndim == 0, f"meta_loss must be a scalar, got shape {[*loss.shape]}"
    assert "loss" in metrics, f"the metrics must have a 'loss', got {[*metrics]}"
    plain = (isinstance(v, float) or (isinstance(v, Tensor) and v.ndim == 0) for v in metrics.values())
    assert all(plain), "metrics must be floats, or tensors of no axis"
    assert not any(isinstance(v, Tensor) and v.requires_grad for v in metrics.values()), "metrics must have no graph"


def gradient_is_the_derivative(learner: MetaLearner, batch: Any) -> None:
    """``meta_gradient`` against central differences of ``meta_loss`` along three random directions."""
    own = copy.deepcopy(learner)
    expected = gradient(own, batch)
    params = list(own.parameters())
    for k in range(3):
        direction = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(k))
        direction /= direction.norm()
        parts = direction.split([p.numel() for p in params])
        values: list[float] = []
        for step in (1e-6, -2e-6, 1e-6):
            with torch.no_grad():
                for p, part in zip(params, parts, strict=True):
                    p += step * part.view_as(p) * p.requires_grad
            values.append(own.meta_loss(batch)[0].item())
        trainable = torch.cat([torch.full((p.numel(),), float(p.requires_grad), dtype=expected.dtype) for p in params])
        found = torch.tensor((values[0] - values[1]) / 2e-6, dtype=expected.dtype)
        _close(expected @ (direction * trainable), found, "the meta-gradient is not the derivative", 1e-4)


def queries_are_alone(learner: MetaLearner, batch: TaskBatch) -> None:
    """A query's prediction does not depend on the other queries."""
    first = replace(batch, query=Examples(batch.query.x[:, :1], batch.query.y[:, :1]))
    message = f"a query sees the other queries, with BatchNorm mode {learner.bn_mode!r}"
    _close(predict(learner, first), predict(learner, batch)[:, :1], message)


def path_ends_where_adapt_does(learner: MetaLearner, batch: TaskBatch) -> None:
    """``adapt_path`` gives ``adapt_steps`` + 1 solvers, the last of them ``adapt``'s."""
    with torch.no_grad():
        path = list(solvers(learner, batch.support))
        assert isinstance(learner, AdaptsInSteps)
        assert len(path) == learner.adapt_steps + 1, "adapt_path must give one solver more than there are steps"
        _close(path[-1](batch.query.x), predict(learner, batch), "adapt_path does not end where adapt does")


def survives_a_round_trip(learner: MetaLearner, batch: TaskBatch) -> None:
    """A learner of the same build with the ``state_dict`` put in predicts the same."""
    other = copy.deepcopy(learner)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.1)
    other.load_state_dict(learner.state_dict())
    assert torch.equal(predict(other, batch), predict(learner, batch)), "state_dict does not hold the whole learner"


def _close(found: Tensor, expected: Tensor, message: str, rtol: float = 1e-8) -> None:
    gap = float((found - expected).norm())
    assert gap <= rtol * float(expected.norm()) + 1e-9, f"{message} (off by {gap:.2e} of {float(expected.norm()):.2e})"
