"""What options can be meant: those of the types that a signature says, numbers finite, and in ranges said by name.

``train``, ``evaluate`` and their like ask ``check_options``; learners and update rules are asked as they are built.
"""

import collections.abc
import functools
import inspect
import math
import numbers
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from quickstudy.core.errors import UsageError

_PLAIN = (bool, int, float, complex, str, bytes, type(None), numbers.Number)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``; ``above``: without ``low`` itself."""

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: Any) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        least = f"{'>' if self.above else '>='} {self.low:g}"
        return least if self.high == math.inf else f"{least} and <= {self.high:g}"


POSITIVE = Range(0, above=True)
COUNT = Range(1)
ANY_COUNT = Range(0)
RANGES: Mapping[str, Range] = {
    **dict.fromkeys(("chunk", "eval_batch", "inner_batch", "in_features", "out_features"), COUNT),
    **dict.fromkeys(("relation_filters", "relation_hidden"), COUNT),
    **dict.fromkeys(("eval_steps", "hidden_size"), ANY_COUNT),
    "real_lr": POSITIVE,
}
"""Of options that several learners and update rules have, by name; what is particular to one, it checks itself."""


def check_options(
    owner: Callable[..., Any], options: Mapping[str, Any], ranges: Mapping[str, Range], *, called: str | None = None
) -> None:
    """Raise ``UsageError`` for options that cannot be meant, all in one sentence.

    Judged are numbers, texts, None and tuples of them; whatever else is passed is its receiver's to judge. What is the
    default is right.

    Args:
        owner: the function or class whose options they are.
        options: by name; what ``owner`` does not take is passed over.
        ranges: of numbers, by name.
        called: how the sentence begins (None: with the owner's name).
    """
    parameters, hints = _of_function(owner)
    wrong = [
        f"{name} must be {_words(hints[name], ranges.get(name))}, got {value!r:.80}"
        for name, value in options.items()
        if name in hints and name in parameters and not _is_default(value, parameters[name].default)
        if _is_plain(value) and not _fits(value, hints[name], ranges.get(name))
    ]
    if wrong:
        raise UsageError(f"{called or owner.__name__}: {'; '.join(wrong)}.")


def checks_options(init: Callable[..., None]) -> Callable[..., None]:
    """The constructor of a learner or a rule, made to ask ``check_options`` before it does anything."""

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        try:
            given = inspect.signature(init).bind_partial(self, *args, **options).arguments
        except TypeError:  # too many, or unknown: the constructor itself says so
            given = {}
        if given:
            check_options(init, given, RANGES, called=type(self).__name__)
        init(self, *args, **options)

    return checked


@functools.lru_cache(maxsize=256)
def _of_function(function: Callable[..., Any]) -> tuple[Mapping[str, inspect.Parameter], dict[str, Any]]:
    parameters = inspect.signature(function).parameters
    try:
        return parameters, get_type_hints(inspect.unwrap(function))
    except Exception:  # annotations of somebody else's that lead nowhere
        return parameters, {}


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, tuple | list) else isinstance(value, _PLAIN)


def _fits(value: Any, hint: Any, within: Range | None) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part, within) for part in parts)
    if origin is Literal:
        return any(type(value) is type(part) for part in parts)  # which of them, their receiver says best
    if origin in (tuple, list):
        if not isinstance(value, tuple | list):
            return False
        each = parts[:1] * len(value) if origin is list or parts[-1:] == (...,) else parts
        return len(each) == len(value) and all(_fits(v, part, within) for v, part in zip(value, each, strict=True))
    if hint in (int, float):
        number: Any = value if isinstance(value, numbers.Integral if hint is int else numbers.Real) else math.nan
        return not isinstance(value, bool) and abs(number) < math.inf and (within is None or number in within)
    if hint is None:
        return value is None
    if origin is collections.abc.Callable:
        return callable(value)
    kind = origin or hint
    try:
        return isinstance(value, kind) if isinstance(kind, type) else True
    except TypeError:  # a protocol that cannot be asked so
        return True


def _words(hint: Any, within: Range | None) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_words(part, within) for part in parts))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin in (tuple, list):
        return f"({', '.join('...' if part is ... else _words(part, within) for part in parts)})"
    if origin is collections.abc.Callable:
        return "a function"
    said = {int: "a whole number", float: "a finite number", str: "a text", bool: "True or False", type(None): "None"}
    number = f" {within}" if within is not None and hint in (int, float) else ""
    return said.get(hint, getattr(origin or hint, "__name__", str(hint))) + number
