"""How far a meta-gradient in 16 bits (``qs.train(precision=)``) is from float32's: its error and its direction.

    python benchmarks/precision.py                # W1 of docs/speed.md at full size, every learner, W2
    python benchmarks/precision.py --only W1      # one of them

The error is the length of the difference over that of float32's meta-gradient. Every learner that runs a network task
by task is taken as its ``demo`` preset builds it, untrained, on tasks of 5-way 1-shot (``results/precision.csv``).
"""

import argparse
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.draws import Noise
from quickstudy.core.precision import computing_in
from quickstudy.recipes import Choice, usual_tasks
from rows import add_result_row
from workloads import WORKLOADS

LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}
TASKS = 4


def meta_gradient(learner: qs.MetaLearner[Any], batch: Any) -> Tensor:
    """As one vector, in float64; what is random follows from a seed."""
    learner.zero_grad()
    learner.meta_backward(batch, noise=Noise(0, 0))
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in learner.parameters()]
    return torch.cat([g.flatten().double() for g in found])


def add(name: str, learner: qs.MetaLearner[Any], batch: Any, setting: str, tasks: str) -> None:
    right = meta_gradient(learner, batch)
    for precision, low in LOW.items():
        with computing_in(low):
            found = meta_gradient(learner, batch)
        error = float((found - right).norm() / right.norm())
        cosine = float(F.cosine_similarity(found, right, dim=0))
        for metric, value in (("error_percent", 100 * error), ("cosine", cosine)):
            add_result_row(
                "precision", learner=name, tasks=tasks, setting=setting, mean=value, ci95=None, n_tasks=len(batch),
                seed=0, metric=metric, precision=precision, bn=learner.bn_mode,
            )  # fmt: skip
        verdict = "holds" if error < 0.05 and cosine >= 0.999 else "does not hold"
        print(f"{setting:12} {name:16} {precision}: error {error:7.2%}, cosine {cosine:.5f}, {verdict}", flush=True)


def of_workload(key: str) -> None:
    work = WORKLOADS[key]
    learner = qs.MAML(work.quickstudy_net(work.net()), inner_lr=work.inner_lr, inner_steps=work.steps, order=work.order)
    add("maml", learner, work.batch(), key, "glyphs")


def of_learner(name: str) -> None:
    choice = Choice.of(name, "glyphs", preset="demo")
    torch.manual_seed(0)
    options = choice.options({"seed": 0}, way=5, shot=1)
    learner, tasks = choice.build(options)
    if learner.task_model is not None:
        add(name, learner, tasks.sample(TASKS, 0), "5w1s", "glyphs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", help="workloads (W1, W2) and learners")
    learners = [name for name in registry.LEARNERS.own if usual_tasks(name) == "omniglot"]
    for name in parser.parse_args().only or ["W1", *learners, "W2"]:
        (of_workload if name in WORKLOADS else of_learner)(name)


if __name__ == "__main__":
    main()
