"""The first forward of a network is watched: what it keeps on itself, which of its tensors it changes, which it uses.

A learner runs a network for many tasks, side by side, under each task's own parameters; what a forward leaves behind
would pass from task to task, or be lost on one path of execution and kept on another. So it runs in module objects of
the call's own (``stateless``), which are thrown away. What of that matters is said once: changes by a warning, a loss
term that could not be read by an error.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, no_type_check

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.overrides import TorchFunctionMode

from quickstudy.core.errors import UsageError

Place: TypeAlias = tuple[str, str]
"""A module's name and an attribute's."""
_TORCHS = frozenset({*vars(nn.Module()), "_flat_weights", "_flat_weight_refs"})  # the last two: of nn.RNN and its kin
_LOOKS = frozenset({"__get__", "size", "dim", "numel", "stride", "is_floating_point", "is_complex", "__len__"})
_functorch: Any = getattr(torch._C, "_functorch")  # noqa: B009  # no annotation knows it


@dataclass
class Seen:
    """What the first forward of a network showed.

    Args:
        used: the names of the parameters that it used, in the order of their last use.
        changed: the names of the buffers that it changed.
        kept: attributes that it set to tensors, or filled with some.
    """

    used: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    kept: list[Place] = field(default_factory=list[Place])


class Watched(nn.Module):
    """The network, looked at after its forward while the task's tensors are still in their places."""

    def __init__(self, model: nn.Module, seen: Seen) -> None:
        super().__init__()
        self.model = model
        self.seen = seen

    def forward(self, x: Tensor) -> Any:
        """What the network gives.

        Raises:
            UsageError: it keeps a tensor with a graph on itself, or changes a parameter.
        """
        model, seen = self.model, self.seen
        names = {id(p): name for name, p in model.named_parameters()}
        parameters = [(name, p, p._version) for name, p in model.named_parameters()]
        buffers = {name: (b, b._version) for name, b in model.named_buffers()}
        before = {place: _tensors(value) for place, value in _attributes(model)}
        try:
            with _Uses(names) as uses:
                output = model(x)
        finally:  # autograd may have found out, and said so in its own words
            _check_unchanged(parameters)
        seen.used = list(uses.order)
        norms = {n for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
        seen.changed = [
            name
            for name, b in model.named_buffers()
            if name.rpartition(".")[0] not in norms
            and (name not in buffers or buffers[name][0] is not b or buffers[name][1] != b._version)
        ]
        fresh = {
            place: [t for t in tensors if not any(t is old for old in before.get(place, ()))]
            for place, value in _attributes(model)
            if (tensors := _tensors(value))
        }
        hooks = set(_set_by_hooks(model))
        seen.kept = [place for place, tensors in fresh.items() if tensors and place not in hooks]
        for place in seen.kept:
            if any(_has_graph(t) for t in fresh[place]):
                raise UsageError(
                    f"forward keeps {'.'.join(place).lstrip('.')!r} on the model, a tensor with a graph. A loss cannot "
                    f"read it there: tasks run side by side, and it would be that of another. Give it back with the "
                    f"predictions, as one output more (quickstudy.core.losses.WithPenalty takes it from there); if no "
                    f"loss needs it, keep it detached."
                )
        return output


def _check_unchanged(parameters: Sequence[tuple[str, Tensor, int]]) -> None:
    changed = [name for name, p, version in parameters if p._version != version]
    if changed:
        raise UsageError(
            f"forward changes the parameter {changed[0]!r} in place, and with it the learner's own; make what it needs "
            f"of it anew in every forward."
        )


def say_once(seen: Seen, known: set[str]) -> None:
    """Warn of what is thrown away after every forward, of each thing once."""
    kept = [".".join(place).lstrip(".") for place in seen.kept]
    for what, names in (("changes the buffers", seen.changed), ("keeps on the model", kept)):
        names = [name for name in names if name not in known]
        known.update(names)
        if names:
            warnings.warn(
                f"forward {what} {', '.join(names)}: no task may leave anything to the next, so this is thrown away "
                f"after every forward, and what it counts or estimates stays as it came with the model (spectral "
                f"norms, running statistics of InstanceNorm and of norms of your own, caches).",
                stacklevel=2,
            )


def _attributes(model: nn.Module) -> Iterator[tuple[Place, Any]]:
    return (
        ((name, attribute), value)
        for name, m in model.named_modules()
        for attribute, value in vars(m).items()
        if attribute not in _TORCHS
    )


def _tensors(value: Any, depth: int = 3) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if not depth or not isinstance(value, list | tuple | dict | set):
        return []
    return [t for part in (value.values() if isinstance(value, dict) else value) for t in _tensors(part, depth - 1)]


def _has_graph(t: Tensor) -> bool:
    while _functorch.is_functorch_wrapped_tensor(t):  # of all tasks, under vmap
        t = _functorch.get_unwrapped(t)
    return t.requires_grad


def _set_by_hooks(model: nn.Module) -> Iterator[Place]:
    """Weights that torch's older norms of weights compute before a forward, from buffers and parameters."""
    for name, m in model.named_modules():
        for hook in m._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm):
                yield name, hook.name


class _Uses(TorchFunctionMode):
    """Notes in which order tensors are used last, by their names."""

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()
        self.names = names
        self.order: dict[str, None] = {}

    @no_type_check  # every torch operation passes here
    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") not in _LOOKS:
            for t in _tensors([*args, *(kwargs or {}).values()]):
                name = self.names.get(id(t))
                if name is not None:
                    self.order.pop(name, None)
                    self.order[name] = None
        return func(*args, **(kwargs or {}))
