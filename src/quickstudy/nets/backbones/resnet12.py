"""ResNet-12: four residual blocks, the deeper base network of few-shot image classification.

Each block: three times 3x3 convolution and BatchNorm, LeakyReLU(0.1) between; a 1x1 convolution and BatchNorm carry
the block's input past them; LeakyReLU of the sum; 2x2 max-pooling. Then global average pooling and a linear head, or
none. Of 84x84 images the blocks leave 5x5 (84 -> 42 -> 21 -> 10 -> 5).

Where it differs from the papers: ``drop`` is plain dropout after each block, there is no DropBlock.

References: Mishra et al.: A Simple Neural Attentive Meta-Learner. ICLR 2018 (the architecture); Oreshkin et al.: TADAM.
NeurIPS 2018 (64-128-256-512); Lee et al.: Meta-Learning with Differentiable Convex Optimization. CVPR 2019 (MetaOptNet:
64-160-320-640, LeakyReLU).
"""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError


class ResNet12(nn.Module):
    """Four residual blocks of three convolutions with BatchNorm and a linear head, for images.

    Args:
        in_channels: channels of the images.
        out_features: outputs (the way); None: no head, the output is the features of ``feature_shape``.
        widths: channels of the four blocks; MetaOptNet's by default (12.4 million parameters), TADAM's are
            64 128 256 512 (8.0 million).
        size: height and width of the images in pixels, at least 16.
        pool: average the last block's maps over the image (MetaOptNet for its prototypical networks); else all of
            their pixels are features (MetaOptNet with its ridge and SVM heads).
        drop: dropout probability after each block.
        features: ``flat`` features, or ``maps`` ``[n, channels, height, width]`` before pooling, where there is no
            head.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_features: int | None = 5,
        widths: tuple[int, int, int, int] = (64, 160, 320, 640),
        size: int = 84,
        pool: bool = True,
        drop: float = 0.0,
        features: Literal["flat", "maps"] = "flat",
    ) -> None:
        super().__init__()
        if len(widths) != 4 or min(in_channels, *widths, 1 if out_features is None else out_features) < 1:
            raise UsageError(
                f"ResNet12 needs in_channels and out_features >= 1 and four widths >= 1, got {in_channels}, "
                f"{out_features} and {widths}."
            )
        if not 0 <= drop < 1 or features not in ("flat", "maps"):
            raise UsageError(f"ResNet12 needs 0 <= drop < 1 and features flat or maps, got {drop} and {features!r}.")
        left = size // 16
        if left < 1:
            raise UsageError(f"nothing is left of images of size {size} after four poolings; use images of 16 or more.")
        self.in_channels = in_channels
        self.out_features = out_features
        self.widths = tuple(widths)
        self.size = size
        self.pool = pool
        self.drop = drop
        self.features: Literal["flat", "maps"] = features
        self.blocks = nn.Sequential(*(_Block(a, b, drop) for a, b in pairwise((in_channels, *widths))))
        self.x_shape = (in_channels, size, size)
        self.feature_shape = (widths[3], left, left)
        if pool and (out_features is not None or features == "flat"):
            self.feature_shape = (widths[3], 1, 1)
        flat = widths[3] * self.feature_shape[1] ** 2
        self.head = None if out_features is None else nn.Linear(flat, out_features)
        for module in self.blocks.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="leaky_relu")

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n ..."]:
        """Logits ``[n, out_features]``, or features, of images ``[n, in_channels, size, size]``."""
        if x.shape[1:] != (self.in_channels, self.size, self.size):
            raise UsageError(
                f"this ResNet12 takes images [n, {self.in_channels}, {self.size}, {self.size}], got {[*x.shape]}; "
                f"build it with the in_channels and size of your images."
            )
        maps = self.blocks(x)
        if self.head is None and self.features == "maps":
            return maps
        flat = maps.mean((2, 3)) if self.pool else maps.flatten(1)
        return flat if self.head is None else self.head(flat)


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int, drop: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (in_channels, channels, channels):
            layers += [*_convolution(before, channels, 3), nn.LeakyReLU(0.1)]
        self.path = nn.Sequential(*layers[:-1])
        self.shortcut = nn.Sequential(*_convolution(in_channels, channels, 1))
        self.end = nn.Sequential(nn.LeakyReLU(0.1), nn.MaxPool2d(2), nn.Dropout(drop))

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.path(x) + self.shortcut(x))


def _convolution(in_channels: int, channels: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(channels)]
