"""A moving average of a network's parameters, in buffers: saved with the learner, untouched by the optimizer."""

from typing import Any

import torch
from torch import Tensor, nn

from quickstudy.core.stateless import call


class MovingAverage(nn.Module):
    """``a <- d a + (1 - d) p`` at every step, with ``d = min(decay, (1 + n) / (10 + n))`` at step n.

    Args:
        of: the network whose parameters are averaged; the average begins where they are.
        decay: in [0, 1).
    """

    steps: Tensor

    def __init__(self, of: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.names = [name for name, _ in of.named_parameters()]
        for i, p in enumerate(of.parameters()):
            self.register_buffer(f"p{i}", p.detach().clone())
        self.register_buffer("steps", torch.zeros(()))

    def after(self, of: nn.Module) -> dict[str, Tensor]:
        """New values of the buffers, by name, after a step that found the network as it is."""
        d = ((1 + self.steps) / (10 + self.steps)).clamp(max=self.decay)
        averages = {f"p{i}": torch.lerp(p.detach(), self.get_buffer(f"p{i}"), d) for i, p in enumerate(of.parameters())}
        return {**averages, "steps": self.steps + 1}

    def call(self, of: nn.Module, *inputs: Tensor) -> Any:
        """What the network gives with the averaged parameters."""
        averages = {name: self.get_buffer(f"p{i}") for i, name in enumerate(self.names)}
        return call(of, averages, inputs)
