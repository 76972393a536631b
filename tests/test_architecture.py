"""The floor plan of DESIGN.md holds: imports point downward, no circles, every file stands alone, files stay small."""

import ast
import importlib
import statistics
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from quickstudy.exports import EXPORTS

ROOT = Path(__file__).resolve().parents[1] / "src" / "quickstudy"
ORDER = ["core", "registry version", "exports", "rules nets encoders tasks", "learners", "training", "apply"]
ORDER += ["report recipes", "cli web testing"]
FLOORS = {name: floor for floor, names in enumerate(ORDER) for name in names.split()}
FLOORS |= {"__init__": FLOORS["exports"], "__main__": FLOORS["cli"]}


class Import(NamedTuple):
    """One import: from which module, of which, when (``start``, ``typing``: for type checkers alone, ``call``)."""

    importer: str
    imported: str
    when: str


@cache
def files() -> dict[str, Path]:
    """By dotted name, packages included."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports() -> list[Import]:
    """All of the package's imports of itself; a name that a package gives on demand counts as its file's."""
    for package in ("encoders", "learners", "nets", "report", "rules", "tasks"):
        importlib.import_module(f"quickstudy.{package}")
    return [each for each in all_imports() if each.imported.split(".")[0] == "quickstudy"]


def all_imports() -> list[Import]:
    found = []
    for name, file in files().items():
        found += [Import(name, target, when) for target, when in _inside(ast.parse(file.read_bytes()), "start")]
    return found


def _inside(node: ast.AST, when: str):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from ((_target(child.module, alias.name), when) for alias in child.names)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _inside(child, "call")
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _inside(child, "typing")
        else:
            yield from _inside(child, when)


def _target(module: str, name: str) -> str:
    if f"{module}.{name}" in files():
        return f"{module}.{name}"
    entry = EXPORTS.get(module, {}).get(name)
    return module if entry is None else entry.path.partition(":")[0]


def floor(module: str) -> int:
    folder = [*module.split("."), "__init__"][1]
    assert folder in FLOORS, f"{module}: say in ORDER, and in DESIGN.md, on which floor it stands"
    return FLOORS[folder]


def test_the_graph_sees_imports():
    assert Import("quickstudy.learners.gradient.maml", "quickstudy.learners.gradient.inner", "start") in imports()
    assert Import("quickstudy.exports", "quickstudy.registry", "start") in imports()
    tree = ast.parse(
        "if TYPE_CHECKING:\n    import a\ndef f():\n    from quickstudy.rules import SGD\nclass C:\n    import c"
    )
    found = {("a", "typing"), ("quickstudy.rules.sgd", "call"), ("c", "start")}
    assert {*_inside(tree, "start")} == found


@pytest.mark.parametrize("counted", [("start",), ("start", "typing"), ("start", "typing", "call")], ids="+".join)
def test_no_circle(counted):
    graph = {name: set() for name in files()}
    for importer, imported, when in imports():
        if when in counted and importer != imported:
            graph[importer].add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_upward_import():
    upward = [each for each in imports() if floor(each.importer) < floor(each.imported)]
    assert not upward, "\n".join(f"{i.importer} -> {i.imported} ({i.when})" for i in upward)


def test_the_registry_imports_nothing_but_a_little_of_core():
    of_registry = {
        each.imported for each in imports() if each.importer in ("quickstudy.registry", "quickstudy.core.entry")
    }
    assert of_registry == {f"quickstudy.core.{name}" for name in ("entry", "errors", "words", "written")}


def test_private_files_are_for_their_folder():
    def folder(module: str) -> str:
        return module if files()[module].name == "__init__.py" else module.rpartition(".")[0]

    private = [each for each in imports() if each.imported.rpartition(".")[2].startswith("_")]
    abroad = [each for each in private if folder(each.importer) != each.imported.rpartition(".")[0]]
    assert private
    assert not abroad, "\n".join(f"{i.importer} -> {i.imported}" for i in abroad)


def test_at_most_eight_files_at_the_top():
    assert len([file.name for file in ROOT.iterdir() if file.is_file()]) <= 8


def test_files_are_small():
    assert statistics.median(len(file.read_bytes().splitlines()) for file in files().values()) <= 150


MANY_FILES = ("matplotlib.figure", "matplotlib.backends.backend_svg", "torch.utils.data", "sklearn.utils.validation")
ALONE = """
import importlib, os, sys
from importlib.machinery import SourceFileLoader
others, names = (part.split() for part in sys.argv[1:3])
for name in others:
    importlib.import_module(name)
assert "quickstudy" not in sys.modules
compiled = {file: compile(open(file, "rb").read(), file, "exec") for file in sys.argv[3:]}
read = SourceFileLoader.get_code
SourceFileLoader.get_code = lambda self, name: compiled.get(self.path) or read(self, name)
for name in names:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            os._exit(1)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_every_file_can_be_imported_alone():
    """Each in a process of its own, forked before anything of the package (but after other libraries) was imported."""
    names = [name for name in files() if name != "quickstudy.__main__"]
    others = {each.imported.split(".")[0] for each in all_imports() if each.when == "start"} - {"quickstudy"}
    others |= {each.imported for each in all_imports() if each.when == "start" and each.imported in MANY_FILES}
    arguments = [" ".join(sorted(others)), " ".join(names), *map(str, files().values())]
    done = subprocess.run([sys.executable, "-c", ALONE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stdout, done.stdout
