"""Learned optimizers: how far and how fast they optimize, and what a step costs.

    python benchmarks/optimizers.py curves RUN [RUN ...] [--families mlp,conv,wide] [--steps 200] [--seeds 5]
    python benchmarks/optimizers.py speed [--rounds 9]
    python benchmarks/optimizers.py throughput [--rounds 3]
    python benchmarks/optimizers.py ship [RUN] [--steps 1000]

``curves``: each run's rule beside SGD, momentum, RMSprop, Adam and AdamW, each with its own step size out of ten,
chosen for each family on other seeds (``--usual``: which of them; ``--lr 1 0.5``: the learned rule's steps as they are,
and half as large). ``speed``: one step on ResNet-12 and on a 10M-parameter MLP beside Adam's (foreach), by turns,
median over rounds. ``throughput``: inner steps per second of meta-training, batched and problem by problem. ``ship``:
truncated unrolls do not see what a large step does later, so a trained rule's step size is judged again, over whole
unrolls longer than those of the training, on validation problems of the trained families. The smallest of ``FACTORS``
that is no worse than the best by more than a standard error goes into the rule, for of steps as good there the smaller
are the safer elsewhere, and the rule into the package (no RUN: the one that is there, whose steps cannot grow so). All
print Markdown tables; ``--json FILE`` keeps the figures.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

import quickstudy as qs
from measure import machine
from quickstudy.apply import pretrained
from quickstudy.apply.comparison import GRID, USUAL, compare
from quickstudy.apply.comparison import curves as unrolled
from quickstudy.apply.learned_optimizer import pretrained_rule, rule_of_run
from quickstudy.core.functional import Params
from quickstudy.learners.optimizers._unrolled import relative
from quickstudy.rules import CoordinateLSTM, FeatureMLP, HyperMLP, LearnedAdam, UpdateRule
from quickstudy.tasks.problems.problems import HELD_OUT, TRAINED

FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0)
SHIPPED_SEEDS = 12


class Scaled(UpdateRule):
    """A rule whose steps are taken ``lr`` times, as ``LearnedOptimizer(..., lr=lr)`` does; with ``over``, down a cosine
    to nothing after that many steps, as under ``CosineAnnealingLR``."""

    def __init__(self, rule: UpdateRule, lr: float, over: int | None) -> None:
        super().__init__()
        self.rule = rule
        self.lr = lr
        self.over = over

    def init(self, params: Params) -> Any:
        return 0, self.rule.init(params)

    def update(self, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
        count, own = state
        lr = self.lr * (0.5 + 0.5 * math.cos(math.pi * count / self.over) if self.over else 1.0)
        after, own = self.rule.update(params, grads, own)
        return {name: p.lerp(after[name], lr) for name, p in params.items()}, (count + 1, own)


def curves(given: argparse.Namespace) -> list[dict[str, Any]]:
    trained = {Path(run).name: rule_of_run(run) for run in given.runs} or {"shipped": pretrained_rule()}
    rules: dict[str, UpdateRule] = {}
    for lr in given.lr:
        for name, rule in trained.items():
            named = name if lr == 1 else f"{name}, lr={lr:g}"
            if given.cosine:
                rules[f"{named}, cosine"] = Scaled(rule, lr, given.steps)
            else:
                rules[named] = rule if lr == 1 else Scaled(rule, lr, None)
    usual = {name: USUAL[name] for name in USUAL if name in given.usual.split(",")}
    found = []
    print(f"Losses relative to the start, mean ± 95% over {given.seeds} seeds of {given.problems} problems;")
    print(f"{given.steps} steps; step sizes from {len(GRID)} between {GRID[0]:g} and {GRID[-1]:.2g}.\n")
    print("| family | optimizer | step size | mean over steps | final | diverged |\n|---|---|---|---|---|---|")
    for family in given.families.split(","):
        rows = compare(
            rules, family=family, steps=given.steps, seeds=range(given.seeds), count=given.problems,
            rescale=given.rescale, data=tuple(given.data.split(",")), usual=usual,
        )  # fmt: skip
        for r in rows:
            lr = "learned" if r.lr is None else f"{r.lr:.2g}"
            print(
                f"| {family} | {r.optimizer} | {lr} | {r.area:.4f} ± {r.area_ci95:.4f} "
                f"| {r.final:.4f} ± {r.final_ci95:.4f} | {100 * r.diverged:.0f}% |",
                flush=True,
            )
        found += [asdict(r) for r in rows]
    return found


def ship(given: argparse.Namespace) -> list[dict[str, Any]]:
    run = qs.Run.open(given.runs[0]) if given.runs else None
    step = run.steps()[-1] if run else None
    learner = run.learner(step) if run else pretrained.load("optimizer")
    rule = learner.get_submodule("rule")
    assert isinstance(rule, FeatureMLP), f"only a FeatureMLP ships, this is a {type(rule).__name__}"
    base = rule.base.detach().clone()
    problems = qs.tasks.Problems(split="val", rescale=0.0)
    found = []
    print(
        f"{SHIPPED_SEEDS} architectures of the trained families, {given.steps} steps, other problems than in training\n"
    )
    print("| factor | meta-loss | mean over steps | final |\n|---|---|---|---|")
    losses: dict[float, torch.Tensor] = {}
    for factor in FACTORS:
        rule.base.data.copy_(base + math.log(factor))
        ratios = torch.stack(
            [unrolled(rule, problems, seed, count=4, steps=given.steps) for seed in range(SHIPPED_SEEDS)]
        )
        losses[factor] = relative(ratios, torch.ones(())).mean((1, 2))  # by architecture
        row = {"factor": factor, "loss": float(losses[factor].mean())}
        row |= {"area": float(ratios.mean()), "final": float(ratios[:, -1].mean())}
        print("| " + " | ".join(f"{value:.4g}" for value in row.values()) + " |", flush=True)
        found.append(row)
    least = min(losses, key=lambda factor: float(losses[factor].mean()))
    behind = {factor: loss - losses[least] for factor, loss in losses.items()}
    best = min(f for f, gap in behind.items() if gap.mean() <= gap.std() / math.sqrt(len(gap)))
    rule.base.data.copy_(base + math.log(best))
    folder = Path(pretrained.__file__).parent
    if run:
        pretrained.export(run, folder, "optimizer", step, learner=learner, notes={"step_size_factor": best})
    else:
        about = pretrained.about("optimizer")
        pretrained.write(folder, "optimizer", learner, {**about, "step_size_factor": about["step_size_factor"] * best})
    print(f"\nfactor {best:g}: now in {folder}")
    return found


def resnet12() -> nn.Module:
    return qs.nets.ResNet12(in_channels=3, out_features=5, size=84)


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 2400), nn.ReLU(), nn.Linear(2400, 2400), nn.ReLU(), nn.Linear(2400, 1000), nn.Linear(1000, 10)
    )


def speed(given: argparse.Namespace) -> list[dict[str, Any]]:
    """One step with the gradients there, in turns, so that whatever else the machine does hits all alike."""
    rules = {
        "LearnedAdam": LearnedAdam(),
        "FeatureMLP 4": FeatureMLP(),
        "FeatureMLP 4, compiled": FeatureMLP(),
        "FeatureMLP 16": FeatureMLP(hidden=16),
        "HyperMLP 8": HyperMLP(),
        "CoordinateLSTM 4": CoordinateLSTM(hidden=4),
        "CoordinateLSTM 20": CoordinateLSTM(),
    }
    chosen = {name: rule for name, rule in rules.items() if given.only in name}
    found = []
    print("| model | parameters | optimizer | ms per step | beside Adam |\n|---|---|---|---|---|")
    for name, make in (("ResNet-12", resnet12), ("MLP", mlp)):
        model = make()
        for p in model.parameters():
            p.grad = 0.01 * torch.randn_like(p)
        size = sum(p.numel() for p in model.parameters())
        steppers: dict[str, Callable[[], Any]] = {
            "Adam, foreach": torch.optim.Adam(model.parameters(), foreach=True).step
        }
        for key, rule in chosen.items():
            steppers[key] = qs.LearnedOptimizer(model.parameters(), rule, compile="compiled" in key).step
        times = in_turns(steppers, given.rounds)
        for key, seconds in times.items():
            ratio = statistics.median(a / b for a, b in zip(seconds, times["Adam, foreach"], strict=True))
            middle = 1000 * statistics.median(seconds)
            print(f"| {name} | {size:,} | {key} | {middle:.1f} | {ratio:.2f} |", flush=True)
            found.append({"model": name, "size": size, "optimizer": key, "ms": middle, "ratio": ratio})
    return found


def throughput(given: argparse.Namespace) -> list[dict[str, Any]]:
    """Meta-gradients of one batch of problems, at once and problem by problem."""
    found = []
    print(
        "| learner | estimate | family | inner steps a second | problem by problem | ratio |\n|---|---|---|---|---|---|"
    )
    for name in ("AdamOptimizer", "LSTMOptimizer", "MLPOptimizer", "HyperOptimizer"):
        for estimator in ("backprop", "pes") if given.only in name else ():
            for family in ("quadratic", "mlp"):
                learner = getattr(qs, name)(estimator=estimator)
                tasks = qs.tasks.Problems(families=(family,), horizon=(20, 20))
                batch = tasks.sample(given.problems, seed=0)

                def at_once(learner=learner, batch=batch):
                    return learner.meta_gradient(batch)

                def one_by_one(learner=learner, batch=batch):
                    return [learner.meta_gradient(batch[t : t + 1]) for t in range(len(batch))]

                times = in_turns({"batch": at_once, "loop": one_by_one}, given.rounds)
                steps = given.problems * batch.horizon
                batched, looped = (steps / statistics.median(times[key]) for key in ("batch", "loop"))
                ratio = statistics.median(a / b for a, b in zip(times["loop"], times["batch"], strict=True))
                print(
                    f"| {name} | {estimator} | {family} | {batched:.0f} | {looped:.0f} | {ratio:.1f} |",
                    flush=True,
                )
                found.append(
                    {
                        "learner": name,
                        "estimator": estimator,
                        "family": family,
                        "batched": batched,
                        "ratio": ratio,
                    }
                )
    return found


def in_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for k in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if k:
                times[name].append(time.perf_counter() - started)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("curves", "speed", "throughput", "ship"))
    parser.add_argument("runs", nargs="*", help="run folders (curves; none: the rule that ships)")
    parser.add_argument("--families", default=",".join(n for n in (*TRAINED, *HELD_OUT) if n != "omniglot"))
    parser.add_argument("--usual", default=",".join(USUAL), help="the optimizers beside the rule; '': none")
    parser.add_argument("--lr", type=float, nargs="+", default=[1.0], help="factors on the learned rule's steps")
    parser.add_argument("--cosine", action="store_true", help="the learned rule's steps fall to nothing")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--rescale", type=float, default=0.0)
    parser.add_argument("--data", default="glyphs")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="rules or learners whose name has this in it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.manual_seed(0)
    found = {"curves": curves, "speed": speed, "throughput": throughput, "ship": ship}[given.what](given)
    print(f"\n{machine()}")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine(), "rows": found}, indent=2))


if __name__ == "__main__":
    main()
