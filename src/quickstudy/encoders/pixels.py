"""Pixels: the honest floor. A pretrained encoder that does no better has seen nothing of use."""

from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from quickstudy.core.checks import at_least
from quickstudy.encoders._pixels import resized
from quickstudy.encoders.encoder import Encoder


class Pixels(Encoder):
    """The pixels of a small copy of the image: the honest floor for the others.

    Each image's are centred and of norm 1, so that neither brightness nor contrast tells one from another.

    Args:
        side: height and width of the copy, in pixels.
    """

    def __init__(self, *, side: int = 32) -> None:
        at_least(1, side=side)
        self.side = side
        norm = nn.LayerNorm(3 * side * side, elementwise_affine=False)
        self._frozen(nn.Sequential(nn.Flatten(), norm), (side, side), prepared="middle square, bicubic")

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        return resized(image, self.side, 255)
