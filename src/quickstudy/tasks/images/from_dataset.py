"""Episodes out of any labelled dataset: PyTorch's, Hugging Face's, arrays, scikit-learn's, or a list of pairs.

The examples are read one by one into one array, once; from then on they are ``Episodes``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from quickstudy.core.checks import at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.tasks.images._columns import columns
from quickstudy.tasks.images.episodes import Episodes, Rotate
from quickstudy.tasks.images.labels import Names
from quickstudy.tasks.images.pixels import crop_pixels, in_mode, whole_pixels


def episodes_from(
    dataset: Any,
    *,
    way: int = 5,
    shot: int = 1,
    query: int = 15,
    rotate: Rotate = "none",
    classes: Any = None,
    names: Names | None = None,
    series: bool | None = None,
    size: int | None = None,
    channels: int | None = None,
    transform: Callable[[Any], Any] | None = None,
    x: str | None = None,
    y: str | None = None,
) -> Episodes:
    """N-way K-shot episodes over any labelled dataset that fits into memory.

    Args:
        dataset: one of

            - a table (a pandas or polars ``DataFrame``): the column x, or else all columns but the labels as features;
            - a map-style ``torch.utils.data.Dataset`` (torchvision's, say), or a list, of pairs (x, label) or of dicts;
            - a Hugging Face ``datasets.Dataset``: one split, not a dict of them;
            - ``(x, y)``: arrays or tensors ``[N, ...]`` and ``[N]``;
            - a mapping of such columns (a scikit-learn ``Bunch``, an opened ``.npz``).

            x are Pillow images (8 bits a channel then, 16-bit greys scaled; floating point as it is), or arrays of one
            shape: ``[C, H, W]`` or ``[H, W]`` images, ``[C, L]`` series, ``[f]`` features, ``[L]`` token ids. Labels
            are whole numbers or texts, as in ``Episodes``.
        way: classes per task.
        shot: support examples per class.
        query: query examples per class.
        rotate: as in ``Episodes``.
        classes: the labels to draw from, all if None.
        names: what the classes are called, as in ``Episodes``; None: as a Hugging Face class label column says, or a
            dataset of torchvision's (``classes``).
        series: as in ``Episodes``.
        size: Pillow images are resized (the shorter side) and cut (the centre) to size x size pixels.
        channels: Pillow images become 1 (grey) or 3 (colour) channels; None: each as it is.
        transform: called with each x before anything else; gives what is said above.
        x: the examples' column; guessed where None (an image column, else the first of a few usual names there is).
        y: the labels' column; guessed where None (a class label column, else the first of a few usual names there is).

    Raises:
        UsageError: examples of several shapes, a dataset without positions, columns that cannot be guessed, and what
            ``Episodes`` refuses.
        DataError: examples without a label.

    >>> pairs = [(np.full((8, 8), i, np.uint8), "even" if i % 2 == 0 else "odd") for i in range(12)]
    >>> episodes_from(pairs, way=2, shot=1, query=3).sample(4, seed=0).support.x.shape
    torch.Size([4, 2, 1, 8, 8])
    """
    one_of((None, 1, 3), channels=channels)
    if size is not None:
        at_least(1, size=size)
    inputs, labels, n, known = columns(dataset, x, y)
    if _is_array(inputs) and transform is None and size is None and channels is None:
        held = inputs.astype(np.float32) if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "f" else inputs
    else:
        held = _held(inputs, n, lambda one: _array(one if transform is None else transform(one), size, channels))
    shape: dict[str, Any] = {"way": way, "shot": shot, "query": query}
    names = known if names is None else names
    return Episodes(held, labels, **shape, rotate=rotate, classes=classes, names=names, series=series)


def _is_array(column: Any) -> bool:
    return isinstance(column, Tensor | np.ndarray)


def _array(value: Any, size: int | None, channels: int | None) -> NDArray[Any]:
    """One example: images as uint8 ``[C, H, W]``; otherwise float32, uint8 or int64."""
    if isinstance(value, Image.Image):
        grey = value.mode in ("1", "L", "LA", "La", "I", "F") or value.mode.startswith("I;")
        if channels is not None:
            grey = channels == 1
        image = value if value.mode == "F" else in_mode(value, "L" if grey else "RGB")
        pixels = whole_pixels(image) if size is None else crop_pixels(image, size)
        return pixels.repeat(3, 0) if value.mode == "F" and channels == 3 else pixels
    if size is not None or channels is not None:
        raise UsageError(
            f"size= and channels= are for Pillow images, but x is a {type(value).__name__}; resize it in a transform."
        )
    if isinstance(value, str | bytes):
        raise UsageError("x is text; pass a transform that makes token ids of one length, or numbers, of it.")
    if isinstance(value, Tensor):
        value = (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise UsageError(f"x is no array of one shape ({error}); pass a transform that makes one of it.") from error
    if array.dtype.kind not in "biuf":
        raise UsageError(f"x is a {type(value).__name__}, not numbers; pass a transform that makes an array of it.")
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array if array.dtype.name in ("uint8", "bool", "uint16", "int16") else array.astype(np.int64)


def _held(inputs: Iterable[Any], n: int, read: Callable[[Any], NDArray[Any]]) -> NDArray[Any]:
    """All examples in one array, made once."""
    held: NDArray[Any] = np.empty(0)
    for i, value in enumerate(inputs):
        one = read(value)
        if i == 0:
            held = np.empty((n, *one.shape), one.dtype)
        if one.shape != held.shape[1:] or one.dtype != held.dtype:
            raise UsageError(
                f"all examples must be alike, but the first is {held.dtype} {[*held.shape[1:]]} and example {i} "
                f"{one.dtype} {[*one.shape]}; pass size= (and channels=1 or 3) for Pillow images, "
                f"or a transform (one that cuts or pads series to one length, say)."
            )
        held[i] = one
    return held
