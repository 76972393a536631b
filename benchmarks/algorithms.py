"""Copy, repeat-copy and associative recall: a neural Turing machine and an LSTM of the same size, on longer sequences.

    python benchmarks/algorithms.py --out runs/algorithms
    python benchmarks/algorithms.py --tasks copy --cells ntm --steps 2000 --out runs/algorithms
    python benchmarks/algorithms.py --table --out runs/algorithms      # of the runs that are there
    python benchmarks/algorithms.py --table --slots 512 --out runs/algorithms   # tested with a larger memory

Each row is a run folder; one that was interrupted goes on from its last checkpoint, one that is finished is only
tested. Training is the preset of ``quickstudy train ntm``, of which ``--steps`` changes the number of outer steps.
The table has the share of wrong bits (0.5 is guessing) with its 95% interval, on sequences as long as in training, and
longer.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli.terminal import ProgressLine, table
from quickstudy.recipes import Choice, split_options
from quickstudy.training.evaluation import evaluate

LENGTHS: Mapping[str, Mapping[str, Any]] = {
    "copy": {f"length {n}": qs.tasks.Copy(split="test", length=(n, n)) for n in (10, 20, 40, 80, 120)},
    "repeat-copy": {
        f"length {n}, {k} copies": qs.tasks.RepeatCopy(split="test", length=(n, n), copies=(k, k))
        for n, k in ((10, 10), (20, 10), (10, 20))
    },
    "recall": {f"{n} items": qs.tasks.AssociativeRecall(split="test", items=(n, n)) for n in (6, 10, 15, 20)},
}
# An LSTM of 122 has as many weights as the NTM: 64 thousand.
HIDDEN = {"ntm": 100, "lstm": 122}


def trained(task: str, cell: str, steps: int | None, seed: int, out: Path) -> qs.Run:
    """The run, gone on with where it stopped."""
    choice = Choice.of("ntm", task)
    own: dict[str, Any] = {} if steps is None else {"steps": steps}
    options = choice.options({"cell": cell, "hidden_size": HIDDEN[cell], "seed": seed, **own})
    learner, tasks = choice.build(options)
    training, _ = split_options(options)
    given = {**training, "out": out, "resume": True, "workers": 1}
    validation = type(tasks)(split="val")
    line = ProgressLine()
    try:
        qs.train(learner, tasks, validation=validation, progress=line, **given)
    finally:
        line.close()
    return qs.Run.open(out)


def tested(learner: qs.MetaLearner, task: str, n_tasks: int) -> list[str]:
    results = [evaluate(learner, tasks, n_tasks=n_tasks, workers=1) for tasks in LENGTHS[task].values()]
    return [f"{r.mean:.4f} ± {r.ci95:.4f}" for r in results]


def with_slots(learner: qs.MetaLearner, slots: int) -> qs.MetaLearner:
    """The same machine with another memory; its weights do not know how many slots there are."""
    other = registry.build(registry.describe(learner), slots=slots)
    other.load_state_dict(learner.state_dict())
    return other.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(LENGTHS))
    parser.add_argument("--cells", default=",".join(HIDDEN))
    parser.add_argument("--steps", type=int, help="outer steps (default: the preset's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-tasks", type=int, default=100, help="test sequences per length")
    parser.add_argument("--slots", type=int, help="rows of the memory in the test (default: as trained)")
    parser.add_argument("--table", action="store_true", help="train nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for task in given.tasks.split(","):
        rows: list[list[str]] = []
        for cell in given.cells.split(","):
            folder = given.out / f"{task}-{cell}-s{given.seed}"
            if given.table and not (folder / "config.json").exists():
                continue
            run = qs.Run.open(folder) if given.table else trained(task, cell, given.steps, given.seed, folder)
            learner = run.learner()
            if given.slots is not None:
                learner = with_slots(learner, given.slots)
            weights = sum(p.numel() for p in learner.parameters())
            rows.append(
                [cell, str(weights), str(run.config["training"]["steps"]), *tested(learner, task, given.n_tasks)]
            )
        print(f"{task}: share of wrong bits, 95% interval, {given.n_tasks} sequences per column")
        print(table(rows, ["cell", "weights", "outer steps", *LENGTHS[task]]), flush=True)


if __name__ == "__main__":
    main()
