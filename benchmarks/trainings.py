"""Long trainings: learners beside their papers' figures, each with a budget of a core's time, in rows that go on.

    python benchmarks/trainings.py --tasks cifar-fs --learners protonet maml r2d2 --budget 1800       # 5-way 1-shot
    python benchmarks/trainings.py --tasks omniglot --learners cnp --test 5w1s 20w1s --budget 1800    # tested twice
    python benchmarks/trainings.py --tasks fc100 --settings 5w1s 5w5s --seeds 0 1 2 --budget 7200
    python benchmarks/trainings.py --learners maml:inner_lr=0.1,inner_steps=5 --budget 600 --split val
    python benchmarks/trainings.py --table

A row is a run in a process of its own, on one core. The rate is measured for a moment, and the run gets as many outer
steps as fit into the budget; everything else is the learner's preset, or what is said after its name. Omniglot's split
is the one of the learner's paper. Validation classes choose the checkpoint, and with ``--split val`` they are all that
is looked at (300 tasks, others than those that chose): so recipes are compared. Else the best checkpoint is tested on
1000 tasks of the test classes, 15 queries per class (5 of more than 5 classes), in the setting that it was trained for
or in those that ``--test`` names, and the row goes into ``results/trainings.csv``. A row that was interrupted goes on
from its last checkpoint, one that is done is not run again.
"""

import argparse
import json
import time
from pathlib import Path

import torch

import quickstudy as qs
from omniglot import SETTINGS, known, learner_of, protocol_of
from quickstudy import registry
from quickstudy.recipes import Choice, split_options
from results import RESULTS
from rows import Row, add, add_result_row, read, run_all, show, steps_in_time


def run_row(row: Row, out: Path, results: Path) -> None:
    torch.set_num_threads(1)
    way, shot = SETTINGS[row["setting"]]
    name, own = learner_of(row["learner"])
    choice = Choice.of(name, row["tasks"], preset=row["preset"])
    given = {"way": way, "shot": shot, "seed": row["seed"], "workers": 1, **own}
    protocol = protocol_of(row["learner"]) if row["tasks"] == "omniglot" else ""
    if protocol:
        given["protocol"] = protocol
    options = choice.options(given, way=way, shot=shot)
    learner, tasks = choice.build(options)
    # What is only tested is no part of the training's name.
    named = {key: value for key, value in row.items() if key not in ("split", "n_tasks", "test")}
    folder = out / "-".join(str(value).replace("/", "_") for value in named.values())
    planned = folder.with_suffix(".steps")  # of an interrupted row: it goes on with as many
    fresh = not planned.exists()
    if fresh:
        planned.write_text(str(steps_in_time(learner, tasks, options["meta_batch"], row["budget"])))
    steps = int(planned.read_text())
    options |= {"steps": steps, "checkpoint_every": max(1, steps // 40), "validate_every": max(1, steps // 8)}
    options |= {"validation_tasks": min(row["n_tasks"], 100)}
    if "multi_step" in options:
        options["multi_step"] = steps // 4
    learner, tasks = choice.build(options)
    training, test = split_options(options)

    def held_out(split: str, setting: str) -> qs.TaskDistribution:
        way, shot = SETTINGS[setting]
        return registry.build(registry.describe(tasks), split=split, way=way, shot=shot, query=15 if way == 5 else 5)

    validation = held_out("val", row["setting"])
    started = time.process_time()
    run = qs.train(learner, tasks, validation=validation, **{**training, "out": folder, "resume": True})
    seconds = time.process_time() - started
    best = run.learner()
    records = []
    for setting in row["test"]:
        # By the seed, validation tasks are others than those that chose the checkpoint.
        to_test = held_out(row["split"], setting)
        result = qs.evaluate(best, to_test, n_tasks=row["n_tasks"], seed=1, steps=test["test_steps"], at=(), workers=1)
        record = {**row, "tested": setting, "steps": steps, "seconds": seconds, "bn": result.bn}
        records.append({**record, "mean": result.mean, "ci95": result.ci95})
        if row["split"] == "val":
            continue
        run.add_result({**result.to_json(), "split": "test", "checkpoint": run.best_step()})
        trained = {} if setting == row["setting"] else {"trained": row["setting"]}
        add_result_row(
            "trainings", learner=name, tasks=row["tasks"], setting=setting, protocol=protocol, bn=result.bn,
            seed=row["seed"], preset=row["preset"], options={**own, **trained}, budget_s=row["budget"], steps=steps,
            n_tasks=result.n_tasks, mean=100 * result.mean, ci95=100 * result.ci95,
            command=command_of(row), results=results,
            train_s=seconds if fresh else None,  # validation's with it; of what was interrupted, nobody counted it
        )  # fmt: skip
    for record in records:  # at the end: one of them says that the row is done
        add(out, record)


def rows_of(given: argparse.Namespace) -> list[Row]:
    same = {"tasks": given.tasks, "preset": given.preset, "budget": given.budget, "split": given.split}
    same["n_tasks"] = given.n_tasks or (300 if given.split == "val" else 1000)
    return [
        {"learner": learner, "setting": setting, "seed": seed, "test": given.test or [setting], **same}
        for seed in given.seeds
        for setting in given.settings
        for learner in given.learners
    ]


def command_of(row: Row) -> str:
    said = {"tasks": row["tasks"], "learners": row["learner"], "settings": row["setting"]}
    said |= {"test": " ".join(row["test"]), "preset": row["preset"], "budget": f"{row['budget']:g}"}
    said |= {"seeds": row["seed"], "n-tasks": row["n_tasks"]}
    return " ".join(["python benchmarks/trainings.py", *(f"--{name} {value}" for name, value in said.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", default="cifar-fs")
    parser.add_argument(
        "--learners",
        nargs="+",
        type=known,
        default=["protonet", "maml", "r2d2"],
        help="NAME or NAME:OPTION=VALUE,...",
    )
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["5w1s"])
    parser.add_argument("--test", nargs="+", choices=SETTINGS, help="settings to test in (default: that of training)")
    parser.add_argument("--preset", choices=("quick", "paper"), default="quick")
    parser.add_argument("--budget", type=float, default=1800.0, help="seconds of training on one core")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--split", choices=("val", "test"), default="test", help="val: nothing of the test is looked at"
    )
    parser.add_argument("--n-tasks", type=int, help="that are tested (default: 1000, of validation 300)")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, one core each")
    parser.add_argument("--out", type=Path, default=Path("runs/trainings"))
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of trainings.csv")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.row is not None:
        return run_row(given.row, given.out, given.results)
    if not given.table:
        run_all(rows_of(given), __file__, given.out, given.jobs, "--results", str(given.results.resolve()))
    lines = [["split", "tasks", "learner", "trained", "tested", "budget", "steps", "accuracy"]]
    for r in read(given.out):
        accuracy = f"{100 * r['mean']:.2f} ± {100 * r['ci95']:.2f}"
        what = [r["split"], r["tasks"], r["learner"], r["setting"], r["tested"], f"{r['budget']:g}", str(r["steps"])]
        lines.append([*what, accuracy])
    return show(lines)


if __name__ == "__main__":
    main()
