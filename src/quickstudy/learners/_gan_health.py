"""When adversarial training has failed: the noise changes nothing any more, or the critic is never wrong."""

import torch
from torch import Tensor, nn

from quickstudy.errors import DivergedError, UsageError

VANISHED = 1e-3
"""Share of what is generated that the noise makes, below which the draws count as one and the same."""


class GanHealth(nn.Module):
    """Counts the steps in a row in which something is wrong; the counts are buffers, saved with the learner.

    Args:
        patience: steps in a row after which it is over (0: never).
        who: whose health it is.
    """

    collapsed: Tensor
    beaten: Tensor

    def __init__(self, patience: int, who: str) -> None:
        super().__init__()
        if patience < 0:
            raise UsageError(f"{who} needs patience >= 0, got {patience}.")
        self.patience = patience
        self.who = who
        self.register_buffer("collapsed", torch.zeros(()))
        self.register_buffer("beaten", torch.zeros(()))

    def check(self) -> None:
        """Raise ``DivergedError`` if one of the counts has reached the patience."""
        if self.patience and float(self.collapsed) >= self.patience:
            raise DivergedError(
                f"{self.who} has collapsed: for {self.patience} steps the noise has made less than {VANISHED:.1%} of "
                f"what is generated, so all draws are the same. The last checkpoint is from before this step. A larger "
                f"adversarial weight helps, or more dimensions of noise; patience=0 goes on whatever happens."
            )
        if self.patience and float(self.beaten) >= self.patience:
            raise DivergedError(
                f"{self.who} has lost against its critic: for {self.patience} steps the critic has known every "
                f"generated solver from every real one. The last checkpoint is from before this step. A larger "
                f"adversarial weight helps, or a smaller critic; patience=0 goes on whatever happens."
            )

    def after(self, variety: Tensor, right: Tensor) -> dict[str, Tensor]:
        """The counts after a step, by name.

        Args:
            variety: share of what is generated that the noise makes, 0 to 1.
            right: share of solvers that the critic told apart, 0 to 1.
        """
        return {
            "collapsed": (self.collapsed + 1) * (variety < VANISHED),
            "beaten": (self.beaten + 1) * (right >= 1),
        }
