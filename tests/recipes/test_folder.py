"""Recipes for images of a person's own: as many examples as there are, and minutes."""

import pytest
from PIL import Image

import quickstudy as qs
from quickstudy.recipes import Choice, held_out, split_options


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes in each split, eight images of each."""
    root = tmp_path_factory.mktemp("photos")
    for split in ("train", "val", "test"):
        for name in "abc":
            folder = root / split / f"{split}-{name}"
            folder.mkdir(parents=True)
            for n in range(8):
                Image.new("RGB", (10, 10), (20 * n, 40, 90)).save(folder / f"{n}.png")
    return root


@pytest.mark.parametrize(("shot", "query", "test_query"), [(1, 5, 7), (5, 3, 3), (7, 1, 1)])
def test_a_class_of_eight_images_is_enough(photos, shot, query, test_query):
    choice = Choice("protonet", "folder", "conv4", "quick")
    options = choice.options({"root": str(photos), "shot": shot, "size": 16}, shot=shot)
    assert (options["way"], options["query"], options["test_query"]) == (3, query, test_query)
    assert (options["bn"], options["steps"], options["test_tasks"]) == ("support", 1000, 300)
    learner, tasks = choice.build(options)
    assert learner.bn_mode == "support"
    validation, test = held_out(tasks, split_options(options)[1])
    assert [t.sample(1, 0).query.x.shape[1] for t in (validation, test)] == [3 * query, 3 * test_query]


def test_what_is_said_wins_and_paper_stays_paper(photos):
    choice = Choice.of("maml", "folder", preset="paper")
    options = choice.options({"root": str(photos), "way": 2, "bn": "transductive"}, way=2)
    assert (options["way"], options["bn"], options["steps"]) == (2, "transductive", 60000)


def test_a_folder_that_is_not_there_says_so_when_it_is_built(tmp_path):
    choice = Choice("protonet", "folder", "conv4", "quick")
    options = choice.options({"root": str(tmp_path / "nowhere")})
    with pytest.raises(qs.DataError, match="nowhere is not a folder"):
        choice.build(options)


@pytest.mark.parametrize(
    ("learner", "tasks", "option", "share"),
    [
        ("rl2", "bandits", "curriculum", 2),
        ("lstm-optimizer", "problems", "curriculum", 2),
        ("meta-nas", "glyphs", "anneal", 1),
        ("mamlpp", "glyphs", "multi_step", 4),
        ("mamlpp", "sinusoids", "multi_step", 10),
    ],
)
def test_what_changes_over_the_training_follows_the_steps_that_are_asked_for(learner, tasks, option, share):
    choice = Choice.of(learner, tasks)
    assert choice.options({"steps": 4000})[option] == 4000 // share
    assert choice.options({"steps": 4000, option: 7})[option] == 7
    usual = choice.options()
    assert usual[option] == usual["steps"] // share


def test_from_python_too(photos):
    setup = qs.preset("protonet", tasks="folder", options={"root": str(photos), "size": 16, "steps": 5})
    assert setup.training["steps"] == 5
    assert setup.tasks.way == 3
    assert setup.test["n_tasks"] == 300
