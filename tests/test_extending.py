"""The touches that docs/extending.md counts are all there are: its own learner and tasks, added to a copy by these."""

import re
import shutil
from pathlib import Path

import pytest

from scripts import output

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[1]
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", (PROJECT / "docs" / "extending.md").read_text(), re.M | re.S)
TEST = """from quickstudy import registry


def test_it_is_there():
    assert registry.load("{kind}", "{name}")
"""
CHECK = """if True:
    import sys
    sys.path.append("docs")
    import generate, quickstudy as qs
    assert qs.HeadOnly is qs.learners.HeadOnly and "HeadOnly" in qs.__all__ and qs.tasks.Lines().shot == 5
    assert " import HeadOnly as HeadOnly" in open("src/quickstudy/learners/__init__.pyi").read()
    assert " import Lines as Lines" in open("src/quickstudy/tasks/__init__.pyi").read()
    readme = open("README.md").read()
    assert "| [`head-only`](docs/learners/head-only.md) | `HeadOnly` | Learn features on which" in readme
    assert "| `lines` | `Lines` | Regression of straight lines. |" in readme
    assert "::: quickstudy.HeadOnly" in generate.interface("learners")
    nav = generate.on_config({"nav": [{"Learners": []}]})["nav"][0]["Learners"]
    assert "learners/head-only.md" in nav[0]["Gradient"]
    assert type(qs.preset("head-only", tasks="glyphs", preset="demo").learner) is qs.HeadOnly
    assert type(qs.preset("maml", tasks="lines", net="mlp", preset="demo").tasks) is qs.tasks.Lines
"""


def source(name: str) -> str:
    """The example in the docs that defines the class, as a file."""
    (code,) = (code for code in EXAMPLES if f"\nclass {name}" in code)
    code = code.partition("\n\n\nlines = ")[0].rstrip() + "\n"
    return code if "import torch\n" in code else f"import torch\nimport quickstudy as qs\n{code}"


def insert(file: Path, after: str, line: str) -> None:
    text = file.read_text()
    assert text.count(after) == 1, f"{file}: {after}"
    file.write_text(text.replace(after, after + line))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Five touches and four."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "docs", "tests"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "mkdocs.yml", "pyproject.toml"):
        shutil.copy(PROJECT / name, copy)
    package, tests = copy / "src" / "quickstudy", copy / "tests"
    registry = package / "registry.py"

    (package / "learners" / "gradient" / "head_only.py").write_text(source("HeadOnly"))
    line = '        "head-only": Entry("quickstudy.learners.gradient.head_only:HeadOnly", "Raghu et al. 2020"),\n'
    insert(registry, '    "learners",\n    {\n', line)
    insert(package / "recipes" / "gradient.py", "RECIPES: Mapping[str, MakeRecipe] = {\n", '    "head-only": maml,\n')
    (tests / "learners" / "gradient" / "test_head_only.py").write_text(TEST.format(kind="learners", name="head-only"))
    (copy / "docs" / "learners" / "head-only.md").write_text("# Head only\n\n`quickstudy train head-only`\n")

    (package / "tasks" / "functions" / "lines.py").write_text(source("Lines"))
    insert(registry, '    "tasks",\n    {\n', '        "lines": Entry("quickstudy.tasks.functions.lines:Lines"),\n')
    (tests / "tasks" / "functions" / "test_lines.py").write_text(TEST.format(kind="tasks", name="lines"))
    with (copy / "docs" / "tasks.md").open("a") as page:
        page.write("\n`Lines` are straight.\n")
    return copy


def python(copy, *arguments):
    return output(*arguments, cwd=copy, path=[copy / "src"])


def test_the_rest_follows(copy):
    """Exports, stubs, tables, navigation, interface; contract, round trips and recipes are checked, and hold."""
    python(copy, "docs/generate.py")
    python(copy, "-c", CHECK)
    pages = ["tests/test_registry.py", "tests/test_generated.py", "tests/learners/test_contract.py"]
    pages += ["tests/recipes/test_table.py", "tests/learners/gradient/test_head_only.py"]
    pages += ["tests/tasks/functions/test_lines.py"]
    chosen = "head-only or lines or generated or has_a_recipe or is_checked or head_only"
    ran = python(copy, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "-v", "-k", chosen, *pages)
    for test in (
        "test_names_lead_to_classes_and_back[learners-head-only]",
        "test_round_trip[learners-head-only]",
        "test_round_trip[tasks-lines]",
        "test_images[head-only-support]",
        "test_every_learner_has_a_page_in_the_navigation",
        "test_every_learner_has_a_recipe",
    ):
        assert re.search(rf"{re.escape(test)} PASSED", ran), ran
