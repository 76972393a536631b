"""``quickstudy list``."""

from collections.abc import Mapping
from json import dumps
from textwrap import fill

from quickstudy import registry

KINDS = ("learners", "tasks", "nets", "encoders")
WIDTH, NAME = 80, 21
"""Columns of the output, and of a name with what is before it."""


def listing(*, json: bool = False) -> None:
    """List every learner, task distribution, net and encoder, a line each.

    Args:
        json: print as JSON.
    """
    lines = {k: {name: registry.line(k, name) for name in registry.KINDS[k]} for k in KINDS}
    if json:
        print(dumps(lines, indent=2, ensure_ascii=False))
        return
    for kind, names in lines.items():
        for title, some in _by_family(kind, names).items():
            print(f"{kind}{f', {title}' if title else ''}:")
            print(*(_entry(name, text) for name, text in some.items()), sep="\n")


def _by_family(kind: str, names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Quickstudy's own by the folder that they are in, where there are several; those of others last."""
    families: dict[str, dict[str, str]] = {}
    for name, text in names.items():
        module = registry.KINDS[kind][name].path.partition(":")[0].split(".")
        own = module[0] == "quickstudy"
        family = (
            module[2].replace("_", " ") if own and module[1] == kind and len(module) > 3 else "" if own else "yours"
        )
        families.setdefault(family, {})[name] = text
    return dict(sorted(families.items(), key=lambda item: item[0] in ("", "yours")))


def _entry(name: str, text: str) -> str:
    return fill(
        text, WIDTH, initial_indent=f"  {name:{NAME - 2}}", subsequent_indent=" " * NAME, break_on_hyphens=False
    )
