"""``quickstudy train``: what it does, prints and leaves behind."""

import re

import pytest
import torch

import quickstudy as qs
from commands import WAVES, config, fails, lines, quickstudy
from quickstudy import registry
from quickstudy.core.scores import score
from quickstudy.recipes import usual_tasks


def helped():
    """Every learner with the tasks that it is for, and all other tasks with one learner each (all pairs: minutes)."""
    learners = {name: registry.load("learners", name) for name in registry.LEARNERS}
    usual = {name: usual_tasks(name) for name in learners}
    yield from usual.items()
    for tasks in set(registry.TASKS) - set(usual.values()):
        kind = registry.load("tasks", tasks).kind
        yield next(name for name, cls in learners.items() if kind in cls.learns), tasks


@pytest.mark.parametrize(("learner", "tasks"), sorted(helped()))
def test_help_of_train_lists_every_option_with_its_default(learner, tasks, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    done = quickstudy("train", learner, "--tasks", tasks, "--help")
    assert done.code == 0, done.err
    options = {"--seed": "0", "--meta-lr": "", "--test-tasks": r"\d+", "--out": "None"}
    if tasks in ("omniglot", "glyphs", "folder"):
        options |= {"--shot": "", "--way": "5"}
    for option, default in options.items():
        assert re.search(rf"{option}\b[^(]*(\([^d][^(]*)*\(default: {default}", done.out), option
    assert ("--root" in done.out) == (tasks in ("folder", "split-folder"))
    for name in (*registry.TASKS, *registry.NETS, "demo", "quick", "paper"):
        assert name in done.out
    assert "``" not in done.out
    assert "inspect" not in done.out


def test_train_leaves_a_run_and_tells_its_result(trained):
    run, done = trained
    assert done.code == 0, done.err
    assert {path.name for path in run.iterdir()} >= {
        "config.json", "metrics.jsonl", "results.jsonl", "checkpoints", "report.html",
    }  # fmt: skip
    assert [record["step"] for record in lines(run / "metrics.jsonl") if "train/loss" in record] == [1, 2, 3]
    assert qs.Run.open(run).steps() == [2, 3]
    (result,) = lines(run / "results.jsonl")
    assert (result["split"], result["n_tasks"], len(result["by_step"])) == ("test", 6, 4)
    assert f"accuracy {score('accuracy').told(result['mean'], result['ci95'])} (95%" in done.out
    assert "; chance " in done.out
    assert "BatchNorm: transductive" in done.out
    assert re.search(r"^inner steps +accuracy", done.out, re.MULTILINE)
    assert done.out.endswith(f"report: {run / 'report.html'}\n")
    assert "Glyphs train" in done.err
    assert "step 3/3" in done.err
    assert "</html>" in (run / "report.html").read_text()


def test_a_preset_gives_defaults_and_what_is_said_wins(trained):
    run, _ = trained
    learner, training = config(run)["learner"]["options"], config(run)["training"]
    assert (learner["inner_steps"], training["steps"], training["meta_batch"]) == (2, 3, 2)  # said
    assert (learner["inner_lr"], training["meta_lr"], config(run)["test"]["test_steps"]) == (0.4, 1e-3, 3)  # the preset


def test_the_command_in_the_run_folder_repeats_the_run(trained, tmp_path):
    import shlex

    run, _ = trained
    words = shlex.split(config(run)["command"])
    assert words[0] == "quickstudy"
    words[words.index(str(run))] = str(tmp_path / "again")
    assert quickstudy(*words[1:]).code == 0
    first, again = qs.Run.open(run).load(), qs.Run.open(tmp_path / "again").load()
    assert all(torch.equal(t, again.learner[name]) for name, t in first.learner.items())
    assert lines(run / "results.jsonl")[0] == lines(tmp_path / "again" / "results.jsonl")[0]


def test_train_reptile_on_sinusoids(waves):
    run, done = waves
    assert done.code == 0, done.err
    assert re.search(r"^mse \d+\.\d+ ± .*; 0 everywhere 4.252, best possible 0$", done.out, re.M)
    assert "BatchNorm: none" in done.out
    assert config(run)["learner"]["options"]["inner_optimizer"] == "sgd"  # the preset's
    assert (run / "report.html").stat().st_size > 1000


def test_the_default_run_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert quickstudy("train", "maml", *WAVES, "--steps", 1, "--seed", 7).code == 0
    assert (tmp_path / "runs" / "maml-sinusoids-s7" / "report.html").exists()


def test_train_asks_for_a_learner():
    done = quickstudy("train", "--help")
    assert done.code == 0
    assert " reptile," in done.out
    for words in ([], ["--tasks", "glyphs", "maml"]):
        done = quickstudy("train", *words)
        assert done.code == 2
        assert "name the learner to train first" in done.err
        assert " reptile," in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "mamel"], "no 'mamel' among the learners: .*maml"),
        (["train", "maml", "--tasks", "chess"], "no 'chess' among the tasks: .*sinusoids"),
        (["train", "maml", "--net", "resnet"], "no 'resnet' among the nets: cell, conv4"),
        (["train", "maml", "--preset", "fast"], "no preset 'fast': demo, quick, paper"),
        (["train", "maml", "--tasks"], "--tasks: expected one argument"),
        (["train", "maml", "--way", "many"], "--way: invalid int value: 'many'"),
        (["train", "maml", "--tasks", "glyphs", "--way", "0"], "way must be an integer of at least 1"),
        (["train", "maml", "--tasks", "sinusoids", "--net", "conv4"], "of images of size 1 after four blocks"),
        (["train", "maml", "--tasks", "sinusoids", "--inner-lr", "0"], "lr > 0"),
        (["train", "maml", "--tasks", "sinusoids", "--steps", "0"], "steps must be a whole number >= 1"),
        (["train", "maml", "--tasks", "sinusoids", "--test-tasks", "1"], "test_tasks must be >= 2"),
        (["train", "maml", "--tasks", "sinusoids", "--device", "abacus"], "abacus"),
        (["train", "maml", "--tasks", "sinusoids", "--schedule", "steps"], "constant, linear, cosine"),
        (["train", "maml", "--tasks", "sinusoids", "--train-way", "4"], "sinusoids has no way; leave out --train-way"),
        (["train", "protonet", "--test_steps=4"], "ProtoNet adapts in one go; leave out --test-steps"),
        (["report", "a", "b"], "--out FILE.html"),
        (["report"], "name a run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails(2, *words, says=says)
    assert not list(tmp_path.rglob("config.json"))


def test_missing_data(tmp_path, monkeypatch):
    fails(3, "train", "maml", "--tasks", "folder", "--root", tmp_path / "nowhere", says="nowhere is not a folder")
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path / "nowhere"))
    fails(3, "train", "maml", "--tasks", "omniglot", says="nowhere")


def test_divergence(tmp_path):
    words = [*WAVES, "--steps", 4, "--meta-batch", 2, "--out", tmp_path / "r"]
    fails(
        5, "train", "maml", *words, "--inner-lr", "1e30", says=r"outer step 0: .*sample\(2, seed=\d+\).*step-00000000"
    )
    assert qs.Run.open(tmp_path / "r").steps() == [0]


def test_a_taken_folder(trained):
    before = (trained[0] / "config.json").read_bytes()
    fails(4, "train", "maml", *WAVES, "--out", trained[0], says="already holds a run")
    assert "training on" not in quickstudy("train", "maml", *WAVES, "--out", trained[0]).err
    assert (trained[0] / "config.json").read_bytes() == before


def test_more_ways_in_training_than_in_the_test(more_ways):
    run, done = more_ways
    assert done.code == 0, done.err
    assert re.search(r"training on .* 5-way", done.err)
    assert "3-way" in done.out
    again = quickstudy("evaluate", run, "--n-tasks", 4)  # as the run's own test
    assert "3-way" in again.out, again.err
    assert "7-way" in quickstudy("evaluate", run, "--n-tasks", 4, "--way", 7).out
    resumed = quickstudy("resume", run)
    assert resumed.code == 0, resumed.err
    assert "3-way" in resumed.out
