"""Reading one image file, the way each distribution wants it."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from quickstudy.core.errors import DataError, UsageError

WHOLE = {"PNG": 65535, "PPM": 65535}  # formats whose whole numbers (Pillow's mode I) have a range, and its end

_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError),
    *(EOFError, MemoryError, struct.error, zlib.error),
)
"""What Pillow's decoders raise for files that are damaged, or made to be."""


def open_image(
    source: Path | str | BytesIO | Image.Image, mode: str, name: str | None = None, *, at_least: int | None = None
) -> Image.Image:
    """Decode a whole image file into a Pillow mode (``"L"`` grey, ``"RGB"``); transparency becomes white paper.

    Args:
        source: a path, a file's content, or an image that was opened.
        mode: the Pillow mode wanted.
        name: what an error calls the file; its path if None.
        at_least: pixels a side that will do: a larger JPEG is decoded at a half, a quarter or an eighth of its size,
            and what is then still of more pixels than Pillow warns of is refused.

    Raises:
        DataError: a file that is missing, not an image, broken off, or as ``in_mode``.
    """
    try:
        if isinstance(source, Image.Image):
            return in_mode(source, mode, name or "an image")
        if not isinstance(source, BytesIO) and Path(source).exists() and not Path(source).is_file():
            raise OSError("it is no regular file")  # a pipe might never end
        with Image.open(source) as opened:
            if at_least is not None:
                opened.draft(None, (at_least, at_least))
                _check_size(opened)
            return in_mode(opened, mode, str(name or source))
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name or source} is not an image that can be read; expected a PNG, JPEG or similar file."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"{name or source} is too large to be decoded safely ({str(error).rstrip('.')}); save it with fewer pixels."
        ) from error
    except _UNREADABLE as error:
        raise DataError(f"{name or source} cannot be read as an image ({error}); is the file complete?") from error


def _check_size(image: Image.Image) -> None:
    """Refuse what Pillow only warns of: several are decoded at once."""
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and image.width * image.height > most:
        raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels, more than {most:,}")


def in_mode(image: Image.Image, mode: str, name: str = "an image") -> Image.Image:
    """Upright and in a Pillow mode (``"L"`` grey, ``"RGB"``); transparency becomes white paper.

    16-bit greys are scaled by 65535 and floating point from [0, 1], so that white is white.

    Args:
        image: of any mode.
        mode: the one wanted.
        name: what an error calls the image.

    Raises:
        DataError: numbers whose range is not known (whole ones of 32 bits, floating point beyond [0, 1]), or colours
            that Pillow cannot convert.
    """
    try:
        image = _in_eight_bits(ImageOps.exif_transpose(image), image.format, name)
        if image.mode == "La":
            image = image.convert("LA")
        if {"A", "a"} & {*image.getbands()} or "transparency" in image.info:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        return image.convert(mode)
    except ValueError as error:
        raise DataError(f"{name} is of mode {image.mode}, which cannot be read ({error}); save it as RGB.") from error


def _in_eight_bits(image: Image.Image, file_format: str | None, name: str) -> Image.Image:
    """Greys of more bits as 8; all else as it is (Pillow cuts colours of 16 bits to 8 by itself)."""
    if image.mode == "F":
        values, most = np.asarray(image), 1.0
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise DataError(
                f"{name} holds floating-point numbers from {values.min():g} to {values.max():g}, expected 0 (black) to "
                f"1 (white); divide them by their largest possible value, or save the image with 8 or 16 bits."
            )
    elif image.mode.startswith("I;16") or (image.mode == "I" and file_format in WHOLE):
        values, most = np.asarray(image), 65535
    elif image.mode == "I":
        raise DataError(
            f"{name} holds whole numbers of 32 bits, of which it is not known what is white; save it with 8 or 16 "
            f"bits, or as floating point from 0 to 1."
        )
    else:
        return image
    pixels = np.rint(values.astype(np.float32) * (255 / most)).astype(np.uint8)
    if "transparency" in image.info:
        pixels[values == image.info["transparency"]] = 255
    return Image.fromarray(pixels)


def check_pixels(low: float, high: float, kind: str) -> None:
    """Refuse whole numbers that are surely no 8-bit pixels, or not surely.

    Args:
        low: the least of them.
        high: the largest.
        kind: their type.

    Raises:
        UsageError: they do not run from 0 to more than 127 and at most 255, or are of a 16-bit type.
    """
    if not (low >= 0 and 127 < high <= 255) or kind in ("uint16", "int16"):
        raise UsageError(
            f"images must be uint8 (0..255), floating point, or whole numbers that are surely 0..255; got {kind} from "
            f"{low:g} to {high:g}. Divide them by their largest possible value, say images.astype('float32') / "
            f"{4095 if 255 < high <= 4095 else 65535 if high > 255 else 1} (floating point is not scaled); to(uint8) "
            f"alone would cut them off."
        )


def ink_pixels(image: Image.Image, size: int) -> UInt8[np.ndarray, "size size"]:
    """Grey dark-on-light image to ``size`` x ``size`` (Lanczos), inverted so that ink = 255."""
    resized = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(ImageOps.invert(resized), dtype=np.uint8)


def read_ink(path: Path | str | Image.Image, size: int) -> Float[Tensor, "1 size size"]:
    """A picture of dark ink on light paper as float32 in [0, 1], ink = 1."""
    return as_float(ink_pixels(open_image(path, "L"), size)[None])


def crop_pixels(image: Image.Image, size: int) -> Shaped[np.ndarray, "channels size size"]:
    """Shorter side to ``size`` pixels (Lanczos), then the centre ``size`` x ``size`` crop; channels first."""
    return whole_pixels(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))


def whole_pixels(image: Image.Image) -> Shaped[np.ndarray, "channels height width"]:
    """All of an image, channels first: uint8, or float32 of mode F."""
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def as_float(pixels: NDArray[np.uint8]) -> Float[Tensor, "channels size size"]:
    """uint8 0..255 to float32 in [0, 1], exactly as an episode converts its images."""
    return torch.tensor(pixels).float().div_(255)
