"""Measurements are rows of CSV files, written by benchmarks; the tables in the docs are made of them."""

import csv
import importlib.util
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "results"


@pytest.fixture(scope="module")
def measured():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("measured", PROJECT / "docs" / "measured.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


@pytest.fixture
def add(measured, tmp_path):
    import results

    def add(**changes):
        row = {"learner": "maml", "tasks": "cifar-fs", "setting": "5w1s", "mean": 50.123, "ci95": 0.9, "n_tasks": 1000}
        return results.add_result_row("own", **{**row, "seed": 0, **changes}, results=tmp_path)

    (tmp_path / "papers.csv").write_text((RESULTS / "papers.csv").read_text())
    return add


def test_a_row_says_how_it_came_about_and_takes_the_place_of_an_older_one(add, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", [str(PROJECT / "benchmarks" / "x.py"), "--out", "/somewhere/of/mine", "--tasks", "a"]
    )
    row = add(options={"b": 2, "a": 1}, budget_s=60.0)
    assert row["command"] == "python benchmarks/x.py --out mine --tasks a"
    assert (row["options"], row["budget_s"], row["mean"], row["bn"]) == ("a=1 b=2", "60", "50.123", "")
    assert row["machine"]
    assert row["torch"].count(".") == 2
    add(options={"a": 1, "b": 2}, budget_s=60.0, mean=51.0)
    add(budget_s=120.0)
    with open(tmp_path / "own.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(r["mean"] for r in rows) == ["50.123", "51"]
    wanted = "benchmark learner tasks setting protocol bn seed budget_s n_tasks metric mean ci95 command commit machine"
    assert {*wanted.split(), "torch", "precision"} <= rows[0].keys()


def test_a_table_of_them(measured, add, tmp_path):
    for seed, mean in enumerate((50, 52)):
        add(mean=mean, seed=seed)
    add(setting="20w1s", mean=20.0)
    add(learner="r2d2", mean=60.0, ci95=None)
    page = "before\n<!-- results: own tasks=cifar-fs -->\nold\n<!-- end -->\nafter\n"
    found = measured.fill(page, tmp_path)
    assert "| learner | 5w1s | paper | 20w1s |\n| --- | --- | --- | --- |\n" in found
    assert "| `maml` | 51.00 ± 0.90 (seeds: 50.00, 52.00) | 58.9 | 20.00 ± 0.90 |\n" in found
    assert "| `r2d2` | 60.00 | 60.0 |  |\n" in found
    assert "tasks: cifar-fs; precision: float32; metric: accuracy_percent" in found
    assert "old" not in found
    assert measured.fill(found, tmp_path) == found
    assert "(no such rows yet)" in measured.fill(page.replace("cifar-fs", "fc100"), tmp_path)


def test_what_is_committed_is_of_that_form(measured):
    import results

    for path in RESULTS.glob("*.csv"):
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows
        for row in rows:
            assert None not in row
            assert float(row["mean"]) >= 0 or row["metric"] != "accuracy_percent"
            if path.stem == "papers":
                assert row["source"]
                assert row["setting"]
            else:
                assert tuple(row) == results.COLUMNS
                assert all(row[column] for column in ("command", "commit", "machine", "torch"))
                assert not any(word.startswith(("/", "~")) for word in row["command"].split())
        if path.stem != "papers":
            keys = [results.key_of(row) for row in rows]
            assert len({*keys}) == len(keys)
            assert {row["benchmark"] for row in rows} == {path.stem}
