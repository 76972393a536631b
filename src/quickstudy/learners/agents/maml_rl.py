"""MAML for reinforcement learning: a policy from which a gradient step on a few episodes makes a good one.
The inner step climbs an estimate of the return from the task's own episodes; the outer one, that of the stepped policy.

Equations (Finn et al. 2017, algorithm 3), for task i with returns R and episodes tau drawn by the policy:

    phi_i = theta + alpha * grad J_i(theta; tau ~ pi_theta)             inner_steps times, each with new episodes
    theta <- a step up   mean_i J_i(phi_i; tau' ~ pi_phi_i)

J(.; tau) is the DiCE objective (``episodes.dice``): its gradient is the policy gradient, and its second derivative,
which the outer gradient meets in d phi_i / d theta, an estimate of that of the expected return; differentiating the
policy gradient's usual surrogate once more would lose how theta decides what is seen (Foerster et al. 2018). Advantages
come from a linear baseline fitted to each task's episodes, which leaves all those derivatives unbiased.

The outer step, by ``outer``:

    gradient    the derivative of mean_i mean_tau' ratio * A', for any optimizer
    trpo        x = F^-1 g, as far as the mean divergence of the stepped policies stays below ``max_kl`` and the
                surrogate rises; ``meta_gradient`` gives the step itself, for ``optimizer="sgd"`` with step size 1
    reptile     theta - mean_i phi_i: towards what the tasks' policies became (Nichol et al. 2018), for ``sgd``, too;
                nothing is differentiated but the inner objective, and no surrogate is needed

Where it differs from the paper: all tasks and episodes run as one set of tensors; DiCE; the metric F of ``trpo`` is the
mean of the stepped policies' Fisher matrices, without the derivative of phi by theta (it only bends the direction:
the divergence that bounds the step is the true one). Random numbers are functions of the tasks, so a batch of
environments always gives the same meta-gradient.

Reference: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017
(sections 3.2 and 5.3). Foerster et al.: DiCE: The Infinitely Differentiable Monte Carlo Estimator. ICML 2018.
Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms. arXiv:1803.02999, 2018.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.learner import MetaGradient, MetaLearner, Scalars, Solver, derivative
from quickstudy.core.unroll import unroll
from quickstudy.learners.agents._trust import Vector, fisher_product, trust_region_step
from quickstudy.learners.agents.episodes import Episodes, advantages, dice, minus_mean, play
from quickstudy.nets.policies import ActionDistribution, Policy
from quickstudy.rules import FirstAndLater
from quickstudy.tasks.environments.base import Environments

Outer = Literal["trpo", "gradient", "reptile"]
Credit = Literal["past", "own"]
FISHER_STEPS = 5  # every fifth step of the episodes is enough for the metric


class MAMLRL(MetaLearner[Environments]):
    """MAML with policy gradients: a policy that a step on a few episodes adapts to a task.

    Args:
        in_features: numbers in an observation.
        out_features: actions to choose from, or numbers in an action.
        hidden: width of each of the policy's hidden layers.
        log_std: where the log of the standard deviation of continuous actions starts; it is learned, and adapts.
        inner_lr: step size of the first inner step, > 0.
        later_lr: step size of the inner steps after it (None: half of inner_lr).
        inner_steps: policy-gradient steps per task in training, validation and test, >= 0; 0: no
            adapting, ordinary training on all tasks.
        episodes: per task and step, >= 2.
        order: 2: through the inner gradients; 1: they count as constants (``reptile``: always).
        credit: of the inner objective: ``past`` (DiCE), or ``own``, whose second derivatives are biased, of less
            variance.
        outer: the outer step: ``trpo`` (train it with optimizer sgd, meta_lr 1), ``gradient``, or ``reptile`` (sgd).
        max_kl: of ``trpo``: largest mean divergence of a step, > 0.
        discount: of the next step's reward, in [0, 1].
        gae_lambda: lambda of generalised advantage estimation, in [0, 1].
        chunk: tasks at once in evaluation, and in ``meta_backward`` unless by ``trpo``, whose step is one for the whole
            batch; bounds the memory. None: all.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"environments": "return"}

    def __init__(
        self,
        *,
        in_features: int = 2,
        out_features: int = 2,
        hidden: tuple[int, ...] = (100, 100),
        log_std: float = 0.0,
        inner_lr: float = 0.1,
        later_lr: float | None = None,
        inner_steps: int = 1,
        episodes: int = 20,
        order: int = 2,
        credit: Credit = "past",
        outer: Outer = "trpo",
        max_kl: float = 0.01,
        discount: float = 0.99,
        gae_lambda: float = 1.0,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if inner_lr <= 0 or (later_lr or 1) <= 0 or inner_steps < 0 or episodes < 2 or order not in (1, 2):
            raise UsageError(
                "MAMLRL needs inner_lr and later_lr > 0, inner_steps >= 0, episodes >= 2 and order 1 or 2, got "
                f"{inner_lr}, {later_lr}, {inner_steps}, {episodes} and {order}."
            )
        if outer not in get_args(Outer) or credit not in get_args(Credit) or max_kl <= 0:
            raise UsageError(
                f"outer must be trpo, gradient or reptile, credit past or own and max_kl > 0, got {outer!r}, "
                f"{credit!r} and {max_kl}."
            )
        if outer == "reptile" and inner_steps < 1:
            raise UsageError("reptile moves towards what the inner steps make of the policy: inner_steps must be >= 1.")
        if not (0 <= discount <= 1 and 0 <= gae_lambda <= 1):
            raise UsageError(f"discount and gae_lambda must be in [0, 1], got {discount} and {gae_lambda}.")
        self.in_features = in_features
        self.out_features = out_features
        self.hidden = tuple(hidden)
        self.log_std = log_std
        self.inner_lr = inner_lr
        self.later_lr = later_lr
        self.inner_steps = inner_steps
        self.episodes = episodes
        self.order = order
        self.credit: Credit = credit
        self.outer: Outer = outer
        self.max_kl = max_kl
        self.discount = discount
        self.gae_lambda = gae_lambda
        self.chunk = chunk
        self.policy = Policy(in_features=in_features, actions=out_features, hidden=self.hidden, log_std=log_std)
        self._rule = FirstAndLater(first=inner_lr, later=inner_lr / 2 if later_lr is None else later_lr)

    def adapt(self, support: Environments) -> Solver:
        """Play, and step; the solver gives what the adapted policies would do: means, or logits, of the actions."""
        (last,) = deque(self.adapt_path(support, self.inner_steps), maxlen=1)
        return last

    def adapt_path(self, support: Environments, steps: int) -> Iterator[Solver]:
        """The same after 0, 1, ..., ``steps`` updates."""
        return (partial(self.policy.forward_tasks, params) for params, _ in self.path(support, steps))

    def path(self, batch: Environments, steps: int) -> Iterator[tuple[Params, Episodes]]:
        """Each task's policy after 0, 1, ..., ``steps`` updates, with the episodes that it played."""
        self._check(batch)
        played: list[Episodes] = []

        def objective(params: Params, step: int) -> Float[Tensor, " tasks"]:
            return -self._return(batch, params, played[step])

        start = self.policy.start(len(batch))
        order = 1 if self.outer == "reptile" else self.order
        for step, params in enumerate(unroll(objective, start, self._rule, steps=steps, order=order)):
            played.append(self._play(batch, params, step))
            yield params, played[step]

    def meta_loss(self, batch: Environments) -> tuple[Tensor, Scalars]:
        """Minus the surrogate of the return after the last update; its derivative is the policy gradient."""
        path = list(self.path(batch, self.inner_steps))
        loss, _ = self._surrogate(batch, *path[-1])
        return loss, self._metrics([episodes for _, episodes in path])

    def meta_gradient(self, batch: Environments) -> MetaGradient:
        """The surrogate's derivative; by ``trpo``, the step that it and the stepped policies' divergence allow; by
        ``reptile``, from the mean of the stepped policies to the start."""
        with torch.enable_grad():
            path = list(self.path(batch, self.inner_steps))
            params, after = path[-1]
            if self.outer == "reptile":
                away = [p.detach() - params[name].detach().mean(0) for name, p in self.policy.named_parameters()]
                return MetaGradient([*away], self._metrics([episodes for _, episodes in path]))
            loss, advantage = self._surrogate(batch, params, after)
            gradients = derivative(self, loss)
        played = [episodes for _, episodes in path]
        metrics = self._metrics(played)
        if self.outer == "gradient":
            return MetaGradient(gradients, metrics)
        found = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, self.parameters(), strict=True)]
        fixed = {name: p.detach() for name, p in params.items()}
        judge = self._judge(batch, played, fixed, advantage)
        step, share = trust_region_step(found, self._fisher(batch, fixed, after), judge, max_kl=self.max_kl)
        return MetaGradient([*step], {**metrics, "step": torch.tensor(share)})

    def score_tasks(self, batch: Environments, at: Sequence[int]) -> Float[Tensor, "2 steps tasks"]:
        """The mean return of each task's episodes after each number of updates ``at``, and minus it."""
        scores = [played.returns for k, (_, played) in enumerate(self.path(batch, at[-1])) if k in at]
        return torch.stack([torch.stack(scores), -torch.stack(scores)])

    def _play(self, batch: Environments, params: Params, step: int) -> Episodes:
        still = {name: p.detach() for name, p in params.items()}

        def act(observation: Tensor, u: Tensor) -> Tensor:
            return self.policy.on(still, observation, batch.discrete).act(u)

        return play(batch, act, episodes=self.episodes, seed=step)

    def _advantage(self, episodes: Episodes) -> Tensor:
        return advantages(episodes, discount=self.discount, gae_lambda=self.gae_lambda).to(self.policy.log_std.dtype)

    def _log_prob(self, batch: Environments, params: Params, episodes: Episodes) -> Tensor:
        return self._actions(batch, params, episodes).log_prob(episodes.actions) * episodes.mask

    def _actions(self, batch: Environments, params: Params, episodes: Episodes) -> ActionDistribution:
        return self.policy.on(params, episodes.observations, batch.discrete)

    def _return(self, batch: Environments, params: Params, episodes: Episodes) -> Float[Tensor, " tasks"]:
        """The inner objective, per step of an episode (so that one inner_lr suits episodes of any length)."""
        log_p = self._log_prob(batch, params, episodes)
        found = dice(log_p, self._advantage(episodes), self.discount, credit=self.credit)
        return found / episodes.mask.sum(-1).mean(-1)

    def _surrogate(self, batch: Environments, params: Params, after: Episodes) -> tuple[Tensor, Tensor]:
        """Minus the outer objective where the episodes were played, and their advantages."""
        advantage = self._advantage(after)
        log_p = self._log_prob(batch, params, after)
        return minus_mean((log_p - log_p.detach()).exp(), advantage, after.mask), advantage

    def _judge(
        self, batch: Environments, played: list[Episodes], fixed: Params, advantage: Tensor
    ) -> Callable[[Vector], tuple[float, float]]:
        """Loss and mean divergence of the stepped policies after a step of the start."""
        after = played[-1]
        with torch.no_grad():
            old = self._actions(batch, fixed, after)
            log_old = old.log_prob(after.actions)

        def judge(step: Vector) -> tuple[float, float]:
            with torch.no_grad():
                pairs = zip(self.policy.named_parameters(), step, strict=True)
                start = {name: (p - s).expand(len(batch), *p.shape) for (name, p), s in pairs}
                again = unroll(
                    lambda params, k: -self._return(batch, params, played[k]),
                    start,
                    self._rule,
                    steps=len(played) - 1,
                    order=1,
                )
                *_, params = again
                new = self._actions(batch, params, after)
                ratio = (new.log_prob(after.actions) - log_old).exp()
                divergence = old.kl(new) * after.mask
                return float(minus_mean(ratio, advantage, after.mask)), float(divergence.sum() / after.mask.sum())

        return judge

    def _fisher(self, batch: Environments, fixed: Params, after: Episodes) -> Callable[[Vector], Vector]:
        seen = after.observations[:, :, ::FISHER_STEPS]
        return fisher_product(
            lambda params: self.policy.on(params, seen, batch.discrete), fixed, after.mask[:, :, ::FISHER_STEPS]
        )

    def _metrics(self, played: list[Episodes]) -> Scalars:
        before, after = played[0].returns.mean(), played[-1].returns.mean()
        return {"loss": -after, "return": after, "return_before": before}

    def _check(self, batch: Environments) -> None:
        if (batch.observations, batch.actions) != (self.in_features, self.out_features):
            raise UsageError(
                f"this policy takes {self.in_features} numbers and has {self.out_features} actions, these environments "
                f"{batch.observations} and {batch.actions}; build it with those as in_features and out_features."
            )

    @property
    def whole_batch(self) -> str | None:
        """``trpo`` searches one step for all tasks; the other outer steps are means over them."""
        return "(outer='trpo') searches one step for the whole batch" if self.outer == "trpo" else None

    def score_name(self, batch: Environments) -> str:
        return "return"

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps
