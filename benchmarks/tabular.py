"""Real tables, few labelled rows: the shipped in-context classifier against what one would otherwise use.

    python benchmarks/tabular.py [--splits 20] [--rows 2 5 10 20] [--views 1 8] [--out FILE.json]

Every method gets the same splits: k labelled rows per class, at most 500 of the rest to predict. Prints accuracy in
percent as a Markdown table, mean over the splits and half-width of the 95% interval, and where the classifier loses.
The interval of a difference is that of the pairs: every split is each method's.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import quickstudy as qs
from quickstudy.training.intervals import mean_and_half_width

TABLES = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
MOST_QUERIES = 500


def methods(views: list[int]) -> dict[str, Callable[[], Any]]:
    # By default gradient boosting asks for 20 rows per leaf: with few rows that is one leaf, chance. With 1 it learns.
    ours = {
        "in context" + ("" if k == 1 else f", {k} views"): lambda k=k: qs.TabularClassifier(n_ensemble=k) for k in views
    }
    return {
        **ours,
        "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "random forest": lambda: RandomForestClassifier(100, random_state=0),
        "gradient boosting": lambda: HistGradientBoostingClassifier(min_samples_leaf=1, random_state=0),
    }


def split(x: Any, y: Any, rows: int, seed: int) -> tuple[Any, Any]:
    """Indices of ``rows`` rows per class, and of the queries."""
    order = np.random.default_rng(seed).permutation(len(y))
    support = np.concatenate([order[y[order] == label][:rows] for label in np.unique(y)])
    return support, np.setdiff1d(order, support, assume_unique=True)[:MOST_QUERIES]


def interval(values: Any) -> str:
    mean, half = mean_and_half_width(torch.tensor(values))
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 5, 10, 20])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--views", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--out")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    competitors = methods(chosen.views)
    print("| table | rows per class |", " | ".join(competitors), "|")
    print("|---|---|" + "---|" * len(competitors))
    found: dict[str, dict[str, list[float]]] = {}
    seconds = dict.fromkeys(competitors, 0.0)
    for name in chosen.tables:
        x, y = TABLES[name](return_X_y=True)
        for rows in chosen.rows:
            scores: dict[str, list[float]] = {method: [] for method in competitors}
            for seed in range(chosen.splits):
                support, query = split(x, y, rows, seed)
                for method, make in competitors.items():
                    start = time.process_time()
                    scores[method].append(float(make().fit(x[support], y[support]).score(x[query], y[query])))
                    seconds[method] += time.process_time() - start
            best = max(scores, key=lambda method: np.mean(scores[method]))
            cells = [f"**{interval(v)}**" if method == best else interval(v) for method, v in scores.items()]
            print(f"| {name} | {rows} |", " | ".join(cells), "|", flush=True)
            found[f"{name}, {rows}"] = scores
    means = {m: np.mean([np.mean(scores[m]) for scores in found.values()]) for m in competitors}
    print("| mean | |", " | ".join(f"{100 * mean:.1f}" for mean in means.values()), "|")
    each = len(found) * chosen.splits
    print("| CPU seconds, fit and predict | |", " | ".join(f"{s / each:.2f}" for s in seconds.values()), "|")
    for ours in (m for m in competitors if m.startswith("in context")):
        print(f"\nWhere *{ours}* is behind (difference of the pairs, 95% interval):\n")
        for where, scores in found.items():
            for method in ("logistic regression", "random forest", "gradient boosting"):
                difference = np.subtract(scores[ours], scores[method])
                if difference.mean() < 0:
                    print(f"- {where} rows per class: {interval(difference)} against {method}")
    if chosen.out:
        with open(chosen.out, "w") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
