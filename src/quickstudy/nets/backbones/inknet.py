"""InkNet: a small residual network for drawings, which sees the ink and not where on the paper it is.

Drawings are framed first (``ink_frame``). Then a 3x3 convolution with stride 2; per further width a 3x3 convolution
with stride 2 and a residual block of two 3x3 convolutions; BatchNorm and ReLU after each convolution. A 1x1 convolution
makes ``channels`` maps, whose pixels are the features: where a part of a character is stays known, which an average
over the maps would forget.

``folded`` is the same function of single drawings without BatchNorm: running statistics become weights, as for what is
shipped.

Reference: He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016 (the block).
"""

import copy
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from quickstudy.core.errors import UsageError
from quickstudy.nets.backbones.ink_frame import ink_frame


class InkNet(nn.Module):
    """A residual network that frames the ink of drawings before it looks, whatever their size.

    Args:
        out_features: outputs (the way); None: no head, the output is the features.
        widths: channels after the first convolution, and after each further halving of the window.
        channels: of the maps that are the features.
        window: height and width in pixels of what is seen of a drawing, a multiple of 2 per width.
        size: height and width of the drawings in pixels.
        norm: BatchNorm after each convolution, or none (its convolutions have a bias then).
    """

    def __init__(
        self,
        *,
        out_features: int | None = None,
        widths: tuple[int, ...] = (32, 64, 128),
        channels: int = 64,
        window: int = 32,
        size: int = 64,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if not widths or min(channels, size, *widths, 1 if out_features is None else out_features) < 1:
            raise UsageError(
                f"InkNet needs widths, channels, size and out_features >= 1, got {widths}, {channels}, {size} and "
                f"{out_features}."
            )
        left = window // 2 ** len(widths)
        if left < 1 or left * 2 ** len(widths) != window:
            raise UsageError(
                f"InkNet halves the window {len(widths)} times: it must be a multiple of {2 ** len(widths)}, got "
                f"{window}."
            )
        self.out_features = out_features
        self.widths = tuple(widths)
        self.channels = channels
        self.window = window
        self.size = size
        self.norm = norm
        layers: list[nn.Module] = [_convolution(1, widths[0], 2, norm), nn.ReLU()]
        for before, width in pairwise(widths):
            layers += [_convolution(before, width, 2, norm), nn.ReLU(), _Block(width, norm)]
        self.body = nn.Sequential(*layers)
        self.maps = nn.Conv2d(widths[-1], channels, 1)
        self.x_shape = (1, size, size)
        self.feature_shape = (channels * left * left,)
        self.head = None if out_features is None else nn.Linear(self.feature_shape[0], out_features)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n f"]:
        """Features, or logits, of drawings with ink = 1 and paper = 0."""
        if x.shape[1:] != self.x_shape:
            raise UsageError(
                f"this InkNet takes drawings [n, 1, {self.size}, {self.size}], got {[*x.shape]}; build it with the "
                f"size of yours."
            )
        features = self.maps(self.body(ink_frame(x, self.window))).flatten(1)
        return features if self.head is None else self.head(features)

    def folded(self) -> "InkNet":
        """The network without BatchNorm that computes what this one does by its running statistics."""
        options = {name: getattr(self, name) for name in ("out_features", "widths", "channels", "window", "size")}
        plain = InkNet(**options, norm=False)
        plain.load_state_dict(_fused(copy.deepcopy(self).eval()).state_dict())
        return plain


class _Block(nn.Module):
    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.path = nn.Sequential(_convolution(width, width, 1, norm), nn.ReLU(), _convolution(width, width, 1, norm))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.path(x))


def _convolution(before: int, width: int, stride: int, norm: bool) -> nn.Sequential:
    convolution = nn.Conv2d(before, width, 3, stride, 1, bias=not norm)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, *[nn.BatchNorm2d(width)] * norm)


def _fused(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential) and len(child) == 2 and isinstance(child[1], nn.BatchNorm2d):
            setattr(module, name, nn.Sequential(fuse_conv_bn_eval(child[0], child[1])))  # pyright: ignore
        else:
            _fused(child)
    return module
