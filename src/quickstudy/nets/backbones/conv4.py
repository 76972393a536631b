"""Conv4: the four-block convolutional network of few-shot image classification.

Each block: 3x3 convolution, BatchNorm, ReLU, 2x2 max-pooling; then a linear head, or none. On 28x28 images with 64
filters the head sees 64 features (28 -> 14 -> 7 -> 3 -> 1). Relation networks pool in the first two blocks only.

Reference: Vinyals et al.: Matching Networks for One Shot Learning. NeurIPS 2016 (section 4.1.1).
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.nets.backbones.conv_block import ConvBlock


class Conv4(nn.Module):
    """Four convolutional blocks with BatchNorm and a linear head, for images.

    Args:
        in_channels: channels of the images.
        out_features: outputs (the way); None: no head, the output is the features of ``feature_shape``.
        filters: channels of each block.
        size: height and width of the images in pixels, at least 16 where all blocks pool.
        padding: of the convolutions in pixels: 1 keeps the size, 0 lets each convolution take off 2.
        pools: how many blocks end in a pooling, the first ones, 0 to 4.
        features: ``flat`` features ``[n, channels * height * width]`` or ``maps`` ``[n, channels, height, width]``,
            where there is no head.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_features: int | None = 5,
        filters: int = 64,
        size: int = 28,
        padding: int = 1,
        pools: int = 4,
        features: Literal["flat", "maps"] = "flat",
    ) -> None:
        super().__init__()
        if min(in_channels, filters, 1 if out_features is None else out_features) < 1:
            raise UsageError(
                f"Conv4 needs in_channels, out_features and filters >= 1, got {in_channels}, {out_features}, {filters}."
            )
        if padding not in (0, 1) or not 0 <= pools <= 4 or features not in ("flat", "maps"):
            raise UsageError(
                f"Conv4 needs padding 0 or 1, pools 0 to 4 and features flat or maps, got {padding}, {pools}, "
                f"{features!r}."
            )
        left = size
        for block in range(4):
            left = (left - 2 + 2 * padding) // (2 if block < pools else 1)
        if left < 1:
            raise UsageError(
                f"nothing is left of images of size {size} after four blocks with padding={padding} and pools={pools}; "
                f"use larger images (16 with four poolings and padding=1) or fewer poolings."
            )
        self.in_channels = in_channels
        self.out_features = out_features
        self.filters = filters
        self.size = size
        self.padding = padding
        self.pools = pools
        self.features: Literal["flat", "maps"] = features
        widths = [in_channels] + [filters] * 4
        self.blocks = nn.Sequential(*(ConvBlock(widths[i], filters, padding=padding, pool=i < pools) for i in range(4)))
        self.x_shape = (in_channels, size, size)
        self.feature_shape = (filters, left, left)
        self.head = None if out_features is None else nn.Linear(filters * left**2, out_features)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n ..."]:
        """Logits ``[n, out_features]``, or features, of images ``[n, in_channels, size, size]``."""
        if x.shape[1:] != (self.in_channels, self.size, self.size):
            raise UsageError(
                f"this Conv4 takes images [n, {self.in_channels}, {self.size}, {self.size}], got {[*x.shape]}; build "
                f"it with the in_channels and size of your images."
            )
        maps = self.blocks(x)
        if self.head is not None:
            return self.head(maps.flatten(1))
        return maps.flatten(1) if self.features == "flat" else maps
