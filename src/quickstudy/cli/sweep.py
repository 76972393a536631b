"""``quickstudy sweep``: a grid of trainings, on this machine's cores or on a cluster's; a table while they run."""

import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from tyro import conf

from quickstudy.cli._grid import GridRow, do_row, read_grid, result_of
from quickstudy.cli._summary import differences, grouped
from quickstudy.cli.terminal import say, table, tell
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.scores import score
from quickstudy.report import write_report
from quickstudy.training.runs import Run
from quickstudy.training.sweep import Standing
from quickstudy.training.sweep import sweep as run_sweep

GridFile = Annotated[Path, conf.Positional, conf.arg(metavar="GRID.toml", help_behavior_hint="")]


def sweep(
    grid: GridFile,
    *,
    out: Path = Path("runs/sweep"),
    jobs: int | None = None,
    threads: int = 1,
    scheduler: str | None = None,
) -> None:
    """Train a grid: learners, settings, seeds; what is done is skipped.

    Each training is a run folder; one that was interrupted goes on from its last checkpoint, to the same bits.

    Args:
        grid: a TOML file: learners, and perhaps settings, seeds and options.
        out: where the run folders go, and the report; with a scheduler a folder that all its workers share.
        jobs: trainings at a time on this machine (None: as many as cores).
        threads: of each training.
        scheduler: the address of a Dask scheduler (tcp://...), whose workers then train (needs the extra cluster).
    """
    if (jobs is not None and jobs < 1) or threads < 1:
        raise UsageError(f"jobs and threads must be >= 1, got {jobs} and {threads}.")
    rows = read_grid(grid)
    done = {row.name: found for row in rows if (found := result_of(row, out)) is not None}
    todo = {row.name: (row, str(out.resolve()), threads) for row in rows if row.name not in done}
    tell(f"{len(rows)} trainings, {len(done)} of them done; run folders: {out}")
    ended: Mapping[str, Standing] = {}
    if todo:
        with _local(jobs or os.cpu_count() or 1) if scheduler is None else _dask(scheduler) as make:
            ended = run_sweep(todo, do_row, make, told=_Live(rows, out, done))
    done |= {name: each.result for name, each in ended.items() if each.state == "done"}
    found = [(row, done[row.name]) for row in rows if row.name in done]
    if found:
        _finish(found, out)
    failed = {name: each.error for name, each in ended.items() if each.state == "failed"}
    if failed:
        each = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failed.items())
        raise RunError(f"{len(failed)} of {len(rows)} trainings failed (sweep.log in their folders): {each}")


def _finish(found: Sequence[tuple[GridRow, dict[str, Any]]], out: Path) -> None:
    tables = [grouped(found), *differences(found)]
    for each in tables:
        say(f"{each.heading}\n{table([list(row) for row in each.rows], list(each.header))}\n")
    report = write_report([Run.open(out / row.name) for row, _ in found], out / "report.html", tables=tables)
    say(f"report: {report}")


@contextmanager
def _local(jobs: int) -> Generator[Callable[[], Executor]]:
    """Processes of this machine, started afresh: a fork would share torch's threads."""
    yield partial(ProcessPoolExecutor, jobs, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def _dask(address: str) -> Generator[Callable[[], Executor]]:
    """A scheduler's workers; one that dies loses its training to another."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError("a scheduler needs Dask: pip install 'quickstudy[cluster]'.") from error
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise UsageError(f"there is no Dask scheduler at {address} ({error}).") from error
    with client:
        yield partial(client.get_executor, pure=False)


class _Live:
    """Shows how all rows stand: on a terminal a table that renews itself, elsewhere a line when one ends."""

    def __init__(self, rows: Sequence[GridRow], out: Path, done: Mapping[str, Any]) -> None:
        self.rows, self.out, self.done = rows, out, done
        self.lines = 0
        self.told: set[str] = set()

    def __call__(self, standing: Mapping[str, Standing]) -> None:
        if not sys.stderr.isatty():
            for name, each in standing.items():
                if each.state in ("done", "failed") and name not in self.told:
                    self.told.add(name)
                    tell(f"{len(self.told)}/{len(standing)} {name}: {each.state} {_score(each.result)}")
            return
        shown = [self._line(row, standing.get(row.name)) for row in self.rows]
        text = table(shown, ["training", "state", "steps", "validation", "test"])
        back = f"\x1b[{self.lines}F\x1b[J" if self.lines else ""
        sys.stderr.write(f"{back}{text}\n")
        sys.stderr.flush()
        self.lines = text.count("\n") + 1

    def _line(self, row: GridRow, standing: Standing | None) -> list[str]:
        state = "done before" if standing is None else standing.state
        result = self.done.get(row.name) if standing is None else standing.result
        last = _last_records(self.out / row.name / "metrics.jsonl")
        step = str(max((r["step"] for r in last if isinstance(r.get("step"), int)), default=""))
        found = [(*key.partition("/")[::2], value) for r in last for key, value in r.items()]
        scores = [(name, value) for of, name, value in found if of == "validation" and name not in ("loss", "ci95")]
        validation = score(scores[-1][0]).text(scores[-1][1]) if scores else ""
        return [row.name, state, step, validation, _score(result)]


def _score(result: Mapping[str, Any] | None) -> str:
    if not result:
        return ""
    return score(result["metric"]).told(result["mean"], result["ci95"])


def _last_records(path: Path, most: int = 20_000) -> list[dict[str, Any]]:
    """The last lines of a file of JSON lines that is being written."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            lines = file.read().splitlines()
    except OSError:
        return []
    found: list[dict[str, Any]] = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # the first and the last may be cut
            continue
        found += [record] if isinstance(record, dict) else []
    return found
