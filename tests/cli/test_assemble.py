"""What the command line joins: the options of a choice, training, the final test."""

import dataclasses

import pytest

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli.assemble import options_class, train_and_test
from quickstudy.recipes import Choice, split_options
from quickstudy.report.content import read_story

TINY = {"way": 3, "size": 16, "filters": 3, "query": 2}


def options(choice, **given):
    return dataclasses.asdict(options_class(choice)(**given))


def test_required_options_stay_required():
    with pytest.raises(TypeError, match="root"):
        options(Choice("maml", "folder", "conv4", "quick"))


@pytest.mark.parametrize("learner", registry.LEARNERS)
def test_the_command_lines_options_are_those_of_python(learner):
    """But for what fits on no command line."""
    choice = Choice.of(learner)
    found, all_of_them = options(choice), choice.options()
    assert set(found) <= set(all_of_them)
    assert {name: all_of_them[name] for name in found} == found
    assert {"seed", "out", "optimizer", "steps", "train_way", "test_query"} <= set(found)


def prepared(learner="maml", **given):
    choice = Choice(learner, "glyphs", "conv4", "quick")
    built = options(choice, **TINY, **{"steps": 2, "meta_batch": 2, "test_tasks": 4, "validation_tasks": 2, **given})
    return *choice.build(built), *split_options(built)


def test_train_and_test(tmp_path):
    said = []
    learner, tasks, training, test = prepared(test_query=3, test_steps=2)
    out = str(tmp_path / "r")
    finished = train_and_test(learner, tasks, training, test, out=out, say=said.append, command="as given")
    assert finished is not None
    run, result = finished
    assert run.config["command"] == "as given"
    assert run.config["test"] == {"test_tasks": 4, "test_steps": 2, "test_query": 3, "test_way": None}
    assert run.config["validation"]["options"]["split"] == "val"
    assert "Glyphs test" in result.tasks
    assert "3 queries per class" in result.tasks
    assert [s.step for s in result.by_step] == [0, 1, 2]
    (record,) = run.results()
    assert (record["split"], record["checkpoint"], record["mean"]) == ("test", 2, result.mean)
    assert "Glyphs train" in said[0]
    assert "BatchNorm: transductive" in said[0]
    assert out in said[0]


def test_trained_on_more_ways_than_tested_on(tmp_path):
    learner, tasks, training, test = prepared("protonet", train_way=6)
    out = str(tmp_path / "r")
    finished = train_and_test(learner, tasks, training, test, out=out, say=lambda text: None)
    assert finished is not None
    run, result = finished
    assert "3-way" in result.tasks
    assert [run.config[part]["options"]["way"] for part in ("tasks", "validation")] == [6, 3]
    story = read_story(run)
    assert (story.shape, story.chance) == ("3-way 1-shot", 1 / 3)


@pytest.mark.parametrize(
    "given", [{"test_query": 0}, {"test_tasks": 1}, {"test_steps": -1}], ids=lambda given: next(iter(given))
)
def test_what_cannot_be_tested_is_said_before_the_training(tmp_path, given):
    learner, tasks, training, test = prepared(**given)
    with pytest.raises(qs.UsageError, match=next(iter(given)).removeprefix("test_")):
        train_and_test(learner, tasks, training, test, out=str(tmp_path / "r"), say=lambda text: None)
    assert not (tmp_path / "r").exists()
