"""From Python what the command line sets up, to the same numbers."""

import json

import pytest
import torch

import quickstudy as qs
from quickstudy.cli.main import main

TINY = {"size": 16, "filters": 3, "query": 2, "train_way": 6}
TRAINING = {"steps": 2, "meta_batch": 2, "validate_every": 1, "validation_tasks": 2, "log_every": 1, "test_tasks": 4}


def words(options):
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def lines(run, name):
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


@pytest.mark.parametrize(
    ("learner", "tasks", "shape", "more"),
    [
        ("protonet", "glyphs", {"way": 3, "shot": 2}, TINY),
        ("maml", "sinusoids", {"shot": 3}, {"query": 4}),
        ("rl2", "bandits", {}, {"hidden_size": 8, "trials": 3}),
    ],
)
def test_the_same_numbers_as_the_command_line(learner, tasks, shape, more, tmp_path):
    options = {**TRAINING, **more}
    by_hand, by_name = tmp_path / "by-hand", tmp_path / "by-name"
    told = ["--tasks", tasks, "--preset", "demo", *words({**shape, "seed": 3, **options})]
    assert main(["train", learner, *told, "--out", str(by_name)]) == 0
    setup = qs.preset(learner, tasks=tasks, preset="demo", seed=3, options=options, **shape)
    run = qs.train(setup.learner, setup.tasks, **setup.training, out=by_hand)
    result = qs.evaluate(run.learner(), setup.test_tasks, **setup.test)
    ours, theirs = (learner.state_dict() for learner in (run.learner(), qs.Run.open(by_name).learner()))
    assert ours
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    timeless = [
        [{name: value for name, value in line.items() if name != "seconds"} for line in lines(out, "metrics.jsonl")]
        for out in (by_hand, by_name)
    ]
    assert timeless[0] == timeless[1]
    assert len(timeless[0]) == 4
    (tested,) = lines(by_name, "results.jsonl")
    assert (tested["mean"], tested["ci95"], tested["tasks"]) == (result.mean, result.ci95, result.tasks)
    configs = [json.loads((out / "config.json").read_text()) for out in (by_hand, by_name)]
    for part in ("learner", "tasks", "validation", "training"):
        assert configs[0][part] == configs[1][part]


def test_it_unpacks():
    learner, tasks, training = qs.preset("maml", tasks="glyphs", way=3, options={"size": 16, "filters": 4, "clip": 2.0})
    assert (learner.model.filters, learner.model.out_features, tasks.way, tasks.size) == (4, 3, 3, 16)
    said = ("steps", "meta_batch", "meta_lr", "schedule", "clip", "validation", "seed")
    assert set(training) == set(said)
    assert (training["validation"].split, training["validation"].way, training["seed"]) == ("val", 3, 0)
    assert (training["steps"], training["clip"]) == (4000, 2.0)


def test_what_depends_on_way_and_shot():
    """Given by name or among the options; a range does not matter."""
    few = qs.preset("maml", tasks="glyphs", way=20, shot=5, preset="paper")
    assert (few.learner.inner_lr, few.learner.inner_steps, few.tasks.query) == (0.1, 5, 5)
    again = qs.preset("maml", tasks="glyphs", preset="paper", options={"way": 20, "shot": 5})
    assert (again.learner.inner_lr, again.tasks.way, again.tasks.query) == (0.1, 20, 5)
    assert qs.preset("maml", tasks="sinusoids", options={"shot": (1, 4)}).tasks.shot == (1, 4)


def test_the_tests_own_options():
    setup = qs.preset("protonet", tasks="glyphs", preset="demo", options={"test_tasks": 7})
    assert (setup.tasks.way, setup.training["validation"].way, setup.test_tasks.way) == (20, 5, 5)
    assert (setup.test_tasks.split, setup.test_tasks.query, setup.tasks.query) == ("test", 15, 5)
    assert setup.test == {"n_tasks": 7, "steps": None}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"learner": "abacus"}, "no 'abacus' among the learners"),
        ({"tasks": "sinusoids", "way": 5}, "maml on sinusoids with mlp has no option way; there are .*amplitude"),
        ({"tasks": "folder"}, "maml on folder must be given root"),
        ({"options": {"filtres": 3}}, "maml on omniglot with conv4 has no option filtres; there are .*filters"),
        ({"options": {"validation": None}}, "has no option validation"),
        ({"preset": "best"}, "no preset 'best'"),
        ({"net": "abacus"}, "no 'abacus' among the nets"),
        ({"learner": "protonet", "tasks": "gp"}, "protonet is for classification; gp: regression"),
    ],
)
def test_what_it_refuses(given, text):
    with pytest.raises(qs.UsageError, match=text):
        qs.preset(**{"learner": "maml", **given})
