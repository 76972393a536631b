"""The benchmark of few classes runs at a size that takes seconds, and goes on where it stopped."""

import json
from pathlib import Path

import pytest

from scripts import output

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "few_classes.py"


def test_few_classes(omniglot_data, tmp_path):
    def run(*arguments: object) -> str:
        environment = {"QUICKSTUDY_DATA": str(omniglot_data)}
        return output(SCRIPT, "--out", tmp_path, "--bases", 20, *arguments, env=environment)

    small = ("--learners", "protonet", "--kinds", "real", "made", "--budget", 0.2, "--gan-budget", 0.2, "--n-tasks", 4)
    printed = run(*small)
    assert "task-gan of 20 classes" in printed
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [(row["learner"], row["kind"]) for row in rows] == [
        ("task-gan", "real"),
        ("protonet", "real"),
        ("protonet", "made"),
    ]
    assert all(row["base"] == 20 and row["n_tasks"] == 4 for row in rows)
    assert run(*small).splitlines()[-1] == printed.splitlines()[-1] == run("--table").splitlines()[-1]
    assert (tmp_path / "results.jsonl").read_text().count("\n") == 3
