"""Nested state (of an optimizer, a schedule) as JSON plus named tensors, so that checkpoints need no pickle."""

from typing import Any

import torch
from torch import Tensor

from quickstudy.core.errors import RunError


def pack(tree: Any, prefix: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for ``tree`` (dicts with int or str keys, lists, tuples, scalars); its tensors go into ``tensors``.

    Raises:
        RunError: something in the tree is neither (a function, say).
    """
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, Tensor):
        tensors[prefix] = tree
        return {"tensor": prefix}
    if isinstance(tree, dict):
        return {"dict": [[key, pack(value, f"{prefix}/{key}", tensors)] for key, value in tree.items()]}
    if isinstance(tree, list | tuple):
        kind = "tuple" if isinstance(tree, tuple) else "list"
        return {kind: [pack(value, f"{prefix}/{i}", tensors) for i, value in enumerate(tree)]}
    raise RunError(f"{prefix} is a {type(tree).__name__}, not a tensor, number or text: a checkpoint cannot hold it.")


def unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    """The tree that ``pack`` packed."""
    if not isinstance(packed, dict):
        return packed
    ((kind, value),) = packed.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: unpack(part, tensors) for key, part in value}
    parts = [unpack(part, tensors) for part in value]
    return tuple(parts) if kind == "tuple" else parts


def to_save(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory, as safetensors wants them."""
    return {name: t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for name, t in tensors.items()}
