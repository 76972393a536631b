"""Run folders of format 1, written before the packages were moved and options renamed: they still serve."""

import json
import shutil
from pathlib import Path

import pytest

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli.main import main
from quickstudy.training.upgrade import SINCE_1, upgraded

FORMAT_1 = Path(__file__).parent / "fixtures" / "format-1"
RUNS = sorted(path.name for path in FORMAT_1.iterdir() if path.is_dir())
CONFIGS = json.loads((FORMAT_1 / "configs.json").read_text())


@pytest.fixture(params=RUNS)
def old(request, tmp_path):
    return shutil.copytree(FORMAT_1 / request.param, tmp_path / request.param)


def weights(path, step):
    return qs.Run.open(path).load(step).learner


def test_it_evaluates_as_it_did(old):
    (then,) = qs.Run.open(old).results()
    assert main(["evaluate", str(old), "--n-tasks", str(then["n_tasks"])]) == 0
    now = qs.Run.open(old).results()[-1]
    assert now["metric"] == then["metric"]
    # The return of RL^2 was that of a trial, here of four episodes; it is that of an episode now.
    unit = 4 if old.name == "rl2-bandits" else 1
    expected = [s["mean"] / unit for s in then["by_step"]]
    assert [s["mean"] for s in now["by_step"]] == pytest.approx(expected, rel=1e-3)


def test_it_goes_on_as_it_did(old):
    """From step 2 to where it ended."""
    then = weights(old, 4)
    for file in (old / "checkpoints").glob("step-00000004.*"):
        file.unlink()
    (old / "results.jsonl").unlink()
    assert main(["resume", str(old)]) == 0
    now = weights(old, 4)
    assert now.keys() == then.keys()
    for name, tensor in then.items():
        assert now[name].flatten().tolist() == pytest.approx(tensor.flatten().tolist(), rel=1e-3, abs=1e-5), name


def test_it_has_a_report(old):
    assert main(["report", str(old)]) == 0
    assert "<svg" in (old / "report.html").read_text()


@pytest.mark.parametrize("pair", CONFIGS)
def test_every_learner_and_its_tasks_are_built_from_what_was_written(pair):
    for description in CONFIGS[pair].values():
        now = upgraded(description, 1)
        assert registry.describe(registry.build(now)) == now, "it is not as it would be written now"


@pytest.mark.parametrize("kind_and_name", SINCE_1)
def test_a_renamed_option_keeps_what_was_written(kind_and_name):
    """Each old name is one that was written; its value is what the object has under the new name."""
    kind, name = kind_and_name
    if kind == "rules":
        assert registry.build(upgraded({"rules": name, "options": {"hidden": 3}}, 1)).hidden_size == 3
        return
    written = [d for pair in CONFIGS.values() for d in pair.values() if d.get(kind) == name]
    assert written
    for description in written:
        built = registry.build(upgraded(description, 1))
        for change in SINCE_1[kind_and_name]:
            value = description["options"][change.was]
            if change.now is not None:
                assert registry.describe(getattr(built, change.now)) == change.values.get(value, value)


def test_every_learner_that_was_written_is_still_registered():
    assert {pair.split(" ")[0] for pair in CONFIGS} <= set(registry.LEARNERS)
