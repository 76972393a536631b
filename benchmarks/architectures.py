"""Is a cell that was searched for better than one drawn at random, than Conv4, than ResNet-12?

    python benchmarks/architectures.py --out runs/architectures           # all rows, one after the other, on one core
    python benchmarks/architectures.py --table --out runs/architectures   # print what is there

Meta-NAS searches for ``--search`` seconds of a core. Then every network is meta-trained by the same learner (its
quick preset) for ``--budget`` seconds of a core and tested on the same tasks, 5 queries per class: the found cell,
cells drawn at random and Conv4, all as wide as makes them have ``--parameters`` parameters (within 5%); ResNet-12 as it
is, and one so narrow that it has as many. A random cell that has no width of that size up to 128 filters (one without a
convolution, say) is drawn again. Rows that are in results.jsonl already are not run again: an interrupted benchmark
goes on. The found cell is drawn in cell.svg, the weights of its operations in weights.svg.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.nets import CellNet, Conv4, Genotype, ResNet12, fit_width
from quickstudy.recipes import Choice, split_options
from quickstudy.report.pictures import draw
from quickstudy.training.intervals import mean_and_half_width
from rows import Row, add, is_done, read, run_all, show, steps_in_time

WIDEST = 128
NODES, KEEP = 2, 2


def parameters_of(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def cell_options(genotype: Genotype, parameters: int) -> dict[str, Any] | None:
    """Of a ``CellNet`` with so many parameters, within 5%; None where no width up to 128 has them."""
    text = str(genotype)
    width = fit_width(lambda filters: CellNet(filters=filters, genotype=text), parameters, widest=WIDEST)
    found = parameters_of(CellNet(filters=width, genotype=text))
    return {"filters": width, "genotype": text} if abs(found - parameters) < 0.05 * parameters else None


def random_cells(number: int, parameters: int, without: Genotype) -> list[Genotype]:
    """The first that differ from each other and the found one, and can have so many parameters."""
    cells: list[Genotype] = []
    seed = 0
    while len(cells) < number:
        cell = Genotype.random(nodes=NODES, keep=KEEP, seed=seed)
        seed += 1
        if cell != without and cell not in cells and cell_options(cell, parameters) is not None:
            cells.append(cell)
    return cells


def narrow(width: int) -> tuple[int, int, int, int]:
    """MetaOptNet's widths, scaled: the first is ``width`` quarters."""
    first, *others = (max(1, round(width / 4 * ratio)) for ratio in (1, 2.5, 5, 10))
    return first, *others


def net_of(row: Row, out: Path) -> tuple[str, dict[str, Any]]:
    """The name of a row's network and its options."""
    what, parameters = row["what"], row["parameters"]
    if what == "conv4":
        return "conv4", {"filters": fit_width(lambda filters: Conv4(filters=filters), parameters)}
    if what == "resnet12":
        return "resnet12", {}
    if what == "resnet12 narrow":
        width = fit_width(lambda w: ResNet12(widths=narrow(w), in_channels=1, size=28), parameters, widest=256)
        return "resnet12", {"widths": narrow(width)}
    found = Genotype.parse(search_of(row, out)["genotype"])
    cell = found if what == "found" else random_cells(int(what.split()[1]) + 1, parameters, found)[-1]
    options = cell_options(cell, parameters)
    assert options is not None, f"{cell} has no width of {parameters} parameters; search again with another seed"
    return "cell", options


def search_of(row: Row, out: Path) -> Row:
    (record,) = (r for r in read(out) if r["what"] == "search" and r["seed"] == row["seed"])
    return record


def set_up(learner: str, net: str, row: Row, given: dict[str, Any]) -> tuple[qs.MetaLearner, Any, dict[str, Any]]:
    """A learner and its tasks, with as many outer steps as fit into the row's budget, and all options."""
    choice = Choice(learner, row["tasks"], net, "quick")
    options = {**choice.options(), "seed": row["seed"], "workers": 1, **given}
    built, tasks = choice.build(options)
    steps = steps_in_time(built, tasks, options["meta_batch"], row["budget"])
    options |= {"steps": steps, "checkpoint_every": steps}
    if "anneal" in options:
        options["anneal"] = steps
    return *choice.build(options), options  # the measurement has not moved it, but a run begins afresh


def run_row(row: Row, out: Path, n_tasks: int) -> None:
    """Train, test, and append the result to ``results.jsonl``."""
    torch.set_num_threads(1)
    searches = row["what"] == "search"
    net, given = ("conv4", {"nodes": NODES, "keep": KEEP}) if searches else net_of(row, out)
    learner, tasks, options = set_up("meta-nas" if searches else row["learner"], net, row, given)
    training, test = split_options(options)
    training["out"] = out / "-".join(str(row[key]) for key in ("what", "learner", "budget", "seed")).replace(" ", "-")
    shutil.rmtree(training["out"], ignore_errors=True)  # what an interrupted benchmark left has other steps
    started = time.process_time()
    qs.train(learner, tasks, **training)
    seconds = time.process_time() - started
    record = {**row, **given, "steps": options["steps"], "seconds": seconds}
    record["parameters_had"] = parameters_of(learner.model)  # type: ignore[arg-type]
    held_out = registry.build(registry.describe(tasks), split="test", query=5)
    n_tasks = n_tasks // 10 if searches else n_tasks // 20 if row["what"] == "resnet12" else n_tasks
    if isinstance(learner, qs.MetaNAS):
        sample = held_out.sample(min(50, n_tasks), 0)
        cells = learner.genotypes(sample.support)
        record |= {"genotype": str(learner.genotype), "cells": len(set(cells)), "of": len(cells)}
        record |= {"like_the_found": sum(cell == learner.genotype for cell in cells) / len(cells)}
        for picture in draw(learner, sample[:3]):
            (out / f"{picture.name}.{picture.kind}").write_bytes(picture.image)
        learner.discretise = False
        mixed = qs.evaluate(learner, held_out, n_tasks=n_tasks, at=(), workers=1)
        record |= {"mixed": mixed.mean, "mixed_ci95": mixed.ci95}
        learner.discretise = True
    result = qs.evaluate(learner, held_out, n_tasks=n_tasks, steps=test["test_steps"], at=(), workers=1)
    add(out, {**record, "mean": result.mean, "ci95": result.ci95, "n_tasks": result.n_tasks, "bn": result.bn})


def print_table(records: list[Row]) -> None:
    """One table (Markdown); then the random cells together."""
    lines = [["network", "cell", "filters", "parameters", "accuracy", "outer steps", "seconds of a core"]]
    for r in records:
        line = [r["what"], r.get("genotype", ""), str(r.get("filters", "")), f"{r['parameters_had']:,}"]
        tested = "" if r["n_tasks"] == 1000 else f" ({r['n_tasks']} tasks)"
        rest = [str(r["steps"]), f"{r['seconds']:.0f}"]
        if r["what"] == "search":
            line[0] = "the mixture that is searched"
            lines.append([*line, f"{100 * r['mixed']:.2f} ± {100 * r['mixed_ci95']:.2f}{tested}", *rest])
            line[0] = "the same, pruned for each task"
            rest = ["", ""]
        lines.append([*line, f"{100 * r['mean']:.2f} ± {100 * r['ci95']:.2f}{tested}", *rest])
    show(lines)
    drawn = torch.tensor([100 * r["mean"] for r in records if r["what"].startswith("random")])
    if len(drawn) > 1:
        mean, half = mean_and_half_width(drawn)
        print(f"\nrandom cells: mean {mean:.2f} ± {half:.2f} over {len(drawn)} cells, best {float(drawn.max()):.2f}")
    for r in records:
        if r["what"] == "search":
            same = f"{r['like_the_found']:.0%} have the found one"
            print(f"search: {r['cells']} different cells for {r.get('of', 50)} test tasks; {same}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", type=float, default=200.0, help="seconds of search, on one core")
    parser.add_argument("--budget", type=float, default=70.0, help="seconds of training of each network, on one core")
    parser.add_argument("--parameters", type=int, default=30_000, help="of each network except ResNet-12")
    parser.add_argument("--random", type=int, default=5, help="random cells")
    parser.add_argument("--learner", default="fomaml", help="by which each network is meta-trained")
    parser.add_argument("--tasks", choices=("omniglot", "glyphs"), default="omniglot", help="5-way 1-shot")
    parser.add_argument("--leave-out", nargs="*", default=[], help="rows")
    parser.add_argument("--n-tasks", type=int, default=1000, help="of the test (the search: 1/10, ResNet-12: 1/20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/architectures"))
    parser.add_argument("--table", action="store_true", help="only print the table of what is there")
    parser.add_argument("--row", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.row is not None:
        return run_row(given.row, given.out, given.n_tasks)
    names = ["found", "conv4", *(f"random {i}" for i in range(given.random)), "resnet12 narrow", "resnet12"]
    shared = {"learner": given.learner, "tasks": given.tasks, "seed": given.seed, "parameters": given.parameters}
    search = {"what": "search", **shared, "budget": given.search}
    rows = [{"what": name, **shared, "budget": given.budget} for name in names if name not in given.leave_out]
    if not given.table:
        more = ("--n-tasks", str(given.n_tasks))
        run_all([search], __file__, given.out, 1, *more)
        if is_done(search, given.out):
            run_all(rows, __file__, given.out, 1, *more)
    return print_table([r for r in read(given.out) if r["seed"] == given.seed])


if __name__ == "__main__":
    main()
