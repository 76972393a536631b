"""README.md and docs/ tell the truth: their Python runs, their commands and links exist."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import quickstudy as qs
from quickstudy.cli import main as cli
from quickstudy.recipes import Choice

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((PROJECT / "docs").rglob("*.md"))
NOTEBOOKS = sorted((PROJECT / "docs" / "notebooks").iterdir())
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")


class Block(NamedTuple):
    """A fenced block, the number of the line before its first, and the line above the fence."""

    language: str
    code: str
    line: int
    above: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        found.append(Block(match[2], match[3], text.count("\n", 0, match.start(3)), before))
    return found


def commands(page: Path) -> list[list[str]]:
    """The words of every ``quickstudy`` command in a page's shell blocks, what launches it left out."""
    found = []
    for block in blocks(page):
        if block.language == "bash":
            for line in block.code.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                starts = [i for i, word in enumerate(words) if Path(word).name == "quickstudy"]
                found += [words[i + 1 :] for i in starts]
    return found


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(PROJECT)) for page in pages]


WITH_PYTHON = [page for page in PAGES if any(b.language == "python" for b in blocks(page))]
WITH_COMMANDS = [page for page in PAGES if commands(page)]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=names(WITH_PYTHON))
def test_python_runs(page, tmp_path, monkeypatch):
    """A page's blocks, in order, in one namespace, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python" and not NOT_RUN.fullmatch(block.above):
            # The blank lines put line numbers of a failure where they are in the page.
            exec(compile("\n" * block.line + block.code, str(page), "exec"), namespace)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_notebooks_run(path, tmp_path, monkeypatch):
    """Their cells, in order, in an empty folder; what is stored was printed by all of them, in this order."""
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), "run: make notebooks"
    assert not [out for cell in cells for out in cell["outputs"] if out.get("name") == "stderr"], "a warning is stored"
    namespace = {"__name__": "__main__"}
    for cell in cells:
        exec(compile("".join(cell["source"]), path.name, "exec"), namespace)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=names(WITH_COMMANDS))
def test_commands_exist(page, capsys, monkeypatch):
    """``train`` reads its options as it does for a user, then stops; the others have theirs in their help."""
    learner = qs.MAML(qs.nets.MLP())
    monkeypatch.setattr(Choice, "build", lambda self, options: (learner, None))
    monkeypatch.setattr("quickstudy.cli.train.train_and_test", lambda *args, **kwargs: None)
    for command, *rest in commands(page):
        assert command in cli.COMMANDS, command
        if command == "train":
            assert cli.main([command, *rest]) == 0, capsys.readouterr().err
            continue
        assert cli.main([command, "--help"]) == 0
        there = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
        asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert asked <= there, f"{command}: {sorted(asked - there)}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    """Those of docs/ are checked by ``mkdocs build --strict``."""
    targets = re.findall(r"\]\(([^)#]+)", (PROJECT / name).read_text())
    missing = [t for t in targets if not t.startswith("https://") and not (PROJECT / t).exists()]
    assert not missing


def hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, PROJECT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equations_are_mathematics():
    equations = hook("equations")
    pages = {page: page.read_text() for page in PAGES if "```math" in page.read_text()}
    assert {page.name for page in (PROJECT / "docs" / "learners").iterdir()} <= {page.name for page in pages}
    for page, text in pages.items():
        filled = equations.fill(text)
        assert filled.count("<math") == text.count("```math"), page
        assert not re.search(r"<m[in]>(?:&(?:amp;)?|\\\w*)<", filled), (
            f"{page}: something that latex2mathml does not know"
        )


@pytest.mark.parametrize(
    ("tag", "elsewhere"),
    [
        ('<script src="https://host/x.js"></script>', True),
        ("<link rel=stylesheet href=//host/x.css>", True),
        ('<link href="https://host/f" rel="preconnect">', True),
        ('<img alt="" src="http://host/x.png">', True),
        ('<a href="https://host/">', False),
        ('<link rel="canonical" href="https://host/">', False),
        ('<script src="../assets/x.js"></script>', False),
    ],
)
def test_the_site_loads_nothing_from_elsewhere(tag, elsewhere):
    assert bool(hook("alone").loaded(f"<html>{tag}</html>")) is elsewhere


def test_every_example_is_in_the_gallery():
    """With its picture, which brings its colours and its ground, and what it printed on no machine in particular."""
    gallery = hook("gallery")
    kept = PROJECT / "docs" / "gallery"
    assert {path.name for path in kept.iterdir()} == {f"{n}.{kind}" for n in gallery.names() for kind in ("svg", "txt")}
    page = gallery.fill((PROJECT / "docs" / "gallery.md").read_text())
    for name in gallery.names():
        assert f"## {name}\n" in page
        assert "background: var(--card)" in (kept / f"{name}.svg").read_text()
        assert not re.search(r"(^|\s)/\w", (kept / f"{name}.txt").read_text()), "a path of a machine"
