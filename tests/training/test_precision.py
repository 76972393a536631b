"""``precision`` of ``train`` and ``evaluate``: written down, kept by a resumed run, refused where it cannot be."""

import warnings

import pytest
import torch
from jaxtyping import config
from torch import nn

import quickstudy as qs
from quickstudy.training import _precision

TASKS = qs.tasks.Glyphs(way=3, query=2, size=16)


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """Of a CPU that has all: slow ones compute the same."""
    monkeypatch.setattr(_precision, "_cpu_has", lambda low: True)


def learner(**options):
    torch.manual_seed(0)
    return qs.MAML(qs.nets.Conv4(filters=4, size=16, out_features=3), inner_lr=0.1, **options)


def weights(run):
    return torch.cat([t.flatten() for t in run.trained_here.state_dict().values()])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_run_goes_on_in_its_precision_and_in_no_other(tmp_path, precision):
    options = {"meta_batch": 2, "checkpoint_every": 1, "precision": precision}
    qs.train(learner(), TASKS, steps=1, out=tmp_path / "r", **options)
    assert qs.Run.open(tmp_path / "r").config["training"]["precision"] == precision
    longer = qs.train(learner(), TASKS, steps=3, out=tmp_path / "r", resume=True, **options)
    straight = weights(qs.train(learner(), TASKS, steps=3, **options))
    assert torch.equal(weights(longer), straight)
    float32 = weights(qs.train(learner(), TASKS, steps=3, meta_batch=2))
    assert 0 < float((straight - float32).norm() / float32.norm()) < 0.02
    with pytest.raises(qs.RunError, match=f"training.precision was '{precision}', is 'float32' now"):
        qs.train(learner(), TASKS, steps=3, out=tmp_path / "r", resume=True, **{**options, "precision": "float32"})


def test_runs_of_before_there_was_a_choice_go_on(tmp_path):
    run = qs.train(learner(), TASKS, steps=1, meta_batch=2, out=tmp_path)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"precision": "float32"', '"keep": 2'))
    assert "precision" not in qs.Run.open(tmp_path).config["training"]
    assert len(qs.train(learner(), TASKS, steps=2, meta_batch=2, out=run.path, resume=True).steps()) > 1


def test_a_test_says_its_precision():
    result = qs.evaluate(learner(), TASKS, n_tasks=4, precision="bf16")
    assert "; bf16) on" in str(result)
    assert type(result).from_json(result.to_json()).precision == "bf16"
    assert qs.evaluate(learner(), TASKS, n_tasks=4).precision == "float32"


def test_a_test_without_inner_steps_has_nothing_to_round():
    with pytest.raises(qs.UsageError, match="ProtoNet takes none here; leave out precision"):
        qs.evaluate(
            qs.ProtoNet(qs.nets.Conv4(out_features=None, filters=2, size=16)), TASKS, n_tasks=2, precision="bf16"
        )
    with pytest.raises(qs.UsageError, match="takes none here"):
        qs.evaluate(learner(), TASKS, n_tasks=2, steps=0, precision="bf16")


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(256, 3, dtype=torch.complex64))

    def forward(self, x):
        return (x.flatten(1).to(self.w.dtype) @ self.w).abs()


WRONG = {
    "unknown": (
        learner,
        {"precision": "fp8"},
        "precision must be one of 'float32', 'bf16', 'fp16', got precision='fp8'",
    ),
    "complex": (lambda: qs.MAML(Complex(), inner_lr=0.1), {"precision": "bf16"}, "MAML has numbers in torch.complex64"),
    "double": (lambda: learner().double(), {"precision": "bf16"}, r"numbers in torch.float64.*learner\.float\(\)"),
    "batched": (
        lambda: qs.MAML(qs.nets.MLP(in_features=256, hidden=(3,), out_features=3)),
        {"precision": "fp16"},
        "MAML has none here",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_said(case):
    make, options, words = WRONG[case]
    config.update("jaxtyping_disable", True)  # for this test: what a user meets is the sentence
    with pytest.raises(qs.UsageError, match=words):
        qs.train(make(), TASKS, steps=1, meta_batch=2, **options)
    with pytest.raises(qs.UsageError, match=words):
        qs.evaluate(make(), TASKS, n_tasks=2, **options)


def test_a_cpu_without_kernels_refuses_float16_and_is_slow_in_bfloat16(monkeypatch):
    monkeypatch.setattr(_precision, "_cpu_has", lambda low: False)
    with pytest.raises(qs.UsageError, match="this CPU has no kernels for float16; leave out precision"):
        qs.train(learner(), TASKS, steps=1, meta_batch=2, precision="fp16")
    with pytest.warns(UserWarning, match="no kernels for bfloat16; it takes longer"):
        qs.train(learner(), TASKS, steps=1, meta_batch=2, precision="bf16")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        qs.train(learner(), TASKS, steps=1, meta_batch=2, precision="float32")
