"""Two estimates of how a rule's weights change the losses of the problems that it is unrolled on.

Both cut an unroll of ``steps`` steps into segments of ``truncation`` steps. What they estimate is the gradient of

    loss = mean_i 1/steps sum_k f(L_i(phi_i,k) / L_i(phi_i,0)),  k = 1 ... steps
    f(r) = log(min(r, 1) + 0.01) + max(r - 1, 0)

for problems i, on the minibatches that the steps see. Everything is a function of its arguments (PES: and of torch's
random numbers); the one inner loop is ``unroll``.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils._pytree import tree_map

from quickstudy.core.draws import task_generators
from quickstudy.core.functional import Params
from quickstudy.core.stateless import call
from quickstudy.core.unroll import unroll
from quickstudy.rules import UpdateRule
from quickstudy.tasks.problems.problems import ProblemBatch

FLOOR = 1e-2  # of the relative loss, below which little is won
CEILING = 1e3  # of the relative loss: beyond it a problem has diverged and is left


def relative(losses: Tensor, level: Tensor) -> Tensor:
    """f of the losses over those at the start; what is no number, or beyond the ceiling, counts as the ceiling."""
    ratio = losses / level
    ratio = torch.where(ratio < CEILING, ratio, CEILING)
    return (ratio.clamp(max=1.0) + FLOOR).log() + (ratio - 1.0).relu()


def level_of(batch: ProblemBatch) -> Tensor:
    """The loss at each problem's start, ``[tasks]``."""
    with torch.no_grad():
        return batch.train_loss(batch.start).clamp(min=1e-6)


def _each(change: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """The same tree with every tensor changed."""
    return tree_map(change, tree)


def _only(t: Tensor, which: Tensor) -> Tensor:
    return t[which]


class Segment(NamedTuple):
    """Losses after each step ``[steps, tasks]``, and where the steps ended."""

    losses: Tensor
    params: Params
    state: Any


class _Watched(UpdateRule):
    """A rule that goes on from a state, and notes what passes."""

    def __init__(self, rule: UpdateRule, state: Any) -> None:
        super().__init__()
        self.rule = rule
        self.state = state
        self.passed: list[tuple[Params, Params]] = []

    def init(self, params: Params) -> Any:
        return self.rule.init(params) if self.state is None else self.state

    def update(self, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
        self.passed.append((params, grads))
        params, self.state = self.rule.update(params, grads, state)
        return params, self.state


def run_segment(
    rule: UpdateRule, batch: ProblemBatch, params: Params, state: Any, *, first: int, steps: int, order: int
) -> Segment:
    """Steps ``first`` to ``first + steps``, from a state (None: the rule's first).

    Where grad mode is on, losses carry their derivative by the rule. It is made of the inner gradients, which are the
    losses' derivatives by the parameters and are there already: L + g . (phi - phi held still).
    """
    values: list[Tensor] = []

    def objective(params: Params, step: int) -> Tensor:
        losses = batch.loss(params, first + step)
        values.append(losses.detach())
        return losses

    watched = _Watched(rule, state)
    (params,) = deque(unroll(objective, params, watched, steps=steps, order=order), maxlen=1)
    losses = values[1:]
    if torch.is_grad_enabled():
        passed = watched.passed[1:]
        losses = [value + _through(at, grads) for value, (at, grads) in zip(losses, passed, strict=True)]
    losses.append(batch.loss(params, first + steps))
    return Segment(torch.stack(losses), params, watched.state)


def _through(params: Params, grads: Params) -> Tensor:
    """Zeros ``[tasks]`` whose derivative by the parameters are the gradients."""
    parts = [(grads[name].detach() * (p - p.detach())).reshape(len(p), -1).sum(1) for name, p in params.items()]
    return torch.stack(parts).sum(0)


def truncated(
    rule: UpdateRule, batch: ProblemBatch, *, steps: int, truncation: int, order: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The loss's share of each segment, parameters and state held still at the cuts, and which problems diverged.

    Problems that diverge are left at the next cut: from there on they count as the ceiling.
    """
    tasks = len(batch)
    left = torch.arange(tasks, device=batch.seeds.device)
    level = level_of(batch)
    params, state = batch.start, None
    for first in range(0, steps, truncation):
        count = min(truncation, steps - first)
        lost = torch.ones(tasks, device=left.device).index_fill_(0, left, 0.0)
        gone = lost.sum().to(level) * count * relative(level.new_tensor(CEILING), level.new_ones(()))
        if not len(left):
            yield gone / (tasks * steps), lost
            continue
        segment = run_segment(rule, batch, params, state, first=first, steps=count, order=order)
        yield (relative(segment.losses, level).sum() + gone) / (tasks * steps), lost
        keep = (segment.losses[-1].detach() / level) < CEILING
        params, state = _each(torch.Tensor.detach, (segment.params, segment.state))
        if not keep.all():
            batch, left, level = batch.only(keep), left[keep], level[keep]
            params, state = _each(partial(_only, which=keep), (params, state))


def evolved(
    rule: UpdateRule, batch: ProblemBatch, *, steps: int, truncation: int, sigma: float, pairs: int
) -> tuple[dict[str, Tensor], Tensor]:
    """Persistent evolution strategies: the gradient by name, and the mean loss of the perturbed rules.

    Every problem is solved by ``pairs`` antithetic pairs of perturbed rules. In segment s a pair's rules have weights
    theta + e_s and theta - e_s with fresh e_s ~ N(0, sigma^2), and go on from where they were; with l+ and l- their
    losses' shares in the segment,

        gradient = mean over pairs of sum_s (e_1 + ... + e_s) (l+_s - l-_s) / (2 sigma^2)

    which has no bias from the cuts: a loss is credited to all perturbations that led to it (Vicol et al. 2021).
    """
    theta = {name: p.detach() for name, p in rule.named_parameters()}
    number = len(batch) * pairs
    each = task_generators(len(batch), "perturbations")
    with torch.no_grad():
        level = level_of(batch).repeat_interleave(2 * pairs)
        batch = batch.repeat(2 * pairs)
        params, state = batch.start, None
        past = {name: p.new_zeros(number, *p.shape) for name, p in theta.items()}
        gradient = {name: torch.zeros_like(p) for name, p in theta.items()}
        total = level.new_zeros(())
        for first in range(0, steps, truncation):
            noise = {name: sigma * _normal(each, pairs, p) for name, p in theta.items()}
            past = {name: kept + noise[name] for name, kept in past.items()}
            weights = {name: p + torch.stack([noise[name], -noise[name]], 1).flatten(0, 1) for name, p in theta.items()}
            copies = _Copies(rule, weights)
            count = min(truncation, steps - first)
            losses, params, state = run_segment(copies, batch, params, state, first=first, steps=count, order=1)
            share = relative(losses, level).sum(0).view(number, 2) / steps
            total = total + share.mean()
            weight = (share[:, 0] - share[:, 1]) / (2 * sigma**2 * number)
            for name, kept in past.items():
                gradient[name] += torch.tensordot(weight.to(kept), kept, 1)
    return gradient, total


def _normal(each: list[torch.Generator], pairs: int, like: Tensor) -> Tensor:
    """Draws from N(0, I) for the pairs of every task, ``[tasks * pairs, ...]``."""
    return torch.cat([torch.randn(pairs, *like.shape, generator=rng, dtype=like.dtype) for rng in each]).to(like)


class _Copies(UpdateRule):
    """A rule with weights of its own for each task, ``{name: [tasks, ...]}``, in one set of operations."""

    def __init__(self, rule: UpdateRule, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.call = _Update(rule)
        self.weights = {f"rule.{name}": w for name, w in weights.items()}

    def init(self, params: Params) -> Any:
        return self.rule.init(params)

    def update(self, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
        def one(weights: dict[str, Tensor], *of_task: Any) -> Any:
            return call(self.call, weights, of_task)

        alone = _each(partial(torch.unsqueeze, dim=1), (params, grads, state))  # every copy has one task
        return _each(partial(torch.squeeze, dim=1), vmap(one)(self.weights, *alone))


class _Update(nn.Module):
    """A module, so that it can be called with other weights."""

    def __init__(self, rule: UpdateRule) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
        return self.rule.update(params, grads, state)
