"""``EmbeddingClassifier`` on tasks of five classes: accuracy beside plain heads, and what it knows of its limits.

    python benchmarks/classify.py [--domains ...] [--way 5] [--shots 1 5 20] [--tasks 600] [--features DIR] [--missing]
    python benchmarks/classify.py --labels 60       # labels to the accuracy of 10 a class, next_to_label and random
    python benchmarks/classify.py --table           # only print what is there

Every method gets the same tasks: 5 classes with k labelled rows and 15 to predict each, and 15 rows of each of 5 other
classes, which are unknown (of 20 classes there are not as many others everywhere, and none is taken). Plain heads stand
on features of length 1: cosine to the class mean, ridge, logistic regression (C = 10), linear SVM (C = 1). ``auto`` is
as it comes: for pictures with the background that the package has for ``efficientnet-lite0``, for texts without one. A
difference is of pairs, to the plain head that is best in this domain and setting; intervals are 95%, over tasks. Rows
go into ``results/classify.csv``; ``--missing`` leaves out what is there of as many tasks.
"""

import argparse
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

import quickstudy as qs
from classify_data import SETS, load
from quickstudy.apply.background import Background
from quickstudy.apply.calibration import calibration_error
from quickstudy.apply.heads.candidates import PLAIN
from quickstudy.encoders.encoder import encoder
from quickstudy.training.intervals import mean_and_half_width
from results import RESULTS, ResultRow, add_result_row, read_result_rows
from rows import show

DOMAINS = ("cifar-fs", "miniimagenet", "omniglot", "fashion-mnist", "clinc150")
SEEN = {"miniimagenet": "miniimagenet (seen by the backbone)"}
OTHERS = {"clinc150": "clinc150 train"}  # classes of the same kind, to make a background of
WAY, QUERY = 5, 15
TARGET, POOL, TESTED, MOST = 10, 40, 20, 70  # labels a class; rows a class to label, to test on; labels in all
SETTINGS = ("5w1s", "5w5s", "5w20s", "20w1s", "20w5s")
Values = dict[tuple[str, str], list[float]]


def draw(x: Any, y: Any, shots: int, query: int, task: int, classes: int, way: int = WAY) -> tuple[Any, Any, Any, Any]:
    """Labelled rows, and rows to predict; those of classes from ``way`` on are not among the labelled."""
    rng = np.random.default_rng([task, shots])
    chosen = rng.choice(np.unique(y), classes, replace=False)
    rows = [rng.permutation(np.flatnonzero(y == c))[: shots + query] for c in chosen]
    labelled, asked = np.concatenate([r[:shots] for r in rows[:way]]), np.concatenate([r[shots:] for r in rows])
    return x[labelled], np.repeat(np.arange(way), shots), x[asked], np.repeat(np.arange(classes), query)


def plain(name: str, sx: Any, sy: Any, qx: Any) -> Any:
    """Scores of the classes."""
    z, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (sx, qx))
    basis = np.linalg.qr(z.T)[0]  # of what the labelled rows span: the heads find the same in it, much faster
    z, asked = z @ basis, asked @ basis
    weights, biases = PLAIN[name].fit(z, sy, np.ones(len(z)))
    return asked @ weights.T + biases


def ours(domain: str, background: Background | None, given: argparse.Namespace) -> dict[str, Background | None]:
    """What ``auto`` is told beforehand; the first is what one gets without asking."""
    kind = domain.partition(" ")[0]
    if kind in OTHERS:
        made = Background.component(*load(OTHERS[kind], given.features, given.data)[:2])
        return {"": None, "of other classes": Background({"any": made})}
    return {"": background, "none": None}


def measure(domain: str, shots: int, background: Background | None, given: argparse.Namespace) -> None:
    x, y, names = load(domain, given.features, given.data)
    x, y = (part[y != names.index("out of scope")] if "out of scope" in names else part for part in (x, y))
    values: Values = defaultdict(list)
    sure: list[Any] = []
    contenders, way = ours(domain, background, given), given.way
    for task in range(given.tasks):
        sx, sy, qx, qy = draw(x, y, shots, QUERY, task, 2 * WAY if way == WAY else way, way)
        known = qy < way
        for name in PLAIN:
            scores = plain(name, sx, sy, qx[known])
            values[name, ""].append(float((scores.argmax(1) == qy[known]).mean()))
        for called, told in contenders.items():
            few = qs.EmbeddingClassifier(background=told).fit(sx, sy)
            p = few.predict_proba(qx[known] if called else qx)
            values["auto", called].append(float((p[: known.sum()].argmax(1) == qy[known]).mean()))
            if not called:
                if not known.all():
                    values["auroc", ""].append(float(roc_auc_score(~known, few.unknown_score(qx))))
                    values["auroc", "probability"].append(float(roc_auc_score(~known, -p.max(1))))
                sets = few.predict_set(qx[known])
                values["coverage", ""].append(float(sets[np.arange(known.sum()), qy[known]].mean()))
                values["classes in a set", ""].append(float(sets.sum(1).mean()))
                sure.append(p[known])
    labels = torch.arange(way).repeat_interleave(QUERY).repeat(given.tasks)
    error = calibration_error(torch.from_numpy(np.concatenate(sure)), labels)
    best = max(PLAIN, key=lambda name: np.mean(values[name, ""]))

    def add(learner: str, metric: str, found: Any, options: dict[str, str] | None = None) -> None:
        mean, half = (found, None) if isinstance(found, float) else mean_and_half_width(torch.tensor(found))
        add_result_row(
            "classify", learner=learner, tasks=domain, setting=f"{way}w{shots}s", metric=metric, mean=mean, ci95=half,
            n_tasks=given.tasks, seed=0, options=options, results=given.results,
        )  # fmt: skip

    for (what, called), found in values.items():
        told = {"background": called.replace(" ", "-")} if called and called != "probability" else {}
        percent = [100 * v for v in found]
        if what in PLAIN or what == "auto":
            add(what, "accuracy_percent", percent, told)
        if what == "auto":
            add(what, "points_above_best_plain", np.subtract(percent, 100 * np.array(values[best, ""])).tolist(), told)
        if what == "auroc":
            add("auto", "unknown_auroc_percent", percent, {"score": "probability"} if called == "probability" else told)
        if what == "coverage":
            add("auto", "coverage_of_90_percent_sets", percent)
        if what == "classes in a set":
            add("auto", "classes_in_90_percent_sets", found)
    add("auto", "calibration_error_percent", 100 * float(error))
    print(f"{domain} {way}w{shots}s: best plain head {best}", flush=True)


def is_there(domain: str, shots: int, given: argparse.Namespace) -> bool:
    """Whether there are rows of so many tasks."""
    wanted = (domain, f"{given.way}w{shots}s", "auto", "calibration_error_percent", str(given.tasks))
    rows = read_result_rows(given.results / "classify.csv")
    return any((r["tasks"], r["setting"], r["learner"], r["metric"], r["n_tasks"]) == wanted for r in rows)


def labelling(domain: str, background: Background | None, given: argparse.Namespace) -> None:
    """Labels until the accuracy is that of ``TARGET`` labels a class, from 1 a class on, 5 at a time."""
    x, y, names = load(domain, given.features, given.data)
    x, y = (part[y != names.index("out of scope")] if "out of scope" in names else part for part in (x, y))
    told = next(iter(ours(domain, background, given).values()))
    pool = min(POOL, int(np.unique(y, return_counts=True)[1].min()) - TESTED)
    if WAY * pool < 2 * MOST:
        print(f"{domain}: too few rows a class to choose among")
        return
    counts = np.arange(WAY, MOST + 1, 5)
    curves: dict[str, list[Any]] = {"next": [], "random": []}
    goal: list[float] = []
    for task in range(given.labels):
        px, py, tx, ty = draw(x, y, pool, TESTED, task, WAY)
        rng = np.random.default_rng([task, 1])
        first = [int(rng.choice(np.flatnonzero(py == c))) for c in range(WAY)]
        even = np.concatenate([rng.permutation(np.flatnonzero(py == c))[:TARGET] for c in range(WAY)])
        goal.append(float(qs.EmbeddingClassifier(background=told).fit(px[even], py[even]).score(tx, ty)))
        for how, curve in curves.items():
            have, accuracy = list(first), []
            for count in counts:
                few = qs.EmbeddingClassifier(background=told).fit(px[have], py[have])
                accuracy.append(float(few.score(tx, ty)))
                left = np.setdiff1d(np.arange(len(px)), have)
                if count < counts[-1]:
                    more = few.next_to_label(px[left], 5) if how == "next" else rng.permutation(len(left))[:5]
                    have += left[more].tolist()
            curve.append(accuracy)
    found = {how: np.array(curve) for how, curve in curves.items()}
    rng, aims = np.random.default_rng(0), np.array(goal)
    again = [rng.integers(0, given.labels, given.labels) for _ in range(500)]
    need = {how: labels_to(curve.mean(0), aims.mean(), counts) for how, curve in found.items()}
    for how, curve in found.items():
        spread = np.std([labels_to(curve[i].mean(0), aims[i].mean(), counts) for i in again])
        add_result_row(
            "classify", learner="auto", tasks=domain, setting=f"{WAY}w", metric="labels_to_accuracy_of_10_a_class",
            mean=need[how], ci95=1.96 * float(spread), n_tasks=given.labels, seed=0, options={"chosen": how},
            results=given.results,
        )  # fmt: skip
    print(
        f"{domain}: {need['next']:.1f} labels against {need['random']:.1f}, goal {100 * aims.mean():.1f}%", flush=True
    )


def labels_to(curve: Any, goal: float, counts: Any) -> float:
    """Where a curve reaches a goal first, between two counts by interpolation; the last count where it never does."""
    for i in range(len(curve)):
        if curve[i] >= goal:
            part = (goal - curve[i - 1]) / (curve[i] - curve[i - 1]) if i else 0.0
            return float(counts[max(i - 1, 0)] + part * (counts[i] - counts[max(i - 1, 0)]))
    return float(counts[-1])


def cell(row: ResultRow) -> str:
    return f"{float(row['mean']):.1f}" + (f" ± {float(row['ci95']):.1f}" if row["ci95"] else "")


def print_tables(results: Path) -> None:
    """Markdown: one line a domain and setting, then the means over the test domains."""
    rows = read_result_rows(results / "classify.csv")
    by = {(r["tasks"], r["setting"], r["learner"], r["metric"], r["options"]): r for r in rows}
    known = [(d, s) for d in SETS for s in SETTINGS if (d, s, "auto", "accuracy_percent", "") in by]

    def table(columns: dict[str, tuple[str, str, str]], among: list[tuple[str, str]]) -> None:
        lines = [["tasks", "", *columns]]
        for d, s in among:
            found = [by.get((d, s, *wanted)) for wanted in columns.values()]
            tasks = by[d, s, "auto", "accuracy_percent", ""]["n_tasks"]
            lines.append([SEEN.get(d, d), f"{s}, {tasks} tasks", *("" if row is None else cell(row) for row in found)])
        for s in sorted({s for _, s in among}, key=SETTINGS.index):
            tested = [d for d, other in among if other == s and d in DOMAINS]
            means = [[float(by[d, s, *w]["mean"]) for d in tested if (d, s, *w) in by] for w in columns.values()]
            cells = [f"{np.mean(m):.1f}" if 0 < len(m) == len(tested) else "" for m in means]
            if tested:
                lines.append([f"mean of {len(tested)}", s, *cells])
        show(lines)

    accuracy = {name: (name, "accuracy_percent", "") for name in (*PLAIN, "auto")}
    above = "points_above_best_plain"
    table({**accuracy, "above the best plain head": ("auto", above, "")}, known)
    print()
    table({"without a background": ("auto", above, "background=none"),
           "with one of other classes": ("auto", above, "background=of-other-classes")}, known)  # fmt: skip
    print()
    auroc = "unknown_auroc_percent"
    table(
        {
            "AUROC, unknown score": ("auto", auroc, ""), "AUROC, probability": ("auto", auroc, "score=probability"),
            "calibration error": ("auto", "calibration_error_percent", ""),
            "90% sets cover": ("auto", "coverage_of_90_percent_sets", ""),
            "classes in a set": ("auto", "classes_in_90_percent_sets", ""),
        },
        known,
    )  # fmt: skip
    print()
    lines = [["tasks", "next_to_label", "random", "share"]]
    for d in SETS:
        found = [
            by.get((d, "5w", "auto", "labels_to_accuracy_of_10_a_class", f"chosen={how}")) for how in ("next", "random")
        ]
        if found[0] and found[1]:
            lines.append(
                [SEEN.get(d, d), *map(cell, found), f"{float(found[0]['mean']) / float(found[1]['mean']):.2f}"]
            )
    show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", nargs="+", choices=SETS, default=[*DOMAINS])
    parser.add_argument("--way", type=int, choices=(5, 20), default=WAY)
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--missing", action="store_true", help="only what is not measured on so many tasks")
    parser.add_argument("--labels", type=int, default=0, help="tasks in which labels are counted")
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.table:
        pictures = [domain for domain in given.domains if domain.partition(" ")[0] not in OTHERS]
        background = Background.of_encoder(encoder("efficientnet-lite0")) if pictures else None
        for domain in given.domains:
            if given.labels:
                labelling(domain, background, given)
                continue
            for shots in given.shots:
                each = np.bincount(load(domain, given.features, given.data)[1])
                enough = shots + QUERY <= each.min() and given.way <= len(each)  # a character of Omniglot: 20 drawings
                if enough and not (given.missing and is_there(domain, shots, given)):
                    measure(domain, shots, background, given)
    print_tables(given.results)


if __name__ == "__main__":
    main()
