"""How cost grows: time and peak memory of one meta-gradient against tasks, inner steps, shots and ways.

    python benchmarks/scaling.py --out runs/scaling
    python benchmarks/scaling.py --tasks 1,8,64 --steps "" --shots "" --ways "" --filters 32 --out runs/scaling

What does not vary is second-order MAML on 32 tasks of 5-way 1-shot with 5 queries per class, 28x28, one inner step,
Conv4 of 64 filters. Every point runs in a process of its own, so that no memory is left over from another. The
exponent is the slope of the logarithms over the upper half of the points: 1 is in proportion. Then the same batch
with ``chunk=``: less memory, and (checked in float64) the same gradient.

Writes ``scaling.svg``, ``scaling.png`` and ``scaling.json`` into ``--out``.
"""

import argparse
import json
import math
import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

import measure
from contenders.ours import quickstudy
from quickstudy.cli.terminal import table
from workloads import W1, Workload

mpl.use("agg")
import matplotlib.pyplot as plt

VARIES = {"tasks": "tasks", "steps": "inner steps", "shots": "shots", "ways": "ways"}
FIELD = {"tasks": "tasks", "steps": "steps", "shots": "shot", "ways": "way"}


@dataclass(frozen=True)
class Point:
    """What one size of the work took."""

    size: int
    seconds: float
    peak_mib: float


def measure_here(work: Workload, rounds: int, chunk: int | None) -> dict[str, float]:
    """In the child: peak memory over the first calls, then the time of a call."""
    prepare = quickstudy(chunk=chunk)
    peak = measure.memory_of(lambda w: prepare(w, w.net(), w.batch()), work, calls=2)["peak_mib"]
    step = prepare(work, work.net(), work.batch())
    step()
    return {"seconds": statistics.median(measure.seconds(step) for _ in range(rounds)), "peak_mib": peak}


def in_child(changes: dict[str, int], given: argparse.Namespace, chunk: int | None = None) -> dict[str, Any]:
    asked = json.dumps({"changes": changes, "rounds": given.rounds, "chunk": chunk})
    result = measure.in_child(["--point", asked])
    if "error" in result:
        raise SystemExit(f"{changes}: {result['error']}")
    return result


def exponent(points: list[Point], of: str) -> float:
    """Least-squares slope of log cost over log size, upper half of the points (two at least)."""
    upper = points[min(len(points) // 2, len(points) - 2) :]
    x = [math.log(p.size) for p in upper]
    y = [math.log(max(getattr(p, of), 1e-9)) for p in upper]
    return statistics.linear_regression(x, y).slope


def sweep(name: str, sizes: list[int], fixed: dict[str, int], given: argparse.Namespace) -> list[Point]:
    points = [Point(size, **in_child({**fixed, FIELD[name]: size}, given)) for size in sizes]
    rows = [[str(p.size), f"{1000 * p.seconds:.1f}", f"{p.peak_mib:.0f}"] for p in points]
    print(f"\n{table(rows, [VARIES[name], 'ms', 'peak MiB'])}")
    if len(points) > 1:
        grows = f"time ~ {VARIES[name]}^{exponent(points, 'seconds'):.2f}"
        print(f"{grows}, peak memory ~ {VARIES[name]}^{exponent(points, 'peak_mib'):.2f}", flush=True)
    return points


def chunks(sizes: list[int], fixed: dict[str, int], given: argparse.Namespace) -> list[dict[str, Any]]:
    """Memory and time with ``chunk=``, and how far its gradient is from that of the whole batch at once."""
    # In double precision, and with few filters, since it only has to be the same.
    small = replace(W1, **{**fixed, "filters": min(8, fixed.get("filters", W1.filters))})
    batch, net = small.batch(torch.float64), small.net(torch.float64)

    def gradient(chunk: int | None) -> torch.Tensor:
        return torch.cat([g.flatten() for g in quickstudy(chunk=chunk)(small, net, batch)()])

    whole = gradient(None)
    found: list[dict[str, Any]] = []
    for chunk in [None, *sizes]:
        error = float((gradient(chunk) - whole).norm() / whole.norm())
        if error > 1e-9:
            raise SystemExit(f"chunk={chunk} changes the gradient by {error:.1e}")
        found.append({"chunk": chunk, **in_child(fixed, given, chunk), "error": error})
    rows = [
        [str(f["chunk"] or "default"), f"{1000 * f['seconds']:.1f}", f"{f['peak_mib']:.0f}", f"{f['error']:.0e}"]
        for f in found
    ]
    print(f"\n{table(rows, ['chunk', 'ms', 'peak MiB', 'gradient error'])}", flush=True)
    return found


def draw(points: dict[str, list[Point]], out: Path) -> None:
    """Time above, memory below, on logarithmic axes; dashed: in proportion to the largest."""
    figure, axes = plt.subplots(
        2, len(points), figsize=(3.2 * len(points), 5.4), squeeze=False, sharey="row", layout="constrained"
    )
    for column, (name, found) in enumerate(points.items()):
        sizes = [p.size for p in found]
        for row, (of, label, factor) in enumerate((("seconds", "ms", 1000), ("peak_mib", "peak MiB", 1))):
            axis, costs = axes[row][column], [factor * max(getattr(p, of), 1e-3) for p in found]
            axis.loglog(sizes, costs, "o-", markersize=4)
            axis.loglog(sizes, [costs[-1] * size / sizes[-1] for size in sizes], "--", color="grey", linewidth=1)
            axis.set_xticks(sizes, [str(size) for size in sizes])
            axis.xaxis.minorticks_off()
            axis.grid(alpha=0.3)
            if len(found) > 1:
                axis.set_title(f"exponent {exponent(found, of):.2f}", fontsize="medium")
            if column == 0:
                axis.set_ylabel(label)
            if row == 1:
                axis.set_xlabel(VARIES[name])
    out.mkdir(parents=True, exist_ok=True)
    for suffix in ("svg", "png"):
        figure.savefig(out / f"scaling.{suffix}", dpi=150)
    plt.close(figure)


def numbers(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(",") if part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=numbers, default="1,2,4,8,16,32,64,128", help='"": leave out')
    parser.add_argument("--steps", type=numbers, default="1,2,5,10,20", help="inner steps")
    parser.add_argument("--shots", type=numbers, default="1,2,5,10,20")
    parser.add_argument("--ways", type=numbers, default="2,5,10,20,50")
    parser.add_argument("--chunks", type=numbers, default="1,4,16,32")
    parser.add_argument("--filters", type=int, default=W1.filters)
    parser.add_argument("--size", type=int, default=W1.size, help="of the images")
    parser.add_argument("--fixed-tasks", type=int, default=W1.tasks, help="where the tasks do not vary")
    parser.add_argument("--rounds", type=int, default=3, help="timed calls per point, of which the median counts")
    parser.add_argument("--out", type=Path, default=Path("runs/scaling"))
    parser.add_argument("--point", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.point:
        asked = json.loads(given.point)
        print(json.dumps(measure_here(replace(W1, **asked["changes"]), asked["rounds"], asked["chunk"])))
        return

    here = measure.machine()
    print(", ".join(f"{name} {value}" for name, value in here.items()))
    fixed = {"tasks": given.fixed_tasks, "filters": given.filters, "size": given.size}
    print(f"fixed where it does not vary: {replace(W1, **fixed)}", flush=True)
    asked = {name: sizes for name in VARIES if (sizes := getattr(given, name))}
    points = {name: sweep(name, sizes, fixed, given) for name, sizes in asked.items()}
    in_chunks = chunks(given.chunks, fixed, given) if given.chunks else []
    if points:
        draw(points, given.out)
    given.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": here, "points": {n: [asdict(p) for p in found] for n, found in points.items()}}
    (given.out / "scaling.json").write_text(json.dumps({**report, "chunks": in_chunks}, indent=1) + "\n")
    print(f"\nwritten to {given.out}")


if __name__ == "__main__":
    main()
