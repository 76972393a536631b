"""Whom to cite: the papers behind what was used, as BibTeX.

``citations.bib`` holds them. The ``keywords`` of an entry are names in the registry: ``learners/maml``.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from quickstudy import registry
from quickstudy.core.errors import UsageError
from quickstudy.training.runs import Run
from quickstudy.version import __version__

_ENTRY = re.compile(r"^@\w+\{.*?^\}\n", re.MULTILINE | re.DOTALL)
_KEYWORDS = re.compile(r"^  keywords = \{(.*)\},\n", re.MULTILINE)
OWN = f"""@software{{quickstudy,
  title = {{quickstudy: learning to learn, made practical}},
  author = {{{{The quickstudy authors}}}},
  version = {{{__version__}}},
}}
"""


class BibTeX(str):
    """A text that is shown as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def citation(*used: Any) -> BibTeX:
    """The BibTeX of what was used: of learners and their parts, of tasks, and of quickstudy.

    >>> import quickstudy as qs
    >>> [line for line in qs.citation("protonet", qs.tasks.Glyphs()).splitlines() if line.startswith("@")]
    ['@inproceedings{snell2017prototypical,', '@software{quickstudy,']

    Args:
        used: learners, tasks, nets, rules and encoders, runs, or registered names.

    Raises:
        UsageError: a name that is not registered.
    """
    names: dict[str, None] = {}
    for thing in used:
        if isinstance(thing, str):
            found = [f"{kind}/{thing}" for kind, known in registry.KINDS.items() if thing in known]
            if not found:
                raise UsageError(f"there is no {thing!r} among {', '.join(registry.KINDS)}.")
            names |= dict.fromkeys(found)
        else:
            names |= dict.fromkeys(_names(thing.config if isinstance(thing, Run) else registry.describe(thing)))
    entries = {entry: None for name in names for entry in _entries().get(name, ())}
    return BibTeX("\n".join([*entries, OWN]))


def _names(description: Any) -> Iterator[str]:
    """What is registered in a description, or a run's configuration: ``learners/maml``, ``nets/conv4``, ..."""
    if isinstance(description, Mapping):
        yield from (f"{k}/{name}" for k, name in description.items() if k in registry.KINDS and isinstance(name, str))
        for part in description.values():
            yield from _names(part)
    elif isinstance(description, list | tuple):
        for part in description:
            yield from _names(part)


@cache
def _entries() -> Mapping[str, list[str]]:
    """The entries by registered name, without their keywords."""
    found: dict[str, list[str]] = {}
    for entry in _ENTRY.findall((Path(__file__).parent / "citations.bib").read_text(encoding="utf-8")):
        for name in _KEYWORDS.findall(entry)[0].split(", "):
            found.setdefault(name, []).append(_KEYWORDS.sub("", entry))
    return found
