"""Every learner on Omniglot, with the same time to train: the results table.

    python benchmarks/omniglot.py --budget 45 --jobs 2 --out runs/omniglot            # the four settings of each
    python benchmarks/omniglot.py --protocol lake --settings 5w1s --out runs/omniglot # alphabets never seen
    python benchmarks/omniglot.py --learners protonet --preset paper --budget 420 --seeds 0 1 2 --out runs/omniglot
    python benchmarks/omniglot.py --learners metagan:base=relation,pools=2 --out runs/omniglot # with options of its own
    python benchmarks/omniglot.py --table --out runs/omniglot                         # print what is there

A row is a run in a process of its own, on one core: the rate is measured for a moment, and the run gets as many outer
steps as fit into the budget (seconds of training on this machine); everything else is the learner's preset. Then it is
tested on 1000 tasks (15 queries per class, 5 of each of 20 classes; 300 tasks of 20-way 5-shot, which take long). The
protocol is the one of the learner's paper (``maml`` for gradient learners, ``vinyals`` for those that compare features)
unless ``--protocol`` says otherwise. Rows that are in results.jsonl already are not run again: an interrupted benchmark
goes on.
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
from quickstudy import registry
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.recipes import Choice, split_options, usual_tasks
from rows import add, add_steps, outer_steps, own_steps, read, run_all, show

SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5)}
# In percent, as each method's paper (first-order MAML and Reptile: the Reptile paper, with transduction) has them.
PAPERS: dict[str, tuple[float | None, ...]] = {
    "maml": (98.7, 99.9, 95.8, 98.9),
    "fomaml": (98.3, 99.2, 89.4, 97.9),
    "reptile": (97.68, 99.48, 89.43, 97.12),
    "anil": (None, None, 96.2, 98.0),
    "meta-sgd": (99.53, 99.93, 95.93, 98.97),
    "mamlpp": (99.47, 99.93, 97.65, 99.33),
    "imaml": (99.50, 99.74, 96.18, 99.14),
    "protonet": (98.8, 99.7, 96.0, 98.9),
    "matching": (98.1, 98.9, 93.8, 98.5),
    "relation": (99.6, 99.8, 97.6, 99.1),
    "cnp": (95.3, 98.5, 89.9, 96.8),
    "snail": (99.07, 99.78, 97.64, 99.36),
}
LEARNERS = [
    name
    for name in registry.LEARNERS
    for cls in (registry.load("learners", name),)
    if usual_tasks(name) == "omniglot" and cls.score_name is SupportQueryLearner.score_name  # it tells classes apart
]


def learner_of(given: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of ``NAME`` or ``NAME:OPTION=VALUE,...``; values in JSON, or words."""
    name, _, rest = given.partition(":")
    if name not in LEARNERS:
        raise argparse.ArgumentTypeError(f"there is no {name!r} among {', '.join(LEARNERS)}")
    return name, {option: _value(text) for option, _, text in (one.partition("=") for one in rest.split(",") if one)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def known(given: str) -> str:
    """For the command line: what names a learner, as it was given."""
    learner_of(given)
    return given


def protocol_of(learner: str) -> str:
    return "vinyals" if registry.load("learners", learner_of(learner)[0]).embeds else "maml"


def run_row(row: dict[str, Any], out: Path) -> None:
    """Measure the rate, train, test, and append the result to ``results.jsonl``."""
    torch.set_num_threads(1)
    way, shot = SETTINGS[row["setting"]]
    name, own = learner_of(row["learner"])
    choice = Choice(name, "omniglot", "conv4", row["preset"])
    given = {"way": way, "shot": shot, "seed": row["seed"], "protocol": row["protocol"], "workers": 1}
    if row["filters"] is not None:
        given["filters"] = row["filters"]
    options = {**choice.options(own, way=way, shot=shot), **given}
    learner, tasks = choice.build(options)
    steps = outer_steps(row, learner, tasks, options["meta_batch"])
    options |= {"steps": steps, "checkpoint_every": steps}
    if "multi_step" in options:
        options["multi_step"] = steps // 4  # the recipe's share of the steps
    learner, tasks = choice.build(options)  # the measurement has not moved it, but a run begins afresh
    training, test = split_options(options)
    training["out"] = out / "-".join(str(value) for value in row.values())
    shutil.rmtree(training["out"], ignore_errors=True)  # what an interrupted benchmark left has other steps
    started = time.process_time()
    run = qs.train(learner, tasks, **training)
    seconds = time.process_time() - started
    held_out = registry.build(registry.describe(tasks), split="test", way=way, query=15 if way == 5 else 5)
    n_tasks = 300 if row["setting"] == "20w5s" else 1000
    result = qs.evaluate(learner, held_out, n_tasks=n_tasks, steps=test["test_steps"], at=(), workers=1)
    run.add_result({**result.to_json(), "split": "test", "checkpoint": steps})
    record = {**row, "steps": steps, "seconds": seconds, "mean": result.mean}
    record |= {"ci95": result.ci95, "n_tasks": result.n_tasks, "bn": result.bn}
    add(out, record)


def rows_of(given: argparse.Namespace) -> list[dict[str, Any]]:
    same = {"preset": given.preset, "filters": given.filters, "budget": given.budget, **own_steps(given.steps)}
    return [
        {"learner": learner, "setting": s, "protocol": given.protocol or protocol_of(learner), "seed": seed, **same}
        for seed in given.seeds
        for s in given.settings
        for learner in given.learners
    ]


def print_tables(records: list[dict[str, Any]]) -> None:
    """One table (Markdown) for each preset, number of filters, budget and protocol group; seeds are averaged."""
    groups: dict[Any, dict[str, dict[str, list[dict[str, Any]]]]] = defaultdict(lambda: defaultdict(dict))
    for r in records:
        shared = "lake" if r["protocol"] == "lake" else "the papers' protocols"
        spent = "outer steps as given" if "outer_steps" in r else f"{r['budget']:g} s of training on one core"
        cell = groups[r["preset"], r["filters"], spent, shared][r["learner"]]
        cell.setdefault(r["setting"], []).append(r)
    for (preset, filters, spent, protocol), learners in groups.items():
        of = "" if filters is None else f", {filters} filters"
        print(f"\n{protocol}; preset {preset}{of}; {spent}; ± 95% over test tasks\n")
        settings = [s for s in SETTINGS if any(s in by_setting for by_setting in learners.values())]
        lines = []
        for name in sorted(learners, key=lambda n: (LEARNERS.index(learner_of(n)[0]), n)):
            cells = []
            for s in settings:
                cells.append(accuracy_cell(learners[name].get(s, [])))
                figure = PAPERS.get(name, (None,) * 4)[list(SETTINGS).index(s)]
                cells.append("" if figure is None or protocol == "lake" else f"{figure}")
            steps = "/".join(str(learners[name][s][0]["steps"]) for s in settings if s in learners[name])
            lines.append([name, *cells, steps])
        header = ["learner", *(c for s in settings for c in (s, "paper")), "outer steps"]
        show([header, *lines])


def accuracy_cell(records: list[dict[str, Any]]) -> str:
    if not records:
        return ""
    means = torch.tensor([100 * r["mean"] for r in records], dtype=torch.float64)
    within = 100 * sum(r["ci95"] for r in records) / len(records)
    if len(records) == 1:
        return f"{float(means[0]):.2f} ± {within:.2f}"
    return f"{float(means.mean()):.2f} ± {within:.2f} (seeds: {', '.join(f'{float(m):.2f}' for m in means)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", nargs="+", type=known, default=LEARNERS, help="NAME or NAME:OPTION=VALUE,...")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--protocol", choices=("maml", "vinyals", "lake"), help="default: as in the learner's paper")
    parser.add_argument("--preset", choices=("quick", "paper"), default="quick")
    parser.add_argument("--filters", type=int, help="default: the preset's")
    parser.add_argument("--budget", type=float, default=45.0, help="seconds of training on one core")
    add_steps(parser)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time, one core each")
    parser.add_argument("--out", type=Path, default=Path("runs/omniglot"))
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.row is not None:
        return run_row(given.row, given.out)
    if not given.table:
        run_all(rows_of(given), __file__, given.out, given.jobs)
    return print_tables(read(given.out))


if __name__ == "__main__":
    main()
