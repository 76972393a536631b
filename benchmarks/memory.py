"""Three memories on Omniglot with the same time to train: accuracy when a class is seen the 1st, 2nd, ... 10th time.

    python benchmarks/memory.py --budget 1200 --jobs 2 --out runs/memory    # lrua, ntm, lstm; raw pixels and conv4
    python benchmarks/memory.py --nets flat --memories lrua --labels string --out runs/memory
    python benchmarks/memory.py --table --out runs/memory                   # table and figure of what is there

The tasks are the paper's (Santoro et al. 2016, table 1): episodes of 50 drawings, 5 classes of 10 in random order,
labels a step late. With ``flat`` the network reads raw pixels, 20x20; with ``conv4`` features of 28x28 pixels.
A row is a run in a process of its own, on one core: the rate is measured for a moment, and the run gets as many outer
steps as fit into the budget (seconds of one core); everything else is the preset of ``quickstudy train mann``. It is
tested on the streams of ``--test-tasks`` tasks of classes not seen in training. Rows that are in results.jsonl already
are not run again, and a run that was interrupted goes on from its last checkpoint.
"""

import argparse
import json
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.seeding import fold
from quickstudy.learners import by_instance
from quickstudy.recipes import Choice, split_options
from quickstudy.training.evaluation import BLOCK
from quickstudy.training.intervals import half_width
from rows import add, read, run_all, show, steps_in_time

MEMORIES = {"lrua": "MANN (LRUA)", "ntm": "NTM", "lstm": "LSTM"}
NETS = {"flat": ("raw pixels, 20x20", 20), "conv4": ("conv4, 28x28", 28)}
INSTANCES = (1, 2, 3, 4, 5, 10)
PAPER = {"one_hot": {1: 36.4, 2: 82.8, 3: 91.0, 4: 92.6, 5: 94.9, 10: 98.1}}
"""In percent: MANN with LRUA, table 1."""


def run_row(row: dict[str, Any], out: Path, n_tasks: int) -> None:
    """Measure the rate, train or go on, test, and append the result to ``results.jsonl``."""
    torch.set_num_threads(1)
    choice = Choice("mann", "omniglot", row["net"], row["preset"])
    given = {"way": 5, "shot": 1, "query": 9, "size": NETS[row["net"]][1], "workers": 1}
    given |= {name: row[name] for name in ("memory", "labels", "seed")}
    given |= {name: row[name] for name in ("meta_lr", "meta_batch", "sharpen") if row[name] is not None}
    options = {**choice.options(), **given}
    learner, tasks = choice.build(options)
    folder = out / "-".join(str(value) for value in row.values())
    plan = folder.with_suffix(".steps")  # so that an interrupted run goes on to the end it was begun with
    if not plan.exists():
        plan.write_text(str(steps_in_time(learner, tasks, options["meta_batch"], row["budget"])))
    steps = int(plan.read_text())
    options |= {"steps": steps, "checkpoint_every": max(1, steps // 20)}
    learner, tasks = choice.build(options)
    training, _ = split_options(options)
    run = qs.train(learner, tasks, **{**training, "out": folder, "resume": True})
    held_out = registry.build(registry.describe(tasks), split="test")
    accuracy = test_streams(learner, held_out, n_tasks)
    asked = registry.build(registry.describe(held_out), query=15)
    result = qs.evaluate(learner, asked, n_tasks=n_tasks, workers=1)
    run.add_result({**result.to_json(), "split": "test", "checkpoint": steps})
    half = half_width(accuracy.T)
    record = {**row, "steps": steps, "n_tasks": n_tasks}
    record["seconds"] = next(r["seconds"] for r in reversed(run.metrics()) if "seconds" in r)
    record |= {"by_instance": accuracy.mean(0).tolist(), "by_instance_ci95": half.tolist()}
    record |= {"mean": result.mean, "ci95": result.ci95, "bn": result.bn}
    add(out, record)


def test_streams(learner: qs.MANN, tasks: Any, n_tasks: int) -> torch.Tensor:
    """Accuracy by instance of each of the test tasks, ``[n_tasks, instances]``."""
    learner.eval()
    starts = range(0, n_tasks, BLOCK)
    batches = (tasks.sample(min(BLOCK, n_tasks - start), fold(0, "streams", start)) for start in starts)
    return torch.cat([by_instance(learner, batch) for batch in batches])


def rows_of(given: argparse.Namespace) -> list[dict[str, Any]]:
    names = ("labels", "preset", "meta_lr", "meta_batch", "sharpen", "budget")
    same = {name: getattr(given, name) for name in names}
    return [
        {"memory": memory, "net": net, "seed": seed, **same}
        for seed in given.seeds
        for net in given.nets
        for memory in given.memories
    ]


def groups_of(records: list[dict[str, Any]]) -> dict[Any, list[dict[str, Any]]]:
    """Records that differ in their memory and seed only."""
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for r in records:
        own = ("net", "labels", "preset", "meta_lr", "meta_batch", "sharpen", "budget")
        groups[tuple(r[name] for name in own)].append(r)
    return groups


def title_of(group: Any) -> str:
    net, labels, preset, meta_lr, meta_batch, sharpen, budget = group
    others = {"meta_lr": meta_lr, "meta_batch": meta_batch, "sharpen": sharpen}
    more = "".join(f", {name}={value}" for name, value in others.items() if value is not None)
    return f"{NETS[net][0]}; {labels} labels; preset {preset}{more}; {budget:g} s of one core"


def print_tables(records: list[dict[str, Any]]) -> None:
    """One table (Markdown) for each group of rows, the paper's beside them."""
    for group, rows in groups_of(records).items():
        print(f"\n{title_of(group)}; ± 95% over test tasks\n")
        head = ["memory", "seed", *(_ordinal(k) for k in INSTANCES), "5-way 1-shot", "outer steps"]
        lines = [head]
        for r in sorted(rows, key=lambda r: (list(MEMORIES).index(r["memory"]), r["seed"])):
            pairs = zip(r["by_instance"], r["by_instance_ci95"], strict=True)
            cells = [f"{100 * mean:.1f} ± {100 * ci:.1f}" for mean, ci in pairs]
            picked = [cells[k - 1] for k in INSTANCES]
            shot = f"{100 * r['mean']:.2f} ± {100 * r['ci95']:.2f}"
            lines.append([MEMORIES[r["memory"]], str(r["seed"]), *picked, shot, str(r["steps"])])
        paper = PAPER.get(group[1])
        if paper:
            lines.append(["MANN, the paper", "", *(str(paper[k]) for k in INSTANCES), "", ""])
        show(lines)


def _ordinal(k: int) -> str:
    return f"{k}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(k, 'th') }"


def draw(records: list[dict[str, Any]], file: Path) -> None:
    """A panel for each group of rows, a curve for each memory (the mean over seeds), and the paper's figures."""
    from matplotlib.figure import Figure

    groups = groups_of(records)
    figure = Figure(figsize=(5.5 * len(groups), 4), layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for axes, (group, rows) in zip(panels, groups.items(), strict=True):
        for memory, name in MEMORIES.items():
            own = [r for r in rows if r["memory"] == memory]
            if own:
                mean, half = (
                    100 * torch.tensor([r[what] for r in own]).mean(0) for what in ("by_instance", "by_instance_ci95")
                )
                axes.errorbar(range(1, len(mean) + 1), mean.tolist(), yerr=half.tolist(), marker="o", ms=4, label=name)
        paper = PAPER.get(group[1], {})
        axes.plot([*paper], [*paper.values()], "kx", label="MANN, the paper")
        axes.axhline(20, color="grey", lw=0.8, ls=":")
        axes.set_title("\n".join(textwrap.wrap(title_of(group), 60)), fontsize=9)
        axes.set_xlabel("instance of a class in the episode")
        axes.set_xticks(range(1, 11))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize=8)
    panels[0].set_ylabel("accuracy [%]")
    panels[0].set_ylim(0, 102)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", nargs="+", choices=MEMORIES, default=list(MEMORIES))
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--labels", choices=("one_hot", "string"), default="one_hot")
    parser.add_argument("--preset", choices=("quick", "paper"), default="quick")
    parser.add_argument("--meta-lr", type=float, help="default: the preset's")
    parser.add_argument("--meta-batch", type=int, help="default: the preset's")
    parser.add_argument("--sharpen", action=argparse.BooleanOptionalAction, help="of lrua; default: the preset's")
    parser.add_argument("--budget", type=float, default=1200.0, help="seconds of training on one core")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--test-tasks", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, one core each")
    parser.add_argument("--out", type=Path, default=Path("runs/memory"))
    parser.add_argument("--table", action="store_true", help="only print and draw what is there")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.row is not None:
        return run_row(given.row, given.out, given.test_tasks)
    if not given.table:
        run_all(rows_of(given), __file__, given.out, given.jobs, "--test-tasks", str(given.test_tasks))
    records = read(given.out)
    print_tables(records)
    if records:
        draw(records, given.out / "memory.png")
    return None


if __name__ == "__main__":
    main()
