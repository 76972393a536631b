"""InkNet: a small residual network for drawings, which sees the ink and not where on the paper it is.

Drawings are framed first (``ink_frame``). Then a 3x3 convolution with stride 2; per further width a 3x3 convolution
with stride 2 and a residual block of two 3x3 convolutions; BatchNorm and ReLU after each convolution. After each block
a 1x1 convolution makes maps whose pixels are features, as many of each block: fine ones and coarse ones, and where a
part of a character is stays known, which an average over the maps would forget. With four frames, a little larger or
smaller than the ink and beside it, the features are the sum of those of each, of length one.

``folded`` is the same function of single drawings without BatchNorm: running statistics become weights, as for what is
shipped.

Reference: He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016 (the block).
"""

from itertools import pairwise
from typing import Any, Literal, TypeGuard, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from quickstudy.core.errors import UsageError
from quickstudy.nets.backbones.ink_frame import MARGIN, ink_frame

# Of each frame: its margins and shifts, down and across.
FRAMES = {
    1: (((MARGIN, MARGIN), (0.0, 0.0)),),
    4: (
        ((1.05, 1.05), (-0.06, -0.06)),
        ((1.05, 1.25), (0.06, 0.06)),
        ((1.25, 1.05), (-0.06, 0.06)),
        ((1.25, 1.25), (0.06, -0.06)),
    ),
}


class InkNet(nn.Module):
    """A residual network that frames the ink of drawings before it looks, whatever their size.

    Args:
        out_features: outputs (the way); None: no head, the output is the features.
        widths: channels after the first convolution, and after each further halving of the window.
        features: how many are made after each block, a multiple of the pixels that are left there.
        window: height and width in pixels of what is seen of a drawing, a multiple of 2 per width.
        size: height and width of the drawings in pixels.
        frames: through how many frames a drawing is seen, 1 or 4; 0: it is seen as it is, ``size`` being ``window``.
        norm: BatchNorm after each convolution, or none (its convolutions have a bias then).
    """

    def __init__(
        self,
        *,
        out_features: int | None = None,
        widths: tuple[int, ...] = (32, 64, 128),
        features: int = 1024,
        window: int = 32,
        size: int = 64,
        frames: Literal[0, 1, 4] = 1,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if len(widths) < 2 or min(features, size, *widths, 1 if out_features is None else out_features) < 1:
            raise UsageError(
                f"InkNet needs two widths or more, and they, features, size and out_features >= 1, got {widths}, "
                f"{features}, {size} and {out_features}."
            )
        halvings = 2 ** len(widths)
        pixels = (window // 4) ** 2
        if window < halvings or window % halvings or features % pixels:
            raise UsageError(
                f"InkNet halves the window {len(widths)} times: it must be a multiple of {halvings}, and features a "
                f"multiple of the {pixels} pixels after the first block, got {window} and {features}."
            )
        if frames not in (0, 1, 4) or (frames == 0 and size != window):
            raise UsageError(f"InkNet has 1 or 4 frames, or 0 where size is window, got {frames} with size={size}.")
        self.out_features = out_features
        self.widths = tuple(widths)
        self.features = features
        self.window = window
        self.size = size
        self.frames: Literal[0, 1, 4] = frames
        self.norm = norm
        self.first = nn.Sequential(_convolution(1, widths[0], 2, norm), nn.ReLU())
        self.blocks = nn.ModuleList(_Block(before, width, norm) for before, width in pairwise(widths))
        sides = [window // 2**k for k in range(2, len(widths) + 1)]
        self.maps = nn.ModuleList(
            nn.Conv2d(width, features // side**2, 1) for width, side in zip(widths[1:], sides, strict=True)
        )
        self.x_shape = (1, size, size)
        self.feature_shape = (features * len(sides),)
        self.head = None if out_features is None else nn.Linear(self.feature_shape[0], out_features)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n f"]:
        """Features, or logits, of drawings with ink = 1 and paper = 0."""
        if x.shape[1:] != self.x_shape:
            raise UsageError(
                f"this InkNet takes drawings [n, 1, {self.size}, {self.size}], got {[*x.shape]}; build it with the "
                f"size of yours."
            )
        if self.frames == 4:
            each = torch.tensor(FRAMES[4]).to(x).permute(1, 2, 0).unsqueeze(-1).expand(2, 2, 4, x.shape[0]).flatten(2)
            seen = ink_frame(x.repeat(4, 1, 1, 1), self.window, each[0], each[1])
            features = F.normalize(self._features(seen), dim=1).view(4, x.shape[0], -1).sum(0)
        else:
            features = self._features(ink_frame(x, self.window) if self.frames else x)
        return features if self.head is None else self.head(features)

    def _features(self, seen: Tensor) -> Tensor:
        y, found = self.first(seen), list[Tensor]()
        for block, maps in zip(self.blocks, self.maps, strict=True):
            y = block(y)
            found.append(maps(y).flatten(1))
        return torch.cat(found, 1)

    def folded(self, *, size: int, frames: Literal[0, 1, 4]) -> "InkNet":
        """The network without BatchNorm that computes what this one does by its running statistics.

        Args:
            size: of the drawings that it takes.
            frames: through which it sees them.
        """
        plain = InkNet(
            out_features=self.out_features,
            widths=self.widths,
            features=self.features,
            window=self.window,
            size=size,
            frames=frames,
            norm=False,
        )
        fused = {name: fuse_conv_bn_eval(*cast(Any, m)) for name, m in self.eval().named_modules() if _normed(m)}
        for name, module in plain.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                mine = fused.get(name.removesuffix(".0")) or self.get_submodule(name)
                module.load_state_dict(mine.state_dict())
        return plain


class _Block(nn.Module):
    def __init__(self, before: int, width: int, norm: bool) -> None:
        super().__init__()
        self.down = nn.Sequential(_convolution(before, width, 2, norm), nn.ReLU())
        self.path = nn.Sequential(_convolution(width, width, 1, norm), nn.ReLU(), _convolution(width, width, 1, norm))

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)
        return torch.relu(y + self.path(y))


def _convolution(before: int, width: int, stride: int, norm: bool) -> nn.Sequential:
    convolution = nn.Conv2d(before, width, 3, stride, 1, bias=not norm)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, *[nn.BatchNorm2d(width)] * norm)


def _normed(module: nn.Module) -> TypeGuard[nn.Sequential]:
    return isinstance(module, nn.Sequential) and isinstance(module[-1], nn.BatchNorm2d)
