"""LOLA: two agents learn by playing each other, and each step reckons with the step that the other is about to take.
A naive learner climbs its own return as if the other stood still; LOLA climbs what its return will be after that step.

Equations (Foerster et al. 2018 a, section 4), for the agents' returns V_1, V_2 (sums of discounted rewards):

    naive       theta_1 <- theta_1 + delta dV_1/dtheta_1
    lola        theta_1 <- theta_1 + delta [ dV_1/dtheta_1 + eta (d2V_2 / dtheta_1 dtheta_2) dV_1/dtheta_2 ]
    lookahead   theta_1 <- theta_1 + delta d/dtheta_1 V_1(theta_1, theta_2'(theta_1)),
                theta_2' = theta_2 + eta dV_2/dtheta_2      taken ``lookahead_steps`` times
    dice        as lookahead, every V replaced by an estimate from sampled games whose derivatives of any order are
                right (Foerster et al. 2018 b), with L_t = all log-probabilities of both players up to round t:
                box_t = exp(L_t - stop(L_t)), which is 1 and has L_t's derivatives,
                V_i = mean over games of sum_t [ gamma^t box_t r_i(t) - (box_t - box_{t-1}) b_i(t) ]
                b_i(t): what the other sampled games brought from round t on

and the same for player 2; both steps are taken at once. ``lola`` is the first-order Taylor expansion of ``lookahead``
with one step, less the term that does not come from the other's step.

How it fits the house: one outer step is one learning step of many pairs of agents at once. The policies of all pairs
are the parameters, and ``meta_gradient`` gives the method's direction, as Reptile's gives its own; delta is ``meta_lr``
of plain gradient steps (``optimizer="sgd"``). No pair sees another. Tasks are games; with several per outer step each
pair takes the mean of its directions.

Where it differs from the papers: the baseline b of ``dice`` is the mean of the other sampled games, and not a learned
value; and it goes with box_t - box_{t-1}, as in (c), which is without bias, too, and quiets second derivatives as well
as first ones. With ``lookahead_steps=0`` it is a naive policy gradient.

References: (a) Foerster, Chen, Al-Shedivat, Whiteson, Abbeel, Mordatch: Learning with Opponent-Learning Awareness.
AAMAS 2018. (b) Foerster, Farquhar, Al-Shedivat, Rocktäschel, Xing, Whiteson: DiCE: The Infinitely Differentiable Monte
Carlo Estimator. ICML 2018. (c) Farquhar, Whiteson, Foerster: Loaded DiCE: Trading off Bias and Variance in Any-Order
Score Function Gradient Estimators for Reinforcement Learning. NeurIPS 2019.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaGradient, MetaLearner, Scalars, Solver
from quickstudy.learners.agents.shaping import PlayedByTwo, dice, lookahead, taylor
from quickstudy.tasks.games.iterated import GameBatch

Method = Literal["naive", "lola", "lookahead", "dice"]
METHODS: tuple[Method, ...] = ("naive", "lola", "lookahead", "dice")


class LOLA(MetaLearner[PlayedByTwo]):
    """LOLA: pairs of agents that learn by playing each other (naive learners, too).

    Args:
        in_features: numbers that a player sees each round; a matrix game's 5.
        out_features: parameters of a policy, which is linear in what is seen; a matrix game's 5 logits.
        method: ``naive``, ``lola``, ``lookahead`` or ``dice``: by what an agent's step is computed.
        pairs: pairs of agents, each from a start of its own.
        lookahead_lr: the step size that an agent assumes of the other (eta).
        lookahead_steps: the other's steps that ``lookahead`` and ``dice`` reckon with.
        init_std: standard deviation of the starting policies' logits.
        rollouts: games that ``dice`` samples per pair and task, >= 2.
        length: rounds of each.
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: all.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"games": "return"}
    self_play: ClassVar[bool] = True
    titles: ClassVar[Mapping[str, Mapping[str, str]]] = {"method": {"naive": "Naive learners"}}

    def __init__(
        self,
        *,
        in_features: int = 5,
        out_features: int = 5,
        method: Method = "lola",
        pairs: int = 2000,
        lookahead_lr: float = 1.0,
        lookahead_steps: int = 1,
        init_std: float = 1.0,
        rollouts: int = 64,
        length: int = 50,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if method not in METHODS or out_features % in_features:
            raise UsageError(
                f"method must be one of {', '.join(METHODS)} and out_features a multiple of in_features, got "
                f"{method!r}, {out_features} and {in_features}."
            )
        if min(pairs, length) < 1 or rollouts < 2 or lookahead_steps < 0 or lookahead_lr < 0 or init_std < 0:
            raise UsageError(
                "LOLA needs pairs and length >= 1, rollouts >= 2, lookahead_steps, lookahead_lr and init_std >= 0, "
                f"got {pairs}, {length}, {rollouts}, {lookahead_steps}, {lookahead_lr} and {init_std}."
            )
        self.in_features = in_features
        self.out_features = out_features
        self.method: Method = method
        self.pairs = pairs
        self.lookahead_lr = lookahead_lr
        self.lookahead_steps = lookahead_steps
        self.init_std = init_std
        self.rollouts = rollouts
        self.length = length
        self.chunk = chunk
        self.policies = nn.Parameter(torch.randn(pairs, 2, out_features) * init_std)

    def adapt(self, support: PlayedByTwo) -> Solver:
        """The first player of each task's pair: from what is seen, ``[tasks, n, in_features]``, to its logits."""
        first = self._seated(support)[:, 0].unflatten(-1, (self.in_features, -1))

        def logits(x: Tensor) -> Tensor:
            return x @ first

        return logits

    def meta_loss(self, batch: PlayedByTwo) -> tuple[Tensor, Scalars]:
        """Minus the return per round: mean over tasks, pairs and players."""
        policies = self._everywhere(batch)
        mean = batch.returns(policies).mean()
        metrics = {"loss": -mean.detach(), "return": mean.detach()}
        if isinstance(batch, GameBatch):
            metrics["cooperation"] = batch.cooperation(policies.detach()).mean()
        return -mean, metrics

    def meta_gradient(self, batch: PlayedByTwo) -> MetaGradient:
        """Minus the method's direction for each pair, mean over tasks."""
        policies = self._everywhere(batch).detach()
        direction = self.directions(batch, policies).mean(0)
        with torch.no_grad():
            return MetaGradient([-direction], self.meta_loss(batch)[1])

    def directions(self, batch: PlayedByTwo, policies: Float[Tensor, "tasks *pairs 2 n"]) -> Tensor:
        """Where both players of every game go next, by the method.

        Raises:
            UsageError: exact returns are asked for where there are none.
        """
        if self.method == "dice":
            return dice(batch, policies, self.lookahead_lr, self.lookahead_steps, self.rollouts, self.length)
        if not isinstance(batch, GameBatch):
            raise UsageError(f"method={self.method!r} needs exact returns, which these games lack; set method='dice'.")
        if self.method == "lookahead":
            return lookahead(batch.values, policies, self.lookahead_lr, self.lookahead_steps)
        return taylor(batch.values, policies, self.lookahead_lr if self.method == "lola" else 0.0)

    def score_tasks(self, batch: PlayedByTwo, at: Sequence[int]) -> Float[Tensor, "2 steps tasks"]:
        """Return per round, mean of both players of the task's pair; nothing adapts any more."""
        found = batch.returns(self._seated(batch)).mean(-1)
        return torch.stack([found, -found])[:, None].expand(2, len(at), len(batch))

    def _everywhere(self, batch: PlayedByTwo) -> Float[Tensor, "tasks pairs 2 n"]:
        return self.policies.expand(len(batch), -1, -1, -1)

    def _seated(self, batch: PlayedByTwo) -> Float[Tensor, "tasks 2 n"]:
        """The policies of the pair that plays each task."""
        return self.policies[(batch.seat * self.pairs).long().clamp(max=self.pairs - 1)]

    def score_name(self, batch: PlayedByTwo) -> str:
        return "return"
