"""A package of somebody else, from the command line: by the names of its entry points, and by ``module:Class``."""

import shutil
import tomllib
from pathlib import Path

import pytest

from scripts import SOURCE, run

pytestmark = pytest.mark.slow

TINY = Path(__file__).parent / "fixtures" / "tiny_package"
OPTIONS = ["--steps", "2", "--meta-batch", "2", "--validation-tasks", "2", "--test-tasks", "2", "--workers", "1"]


def quickstudy(folder, *arguments, **env):
    """Its output; nothing is written where it is imported from."""
    path = [SOURCE, *filter(None, [env.pop("site", "")])]
    return run("-m", "quickstudy", *arguments, cwd=folder, path=path, env=env)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package, installed: its files, and beside them what pip would write of its pyproject.toml."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((TINY / "pyproject.toml").read_text())["project"]
    shutil.copytree(TINY / "tiny_package", site / "tiny_package")
    info = site / f"tiny_package-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in points.items()) for group, points in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return site


def test_by_the_names_of_entry_points(site, tmp_path):
    listed = quickstudy(tmp_path, "list", site=str(site))
    assert "tiny-head" in listed.stdout, listed.stderr
    assert "On which side of a random line through the origin a point lies." in " ".join(listed.stdout.split())
    names = ["tiny-head", "--tasks", "tiny-sides", "--net", "tiny-net"]
    trained = quickstudy(tmp_path, "train", *names, "--hidden", 4, "--out", "run", *OPTIONS, site=str(site))
    assert trained.returncode == 0, trained.stderr
    tested = quickstudy(tmp_path, "evaluate", "run", "--shot", 2, "--n-tasks", 2, site=str(site))
    assert tested.returncode == 0, tested.stderr
    without = quickstudy(tmp_path, "evaluate", "run", "--n-tasks", 2)
    assert without.returncode == 2
    assert "there is no 'tiny-" in without.stderr


def test_by_module_and_class_from_the_current_folder(tmp_path):
    """Which is trusted when a person names it, and not when a run folder does."""
    shutil.copytree(TINY / "tiny_package", tmp_path / "tiny_package")
    names = [
        "tiny_package.learner:TinyHead",
        "--tasks",
        "tiny_package.tasks:Sides",
        "--net",
        "tiny_package.net:TinyNet",
    ]
    trained = quickstudy(tmp_path, "train", *names, "--out", "run", *OPTIONS)
    assert trained.returncode == 0, trained.stderr
    refused = quickstudy(tmp_path, "evaluate", "run", "--n-tasks", 2)
    assert refused.returncode == 2
    assert "names code that does not belong to quickstudy, tiny_package." in refused.stderr
    tested = quickstudy(tmp_path, "evaluate", "run", "--n-tasks", 2, QUICKSTUDY_TRUST="tiny_package")
    assert tested.returncode == 0, tested.stderr
