"""RL^2: a recurrent policy that plays a task several times in a row and keeps its memory from one episode to the next.
What it learns within such a trial is in its activations; how to learn it is in its weights.

Equations (Duan et al. 2016; Wang et al. 2016): with what was seen, done and got at step t,

    h_t = GRU(h_t-1, [o_t, a_t-1, r_t-1 a_t-1, r_t-1, d_t-1])      d: whether an episode has just ended; h_0 = 0
    a_t ~ pi(. | h_t),  v_t = most * V(h_t),  most = sum_k discount^k over the trial
    A_t = sum_k (discount * gae_lambda)^k delta_t+k,      delta_t = r_t + discount * v_t+1 - v_t,  over the whole trial
    loss = - mean_t log pi(a_t | h_t) A_t - entropy * mean_t H(pi(. | h_t))
           + value * mean_t (V(h_t) - stop(A_t + v_t) / most)^2

Advantages go over the ends of episodes: what is found out in one is worth what it brings in those to come.

Where it differs from the papers: advantage actor-critic, one outer step for each batch of trials, in place of TRPO;
advantages are brought to mean 0 and standard deviation 1 over the batch. A trial is of so many episodes, whenever they
end, and what comes after the last of them counts for nothing; it is scored by its return per episode. V is a share of
what a reward of 1 at every step would be worth (``most``): large values are learned as soon as small ones, and their
error does not drown the policy's gradient. The product of reward and action is read too, which says at once what is
worth doing again. The trial is played without a graph, then read again at once, so that the derivative runs through the
GRU as over any sequence. With ``curriculum`` training begins with trials of some ten steps, several side by side (as
many steps in all), which grow to their length: what serves in a short trial is found soon, and is most of what serves
in a long one.

Reference: Duan, Schulman, Chen, Bartlett, Sutskever, Abbeel: RL^2: Fast Reinforcement Learning via Slow Reinforcement
Learning. arXiv:1611.02779, 2016. Wang et al.: Learning to reinforcement learn. arXiv:1611.05763, 2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaGradient, MetaLearner, Scalars, Solver, derivative
from quickstudy.learners.agents.episodes import gae
from quickstudy.nets.policies import RecurrentPolicy
from quickstudy.tasks.environments.base import Environments, uniforms

FIRST_STEPS = 10  # of a trial, at the start of a curriculum
CHECK_EVERY = 10  # steps: whether all trials are over (a look at the data, for which a GPU has to wait)


@dataclass(frozen=True)
class Trial:
    """What happened in a trial of each task.

    Args:
        inputs: what the policy read at each step.
        actions: what was done.
        rewards: what it brought; 0 after the trial's last episode.
        episode: which episode of the trial each step is of; after the last one, how many there were.
        mask: 1 for the steps of the trial, 0 after it.
        news: what the policy reads, beside an observation, after the trial: what was done and got last.
    """

    inputs: Float[Tensor, "n steps f"]
    actions: Shaped[Tensor, "n steps ..."]
    rewards: Float[Tensor, "n steps"]
    episode: Int[Tensor, "n steps"]
    mask: Float[Tensor, "n steps"]
    news: Float[Tensor, "n g"]

    @property
    def returns(self) -> Float[Tensor, " n"]:
        """The rewards per episode (the last one may have been cut short)."""
        episodes = (self.episode * self.mask.long()).amax(1) + 1
        return self.rewards.sum(1) / episodes

    def by_episode(self, episodes: int) -> Float[Tensor, "n episodes"]:
        """The rewards of each episode."""
        found = self.rewards.new_zeros(len(self.rewards), episodes)
        return found.scatter_add(1, self.episode.clamp(max=episodes - 1), self.rewards)


class RL2(MetaLearner[Environments]):
    """RL^2: a recurrent policy whose memory, kept across a task's episodes, does the learning.

    Args:
        in_features: numbers in an observation.
        out_features: actions to choose from, or numbers in an action.
        episodes: of a trial, for which a task is played, >= 1 (at most episodes * horizon steps).
        hidden_size: units of the GRU.
        discount: of the next step's reward, in [0, 1].
        gae_lambda: lambda of generalised advantage estimation, in [0, 1].
        value_coef: weight of the squared error of V, >= 0.
        entropy_coef: weight of the policy's entropy, >= 0.
        log_std: where the log of the standard deviation of continuous actions starts.
        trials: trials per task, side by side.
        curriculum: outer steps over which trials grow to their length, by the same factor at each (0: none).
        chunk: tasks at once in evaluation; bounds the memory there (None: all). A batch that is trained on is taken
            whole, since advantages are normalised over it.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"environments": "return"}

    def __init__(
        self,
        *,
        in_features: int = 1,
        out_features: int = 5,
        episodes: int = 10,
        hidden_size: int = 64,
        discount: float = 0.99,
        gae_lambda: float = 0.3,
        value_coef: float = 0.5,
        entropy_coef: float = 0.0,
        log_std: float = 0.0,
        trials: int = 1,
        curriculum: int = 0,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if min(episodes, hidden_size, trials) < 1 or min(value_coef, entropy_coef, curriculum) < 0:
            raise UsageError(
                "RL2 needs episodes, hidden_size and trials >= 1, value_coef, entropy_coef and curriculum >= 0, got "
                f"{episodes}, {hidden_size}, {trials}, {value_coef}, {entropy_coef} and {curriculum}."
            )
        if not (0 <= discount <= 1 and 0 <= gae_lambda <= 1):
            raise UsageError(f"discount and gae_lambda must be in [0, 1], got {discount} and {gae_lambda}.")
        self.in_features = in_features
        self.out_features = out_features
        self.episodes = self.trial = episodes
        self.hidden_size = hidden_size
        self.discount = discount
        self.gae_lambda = gae_lambda
        self.value_coef = value_coef
        self.entropy_coef = entropy_coef
        self.log_std = log_std
        self.trials = trials
        self.curriculum = curriculum
        self.chunk = chunk
        self.outer_step: Tensor
        self.register_buffer("outer_step", torch.zeros(()))
        read = in_features + 2 * out_features + 2
        self.policy = RecurrentPolicy(in_features=read, actions=out_features, hidden_size=hidden_size, log_std=log_std)

    def adapt(self, support: Environments) -> Solver:
        """Play a trial; the solver gives what would be done, logits or means, on seeing observations right after it."""
        played = self.play(support)
        state = self.policy.after(played.inputs, played.mask.sum(1).long())
        state, last = (t.unflatten(0, (len(support), -1))[:, 0] for t in (state, played.news))

        def solver(x: Tensor) -> Tensor:
            news = last.to(x.dtype).unsqueeze(1).expand(-1, x.shape[1], -1)
            flat = torch.cat([x, news], -1).flatten(0, 1).unsqueeze(1)
            actions = self.policy.read(flat, state.repeat_interleave(x.shape[1], 0), support.discrete)[0]
            return actions.outputs.unflatten(0, x.shape[:2]).squeeze(2)

        return solver

    @torch.no_grad()
    def play(self, batch: Environments, trials: int | None = None, steps: int | None = None) -> Trial:
        """The trials of every task, all side by side (n = tasks * trials), each from an empty memory.

        Args:
            batch: what is played.
            trials: per task (None: the learner's own number).
            steps: of a trial at most (None: until its last episode has ended).
        """
        self._check(batch)
        trials = self.trials if trials is None else trials
        steps = self.episodes * batch.horizon if steps is None else steps
        state, seen = batch.reset(trials, 0, repeat=True)
        width = 1 if batch.discrete else batch.actions
        draws = uniforms(batch.seeds, (steps, trials, width), 0, "act")
        news = seen.new_zeros(*seen.shape[:2], 2 * self.out_features + 2)
        memory = self.policy.start(len(batch) * trials)
        episode = torch.zeros(seen.shape[:2], dtype=torch.int64, device=seen.device)
        parts: list[tuple[Tensor, ...]] = []
        for t, u in enumerate(draws.unbind(1)):
            going = episode < self.episodes
            if t % CHECK_EVERY == CHECK_EVERY - 1 and not bool(going.any()):
                break  # all episodes ended early
            x = torch.cat([seen, news], -1).flatten(0, 1).to(memory.dtype)
            actions, _, memory = self.policy.read(x.unsqueeze(1), memory, batch.discrete)
            action = actions.act(u.flatten(0, 1).unsqueeze(1)).squeeze(1).unflatten(0, seen.shape[:2])
            state, seen, reward, done = batch.step(state, action)
            reward = reward.masked_fill(~going, 0.0)
            parts.append((x, *(each.flatten(0, 1) for each in (action, reward, episode, going.to(reward.dtype)))))
            did = (F.one_hot(action, self.out_features) if batch.discrete else action).to(reward.dtype)
            got = reward.unsqueeze(-1)
            after = torch.cat([did, got * did, got, done.unsqueeze(-1).to(reward.dtype)], -1)
            news = after.where(going.unsqueeze(-1), news)
            episode = episode + (done & going)
        inputs, actions, rewards, episodes, mask = (torch.stack(part, 1) for part in zip(*parts, strict=True))
        return Trial(inputs, actions, rewards, episodes, mask, news.flatten(0, 1))

    def meta_loss(self, batch: Environments) -> tuple[Tensor, Scalars]:
        """The actor-critic loss; its derivative is the policy gradient of the trial's return."""
        full = self.episodes * batch.horizon
        steps = self._steps(full)
        played = self.play(batch, self.trials * (full // steps), steps)
        actions, values, _ = self.policy.read(played.inputs, self.policy.start(len(played.inputs)), batch.discrete)
        rewards = played.rewards.to(values.dtype)
        mask = played.mask.to(values.dtype)
        most = sum(self.discount**k for k in range(steps))

        def mean(of_steps: Tensor) -> Tensor:
            return (of_steps * mask).sum() / mask.sum()

        with torch.no_grad():
            advantage = gae(rewards, most * values * mask, self.discount, self.gae_lambda)
            goal = advantage / most + values
            away = advantage - mean(advantage)
            std = ((away.square() * mask).sum() / (mask.sum() - 1).clamp(min=1)).sqrt()
            advantage = away / (std + 1e-8)
        entropy = mean(actions.entropy())
        error = mean((values - goal).square())
        loss = -mean(actions.log_prob(played.actions) * advantage) + self.value_coef * error
        loss = loss - self.entropy_coef * entropy
        found = {"loss": loss, "return": played.returns.mean(), "entropy": entropy, "value_error": error}
        return loss, {name: t.detach() for name, t in found.items()}

    def meta_gradient(self, batch: Environments) -> MetaGradient:
        with torch.enable_grad():
            loss, metrics = self.meta_loss(batch)
            return MetaGradient(derivative(self, loss), metrics, {"outer_step": self.outer_step.round() + 1})

    def _steps(self, full: int) -> int:
        """The length of a trial at this outer step."""
        grown = min(1.0, round(float(self.outer_step)) / self.curriculum) if self.curriculum else 1.0
        first = min(FIRST_STEPS, full)
        return round(first * (full / first) ** grown)

    def score_tasks(self, batch: Environments, at: Sequence[int]) -> Float[Tensor, "2 steps tasks"]:
        """The return per episode of each task's trial, and minus it."""
        found = self.play(batch).returns.view(len(batch), self.trials).mean(1)
        return torch.stack([found, -found])[:, None].expand(2, len(at), len(batch))

    def _check(self, batch: Environments) -> None:
        if (batch.observations, batch.actions) != (self.in_features, self.out_features):
            raise UsageError(
                f"this policy takes {self.in_features} numbers and has {self.out_features} actions, these environments "
                f"{batch.observations} and {batch.actions}; build it with those as in_features and out_features."
            )

    @property
    def whole_batch(self) -> str:
        return "normalises advantages over the whole batch"

    def score_name(self, batch: Environments) -> str:
        return "return"
