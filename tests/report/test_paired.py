"""Runs beside each other: differences task by task, and seeds together."""

import pytest
import torch

from quickstudy.core.scores import score
from quickstudy.report import write_report
from quickstudy.report.content import read_story
from quickstudy.report.paired import differences, seeds
from quickstudy.training.intervals import half_width
from quickstudy.training.results import Result, StepScore
from quickstudy.training.runs import Run

ONE = torch.linspace(0.2, 0.8, 12, dtype=torch.float64)
GAP = torch.tensor([0.1, 0.0, 0.05] * 4, dtype=torch.float64)


@pytest.fixture
def make(tmp_path):
    """A run with one result of these scores."""

    def made(name, scores, *, metric="accuracy", seed=0, draws=12, classes=None, lr=0.1, task_seed=0, **more):
        config = {"learner": {"learners": "maml", "options": {"inner_lr": lr}}, "training": {"steps": 9, "seed": seed}}
        run = Run.create(
            tmp_path / name, {**config, "tasks": {"tasks": "glyphs", "options": {}}, "classes": classes, **more}
        )
        mean = float(scores.mean())
        steps = (StepScore(0, 0.2, 0.01, 1.6), StepScore(1, mean, 0.1, 0.5))
        told = {"n_tasks": 12, "seed": task_seed, "bn": "none", "tasks": "Glyphs test", "draws": draws}
        run.add_result({**Result(metric, steps, **told, scores=tuple(scores.tolist())).to_json(), "split": "test"})
        return run

    return made


def told(*runs):
    return differences(runs, [read_story(run) for run in runs])


def test_differences_are_of_tasks(make):
    first, other = make("a", ONE), make("b", ONE + GAP)
    width = float(half_width(GAP))
    assert told(first, other) == ["", score("accuracy").gap(0.05, width)] == ["", "+5.0 ± 2.7"]
    assert told(other, first) == ["", "\u22125.0 ± 2.7"]
    assert width < float(half_width(ONE))


def test_tasks_of_one_draw_count_once(make):
    first, other = make("a", ONE, draws=6, metric="mse"), make("b", ONE + GAP, draws=6, metric="mse")
    assert told(first, other)[1] == score("mse").gap(0.05, float(half_width(GAP, [2] * 6)))


@pytest.mark.parametrize("changed", [{"task_seed": 1}, {"metric": "mse"}, {"classes": {"test": ["ant"]}}])
def test_other_tasks_are_not_compared(make, changed):
    usual = {"classes": {"test": ["bee"]}}
    assert told(make("a", ONE, **usual), make("b", ONE, **{**usual, **changed})) == ["", ""]


def test_tasks_of_ones_own_go_by_what_they_drew(make):
    own = [{"tasks": {"opaque": "mine.Tasks"}, "fingerprint": {"tasks": {"x": drawn}}} for drawn in (1, 2)]
    first, other, same = make("a", ONE, **own[0]), make("b", ONE + GAP, **own[1]), make("c", ONE + GAP, **own[0])
    assert [text[:5] for text in told(first, other, same)] == ["", "", "+5.0 "]


def test_seeds_of_one_configuration_stand_together(make):
    runs = [make("a", ONE), make("b", ONE + GAP, seed=1), make("c", ONE, seed=2, lr=0.2), make("d", ONE, seed=1)]
    (found,) = seeds(runs, [read_story(run) for run in runs], ["a", "b", "c", "d"])
    assert found.names == ["a", "b"]  # the second run of seed 1 says nothing new
    assert found.about == "accuracy of MAML on drawn characters"
    assert found.score.startswith("53% ± ")
    page = write_report(runs[:2], runs[0].path / "both.html").read_text()
    assert "difference to a" in page
    assert f"Over the 2 seeds of a, b: {found.about} <strong>{found.score}</strong>" in page
    assert "difference to" not in write_report(runs[0]).read_text()
