"""``quickstudy optimize``."""

from dataclasses import asdict
from json import dumps
from pathlib import Path

from quickstudy.apply.comparison import compare
from quickstudy.apply.learned_optimizer import pretrained_rule, rule_of_run
from quickstudy.apply.own_problem import compare_on, load_problem
from quickstudy.cli.options import RunFolders
from quickstudy.cli.terminal import say, table, tell
from quickstudy.cli.trained import checkpoint_step, threads
from quickstudy.core.errors import UsageError
from quickstudy.core.files import write_atomic
from quickstudy.report.optimized import interval, optimized_page
from quickstudy.training.distributed import pick_device
from quickstudy.training.progress import Waiting
from quickstudy.training.runs import Run


def optimize(
    runs: RunFolders = (),
    *,
    module: str | None = None,
    family: str = "mlp",
    steps: int = 200,
    seeds: int = 5,
    seed: int = 0,
    problems: int = 8,
    checkpoint: str = "best",
    device: str = "auto",
    workers: int | None = None,
    html: Path | None = None,
    json: bool = False,
) -> None:
    """Compare learned optimizers with tuned usual ones on some problems.

    The usual ones are SGD, momentum, RMSprop, Adam and AdamW, each with a step size of its own for the family.

    Args:
        runs: run folders of learned optimizers (none: the one that ships).
        module: file.py:problem in place of a family: problem(seed) gives your model and its loss(step), see the docs.
        family: quadratic, logistic, mlp or conv; held out: wide, deep, activation, digits, omniglot or transformer.
        steps: inner steps.
        seeds: architectures, with problems of their own.
        seed: the first of the seeds.
        problems: of each architecture.
        checkpoint: of each run: best, last, or an outer step.
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
        html: a file for a page with the curves and the table.
        json: print the table as JSON.
    """
    if min(steps, seeds, problems) < 1:
        raise UsageError("--steps, --seeds and --problems must be at least 1.")
    learned = {path: rule_of_run(path, checkpoint_step(Run.open(path), checkpoint)) for path in runs}
    learned = learned or {"learned": pretrained_rule()}
    some = range(seed, seed + seeds)
    own = None if module is None else load_problem(module)
    with threads(workers), Waiting("comparing", "training") as waiting:
        if own is not None and module is not None:
            family = module
            rows = compare_on(own, learned, name=module, steps=steps, seeds=some, progress=waiting)
        else:
            rows = compare(
                learned,
                family=family,
                steps=steps,
                seeds=some,
                count=problems,
                device=pick_device(device),
                progress=waiting,
            )
    if html is not None:
        write_atomic(html, optimized_page(rows, steps=steps, seeds=seeds).encode(), anywhere=True)
        tell(f"written: {html}")
    if json:
        # JSON has no nan: of one seed there is no interval
        known = [{name: None if value != value else value for name, value in asdict(row).items()} for row in rows]
        print(dumps(known, indent=2, ensure_ascii=False))
        return
    cells = [
        [r.optimizer, "learned" if r.lr is None else f"{r.lr:.2g}", interval(r.area, r.area_ci95),
         interval(r.final, r.final_ci95), f"{100 * r.diverged:.0f}%"]
        for r in rows
    ]  # fmt: skip
    say(table(cells, ["optimizer", "step size", "mean loss", "final loss", "diverged"]))
    over = f", 95% intervals over {seeds} seeds" if seeds > 1 else " of one seed"
    say(f"losses relative to the start{over}; {family}, {steps} steps")
