"""Random affine maps of images: turned, scaled, sheared and shifted, a batch at a time, differentiable."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

TURN = math.pi / 9  # 20 degrees
STRETCH = 0.2
SHEAR = 0.2
SHIFT = 0.1  # of the image's width


def random_maps(
    count: int, *, strength: float = 1.0, quarters: bool = False, rng: torch.Generator | None = None
) -> Float[Tensor, "count 2 3"]:
    """Maps for ``warp``: up to 20 degrees, 20% in either direction, a shear of 0.2 and a shift of a tenth.

    Args:
        count: how many.
        strength: times these limits.
        quarters: whether they also turn by one of 0, 90, 180, 270 degrees.
        rng: where the draws come from (None: torch's global generator).
    """
    angle, across, down, slant, right, low = (strength * (2 * torch.rand(6, count, generator=rng) - 1)).unbind()
    angle = angle * TURN
    if quarters:
        angle = angle + torch.randint(4, (count,), generator=rng) * (math.pi / 2)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, sin, cos], -1).view(-1, 2, 2)
    across, down, slant = (across * STRETCH).exp(), (down * STRETCH).exp(), slant * SHEAR
    stretch = torch.stack([across, slant, torch.zeros_like(slant), down], -1).view(-1, 2, 2)
    shift = torch.stack([right, low], -1).unsqueeze(-1) * (2 * SHIFT)  # a grid is two wide
    return torch.cat([turn @ stretch, shift], -1)


def warp(x: Float[Tensor, "n c h w"], maps: Float[Tensor, "n 2 3"]) -> Float[Tensor, "n c h w"]:
    """Every image by its own map, bilinearly; what comes from outside is 0."""
    grid = F.affine_grid(maps.to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
