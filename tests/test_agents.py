"""benchmarks/agents.py runs, at sizes that take seconds, and its rules for bandits are what they are called."""

import json
from pathlib import Path

import pytest
import torch

from scripts import benchmark
from scripts import output as run

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
AGENTS = BENCHMARKS / "agents.py"
gittins_index = benchmark("bandit_rules").gittins_index

pytestmark = pytest.mark.slow


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


def test_indices_of_gittins_are_the_published_ones():
    """Gittins: Multi-armed Bandit Allocation Indices, tables of Bernoulli arms with a uniform prior."""
    index = gittins_index(0.9, 10)
    after = [index[wins, losses] for wins, losses in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 0), (9, 1))]
    torch.testing.assert_close(
        torch.stack(after), torch.tensor([0.7029, 0.6346, 0.6010, 0.5001, 0.8001, 0.8695]), atol=1e-4, rtol=0
    )
    assert abs(gittins_index(0.99, 10)[0, 0] - 0.8699) < 1e-4


def test_rules_of_bandits_and_their_constants(tmp_path):
    last = run(BENCHMARKS / "bandit_rules.py", "--pulls", 10, "--arms", 5, "--results", tmp_path).splitlines()[-1]
    cells = [float(cell.split("±")[0]) for cell in last.strip("| ").split(" | ")[1:]]
    assert max(cells) in cells[-2:]  # what was tuned, or is best where rewards are discounted
    assert (tmp_path / "bandits.csv").read_text().count("\n") == 7
