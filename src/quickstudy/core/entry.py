"""What a registry holds: names, what each leads to, what is said of it. Nothing is imported until asked for."""

import ast
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from quickstudy.core.errors import UsageError


@dataclass(frozen=True)
class Entry:
    """One registered class.

    Args:
        path: ``module:Class``, where it can be imported from.
        paper: who wrote of it, and when, for the tables in the docs.
        what: what it is, in one line (None: the first line of the class's docstring).
        options: arguments of the constructor that the name fixes, so that several names may be of one class.
        called: the Python name that it is exported under (None: the class's).
        source: the installed distribution that registered it by an entry point.
    """

    path: str
    paper: str = ""
    what: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    called: str | None = None
    source: str | None = None

    @property
    def title(self) -> str:
        """What it is called in Python."""
        return self.called or self.path.rpartition(":")[2]

    def load(self) -> type[Any]:
        """The class.

        Raises:
            UsageError: code that is not quickstudy's own cannot be imported, or holds no such class.
        """
        module, _, name = self.path.partition(":")
        try:
            found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
            if not isinstance(found, type):
                raise TypeError(f"{name} is no class")
        except Exception as error:
            if module.startswith("quickstudy."):
                raise
            by = f" (of the distribution {self.source})" if self.source else ""
            raise UsageError(f"{self.path}{by} cannot be loaded: {type(error).__name__}: {error}.") from error
        return found

    def loaded(self) -> Any:
        """The class if its module was imported, else None: an object of it cannot exist before."""
        module, _, name = self.path.partition(":")
        return functools.reduce(
            lambda found, part: getattr(found, part, None), name.split("."), sys.modules.get(module)
        )

    def line(self) -> str:
        """What it is, in one line. A class's docstring is read, not imported, if it is in the file that the path names.

        Raises:
            UsageError: as ``load``.
        """
        if self.what is not None:
            return self.what
        module, _, name = self.path.partition(":")
        try:
            spec = importlib.util.find_spec(module)
            source = spec.loader.get_source(module) if spec and spec.loader else None  # pyright: ignore
        except Exception:  # a package that cannot even be imported, a module without a source: load says what is wrong
            source = None
        for node in ast.parse(source or "").body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return summary(self.load())


def summary(cls: type) -> str:
    """The first line of a class's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


class Names(MutableMapping[str, Entry]):
    """The names of one kind: quickstudy's own, those that a program adds, and those of installed distributions.

    The last are the entry points of the group ``quickstudy.KIND``, looked up once, when first needed. A name that is
    taken stays what it was, with a warning. A plain ``module:Class`` may be assigned in place of an ``Entry``.
    """

    def __init__(self, kind: str, own: Mapping[str, Entry]) -> None:
        self.kind = kind
        self.own = own
        """Those that come with quickstudy."""
        self._entries = dict(own)
        self._found: dict[str, Entry] | None = None

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name] if name in self._entries else self._installed()[name]

    def __setitem__(self, name: str, entry: Entry | str) -> None:
        self._entries[name] = Entry(entry) if isinstance(entry, str) else entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._entries, **self._installed()})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _installed(self) -> dict[str, Entry]:
        if self._found is None:
            self._found = {}
            for point in importlib.metadata.entry_points(group=f"quickstudy.{self.kind}"):
                source = f"{point.dist.name} {point.dist.version}" if point.dist else "one that is not known"
                taken = self._found.get(point.name) or self._entries.get(point.name)
                if taken is None:
                    self._found[point.name] = Entry(point.value, source=source)
                else:
                    warnings.warn(
                        f"the distribution {source} offers {point.name!r} among the {self.kind}, a name that is taken "
                        f"({taken.path}) and stays what it is; {point.value} leads to the other.",
                        stacklevel=2,
                    )
        return self._found
