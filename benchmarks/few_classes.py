"""Few classes to learn from: real tasks alone, with affine maps, and with classes that a task GAN makes of them.

    python benchmarks/few_classes.py --out runs/few-classes             # one core: see --budget and --gan-budget
    python benchmarks/few_classes.py --bases 20 --learners protonet --seeds 0 --out runs/few-classes
    python benchmarks/few_classes.py --quality --out runs/few-classes   # what the GANs make, beside real drawings
    python benchmarks/few_classes.py --table --out runs/few-classes     # print what is there

For each number of base classes (characters of Omniglot's training split, in a fixed random order; 0: all 1100) one task
GAN is trained for ``--gan-budget`` seconds of one core. Then each learner is trained for ``--budget`` seconds of one
core on each kind of tasks, everything else being its quick preset, and tested on 1000 tasks of the 423 test characters:

- ``real``: tasks of the base classes, turned by quarters as always;
- ``affine``: the same, every drawing through a random affine map of its own;
- ``made``: half of the tasks of made classes;
- ``made+affine``: both, real and made drawings through maps.

There is no validation: the last weights count. Rows that are in results.jsonl are not run again.
"""

import argparse
import json
import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import quickstudy as qs
from made_classes import print_quality
from omniglot import accuracy_cell
from quickstudy import registry
from quickstudy.core.errors import DivergedError
from quickstudy.recipes import Choice, split_options
from rows import Row, add, read, run_all, show, steps_in_time

KINDS = ("real", "affine", "made", "made+affine")
LEARNERS = ("maml", "protonet")


def gan_folder(out: Path, base: int) -> Path:
    return out / f"task-gan-{base}"


def built(row: Row) -> tuple[Choice, dict[str, Any]]:
    """The learner's quick preset, on the base classes."""
    choice = Choice(row["learner"], "omniglot", "conv4", "quick")
    given = {"way": 5, "shot": 1, "protocol": "maml", "base_classes": row["base"] or None}
    affine = "drawing" if "affine" in row["kind"] else "none"
    return choice, {**choice.options(), **given, "affine": affine, "seed": row["seed"], "workers": 1}


def run_row(row: Row, out: Path, n_tasks: int) -> None:
    """Measure the rate, train, test, and append the result."""
    torch.set_num_threads(1)
    choice, options = built(row)
    learner, real = choice.build(options)
    tasks, drawn = real, 0.0
    if "made" in row["kind"]:
        shape = {"way": real.way, "shot": real.shot, "query": real.query}
        folder = gan_folder(out, row["base"])
        tasks = qs.tasks.Synthesized(folder, real, **shape, share=row["share"], made_affine=options["affine"])
        started = time.process_time()
        tasks.sample(1, 0)  # draws the stock of classes
        assert len(tasks.stock.images)
        drawn = time.process_time() - started
    steps = steps_in_time(learner, tasks, options["meta_batch"], row["budget"])
    options |= {"steps": steps, "checkpoint_every": steps}
    learner, _ = choice.build(options)
    training, test = split_options(options)
    is_gan = row["learner"] == "task-gan"
    folder = gan_folder(out, row["base"]) if is_gan else out / "-".join(str(value) for value in row.values())
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted benchmark left has other steps
    started, stopped = time.process_time(), None
    try:
        run = qs.train(learner, tasks, **{**training, "out": folder})
    except DivergedError as error:  # a GAN may; what it had by then is measured, and the row says so
        if not is_gan:
            raise
        stopped, run = str(error), qs.Run.open(folder)
        run.load_into(learner)
    seconds = time.process_time() - started
    held_out = registry.build(registry.describe(real), split="test", way=5, query=real.query if is_gan else 15)
    result = qs.evaluate(learner, held_out, n_tasks=n_tasks, steps=test["test_steps"], at=(), workers=1)
    run.add_result({**result.to_json(), "split": "test", "checkpoint": steps})
    record = {**row, "steps": steps, "seconds": seconds, "drawing": drawn, "mean": result.mean, "ci95": result.ci95}
    add(out, {**record, "n_tasks": result.n_tasks, "stopped": stopped})


def rows_of(given: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """The GANs', then the learners'."""
    gan = {"learner": "task-gan", "kind": "real", "seed": 0, "share": 0.0, "budget": given.gan_budget}
    gans = [{"base": base, **gan} for base in given.bases if base]
    rows = [
        {"base": base, "learner": learner, "kind": kind, "seed": seed, "share": share, "budget": given.budget}
        for seed in given.seeds
        for base in given.bases
        for learner in given.learners
        for kind in (given.kinds if base else ("real",))
        for share in ([given.share] if "made" in kind else [0.0])
    ]
    return gans, rows


def print_tables(records: list[Row]) -> None:
    """A table (Markdown) for each budget and share; seeds are averaged."""
    for r in (r for r in records if r["learner"] == "task-gan"):
        end = "" if r["stopped"] is None else f"; stopped: {r['stopped'].partition(':')[0]}"
        print(f"task-gan of {r['base']} classes: {r['steps']} steps, {r['seconds']:.0f} s of a core{end}")
    cells: dict[Any, list[Row]] = defaultdict(list)
    for r in records:
        cells[r["budget"], r["learner"], r["base"], r["kind"]].append(r)
    for budget in sorted({r["budget"] for r in records if r["learner"] in LEARNERS}):
        print(f"\n5-way 1-shot, 1000 tasks of unseen characters; {budget:g} s of a core each; ± 95% over test tasks\n")
        lines = [["learner", "base classes", *KINDS, "outer steps"]]
        for learner in LEARNERS:
            for base in sorted({r["base"] for r in records if r["learner"] == learner}, key=lambda b: b or 1e9):
                those = [cells[budget, learner, base, kind] for kind in KINDS]
                steps = "/".join(str(rs[0]["steps"]) if rs else "" for rs in those)
                lines.append([learner, str(base or "all 1100"), *map(accuracy_cell, those), steps])
        show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=int, nargs="+", default=[20, 50, 100, 200], help="base classes (0: all)")
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=LEARNERS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--share", type=float, default=0.5, help="of made tasks")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of training of a learner, on one core")
    parser.add_argument("--gan-budget", type=float, default=240.0, help="the same of a GAN")
    parser.add_argument("--n-tasks", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/few-classes"))
    parser.add_argument("--quality", action="store_true", help="judge what the GANs make; train nothing")
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.row is not None:
        return run_row(given.row, given.out, given.n_tasks)
    if given.quality:
        return print_quality({base: gan_folder(given.out, base) for base in given.bases if base}, given.out)
    if not given.table:
        for rows in rows_of(given):
            run_all(rows, __file__, given.out, 1, "--n-tasks", str(given.n_tasks))
    return print_tables(read(given.out))


if __name__ == "__main__":
    main()
