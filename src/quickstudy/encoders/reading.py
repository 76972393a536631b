"""A person's pictures: files, Pillow images or arrays, read one way; a stranger's among them."""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import read_bytes, reason
from quickstudy.tasks.images.pixels import in_mode, open_image

Source: TypeAlias = "Path | str | Image.Image | NDArray[Any]"
"""A file, a Pillow image, or an array ``[height, width]`` or ``[height, width, 3]``, uint8 or floating in [0, 1]."""
LARGEST = 1_000_000_000
"""Bytes of an image file that is still read."""


def read_image(source: Source, *, at_least: int | None = None) -> Image.Image:
    """A picture, upright and RGB: turned as its camera says (EXIF), on white where it is transparent, with 8 bits.

    Args:
        source: see ``Source``.
        at_least: pixels a side that will do: a larger JPEG is decoded at a fraction of its size.

    Raises:
        DataError: a file that cannot be read (its name, and why), an image with too many pixels to be decoded safely,
            or numbers that are no pixels.
        UsageError: something else than a ``Source``.
    """
    return opened(source, at_least)[1]()


def content_hash(source: Source) -> str:
    """What the cache knows a picture by: the hash of a file's bytes, or of an image's pixels.

    Raises:
        DataError: the file cannot be read.
    """
    return opened(source)[0]


def opened(source: Any, at_least: int | None = None) -> Any:
    """The content's hash; and a function that decodes it, of which ``read_image`` says what it raises."""
    if isinstance(source, Path | str):
        content = _content(source)
        name = str(source)
        return hashlib.sha256(content).hexdigest(), lambda: open_image(BytesIO(content), "RGB", name, at_least=at_least)
    image = in_mode(source if isinstance(source, Image.Image) else _of_array(source), "RGB")
    pixels = hashlib.sha256(f"RGB {image.size}".encode())
    pixels.update(image.tobytes())
    return pixels.hexdigest(), lambda: image


def called(source: Source) -> str:
    """What an error calls it."""
    if isinstance(source, Path | str):
        return str(source)
    return f"an image of {source.size}" if isinstance(source, Image.Image) else f"an array {[*np.shape(source)]}"


def _content(path: Path | str) -> bytes:
    try:
        return read_bytes(Path(path), most=LARGEST)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error


def _of_array(array: Any) -> Image.Image:
    if not isinstance(array, np.ndarray):
        raise UsageError(
            f"an image must be a path, a Pillow image, or an array [height, width] or [height, width, 3], got a "
            f"{type(array).__name__}."
        )
    name, kind = called(array), array.dtype.kind
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise DataError(f"{name} is no image: expected [height, width] or [height, width, 3].")
    if kind == "b":
        array = array * np.uint8(255)
    elif kind == "f":
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"{name} holds floating-point numbers from {array.min():g} to {array.max():g}, expected 0 (black) to 1 "
                f"(white); divide them by their largest possible value, or give them as uint8."
            )
        array = np.rint(array.astype(np.float32) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise DataError(f"{name} holds {array.dtype}, expected uint8 (0 to 255) or floating point (0 to 1).")
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array))
