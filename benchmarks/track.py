"""Speed by commit: how many times as long as a plain loop quickstudy takes, in the same run, on the same machine.

    python benchmarks/track.py                                # of the code as it is
    python benchmarks/track.py --commits v0.1.0 main~20 main  # of older ones, each in a work tree of its own
    python benchmarks/track.py --plot                         # of what results/track.csv holds

For each of the speed workloads (see ``workloads.py``) quickstudy and a plain loop of PyTorch take turns; what is kept
is the median of the ratios of neighbours, with a 95% interval of the median over rounds. Machines and other programs
change both times, and their ratio little: so commits that were measured on different days can be compared. A row goes
into ``results/track.csv`` for each workload and commit.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from results import PROJECT, RESULTS, add_result_row, commit, read_result_rows

TRACKED = ("W1", "W2", "W3", "W4", "W5")
METRIC = "ratio_to_plain_loop"


def ratios(name: str, rounds: int, *, small: bool) -> list[float]:
    """Of neighbouring turns: quickstudy's seconds over the plain loop's."""
    from dataclasses import replace

    import measure
    from contenders import PLAIN, contenders
    from workloads import WORKLOADS

    work = replace(WORKLOADS[name], tasks=2, filters=4, size=16) if small else WORKLOADS[name]
    both = {each.name: each for each in contenders(work)}
    batch = work.batch()
    ours, plain = (both[who].prepare(work, work.net(), batch) for who in ("quickstudy", PLAIN))
    ours(), plain()
    calls = max(1, round(0.2 / max(measure.seconds(ours), 1e-9)))
    return [measure.seconds(ours, calls) / measure.seconds(plain, calls) for _ in range(rounds)]


def median_and_half_width(values: list[float]) -> tuple[float, float]:
    """The median, and half of its 95% interval by order statistics (the sign test's; of few values, their range)."""
    ordered, n = sorted(values), len(values)
    low = max(0, int(n / 2 - 0.98 * n**0.5))
    return statistics.median(ordered), (ordered[n - 1 - low] - ordered[low]) / 2


def track(names: list[str], rounds: int, of: str, results: Path, *, small: bool) -> None:
    for name in names:
        middle, half = median_and_half_width(ratios(name, rounds, small=small))
        print(f"{of} {name}: {middle:.3f} ± {half:.3f} of a plain loop", flush=True)
        add_result_row(
            "track", learner="", tasks="speed workloads", setting=name, seed=0, n_tasks=rounds, metric=METRIC,
            mean=middle, ci95=half, options={"commit": of}, results=results,
            command=f"python benchmarks/track.py --only {name} --rounds {rounds}",
        )  # fmt: skip


def in_work_tree(of: str, words: list[str]) -> None:
    """Measure a commit with these benchmarks: its ``src`` comes first where Python looks."""
    short = subprocess.run(
        ["git", "-C", str(PROJECT), "rev-parse", "--short=10", of], capture_output=True, text=True, check=True
    ).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        tree = str(Path(folder) / "tree")
        git = ["git", "-C", str(PROJECT), "worktree"]
        subprocess.run([*git, "add", "--detach", tree, short], check=True, capture_output=True)
        try:
            environment = {**os.environ, "PYTHONPATH": f"{tree}/src"}
            ran = subprocess.run([sys.executable, __file__, "--called", short, *words], env=environment)
            if ran.returncode:
                print(f"{short} cannot be measured with these benchmarks", flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", tree], check=True, capture_output=True)


def plot(results: Path, to: Path) -> None:
    """A line for each workload, commits in their order."""
    from matplotlib.figure import Figure

    order = subprocess.run(
        ["git", "-C", str(PROJECT), "rev-list", "--reverse", "--abbrev-commit", "--abbrev=10", "HEAD"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    place = {short: i for i, short in enumerate(order)}
    found: dict[str, dict[int, tuple[str, float, float]]] = defaultdict(dict)
    for row in read_result_rows(results / "track.csv"):
        of = row["options"].removeprefix("commit=")
        at = place.get(of.rstrip("+"), len(order)) + of.endswith("+") / 2
        found[row["setting"]][at] = (of, float(row["mean"]), float(row["ci95"] or 0))
    places = sorted({at for line in found.values() for at in line})
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for name, line in sorted(found.items()):
        at = sorted(line)
        values = [line[i] for i in at]
        axes.errorbar(
            [places.index(i) for i in at], [v[1] for v in values], [v[2] for v in values], marker="o", label=name
        )
    labels = {at: of for line in found.values() for at, (of, *_) in line.items()}
    axes.set_xticks(range(len(places)), [labels[at] for at in places], rotation=45, ha="right")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(ylabel="time / a plain loop's", ylim=(0, None), xlabel="commit")
    axes.legend()
    figure.savefig(to)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TRACKED, default=list(TRACKED))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--commits", nargs="+", default=[], help="anything that git knows as one")
    parser.add_argument("--plot", nargs="?", type=Path, const=Path("runs/track.svg"), help="draw what is there")
    parser.add_argument("--small", action="store_true", help="sizes of seconds, to see that it runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--called", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.plot is not None:
        given.plot.parent.mkdir(parents=True, exist_ok=True)
        return plot(given.results, given.plot)
    words = ["--only", *given.only, "--rounds", str(given.rounds), "--results", str(given.results.resolve())]
    words += ["--small"] * given.small
    for each in given.commits:
        in_work_tree(each, words)
    if not given.commits:
        track(given.only, given.rounds, given.called or commit(), given.results, small=given.small)
    return None


if __name__ == "__main__":
    main()
