"""Learned optimizers: an update rule is meta-learned on optimization problems, to be used as an optimizer.

The rule is unrolled on each problem for as many steps as the batch's horizon says, and its weights move so that the
training loss falls sooner and further:

    phi_i,k+1, s_i,k+1 = rule_theta(phi_i,k, grad L_i(phi_i,k), s_i,k)
    theta <- theta - beta * d/dtheta mean_i 1/K sum_k f(L_i(phi_i,k) / L_i(phi_i,0))
    f(r) = log(min(r, 1) + 0.01) + max(r - 1, 0)

The logarithm lets easy and hard problems weigh alike; above the start it is the loss itself that counts, or a rule
would learn that blowing up for a moment costs little. The derivative is estimated from segments of ``truncation`` steps
by ``backprop``, with parameters and state held still at the cuts (short memory, little noise, biased), or by ``pes``,
persistent evolution strategies (unbiased, noisy, memory flat in the steps). With ``curriculum`` the unroll grows from
one segment to the horizon.

Where it differs from the papers: inner gradients count as constants in ``backprop`` as in Andrychowicz et al. (order 2
is an option); every batch of problems starts anew, so PES is exact over the unroll of one outer step.

References: Andrychowicz et al.: Learning to learn by gradient descent by gradient descent. NeurIPS 2016. Metz et al.:
Practical tradeoffs between memory, compute, and performance in learned optimizers. CoLLAs 2022. Vicol, Metz,
Sohl-Dickstein: Unbiased gradient estimation in unrolled computation graphs with persistent evolution strategies.
ICML 2021.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from quickstudy import registry
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import Gradients, MetaGradient, MetaLearner, Scalars, Solver
from quickstudy.core.unroll import unroll
from quickstudy.learners.optimizers._unrolled import evolved, level_of, truncated
from quickstudy.rules import UpdateRule
from quickstudy.tasks.problems.problems import ProblemBatch

Estimator = Literal["backprop", "pes"]
RULES = {"adam": "learned-adam", "lstm": "coordinate-lstm", "mlp": "feature-mlp", "hyper": "hyper-mlp"}
"""Short for these of the registry's rules."""
WORST = 10.0  # of the final loss relative to the start, so that one divergence does not drown the mean


@final
class OptimizerLearner(MetaLearner[ProblemBatch]):
    """A learned optimizer: an update rule whose weights are meta-learned on optimization problems.

    ``quickstudy.LearnedOptimizer`` puts the trained rule to use. The names ``adam-optimizer``, ``lstm-optimizer``,
    ``mlp-optimizer`` and ``hyper-optimizer`` are this with one rule each, and take the rule's options, too.

    Args:
        rule: what is learned: a rule; or, with its defaults, ``adam``, ``lstm``, ``mlp``, ``hyper``, or another name of
            the registry's rules.
        estimator: of the meta-gradient: ``backprop`` (truncated) or ``pes`` (persistent evolution strategies).
        truncation: inner steps per segment, >= 1.
        order: of ``backprop``: 1 takes the inner gradients as constants, 2 differentiates through them.
        sigma: of ``pes``: standard deviation of the perturbations, > 0.
        pairs: of ``pes``: antithetic pairs per problem, >= 1.
        curriculum: outer steps over which the unroll grows from one segment to the problems' horizon (0: none).
        eval_steps: inner steps in validation and test, >= 1.
        chunk: problems at once in ``meta_backward`` (None: all); bounds the memory.

    Raises:
        UsageError: an option out of its range, or an unknown rule.
    """

    learns: ClassVar[Mapping[str, str]] = {"problems": "final_loss"}

    def __init__(
        self,
        *,
        rule: str | UpdateRule,
        estimator: Estimator = "backprop",
        truncation: int = 20,
        order: int = 1,
        sigma: float = 0.01,
        pairs: int = 1,
        curriculum: int = 0,
        eval_steps: int = 200,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if estimator not in get_args(Estimator) or order not in (1, 2) or sigma <= 0:
            raise UsageError(
                f"estimator must be one of {', '.join(get_args(Estimator))}, order 1 or 2 and sigma > 0, got "
                f"{estimator!r}, {order} and {sigma}."
            )
        if min(truncation, pairs, eval_steps, chunk or 1) < 1 or curriculum < 0:
            raise UsageError(
                "truncation, pairs, eval_steps and chunk must be >= 1 and curriculum >= 0, got "
                f"{truncation}, {pairs}, {eval_steps}, {chunk} and {curriculum}."
            )
        self.rule: UpdateRule = registry.make("rules", RULES.get(rule, rule)) if isinstance(rule, str) else rule
        self.estimator: Estimator = estimator
        self.truncation = truncation
        self.order = order
        self.sigma = sigma
        self.pairs = pairs
        self.curriculum = curriculum
        self.eval_steps = eval_steps
        self.chunk = chunk
        self.outer_step: Tensor
        self.register_buffer("outer_step", torch.zeros(()))

    def adapt(self, support: ProblemBatch) -> Solver:
        """Each problem's network after ``eval_steps`` steps."""
        (last,) = deque(self.adapt_path(support, self.eval_steps), maxlen=1)
        return last

    def adapt_path(self, support: ProblemBatch, steps: int) -> Iterator[Solver]:
        """Each problem's network after 0, 1, ..., ``steps`` steps."""
        for params in unroll(support.loss, support.start, self.rule, steps=steps, order=self.order):
            yield partial(support.net, {name: p * support.scales[name] for name, p in params.items()})

    def meta_loss(self, batch: ProblemBatch) -> tuple[Tensor, Scalars]:
        """The loss above on the whole unroll, held still at the cuts."""
        steps = self._steps(batch)
        shares = list(truncated(self.rule, batch, steps=steps, truncation=self.truncation, order=self.order))
        loss = torch.stack([share for share, _ in shares]).sum()
        return loss, _metrics(loss, steps, shares[-1][1].mean())

    def meta_gradient(self, batch: ProblemBatch) -> MetaGradient:
        steps = self._steps(batch)
        buffers = {"outer_step": self.outer_step.round() + 1}
        params = dict(self.rule.named_parameters())
        if self.estimator == "pes":
            found, loss = evolved(
                self.rule, batch, steps=steps, truncation=self.truncation, sigma=self.sigma, pairs=self.pairs
            )
            return MetaGradient([found[name] for name in params], _metrics(loss, steps, loss.new_zeros(())), buffers)
        total: Gradients = [None for _ in params]
        loss, lost = self.outer_step.new_zeros(()), self.outer_step
        with torch.enable_grad():
            for share, left in truncated(self.rule, batch, steps=steps, truncation=self.truncation, order=self.order):
                lost = left
                loss = loss + share.detach()
                if share.requires_grad:
                    grads = torch.autograd.grad(share, list(params.values()), allow_unused=True)
                    total = [_sum(a, b) for a, b in zip(total, grads, strict=True)]
        return MetaGradient(total, _metrics(loss, steps, lost.mean()), buffers)

    def _steps(self, batch: ProblemBatch) -> int:
        """The length of the unroll at this outer step."""
        if not self.curriculum:
            return batch.horizon
        grown = min(1.0, round(float(self.outer_step)) / self.curriculum)
        least = min(self.truncation, batch.horizon)
        return least + round(grown * (batch.horizon - least))

    def score_tasks(self, batch: ProblemBatch, at: Sequence[int]) -> Tensor:
        """Relative to the start: the loss on all training examples; and the loss on the held-out ones."""
        level = level_of(batch)
        rows: list[Tensor] = []
        with torch.no_grad():
            path = unroll(batch.loss, batch.start, self.rule, steps=at[-1], order=1)
            for step, params in enumerate(path):
                if step in at:
                    ratio = batch.train_loss(params) / level
                    held = batch.held_loss(params)
                    worst = torch.full_like(ratio, WORST)
                    rows.append(
                        torch.stack([torch.where(ratio < WORST, ratio, worst), held.nan_to_num(1e3).clamp(max=1e3)])
                    )
        return torch.stack(rows, 1)

    def score_name(self, batch: ProblemBatch) -> str:
        return "final_loss"

    @property
    def adapt_steps(self) -> int:
        return self.eval_steps


def _metrics(loss: Tensor, steps: int, diverged: Tensor) -> Scalars:
    return {"loss": loss.detach(), "unroll": float(steps), "diverged": diverged}


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Of gradients. A problem that blows up within a segment has no derivative that is a number: it says nothing."""
    if b is None:
        return a
    b = b.nan_to_num(0.0, 0.0, 0.0)
    return b if a is None else a + b
