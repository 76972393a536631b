"""Two processes train what one does, and a killed process resumes to the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import quickstudy as qs
from quickstudy.training import distributed
from scripts import output

pytestmark = pytest.mark.slow

SCRIPT = """
import sys, torch, quickstudy as qs
torch.manual_seed(0)
learner = qs.MAML(qs.nets.Conv4(filters=3, size=16, out_features=3), inner_lr=0.1)
train, val = (qs.tasks.Glyphs(split=s, way=3, query=2, size=16) for s in ("train", "val"))
qs.train(learner, train, steps=int(sys.argv[2]), meta_batch=5, validation=val, validation_tasks=50, validate_every=3,
         checkpoint_every=2, log_every=1, out=sys.argv[1], resume=True, optimizer="sgd", meta_lr=0.1, clip=1.0)
"""


def start(tmp_path, *launcher, out, steps):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, *launcher, str(script), str(out), str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def alone(out, steps):
    """The same on one process, to its end."""
    output("-c", SCRIPT, out, steps)


def finish(process):
    try:
        output, _ = process.communicate(timeout=150)
    finally:
        process.kill()
    assert process.returncode == 0, output


def weights(path: Path):
    loaded = qs.Run.open(path).load()
    return loaded.step, torch.cat([t.flatten().double() for name, t in sorted(loaded.learner.items())])


def test_two_processes_give_the_parameters_of_one(tmp_path):
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    alone(tmp_path / "one", 6)
    finish(start(tmp_path, *torchrun, out=tmp_path / "two", steps=6))
    (step_1, one), (step_2, two) = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert step_1 == step_2 == 6
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5)
    logs = [
        [r["validation/accuracy"] for r in qs.Run.open(tmp_path / n).metrics() if "validation/accuracy" in r]
        for n in ("one", "two")
    ]
    assert len(logs[0]) == 2
    assert logs[1] == pytest.approx(logs[0], abs=0.02)


def test_killed_and_resumed_is_bit_identical(tmp_path):
    """SIGKILL once something is written; ``benchmarks/resume.py`` does it twenty times at random moments."""
    alone(tmp_path / "straight", 12)
    process = start(tmp_path, out=tmp_path / "killed", steps=12)
    metrics = tmp_path / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and '"step": 5' in metrics.read_text()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before the kill"
    alone(tmp_path / "killed", 12)
    (_, one), (_, two) = weights(tmp_path / "straight"), weights(tmp_path / "killed")
    assert torch.equal(one, two)
    lines = (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines if "train/loss" in line]
    assert steps == list(range(1, 13))


def test_more_processes_than_tasks_is_an_error(monkeypatch):
    monkeypatch.setattr(distributed, "world", lambda: 4)
    batch = qs.tasks.Sinusoids().sample(3, 0)
    with pytest.raises(qs.UsageError, match="3 tasks cannot be shared by 4 processes"):
        distributed.shard(batch)


def test_every_process_of_torchrun_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)  # there is no GPU to try
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert distributed.pick_device("auto") == torch.device("cuda"), "without torchrun it says nothing"
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert distributed.pick_device("auto") == torch.device("cuda", 3)
    assert distributed.pick_device("cuda:1") == torch.device("cuda", 1)
    assert distributed.pick_device("cpu") == torch.device("cpu")


SHARED_NOTHING = """
import os, pathlib, sys, torch, quickstudy as qs
torch.manual_seed(0)
learner = qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse")
folder = pathlib.Path(sys.argv[1], "first" if os.environ.get("RANK", "0") == "0" else "other")  # a disk of its own
run = qs.train(learner, qs.tasks.Sinusoids(), steps=int(sys.argv[2]), meta_batch=4, out=folder, resume=True,
               checkpoint_every=2)
print("weights", float(sum(p.double().sum() for p in learner.parameters())))
"""


def test_resuming_needs_no_shared_disk(tmp_path):
    """The second process has no run folder; it goes on from what the first one read."""
    script = tmp_path / "script.py"
    script.write_text(SHARED_NOTHING)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for steps in (2, 4):
        command = [sys.executable, *torchrun, str(script), str(tmp_path), str(steps)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    printed = {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("weights")}
    assert len(printed) == 1, "both have the same weights"
    assert not (tmp_path / "other").exists()
    assert qs.Run.open(tmp_path / "first").steps()[-1] == 4


def test_what_the_environment_says_without_a_process_group_changes_nothing(monkeypatch):
    """RANK may be left over from a shell, or be a scheduler's: only a process group says who computes what."""

    def result():
        torch.manual_seed(0)
        return qs.evaluate(qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse"), qs.tasks.Sinusoids(), n_tasks=60)

    alone = result()
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "1")
    assert result() == alone
    assert distributed.rank() == 0


def test_too_few_tasks_are_told_before_the_first_step(monkeypatch, tmp_path):
    monkeypatch.setattr(distributed, "world", lambda: 2)
    learner = qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse")
    sinusoids = qs.tasks.Sinusoids()
    with pytest.raises(qs.UsageError, match="raise meta_batch to 2"):
        qs.train(learner, sinusoids, steps=1, meta_batch=1, out=tmp_path / "r")
    with pytest.raises(qs.UsageError, match="raise validation_tasks to 26"):
        qs.train(learner, sinusoids, steps=1, validation=sinusoids, validation_tasks=25, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()
