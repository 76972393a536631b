"""A GPU for ten minutes: what only it can show, speed beside the peers, then the paper presets that fit into the time.

    python benchmarks/gpu.py --minutes 10
    python benchmarks/gpu.py --device cpu --small --minutes 1   # that it runs

1. Every learner's meta-gradient against the CPU's, in float64; a loop over tasks against ``vmap``; autocast against
   float32; a recurrent network under MAML of second order (which cuDNN has no second derivative for).
2. The speed workloads of ``workloads.py``: quickstudy, plain PyTorch and the peers that are installed take turns.
3. Paper presets, those that fit into what is left of the time; each is tested and written when it ends.

What comes out is printed and kept line by line in ``runs/gpu/results.jsonl``; trained presets go into
``results/gpu.csv``. Nothing here needs a newer torch than 2.9.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import quickstudy as qs
from contenders import contenders
from peers import attempt, quietly
from quickstudy import registry
from quickstudy.recipes import Choice, split_options, usual_tasks
from quickstudy.testing import double, gradient
from results import RESULTS
from rows import add, add_result_row
from workloads import WORKLOADS

PRESETS = (("protonet", "5w1s"), ("maml", "5w1s"), ("protonet", "5w5s"), ("r2d2", "5w1s"), ("anil", "5w1s"))
PARTS = ("checks", "speed", "presets")
SIZES = {"way": 5, "shot": 1, "query": 2, "meta_batch": 2}
Difference = tuple[float, float]
"""How much two gradients differ, relative to their length, and how much they may."""


class Recurrent(nn.Module):
    """``[n, c, h, w]`` row by row through an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(16, 8, batch_first=True)
        self.last = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cell(x[:, 0])[0][:, -1])


def apart(one: Tensor, other: Tensor) -> float:
    """The distance, relative to the other's length."""
    one, other = one.detach().cpu().double(), other.detach().cpu().double()
    return float((one - other).norm() / other.norm().clamp(min=1e-30))


def on_both(learner: qs.MetaLearner[Any], batch: Any, device: torch.device) -> tuple[float, float]:
    """How the device's gradient differs from the CPU's, and how the CPU's differs under another seed."""
    learner, batch = learner.double().eval(), double(batch)
    ours = gradient(learner, batch)
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        pairs = zip(learner.meta_gradient(batch).gradients, learner.parameters(), strict=True)
        again = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])
    return apart(gradient(learner.to(device), batch.to(device)), ours), apart(again, ours)


def of_learner(name: str, device: torch.device) -> Difference:
    tasks = usual_tasks(name)
    choice = Choice.of(name, "glyphs" if tasks == "omniglot" else tasks, preset="demo")
    known = choice.options({}, way=5, shot=1)
    learner, drawn = choice.build(choice.options({k: v for k, v in SIZES.items() if k in known}, way=5, shot=1))
    error, noise = on_both(learner, drawn.sample(2, 0), device)
    return error, 1e-6 if noise < 1e-9 else math.inf  # one that draws numbers of its own draws others on a GPU


def maml(net: Callable[[], nn.Module], **options: Any) -> qs.MAML:
    torch.manual_seed(0)
    return qs.MAML(net(), inner_lr=0.1, inner_steps=2, **options).double().eval()


def small_batch() -> qs.TaskBatch:
    return qs.tasks.Glyphs(size=16, query=2).sample(3, 0)


def vmap(device: torch.device) -> Difference:
    batch, net = double(small_batch()).to(device), partial(qs.nets.Conv4, filters=8, size=16)
    loop, at_once = (gradient(maml(net, execution=how).to(device), batch) for how in ("loop", "vmap"))
    return apart(at_once, loop), 1e-9


def recurrent(order: int, device: torch.device) -> Difference:
    return on_both(maml(Recurrent, order=order), small_batch(), device)[0], 1e-6


def autocast(device: torch.device) -> Difference:
    """Of a prototypical network: of MAML's steps on five images, BatchNorm makes more of the rounding than is left."""
    torch.manual_seed(0)
    learner = qs.ProtoNet(qs.nets.Conv4(filters=32, out_features=None)).eval().to(device)
    batch = qs.tasks.Glyphs().sample(3, 0).to(device)
    wanted = gradient(learner, batch)
    with torch.autocast(device.type, torch.bfloat16):
        return apart(gradient(learner, batch), wanted), 0.3


def check(names: list[str], device: torch.device, out: Path) -> None:
    checks: dict[str, Callable[[], Difference]] = {f"gradient of {n}": partial(of_learner, n, device) for n in names}
    checks |= {f"an LSTM under MAML of order {order}": partial(recurrent, order, device) for order in (1, 2)}
    checks |= {"vmap beside the loop": partial(vmap, device), "bfloat16 beside float32": partial(autocast, device)}
    for what, compare in checks.items():
        found, failure = attempt(compare)
        error, most = found or (math.nan, 0.0)
        verdict = "FAILED" if failure else "random" if most == math.inf else "right" if error <= most else "WRONG"
        add(out, {"part": "checks", "what": what, "error": error, "verdict": verdict, "failure": failure})
        print(f"{verdict:6}  {what}: {failure or f'{error:.1e}'}", flush=True)


def speed(device: torch.device, out: Path, rounds: int, *, small: bool) -> None:
    for key, work in WORKLOADS.items():
        work = replace(work, tasks=2, filters=4, size=16) if small else work
        batch, steps = work.batch().to(device), dict[str, Any]()
        for each in contenders(work):
            if not each.only_checked and not (small and "compile" in each.name):  # it takes minutes
                step, failure = attempt(partial(each.prepare, work, work.net().to(device), batch))
                failure = failure or attempt(partial(timed, step, device))[1]
                if failure:
                    print(f"{key}  {each.name}: {failure}", flush=True)
                else:
                    steps[each.name] = step
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                taken[name].append(quietly(partial(timed, step, device)))
        print(f"\n{key}  {work}")
        for name, found in sorted(taken.items(), key=lambda pair: statistics.median(pair[1])):
            add(out, {"part": "speed", "workload": key, "contender": name, "seconds": found})
            print(f"{1e3 * statistics.median(found):9.2f} ms  {name}", flush=True)


def timed(step: Any, device: torch.device, calls: int = 3) -> float:
    """Seconds a call, until the device has done it."""
    started = time.perf_counter()
    for _ in range(calls):
        step()
    torch.accelerator.synchronize(device) if device.type != "cpu" else None
    return (time.perf_counter() - started) / calls


def preset(name: str, setting: str, given: argparse.Namespace, until: float) -> None:
    """Train and test one, if its outer steps fit into what is left of the time."""
    device, out, small = given.device, given.out, given.small
    way, shot = (int(part) for part in setting[:-1].split("w"))
    choice = Choice.of(name, "glyphs" if small else "omniglot", preset="demo" if small else "paper")
    own = {"filters": 2, "steps": 3, "validation_tasks": 4, "test_tasks": 4, "meta_batch": 2} if small else {}
    options = choice.options({"way": way, "shot": shot, "device": str(device), **own}, way=way, shot=shot)
    learner, tasks = choice.build(options)
    training, test = split_options(options)
    learner.to(device)
    batches = [tasks.sample(options["meta_batch"], seed).to(device) for seed in range(4)]
    learner.meta_backward(batches[0])
    left = until - time.monotonic()
    needed = options["steps"] * timed(lambda: [learner.meta_backward(batch) for batch in batches], device, 1) / 4
    print(f"{name} {setting}: {options['steps']} outer steps need {needed:.0f} s, {left:.0f} s are left", flush=True)
    if 1.2 * needed > left:
        return
    held = {"way": way, "query": 2 if small else 15}
    validation, unseen = (registry.build(registry.describe(tasks), split=split, **held) for split in ("val", "test"))
    learner, _ = choice.build(options)
    run = qs.train(learner, tasks, validation=validation, **{**training, "out": out / f"{name}-{setting}"})
    result = qs.evaluate(
        run.learner(), unseen, n_tasks=test["test_tasks"], steps=test["test_steps"], device=str(device)
    )
    row = add_result_row(
        "gpu", learner=name, tasks=choice.tasks, setting=setting, protocol=options.get("protocol", ""), bn=result.bn,
        seed=options["seed"], preset=choice.preset, steps=options["steps"], train_s=needed, n_tasks=result.n_tasks,
        mean=100 * result.mean, ci95=100 * result.ci95, results=given.results,
    )  # fmt: skip
    add(out, {"part": "presets", **row})
    print(f"{name} {setting}: {result}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all of it")
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--learners", nargs="+", choices=[*registry.LEARNERS], default=[*registry.LEARNERS])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true", help="sizes of seconds, to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * given.minutes
    if "checks" in given.only:
        check(given.learners, given.device, given.out)
    if "speed" in given.only:
        speed(given.device, given.out, given.rounds, small=given.small)
    for name, setting in PRESETS[: 1 if given.small else None] if "presets" in given.only else ():
        _, failure = attempt(partial(preset, name, setting, given, until))
        if failure:
            print(f"{name} {setting}: {failure}", flush=True)


if __name__ == "__main__":
    main()
