"""What ``classify.py`` measures together, one by one: transforms of the features, and ``transductive=True``.

    python benchmarks/classify_parts.py [--domains ...] [--shots 1 5] [--tasks 300] [--features DIR] [--data DATA]
    python benchmarks/classify_parts.py --table           # only print what is there

The tasks are those of ``classify.py`` without its unknown classes. Each transform is compared, in pairs, with features
of length 1 to which nothing else is done. Transductive answers (BD-CSPN) are compared with those of each row alone,
where all classes are asked for equally often, and where the five are asked for 15, 12, 9, 6 and 3 times.
"""

import argparse
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import quickstudy as qs
from classify import DOMAINS, QUERY, SEEN, WAY, draw
from classify_data import load
from quickstudy.apply.background import Background, Component
from quickstudy.apply.heads.candidates import PLAIN, Candidate
from quickstudy.apply.heads.span import Span
from quickstudy.apply.heads.transform import Centre, Spec, Transform
from quickstudy.encoders.encoder import encoder
from quickstudy.training.intervals import mean_and_half_width
from results import RESULTS, add_result_row, read_result_rows
from rows import show

SPECS = {
    "length 1": Spec(),
    "power": Spec(power=True),
    "mean off": Spec(centre=Centre.MEAN),
    "power, mean off": Spec(power=True, centre=Centre.MEAN),
    "with the background's mean": Spec(power=True, centre=Centre.MEAN),
    "and shrunk": Spec(power=True, centre=Centre.MEAN, shrink=True),
}
KNOWS = ("with the background's mean", "and shrunk")
HEADS = ("centroid", "ridge")
SETTINGS = ("5w1s", "5w5s")
UNEVEN = (15, 12, 9, 6, 3)
GAIN = "points_above_length_1"


def right(head: Candidate, spec: Spec, known: Component | None, task: tuple[Any, Any, Any, Any]) -> float:
    """Accuracy of a head on transformed features, in percent."""
    sx, sy, qx, qy = task
    rows, weight = torch.from_numpy(sx), torch.ones(len(sx), dtype=torch.float64)
    transform = Transform(spec, sx.shape[1], known).fit(rows, weight)
    weights, biases = Span.of(transform, rows).fit(head, sy, weight)
    return 100 * float(((transform(torch.from_numpy(qx)) @ weights.T + biases).argmax(1).numpy() == qy).mean())


def measure(domain: str, shots: int, background: Background | None, given: argparse.Namespace) -> None:
    x, y, names = load(domain, given.features, given.data)
    x, y = (part[y != names.index("out of scope")] if "out of scope" in names else part for part in (x, y))
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(given.tasks):
        task = sx, sy, qx, qy = draw(x, y, shots, QUERY, number, WAY)
        known = None if background is None else background.nearest(sx, sy)
        for called, spec in SPECS.items():
            told = known if called in KNOWS else None
            if called not in KNOWS or told is not None:
                for head in HEADS:
                    found[head, called].append(right(PLAIN[head], spec, told, task))
        few = qs.EmbeddingClassifier(background=background).fit(sx, sy)
        together = qs.EmbeddingClassifier(background=background, transductive=True).fit(sx, sy)
        some = np.concatenate([np.flatnonzero(qy == c)[:count] for c, count in enumerate(UNEVEN)])
        for rows, how in ((np.arange(len(qy)), "even"), (some, "uneven")):
            alone = 100 * float(few.score(qx[rows], qy[rows]))
            found["auto", how].append(alone)
            found["transductive", how].append(100 * float(together.score(qx[rows], qy[rows])))

    def add(learner: str, metric: str, numbers: list[float], options: dict[str, str]) -> None:
        mean, half = mean_and_half_width(torch.tensor(numbers))
        add_result_row(
            "classify", learner=learner, tasks=domain, setting=f"{WAY}w{shots}s", metric=metric, mean=mean, ci95=half,
            n_tasks=given.tasks, seed=0, options=options, results=given.results,
        )  # fmt: skip

    for (learner, called), numbers in found.items():
        if learner in HEADS:
            told = {"transform": called.replace(" ", "-")}
            add(learner, "accuracy_percent", numbers, told)
            add(learner, GAIN, np.subtract(numbers, found[learner, "length 1"]).tolist(), told)
        if learner == "transductive":
            told = {"transductive": "True", "asked": called}
            add("auto", "accuracy_percent", numbers, told)
            add("auto", "points_above_each_alone", np.subtract(numbers, found["auto", called]).tolist(), told)
    print(f"{domain} {WAY}w{shots}s", flush=True)


def cell(row: dict[str, str] | None) -> str:
    return "" if row is None else f"{float(row['mean']):+.1f} ± {float(row['ci95']):.1f}"


def print_tables(results: Path) -> None:
    """Markdown: what each transform adds to each head, and what the rows of a call add for each other."""
    rows = read_result_rows(results / "classify.csv")
    by = {(r["tasks"], r["setting"], r["learner"], r["options"], r["metric"]): r for r in rows}
    for head in HEADS:
        lines = [["tasks", "", f"{head}: {next(iter(SPECS))}", *list(SPECS)[1:]]]
        for domain in DOMAINS:
            for setting in SETTINGS:
                at = [f"transform={called.replace(' ', '-')}" for called in SPECS]
                first = by.get((domain, setting, head, at[0], "accuracy_percent"))
                if first is not None:
                    gains = [cell(by.get((domain, setting, head, one, GAIN))) for one in at[1:]]
                    what = [SEEN.get(domain, domain), f"{setting}, {first['n_tasks']} tasks"]
                    lines.append([*what, f"{float(first['mean']):.1f} ± {float(first['ci95']):.1f}", *gains])
        show(lines)
        print()
    lines = [["tasks", "", "asked for equally often", "15, 12, 9, 6, 3 times"]]
    for domain in DOMAINS:
        for setting in SETTINGS:
            found = [
                by.get((domain, setting, "auto", f"asked={how} transductive=True", "points_above_each_alone"))
                for how in ("even", "uneven")
            ]
            if found[0] is not None:
                lines.append([SEEN.get(domain, domain), f"{setting}, {found[0]['n_tasks']} tasks", *map(cell, found)])
    show(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", nargs="+", choices=DOMAINS, default=[*DOMAINS])
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--features", type=Path, default=Path("runs/classify/features"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.table:
        background = Background.of_encoder(encoder("efficientnet-lite0"))
        for domain in given.domains:
            for shots in given.shots:
                measure(domain, shots, None if domain == "clinc150" else background, given)
    print_tables(given.results)


if __name__ == "__main__":
    main()
