"""Pixels: the honest floor. A pretrained encoder that does no better has seen nothing of use."""

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from quickstudy.core.checks import at_least
from quickstudy.encoders.encoder import Encoder


class Pixels(Encoder):
    """The pixels of a small copy of the image, as they are: the floor for the others.

    Args:
        side: height and width of the copy, in pixels.
    """

    def __init__(self, *, side: int = 32) -> None:
        at_least(1, side=side)
        self.side = side
        self.width = 3 * side * side
        self.size = (side, side)
        self.fingerprint = hashlib.sha256(f"pixels 1 {side}".encode()).hexdigest()

    @property
    def module(self) -> nn.Module:
        return nn.Flatten().eval()

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        small = image.resize((self.side, self.side), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / 255)
