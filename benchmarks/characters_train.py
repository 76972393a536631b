"""Train the character learner that ships with the package: one command, which goes on where it was stopped.

    python benchmarks/characters_train.py --out runs/characters

A prototypical network with cosine distances on an InkNet, 48-way 1-shot within alphabets of Omniglot's background part:
first without the five validation alphabets (``--out``/choose, to choose by), then, from these weights, a little more on
all thirty (``--out``). BatchNorm is transductive in training alone: afterwards its statistics are estimated on
distorted drawings of the same alphabets, and folded into the weights. What is exported has no BatchNorm, so that no
drawing's answer depends on another.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import quickstudy as qs
from characters_tasks import Alphabets
from quickstudy.core.seeding import fold

SCALE = 16.0
FRAMES = 4


def learner_of(net: qs.nets.InkNet, bn: Any) -> qs.ProtoNet:
    return qs.ProtoNet(net, distance="cosine", scale=SCALE, bn=bn)


def adamw(params: Any, lr: float) -> torch.optim.Optimizer:
    """Weight decay for what BatchNorm makes scale-free alone."""
    params = list(params)
    groups = [{"params": [p for p in params if p.ndim > 1], "weight_decay": 0.02}]
    groups.append({"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))


def warm_cosine(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """A twentieth of the steps upwards, the rest down along a cosine."""
    warm = max(1, steps // 20)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / warm, 1.0, total_iters=warm)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, steps - warm))
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [warm])


def without_batchnorm(net: qs.nets.InkNet, tasks: Alphabets, batches: int = 100) -> qs.nets.InkNet:
    """The trained network with BatchNorm's statistics, estimated on training drawings, folded into its weights."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    net.train()
    with torch.no_grad():
        for k in range(batches):
            batch = tasks.sample(1, fold(0, "statistics", k))
            net(torch.cat([batch.support.x[0], batch.query.x[0]]))
    return net.folded(size=tasks.size, frames=FRAMES).eval()


def stage(net: qs.nets.InkNet, out: Path, split: str, steps: int, lr: float, given: argparse.Namespace) -> None:
    """Train the network, or go on, and export what became of it."""
    tasks = Alphabets(split=split, way=given.way)
    run = qs.train(
        learner_of(net, "transductive"),
        tasks,
        steps=steps,
        meta_batch=1,
        meta_lr=lr,
        optimizer=partial(adamw, lr=lr),
        schedule=partial(warm_cosine, steps=steps),
        log_every=50,
        checkpoint_every=250,
        seed=given.seed,
        out=out / "run",
        resume=True,
        notes={"command": f"python {' '.join(sys.argv)}"},
    )
    learner = learner_of(without_batchnorm(net, tasks), "support")
    card = {
        "learner": qs.registry.describe(learner),
        "command": run.config["command"],
        "data": "Omniglot (Lake, Salakhutdinov, Tenenbaum 2015; MIT licence), background alphabets alone",
        "takes": "drawings [n, 1, 64, 64], ink = 1, paper = 0",
    }
    qs.pretrained.export(run, out, "characters", steps, learner=learner, notes=card)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/characters"))
    parser.add_argument("--steps", type=int, nargs=2, default=[8000, 2000], help="without, and with, all alphabets")
    parser.add_argument("--lr", type=float, nargs=2, default=[3e-3, 1e-3])
    parser.add_argument("--way", type=int, default=48)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(fold(given.seed, "init"))
    net = qs.nets.InkNet(widths=tuple(given.widths), features=given.features, size=32, frames=0)
    net.to(memory_format=torch.channels_last)  # a fifth faster on a CPU
    stage(net, given.out / "choose", "train", given.steps[0], given.lr[0], given)
    stage(net, given.out, "trainval", given.steps[1], given.lr[1], given)


if __name__ == "__main__":
    main()
