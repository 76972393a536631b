"""The pixels of an image as a network takes them."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


def resized(image: Image.Image, size: int, white: float) -> Float[Tensor, "3 size size"]:
    """The square in an image's middle at ``size`` x ``size`` (bicubic), its pixel values divided by ``white``."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    small = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    return torch.from_numpy(np.asarray(small, dtype=np.float32).transpose(2, 0, 1) / np.float32(white))
