"""A run from Python is one like any other: tested, with a page, compared, gone over."""

import pytest
import torch
from torch import nn

import quickstudy as qs

TASKS = qs.tasks.Glyphs(way=2, shot=1, query=2, size=8)
OPTIONS = {"meta_batch": 2, "log_every": 1, "progress": False}


class Own(nn.Module):
    """A network that no run folder can rebuild."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

    def forward(self, x):
        return self.layers(x)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    learner = qs.MAML(Own(), inner_lr=0.1)
    more = {"validation": TASKS, "validation_tasks": 4, "validate_every": 1, "checkpoint_every": 1}
    return qs.train(learner, TASKS, steps=3, out=tmp_path_factory.mktemp("python") / "own", **more, **OPTIONS)


def test_its_learner_has_the_best_weights_whatever_it_is_made_of(run):
    best = run.load(run.best_step())
    learner = run.learner()
    assert learner is not run.trained_here
    assert not learner.training
    assert all(torch.equal(t, best.learner[name]) for name, t in learner.state_dict().items())
    last = run.learner(3).state_dict()
    assert all(torch.equal(t, last[name]) for name, t in run.trained_here.state_dict().items())


def test_opened_again_it_says_what_to_do(run):
    again = qs.Run.open(run.path)
    with pytest.raises(qs.UsageError, match=r"Own.*build it in Python .*load_into\(learner\)"):
        again.learner()
    learner = qs.MAML(Own(), inner_lr=0.1)
    assert again.load_into(learner) == run.best_step()


def test_it_is_tested_and_its_page_shows_it(run):
    result = run.test(qs.tasks.Glyphs(way=2, query=2, size=8, split="test"), n_tasks=4, progress=False)
    record = run.results()[-1]
    assert (record["split"], record["checkpoint"], record["mean"]) == ("test", run.best_step(), result.mean)
    page = run.report().read_text()
    assert f"{100 * result.mean:.2f}%" in page
    assert "Episode 1" in page
    assert repr(run) == f"<Run '{run.path}': MAML on Glyphs; 3 of 3 outer steps, 1 results>"


def test_it_is_compared_with_others(run, tmp_path):
    other = qs.train(qs.Reptile(Own(), inner_steps=1), TASKS, steps=1, out=tmp_path / "other", **OPTIONS)
    page = run.report(other, out=tmp_path / "both.html")
    assert page == tmp_path / "both.html"
    assert "other" in page.read_text()
    with pytest.raises(qs.UsageError, match="say where the report goes"):
        run.report(other)


def test_in_memory_too():
    run = qs.train(qs.MAML(Own(), inner_lr=0.1), TASKS, steps=1, **OPTIONS)
    assert run.test(TASKS, n_tasks=2, progress=False).n_tasks == 2
    assert "in memory" in repr(run)
    with pytest.raises(qs.UsageError, match="say where the report goes"):
        run.report()


def test_a_run_is_gone_over_if_asked_and_nothing_else(tmp_path):
    out = tmp_path / "r"
    make = lambda: qs.MAML(Own(), inner_lr=0.1)
    first = qs.train(make(), TASKS, steps=2, out=out, **OPTIONS)
    first.test(TASKS, n_tasks=2, progress=False)
    first.report()
    qs.train(make(), TASKS, steps=2, out=out, resume=True, **{**OPTIONS, "log_every": 9})  # how often changes nothing
    (out / "notes.txt").write_text("mine")
    with pytest.raises(qs.RunError, match="already holds a run; resume it, overwrite it, or choose another folder"):
        qs.train(make(), TASKS, steps=1, out=out, **OPTIONS)
    with pytest.raises(qs.UsageError, match=r"resume goes on .* overwrite removes it: choose one"):
        qs.train(make(), TASKS, steps=1, out=out, resume=True, overwrite=True, **OPTIONS)
    again = qs.train(make(), TASKS, steps=1, out=out, overwrite=True, **OPTIONS)
    assert (again.steps(), again.results(), len(again.metrics())) == ([0, 1], [], 1)
    assert {path.name for path in out.iterdir()} >= {"notes.txt", "config.json"}
    assert not (out / "report.html").exists()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "report.html").write_text("of something else")
    qs.train(make(), TASKS, steps=1, out=tmp_path / "empty", overwrite=True, **OPTIONS)
    assert (tmp_path / "empty" / "report.html").exists()


def test_progress_is_shown_unless_told_otherwise(capsys):
    run = qs.train(qs.MAML(Own(), inner_lr=0.1), TASKS, steps=2, meta_batch=2)
    assert [record["step"] for record in run.metrics()] == [1, 2]  # a short run has its curve, too
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "step 2/2, loss " in shown.err
    qs.train(qs.MAML(Own(), inner_lr=0.1), TASKS, steps=2, meta_batch=2, progress=False)
    qs.evaluate(qs.MAML(Own()), TASKS, n_tasks=2)  # quick: nothing
    assert capsys.readouterr() == ("", "")
    told = []
    qs.evaluate(qs.MAML(Own()), TASKS, n_tasks=60, progress=lambda done, of: told.append((done, of)))
    assert told == [(25, 60), (50, 60), (60, 60)]
