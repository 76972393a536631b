"""A grid of trainings, read from TOML: learners, settings and seeds; and what is done with one of its rows."""

import contextlib
import json
import re
import shlex
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from quickstudy.cli.assemble import train_and_test
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import read_bytes, read_json, reason, write_json
from quickstudy.recipes import Choice, split_options
from quickstudy.training.runs import holds_run

DONE = "sweep.json"
"""In a run folder: the row, once it is trained and tested, and its result."""
KEYS = {"learners", "settings", "seeds", "options"}


@dataclass(frozen=True)
class GridRow:
    """One training.

    Args:
        name: of the run folder.
        label: what the learner is called in tables.
        setting: what the setting is called.
        learner: by its registered name.
        tasks: the same (None: the learner's usual ones).
        net: the same.
        preset: whose defaults are taken.
        seed: of the initial weights, the tasks and dropout.
        options: whatever else is said.
    """

    name: str
    label: str
    setting: str
    learner: str
    tasks: str | None
    net: str | None
    preset: str | None
    seed: int
    options: dict[str, Any]

    def settled(self) -> tuple[Choice, dict[str, Any]]:
        """What is trained, and every option.

        Raises:
            UsageError: an unknown name or option.
        """
        choice = Choice.of(self.learner, self.tasks, self.net, self.preset)
        shape = {name: self.options[name] for name in ("way", "shot") if isinstance(self.options.get(name), int)}
        return choice, choice.options(self.said, **shape)

    @property
    def said(self) -> dict[str, Any]:
        """Whatever is said of it, but for the names: a worker thread of its own unless it asks for more."""
        return {"workers": 1, **self.options, "seed": self.seed}


def read_grid(path: Path) -> list[GridRow]:
    """The rows: every learner in every setting with every seed.

    Raises:
        UsageError: no TOML, no grid, or an unknown name or option in it.
    """
    try:
        grid = tomllib.loads(read_bytes(path, most=1_000_000).decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {reason(error)}.") from error
    unknown = sorted(grid.keys() - KEYS)
    if unknown or not isinstance(grid.get("learners"), list) or not grid["learners"]:
        raise UsageError(
            f"{path}: a grid has learners (a list), and may have settings, seeds and options; "
            f"{f'it has {unknown[0]}' if unknown else 'it has no learners'}."
        )
    learners = [dict(one) if isinstance(one, dict) else {"learner": one} for one in grid["learners"]]
    settings: dict[str, Any] = grid.get("settings") or {"": {}}
    seeds = grid.get("seeds", [0])
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds) or not seeds:
        raise UsageError(f"{path}: seeds must be a list of whole numbers, got {seeds!r}.")
    if not isinstance(settings, dict) or not all(isinstance(one, dict) for one in settings.values()):
        raise UsageError(f"{path}: settings must be tables, [settings.NAME].")
    rows = [
        _row(path, {**grid.get("options", {}), **setting, **learner}, name, seed)
        for seed in seeds
        for name, setting in settings.items()
        for learner in learners
    ]
    twice = [row.name for row in rows if [other.name for other in rows].count(row.name) > 1]
    if twice:
        raise UsageError(f"{path}: two rows are called {twice[0]}; give learners that differ in options a label.")
    for row in rows:  # what is wrong is said now, and not after hours
        row.settled()
    return rows


def _row(path: Path, said: dict[str, Any], setting: str, seed: int) -> GridRow:
    learner = said.pop("learner", None)
    if not isinstance(learner, str):
        raise UsageError(f"{path}: a learner is a name, or a table with learner = NAME, got {learner!r}.")
    label = str(said.pop("label", learner))
    parts = {name: said.pop(name, None) for name in ("tasks", "net", "preset")}
    name = "-".join(part for part in (label, setting, f"s{seed}") if part)
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    return GridRow(re.sub(r"[^\w.=+-]", "_", name), label, setting, learner, **parts, seed=seed, options=options)


def result_of(row: GridRow, out: Path) -> dict[str, Any] | None:
    """The result of a row that is done; None where it is not.

    Raises:
        RunError: the folder is done, but with other options.
    """
    if not (out / row.name / DONE).exists():
        return None
    found = read_json(out / row.name / DONE)
    if found["row"] != json.loads(json.dumps(asdict(row))):
        raise RunError(f"{out / row.name} was trained with other options than the grid has now; choose another --out.")
    return found["result"]


def command_of(row: GridRow, folder: Path) -> str:
    """What trains a row by itself."""
    words = ["quickstudy", "train", row.learner]
    for name, value in {"tasks": row.tasks, "net": row.net, "preset": row.preset, **row.said, "out": folder}.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return shlex.join(words)


def do_row(work: tuple[GridRow, str, int]) -> dict[str, Any]:
    """Train and test a row (or go on with it), on so many threads; gives its result. Workers import this.

    Raises:
        QuickstudyError: whatever is wrong with it.
    """
    row, out, threads = work
    folder = Path(out) / row.name
    done = result_of(row, Path(out))
    if done is not None:
        return done
    torch.set_num_threads(threads)
    choice, options = row.settled()
    learner, tasks = choice.build(options)
    training, test = split_options(options)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "sweep.log", "a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        finished = train_and_test(
            *(learner, tasks, training, test),
            out=str(folder),
            say=lambda text: print(text, file=log, flush=True),
            resume=holds_run(folder),
            command=command_of(row, folder),
        )
    if finished is None:
        raise RunError(f"{folder}: a row of a sweep is one process, not one of several (torchrun).")
    result = finished[1].to_json()
    write_json(folder / DONE, {"row": asdict(row), "result": result})
    return result
