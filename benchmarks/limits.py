"""What FewShotClassifier and TabularClassifier do not know: unknown classes, calibration, sets, what to label next.

    python benchmarks/limits.py --tables                  # TabularClassifier, tables with several classes
    python benchmarks/limits.py --run RUN                 # FewShotClassifier, a run's own tasks
    python benchmarks/limits.py --table                   # only print what is there

Up to five classes are known and as many unknown, ``shots`` labelled examples of each known one. A row has the mean over
tasks and its 95% interval: AUROC of the unknown score and of the best class's probability; the share of known and of
unknown examples that ``reject=0.1`` calls unknown; the calibration error over all tasks' known examples, before and
after (its interval is none); what sets of 90% cover and how many classes they hold; the accuracy after as many labels
again, chosen by ``next_to_label`` and at random. ``val`` is what choices were made on. Rows go into
``results/limits.csv``.
"""

import argparse
import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

import quickstudy as qs
from quickstudy.apply.calibration import calibration_error
from quickstudy.training.intervals import mean_and_half_width
from quickstudy.training.runs import Run
from results import RESULTS, add_result_row, read_result_rows
from rows import show

SETS = {"val": ("movement_libras", "satimage", "vehicle", "vowel"), "test": ("digits", "segment", "texture")}
ASKED = 15
"""Examples of a class that are asked about, and as many that may be labelled next."""


def table(name: str, data: Path) -> tuple[Any, Any]:
    if name == "digits":
        return datasets.load_digits(return_X_y=True)
    with open(data / "tables" / f"{name}.csv", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    return np.array([row[:-1] for row in rows], float), np.unique([row[-1] for row in rows], return_inverse=True)[1]


def of_table(x: Any, y: Any, shots: int, n_tasks: int) -> Iterator[dict[str, Any]]:
    for seed in range(n_tasks):
        rng = np.random.default_rng(seed)
        classes = rng.permutation(np.unique(y))
        known = min(5, len(classes) // 2)
        order = rng.permutation(len(y))
        yield parted([x[order[y[order] == c]] for c in classes[: 2 * known]], known, shots)


def of_run(tasks: Any, shots: int, n_tasks: int) -> Iterator[dict[str, Any]]:
    for seed in range(n_tasks):
        batch = tasks.sample(1, seed)
        x, y = (torch.cat([getattr(part, name)[0] for part in (batch.support, batch.query)]).numpy() for name in "xy")
        yield parted([x[y == c] for c in range(10)], 5, shots)


def parted(by_class: list[Any], known: int, shots: int) -> dict[str, Any]:
    """Of each known class some are labelled, some are asked, and the rest is a pool; of the unknown ones as many."""
    each = min(ASKED, (min(map(len, by_class)) - shots) // 2)
    asked = slice(shots, shots + each)
    pool = [own[shots + each : shots + 2 * each] for own in by_class[:known]]
    labels = np.arange(known)
    return {
        "x": np.concatenate([own[:shots] for own in by_class[:known]]), "y": labels.repeat(shots),
        "asked": np.concatenate([own[asked] for own in by_class[:known]]), "truth": labels.repeat(each),
        "unknown": np.concatenate([own[asked] for own in by_class[known:]]),
        "pool": np.concatenate(pool), "pool_y": labels.repeat([len(own) for own in pool]),
    }  # fmt: skip


def judged(classifier: Any, task: dict[str, Any], rng: np.random.Generator) -> tuple[dict[str, float], Any, Any, Any]:
    """What one task says; and probabilities of known examples before and after calibration, and the truth."""
    few = clone(classifier).set_params(reject=0.1, calibrate=True).fit(task["x"], task["y"])
    plain = clone(classifier).set_params(calibrate=False).fit(task["x"], task["y"])
    both = np.concatenate([task["asked"], task["unknown"]])
    is_unknown = np.arange(len(both)) >= len(task["asked"])
    p, before, truth = few.predict_proba(both), plain.predict_proba(task["asked"]), task["truth"]
    sets = few.predict_set(task["asked"])
    found = {"AUROC": roc_auc_score(is_unknown, few.unknown_score(both))}
    found["AUROC of the best class's probability"] = roc_auc_score(is_unknown, -p.max(1))
    found["sets of 90% cover"], found["classes in a set"] = (
        sets[np.arange(len(truth)), truth].mean(),
        sets.sum(1).mean(),
    )
    if len(task["y"]) > len(set(task["y"])):
        called = few.predict(both) == -1
        found["known called unknown"], found["unknown called unknown"] = (
            called[~is_unknown].mean(),
            called[is_unknown].mean(),
        )
    n = min(len(task["y"]), len(task["pool"]))
    chosen = {"chosen": plain.next_to_label(task["pool"], n), "random": rng.permutation(len(task["pool"]))[:n]}
    for name, which in chosen.items():
        more = np.concatenate([task["x"], task["pool"][which]]), np.concatenate([task["y"], task["pool_y"][which]])
        found[f"accuracy after as many labels again, {name}"] = clone(plain).fit(*more).score(task["asked"], truth)
    found["chosen less random"] = (
        found["accuracy after as many labels again, chosen"] - found["accuracy after as many labels again, random"]
    )
    return found, before, p[: len(truth)], truth


def measure(classifier: Any, tasks: Iterator[dict[str, Any]], add: Callable[..., None]) -> None:
    rng = np.random.default_rng(0)
    each, before, after, truth = zip(*(judged(classifier, task, rng) for task in tasks), strict=True)
    for name in each[0]:
        mean, ci95 = mean_and_half_width(torch.tensor([100 * found[name] for found in each], dtype=torch.float64))
        scale = 1 if name != "classes in a set" else 100
        add(name, mean / scale, ci95 / scale, len(each))
    y = torch.from_numpy(np.concatenate(truth))
    for name, parts in {"calibration error before": before, "calibration error after": after}.items():
        add(name, 100 * float(calibration_error(torch.from_numpy(np.concatenate(parts)), y)), None, len(each))


def adder(learner: str, tasks: str, shots: int, split: str) -> Callable[..., None]:
    def add(name: str, mean: float, ci95: float | None, n: int) -> None:
        add_result_row(
            "limits", learner=learner, tasks=tasks, setting=f"{shots} shots", protocol=split, options={"what": name},
            seed=0, metric="classes" if name == "classes in a set" else "percent", mean=mean, ci95=ci95, n_tasks=n,
        )  # fmt: skip

    return add


def print_table() -> None:
    lines = [["classifier", "tasks", "shots", "what", "mean"]]
    for row in read_result_rows(RESULTS / "limits.csv"):
        mean = f"{float(row['mean']):.1f}" + (f" ± {float(row['ci95']):.1f}" if row["ci95"] else "")
        lines.append([row["learner"], f"{row['tasks']} ({row['protocol']})", row["setting"], row["options"][5:], mean])
    show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--run", type=Path, help="of a learner of classification tasks, such as Omniglot")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--shots", type=int, nargs="+", default=[5])
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    given = parser.parse_args()
    torch.set_num_threads(1)
    for shots in given.shots:
        for name in SETS[given.split] if given.tables else ():
            tasks = of_table(*table(name, given.data), shots, given.tasks)
            measure(qs.TabularClassifier(), tasks, adder("tabular", name, shots, given.split))
        if given.run:
            run = Run.open(given.run)
            sampled = run.tasks(split=given.split, way=10, shot=shots, query=min(ASKED, 20 - shots))
            name = f"{run.config['learner']['learners']} of a run"
            tasks = of_run(sampled, shots, given.tasks)
            measure(
                qs.FewShotClassifier(run.learner()),
                tasks,
                adder(name, run.config["tasks"]["tasks"], shots, given.split),
            )
    print_table()


if __name__ == "__main__":
    main()
