"""Images of classes from codes, and a critic that sees several drawings of a class at once.

Axes: n images or sets, k drawings of a set, c channels, h and w pixels.

The generator is that of a small DCGAN (Radford, Metz, Chintala: Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks. ICLR 2016), every pixel's features divided by their root mean square in
the place of BatchNorm, so that no image sees another. What it has drawn is then bent smoothly:

    image  = bend(draw([u, z]), 0.3 tanh(W [u, z]))          u a class's code, z a drawing's

where the second argument moves the corners of a 4 x 4 net, with cubic interpolation between them. That two drawings of
one thing are bent differently is so learned at once.

The critic embeds each drawing by itself and looks at what the set has in common and at how much it scatters:

    D({x_1 .. x_k}) = w . a(W_m mean_i e(x_i) + W_s sd_i e(x_i) + b)

so the order of drawings does not matter, and drawings of different classes are seen in the scatter.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError

NET = 4  # points of the bending net in either direction
REACH = 0.3  # how far they move, where an image is two wide
SLOPE = 0.2


class ImageGenerator(nn.Module):
    """Images with values in [0, 1] from codes.

    Args:
        x_shape: of an image, channels first.
        class_code: numbers in a class's code.
        drawing_code: numbers in a drawing's code.
        width: channels before the last layer, at half the size; the layer before has twice as many.

    Raises:
        UsageError: what is no image, or is smaller than 8 pixels.
    """

    def __init__(self, x_shape: tuple[int, ...], class_code: int, drawing_code: int, *, width: int = 48) -> None:
        super().__init__()
        code = class_code + drawing_code
        channels, self.size, self.grid = *check_images(x_shape), -(-x_shape[-1] // 4)
        self.first = nn.Linear(code, 2 * width * self.grid**2)
        self.second = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.last = nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1)
        self.bends = nn.Linear(code, 2 * NET * NET)
        nn.init.normal_(self.first.weight)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, -2.0)
        nn.init.normal_(self.bends.weight, std=0.1 / math.sqrt(code))

    def forward(self, classes: Float[Tensor, "n u"], drawings: Float[Tensor, "n k z"]) -> Float[Tensor, "n k c h w"]:
        """``k`` drawings of each class."""
        sizes = drawings.shape[:2]
        code = torch.cat([classes.unsqueeze(1).expand(*sizes, -1), drawings], 2).flatten(0, 1)
        h = F.leaky_relu(_at_scale_one(self.first(code).unflatten(1, (-1, self.grid, self.grid))), SLOPE)
        h = F.leaky_relu(_at_scale_one(self.second(h)), SLOPE)
        drawn = self.last(h)[..., : self.size, : self.size].sigmoid()
        bent = bend(drawn, REACH * self.bends(code).tanh().unflatten(1, (2, NET, NET)))
        return bent.unflatten(0, sizes)


class SetCritic(nn.Module):
    """D: one number for every set of drawings; large where they seem real and of one class.

    Args:
        x_shape: of an image, channels first.
        width: channels of the first layer; the next have twice and four times as many.
        features: of an embedded drawing.
    """

    def __init__(self, x_shape: tuple[int, ...], width: int = 24, features: int = 128) -> None:
        super().__init__()
        channels, size = check_images(x_shape)
        widths = (channels, width, 2 * width, 4 * width)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths))
        with torch.no_grad():
            flat = self._maps(torch.zeros(1, channels, size, size)).numel()
        self.embedding = nn.Linear(flat, features)
        self.of_set = SetHead(features)
        self.of_task = SetHead(features)
        for p in (*self.downs.parameters(), *self.embedding.parameters()):
            if p.ndim > 1:
                nn.init.kaiming_normal_(p, SLOPE)

    def embed(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """Each drawing by itself."""
        return self.embedding(self._maps(x).flatten(1))

    def forward(self, x: Float[Tensor, "n k c h w"]) -> Float[Tensor, " n"]:
        """A number for each set."""
        return self.of_set(self.embed(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def _maps(self, x: Tensor) -> Tensor:
        for down in self.downs:
            x = F.leaky_relu(down(x), SLOPE)
        return x


class SetHead(nn.Module):
    """One number for every set, two or more, of embedded things.

    Args:
        features: of each.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.of_mean = nn.Linear(features, features)
        self.of_scatter = nn.Linear(features, features, bias=False)
        self.last = nn.Linear(features, 1)

    def forward(self, embedded: Float[Tensor, "*sets k f"]) -> Float[Tensor, "*sets"]:
        """The order within a set is of no account."""
        scatter = (embedded.var(-2) + 1e-6).sqrt()
        h = F.leaky_relu(self.of_mean(embedded.mean(-2)) + self.of_scatter(scatter), SLOPE)
        return self.last(h).squeeze(-1)


def bend(x: Float[Tensor, "n c h w"], moves: Float[Tensor, "n 2 p q"]) -> Float[Tensor, "n c h w"]:
    """Images whose pixels come from places moved by a coarse net of moves (across, down), interpolated cubically."""
    fine = F.interpolate(moves, size=x.shape[-2:], mode="bicubic", align_corners=True).movedim(1, -1)
    rest = torch.eye(2, 3, dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
    return F.grid_sample(x, F.affine_grid(rest, list(x.shape), align_corners=False) + fine, align_corners=False)


def check_images(x_shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and size of square images.

    Raises:
        UsageError: they are none, or smaller than 8 pixels.
    """
    if len(x_shape) != 3 or x_shape[1] != x_shape[2] or x_shape[1] < 8:
        raise UsageError(f"square images of at least 8 pixels are generated, not examples of shape {[*x_shape]}.")
    return x_shape[0], x_shape[1]


def _at_scale_one(h: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Divided by the root mean square over channels."""
    return h * (h.square().mean(1, keepdim=True) + 1e-8).rsqrt()
