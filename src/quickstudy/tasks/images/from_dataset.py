"""Episodes out of any labelled dataset: PyTorch's, Hugging Face's, arrays, scikit-learn's, or a list of pairs.

The examples are read one by one into one array, once; from then on they are ``Episodes``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import IterableDataset

from quickstudy.core.checks import at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.tasks.images.episodes import Episodes, Rotate
from quickstudy.tasks.images.pixels import crop_pixels, in_mode

X_NAMES = ("image", "img", "images", "pixel_values", "input_ids", "x", "features", "data")
"""What the examples' column is called, looked for in this order."""
Y_NAMES = ("label", "labels", "fine_label", "target", "y", "class")
"""What the labels' column is called, looked for in this order."""


def episodes_from(
    dataset: Any,
    *,
    way: int = 5,
    shot: int = 1,
    query: int = 15,
    rotate: Rotate = "none",
    classes: Tensor | Sequence[int] | None = None,
    size: int | None = None,
    channels: int | None = None,
    transform: Callable[[Any], Any] | None = None,
    x: str | None = None,
    y: str | None = None,
) -> Episodes:
    """N-way K-shot episodes over any labelled dataset that fits into memory.

    Args:
        dataset: one of

            - a map-style ``torch.utils.data.Dataset`` (torchvision's, say), or a list, of pairs (x, label) or of dicts;
            - a Hugging Face ``datasets.Dataset``: one split, not a dict of them;
            - ``(x, y)``: arrays or tensors ``[N, ...]`` and ``[N]``;
            - a mapping of such columns (a scikit-learn ``Bunch``, an opened ``.npz``).

            x are Pillow images, or arrays of one shape: ``[C, H, W]`` or ``[H, W]`` images, ``[f]`` features, ``[L]``
            token ids. Labels are integers, or texts (numbered in sorted order).
        way: classes per task.
        shot: support examples per class.
        query: query examples per class.
        rotate: as in ``Episodes``.
        classes: the labels to draw from, all if None.
        size: Pillow images are resized (the shorter side) and cut (the centre) to size x size pixels.
        channels: Pillow images become 1 (grey) or 3 (colour) channels; None: each as it is.
        transform: called with each x before anything else; gives what is said above.
        x: the examples' column; guessed where None (an image column, else the first of ``X_NAMES`` there is).
        y: the labels' column; guessed where None (a class label column, else the first of ``Y_NAMES`` there is).

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
    inputs, labels, n = _columns(dataset, x, y)
    if _is_array(inputs) and transform is None and size is None and channels is None:
        held = inputs.astype(np.float32) if isinstance(inputs, np.ndarray) and inputs.dtype.kind == "f" else inputs
    else:
        held = _held(inputs, n, lambda one: _array(one if transform is None else transform(one), size, channels))
    return Episodes(held, labels, way=way, shot=shot, query=query, rotate=rotate, classes=classes)


def _is_array(column: Any) -> bool:
    return isinstance(column, Tensor | np.ndarray)


def _columns(dataset: Any, x: str | None, y: str | None) -> tuple[Any, Any, int]:
    """The examples, to be iterated over once; the labels, complete after that; how many there are."""
    if isinstance(dataset, Mapping):
        nested = [name for name, part in dataset.items() if hasattr(part, "column_names")]
        if nested:
            raise UsageError(f"this is a dict of datasets; choose one: dataset[{nested[0]!r}] ({', '.join(nested)}).")
        dataset = tuple(dataset[name] for name in _names(dataset, {}, x, y))
    if isinstance(dataset, tuple) and len(dataset) == 2:
        # A pandas column is an array by another name.
        inputs, labels = (part.to_numpy() if hasattr(part, "to_numpy") else part for part in dataset)
        if not (hasattr(inputs, "__len__") and hasattr(labels, "__len__")) or len(inputs) != len(labels):
            raise UsageError(
                f"x and labels must be [N, ...] and [N], got {type(inputs).__name__} and {type(labels).__name__} of "
                f"different lengths, or without any."
            )
        return inputs, labels, len(inputs)
    if isinstance(dataset, IterableDataset) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise UsageError(
            f"{type(dataset).__name__} has no positions or no length; episodes draw examples by position: collect it "
            f"first, for example with list(dataset) (a part of it, if it does not fit into memory)."
        )
    return _rows(dataset, x, y)


def _rows(dataset: Any, x: str | None, y: str | None) -> tuple[Any, Any, int]:
    n = len(dataset)
    if n == 0:
        raise UsageError("the dataset is empty.")
    first = dataset[0]
    names: tuple[Any, Any] = (0, 1)
    unlabelled: Any = None
    if isinstance(first, Mapping):
        features = getattr(dataset, "features", None) or {}
        names = _names(first, features, x, y)
        # Hugging Face decodes every column of a row; but a transform of its own may need them all.
        if hasattr(dataset, "select_columns") and dataset.format["type"] != "custom":
            dataset = dataset.select_columns([*names])
        if _type(features, names[1]) == "ClassLabel":
            unlabelled = -1
    elif not isinstance(first, Sequence) or isinstance(first, str) or len(first) < 2:
        raise UsageError(
            f"the dataset's examples must be pairs (x, label) or dicts, got {type(first).__name__}: without labels "
            f"there are no classes to draw."
        )
    labels: list[Any] = []

    def inputs() -> Iterator[Any]:
        for i in range(n):  # one pass: a row may cost a file to read and decode
            row = dataset[i]
            label = row[names[1]]
            labels.append(None if unlabelled is not None and label == unlabelled else label)
            yield row[names[0]]

    return inputs(), labels, n


def _type(features: Mapping[str, Any], name: str) -> str:
    """What Hugging Face calls a column's type."""
    return type(features.get(name)).__name__


def _names(columns: Mapping[str, Any], features: Mapping[str, Any], x: str | None, y: str | None) -> tuple[str, str]:
    found: list[str] = []
    for option, given, typed, usual in (("x", x, "Image", X_NAMES), ("y", y, "ClassLabel", Y_NAMES)):
        of_type = [name for name in columns if _type(features, name) == typed]
        guesses = of_type if len(of_type) == 1 else [name for name in usual if name in columns]
        name = (guesses or [None])[0] if given is None else given
        if name is None or name not in columns:
            what = {"x": "examples", "y": "labels"}[option]
            raise UsageError(
                f"which column holds the {what}? There {'is no ' + repr(given) if given else 'are'}"
                f"{' among ' if given else ' '}{', '.join(map(str, columns))}; pass {option}=NAME."
            )
        found.append(name)
    return found[0], found[1]


def _array(value: Any, size: int | None, channels: int | None) -> NDArray[Any]:
    """One example: images as uint8 ``[C, H, W]``; otherwise float32, uint8 or int64."""
    if isinstance(value, Image.Image):
        own = value.mode if value.mode.startswith(("I", "F")) else "L" if value.mode in ("1", "L", "LA") else "RGB"
        image = in_mode(value, own if channels is None else {1: "L", 3: "RGB"}[channels])
        if size is not None:
            return crop_pixels(image, size)
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
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
    return array if array.dtype.name in ("uint8", "bool") else array.astype(np.int64)


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
                f"{one.dtype} {[*one.shape]}; pass size= (and channels=1 or 3) for Pillow images, or a transform."
            )
        held[i] = one
    return held
