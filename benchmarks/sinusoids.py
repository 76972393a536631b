"""Sinusoids as in the MAML paper: 5 points, error after 1, 5 and 10 steps, beside a network pretrained on all tasks.

    quickstudy train maml --tasks sinusoids --preset paper --out runs/sinusoids
    python benchmarks/sinusoids.py runs/sinusoids

The baseline is the same network trained on all tasks at once (MAML with no inner step is just that) with the same
number of outer steps, then adapted with the step size from a grid that is best on validation tasks.
"""

import argparse

import torch

import quickstudy as qs
from quickstudy.cli.terminal import ProgressLine, table

PAPER = {"MAML": ("0.67", "0.38", "0.35")}
GRID = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1)
STEPS = (1, 5, 10)


def scores(learner: qs.MetaLearner, split: str, n_tasks: int, shot: int) -> qs.Result:
    tasks = qs.tasks.Sinusoids(split=split, shot=shot, query=100)
    return qs.evaluate(learner, tasks, n_tasks=n_tasks, steps=10)


def pretrained(steps: int) -> qs.nets.MLP:
    torch.manual_seed(0)
    model = qs.nets.MLP()
    learner = qs.MAML(model, inner_steps=0, loss="mse")
    qs.train(learner, qs.tasks.Sinusoids(shot=10), steps=steps, meta_batch=25, progress=ProgressLine())
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a trained sinusoid run of MAML")
    parser.add_argument("--n-tasks", type=int, default=1000)
    parser.add_argument("--shot", type=int, default=5)
    given = parser.parse_args()
    run = qs.Run.open(given.run)
    model = pretrained(run.config["training"]["steps"])
    candidates = [qs.MAML(model, inner_lr=lr, inner_steps=10, loss="mse") for lr in GRID]
    best = min(candidates, key=lambda c: scores(c, "val", 200, given.shot).mean)
    rows = []
    for name, learner in (("MAML", run.learner()), (f"pretrained (step size {best.inner_lr})", best)):
        by_step = {s.step: s for s in scores(learner, "test", given.n_tasks, given.shot).by_step}
        rows.append([name, *(f"{by_step[k].mean:.3f} ± {by_step[k].ci95:.3f}" for k in STEPS)])
    rows.append(["MAML in the paper", *PAPER["MAML"]])
    print(
        f"{given.shot}-shot sinusoids, mean squared error, {given.n_tasks} test tasks of 100 query points, 95% interval"
    )
    print(table(rows, ["", *(f"after {k} step{'s' * (k > 1)}" for k in STEPS)]))


if __name__ == "__main__":
    main()
