"""A module with other tensors in place of its own, in module objects of its own.

``torch.func.functional_call`` fills the slots of the module itself for the length of a call, so that two threads get in
each other's way, and what runs later (gradient checkpointing, say) finds other tensors. Here the module is only read:
its objects are rebuilt, shallowly, around the tensors, which costs some microseconds for each layer. Everything that
leads to no module is shared and not copied.
"""

import copy
import functools
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

_SHARED = frozenset(
    {
        *(type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, type, types.ModuleType),
        *(types.BuiltinFunctionType, torch.dtype, torch.device, torch.Size, torch.Generator, torch.layout),
    }
)


def call(
    module: nn.Module, tensors: Mapping[str, Tensor], inputs: tuple[Any, ...], named: Mapping[str, Any] | None = None
) -> Any:
    """``module(*inputs, **named)`` under these parameters and buffers by name; the others are the module's own."""
    return with_tensors(module, tensors)(*inputs, **(named or {}))


def with_tensors(module: M, tensors: Mapping[str, Tensor]) -> M:
    """The module in objects of its own, with these parameters and buffers by name; the others are the module's own.

    A tensor that stands in several places (tied weights) is replaced in all of them.
    """
    swaps: dict[int, Tensor] = {}
    if tensors:
        _pair(module, tensors, "", swaps)
    return _Rebuild(swaps).module(module)


def in_evaluation(module: M) -> M:
    """The same module in evaluation mode, in objects of its own: the mode of the one that is passed in stays."""
    return with_tensors(module, {}).eval()


def _pair(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str, swaps: dict[int, Tensor]) -> None:
    """Note what is put in whose place."""
    for own in (module._parameters, module._buffers):
        for name, old in own.items():
            if old is not None and (new := tensors.get(prefix + name)) is not None:
                swaps[id(old)] = new
    for name, part in module._modules.items():
        if part is not None:
            _pair(part, tensors, f"{prefix}{name}.", swaps)


_CONTAINERS = frozenset({dict, OrderedDict, list, tuple, set})
_REBUILT = frozenset({"_parameters", "_buffers", "_modules"})
_TORCHS = frozenset(vars(nn.Module()))


class _Rebuild:
    """One walk over the objects that a module leads to."""

    def __init__(self, swaps: Mapping[int, Tensor]) -> None:
        self.swaps = swaps
        self.done: dict[int, Any] = {}

    def module(self, module: Any) -> Any:
        if isinstance(module, torch.jit.ScriptModule):
            return module
        if (
            "_orig_mod" in module.__dict__["_modules"]
        ):  # torch.compile's: its function is bound to the module that it was made of
            return self(module._modules["_orig_mod"])
        new = object.__new__(type(module))
        self.done[id(module)] = new
        own = module.__dict__
        values = new.__dict__
        values.update(own)
        get = self.swaps.get
        # Copies even where nothing changes: what a forward assigns stays in the copy.
        values["_parameters"] = {name: get(id(t), t) for name, t in own["_parameters"].items()}
        values["_buffers"] = {name: get(id(t), t) for name, t in own["_buffers"].items()}
        values["_modules"] = {name: self(part) for name, part in own["_modules"].items()}
        for name, value in own.items():
            kind = type(value)
            if kind in _SHARED or name in _REBUILT:
                continue
            if kind in _CONTAINERS and name not in _TORCHS:
                values[name] = self._copied(value)
            elif not (kind in _CONTAINERS and not value):
                values[name] = self(value)
        return new

    def _copied(self, container: Any) -> Any:
        """What a forward puts into a list, a dict or a set of the module stays in the copy; a large table is shared."""
        new = self(container)
        return copy.copy(new) if new is container and len(new) <= 64 else new

    def __call__(self, thing: Any) -> Any:
        kind: type[Any] = type(thing)
        if kind in _SHARED:
            return thing
        if isinstance(thing, Tensor):
            return self.swaps.get(id(thing), thing)
        if id(thing) in self.done:
            return self.done[id(thing)]
        if isinstance(thing, nn.Module):
            return self.module(thing)
        return _maker(kind)(self, thing)


@functools.cache
def _maker(kind: type[Any]) -> "Callable[[_Rebuild, Any], Any]":
    found = next((make for base, make in _MAKERS.items() if issubclass(kind, base)), None)
    if found is not None:
        return found
    # An object is all in its ``__dict__``, or it is not for us to copy.
    slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    plain = kind.__new__ is object.__new__ and kind.__dictoffset__ and not slots and not issubclass(kind, type)
    return _make_object if plain else _as_it_is


def _as_it_is(walk: _Rebuild, thing: Any) -> Any:
    del walk
    return thing


def _make_dict(walk: _Rebuild, thing: Any) -> Any:
    if not thing or _SHARED.issuperset(map(type, thing.values())):
        return thing
    walk.done[id(thing)] = thing  # of a circle of containers alone nothing is copied
    changed = {key: new for key, value in thing.items() if (new := walk(value)) is not value}
    if changed:
        walk.done[id(thing)] = thing = copy.copy(thing)
        thing.update(changed)
    return thing


def _make_sequence(walk: _Rebuild, thing: Any) -> Any:
    if not thing or _SHARED.issuperset(map(type, thing)):
        return thing
    walk.done[id(thing)] = thing
    parts = [walk(part) for part in thing]
    if any(new is not old for new, old in zip(parts, thing, strict=True)):
        thing = type(thing)(*parts) if hasattr(thing, "_fields") else type(thing)(parts)
    return thing


def _make_object(walk: _Rebuild, thing: Any) -> Any:
    new = object.__new__(type(thing))
    walk.done[id(thing)] = new  # what leads back here leads to the copy
    changed = {name: part for name, value in vars(thing).items() if (part := walk(value)) is not value}
    if not changed:
        walk.done[id(thing)] = thing
        return thing
    vars(new).update({**vars(thing), **changed})
    return new


def _make_method(walk: _Rebuild, thing: types.MethodType) -> Any:
    of = walk(thing.__self__)
    return thing if of is thing.__self__ else types.MethodType(thing.__func__, of)


def _make_partial(walk: _Rebuild, thing: functools.partial[Any]) -> Any:
    parts = walk(thing.func), walk(thing.args), walk(thing.keywords)
    if parts[0] is thing.func and parts[1] is thing.args and parts[2] is thing.keywords:
        return thing
    return functools.partial(parts[0], *parts[1], **parts[2])


def _make_function(walk: _Rebuild, thing: types.FunctionType) -> Any:
    """A closure over modules is one over their copies."""
    if not thing.__closure__:
        return thing
    walk.done[id(thing)] = thing
    cells = [cell.cell_contents if _filled(cell) else None for cell in thing.__closure__]
    parts = [walk(content) for content in cells]
    if all(new is old for new, old in zip(parts, cells, strict=True)):
        return thing
    closure = tuple(
        old if part is content else types.CellType(part)
        for old, part, content in zip(thing.__closure__, parts, cells, strict=True)
    )
    new = types.FunctionType(thing.__code__, thing.__globals__, thing.__name__, thing.__defaults__, closure)
    new.__kwdefaults__ = thing.__kwdefaults__
    return functools.update_wrapper(new, thing)


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


_MAKERS: dict[type[Any], Callable[[_Rebuild, Any], Any]] = {
    dict: _make_dict,
    list: _make_sequence,
    tuple: _make_sequence,
    set: _make_sequence,
    frozenset: _make_sequence,
    types.MethodType: _make_method,
    functools.partial: _make_partial,
    types.FunctionType: _make_function,
}
