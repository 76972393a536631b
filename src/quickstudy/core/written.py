"""What is written down of data in memory, which no run folder keeps: enough to tell whether they are the same."""

import hashlib
from collections.abc import Sequence
from typing import Any

LONG = 1000
"""Elements of a list that is written down whole, at most."""


def is_data(thing: Any) -> bool:
    """Whether it is an array, a tensor, a table or one of its columns, or a long list."""
    if isinstance(thing, list | tuple):
        return len(thing) > LONG
    return hasattr(thing, "__array__") and hasattr(thing, "shape") and not isinstance(thing, type)


def written(data: Any) -> dict[str, str]:
    """The type and shape of data, and a hash of their content.

    >>> import numpy
    >>> written(numpy.zeros((2, 3), numpy.uint8))["data"]
    'uint8 [2, 3]'
    """
    import numpy as np
    import torch

    if isinstance(data, torch.Tensor):
        kind, shape = str(data.dtype).removeprefix("torch."), [*data.shape]
        content: Any = data.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()  # numpy lacks some types
    elif isinstance(data, Sequence):
        kind, shape, content = "list", [len(data)], repr(data).encode()
    else:
        array = np.asarray(data)
        kind, shape = str(array.dtype), [*array.shape]
        plain = array.dtype.kind in "biufcmM"
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8) if plain else repr(array.tolist()).encode()
    return {"data": f"{kind} {shape}", "hash": hashlib.blake2b(content, digest_size=16).hexdigest()}


def is_scalar(thing: Any) -> bool:
    """Whether it is a number or a text of numpy's."""
    return type(thing).__module__ == "numpy" and getattr(thing, "shape", None) == ()
