"""A run's pictures come from one function: after training, after an evaluation, and with a report that finds none."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli.main import main
from quickstudy.core.picture import load_pictures
from quickstudy.report import make_pictures, write_report
from quickstudy.report.pictures import draw

OLD = Path(__file__).parents[1] / "fixtures" / "format-1" / "rl2-bandits"
BANDITS = qs.tasks.Bandits(arms=3)


def learner():
    torch.manual_seed(0)
    return qs.RL2(in_features=1, out_features=3, episodes=4, hidden_size=4)


@pytest.fixture
def trained(tmp_path):
    """From Python: nothing was drawn."""
    qs.train(learner(), BANDITS, steps=2, meta_batch=2, out=tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def old(tmp_path):
    """With a picture of the time when they were PNG."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def files(run):
    return sorted(file.name for file in (run / "pictures").iterdir())


def test_it_draws_the_same_and_changes_nothing(tmp_path):
    run, ours = qs.Run.create(tmp_path / "run", {}), learner().train()
    state = torch.get_rng_state()
    made = make_pictures(run, ours, BANDITS)
    assert torch.equal(torch.get_rng_state(), state)
    assert ours.training
    assert made == load_pictures(tmp_path / "run") == make_pictures(qs.Run(None, {}), ours, BANDITS)


def test_of_most_learners_there_are_none(tmp_path):
    run = qs.Run.create(tmp_path / "run", {})
    assert make_pictures(run, qs.MAML(qs.nets.MLP(), loss="mse"), None) == []
    assert not (tmp_path / "run" / "pictures").exists()


def test_train_makes_them(tmp_path, capsys):
    out = tmp_path / "run"
    options = "--hidden-size 4 --episodes 2 --curriculum 0 --steps 2 --validation-tasks 2 --test-tasks 2 --meta-batch 2"
    assert main(["train", "rl2", "--out", str(out), *options.split()]) == 0
    assert files(out) == ["learning.svg"]
    assert "data:image/svg+xml;base64," in (out / "report.html").read_text()


def test_evaluate_makes_them_anew_and_old_ones_go(old):
    assert files(old) == ["learning.png"]
    assert main(["evaluate", str(old), "--n-tasks", "2"]) == 0
    assert files(old) == ["learning.svg"]
    (first,) = load_pictures(old)
    assert main(["evaluate", str(old), "--n-tasks", "2", "--split", "val"]) == 0
    (other,) = load_pictures(old)
    assert first.image != other.image


def test_report_makes_them_where_there_are_none(trained):
    assert main(["report", str(trained)]) == 0
    assert files(trained) == ["learning.svg"]
    page = (trained / "report.html").read_text()
    assert "Learning within a trial" in page
    assert "No pictures" not in page
    before = (trained / "pictures" / "learning.svg").stat().st_mtime_ns
    assert write_report([qs.Run.open(trained)]).read_text() == page
    assert (trained / "pictures" / "learning.svg").stat().st_mtime_ns == before


def test_all_three_make_the_same(trained):
    write_report([qs.Run.open(trained)])
    (reported,) = load_pictures(trained)
    assert main(["evaluate", str(trained), "--n-tasks", "2"]) == 0
    (evaluated,) = load_pictures(trained)
    assert evaluated == reported


def test_an_old_png_is_shown_as_it_is(old):
    (picture,) = load_pictures(old)
    assert picture.kind == "png"
    page = write_report([qs.Run.open(old)]).read_text()
    assert page.count(picture.address) == 1
    assert page.count(picture.caption) == 2
    assert files(old) == ["learning.png"]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"learner": {"opaque": "mine.Net"}}, "an object of the user&#39;s own (mine.Net)"),
        ({"learner": {"learners": "gone", "options": {}}}, "there is no &#39;gone&#39; among the learners"),
        ({"tasks": {"opaque": "mine.Tasks"}}, "an object of the user&#39;s own (mine.Tasks)"),
        ({"tasks": {"tasks": "bandits", "options": {"arms": -1}}}, "arms"),
        ({"learner": {"learners": "rl2", "options": {}}}, "does not fit this learner"),
    ],
)
def test_the_page_says_why_there_are_none(trained, broken, says):
    config = trained / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **broken}))
    page = write_report([qs.Run.open(trained)]).read_text()
    note = page[page.index("No pictures. ") :]
    assert says in note[: note.index("</p>")]


def test_a_run_without_a_checkpoint_says_so(trained):
    shutil.rmtree(trained / "checkpoints")
    assert "has no checkpoint" in write_report([qs.Run.open(trained)]).read_text()


def test_a_picture_that_fails_does_not_take_the_page_along(trained, monkeypatch):
    def fails(learner, batch):
        raise ZeroDivisionError

    before = draw.dispatch(qs.RL2)
    draw.register(qs.RL2, fails)
    try:
        assert "No pictures. ZeroDivisionError" in write_report([qs.Run.open(trained)]).read_text()
    finally:
        draw.register(qs.RL2, before)


def test_a_report_downloads_nothing(trained, tmp_path, monkeypatch):
    """A run on Omniglot, where there is none."""
    monkeypatch.delenv("QUICKSTUDY_DATA", raising=False)
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "empty"))
    config = json.loads((trained / "config.json").read_text())
    mann = {"learners": "mann", "options": {}}
    omniglot = {"tasks": "omniglot", "options": {"way": 5, "shot": 1, "query": 5}}
    (trained / "config.json").write_text(json.dumps({**config, "learner": mann, "tasks": omniglot}))
    assert "nothing is downloaded here" in write_report([qs.Run.open(trained)]).read_text()
    assert registry.load("learners", "mann").__name__ == "MANN"
