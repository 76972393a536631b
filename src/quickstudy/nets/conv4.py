"""Conv4: the four-block convolutional network of few-shot image classification.

Each block: 3x3 convolution, BatchNorm, ReLU, 2x2 max-pooling; then a linear head. On 28x28 images with 64 filters
the head sees 64 features (28 -> 14 -> 7 -> 3 -> 1).

Reference: Vinyals et al.: Matching Networks for One Shot Learning. NeurIPS 2016 (section 4.1.1).
"""

from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.errors import UsageError


class Conv4(nn.Module):
    """Four convolutional blocks with BatchNorm and a linear head, for images.

    Args:
        in_channels: channels of the images.
        out_features: outputs (the way).
        filters: channels of each block.
        size: height and width of the images in pixels, at least 16.
    """

    def __init__(self, *, in_channels: int = 1, out_features: int = 5, filters: int = 64, size: int = 28) -> None:
        super().__init__()
        if min(in_channels, out_features, filters) < 1 or size < 16:
            raise UsageError(
                f"Conv4 needs in_channels, out_features and filters >= 1 and size >= 16 (four poolings), got "
                f"{in_channels}, {out_features}, {filters} and {size}."
            )
        self.in_channels = in_channels
        self.out_features = out_features
        self.filters = filters
        self.size = size
        self.blocks = nn.Sequential(_block(in_channels, filters), *(_block(filters, filters) for _ in range(3)))
        self.head = nn.Linear(filters * (size // 16) ** 2, out_features)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n out"]:
        """Logits ``[n, out_features]`` of images ``[n, in_channels, size, size]``."""
        if x.shape[1:] != (self.in_channels, self.size, self.size):
            raise UsageError(
                f"this Conv4 takes images [n, {self.in_channels}, {self.size}, {self.size}], got {[*x.shape]}; build "
                f"it with the in_channels and size of your images."
            )
        return self.head(self.blocks(x).flatten(1))


def _block(in_channels: int, filters: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)
    )
