"""A generator of examples that could belong to a task: from its support set and noise to inputs of the same shape.

With an encoder e, a decoder d and noise z ~ N(0, I),

    summary   h = mean over the support examples x of e(x), divided by its root mean square
    fakes     G(S, z) = d([h, z])

Images are encoded by two convolutions of stride 2 and decoded by two transposed ones, up to a sigmoid; images of sizes
that 4 does not divide are cut out of larger ones. Whatever is no image is encoded and decoded by linear layers. There
is no normalization over examples: no fake depends on the others.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.nets.backbones.mlp import linear_layers
from quickstudy.nets.generators.critic import at_scale_one


class FakeGenerator(nn.Module):
    """G: inputs that look as if they were of the task that a support set is of.

    Args:
        x_shape: of one example; ``(channels, height, width)`` are images with pixels in [0, 1].
        noise: numbers of noise that a fake is made from.
        width: numbers in a task's summary, and of the hidden layer for examples that are no images.
        filters: channels between the convolutions.

    Raises:
        UsageError: a size below 1.
    """

    def __init__(self, x_shape: tuple[int, ...], *, noise: int = 32, width: int = 64, filters: int = 16) -> None:
        super().__init__()
        if not x_shape or min(*x_shape, noise, width, filters) < 1:
            raise UsageError(
                f"a generator of fakes needs a shape of x, and noise, width and filters >= 1, got {x_shape}, {noise}, "
                f"{width} and {filters}."
            )
        self.x_shape = tuple(x_shape)
        self.encoder, self.decoder = (_of_images if len(x_shape) == 3 else _of_vectors)(
            self.x_shape, noise, width, filters
        )

    def forward(self, x: Float[Tensor, "t n ..."], z: Float[Tensor, "t d z"]) -> Float[Tensor, "t d ..."]:
        """As many fakes as there is noise, for the tasks that the support inputs are of."""
        if x.shape[2:] != self.x_shape:
            raise UsageError(
                f"the generator makes fakes of shape {[*self.x_shape]}, but x is {[*x.shape]}; build the learner with "
                f"x_shape={tuple(x.shape[2:])}."
            )
        h_tw = at_scale_one(self.encoder(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1))
        code = torch.cat([h_tw.unsqueeze(1).expand(-1, z.shape[1], -1), z], -1)
        made = self.decoder(code.flatten(0, 1))
        if len(self.x_shape) == 3:
            made = made[..., : self.x_shape[1], : self.x_shape[2]]
        return made.reshape(*z.shape[:2], *self.x_shape)


def _of_images(x_shape: tuple[int, ...], noise: int, width: int, filters: int) -> tuple[nn.Sequential, nn.Sequential]:
    channels, *size = x_shape
    side = [math.ceil(s / 4) for s in size]
    flat = filters * math.prod(side)
    encoder = nn.Sequential(
        nn.Conv2d(channels, filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(filters, filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, width),
    )
    decoder = nn.Sequential(
        nn.Linear(width + noise, flat),
        nn.ReLU(),
        nn.Unflatten(1, (filters, *side)),
        nn.ConvTranspose2d(filters, filters, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(filters, channels, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )
    return encoder, decoder


def _of_vectors(x_shape: tuple[int, ...], noise: int, width: int, filters: int) -> tuple[nn.Sequential, nn.Sequential]:
    numbers = math.prod(x_shape)
    encoder = nn.Sequential(nn.Flatten(), *linear_layers(numbers, width, width))
    return encoder, linear_layers(width + noise, width, numbers)
