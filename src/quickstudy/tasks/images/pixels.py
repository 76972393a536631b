"""Reading one image file, the way each distribution wants it."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from quickstudy.core.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})

_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
    *(EOFError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""What Pillow's decoders raise for files that are damaged, or made to be."""


def open_image(source: Path | str | BytesIO, mode: str, name: str | None = None) -> Image.Image:
    """Decode a whole image file into a Pillow mode (``"L"`` grey, ``"RGB"``); transparency becomes white paper.

    Args:
        source: a path, or a file's content.
        mode: the Pillow mode wanted.
        name: what an error calls the file; its path if None.

    Raises:
        DataError: a file that is missing, not an image, or broken off.
    """
    try:
        if not isinstance(source, BytesIO) and Path(source).exists() and not Path(source).is_file():
            raise OSError("it is no regular file")  # a pipe might never end
        with Image.open(source) as opened:
            return in_mode(opened, mode)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name or source} is not an image that can be read; expected a PNG, JPEG or similar file."
        ) from error
    except _UNREADABLE as error:
        raise DataError(f"{name or source} cannot be read as an image ({error}); is the file complete?") from error


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Upright and in a Pillow mode (``"L"`` grey, ``"RGB"``); transparency becomes white paper."""
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert(mode)


def ink_pixels(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size"]:
    """Grey dark-on-light image to ``size`` x ``size`` (Lanczos), inverted so that ink = 255."""
    resized = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(ImageOps.invert(resized), dtype=np.uint8)


def read_ink(path: Path | str, size: int) -> Float[Tensor, "1 size size"]:
    """A file of dark ink on light paper as float32 in [0, 1], ink = 1."""
    return as_float(ink_pixels(open_image(path, "L"), size)[None])


def crop_pixels(image: Image.Image, size: int) -> UInt8[np.ndarray, "channels size size"]:
    """Shorter side to ``size`` pixels (Lanczos), then the centre ``size`` x ``size`` crop; channels first."""
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS), dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def as_float(pixels: NDArray[np.uint8]) -> Float[Tensor, "channels size size"]:
    """uint8 0..255 to float32 in [0, 1], exactly as an episode converts its images."""
    return torch.tensor(pixels).float().div_(255)
