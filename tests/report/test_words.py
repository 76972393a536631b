"""Titles, and what is said of a training: for everything that is registered."""

import pytest

import quickstudy as qs
from quickstudy import registry
from quickstudy.recipes import usual_tasks
from quickstudy.report import write_report
from quickstudy.report.words import called, heading


@pytest.mark.parametrize("name", registry.LEARNERS.own)
def test_learners_have_names_in_words(name):
    said = heading({"learners": name}, {"tasks": usual_tasks(name)})
    assert ":" in registry.line("learners", name)
    assert said.startswith(called({"learners": name}))
    assert (" in " in said) == (usual_tasks(name) == "games")


@pytest.mark.parametrize("name", registry.TASKS.own)
def test_tasks_have_names_in_words(name):
    cls = registry.load("tasks", name)
    assert any(hasattr(cls, attribute) for attribute in ("called", "title", "titles"))


def test_what_an_option_makes_of_it():
    naive = {"learners": "lola", "options": {"method": "naive"}}
    assert heading(naive, {"tasks": "games", "options": {"game": "chicken"}}) == (
        "Naive learners against themselves in iterated chicken"
    )
    assert called({"learners": "ntm", "options": {"cell": "lstm"}}) == "An LSTM"
    assert called({"learners": "mine:Own"}) == "Own"


def page_of(tmp_path, learner, result=None):
    run = qs.Run.create(tmp_path / learner, {"learner": {"learners": learner, "options": {}}, "training": {"steps": 2}})
    run.log({"step": 1, "train/accuracy": 0.5, "train/loss": 0.5})
    return write_report([run]).read_text()


def test_who_plays_itself_meets_no_opponents(tmp_path):
    learner, games = qs.LOLA(pairs=3), qs.tasks.IteratedGames()
    run = qs.train(learner, games, steps=1, meta_batch=1, optimizer="sgd", out=tmp_path / "lola", progress=False)
    run.test(games, n_tasks=2, progress=False)
    said = write_report([run]).read_text()
    assert "opponent" not in said.replace("Opponent-Learning", "").replace("opponent-learning", "")
    assert "opponents: naive" in games.describe()
    assert "For comparison: both cooperating" in said


def test_curves_that_are_not_what_a_test_gives_are_marked(tmp_path):
    assert "training: examples just fitted" in page_of(tmp_path, "reptile")
    assert "training: " not in page_of(tmp_path, "maml")
    both = [qs.Run.open(tmp_path / name) for name in ("maml", "reptile")]
    assert "reptile: examples just fitted" in write_report(both, tmp_path / "both.html").read_text()
