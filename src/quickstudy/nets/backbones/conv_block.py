"""ConvBlock: convolution, BatchNorm, ReLU and, if wanted, 2x2 max-pooling; the block of Conv4 and its like."""

from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.fused import conv_block


class ConvBlock(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, 2x2 max-pooling, on quickstudy's fast path wherever a learner runs it.

    Used by itself it computes what the four layers one after the other would.

    Args:
        in_channels: channels that come in.
        out_channels: channels that go out.
        padding: of the convolution, in pixels.
        pool: whether the block ends in 2x2 max-pooling.
    """

    def __init__(self, in_channels: int, out_channels: int, *, padding: int = 1, pool: bool = True) -> None:
        super().__init__()
        self.padding = padding
        self.pool = pool
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=padding)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n out h2 w2"]:
        """``[n, in_channels, h, w]`` to ``[n, out_channels, ...]``."""
        norm = self.norm
        if self.training and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        assert self.conv.bias is not None, "the convolution was built with one"
        return conv_block(
            x,
            self.conv.weight,
            self.conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.weight,
            norm.bias,
            self.training or norm.running_mean is None,
            0.1,
            norm.eps,
            self.padding,
            self.pool,
        )
