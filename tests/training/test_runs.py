"""Run folders: what is damaged, foreign or interrupted gives a clear error, and nothing written is lost."""

import errno
import json
import os

import pytest
import torch

import quickstudy as qs
from quickstudy.core import files
from quickstudy.core.packing import pack, unpack
from quickstudy.training.runs import Checkpoint


def new_run(tmp_path):
    return qs.Run.create(tmp_path / "r", {"learner": None, "tasks": None})


def checkpoint(step):
    rest = {"optimizer": {"state": {0: {"m": torch.ones(2) * step}}}, "best_step": None, "pair": (1, 2.5)}
    return Checkpoint(step, {"w": torch.full((3,), float(step))}, rest)


def test_checkpoints_come_back_and_old_ones_go(tmp_path):
    run = new_run(tmp_path)
    for step in (1, 2, 3, 4):
        run.save(checkpoint(step), keep=2, best_step=1)
    assert run.steps() == [1, 3, 4]
    loaded = run.load()
    assert loaded.step == 4
    assert torch.equal(loaded.learner["w"], torch.full((3,), 4.0))
    assert torch.equal(loaded.rest["optimizer"]["state"][0]["m"], torch.full((2,), 4.0))
    assert loaded.rest["pair"] == (1, 2.5)
    with pytest.raises(qs.RunError, match=r"no checkpoint of step 2.*\[1, 3, 4\]"):
        run.load(2)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "json"])
def test_damaged_checkpoints_are_named(tmp_path, damage):
    run = new_run(tmp_path)
    run.save(checkpoint(1), keep=2, best_step=None)
    run.save(checkpoint(2), keep=2, best_step=None)
    file = tmp_path / "r" / "checkpoints" / "step-00000002.safetensors"
    content = bytearray(file.read_bytes())
    if damage == "truncate":
        file.write_bytes(content[:-3])
    elif damage == "flip":
        content[-1] ^= 1
        file.write_bytes(content)
    elif damage == "remove":
        file.unlink()
    else:
        file.with_suffix(".json").write_text("{")
    with pytest.raises(qs.RunError, match="step-00000002"):
        run.load()
    assert run.load(1).step == 1


def test_a_kill_between_tensors_and_seal_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    run = new_run(tmp_path)
    run.save(checkpoint(1), keep=2, best_step=None)

    def killed(path, content):
        raise KeyboardInterrupt

    monkeypatch.setattr("quickstudy.training._checkpoints.write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        run.save(checkpoint(2), keep=2, best_step=None)
    assert run.load().step == 1


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    run = new_run(tmp_path)
    run.save(checkpoint(1), keep=2, best_step=None)

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(qs.RunError, match="No space left on device"):
        run.save(checkpoint(2), keep=2, best_step=None)
    monkeypatch.undo()
    assert run.load().step == 1
    assert [f.name for f in (tmp_path / "r" / "checkpoints").iterdir() if f.name.startswith(".")] == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(qs.RunError, match="cannot write"):
        qs.Run.create(tmp_path / "file" / "r", {})


def test_foreign_folders(tmp_path):
    with pytest.raises(qs.RunError, match="holds no run"):
        qs.Run.open(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99, "quickstudy": "9.0"}')
    with pytest.raises(qs.RunError, match=r"format 99 by quickstudy 9\.0"):
        qs.Run.open(tmp_path)
    (tmp_path / "config.json").write_text("not json")
    with pytest.raises(qs.RunError, match="should be JSON"):
        qs.Run.open(tmp_path)


def test_a_line_cut_short_is_dropped(tmp_path):
    run = new_run(tmp_path)
    for step in (1, 2, 3):
        run.log({"step": step, "train/loss": 1.0})
    with open(tmp_path / "r" / "metrics.jsonl", "a") as file:
        file.write('{"step": 4, "tra')
    assert [r["step"] for r in run.metrics()] == [1, 2, 3]
    run.forget_after(2)
    assert (tmp_path / "r" / "metrics.jsonl").read_text().count("\n") == 2


def test_weights_that_do_not_fit(tmp_path):
    run = new_run(tmp_path)
    run.save(checkpoint(1), keep=1, best_step=None)
    with pytest.raises(qs.RunError, match="does not fit this learner"):
        run.load_into(qs.MAML(qs.nets.MLP()), 1)


def test_a_users_own_model_is_loaded_into(tmp_path):
    """What JSON cannot rebuild is said to be so, and the weights can be had all the same."""
    torch.manual_seed(0)
    tasks = qs.tasks.Sinusoids(shot=3, query=3)
    learner = qs.MAML(torch.nn.Sequential(torch.nn.Linear(1, 1)), loss="mse")
    run = qs.train(learner, tasks, steps=2, meta_batch=2, out=tmp_path / "r")
    with pytest.raises(qs.UsageError, match="load_into"):
        qs.Run.open(run.path).learner()
    other = qs.MAML(torch.nn.Sequential(torch.nn.Linear(1, 1)), loss="mse")
    run.load_into(other)
    assert torch.equal(other.model[0].weight, learner.model[0].weight)


def test_registered_parts_are_rebuilt(tmp_path):
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(8, 8)), loss="mse", inner_lr=0.02)
    tasks = qs.tasks.Sinusoids(shot=3, query=3)
    run = qs.Run.open(qs.train(learner, tasks, steps=2, meta_batch=2, out=tmp_path / "r").path)
    again = run.learner()
    assert again.inner_lr == 0.02
    batch = run.tasks(split="test").sample(2, 0)
    assert torch.equal(again.adapt(batch.support)(batch.query.x), learner.adapt(batch.support)(batch.query.x))


def test_packing_keeps_structure_and_refuses_functions():
    tree = {"a": [1, 2.5, None, "x", (True, torch.arange(3))], 7: {"b": torch.zeros(())}}
    tensors = {}
    packed = json.loads(json.dumps(pack(tree, "t", tensors)))
    found = unpack(packed, tensors)
    assert str(found) == str(tree)
    with pytest.raises(qs.RunError, match="t/f is a function"):
        pack({"f": lambda: None}, "t", {})
