"""What the benchmarks that train many learners share: a budget of a core's time, and rows that are run once."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import quickstudy as qs
from quickstudy.core.seeding import fold

Row = dict[str, Any]


def steps_in_time(learner: qs.MetaLearner, tasks: Any, meta_batch: int, budget: float) -> int:
    """Outer steps that take ``budget`` seconds, by the time of some after the first.

    Time is the core's, spent on this process: what else runs on the machine does not count.
    """
    learner.meta_backward(tasks.sample(meta_batch, 0), workers=1)
    count, started = 0, time.process_time()
    while time.process_time() - started < min(3.0, budget / 4):
        learner.meta_backward(tasks.sample(meta_batch, fold(0, count)), workers=1)
        count += 1
    return max(1, round(budget * count / (time.process_time() - started)))


def outer_steps(row: Row, learner: qs.MetaLearner, tasks: Any, meta_batch: int) -> int:
    """A row's own number of outer steps (``--steps``), else what fits into its budget."""
    given = row.get("outer_steps")
    return steps_in_time(learner, tasks, meta_batch, row["budget"]) if given is None else given


def add_steps(parser: argparse.ArgumentParser) -> None:
    """``--steps``, for rows that are made again on a busy machine, where a second of a core does less."""
    parser.add_argument("--steps", type=_count, help="so many outer steps, whatever they take, in place of a budget")


def own_steps(steps: int | None) -> Row:
    """What ``--steps`` adds to a row; nothing where it was not given, so that older rows are found again."""
    return {} if steps is None else {"outer_steps": steps}


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return int(text)


def read(out: Path) -> list[Row]:
    """The rows that are there."""
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def add(out: Path, record: Row) -> None:
    """Keep a row's result."""
    with open(out / "results.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


def is_done(row: Row, out: Path) -> bool:
    """Whether there is a result of a row."""
    same = (record for record in read(out) if record.get("outer_steps") == row.get("outer_steps"))
    return any(row.items() <= record.items() for record in same)


def run_all(rows: Sequence[Row], script: str, out: Path, jobs: int, *more: str) -> None:
    """Run ``script --out OUT --row ROW`` for every row without a result, ``jobs`` at a time, each on one core."""
    todo = [row for row in rows if not is_done(row, out)]
    started = time.monotonic()

    def one(numbered: tuple[int, Row]) -> None:
        number, row = numbered
        command = [sys.executable, script, "--out", str(out), "--row", json.dumps(row), *more]
        failed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
        name = " ".join(str(value) for value in row.values())
        left = (time.monotonic() - started) / (number + 1) * (len(todo) - number - 1) / 60
        state = "FAILED" if failed else "done"
        print(f"{number + 1}/{len(todo)} {name}: {state}, {left:.0f} min left", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, enumerate(todo)))


def show(lines: Sequence[Sequence[str]]) -> None:
    """A table in Markdown; the first line is its head."""
    for cells in (lines[0], ["---"] * len(lines[0]), *lines[1:]):
        print("| " + " | ".join(cells) + " |")
