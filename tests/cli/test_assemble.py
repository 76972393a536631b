"""From names and options to a learner and its tasks; presets are defaults."""

import dataclasses

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli.assemble import PRESETS, Choice, split_options, train_and_test
from quickstudy.report.content import read_story

TINY = {"way": 3, "size": 16, "filters": 3, "query": 2}


def defaults(choice, way=5, shot=1):
    return {f.name: f.default for f in dataclasses.fields(choice.options(way, shot))}


def options(choice, **given):
    return dataclasses.asdict(choice.options()(**given))


PAIRS = [
    (learner, tasks)
    for learner in registry.LEARNERS
    for tasks in registry.TASKS
    if registry.load("tasks", tasks).kind in registry.load("learners", learner).learns
]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("learner", "tasks"), PAIRS)
def test_every_preset_of_every_learner_fits_every_task_distribution(learner, tasks, preset):
    """Each value of a recipe is an option, of its type, and ``steps`` has a default."""
    for way, shot in ((5, 1), (5, 5), (20, 1)):
        choice = Choice.of(learner, tasks, preset=preset)
        recipe = registry.load("learners", learner).recipe(preset, tasks, way, shot)
        found = defaults(choice, way, shot)
        assert {name: found.get(name, value) for name, value in recipe.items()} == recipe
        assert found["steps"] >= 100


def test_another_net_takes_what_it_knows_of_a_preset():
    choice = Choice("maml", "glyphs", "mlp", "quick")
    assert "filters" not in defaults(choice)
    learner, _ = choice.build(options(choice, way=3, size=16, hidden=(8,)))
    assert (learner.model.in_features, learner.model.out_features, learner.model.hidden) == (256, 3, (8,))


def test_what_follows_from_the_tasks_is_no_option():
    found = set(defaults(Choice("maml", "glyphs", "conv4", "quick")))
    assert not {"split", "in_channels", "out_features", "loss", "resume", "learner", "tasks", "model"} & found
    assert "size" in found  # of the tasks; the net follows


def test_required_options_stay_required():
    with pytest.raises(TypeError, match="root"):
        Choice("maml", "folder", "conv4", "quick").options()()


@pytest.mark.parametrize("learner", [learner for learner, tasks in PAIRS if tasks == "glyphs"])
def test_build_fits_the_net_to_the_tasks(learner):
    choice = Choice(learner, "glyphs", "conv4", "quick")
    own = {"inner_lr": 0.123} if "inner_lr" in defaults(choice) else {}
    tiny = {name: value for name, value in TINY.items() if name in defaults(choice)}
    built, tasks = choice.build(options(choice, **tiny, **own, train_way=None))
    assert isinstance(built, registry.load("learners", learner))
    assert all(getattr(built, name) == value for name, value in own.items())
    assert callable(built.loss) or built.loss == "cross_entropy"
    if not choice.takes_net:
        return
    outputs = None if built.embeds else 3
    model = built.model
    assert (model.in_channels, model.out_features, model.size, model.filters) == (1, outputs, 16, 3)
    assert (tasks.split, tasks.way, tasks.size) == ("train", 3, 16)


def test_regression_gets_its_loss():
    choice = Choice("maml", "sinusoids", "mlp", "quick")
    built, tasks = choice.build(options(choice, hidden=(8,)))
    assert (built.loss, built.model.in_features, built.model.out_features) == ("mse", 1, 1)
    assert isinstance(tasks, qs.tasks.Sinusoids)


def test_classes_cannot_be_told_apart_where_there_are_none():
    choice = Choice("protonet", "sinusoids", "mlp", "quick")
    with pytest.raises(qs.UsageError, match="protonet is for classification; sinusoids: regression"):
        choice.build(options(choice))


def test_training_on_more_ways():
    """The training tasks have train_way classes; the way that was asked for is the test's."""
    choice = Choice("protonet", "glyphs", "conv4", "quick")
    assert defaults(choice, 5)["train_way"] == 20
    assert defaults(choice, 30)["train_way"] == 30
    given = options(choice, **TINY, train_way=7)
    _, tasks = choice.build(given)
    assert tasks.way == 7
    assert split_options(given)[1]["test_way"] == 3
    assert split_options(options(choice, train_way=None))[1]["test_way"] is None


def test_ways_that_a_head_does_not_have():
    choice = Choice("maml", "glyphs", "conv4", "quick")
    learner, tasks = choice.build(options(choice, **TINY, train_way=4))  # the test uses three of the four outputs
    assert (learner.model.out_features, tasks.way) == (4, 4)
    with pytest.raises(qs.UsageError, match="train_way=2 is less than way=3, but maml trains one output per class"):
        choice.build(options(choice, **TINY, train_way=2))
    own = Choice("snail", "glyphs", "conv4", "quick")
    with pytest.raises(qs.UsageError, match="but snail trains one output per class"):
        own.build(options(own, **TINY, train_way=2))
    sines = Choice("maml", "sinusoids", "mlp", "quick")
    with pytest.raises(qs.UsageError, match="sinusoids are no classes; leave out train_way"):
        sines.build(options(sines, train_way=2))


def test_initial_weights_come_from_the_seed_and_from_nothing_else():
    choice = Choice("maml", "sinusoids", "mlp", "quick")
    found = []
    for seed in (0, 0, 1):
        before = torch.get_rng_state()
        built, _ = choice.build(options(choice, hidden=(8,), seed=seed))
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)  # what else happens in the process is of no account
        found.append(torch.cat([p.detach().flatten() for p in built.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("abacus", "glyphs", "conv4", "quick"), "'abacus' among the learners: .*maml, .*reptile"),
        (("maml", "abacus", "conv4", "quick"), "'abacus' among the tasks: .*glyphs"),
        (("maml", "glyphs", "abacus", "quick"), "'abacus' among the nets: cell, conv4, flat, mlp"),
        (("maml", "glyphs", "conv4", "abacus"), "no preset 'abacus': demo, quick, paper"),
    ],
)
def test_unknown_names(names, text):
    with pytest.raises(qs.UsageError, match=text):
        Choice(*names).options()


def test_split_options():
    training, test = split_options(options(Choice("maml", "sinusoids", "mlp", "quick"), steps=7, test_tasks=9))
    assert test == {"test_tasks": 9, "test_steps": 10, "test_query": None, "test_way": None}
    assert training["steps"] == 7
    assert {"meta_batch", "meta_lr", "seed", "out", "device", "workers"} <= set(training)
    assert not {"inner_lr", "hidden", "shot", "test_tasks"} & set(training)


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
