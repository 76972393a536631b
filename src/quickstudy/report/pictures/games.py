"""What agents in iterated games look like: how likely they are to cooperate in each state, and how that changes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from quickstudy.core.picture import Picture
from quickstudy.learners.agents.lola import LOLA
from quickstudy.learners.agents.meta_agent import MetaAgent
from quickstudy.learners.agents.shaping import PlayedByTwo
from quickstudy.report.pictures import draw
from quickstudy.report.svg import INK, NARROW, canvas, picture
from quickstudy.tasks.games.iterated import GameBatch
from quickstudy.tasks.games.opponents import OPPONENTS

STATES = ("first", "CC", "CD", "DC", "DD")
REPLAYED = 100
"""Learning steps that are drawn, and pairs that take them."""


@draw.register
def draw_self_play(learner: LOLA, batch: PlayedByTwo) -> Sequence[Picture]:
    """The trained pairs' policies and, where returns are exact, learning from new starts by the same method."""
    if not isinstance(batch, GameBatch):
        return []
    replay = learner.method != "dice"
    p = learner.policies.detach().sigmoid().flatten(0, 1).cpu()
    with canvas(NARROW, 480 if replay else 170) as figure:
        axes: Any = figure.subplots(3 if replay else 1, 1, squeeze=False)[:, 0]
        axes[0].boxplot(list(p.T), tick_labels=STATES, showfliers=False, whis=(5, 95))
        _probability(axes[0], f"policies of {len(p)} agents")
        caption = (
            "How likely the trained agents are to cooperate in the first round and after each outcome (own move "
            "first): median, quartiles, 5% to 95%."
        )
        if replay:
            policies, returns = _replay(learner, batch)
            for state, name in enumerate(STATES):
                axes[1].plot(policies[..., state].mean((1, 2)), label=name)
            _probability(axes[1], "learning from new starts")
            axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1.6)
            axes[2].plot(returns.mean(1), color=INK, linestyle="-")
            ends = returns.quantile(torch.tensor([0.05, 0.95]), 1)
            axes[2].fill_between(range(len(returns)), *ends, color=INK, alpha=0.2, linewidth=0)
            axes[2].set(title="return per round", xlabel="step")
            axes[1].set_xlabel("step")
            caption += (
                f" Below it, {REPLAYED} new pairs learning by the same method with step size {learner.lookahead_lr:g}: "
                "means of the probabilities, and the mean return with 5% to 95% of the pairs."
            )
    return [picture(figure, name="self-play", caption=caption)]


def _replay(learner: LOLA, batch: GameBatch) -> tuple[Tensor, Tensor]:
    """Probabilities ``[steps + 1, pairs, 2, 5]`` and first players' returns ``[steps + 1, pairs]``."""
    like = learner.policies
    rng = torch.Generator().manual_seed(0)
    policies = (torch.randn(1, REPLAYED, 2, 5, generator=rng) * learner.init_std).to(like.device, like.dtype)
    one = batch[:1]
    path = [policies]
    for _ in range(REPLAYED):
        path.append(path[-1] + learner.lookahead_lr * learner.directions(one, path[-1]))
    returns = torch.stack([one.returns(x)[0, :, 0] for x in path])
    return torch.cat(path).sigmoid().cpu(), returns.cpu()


@draw.register
def draw_meta_agent(learner: MetaAgent, batch: GameBatch) -> Sequence[Picture]:
    """Both players over the steps: a column per task, policies above, returns below."""
    with torch.no_grad():
        path = torch.stack(list(learner.path(batch, learner.inner_steps)))
        returns = torch.stack([batch.returns(policies) for policies in path]).cpu()
    p = path.sigmoid().cpu()
    with canvas(30 + 140 * len(batch), 480) as figure:
        axes: Any = figure.subplots(3, len(batch), squeeze=False, sharex=True, sharey="row")
        for task, kind in enumerate(batch.opponents.kind.tolist()):
            for player, name in enumerate(("agent", OPPONENTS[kind])):
                for state, label in enumerate(STATES):
                    axes[player][task].plot(p[:, task, player, state], label=label)
                _probability(axes[player][task], name, label=task == 0)
                axes[2][task].plot(returns[:, task, player], color=INK, linestyle=("-", "--")[player])
            axes[2][task].set(title="return per round", xlabel="step")
        lines = [*axes[0][0].lines, *axes[2][0].lines]
        names = (*STATES, "agent's return", "opponent's return")
        figure.legend(lines, names, loc="outside upper left", ncols=3, handlelength=1.6, columnspacing=1.0)
    caption = (
        "Test games: how likely the meta-learned agent (above) and its opponent (middle) are to cooperate in the first "
        "round and after each outcome (own move first), and what both get (below), over the steps of learning."
    )
    return [picture(figure, name="meta-agent", caption=caption)]


def _probability(axes: Any, title: str, *, label: bool = True) -> None:
    axes.set(title=title, ylim=(-0.03, 1.03), ylabel="P(cooperate)" if label else "")
