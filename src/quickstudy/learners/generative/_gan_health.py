"""When adversarial training has failed: the noise changes nothing any more, or the critic is never wrong."""

import torch
from torch import Tensor, nn

from quickstudy.core.errors import DivergedError, UsageError

VANISHED = 1e-3
"""Share of what is generated that the noise makes, below which the draws count as one and the same."""


class GanHealth(nn.Module):
    """Counts the steps in a row in which something is wrong; the counts are buffers, saved with the learner.

    Args:
        fail_after: steps in a row after which it is over (0: never).
        who: whose health it is.
        made: what is generated.
        if_collapsed: what helps where the noise changes nothing.
        if_beaten: what helps where the critic is never wrong.
    """

    collapsed: Tensor
    beaten: Tensor

    def __init__(
        self,
        fail_after: int,
        who: str,
        *,
        made: str = "solver",
        if_collapsed: str = "A larger adversarial weight helps, or more dimensions of noise",
        if_beaten: str = "A larger adversarial weight helps, or a smaller critic",
    ) -> None:
        super().__init__()
        if fail_after < 0:
            raise UsageError(f"{who} needs fail_after >= 0, got {fail_after}.")
        self.fail_after = fail_after
        self.who = who
        self.made = made
        self.if_collapsed = if_collapsed
        self.if_beaten = if_beaten
        self.register_buffer("collapsed", torch.zeros(()))
        self.register_buffer("beaten", torch.zeros(()))

    def check(self) -> None:
        """Raise ``DivergedError`` if one of the counts has reached its limit."""
        if self.fail_after and float(self.collapsed) >= self.fail_after:
            raise DivergedError(
                f"{self.who} has collapsed: for {self.fail_after} steps the noise has made less than {VANISHED:.1%} of "
                f"what is generated, so all draws are the same. The last checkpoint is from before this step. "
                f"{self.if_collapsed}; fail_after=0 goes on whatever happens."
            )
        if self.fail_after and float(self.beaten) >= self.fail_after:
            raise DivergedError(
                f"{self.who} has lost against its critic: for {self.fail_after} steps the critic has known every "
                f"generated {self.made} from every real one. The last checkpoint is from before this step. "
                f"{self.if_beaten}; fail_after=0 goes on whatever happens."
            )

    def after(self, variety: Tensor, right: Tensor) -> dict[str, Tensor]:
        """The counts after a step, by name.

        Args:
            variety: share of what is generated that the noise makes, 0 to 1.
            right: share of real and generated ones that the critic told apart, 0 to 1.
        """
        return {
            "collapsed": (self.collapsed + 1) * (variety < VANISHED),
            "beaten": (self.beaten + 1) * (right >= 1),
        }
