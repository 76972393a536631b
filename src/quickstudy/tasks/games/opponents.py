"""Whom an agent may meet in an iterated game: players that learn, and players that stay as they are.

Every opponent is five logits of cooperating (``quickstudy.tasks.games.iterated`` says which), a step size and a
look-ahead, so that thousands of different ones are a batch of tensors: who does not learn has step size 0, and who does
not shape the other player's learning has look-ahead 0.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.seeding import uniform

CERTAIN = 8.0
"""The logit of a player that is sure of what it does: it does the other thing once in 3000 times."""
_C, _D = CERTAIN, -CERTAIN

STRATEGIES: dict[str, tuple[float, float, float, float, float]] = {
    "tit-for-tat": (_C, _C, _D, _C, _D),
    "always-defect": (_D, _D, _D, _D, _D),
    "always-cooperate": (_C, _C, _C, _C, _C),
}
"""Players that stay as they are: logits of the first move, and after CC, CD, DC, DD (own move first)."""
OPPONENTS = ("naive", "lola", "random", *STRATEGIES)
"""``naive`` and ``lola`` learn from random starts; ``random`` is such a start that stays as it is."""


@dataclass(frozen=True)
class Opponents:
    """One opponent per task.

    Args:
        kind: its place in ``OPPONENTS``.
        logits: its policy at the start.
        lr: its step size; 0: it does not learn.
        lookahead: the step size that it assumes of the other player, whose learning it shapes; 0: it does not.
    """

    kind: Int[Tensor, " tasks"]
    logits: Float[Tensor, "tasks 5"]
    lr: Float[Tensor, " tasks"]
    lookahead: Float[Tensor, " tasks"]


def draw_opponents(
    tasks: int, names: tuple[str, ...], lr: tuple[float, float], init_std: float, rng: torch.Generator
) -> Opponents:
    """Opponents of the given names, each as likely, with step sizes from U[low, high) and normal starting logits."""
    chosen = torch.tensor([OPPONENTS.index(name) for name in names])
    kind = chosen[torch.randint(len(names), (tasks,), generator=rng)]
    start = torch.randn(tasks, 5, generator=rng) * init_std
    rate = uniform(rng, (tasks,), *lr)
    fixed = torch.tensor([STRATEGIES.get(name, (0.0,) * 5) for name in OPPONENTS])
    is_fixed = torch.tensor([name in STRATEGIES for name in OPPONENTS])[kind]
    shapes = kind == OPPONENTS.index("lola")
    learns = shapes | (kind == OPPONENTS.index("naive"))
    return Opponents(kind, torch.where(is_fixed[:, None], fixed[kind], start), rate * learns, rate * shapes)
