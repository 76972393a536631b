"""``quickstudy sweep``: grids, what is done and skipped, deaths of local workers and of Dask's."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli import _grid
from quickstudy.cli._grid import read_grid, result_of
from quickstudy.cli._summary import differences, grouped
from quickstudy.cli.main import main
from quickstudy.recipes import split_options
from quickstudy.training.results import Result, StepScore

GRID = """
learners = ["protonet", {learner = "matching", label = "cosine", scale = 5.0}]
seeds = [0, 1]
[settings.3w1s]
way = 3
shot = 1
[options]
tasks = "glyphs"
preset = "demo"
size = 16
filters = 2
query = 2
test_query = 2
train_way = 3
steps = STEPS
meta_batch = 2
checkpoint_every = 2
validate_every = 1000
validation_tasks = 2
test_tasks = 4
log_every = 1
"""
NAMES = ["protonet-3w1s-s0", "cosine-3w1s-s0", "protonet-3w1s-s1", "cosine-3w1s-s1"]


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID.replace("STEPS", "2"))
    return path


class Here:
    """In place of processes: this one, at once."""

    def __init__(self, *_: object, **__: object) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.pool = ThreadPoolExecutor(1)
        self.submit, self.shutdown = self.pool.submit, self.pool.shutdown


def test_a_grid_is_trained_once_and_reported(grid, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("quickstudy.cli.sweep.ProcessPoolExecutor", Here)
    before = torch.get_num_threads()
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out"), "--threads", str(before)]) == 0
    said = capsys.readouterr()
    assert "4 trainings, 0 of them done" in said.err
    assert said.err.count(": done ") == 4
    assert re.search(r"protonet +[\d.]+% ± [\d.]+ \(2 seeds\)", said.out)
    assert re.search(r"cosine +[+\u2212][\d.]+ ± [\d.]+ +2 seeds", said.out)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Seeds together" in page
    assert "Differences from protonet on the same test tasks of 3w1s" in page
    assert all(name in page for name in NAMES)
    assert [row.name for row in read_grid(grid)] == NAMES
    monkeypatch.setattr("quickstudy.cli.sweep.ProcessPoolExecutor", lambda *_: pytest.fail("all is done"))
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == said.out
    grid.write_text(grid.read_text().replace("steps = 2", "steps = 3"))
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out")]) == 4
    assert "was trained with other options" in capsys.readouterr().err


def test_what_fails_is_named_and_the_rest_is_done(grid, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("quickstudy.cli.sweep.ProcessPoolExecutor", Here)
    grid.write_text(grid.read_text().replace("seeds = [0, 1]", "seeds = [0]"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NAMES[1]).write_text("in the way")
    assert main(["sweep", str(grid), "--out", str(tmp_path / "out"), "--threads", str(torch.get_num_threads())]) == 4
    said = capsys.readouterr()
    assert "1 of 2 trainings failed" in said.err
    assert NAMES[1] in said.err
    assert "(1 seed)" in said.out


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("learners =", "lerners ="), "it has lerners"),
        (("[0, 1]", '["a"]'), "seeds must be a list of whole numbers"),
        (("label = ", "labl = "), "has no option labl"),
        (('label = "cosine", ', ""), None),
        (('"matching", label = "cosine"', '"protonet"'), "two rows are called protonet-3w1s-s0"),
        (('"matching"', '"abacus"'), "no 'abacus' among the learners"),
        (("[settings.3w1s]", "[settings]"), "settings must be tables"),
        (("[options]", "[options"), "cannot be read as TOML"),
    ],
)
def test_grids_that_are_wrong(grid, change, text):
    grid.write_text(grid.read_text().replace(*change))
    if text is None:
        assert read_grid(grid)[1].name == "matching-3w1s-s0"
        return
    with pytest.raises(qs.UsageError, match=text):
        read_grid(grid)


def test_the_command_of_a_row_trains_the_same(grid, monkeypatch):
    taken = list[tuple[object, ...]]()
    monkeypatch.setattr(
        "quickstudy.cli.train.train_and_report", lambda *given, out, command: taken.append((given, out))
    )
    row = read_grid(grid)[3]
    assert main(shlex.split(_grid.command_of(row, Path("runs/x")))[1:]) == 0
    ((learner, tasks, training, test), out), (choice, options) = taken[0], row.settled()
    theirs = choice.build(options)
    assert registry.describe(learner) == registry.describe(theirs[0])
    assert registry.describe(tasks) == registry.describe(theirs[1])
    ours, same = {**training, **test}, {**split_options(options)[0], **split_options(options)[1]}
    assert {name: ours[name] for name in same if name != "out"} == {n: each for n, each in same.items() if n != "out"}
    assert str(out) == "runs/x"


def test_differences_are_only_of_the_same_tasks(grid):
    rows = read_grid(grid)[:2]

    def result(*scores):
        steps = (StepScore(0, 0.5, 0.1, 1.0),)
        return Result("accuracy", steps, 3, seed=0, bn="none", tasks="t", draws=3, scores=scores).to_json()

    pair = [(rows[0], result(0.4, 0.5, 0.6)), (rows[1], result(0.5, 0.6, 0.7))]
    (table,) = differences(pair)
    assert table.rows == [["cosine", "+10.00 ± 0.00", "3 tasks"]]
    assert grouped(pair).rows[0][1].endswith("(1 seed)")
    assert differences([pair[0], (rows[1], {**pair[1][1], "tasks": "other"})]) == []


def test_no_scheduler(grid, tmp_path, capsys):
    pytest.importorskip("distributed")
    assert main(["sweep", str(grid), "--out", str(tmp_path), "--scheduler", "nonsense://x"]) == 2
    assert "there is no Dask scheduler at nonsense://x" in capsys.readouterr().err


def start(said: Path, *words: object) -> "subprocess.Popen[bytes]":
    """A process with a group of its own, so that none of its workers is left over; what it says goes into a file."""
    with open(said, "ab") as file:
        return subprocess.Popen(
            [sys.executable, *map(str, words)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def wait_for(what, seconds: float = 300) -> object:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> Path:
    """A sweep of two rows that nobody disturbed."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "grid.toml").write_text(GRID.replace("STEPS", "40").replace("seeds = [0, 1]", "seeds = [0]"))
    for row in read_grid(folder / "grid.toml"):
        _grid.do_row((row, str(folder), 1))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("where", ["pool", "dask"])
def test_a_worker_is_killed_in_the_middle_of_a_training(where, quiet, tmp_path):
    """Every row is done once, none is lost, and the weights are those of a sweep that nobody disturbed."""
    rows, others = read_grid(quiet / "grid.toml"), list[subprocess.Popen[bytes]]()
    more: tuple[object, ...] = ("--jobs", 1)
    begun = rows[:1]
    if where == "dask":
        pytest.importorskip("distributed")
        begun = rows
        scheduler = tmp_path / "scheduler.json"
        quietly = ("--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", scheduler)
        others.append(start(tmp_path / "dask", "-m", "distributed.cli.dask_scheduler", *quietly))
        address = json.loads(wait_for(lambda: scheduler.exists() and scheduler.read_text()))["address"]
        alone = ("--host", "127.0.0.1", "--nthreads", 1, "--no-nanny", "--no-dashboard")
        worker = ("-m", "distributed.cli.dask_worker", address, *alone)
        others += [start(tmp_path / "dask", *worker, "--local-directory", tmp_path / f"w{i}") for i in range(2)]
        more = ("--scheduler", address)
    out = tmp_path / "out"
    said = tmp_path / "said"
    running = start(said, "-m", "quickstudy", "sweep", quiet / "grid.toml", "--out", out, *more)
    try:
        wait_for(lambda: all([*(out / row.name / "checkpoints").glob("*.json")] for row in begun))
        os.kill(others[1].pid if where == "dask" else _child_of(running.pid), signal.SIGKILL)
        assert running.wait(timeout=400) == 0, said.read_text()
    finally:
        for each in [running, *others]:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait()
    logs = [(out / row.name / "sweep.log").read_text() for row in rows]
    assert sorted(log.count("training on") for log in logs) == [1, 2], "one was begun twice, in the middle"
    for row in rows:
        assert result_of(row, out) == result_of(row, quiet)
        assert [r["step"] for r in qs.Run.open(out / row.name).metrics() if "train/loss" in r] == [*range(1, 41)]
        assert len(qs.Run.open(out / row.name).results()) == 1
        ours, theirs = (qs.Run.open(root / row.name).load().learner for root in (out, quiet))
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def _child_of(process: int) -> int:
    """A worker: a child that is not the resource tracker."""
    found = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=", "-o", "ppid=", "-o", "args="], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split(maxsplit=2) for line in found.splitlines() if "spawn_main" in line]
    return next(int(own) for own, parent, _ in lines if int(parent) == process)
