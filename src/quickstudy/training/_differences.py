"""What differs between two descriptions, in words: of a run that is to be resumed with something else."""

import json
import reprlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from quickstudy.core.errors import RunError

PARTS = ("learner", "tasks", "validation", "training", "classes")
"""What of a run's ``config.json`` must be the same when it is resumed."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def check_same(then: Mapping[str, Any], now: Mapping[str, Any], run: str) -> None:
    """Refuse to resume a run with another configuration, and say what differs.

    Raises:
        RunError: something does.

    What an older run did not write down cannot be compared: a ``UserWarning``.
    """
    found = list[str]()
    for part in PARTS:
        was, given = then.get(part), json.loads(json.dumps(now[part]))
        if part == "classes" and was is None:
            continue  # a run of an older version: ``Run.tasks`` says so
        given, unknown = comparable(was, given)
        found += differences(was, given, part)
        if unknown:
            warnings.warn(
                f"{run} did not write down its {part} whole (it is of an older version), so it cannot be told whether "
                f"they are the same: {', '.join(unknown)}.",
                UserWarning,
                stacklevel=4,
            )
    if found:
        raise RunError(f"{run} was started with something else, so it cannot be resumed: {'; '.join(found)}.")


def differences(then: Any, now: Any, where: str = "") -> list[str]:
    """Each place at which two values of JSON differ, and how.

    >>> differences({"way": 2, "net": {"size": 28}, "clip": 1}, {"way": 3, "net": {"size": 28}})
    ['clip was 1, is nothing now', 'way was 2, is 3 now']
    >>> differences({"classes": ["ant", "bee"]}, {"classes": ["bee", "cat", "dog"]})
    ["classes: without 'ant' now, with 'cat', 'dog' now"]
    """
    return [*_differences(then, now, where)]


def comparable(then: Any, now: Any, where: str = "") -> tuple[Any, list[str]]:
    """``now`` without what an older version did not write down of objects of a person's own; and what that is.

    >>> comparable({"opaque": "Episodes"}, {"opaque": "Episodes", "options": {"way": 5}})
    ({'opaque': 'Episodes'}, ['options'])
    """
    if not (isinstance(then, Mapping) and isinstance(now, Mapping)):
        return now, []
    kept, unknown = {}, list[str]()
    for key, value in now.items():
        inside = f"{where}.{key}" if where else str(key)
        if key not in then and then.get("opaque") == now.get("opaque") is not None:
            unknown.append(inside)
            continue
        kept[key], more = comparable(then.get(key), value, inside)
        unknown += more
    return kept, unknown


def _differences(then: Any, now: Any, where: str) -> Iterator[str]:
    if then == now:
        return
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in sorted({*then} | {*now}, key=str):
            # What is between an option and the object that has it says nothing to a person.
            inside = where if key in ("options", "opaque") and where else f"{where}.{key}" if where else str(key)
            if key in then and key in now:
                yield from _differences(then[key], now[key], inside)
            else:
                yield f"{inside} was {_value(then, key)}, is {_value(now, key)} now"
        return
    if isinstance(then, list) and isinstance(now, list) and all(isinstance(one, str) for one in [*then, *now]):
        gone, new = sorted({*then} - {*now}), sorted({*now} - {*then})
        if gone or new:
            changes = [f"{word} {_listed(names)} now" for word, names in (("without", gone), ("with", new)) if names]
            yield f"{where}: {', '.join(changes)}"
            return
    yield f"{where} was {_SHORT.repr(then)}, is {_SHORT.repr(now)} now"


def _value(values: Mapping[Any, Any], key: Any) -> str:
    return _SHORT.repr(values[key]) if key in values else "nothing"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(map(repr, names[:5]))}{more}"
