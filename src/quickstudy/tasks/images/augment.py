"""Small random changes of images, each by itself: shifted, mirrored, other brightness, contrast and saturation.

Each is a draw of numbers and a function of images and these numbers, differentiable as ``affine``'s maps are.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

GREY = (0.299, 0.587, 0.114)  # how bright red, green and blue are (ITU-R BT.601)


def random_shifts(count: int, most: int, *, rng: torch.Generator | None = None) -> Int[Tensor, "count 2"]:
    """Shifts down and to the right for ``shifted``, whole pixels from ``-most`` to ``most``."""
    return torch.randint(-most, most + 1, (count, 2), generator=rng)


def shifted(x: Shaped[Tensor, "n c h w"], shifts: Int[Tensor, "n 2"]) -> Shaped[Tensor, "n c h w"]:
    """Every image by its own shift, as if cut out of one with a black margin."""
    margin = int(shifts.abs().max()) if len(x) else 0
    windows = F.pad(x, (margin,) * 4).unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)
    down, right = (margin - shifts).unbind(-1)
    return windows[torch.arange(len(x)), :, down, right]


def mirrored(x: Shaped[Tensor, "n c h w"], which: Bool[Tensor, " n"]) -> Shaped[Tensor, "n c h w"]:
    """Left and right changed round in some of the images."""
    return torch.where(which.view(-1, 1, 1, 1), x.flip(-1), x)


def random_colors(count: int, strength: float, *, rng: torch.Generator | None = None) -> Float[Tensor, "count 3"]:
    """For ``recolored``: of brightness, contrast and saturation, uniform in ``1 - strength .. 1 + strength``."""
    return 1 + strength * (2 * torch.rand(count, 3, generator=rng) - 1)


def recolored(x: Float[Tensor, "n c h w"], factors: Float[Tensor, "n 3"]) -> Float[Tensor, "n c h w"]:
    """Brightness times a factor, then contrast about the mean grey, then saturation about each pixel's grey; to [0, 1].

    With factors b, c, s, and g(x) the grey of x: ``cb (s x + (1 - s) g(x)) + (1 - c) b mean(g(x))``, which is one
    product with a 3 x 3 matrix. Grey images (of one channel, or any number but three) have no saturation.
    """
    n, channels = x.shape[:2]
    brightness, contrast, saturation = factors.to(x).unbind(-1)
    grey = torch.tensor(GREY if channels == 3 else [1 / channels] * channels).to(x)
    kept = saturation.view(-1, 1, 1) if channels == 3 else torch.ones(n, 1, 1).to(x)
    mixing = torch.lerp(grey.expand(n, channels, channels), torch.eye(channels).to(x).expand(n, -1, -1), kept)
    mean = (1 - contrast) * brightness * (x.mean((2, 3)) @ grey)
    mixed = torch.baddbmm(mean.view(-1, 1, 1), (contrast * brightness).view(-1, 1, 1) * mixing, x.flatten(2))
    return mixed.view_as(x).clamp(0, 1)
