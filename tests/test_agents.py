"""benchmarks/agents.py runs, at sizes that take seconds, and its rules for bandits are what they are called."""

import json
from pathlib import Path

import pytest

from scripts import output as run

pytestmark = pytest.mark.slow

AGENTS = Path(__file__).resolve().parents[1] / "benchmarks" / "agents.py"


def test_rows_are_run_once_and_printed(tmp_path):
    given = (AGENTS, "--bandits", "--budget", 0.5, "--test-tasks", 30, "--pulls", 10, "--arms", 5, "--out", tmp_path)
    first = run(*given)
    assert "1/1" in first
    assert "| 10, 5 |" in first
    again = run(*given)
    assert "1/1" not in again
    assert again.splitlines()[-1] == first.splitlines()[-1]
    (record,) = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert (record["what"], record["n_tasks"]) == ("bandits", 30)
    assert record["options"] == {"episodes": 10, "arms": 5, "meta_batch": 640}
    # random, greedy, Thompson sampling and UCB1 of 10,000 bandits, as Duan et al. have them
    cells = [float(cell.split("±")[0]) for cell in first.splitlines()[-1].strip("| ").split(" | ")[2:6]]
    assert abs(cells[0] - 5.0) < 0.1
    assert abs(cells[1] - 6.6) < 0.15
    assert abs(cells[2] - 5.7) < 0.15
    assert cells[0] < cells[3] < cells[1] + 0.2


def test_who_knows_more_of_an_mdp_gets_more_of_it(tmp_path):
    given = ("--mdps", "--budget", 0.5, "--test-tasks", 100, "--episodes", 10, "--out", tmp_path)
    last = run(AGENTS, *given).splitlines()[-1].strip("| ").split(" | ")
    at_random, sampling, known = (float(cell.split("±")[0]) for cell in last[2:5])
    assert abs(at_random - 100) < 10  # mean rewards are 1, over 100 steps
    assert at_random + 15 < sampling < known - 30
