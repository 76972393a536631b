"""How objects show themselves: by their class and what they were built with, on one line."""

import inspect
import reprlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def shown(self: Any) -> str:
    """``__repr__`` of what keeps each constructor argument in an attribute of its name; defaults are left out."""
    said = ", ".join(f"{name}={in_short(value)}" for name, value in chosen(self).items())
    return f"{type(self).__name__}({said})"


def shown_batch(self: Any) -> str:
    """``__repr__`` of a batch of tasks, a dataclass: how many, and what each field is."""
    return f"<{type(self).__name__} of {len(self)} task{'' if len(self) == 1 else 's'}: {_fields(self)}>"


def _fields(thing: Any) -> str:
    return ", ".join(f"{field.name} {in_short(getattr(thing, field.name))}" for field in fields(thing))


def chosen(thing: Any) -> dict[str, Any]:
    """The constructor's arguments that are not their defaults."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(thing)).parameters.items():
        value = getattr(thing, name, parameter.default)
        if value is not parameter.default and not (_plain(value) and value == parameter.default):
            found[name] = value
    return found


def in_short(value: Any) -> str:
    """A value in a few words; of tensors, arrays and networks what and how large they are.

    >>> import torch
    >>> in_short(torch.zeros(2, 3)), in_short(nn.Linear(2, 1)), in_short((1, 2.5))
    ('float32 [2, 3]', 'Linear with 3 parameters', '(1, 2.5)')
    """
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} with {sum(p.numel() for p in value.parameters()):,} parameters"
    if isinstance(value, Tensor) or (hasattr(value, "shape") and hasattr(value, "dtype")):
        return f"{str(value.dtype).removeprefix('torch.')} {[*value.shape]}"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({_fields(value)})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k!r}: {in_short(v)}' for k, v in [*value.items()][:5])}}}"
    return _SHORT.repr(value)


def _plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | tuple)
