"""README's tables, the navigation, the interface's list and the stubs are what the registry says."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from quickstudy import registry
from quickstudy.core.entry import Entry

DOCS = Path(__file__).resolve().parents[1] / "docs"
spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


@pytest.mark.parametrize("path", generate.committed(), ids=lambda path: path.relative_to(DOCS.parent).as_posix())
def test_what_is_committed_is_what_is_generated(path):
    assert path.read_text(encoding="utf-8") == generate.committed()[path], "run: python docs/generate.py"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
@pytest.mark.parametrize("kind", ["learners", "tasks", "nets"])
def test_each_name_is_in_a_table(page, kind):
    text = generate.fill((DOCS.parent / page).read_text(encoding="utf-8"), "")
    for name in registry.KINDS[kind].own:
        assert f"`{name}`" in text
        assert registry.line(kind, name) in text


def test_every_learner_has_a_page_in_the_navigation():
    config = yaml.load((DOCS.parent / "mkdocs.yml").read_text(), yaml.BaseLoader)
    (learners,) = (section["Learners"] for section in generate.on_config(config)["nav"] if "Learners" in section)
    families = {title: pages for section in learners for title, pages in section.items()}
    assert set(families["In context"]) == {f"learners/{name}.md" for name in generate.by_family()["in_context"]}
    pages = [page for those in families.values() if isinstance(those, list) for page in those]
    assert len(pages) == len({*pages})
    assert {*pages} == {f"learners/{file.name}" for file in (DOCS / "learners").iterdir()}
    for name in registry.LEARNERS.own:
        assert generate.page(name) in pages
        text = (DOCS / generate.page(name)).read_text()
        assert name in text


def test_the_interface_lists_what_is_registered():
    text = "".join(generate.fill(page.read_text(), "") for page in (DOCS / "api").iterdir())
    for kind, names in registry.KINDS.items():
        for entry in names.own.values():
            package = "quickstudy" if kind == "learners" else f"quickstudy.{kind}"
            assert text.count(f"::: {generate._documented(package, entry)}\n") == 1


def test_a_stub_knows_names_that_fix_options(monkeypatch):
    entries = {
        "Tuned": Entry("mine.nets:Net", options={"bias": True}, called="Tuned"),
        "Plain": Entry("mine.nets:Plain"),
    }
    monkeypatch.setitem(generate.EXPORTS, "quickstudy.nets", entries)
    stub = generate.stub("quickstudy.nets")
    for text in (
        "from mine.nets import Plain as Plain\n",
        "import Net as _Net\n",
        "\n\nTuned: functools.partial[_Net]\n",
    ):
        assert text in stub
