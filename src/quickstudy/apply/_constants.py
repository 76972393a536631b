"""What an encoder does to the pixels of a picture that has its size, as a module that can be exported.

    x_c = scale_c v_c + shift_c          v: the colour, or its grey value where the encoder takes greys

Scale and shift are found by asking: what becomes of a picture that is all black, of one that is all white, and do a
few others become what these two say?
"""

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.encoders.encoder import Encoder

GREY = (19595 / 65536, 38470 / 65536, 7471 / 65536)
"""Of red, green and blue, as Pillow weighs them."""
COLOURS = ((10, 120, 250), (200, 30, 90), (60, 61, 62))


class Constants(nn.Module):
    """Pixels ``[n, h, w, 3]`` to what the encoder's network takes, ``[n, 3, h, w]``.

    Args:
        scale: of each channel.
        shift: of each channel.
        grey: whether all channels are of the grey value.
    """

    scale: Tensor
    shift: Tensor
    weights: Tensor

    def __init__(self, scale: Float[Tensor, "3"], shift: Float[Tensor, "3"], *, grey: bool) -> None:
        super().__init__()
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])
        self.register_buffer("weights", torch.tensor(GREY)[:, None, None])
        self.grey = grey

    @staticmethod
    def of(encoder: Encoder) -> "Constants":
        """Those of an encoder.

        Raises:
            UsageError: it does something else to colours.
        """
        black, white = (_become(encoder, (v, v, v)) for v in (0, 255))
        asked = torch.tensor(COLOURS, dtype=torch.uint8)[:, None, None]
        right = torch.stack([_become(encoder, colour) for colour in COLOURS])
        for grey in (False, True):
            found = Constants((white - black) / 255, black, grey=grey)
            if torch.allclose(found(asked)[..., 0, 0], right, rtol=1e-4, atol=1e-4):
                return found
        raise UsageError(_no(encoder, "changes colours by more than a scale and a shift"))

    def forward(self, pixels: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
        x = pixels.permute(0, 3, 1, 2).float()
        if self.grey:
            x = ((x * self.weights).sum(1, keepdim=True) + 0.5).floor()
        return x * self.scale + self.shift

    def pixels_of(self, x: Float[Tensor, "3 h w"]) -> UInt8[Tensor, "h w 3"]:
        """The pixels that become what ``prepare`` gave of a picture."""
        return ((x - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)


def _become(encoder: Encoder, colour: tuple[int, int, int]) -> Float[Tensor, "3"]:
    height, width = encoder.size
    x = encoder.prepare(Image.new("RGB", (width, height), colour))
    found = x.amin((1, 2))
    if not torch.allclose(found, x.amax((1, 2)), atol=1e-5):
        raise UsageError(_no(encoder, "makes a pattern of a plain colour"))
    return found


def _no(encoder: Encoder, why: str) -> str:
    return (
        f"{type(encoder).__name__} cannot be exported to ONNX: its preparation of pictures {why}; take another "
        f"encoder, or save a .safetensors file for ImageClassifier.load."
    )
