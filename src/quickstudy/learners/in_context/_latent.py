"""A neural process's latent path: a distribution over one vector per task, which says which function it may be.

Axes: t tasks, n examples, f features, w width.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from quickstudy.core.seeding import fold, generator
from quickstudy.learners.in_context.set_encoder import Encoder, linear, mean_of_groups
from quickstudy.learners.memory.streams import keys


class Latent(NamedTuple):
    """A normal distribution of independent numbers for each task."""

    mean: Float[Tensor, "t w"]
    std: Float[Tensor, "t w"]

    def kl(self, other: "Latent") -> Float[Tensor, " t"]:
        """Of ``other`` from this distribution, in nats."""
        ratio, away = self.std / other.std, (self.mean - other.mean) / other.std
        return (ratio.square() + away.square() - 1).sum(1) / 2 - ratio.log().sum(1)


class LatentPath(nn.Module):
    """q(z | examples): codes of examples, their mean, and from it a mean and a standard deviation in (0.1, 1).

    Args:
        model: gives the features.
        values: numbers in y.
        width: of the codes and of z.
        depth: linear layers of the encoder.
    """

    def __init__(self, model: nn.Module, values: int, width: int, depth: int) -> None:
        super().__init__()
        self.encoder = Encoder(model, values, width, depth)
        self.hidden = nn.Sequential(linear(width, width), nn.ReLU())
        self.mean, self.raw = nn.Linear(width, width), nn.Linear(width, width)
        self.to_code = nn.Linear(width, width, bias=False)

    def forward(self, z: Float[Tensor, "t n f"], y: Tensor, members: Bool[Tensor, "t n 1"]) -> Latent:
        """What is known of the function after these examples."""
        h = self.hidden(mean_of_groups(self.encoder(z, y), members).squeeze(1))
        return Latent(self.mean(h), 0.1 + 0.9 * self.raw(h).sigmoid())


def noise_of(x: Tensor, like: Float[Tensor, "t w"], *counters: int | str) -> Float[Tensor, "t w"]:
    """Standard normal numbers for each task: a function of its examples x, so that a task's are its own anywhere."""
    seeds = (fold(int(key), "latent", *counters) for key in keys(x).sum(1))
    return torch.stack([torch.randn(like.shape[1], generator=generator(seed)) for seed in seeds]).to(like)
