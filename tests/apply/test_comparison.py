"""Comparing optimizers: each usual one at its best step size, all on the same problems."""

import contextlib
import io
import json

import pytest
import torch

import quickstudy as qs
from quickstudy.apply.comparison import GRID, USUAL, compare, curves
from quickstudy.cli import main as cli
from quickstudy.rules import SGD, FeatureMLP

pytestmark = pytest.mark.slow


def test_curves_begin_at_one_and_a_divergence_is_bounded():
    problems = qs.tasks.Problems(families=("quadratic",), examples=16)
    found = curves(SGD(lr=1e3), problems, 0, count=3, steps=4)
    assert found.shape == (5, 3)
    torch.testing.assert_close(found[0], torch.ones(3))
    assert (found[-1] == 10).all()


def test_the_step_size_is_the_best_of_the_grid_on_other_problems():
    rows = {r.optimizer: r for r in compare({"mine": FeatureMLP()}, family="quadratic", steps=5, count=2, seeds=(0, 1))}
    assert set(rows) == {*USUAL, "mine"}
    assert len(GRID) >= 9
    assert rows["mine"].lr is None
    val = qs.tasks.Problems(split="val", families=("quadratic",), rescale=0.0)
    areas = {lr: sum(float(curves(SGD(lr=lr), val, s, count=2, steps=5).mean()) for s in range(3)) for lr in GRID}
    assert rows["SGD"].lr == min(GRID, key=areas.__getitem__)
    test = qs.tasks.Problems(split="test", families=("quadratic",), rescale=0.0)
    finals = [float(curves(FeatureMLP(), test, s, count=2, steps=5)[-1].mean()) for s in (0, 1)]
    assert rows["mine"].final == pytest.approx(sum(finals) / 2, rel=1e-5)


def test_the_command(tmp_path):
    tasks = qs.tasks.Problems(families=("quadratic",), horizon=(3, 3), examples=16)
    qs.train(qs.AdamOptimizer(), tasks, steps=1, meta_batch=2, out=tmp_path / "r")
    small = ["--family", "logistic", "--steps", "2", "--seeds", "2", "--problems", "2"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert cli.main(["optimize", str(tmp_path / "r"), *small]) == 0
    for name in (*USUAL, str(tmp_path / "r")):
        assert name in out.getvalue()
    tables = []
    for more in (["--seed", "1"], ["--seed", "1", "--device", "cpu", "--workers", "1", "--checkpoint", "last"], []):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert cli.main(["optimize", str(tmp_path / "r"), *small, "--json", *more]) == 0
        tables.append(json.loads(out.getvalue()))
    assert tables[0] == tables[1] != tables[2]
    assert {row["optimizer"] for row in tables[0]} == {*USUAL, str(tmp_path / "r")}
    with contextlib.redirect_stderr(io.StringIO()) as err:
        assert cli.main(["optimize", str(tmp_path / "r"), "--family", "cubic"]) == 2
    assert "families must be one of" in err.getvalue()
