"""Every learner on torch's ``meta`` device: tensors on mixed devices and waits for a device show there without a GPU.

What only a GPU can tell is whether the kernels there give the same numbers.
"""

import traceback
import warnings
from pathlib import Path

import pytest
import torch

import quickstudy as qs

from .test_contract import CLASSIFY, OF_OTHERS, OPTIONS, REGRESS, SMALL, build, glyphs

MUST_WAIT = {
    "base.py": "the way of a batch is what its labels say, and decides shapes",
    "_drawn_sets.py": "the way of a batch is what its labels say, and decides shapes",
    "incontext.py": "labels are checked once for each support set",
    "snail.py": "labels are checked once for each support set",
    "streams.py": "labels are checked once for each support set",
    "set_encoder.py": "padding is checked once for each support set",
    "_discriminators.py": "labels are checked once for each support set",
    "_gan_health.py": "whether training has collapsed is asked once in a step",
    "mamlpp.py": "the losses' weights follow from the number of the step, asked once in a step",
    "rl2.py": "a trial's length follows from the number of the step, asked once in a step",
    "_unrolled.py": "problems that have diverged are left out, asked once in a segment",
    "genotype.py": "an architecture is a choice, made once for each support set",
    "maml_rl.py": "TRPO's line search stops at the first step that is good enough",
}
"""Files whose waits are meant, and why; all others run without asking a device for a number."""

SINUSOIDS = qs.tasks.Sinusoids(shot=4, query=3)
BN = ("transductive", "support")
CASES = [
    *((n, glyphs, {"inner_lr": 0.05, "inner_steps": 2, "bn": b}) for n in CLASSIFY for b in BN),
    *((name, lambda: SINUSOIDS, {"inner_lr": 0.01}) for name in REGRESS),
    *((name, make, {**SMALL, **OPTIONS.get(name, {})}) for name, make in OF_OTHERS),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "options"), CASES)
def test_nothing_is_on_two_devices_and_nothing_waits(name, make, options):
    tasks = make()
    learner = build(name, tasks, **options).to("meta")
    batch = tasks.sample(2, 0).to("meta")
    example = hasattr(batch, "support")
    work = {
        "meta_gradient": lambda: learner.meta_gradient(batch),
        "adapt": lambda: learner.adapt(batch.support)(batch.query.x) if example else learner.adapt(batch),
        "score_tasks": lambda: learner.score_tasks(batch, [learner.adapt_steps or 0]),
    }
    for what, run in work.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                run()
        except RuntimeError as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = Path([f for f in frames if "quickstudy" in f.filename][-1].filename).name
            if not any(words in str(error) for words in ("item() cannot be called on meta", "copy out of meta tensor")):
                raise
            if where not in MUST_WAIT:
                pytest.fail(f"{what} waits for the device in {where}: {frames[-1].line}")


def test_a_label_beyond_the_head_is_found_before_the_device_asserts(monkeypatch):
    from quickstudy.core import losses

    monkeypatch.setattr(losses, "_fails_late", lambda y: True)
    monkeypatch.setattr(losses.F, "cross_entropy", None)  # is not reached
    y = torch.tensor([[0, 3]])
    for _ in range(2):
        with pytest.raises(qs.UsageError, match="labels run from 0 to 3, but the model gives 3 outputs"):
            losses.task_losses("cross_entropy", torch.zeros(1, 2, 3), y)
    y -= 1  # is seen, though the tensor is the same
    assert losses.label_range(y) == (-1, 2)


def test_a_generator_that_has_moved_gets_its_codes_there(monkeypatch):
    gan = qs.TaskGAN(x_shape=(1, 12, 12)).eval()
    devices = []

    def images(classes, drawings):
        devices.append((classes.device.type, drawings.device.type))
        return torch.zeros(*drawings.shape[:2], 1, 12, 12)

    base = qs.tasks.Glyphs(size=12, query=2)
    made = qs.tasks.Synthesized(gan, base, classes=10, each=16)
    gan.to("meta")
    monkeypatch.setattr(gan, "images", images)
    made.sample(2, 0)
    assert {*devices} == {("meta", "meta")}
