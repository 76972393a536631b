"""What tasks draw, in a few numbers: enough to see that other data, or other code, stand behind the same options."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from quickstudy.core.batch import TaskDistribution
from quickstudy.core.purity import sample
from quickstudy.core.seeding import fold

_CLOSE = 1e-3  # in standard deviations: machines round differently


def tensors_in(thing: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a batch by name, however it nests: dataclasses, dicts and tuples of them."""
    if isinstance(thing, Tensor):
        yield name, thing
        return
    parts: Mapping[Any, Any] = {}
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        parts = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    elif isinstance(thing, dict):
        parts = thing
    elif isinstance(thing, list | tuple):
        parts = dict(enumerate(thing))
    for key, part in parts.items():
        yield from tensors_in(part, f"{name}.{key}".lstrip("."))


def fingerprint(tasks: TaskDistribution[Any]) -> dict[str, Any]:
    """Of each tensor of a batch of two tasks: its shape, its type, and mean, deviation and a projection."""
    return {name: _told(t) for name, t in tensors_in(sample(tasks, 2, fold(0, "fingerprint")))}


def _told(t: Tensor) -> dict[str, Any]:
    said = {"shape": [*t.shape], "dtype": str(t.dtype).removeprefix("torch.")}
    if t.is_complex() or t.numel() == 0:
        return said
    x = t.detach().double().flatten().cpu()
    projection = (x * torch.arange(1.0, len(x) + 1, dtype=torch.float64).sin()).mean()
    numbers = (x.mean(), x.std(correction=0), projection)
    return {**said, "numbers": [float(f"{float(number):.6g}") for number in numbers]}


def other_draws(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words, the first difference between two fingerprints; empty where there is none."""
    for name in (*then, *(name for name in now if name not in then)):
        a, b = then.get(name), now.get(name)
        if a is None or b is None or [a["shape"], a["dtype"]] != [b["shape"], b["dtype"]]:
            return f"{name} was {_shape(a)}, is {_shape(b)} now"
        spread = max([abs(n) for n in a.get("numbers", [])[:2]], default=0.0)
        pairs = list(zip(a.get("numbers", []), b.get("numbers", []), strict=False))
        if not all(x == y or abs(x - y) <= _CLOSE * spread or (math.isnan(x) and math.isnan(y)) for x, y in pairs):
            return f"{name} holds other values (mean {pairs[0][0]:g} then, {pairs[0][1]:g} now)"
    return ""


def _shape(told: Mapping[str, Any] | None) -> str:
    return "not there" if told is None else f"{told['dtype']} {told['shape']}"
