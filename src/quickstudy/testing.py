"""The contract of a learner, checked: for our own tests and for yours, as Gymnasium ships ``check_env``."""

import copy
import dataclasses
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch, TaskDistribution
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import B, MetaLearner
from quickstudy.core.pad import pad
from quickstudy.training.evaluation import evaluate

T = TypeVar("T")


def check_learner(
    learner: MetaLearner[B],
    tasks: TaskDistribution[B],
    *,
    others: Iterable[TaskDistribution[B]] = (),
    exact_gradient: bool = True,
    queries_alone: bool = True,
) -> None:
    """Hold a learner to what ``MetaLearner`` promises, in float64 on a few tasks.

    What is particular to support and query sets is asked of learners whose batches are such (``TaskBatch``), all the
    rest of every learner.

    Args:
        learner: stays as it is; copies are checked.
        tasks: what it is made for.
        others: tasks of other ways or shots that it claims to take, too.
        exact_gradient: whether ``meta_gradient`` claims to be the derivative of ``meta_loss`` (first-order methods,
            Reptile and policy gradients do not).
        queries_alone: whether a query's prediction claims to be its own (the steps of a sequence do not).

    Raises:
        AssertionError: a promise that it does not keep; the message names it.
    """
    learner = copy.deepcopy(learner).double().eval()
    batch = double(tasks.sample(3, seed=0))
    found = Found(learner, batch)
    nothing_is_changed(learner, batch)
    same_under_a_seed(found)
    no_task_sees_another(found)
    if learner.whole_batch is None:
        gradient_is_the_mean_over_tasks(found)
    else:
        pieces_are_refused(learner, batch)
    backward_adds_the_gradient(found)
    loss_is_among_the_metrics(learner, batch)
    if exact_gradient:
        gradient_is_the_derivative(learner, batch)
    scores_are_of_every_step_and_task(found)
    path_ends_where_adapt_does(found)
    if isinstance(batch, TaskBatch) and queries_alone and learner.bn_mode != "transductive":
        queries_are_alone(found)
    if isinstance(batch, TaskBatch):
        padding_is_nothing_or_refused(found)
    survives_a_round_trip(found)
    for distribution in (tasks, *others):
        result = evaluate(copy.deepcopy(learner).float(), distribution, n_tasks=2)
        assert result.mean == result.mean, f"evaluate gives nan on {result.tasks}"


class Found(Generic[B]):
    """What comes of a learner on a batch, computed when first asked for: several checks compare with it."""

    def __init__(self, learner: MetaLearner[B], batch: B) -> None:
        self.learner = learner
        self.batch = batch

    @cached_property
    def outcomes(self) -> dict[str, Tensor]:
        return outcomes(self.learner, self.batch)

    @cached_property
    def gradient(self) -> Tensor:
        return gradient(self.learner, self.batch)

    @cached_property
    def alone(self) -> "list[Found[B]]":
        """The same for each of the batch's tasks."""
        return [Found(self.learner, self.batch[t : t + 1]) for t in range(len(self.batch))]


def double(batch: T) -> T:
    """The same with its real numbers in float64, however it nests: dataclasses, dicts and tuples of tensors."""
    return _mapped(batch, lambda t: t.double() if t.is_floating_point() else t)


def predict(learner: MetaLearner[Any], batch: TaskBatch) -> Tensor:
    """Query predictions after adapting, without a graph, with a fixed seed for whatever is random."""
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        return learner.adapt(batch.support)(batch.query.x)


def outcomes(learner: MetaLearner[B], batch: B) -> dict[str, Tensor]:
    """What comes of adapting, by what it is called, ``[tasks, ...]`` each: scores and losses; query predictions."""
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        scores = learner.score_tasks(batch, [learner.adapt_steps or 0]).movedim(-1, 0)
    return {"scores": scores, **({"predictions": predict(learner, batch)} if isinstance(batch, TaskBatch) else {})}


def gradient(learner: MetaLearner[B], batch: B) -> Tensor:
    """The meta-gradient as one vector."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        grads = learner.meta_gradient(batch).gradients
    pairs = zip(grads, learner.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def nothing_is_changed(learner: MetaLearner[B], batch: B) -> None:
    """Neither the learner (weights, buffers, ``.grad``, mode) nor the batch."""
    state = {name: t.clone() for name, t in learner.state_dict().items()}
    copies = [t.clone() for t in _tensors(batch)]
    for training in (True, False):
        learner.train(training)
        if isinstance(batch, TaskBatch):
            learner.adapt(batch.support)(batch.query.x)
        else:
            learner.adapt(batch)
        learner.meta_loss(batch)
        learner.meta_gradient(batch)
        assert learner.training is training, "adapting or the meta-loss changed the learner's train/eval mode"
    for name, t in learner.state_dict().items():
        assert torch.equal(t, state[name]), f"adapting or the meta-loss changed {name}"
    for t, before in zip(_tensors(batch), copies, strict=True):
        assert torch.equal(t, before), "adapting or the meta-loss changed the batch"
    assert all(p.grad is None for p in learner.parameters()), "only meta_backward may fill .grad"


def same_under_a_seed(found: Found[Any]) -> None:
    """The same batch and torch seed give the same outcome and gradient, to the bit."""
    again = Found(found.learner, found.batch)
    for name, first in found.outcomes.items():
        assert torch.equal(first, again.outcomes[name]), f"{name} differ under one seed"
    assert torch.equal(found.gradient, again.gradient), "gradients differ under one seed"


def no_task_sees_another(found: Found[Any]) -> None:
    """A batch gives what its tasks give alone."""
    for name, together in found.outcomes.items():
        alone = torch.cat([one.outcomes[name] for one in found.alone])
        _close(together, alone, f"a task's {name} depend on the batch's other tasks")


def gradient_is_the_mean_over_tasks(found: Found[Any]) -> None:
    """The mean of the gradients of the tasks alone."""
    each = torch.stack([one.gradient for one in found.alone])
    _close(found.gradient, each.mean(0), "the meta-gradient is not the mean over the tasks'")


def pieces_are_refused(learner: MetaLearner[B], batch: B) -> None:
    """A batch that is to be taken whole is not taken in pieces."""
    own = copy.deepcopy(learner)
    own.chunk = 1
    try:
        own.meta_backward(batch)
    except UsageError:
        return
    raise AssertionError("the learner takes the whole batch, but meta_backward took it in pieces")


def backward_adds_the_gradient(found: Found[Any]) -> None:
    """``meta_backward`` adds ``meta_gradient`` to ``.grad``, however the batch is split up."""
    learner, batch = found.learner, found.batch
    own = copy.deepcopy(learner)
    chunks = (learner.chunk, 1, 2) if learner.whole_batch is None else (None, len(batch))
    for times, chunk in enumerate(chunks, start=1):
        own.chunk = chunk
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            own.meta_backward(batch, workers=min(times, 2))
        added = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in own.parameters()])
        _close(added, times * found.gradient, "meta_backward does not add meta_gradient to .grad")


def loss_is_among_the_metrics(learner: MetaLearner[B], batch: B) -> None:
    """The outer loop watches ``metrics["loss"]``."""
    loss, metrics = learner.meta_loss(batch)
    assert loss.ndim == 0, f"meta_loss must be a scalar, got shape {[*loss.shape]}"
    assert "loss" in metrics, f"the metrics must have a 'loss', got {[*metrics]}"
    plain = (isinstance(v, float) or (isinstance(v, Tensor) and v.ndim == 0) for v in metrics.values())
    assert all(plain), "metrics must be floats, or tensors of no axis"
    assert not any(isinstance(v, Tensor) and v.requires_grad for v in metrics.values()), "metrics must have no graph"


def gradient_is_the_derivative(learner: MetaLearner[B], batch: B) -> None:
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


def scores_are_of_every_step_and_task(found: Found[Any]) -> None:
    """``score_tasks`` gives ``[2, steps, tasks]``, and after a step the same whichever other steps are asked for."""
    learner, batch = found.learner, found.batch
    last = found.outcomes["scores"][..., -1]
    at = sorted({0, learner.adapt_steps or 0})
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(0)
        scores = learner.score_tasks(batch, at)
    wanted = (2, len(at), len(batch))
    assert scores.shape == wanted, f"score_tasks must give {wanted}, scores and losses, got {tuple(scores.shape)}"
    _close(scores[:, -1].T, last, "the last step's score depends on which steps are asked for")
    assert learner.score_name(batch), "the score must have a name"


def path_ends_where_adapt_does(found: Found[Any]) -> None:
    """``adapt_path`` gives ``adapt_steps`` + 1 solvers (one, if it adapts in one go), the last of them ``adapt``'s."""
    learner, batch = found.learner, found.batch
    steps = learner.adapt_steps or 0
    support: Any = batch.support if isinstance(batch, TaskBatch) else batch
    with torch.no_grad():
        path = list(learner.adapt_path(support, steps))
        assert len(path) == steps + 1, "adapt_path must give one solver more than there are steps"
        if isinstance(batch, TaskBatch):
            _close(path[-1](batch.query.x), found.outcomes["predictions"], "adapt_path does not end where adapt does")


def queries_are_alone(found: Found[Any]) -> None:
    """A query's prediction does not depend on the other queries."""
    learner, batch = found.learner, found.batch
    first = dataclasses.replace(batch, query=Examples(batch.query.x[:, :1], batch.query.y[:, :1]))
    message = f"a query sees the other queries, with BatchNorm mode {learner.bn_mode!r}"
    _close(predict(learner, first), found.outcomes["predictions"][:, :1], message)


def padding_is_nothing_or_refused(found: Found[Any]) -> None:
    """A task padded to the length of another gives what it gives alone, or ``UsageError`` says that it cannot."""
    learner, batch, alone = found.learner, found.batch, found.alone[0]
    other = batch[1:2]
    for part in ("support", "query"):
        short, long = getattr(alone.batch, part), getattr(other, part)
        twice = Examples(torch.cat([long.x, long.x], 1), torch.cat([long.y, long.y], 1))
        both = dataclasses.replace(batch[:2], **{part: pad([short, twice])})
        try:
            padded, of_both = outcomes(learner, both), gradient(learner, both)
        except Exception as error:  # of any type: the learner is somebody's own
            if isinstance(error, UsageError) and "padding" in str(error):
                continue
            advice = "handle it, or refuse it: quickstudy.core.pad.refuse"
            raise AssertionError(f"padding in the {part} set ends in an error ({advice}): {error}") from error
        message = f"padding in the {part} set changes a task (handle it, or refuse it: quickstudy.core.pad.refuse)"
        n = alone.batch.query.y.shape[1]
        _close(padded["scores"][:1], alone.outcomes["scores"], message)
        _close(padded["predictions"][:1, :n], alone.outcomes["predictions"], message)
        if learner.whole_batch is None:
            longer = gradient(learner, dataclasses.replace(other, **{part: twice}))
            _close(of_both, (alone.gradient + longer) / 2, message)


def survives_a_round_trip(found: Found[Any]) -> None:
    """A learner of the same build with the ``state_dict`` put in does the same."""
    other = copy.deepcopy(found.learner)
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.1)
    other.load_state_dict(found.learner.state_dict())
    for name, restored in outcomes(other, found.batch).items():
        assert torch.equal(restored, found.outcomes[name]), "state_dict does not hold the whole learner"


def _mapped(thing: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same with every tensor changed; what is no container stays as it is."""
    if isinstance(thing, Tensor):
        return change(thing)
    if isinstance(thing, dict):
        return {key: _mapped(value, change) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        parts = [_mapped(part, change) for part in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        names = [field.name for field in dataclasses.fields(thing) if field.init]
        return dataclasses.replace(thing, **{name: _mapped(getattr(thing, name), change) for name in names})
    return thing


def _tensors(thing: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def note(t: Tensor) -> Tensor:
        found.append(t)
        return t

    _mapped(thing, note)
    return found


def _close(found: Tensor, expected: Tensor, message: str, rtol: float = 1e-8) -> None:
    gap = float((found - expected).norm())
    assert gap <= rtol * float(expected.norm()) + 1e-9, f"{message} (off by {gap:.2e} of {float(expected.norm()):.2e})"
