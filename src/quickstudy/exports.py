"""What a package gives to whoever imports it: what is registered, and a short list of what is not. All on demand."""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from quickstudy.core.entry import Entry
from quickstudy.registry import KINDS, make

EXPORTS: dict[str, dict[str, Entry]] = {}
"""By package: each exported name, and what it leads to (a path without ``:`` is a module's)."""

Exported = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def lazily(
    package: str,
    *,
    kind: str | None = None,
    more: Mapping[str, Iterable[str]] | None = None,
    modules: Iterable[str] = (),
    sklearn: Mapping[str, Iterable[str]] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Exported:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose names are imported when they are first used.

    ``docs/generate.py`` writes the same names into the package's stub, for type checkers and editors.

    Args:
        package: its ``__name__``.
        kind: of which registered things it gives quickstudy's own.
        more: names that are not registered, by their module.
        modules: that are given as they are.
        sklearn: names that need the extra of this name, by their module; a star import leaves them out.
        renamed: what names are called now that had another one: they still work, with a warning, and are not listed.
    """
    names = {entry.title: entry for entry in KINDS[kind].own.values()} if kind else {}
    names.update({name: Entry(f"{module}:{name}") for module, group in (more or {}).items() for name in group})
    names.update({module.rpartition(".")[2]: Entry(module) for module in modules})
    optional = {name: Entry(f"{module}:{name}") for module, group in (sklearn or {}).items() for name in group}
    EXPORTS[package] = {**names, **optional}

    def get(name: str) -> Any:
        if renamed and name in renamed:
            now = renamed[name]
            warnings.warn(f"{package}.{name} is called {now} now.", DeprecationWarning, stacklevel=2)
            return getattr(sys.modules[package], now)
        if name not in EXPORTS[package]:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        entry = EXPORTS[package][name]
        module, _, attribute = entry.path.partition(":")
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if name not in optional:
                raise
            raise ImportError(
                f"{name} needs scikit-learn ({error}); install it with: pip install 'quickstudy[sklearn]'"
            ) from error
        found = getattr(found, attribute) if attribute else found
        if kind and entry.options:  # one of several names of a class
            found = partial(make, kind, next(n for n, own in KINDS[kind].own.items() if own is entry))
        setattr(sys.modules[package], name, found)
        return found

    return get, lambda: sorted(EXPORTS[package]), sorted(names)
