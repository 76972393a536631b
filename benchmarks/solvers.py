"""Solvers by generation beside solvers by gradient descent: what ``generative.py --solvers`` and ``--speed`` run."""

import math
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import quickstudy as qs
from omniglot import SETTINGS
from quickstudy import registry
from quickstudy.apply.calibration import best_noise, calibration_error, class_log_likelihood, value_log_likelihood
from quickstudy.cli.terminal import ProgressLine, table
from quickstudy.core.errors import DivergedError
from quickstudy.recipes import Choice, split_options
from quickstudy.report.pictures import draw
from quickstudy.training.evaluation import draws
from quickstudy.training.intervals import mean_and_half_width, t_quantile
from rows import add, steps_in_time

LEARNERS = ("maml", "hypernet", "solver-gan")
SHOTS = (1, 2, 5, 10)  # of sinusoids; trained on 1 to 10
FURTHER = (0, 1, 5)
RATES = {"sinusoids": (3e-4, 1e-3, 3e-3, 1e-2), "omniglot": (0.003, 0.01, 0.03, 0.1, 0.4)}


def chosen(learner: str, setting: str, seed: int) -> tuple[Choice, dict[str, Any]]:
    """What is trained: the learner's quick preset, on tasks that are the same for all."""
    if setting == "sinusoids":
        choice, given = Choice(learner, "sinusoids", "mlp", "quick"), {"shot": (1, 10), "query": 10}
        options = choice.options()
    else:
        way, shot = SETTINGS[setting]
        choice, given = Choice(learner, "omniglot", "conv4", "quick"), {"way": way, "shot": shot, "protocol": "maml"}
        options = choice.options(way=way, shot=shot)
    return choice, {**options, **given, "seed": seed, "workers": 1, "device": "cpu"}


def blocks(tasks: Any, n_tasks: int, seed: int = 0) -> Iterator[qs.TaskBatch]:
    """The tasks that ``evaluate`` draws."""
    for block in draws(tasks, n_tasks, seed):
        yield tasks.sample(block.size, block.seed)


def each_draw(learner: Any, tasks: Any, n_tasks: int) -> tuple[Tensor, Tensor]:
    """Predictions ``[tasks, draws, n, ...]`` of what ``adapt`` gives (one draw, if it is no ensemble), and y."""
    found, targets = [], []
    with torch.no_grad():
        for batch in blocks(tasks, n_tasks):
            solver = learner.adapt(batch.support)
            x = batch.query.x
            found.append(solver.each(x) if hasattr(solver, "each") else solver(x).unsqueeze(1))
            targets.append(batch.query.y)
    return torch.cat(found), torch.cat(targets)


def calibration(p: Tensor, y: Tensor) -> tuple[float, float]:
    """Calibration error of all queries together, with a half-width from 200 samples of tasks with replacement."""
    rng = torch.Generator().manual_seed(0)
    again = [torch.randint(len(p), (len(p),), generator=rng) for _ in range(200)]
    errors = torch.stack([calibration_error(p[which], y[which]) for which in again])
    return float(calibration_error(p, y)), float(t_quantile(len(p) - 1) * errors.std())


def with_rate(learner: qs.MetaLearner, rate: float) -> qs.MetaLearner:
    """The same learner, with another size of its inner steps."""
    other = registry.build(registry.describe(learner), inner_lr=rate)
    other.load_state_dict(learner.state_dict())
    return other.eval()


def best_rate(learner: qs.MetaLearner, tasks: Any, rates: tuple[float, ...], n_tasks: int) -> float:
    """The step size that serves best for five further steps, on validation tasks."""
    losses = {}
    for rate in {learner.inner_lr, *rates}:
        loss = qs.evaluate(with_rate(learner, rate), tasks, n_tasks=n_tasks, steps=5, at=(), workers=1).loss
        losses[rate] = loss if math.isfinite(loss) else math.inf
    return min(losses, key=losses.__getitem__)


def measured(learner: qs.MetaLearner, tasks: Any, validation: Any, rate: float, n_tasks: int) -> dict[str, Any]:
    """Score after further steps; calibration and likelihood of what ``adapt`` gives."""
    result = qs.evaluate(with_rate(learner, rate), tasks, n_tasks=n_tasks, steps=max(FURTHER), at=FURTHER, workers=1)
    found: dict[str, Any] = {"by_step": {s.step: (s.mean, s.ci95) for s in result.by_step}, "n_tasks": n_tasks}
    each, y = each_draw(learner, tasks, n_tasks)
    if y.is_floating_point():
        noise = best_noise(*each_draw(learner, validation, min(200, n_tasks)))
        found |= {"noise": noise, "log_likelihood": mean_and_half_width(value_log_likelihood(each, y, noise))}
        if each.shape[1] > 1:
            found["spread"] = float(each.std(1).mean())
        return found
    found["log_likelihood"] = mean_and_half_width(class_log_likelihood(each, y))
    return found | {"ece": calibration(each.softmax(-1).mean(1), y)}


def one_row(row: dict[str, Any], out: Path, n_tasks: int) -> None:
    """Train as long as the budget says, measure, and append to ``results.jsonl``."""
    choice, options = chosen(row["learner"], row["setting"], row["seed"])
    learner, tasks = choice.build(options)
    steps = steps_in_time(learner, tasks, options["meta_batch"], row["budget"])
    options |= {"steps": steps, "checkpoint_every": max(1, steps // 10)}
    learner, tasks = choice.build(options)
    training, test = split_options(options)
    folder = out / "-".join(str(value) for value in row.values())
    shutil.rmtree(folder, ignore_errors=True)
    started, line, stopped = time.process_time(), ProgressLine(), None
    try:
        qs.train(learner, tasks, **{**training, "out": folder}, progress=line)
    except DivergedError as error:  # a GAN may; what it had by then is measured, and the row says so
        stopped = str(error)
        qs.Run.open(folder).load_into(learner)
    finally:
        line.close()
    record = {**row, "steps": steps, "seconds": time.process_time() - started, "stopped": stopped}
    learner.eval()
    described = registry.describe(tasks)
    few = max(2, n_tasks // 10)
    if row["setting"] == "sinusoids":
        rate = best_rate(learner, registry.build(described, split="val"), RATES["sinusoids"], few)
        record |= {"rate": rate, "by_shot": {}}
        for shot in SHOTS:
            test_tasks, validation = (registry.build(described, split=s, shot=shot, query=50) for s in ("test", "val"))
            record["by_shot"][shot] = measured(learner, test_tasks, validation, rate, n_tasks)
        for picture in draw(learner, registry.build(described, split="test", shot=5).sample(3, 0)):
            (out / f"{picture.name}-{row['learner']}-s{row['seed']}.{picture.kind}").write_bytes(picture.image)
    else:
        query = test["test_query"] if SETTINGS[row["setting"]][0] == 5 else 5
        validation, test_tasks = (registry.build(described, split=split, query=query) for split in ("val", "test"))
        rate = best_rate(learner, validation, RATES["omniglot"], few)
        number = max(2, n_tasks * 3 // 10) if row["setting"] == "20w5s" else n_tasks
        record |= {"rate": rate, **measured(learner, test_tasks, validation, rate, number)}
    add(out, record)


def print_solvers(records: list[dict[str, Any]]) -> None:
    """The tables of what is there."""

    def text(value: Any, scale: float = 1.0) -> str:
        return "" if value is None else f"{scale * value[0]:.3f} ± {scale * value[1]:.3f}"

    def steps(r: dict[str, Any], found: dict[str, Any], scale: float) -> list[str]:
        scores = (text(found["by_step"][str(k)], scale) for k in FURTHER)
        return [r["learner"], f"{r['seed']}", f"{r['steps']}", *scores, f"{r['rate']:g}"]

    def spread(found: dict[str, Any]) -> str:
        return f"{found['spread']:.3f}" if "spread" in found else ""

    columns = ["learner", "seed", "outer steps", "0 steps", "1 step", "5 steps", "its size"]
    sines = [r for r in records if r["setting"] == "sinusoids"]
    if sines:
        print("sinusoids: squared error and log-likelihood (nats per point) on test tasks, 95% interval over tasks")
        rows = [
            [
                f"{shot}",
                *steps(r, found, 1.0),
                text(found["log_likelihood"]),
                f"{found['noise']:.3f}",
                spread(found),
                _state(r),
            ]
            for shot in map(str, SHOTS)
            for r in sines
            for found in (r["by_shot"][shot],)
        ]
        print(table(rows, ["points", *columns, "log-likelihood", "noise", "spread", ""]))
    for setting in SETTINGS:
        those = [r for r in records if r["setting"] == setting]
        if those:
            print(f"\n{setting}: accuracy in %, log-likelihood (nats per query) and calibration error in %")
            rows = [[*steps(r, r, 100.0), text(r["log_likelihood"]), text(r["ece"], 100.0), _state(r)] for r in those]
            print(table(rows, [*columns, "log-likelihood", "calibration error", ""]))


def _state(record: dict[str, Any]) -> str:
    return "" if record["stopped"] is None else "stopped: " + record["stopped"].partition(":")[0]


def print_speed(settings: Sequence[str], rounds: int, tasks: int = 25) -> None:
    """Solvers per second on one core, medians of interleaved rounds."""
    for setting in settings:
        ways = {}
        for name, steps in (("maml", 1), ("maml", 5), ("hypernet", 0), ("solver-gan", 0)):
            choice, options = chosen(name, setting, 0)
            learner, distribution = choice.build({**options, "inner_steps": steps})
            support = distribution.sample(tasks, 0).support
            label = f"{name}, {steps} steps" if steps else name
            ways[label] = (learner.eval(), support, tasks * getattr(learner, "draws", 1))
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        with torch.no_grad():
            for number in range(rounds + 1):
                for name, (learner, support, _) in ways.items():
                    started = time.process_time()
                    learner.adapt(support)
                    if number:  # the first round warms up
                        seconds[name].append(time.process_time() - started)
        rows = []
        for name, (_, _, solvers) in ways.items():
            median = statistics.median(seconds[name])
            rows.append([name, f"{1000 * median:.2f}", f"{tasks / median:.0f}", f"{solvers / median:.0f}"])
        print(f"\n{setting}: adapting to {tasks} tasks on one core, median of {rounds} rounds")
        print(table(rows, ["", "ms", "tasks per second", "solvers per second"]))
