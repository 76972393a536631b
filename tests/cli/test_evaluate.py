"""``quickstudy evaluate``."""

import json
import re
import shutil

import torch

import quickstudy as qs
from commands import fails, lines, quickstudy, words_of


def test_evaluate_with_other_shots_and_steps(copied):
    words = words_of(shot=3, query=4, steps=4, n_tasks=6, seed=1, split="val", checkpoint=2)
    done = quickstudy("evaluate", copied, *words)
    assert done.code == 0, done.err
    assert "Glyphs val" in done.out
    assert "3-way 3-shot, 4 queries per class" in done.out
    record = lines(copied / "results.jsonl")[-1]
    assert (record["split"], record["checkpoint"], record["n_tasks"], record["seed"]) == ("val", 2, 6, 1)
    assert [step["step"] for step in record["by_step"]] == [0, 1, 2, 3, 4]


def test_evaluate_as_json_repeats_the_runs_own_test(copied, tmp_path):
    done = quickstudy("evaluate", copied, "--json", "--n-tasks", 6, "--out", tmp_path / "new" / "scores.csv")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    first, again = lines(copied / "results.jsonl")
    assert again == first
    assert result == {name: first[name] for name in result}
    head, *rows = (tmp_path / "new" / "scores.csv").read_text().splitlines()
    assert head == "task,accuracy"
    assert [float(row.split(",")[1]) for row in rows] == result["scores"]


def test_evaluate_chooses_checkpoints(copied):
    for name, step in (("best", qs.Run.open(copied).best_step()), ("last", 3), ("2", 2)):
        assert quickstudy("evaluate", copied, "--n-tasks", 2, "--checkpoint", name).code == 0
        assert lines(copied / "results.jsonl")[-1]["checkpoint"] == step


def test_the_number_of_threads_changes_nothing(copied, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    words = ["evaluate", copied, "--n-tasks", 6, "--json"]
    assert quickstudy(*words, "--workers", 1).out == quickstudy(*words).out
    assert 1 in asked
    fails(2, *words, "--workers", 0, says="--workers must be at least 1, got 0")


def test_evaluate_says_what_cannot_be(copied, waves):
    before = (copied / "results.jsonl").read_text()
    fails(2, "evaluate", copied, "--way", 4, "--n-tasks", 2, says=r"model gives 3 outputs.*out_features = way")
    fails(2, "evaluate", copied, "--n-tasks", 1, says="at least 2 tasks")
    fails(2, "evaluate", copied, "--split", "exam", says="split must be one of")
    fails(2, "evaluate", copied, "--checkpoint", "newest", says="best, last or an outer step")
    fails(2, "evaluate", copied, "--steps", -1, says="steps=-1")
    fails(2, "evaluate", copied, "--device", "abacus", says="abacus")
    fails(4, "evaluate", copied, "--checkpoint", 1, says=r"no checkpoint of step 1.*\[2, 3\]")
    assert (copied / "results.jsonl").read_text() == before


def test_whatever_the_tasks_have_can_be_changed(waves, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    run = shutil.copytree(waves[0], tmp_path / "waves")
    helped = quickstudy("evaluate", run, "--help")
    for option, default in (
        ("--amplitude", r"0\.1 5\.0"),
        ("--shot", "4"),
        ("--n-tasks", "1000"),
        ("--workers", "None"),
    ):
        assert re.search(rf"(?s){option} (?:(?!--).)*\(default: {default}\)", helped.out), option
    assert "--split" in quickstudy("evaluate", "--help").out
    before = quickstudy("evaluate", run, "--n-tasks", 4, "--json")
    other = quickstudy("evaluate", run, "--n-tasks", 4, "--json", "--amplitude", 9, 9)
    assert (before.code, other.code) == (0, 0), other.err
    assert json.loads(other.out)["mean"] > json.loads(before.out)["mean"]
    wrong = quickstudy("evaluate", run, "--way", 3)
    assert wrong.code == 2
    assert "Unrecognized options: --way" in wrong.err
    fails(4, "evaluate", tmp_path / "nowhere", "--way", 3, says="nowhere holds no run")


def test_a_result_that_cannot_be_saved_is_printed_all_the_same(copied):
    (copied / "results.jsonl").unlink()
    (copied / "results.jsonl").mkdir()
    done = quickstudy("evaluate", copied, "--n-tasks", 4)
    assert done.code == 0
    assert "accuracy" in done.out
    assert "could not be saved: cannot write" in done.err
