"""Optimizers compared on a model and data of one's own, from Python and from the command line."""

import json
import re

import pytest
import torch
from torch import nn

import quickstudy as qs
from commands import fails, quickstudy
from quickstudy.apply import own_problem
from quickstudy.apply.own_problem import TUNING, USUAL, compare_on, load_problem
from quickstudy.rules import LearnedAdam

OWN = """
import torch
from torch import nn

def problem(seed):
    torch.manual_seed(seed)
    model, x = nn.Linear(2, 1), torch.randn(20, 2)
    return model, lambda step: (model(x) - x.sum(1, keepdim=True)).square().mean()

def wrong(seed):
    return nn.Linear(2, 1)

def flat(seed):
    return nn.Linear(2, 1), lambda step: 3.0

number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    return path


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Two optimizers at two step sizes."""
    monkeypatch.setattr("quickstudy.apply.comparison.GRID", (1e-4, 0.1))
    monkeypatch.setattr(own_problem, "USUAL", {name: USUAL[name] for name in ("SGD", "Adam")})


def test_each_is_tuned_on_other_seeds_and_learned_rules_stand_beside(file):
    seeds, own = [], load_problem(f"{file}:problem")

    def problem(seed):
        seeds.append(seed)
        return own(seed)

    told = []
    more = {"steps": 8, "seeds": (3, 4), "progress": lambda done, of: told.append((done, of))}
    rows = compare_on(problem, {"mine": LearnedAdam()}, name="own", **more)
    assert {row.optimizer for row in rows} == {"SGD", "Adam", "mine"}
    assert [row.final for row in rows] == sorted(row.final for row in rows)
    assert {row.optimizer: row.lr for row in rows} == {"SGD": 0.1, "Adam": 0.1, "mine": None}
    assert set(seeds) == {3, 4, TUNING}
    assert told[-1] == (2 * (2 + 2) + 2, 2 * (2 + 2) + 2)
    for row in rows:
        assert row.at == tuple(range(9))
        assert row.curve[0] == 1
        assert row.curve[-1] == pytest.approx(row.final)


def test_what_diverges_is_bounded():
    def problem(seed):
        model = nn.Linear(1, 1)
        return model, lambda step: (1e6 * model(torch.ones(1, 1))).square().mean() * 10.0**step

    row = compare_on(problem, {}, steps=4, seeds=(0,))[-1]
    assert (row.diverged, row.final) == (1.0, 10.0)


def test_the_command(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "optimizers.html"
    words = ["optimize", "--steps", 4, "--seeds", 2]
    done = quickstudy(*words, "--module", "mine.py:problem", "--html", page, "--json")
    assert done.code == 0, done.err
    rows = json.loads(done.out)
    assert {row["family"] for row in rows} == {"mine.py:problem"}
    assert {row["optimizer"] for row in rows} == {"SGD", "Adam", "learned"}
    html = page.read_text()
    assert "Optimizers on mine.py:problem" in html
    assert "<svg" in html
    assert not re.search(r"<script|src=\"(?!data:)", html)
    one = quickstudy("optimize", "--steps", 2, "--seeds", 1, "--module", "mine.py:problem", "--json")
    assert json.loads(one.out)[0]["final_ci95"] is None  # nan is no JSON
    fails(2, *words, "--module", "mine.py:nothing", says=r"mine\.py:nothing cannot be loaded: AttributeError")
    fails(2, *words, "--module", "nowhere.py:problem", says=r"cannot be loaded: FileNotFoundError")
    fails(2, *words, "--module", "mine.py:number", says="is no function")
    fails(2, *words, "--module", "mine.py:wrong", says=r"must give \(model, loss\)")
    fails(2, *words, "--module", "mine.py:flat", says=r"must be one number that depends on the model, got 3\.0")


def test_options_out_of_range():
    with pytest.raises(qs.UsageError, match="steps must be a whole number >= 1"):
        compare_on(lambda seed: None, {}, steps=0)
