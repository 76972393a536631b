"""Results as data: one CSV a benchmark in ``results/``, a row a measurement, written by benchmarks and never by hand.

A row says what was asked for (``KEY``), what came out (in percent, or in the unit that ``metric`` names), and by which
command, commit and machine. One that is measured again takes the place of the old one.
"""

import csv
import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

PROJECT = Path(__file__).resolve().parents[1]
RESULTS = PROJECT / "results"
KEY = (
    *("benchmark", "learner", "tasks", "setting", "protocol", "bn", "seed", "preset", "options", "budget_s", "metric"),
    "precision",
)
"""What was asked for: two rows that agree in this are one measurement, made twice."""
COLUMNS = (
    *("benchmark", "learner", "tasks", "setting", "protocol", "bn", "seed", "preset", "options", "budget_s", "steps"),
    *("train_s", "n_tasks", "metric", "mean", "ci95", "command", "commit", "machine", "torch", "precision"),
)

ResultRow = dict[str, str]


def add_result_row(
    benchmark: str,
    *,
    learner: str,
    tasks: str,
    setting: str,
    mean: float,
    ci95: float | None,
    n_tasks: int,
    seed: int,
    metric: str = "accuracy_percent",
    protocol: str = "",
    bn: str = "",
    preset: str = "",
    options: Mapping[str, Any] | None = None,
    budget_s: float | None = None,
    steps: int | None = None,
    train_s: float | None = None,
    precision: str = "float32",
    command: str | None = None,
    results: Path = RESULTS,
) -> ResultRow:
    """Write a measurement into ``results/BENCHMARK.csv``; several processes may do so at once.

    Args:
        benchmark: the file's name, such as ``classify``.
        learner: by its registered name.
        tasks: by their registered name.
        setting: such as ``5w1s``.
        mean: in percent, or in the unit that ``metric`` names.
        ci95: half the width of the 95% interval over independent draws (None: there is none).
        n_tasks: how many tasks were tested.
        seed: of the training.
        metric: what was measured, its unit in the name: ``accuracy_percent``, ``return``, ``milliseconds``.
        protocol: of the data set, where it has several.
        bn: the mode of BatchNorm.
        preset: whose options were taken.
        options: what differs from the preset, such as ``{"filters": 64}``.
        budget_s: seconds of a core that training was given.
        steps: outer steps of the training.
        train_s: seconds of a core that they took.
        precision: of the numbers, ``float32`` or what autocast made of it.
        command: None: this process's own.
        results: the folder.
    """
    given: dict[str, Any] = {
        **{"benchmark": benchmark, "learner": learner, "tasks": tasks, "setting": setting, "protocol": protocol},
        **{"bn": bn, "seed": seed, "preset": preset, "budget_s": budget_s, "steps": steps, "n_tasks": n_tasks},
        "options": " ".join(f"{name}={value}" for name, value in sorted((options or {}).items())),
        **{"train_s": None if train_s is None else round(train_s), "metric": metric, "mean": mean, "ci95": ci95},
        **{"command": command or own_command(), "commit": commit(), "machine": machine(), "torch": torch_version()},
        "precision": precision,
    }
    row = {column: _text(given[column]) for column in COLUMNS}
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{benchmark}.csv"
    with FileLock(path.with_suffix(".lock")):
        kept = [old for old in read_result_rows(path) if key_of(old) != key_of(row)]
        _write(path, sorted([*kept, row], key=key_of))
    return row


def read_result_rows(path: Path) -> list[ResultRow]:
    """The rows of a file; none where there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{column: row.get(column) or "" for column in COLUMNS} for row in csv.DictReader(file)]


def read_papers(results: Path = RESULTS) -> list[ResultRow]:
    """What papers report, each with its source: ``papers.csv``."""
    with open(results / "papers.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def key_of(row: Mapping[str, str]) -> tuple[str, ...]:
    """What a measurement was asked for."""
    return tuple(row[column] for column in KEY)


def own_command() -> str:
    """How this process was started, from the project's folder; of other folders of this machine only the last part."""
    return " ".join(["python", *map(_without_folders, sys.argv)])


def _without_folders(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word if " " not in word else repr(word)
    return path.relative_to(PROJECT).as_posix() if path.is_relative_to(PROJECT) else path.name


def commit() -> str:
    """Of the project, short; with a ``+`` where code differs from it."""
    git = ["git", "-C", str(PROJECT)]
    found = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src", "benchmarks"], check=False).returncode
    return found.stdout.strip() + "+" * bool(changed) if found.returncode == 0 else ""


def machine() -> str:
    """The processor (or the GPU that is used), and how many threads it was given."""
    from measure import machine as processor

    found = processor()
    return f"{found['cpu']}, {found['threads']} thread{'s' * (found['threads'] > 1)}"


def torch_version() -> str:
    """Without what it was built for."""
    import torch

    return torch.__version__.partition("+")[0]


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _write(path: Path, rows: list[ResultRow]) -> None:
    from quickstudy.core.files import write_atomic

    content = io.StringIO()
    writer = csv.DictWriter(content, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, content.getvalue().encode())
