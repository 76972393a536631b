"""``quickstudy resume``: after an interruption, and for longer."""

import os
import signal

import pytest
import torch

import quickstudy as qs
from commands import WAVES, config, fails, lines, quickstudy
from quickstudy.cli.terminal import ProgressLine
from quickstudy.training.results import Result


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed(tmp_path, monkeypatch, signum):
    """Exit code 130, advice how to go on, and then the same weights, metrics and result as without the interruption."""
    words = ["train", "maml", *WAVES, "--steps", 6, "--checkpoint-every", 2, "--log-every", 2]
    assert quickstudy(*words, "--out", tmp_path / "straight").code == 0

    class Interrupts(ProgressLine):
        def __call__(self, now):
            super().__call__(now)
            if now.step == 3:
                os.kill(os.getpid(), signum)

    run = tmp_path / "interrupted"
    with monkeypatch.context() as patch:
        patch.setattr("quickstudy.cli.assemble.ProgressLine", Interrupts)
        fails(130, *words, "--out", run, says=f"stopped after outer step 4 of 6; `quickstudy resume {run}`")
    assert qs.Run.open(run).steps() == [2, 4]
    assert not (run / "results.jsonl").exists()
    done = quickstudy("resume", run)
    assert done.code == 0, done.err
    assert done.out.endswith(f"report: {run / 'report.html'}\n")
    first, second = qs.Run.open(tmp_path / "straight"), qs.Run.open(run)
    assert all(torch.equal(t, second.load().learner[name]) for name, t in first.load().learner.items())
    assert first.results() == second.results()
    assert [r["step"] for r in second.metrics() if "train/loss" in r] == [2, 4, 6]


def test_a_finished_run_resumed_says_so_and_adds_nothing(copied):
    files = ("config.json", "metrics.jsonl", "results.jsonl")
    before = [(copied / name).read_bytes() for name in files]
    done = quickstudy("resume", copied)
    assert done.code == 0, done.err
    assert "is finished: its 3 outer steps are trained and tested, so nothing is added" in done.err
    assert str(Result.from_json(lines(copied / "results.jsonl")[0])) in done.out
    assert [(copied / name).read_bytes() for name in files] == before


def test_a_run_that_was_killed_before_its_test_is_tested(copied):
    (copied / "results.jsonl").unlink()
    assert quickstudy("resume", copied).code == 0
    assert len(lines(copied / "results.jsonl")) == 1


def test_more_steps(copied):
    done = quickstudy("resume", copied, "--steps", 5)
    assert done.code == 0, done.err
    assert [r["step"] for r in lines(copied / "metrics.jsonl") if "train/loss" in r] == [1, 2, 3, 4, 5]
    assert len(lines(copied / "results.jsonl")) == 2
    assert config(copied)["training"]["steps"] == 5
    fails(4, "resume", copied, "--steps", 4, says=r"training\.steps was 5, is 4 now")


def test_a_run_of_ones_own_is_resumed_in_python(tmp_path):
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse")
    qs.train(learner, qs.tasks.Sinusoids(), steps=1, meta_batch=2, out=tmp_path / "r")
    fails(2, "resume", tmp_path / "r", says="started from Python")
