"""What agents in iterated games look like: how likely they are to cooperate in each state, and how that changes."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from quickstudy.core.picture import Picture, from_figure
from quickstudy.tasks.games.iterated import GameBatch
from quickstudy.tasks.games.opponents import OPPONENTS

if TYPE_CHECKING:
    from quickstudy.learners.agents.lola import SelfPlay
    from quickstudy.learners.agents.meta_agent import MetaAgent

STATES = ("first", "CC", "CD", "DC", "DD")
REPLAYED = 100
"""Learning steps that are drawn, and pairs that take them."""


def draw_self_play(learner: "SelfPlay", batch: GameBatch, *, replay: bool) -> list[Picture]:
    """The trained pairs' policies and, if ``replay``, learning from new starts by the same rule."""
    from matplotlib.figure import Figure

    p = learner.policies.detach().sigmoid().flatten(0, 1).cpu()
    figure = Figure(figsize=(10.5, 3.2) if replay else (3.5, 3.2), layout="constrained")
    axes: Any = figure.subplots(1, 3 if replay else 1, squeeze=False)[0]
    axes[0].boxplot(list(p.T), tick_labels=STATES, showfliers=False, whis=(5, 95))
    _probability(axes[0], f"policies of {len(p)} agents")
    caption = (
        "How likely the trained agents are to cooperate in the first round and after each outcome (own move first): "
        "median, quartiles, 5% to 95%."
    )
    if replay:
        policies, returns = _replay(learner, batch)
        for state, name in enumerate(STATES):
            axes[1].plot(policies[..., state].mean((1, 2)), label=name)
        _probability(axes[1], "learning from new starts")
        axes[1].legend(fontsize="small")
        axes[2].plot(returns.mean(1), color="black")
        axes[2].fill_between(range(len(returns)), *returns.quantile(torch.tensor([0.05, 0.95]), 1), alpha=0.3)
        axes[2].set(title="return per round", xlabel="step")
        axes[1].set_xlabel("step")
        caption += (
            f" Beside it, {REPLAYED} new pairs learning by the same rule with step size {learner.assumed_lr:g}: means"
            " of the probabilities, and the mean return with 5% to 95% of the pairs."
        )
    return [from_figure(figure, name="self-play", caption=caption)]


def _replay(learner: "SelfPlay", batch: GameBatch) -> tuple[Tensor, Tensor]:
    """Probabilities ``[steps + 1, pairs, 2, 5]`` and first players' returns ``[steps + 1, pairs]``."""
    like = learner.policies
    rng = torch.Generator().manual_seed(0)
    policies = (torch.randn(1, REPLAYED, 2, 5, generator=rng) * learner.spread).to(like.device, like.dtype)
    one = batch[:1]
    path = [policies]
    for _ in range(REPLAYED):
        path.append(path[-1] + learner.assumed_lr * learner.directions(one, path[-1]))
    returns = torch.stack([one.returns(x)[0, :, 0] for x in path])
    return torch.cat(path).sigmoid().cpu(), returns.cpu()


def draw_meta_agent(learner: "MetaAgent", batch: GameBatch) -> list[Picture]:
    """Both players over the steps: a column per task, policies above, returns below."""
    from matplotlib.figure import Figure

    with torch.no_grad():
        path = torch.stack(list(learner.path(batch, learner.inner_steps)))
        returns = torch.stack([batch.returns(policies) for policies in path]).cpu()
    p = path.sigmoid().cpu()
    figure = Figure(figsize=(3.5 * len(batch), 7.2), layout="constrained")
    axes: Any = figure.subplots(3, len(batch), squeeze=False, sharex=True, sharey="row")
    for task, kind in enumerate(batch.opponents.kind.tolist()):
        for player, name in enumerate(("agent", f"opponent: {OPPONENTS[kind]}")):
            for state, label in enumerate(STATES):
                axes[player][task].plot(p[:, task, player, state], label=label)
            _probability(axes[player][task], name)
            axes[2][task].plot(returns[:, task, player], label=("agent", "opponent")[player])
        axes[2][task].set(title="return per round", xlabel="step")
    axes[0][0].legend(fontsize="small")
    axes[2][0].legend(fontsize="small")
    caption = (
        "Test games: how likely the meta-learned agent (above) and its opponent (middle) are to cooperate in the first "
        "round and after each outcome (own move first), and what both get (below), over the steps of learning."
    )
    return [from_figure(figure, name="meta-agent", caption=caption)]


def _probability(axis: Any, title: str) -> None:
    axis.set(title=title, ylim=(-0.03, 1.03), ylabel="P(cooperate)")
