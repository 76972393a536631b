"""When the page says "none of these": chosen on background characters, measured on evaluation characters and scribbles.

    python benchmarks/none_of_these.py            # the table
    python benchmarks/none_of_these.py --write runs/characters/choose    # and choose it: src/quickstudy/web/doubt.json

It is chosen by the learner that was trained without the validation alphabets, on these: those that the learner that
ships was trained on are nearer to each other than what a person draws.
All drawings are drawn again as those of the page are. Known: drawings of the characters that were shown, one each (or
``--shot``). Unknown: drawings of as many others. Scribbles: zigzags, spirals, tangles and crossings out.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from quickstudy.apply import pretrained
from quickstudy.apply.one_task import OneTask
from quickstudy.core.files import write_json
from quickstudy.tasks import Omniglot
from quickstudy.tasks.images.drawings import rasterized
from quickstudy.training.intervals import half_width
from quickstudy.web.doubt import chosen
from quickstudy.web.pupil import DOUBT, SHIPPED, Pupil, as_seen, of_run, shipped

WAYS = (2, 5, 20)


def scribble(rng: np.random.Generator) -> list[np.ndarray]:
    """One stroke of a hand that means nothing, in the unit square."""
    kind, n = rng.integers(4), int(rng.integers(20, 60))
    t = np.linspace(0, 1, 8 * n)
    if kind == 0:  # from anywhere to anywhere
        way = rng.random((n, 2))
    elif kind == 1:  # a random walk
        way = rng.normal(size=(3 * n, 2)).cumsum(0)
    elif kind == 2:  # round and round
        turns = 2 * np.pi * t * rng.uniform(4, 10)
        way = np.stack([np.cos(turns), np.sin(turns)], 1) * (0.1 + t)[:, None] + rng.normal(0, 0.02, (len(t), 2))
    else:  # up and down, from left to right
        way = np.stack([np.linspace(0, 1, n), np.arange(n) % 2 + rng.normal(0, 0.1, n)], 1)
    return [way]


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """How often something unknown has the larger share of "none of these"."""
    order = np.concatenate([known, unknown]).argsort().argsort()
    return float((order[len(known) :].sum() - len(unknown) * (len(unknown) - 1) / 2) / len(known) / len(unknown))


def measured(pupil: Pupil, way: int, shot: int, tasks: int, seed: int) -> dict[str, list[float]]:
    """Of tasks of evaluation characters: the share of known that is right, that of each kind rejected, the AUROC."""
    rng = np.random.default_rng(seed)
    size = pupil.shape[-1]
    found: dict[str, list[float]] = {}
    drawn = Omniglot(split="test", protocol="lake", way=2 * way, shot=shot, query=2, rotate=False, size=size)
    batch = as_seen(drawn.sample(tasks, seed))
    for t in range(tasks):
        x, y, asked, true = batch.support.x[t], batch.support.y[t], batch.query.x[t], batch.query.y[t]
        scribbles = torch.stack([rasterized(scribble(rng), size) for _ in range(10)])
        task = OneTask(pupil.learner, x[y < way], y[y < way])
        shares = pupil.doubt.shares(task(torch.cat([asked, scribbles]))[:, :way].double())
        said, none = shares.argmax(1), shares[:, -1].numpy()
        known, unknown, other = true < way, true >= way, slice(len(true), None)
        ours = said[: len(true)]
        row = {
            "right": (ours == true)[known].double().mean(),
            "known rejected": (ours == way)[known].double().mean(),
            "unknown rejected": (ours == way)[unknown].double().mean(),
            "scribbles rejected": (said[other] == way).double().mean(),
            "AUROC": auroc(none[: len(true)][known.numpy()], none[: len(true)][unknown.numpy()]),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(float(value))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run of drawings in place of the learner that ships")
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--write", type=Path, metavar="CHOOSE", help="write doubt.json for the learner that ships")
    options = parser.parse_args()
    if options.write:
        learner = pretrained.read(options.write, SHIPPED)
        most, size = 2 * WAYS[-1], shipped(doubted=False).shape[-1]
        drawn = Omniglot(split="val", protocol="lake", way=most, query=2, rotate=False, size=size)
        doubt = chosen(learner, as_seen(drawn.sample(15, 0)), WAYS)
        write_json(DOUBT, {**asdict(doubt), "sha256": pretrained.about(SHIPPED)["sha256"]})
    pupil = of_run(options.run) if options.run else shipped()
    print(json.dumps(asdict(pupil.doubt)))
    print("| classes | right | known rejected | unknown rejected | AUROC | scribbles rejected |")
    print("|---|---|---|---|---|---|")
    for way in WAYS:
        found = measured(pupil, way, options.shot, options.tasks, seed=1)
        cells = {name: f"{100 * np.mean(v):.1f} ± {100 * half_width(torch.tensor(v)):.1f}" for name, v in found.items()}
        kinds = ("right", "known rejected", "unknown rejected", "AUROC", "scribbles rejected")
        print(f"| {way} | {' | '.join(cells[kind] for kind in kinds)} |", flush=True)


if __name__ == "__main__":
    main()
