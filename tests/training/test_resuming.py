"""How a run goes on: with more steps, in a folder of its own, never as another; what a kill leaves goes."""

import json
import math
import os
import subprocess
import sys
import threading

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.training.runs import locked

TASKS = qs.tasks.Sinusoids(shot=3, query=3)
OPTIONS = {"meta_batch": 2, "checkpoint_every": 2, "log_every": 1}


def make(hidden=4):
    torch.manual_seed(0)
    return qs.MAML(qs.nets.MLP(hidden=(hidden,)), loss="mse", inner_lr=0.05)


def weights(run):
    return run.load().learner


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_more_steps(tmp_path, schedule, optimizer):
    options = {**OPTIONS, "schedule": schedule, "optimizer": optimizer}
    qs.train(make(), TASKS, steps=4, out=tmp_path / "r", **options)
    longer = qs.train(make(), TASKS, steps=8, out=tmp_path / "r", resume=True, **options)
    assert [r["step"] for r in longer.metrics()] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert qs.Run.open(tmp_path / "r").config["lengthened"] == [{"at": 4, "from": 4, "to": 8}]
    straight = qs.train(make(), TASKS, steps=8, out=tmp_path / "s", **options)
    rates = [[r["meta_lr"] for r in run.metrics()][4:] for run in (longer, straight)]
    assert rates[0] == rates[1]
    if schedule == "constant":
        assert all(torch.equal(weights(longer)[name], t) for name, t in weights(straight).items())
    again = qs.train(make(), TASKS, steps=8, out=tmp_path / "r", resume=True, **options)
    assert len(again.metrics()) == 8


def test_fewer_steps_and_whatever_else_differs(tmp_path):
    qs.train(make(), TASKS, steps=4, out=tmp_path / "r", **OPTIONS)
    before = (tmp_path / "r" / "metrics.jsonl").read_bytes()
    with pytest.raises(qs.RunError, match=r": training\.steps was 4, is 3 now\.$"):
        qs.train(make(), TASKS, steps=3, out=tmp_path / "r", resume=True, **OPTIONS)
    with pytest.raises(qs.RunError, match=r": learner\.model\.hidden was \[4\], is \[5\] now; training\.seed was 0"):
        qs.train(make(5), TASKS, steps=4, seed=1, out=tmp_path / "r", resume=True, **OPTIONS)
    assert (tmp_path / "r" / "metrics.jsonl").read_bytes() == before


class Own(qs.tasks.Sinusoids):
    """Tasks that only this program can build, of data that may change, and that say of no option what it was."""

    def __init__(self, scale=1.0):
        super().__init__(shot=3, query=3)
        self._scale = scale

    def sample(self, tasks, seed):
        batch = super().sample(tasks, seed)
        return qs.TaskBatch(*(qs.Examples(e.x, e.y * self._scale) for e in (batch.support, batch.query)))


def test_other_data_and_other_networks_behind_the_same_names(tmp_path):
    def learner(width):
        torch.manual_seed(0)
        return qs.MAML(nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, 1)), loss="mse")

    options = {**OPTIONS, "out": tmp_path / "r", "resume": True}
    qs.train(learner(4), Own(), steps=2, **options)
    qs.train(learner(4), Own(1 + 1e-7), steps=2, **options)  # machines round differently
    with pytest.raises(qs.RunError, match=r"the tasks draw something else: support\.y holds other values"):
        qs.train(learner(4), Own(-1.0), steps=2, **options)
    with pytest.raises(qs.RunError, match=r"the learner had .*out_features=4.*, has .*out_features=5"):
        qs.train(learner(5), Own(), steps=2, **options)


def test_checkpoints_without_a_configuration_are_not_taken_for_a_new_run(tmp_path):
    qs.train(make(), TASKS, steps=4, out=tmp_path / "r", **OPTIONS)
    (tmp_path / "r" / "config.json").unlink()
    for resume in (False, True):
        with pytest.raises(qs.RunError, match=r"holds checkpoints or results, but not the config\.json"):
            qs.train(make(), TASKS, steps=4, seed=77, out=tmp_path / "r", resume=resume, **OPTIONS)


def test_a_kill_before_the_configuration_leaves_the_folder_free(tmp_path):
    qs.train(make(), TASKS, steps=4, out=tmp_path / "r", **OPTIONS)
    for file in ("config.json", "metrics.jsonl", *(f"checkpoints/step-0000000{s}.json" for s in (2, 4))):
        (tmp_path / "r" / file).unlink()
    run = qs.Run.create(tmp_path / "r", {"learner": None})
    assert run.steps() == []


def test_one_training_at_a_time(tmp_path):
    caught = []

    def other():
        try:
            qs.train(make(), TASKS, steps=4, out=tmp_path / "r", resume=True, **OPTIONS)
        except qs.RunError as error:
            caught.append(str(error))

    def meanwhile(now):
        if now.step == 2:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    run = qs.train(make(), TASKS, steps=4, out=tmp_path / "r", progress=meanwhile, **OPTIONS)
    assert len(caught) == 1
    assert "another process is training in" in caught[0]
    assert [r["step"] for r in run.metrics()] == [1, 2, 3, 4]


HOLD = """
import sys, time
from pathlib import Path
from quickstudy.training.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_ends_with_its_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "r")], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(qs.RunError, match="another process"), locked(tmp_path / "r"):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with locked(tmp_path / "r"), locked(tmp_path / "r"):
        pass


def test_nothing_is_left_of_a_training_that_cannot_begin(tmp_path):
    with pytest.raises(qs.UsageError), locked(tmp_path / "r"):
        qs.train(make(), TASKS, steps=1, clip=-1.0, out=tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_what_a_kill_left_goes(tmp_path):
    qs.train(make(), TASKS, steps=4, out=tmp_path / "r", **OPTIONS)
    checkpoints = tmp_path / "r" / "checkpoints"
    left = [checkpoints / "step-00000006.safetensors", checkpoints / ".999999999-00000000.unfinished"]
    own = [checkpoints / "step-00000004 (copy).json", checkpoints / "notes.txt"]
    for file in (*left, *own):
        file.write_bytes(b"{}")
    assert qs.Run.open(tmp_path / "r").steps() == [2, 4]
    qs.train(make(), TASKS, steps=4, out=tmp_path / "r", resume=True, **OPTIONS)
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in own)


class Spoiled(Own):
    """From some step on, the queries are not finite."""

    def __init__(self, after):
        super().__init__()
        self.after, self.asked = after, 0

    def sample(self, tasks, seed):
        self.asked += 1
        batch = super().sample(tasks, seed)
        if self.asked > self.after:
            batch.query.x[1, 2] = math.nan
        return batch


class Counts(qs.MAML):
    """Keeps a running mean of what it sees, as learners with statistics do."""

    def __init__(self, model):
        super().__init__(model, loss="mse")
        self.register_buffer("mean", torch.zeros(()))

    def meta_gradient(self, batch):
        found = super().meta_gradient(batch)
        return type(found)(found.gradients, found.metrics, {"mean": self.mean + batch.query.x.mean()})


@pytest.mark.parametrize("clip", [None, 1.0])
def test_the_checkpoint_from_before_holds_nothing_of_the_bad_step(tmp_path, clip):
    torch.manual_seed(0)
    learner = Counts(qs.nets.MLP(hidden=(4,)))
    with pytest.raises(qs.DivergedError, match=r"hold values that are not finite \(query\.x of task 1\)"):
        qs.train(learner, Spoiled(3), steps=5, clip=clip, out=tmp_path / "r", **{**OPTIONS, "keep": 1})
    saved = qs.Run.open(tmp_path / "r").load()
    assert saved.step == 2
    assert all(bool(t.isfinite().all()) for t in saved.learner.values())
    assert all(torch.equal(t, saved.learner[name]) for name, t in learner.state_dict().items())


@pytest.mark.parametrize("kind", ["schedule", "optimizer"])
def test_a_step_to_weights_that_are_not_finite_is_not_taken(tmp_path, kind):
    def blow(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 if step < 2 else math.inf)

    class Jumps(torch.optim.SGD):
        @torch.no_grad()
        def step(self):
            self.param_groups[0]["params"][0].fill_(math.nan)

    given = {"schedule": blow} if kind == "schedule" else {"optimizer": Jumps}
    learner = make()
    start = {name: t.clone() for name, t in learner.state_dict().items()}
    with pytest.raises(qs.DivergedError, match="weights that are not finite"):
        qs.train(learner, TASKS, steps=5, out=tmp_path / "r", **{**OPTIONS, **given, "keep": 1})
    assert all(bool(t.isfinite().all()) for t in learner.state_dict().values())
    assert all(bool(t.isfinite().all()) for t in weights(qs.Run.open(tmp_path / "r")).values())
    assert kind == "schedule" or all(torch.equal(t, start[name]) for name, t in learner.state_dict().items())


def test_a_board_that_cannot_be_written_does_not_end_the_training(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    import torch.utils.tensorboard as board

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(board.SummaryWriter, "add_scalar", full)
    with pytest.warns(UserWarning, match="no more is written for TensorBoard.*No space left"):
        run = qs.train(make(), TASKS, steps=4, tensorboard=True, out=tmp_path / "r", **OPTIONS)
    assert run.steps() == [2, 4]


def test_a_checkpoint_pruned_meanwhile_or_closed_is_not_called_damaged(tmp_path, monkeypatch):
    from quickstudy.training import _checkpoints

    run = qs.train(make(), TASKS, steps=4, out=tmp_path / "r", **OPTIONS)
    read = _checkpoints.read_bytes

    def pruned(path, **options):
        if "step-00000002" in path.name:
            (path.parent / "step-00000002.json").unlink(missing_ok=True)
            raise FileNotFoundError(2, "No such file", str(path))
        return read(path, **options)

    monkeypatch.setattr(_checkpoints, "read_bytes", pruned)
    with pytest.raises(qs.RunError, match="was removed while it was read") as caught:
        run.load(2)
    assert "damaged" not in str(caught.value)

    def closed(path, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_checkpoints, "read_bytes", closed)
    with pytest.raises(qs.RunError, match=r"Permission denied\. It need not be damaged") as caught:
        run.load()
    assert "Delete" not in str(caught.value)


def test_the_seal_is_under_a_checksum_and_one_without_opens(tmp_path):
    run = qs.train(make(), TASKS, steps=2, out=tmp_path / "r", **OPTIONS)
    file = tmp_path / "r" / "checkpoints" / "step-00000002.json"
    seal = json.loads(file.read_text())
    text = file.read_text()
    for damaged in (text.replace("0.999", "0.998"), text.replace("0.001", "0.007")):
        assert damaged != text
        file.write_text(damaged)
        with pytest.raises(qs.RunError, match="does not match its checksum"):
            run.load()
    del seal["checksum"]
    file.write_text(json.dumps(seal))
    assert run.load().step == 2
    os.rename(file, file.with_name("step-00000007.json"))
    os.rename(file.with_suffix(".safetensors"), file.with_name("step-00000007.safetensors"))
    with pytest.raises(qs.RunError, match="that of step 2"):
        run.load()


def test_a_run_keeps_to_its_number_of_threads(tmp_path):
    """The last bits of large operations depend on it, whatever OMP_NUM_THREADS is at the resume."""
    seen = []

    class Counts(qs.MAML):
        def meta_loss(self, batch):
            seen.append(torch.get_num_threads())
            return super().meta_loss(batch)

    def learner():
        torch.manual_seed(0)
        return Counts(qs.nets.MLP(hidden=(4,)), loss="mse")

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        qs.train(learner(), TASKS, steps=2, out=tmp_path / "r", **OPTIONS)
        torch.set_num_threads(1)
        qs.train(learner(), TASKS, steps=4, out=tmp_path / "r", resume=True, **OPTIONS)
        assert torch.get_num_threads() == 1, "the caller's"
    finally:
        torch.set_num_threads(before)
    assert seen == [3] * len(seen)
    assert len(seen) >= 4
