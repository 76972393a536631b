"""Conditional and attentive neural processes on draws from a Gaussian process, beside the exact answer.

    python benchmarks/neural_processes.py --budget 600 --out runs/neural-processes      # one core, about 40 minutes
    python benchmarks/neural_processes.py --table --out runs/neural-processes           # print what is there

Each learner is trained on ``gp`` and on sinusoids for ``--budget`` seconds on one core (the rate is measured for a
moment, and the run gets as many outer steps as fit; everything else is the learner's quick preset), then tested on 1000
tasks. On ``gp`` the score is minus the log-likelihood of a query point in nats, by support size, beside the exact
Gaussian process on the same tasks, which nothing can beat, and beside the prior, which has not looked at the support
set. On sinusoids (10 points) it is the squared error of the mean. A picture shows a few test tasks. A row that is in
results.jsonl already is not trained again, and a run that was interrupted goes on from its last checkpoint.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

import quickstudy as qs
from quickstudy.cli.terminal import ProgressLine, table
from quickstudy.core.batch import shared_draws
from quickstudy.core.losses import mean_of, std_of, task_losses
from quickstudy.core.seeding import fold
from quickstudy.recipes import Choice, split_options
from quickstudy.training.evaluation import draws
from quickstudy.training.intervals import half_width, mean_and_half_width
from rows import Row, add, add_steps, is_done, outer_steps, own_steps, read

LEARNERS = ("cnp", "anp")
SHOTS = (3, 5, 10, 20)
N_TASKS = 1000


def tests() -> dict[str, qs.tasks.GaussianProcesses]:
    """What is tested on: the training's support sizes, and each of a few alone."""
    mixed = {"3 to 20": qs.tasks.GaussianProcesses(split="test")}
    return mixed | {str(shot): qs.tasks.GaussianProcesses(split="test", shot=shot) for shot in SHOTS}


def blocks(tasks: Any, n_tasks: int) -> Any:
    """The tasks that ``evaluate`` draws, and their seeds."""
    for block in draws(tasks, n_tasks, 0):
        yield tasks.sample(block.size, block.seed), block.seed


def yardsticks(n_tasks: int) -> dict[str, dict[str, tuple[float, float]]]:
    """The exact Gaussian process, and the prior."""
    found: dict[str, dict[str, tuple[float, float]]] = {"exact": {}, "prior": {}}
    for name, tasks in tests().items():
        exact, prior = [], []
        std = math.hypot(tasks.output_scale[0], tasks.noise)
        for batch, seed in blocks(tasks, n_tasks):
            y = batch.query.y
            exact.append(task_losses("gaussian", tasks.exact(batch.support, batch.query.x, seed=seed), y))
            flat = torch.stack([torch.zeros_like(y), torch.full_like(y, std)], -1)
            prior.append(task_losses("gaussian", flat, y))
        sizes = [len(each) for each in exact] if shared_draws(tasks) else None
        for answer, each in (("exact", torch.cat(exact)), ("prior", torch.cat(prior))):
            found[answer][name] = float(each.double().mean()), float(half_width(each, sizes))
    return found


def squared_error(learner: qs.MetaLearner, tasks: Any, n_tasks: int) -> tuple[float, float]:
    errors = []
    with torch.no_grad():
        for batch, _ in blocks(tasks, n_tasks):
            mean = mean_of(learner.adapt(batch.support)(batch.query.x))
            errors.append(task_losses("mse", mean, batch.query.y))
    return mean_and_half_width(torch.cat(errors))


def trained(row: Row, folder: Path) -> tuple[qs.MetaLearner, int, float]:
    """A row's learner after its budget, its steps and seconds; what an earlier call left goes on."""
    choice = Choice(row["learner"], row["tasks"], "mlp", "quick")
    options = {**choice.options(), "seed": row["seed"], "workers": 1, "device": "cpu"}
    learner, tasks = choice.build(options)
    resume = (folder / "config.json").exists()
    if resume:
        options["steps"] = qs.Run.open(folder).config["training"]["steps"]
    else:
        options["steps"] = outer_steps(row, learner, tasks, options["meta_batch"])
        learner, tasks = choice.build(options)  # the measurement has not moved it, but a run begins afresh
    options["checkpoint_every"] = max(1, options["steps"] // 10)
    training, _ = split_options(options)
    line = ProgressLine()
    try:
        run = qs.train(learner, tasks, **{**training, "out": folder, "resume": resume}, progress=line)
    finally:
        line.close()
    seconds = next(r["seconds"] for r in reversed(run.metrics()) if "seconds" in r)
    return learner.eval(), options["steps"], seconds


def one_row(row: Row, out: Path, n_tasks: int) -> None:
    """Train, test, and append to ``results.jsonl``."""
    folder = out / "-".join(str(value) for value in row.values())
    learner, steps, seconds = trained(row, folder)
    record = {**row, "steps": steps, "seconds": seconds, "n_tasks": n_tasks}
    if row["tasks"] == "gp":
        results = {name: qs.evaluate(learner, tasks, n_tasks=n_tasks, workers=1) for name, tasks in tests().items()}
        record["nll"] = {name: (r.mean, r.ci95) for name, r in results.items()}
        draw(learner, out / f"{row['learner']}-s{row['seed']}.png", row["learner"].upper())
    else:
        record["mse"] = squared_error(learner, qs.tasks.Sinusoids(split="test", query=100), n_tasks)
    add(out, record)


def draw(learner: qs.MetaLearner, path: Path, name: str) -> None:
    """Four test tasks of growing support size: mean and two standard deviations, the learner's and the exact ones."""
    figure = Figure(figsize=(11, 2.8), layout="constrained")
    for axes, shot in zip(figure.subplots(1, len(SHOTS), sharey=True), SHOTS, strict=True):
        tasks = qs.tasks.GaussianProcesses(split="test", shot=shot)
        seed = fold(0, "picture")
        support = tasks.sample(1, seed).support
        x = torch.linspace(*tasks.x_range, 200).view(1, -1, 1)
        with torch.no_grad():
            found = {"exact": tasks.exact(support, x, seed=seed), name: learner.adapt(support)(x)}
        for (label, predictions), color in zip(found.items(), ("#888888", "#1f5fbf"), strict=True):
            at, mean, std = (v.flatten().numpy() for v in (x, mean_of(predictions), std_of(predictions)))
            axes.fill_between(at, mean - 2 * std, mean + 2 * std, color=color, alpha=0.2, linewidth=0)
            axes.plot(at, mean, color=color, label=label, linestyle="--" if label == "exact" else "-")
        axes.plot(support.x.flatten(), support.y.flatten(), "o", color="#222222", markersize=4, zorder=5)
        axes.set_title(f"{shot} points", fontsize=9)
        axes.set_xlabel("x")
    figure.axes[0].set_ylabel("y")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def print_table(out: Path, n_tasks: int) -> None:
    def text(value: Any) -> str:
        return f"{value[0]:.3f} ± {value[1]:.3f}"

    records = read(out)
    rows = [
        [r["learner"], f"{r['seed']}", f"{r['steps']}", f"{r['seconds']:.0f} s", *(text(v) for v in r["nll"].values())]
        for r in records
        if "nll" in r
    ]
    rows += [[name, "", "", "", *(text(v) for v in found.values())] for name, found in yardsticks(n_tasks).items()]
    print(f"gp: minus the log-likelihood of a query point, nats, {n_tasks} test tasks, 95% interval, by support size")
    print(table(rows, ["", "seed", "steps", "trained", *tests()]))
    print(f"\nsinusoids: squared error of the mean, 10 points, {n_tasks} test tasks of 100 query points, 95% interval")
    rows = [
        [r["learner"], f"{r['seed']}", f"{r['steps']}", f"{r['seconds']:.0f} s", text(r["mse"])]
        for r in records
        if "mse" in r
    ]
    print(table(rows, ["", "seed", "steps", "trained", "squared error"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=600, help="seconds of training of each run, on one core")
    add_steps(parser)
    parser.add_argument("--learners", nargs="+", default=LEARNERS, choices=LEARNERS)
    parser.add_argument("--tasks", nargs="+", default=("gp", "sinusoids"), choices=("gp", "sinusoids"))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0,))
    parser.add_argument("--n-tasks", type=int, default=N_TASKS)
    parser.add_argument("--out", type=Path, default=Path("runs/neural-processes"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds if not given.table else ():
        for tasks in given.tasks:
            for learner in given.learners:
                row = {"learner": learner, "tasks": tasks, "budget": given.budget, "seed": seed}
                row |= own_steps(given.steps)
                if not is_done(row, given.out):
                    one_row(row, given.out, given.n_tasks)
    print_table(given.out, given.n_tasks)


if __name__ == "__main__":
    main()
