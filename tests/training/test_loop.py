"""The outer loop: resuming, stopping, diverging, validating; all bit-identical where it is promised."""

import json
import math
import os
import signal

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.learners import SupportQueryLearner


def make(dropout=0.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 1))
    return qs.MAML(model, inner_lr=0.05, loss="mse")


SINUSOIDS = qs.tasks.Sinusoids(shot=4, query=4)
HELD_OUT = qs.tasks.Sinusoids(split="val", shot=4, query=4)
OPTIONS = {
    "steps": 12,
    "meta_batch": 4,
    "validate_every": 4,
    "validation_tasks": 25,
    "checkpoint_every": 3,
    "log_every": 2,
}


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.parameters()])


class Stop:
    """Asks to stop, as Ctrl-C does, after some outer step."""

    def __init__(self, at, signum=signal.SIGINT):
        self.at, self.signum = at, signum

    def __call__(self, now):
        if now.step == self.at:
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [("adam", "cosine"), ("sgd", "linear"), (lambda p: torch.optim.RMSprop(p, 1e-3, momentum=0.9), "constant")],
)
def test_interrupted_and_resumed_is_bit_identical(tmp_path, optimizer, schedule, signum):
    options = {**OPTIONS, "optimizer": optimizer, "schedule": schedule, "validation": HELD_OUT}
    straight = make(dropout=0.2)
    first = qs.train(straight, SINUSOIDS, out=tmp_path / "a", **options)
    with pytest.raises(KeyboardInterrupt, match="step 6 of 12"):
        qs.train(make(dropout=0.2), SINUSOIDS, out=tmp_path / "b", progress=Stop(5, signum), **options)
    other = make(dropout=0.2)
    with torch.no_grad():  # what is resumed owes nothing to what it starts from
        for p in other.parameters():
            p.zero_()
    second = qs.train(other, SINUSOIDS, out=tmp_path / "b", resume=True, **options)
    assert torch.equal(weights(straight), weights(other))
    assert first.best_step() == second.best_step()
    assert [r["step"] for r in second.metrics() if "train/loss" in r] == [2, 4, 6, 8, 10, 12]
    validated = [[r["validation/mse"] for r in run.metrics() if "validation/mse" in r] for run in (first, second)]
    assert validated[0] == validated[1]


def test_killed_before_the_first_checkpoint_starts_from_the_same_weights(tmp_path):
    straight = make()
    qs.train(straight, SINUSOIDS, out=tmp_path / "a", **OPTIONS)

    class Killed(Exception):
        pass

    def kill(now):
        raise Killed

    with pytest.raises(Killed):
        qs.train(make(), SINUSOIDS, out=tmp_path / "b", progress=kill, **OPTIONS)
    assert qs.Run.open(tmp_path / "b").steps() == [0]
    other = make()
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    qs.train(other, SINUSOIDS, out=tmp_path / "b", resume=True, **OPTIONS)
    assert torch.equal(weights(straight), weights(other))


def test_signal_handlers_and_random_state_are_given_back(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    torch.manual_seed(3)
    expected = torch.rand(1)
    learner = make(dropout=0.2)
    torch.manual_seed(3)
    qs.train(learner, SINUSOIDS, **OPTIONS)
    assert torch.rand(1) == expected
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_same_seed_trains_the_same_and_another_does_not():
    found = []
    for seed in (0, 0, 1):
        learner = make(dropout=0.2)
        qs.train(learner, SINUSOIDS, seed=seed, **OPTIONS)
        found.append(weights(learner))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_training_reduces_the_loss():
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(), loss="mse")
    tasks, held_out = (qs.tasks.Sinusoids(split=split, shot=10) for split in ("train", "val"))
    before = qs.evaluate(learner, held_out, n_tasks=50).mean
    qs.train(learner, tasks, steps=200, meta_batch=10, meta_lr=0.005)
    assert qs.evaluate(learner, held_out, n_tasks=50).mean < 0.7 * before


def test_clipping_bounds_the_step():
    learner = make()
    start = weights(learner)
    options = {**OPTIONS, "steps": 1, "optimizer": "sgd", "meta_lr": 1.0}
    qs.train(learner, SINUSOIDS, clip=1e-3, **options)
    assert (weights(learner) - start).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_patience_stops_and_keeps_the_best(tmp_path):
    learner = make()
    options = {**OPTIONS, "steps": 400, "meta_lr": 1e-12, "validate_every": 2, "keep": 1}
    run = qs.train(learner, SINUSOIDS, validation=HELD_OUT, patience=3, out=tmp_path / "r", **options)
    validations = [r for r in run.metrics() if "validation/mse" in r]
    assert len(validations) < 200
    scores = [r["validation/mse"] for r in validations]
    assert min(scores[:-3]) <= min(scores[-3:])
    assert run.best_step() in run.steps()


def test_best_and_last_checkpoints_stay(tmp_path):
    run = qs.train(make(), SINUSOIDS, validation=HELD_OUT, out=tmp_path / "r", keep=2, **OPTIONS)
    assert run.steps()[-2:] == [9, 12]
    assert len(run.steps()) <= 3
    files = sorted(f.suffix for f in (tmp_path / "r" / "checkpoints").iterdir())
    assert files == [".json"] * len(run.steps()) + [".safetensors"] * len(run.steps())


def test_every_validation_that_is_best_leaves_a_checkpoint(tmp_path):
    """Validations and checkpoints at steps that never meet: the best weights must be kept all the same."""
    options = {**OPTIONS, "steps": 10, "validate_every": 3, "checkpoint_every": 7}
    options["optimizer"] = lambda p: torch.optim.SGD(p, 0.01, maximize=True)  # it only gets worse
    run = qs.train(make(), SINUSOIDS, validation=HELD_OUT, out=tmp_path / "r", **options)
    scores = {r["step"]: r["validation/mse"] for r in run.metrics() if "validation/mse" in r}
    best = min(scores, key=scores.get)
    assert best not in (7, 10), "the case would prove nothing"
    assert run.best_step() == best


class Explodes(SupportQueryLearner):
    """The loss turns NaN at the third step."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))
        self.calls = 0

    def adapt(self, support):
        return lambda x: x * self.w

    def meta_loss(self, batch):
        self.calls += 1
        loss = self.w * (math.nan if self.calls == 3 else 1.0)
        return loss, {"loss": loss.item()}


def test_nan_stops_before_the_step_and_saves_what_was(tmp_path):
    learner = Explodes()
    with pytest.raises(qs.DivergedError, match="outer step 2") as caught:
        qs.train(learner, SINUSOIDS, out=tmp_path / "r", optimizer="sgd", meta_lr=0.1, steps=5, meta_batch=2)
    assert learner.w.item() == pytest.approx(0.8)
    saved = qs.Run.open(tmp_path / "r").load()
    assert saved.step == 2
    assert saved.learner["w"].item() == pytest.approx(0.8)
    assert "seed=" in str(caught.value)
    assert "step-00000002" in str(caught.value)


def test_bad_options():
    for options, text in (
        ({"steps": 0}, "steps"),
        ({"steps": 1, "meta_lr": 0.0}, "meta_lr"),
        ({"steps": 1, "patience": 2}, "validation="),
        ({"steps": 1, "optimizer": "lion"}, "adam, adam0, adamw, sgd"),
        ({"steps": 1, "schedule": "steps"}, "constant, linear, cosine"),
        ({"steps": 1, "device": "abacus"}, "abacus"),
    ):
        with pytest.raises(qs.UsageError, match=text):
            qs.train(make(), SINUSOIDS, **options)


def test_a_taken_folder_and_a_changed_configuration_are_refused(tmp_path):
    qs.train(make(), SINUSOIDS, out=tmp_path / "r", **OPTIONS)
    with pytest.raises(qs.RunError, match="already holds a run"):
        qs.train(make(), SINUSOIDS, out=tmp_path / "r", **OPTIONS)
    with pytest.raises(qs.RunError, match=r"resumed: training\.meta_batch was 4, is 5 now\.$"):
        qs.train(make(), SINUSOIDS, out=tmp_path / "r", resume=True, **{**OPTIONS, "meta_batch": 5})
    with pytest.raises(qs.RunError, match=r"resumed: tasks\.query was 4, is 10 now; tasks\.shot was 4, is 5 now"):
        qs.train(make(), qs.tasks.Sinusoids(shot=5), out=tmp_path / "r", resume=True, **OPTIONS)


def test_config_tells_how_to_repeat_the_run(tmp_path):
    run = qs.train(make(), SINUSOIDS, out=tmp_path / "r", notes={"command": "made by a test"}, **OPTIONS)
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config == run.config
    assert config["learner"]["learners"] == "maml"
    assert config["learner"]["options"]["inner_lr"] == 0.05
    assert config["tasks"] == {"tasks": "sinusoids", "options": {**config["tasks"]["options"], "shot": 4}}
    assert config["training"]["seed"] == 0
    assert config["command"] == "made by a test"


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    qs.train(make(), SINUSOIDS, out=tmp_path / "r", tensorboard=True, **OPTIONS)
    assert list((tmp_path / "r" / "tensorboard").glob("events.*"))


def test_progress_is_told_after_every_step():
    seen = []
    qs.train(make(), SINUSOIDS, progress=seen.append, **OPTIONS)
    assert [p.step for p in seen] == list(range(1, 13))
    assert all(p.steps == 12 and math.isfinite(p.metrics["loss"]) for p in seen)
