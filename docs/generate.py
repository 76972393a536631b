"""What follows from the registry: the tables, the navigation of the learners, the interface's list, and the stubs.

MkDocs calls this as a hook, so that the site needs nothing more. What is committed, because it is read where it lies
(README.md, and the packages' ``__init__.pyi``), is written by ``python docs/generate.py``; a test holds it to this.
"""

import importlib
import re
from pathlib import Path
from typing import Any

from quickstudy import registry
from quickstudy.exports import EXPORTS

DOCS = Path(__file__).resolve().parent
PROJECT = DOCS.parent
PACKAGES = ("quickstudy", "quickstudy.learners", "quickstudy.nets", "quickstudy.report", "quickstudy.rules")
PACKAGES += ("quickstudy.tasks", "quickstudy.encoders")
BLOCK = re.compile(r"(?<=<!-- registry: )([a-z_ ]+) -->\n.*?(?=<!-- end -->)", re.DOTALL)


def family(name: str) -> str:
    """The folder of a learner's file."""
    return registry.LEARNERS.own[name].path.split(".")[2]


def page(name: str) -> str:
    """A learner's page: of its own name, or of its family where those share one."""
    own = f"learners/{name}.md"
    return own if (DOCS / own).exists() else f"learners/{family(name)}.md"


def by_family() -> dict[str, list[str]]:
    """The names of the learners, by family, in the registry's order."""
    names = list(registry.LEARNERS.own)
    return {each: [n for n in names if family(n) == each] for each in dict.fromkeys(family(n) for n in names)}


def table(kind: str, docs: str) -> str:
    """Of one kind, as Markdown; ``docs`` is the way from the page to the docs' folder."""
    entries = registry.KINDS[kind].own
    if kind != "learners":
        rows = [["name", "in Python", "what it is"]]
        rows += [[f"`{n}`", f"`{e.title}`", registry.line(kind, n)] for n, e in entries.items()]
    else:
        rows = [["learner", "in Python", "what it is", "paper"]]
        for name in (name for names in by_family().values() for name in names):
            entry = entries[name]
            rows.append([f"[`{name}`]({docs}{page(name)})", f"`{entry.title}`", registry.line(kind, name), entry.paper])
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def counts() -> str:
    """How much there is, in a sentence."""
    many = {kind: len(entries.own) for kind, entries in registry.KINDS.items()}
    parts = [f"{many['learners']} learners in {len(by_family())} families", f"{many['tasks']} kinds of tasks"]
    return f"There are {', '.join(parts)} and {many['nets']} networks, and whatever you bring.\n"


def interface(kind: str, of_family: str = "") -> str:
    """The entries of one kind, or of one family of it, for mkdocstrings."""
    package = "quickstudy" if kind == "learners" else f"quickstudy.{kind}"
    wanted = [entry for entry in _once(kind) if of_family in ("", entry.path.split(".")[2])]
    return "\n".join(f"::: {_documented(package, entry)}\n" for entry in wanted)


def _once(kind: str) -> list[Any]:
    """The entries of a kind; of several names of one class the first."""
    return list({entry.path: entry for entry in reversed(registry.KINDS[kind].own.values())}.values())[::-1]


def _documented(package: str, entry: Any) -> str:
    return entry.path.replace(":", ".") if entry.options else f"{package}.{entry.title}"


def fill(text: str, docs: str) -> str:
    """A page with what stands between its marks: ``<!-- registry: learners -->`` and ``<!-- end -->``."""

    def block(match: re.Match[str]) -> str:
        what, *rest = match[1].split()
        said = counts() if what == "counts" else interface(*rest) if what == "interface" else table(what, docs)
        return f"{match[1]} -->\n{said}"

    return BLOCK.sub(block, text)


def stub(package: str) -> str:
    """What type checkers and editors read of a package whose names are imported on demand."""
    importlib.import_module(package)
    lines = ["import functools"] if any(entry.options for entry in EXPORTS[package].values()) else []
    assigned: list[str] = []
    for name, entry in sorted(EXPORTS[package].items(), key=lambda item: (item[1].path, item[0])):
        module, _, attribute = entry.path.partition(":")
        if not attribute:
            lines.append(f"from {module.rpartition('.')[0]} import {name} as {name}")
        elif entry.options:
            lines.append(f"from {module} import {attribute} as _{attribute}")
            assigned.append(f"{name}: functools.partial[_{attribute}]")
        else:
            lines.append(f"from {module} import {attribute} as {name}")
    said = "# Written by docs/generate.py from the registry: not to be edited.\n# ruff: noqa\n\n"
    return said + "\n".join([*dict.fromkeys(lines), *([""] if assigned else []), *assigned]) + "\n"


def committed() -> dict[Path, str]:
    """The files that are written, and what they should hold."""
    files = {PROJECT / "src" / Path(*name.split(".")) / "__init__.pyi": stub(name) for name in PACKAGES}
    readme = PROJECT / "README.md"
    return {**files, readme: fill(readme.read_text(encoding="utf-8"), "docs/")}


def on_config(config: Any) -> Any:
    """MkDocs: the learners' part of the navigation, by family; titles are the pages' own."""
    for section in config["nav"]:
        if "Learners" in section:
            pages = {each: list(dict.fromkeys(page(n) for n in names)) for each, names in by_family().items()}
            section["Learners"][:0] = [{each.replace("_", " ").capitalize(): those} for each, those in pages.items()]
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs: a page with its blocks filled."""
    return fill(markdown, "../" * page.file.src_uri.count("/"))


if __name__ == "__main__":
    for path, text in committed().items():
        path.write_text(text, encoding="utf-8")
