"""The benchmarks run, at sizes that take seconds; what they claim of gradients and multiply-adds is checked."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from scripts import output as run

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).resolve().parents[1]
BENCHMARKS = PROJECT / "benchmarks"
PEERS = ("higher", "torchopt", "metalearn")
missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
needs_peers = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (the extra 'peers')")


@needs_peers
def test_peers_have_the_same_gradient(tmp_path):
    tiny = ("--filters", 4, "--size", 16, "--tasks", 2, "--rounds", 0, "--leave-out", "compile")
    run(BENCHMARKS / "peers.py", "--only", "W1,W2,W4,W5,W7", *tiny, "--json", tmp_path / "peers.json")
    found = json.loads((tmp_path / "peers.json").read_text())["workloads"]
    assert list(found) == ["W1", "W2", "W2-order1", "W4", "W5", "W7"]
    for key in ("W1", "W2"):
        errors = found[key]["gradient_errors"]
        # The trap that the table is there to show: if torch mends it, say so in docs and in batchnorm.py.
        trapped = {name for name in errors if name.endswith("vmap, F.batch_norm")}
        assert {name for name, e in errors.items() if not e["right"]} == trapped
        assert len(trapped) == 3
        assert all(1e-4 < errors[name]["error"] < 1 for name in trapped)
    for key in ("W2-order1", "W5", "W7"):
        assert all(e["right"] for e in found[key]["gradient_errors"].values())
    failing = {name for name, e in found["W4"]["gradient_errors"].items() if not e["right"]}
    assert failing == {"parallel-metalearn, vmap", "parallel-metalearn, sequential"}


def test_neural_processes(tmp_path):
    arguments = (BENCHMARKS / "neural_processes.py", "--budget", 0.2, "--n-tasks", 4, "--out", tmp_path)
    output = run(*arguments, "--learners", "cnp")
    assert "exact" in output
    assert "squared error" in output
    lines = (tmp_path / "results.jsonl").read_text()
    assert [json.loads(line)["tasks"] for line in lines.splitlines()] == ["gp", "sinusoids"]
    assert (tmp_path / "cnp-s0.png").stat().st_size > 0
    assert run(*arguments, "--learners", "cnp") == output  # what is there is not trained again
    assert (tmp_path / "results.jsonl").read_text() == lines


def test_plain_memories_give_the_same_outputs_and_gradients(tmp_path):
    """``reading.py`` compares them before it times anything."""
    small = ("--tasks", 2, "--steps", 3, "--rounds", 1, "--slots", 8, "--lengths", 2, "--leave-out", "compile")
    output = run(BENCHMARKS / "reading.py", *small, "--json", tmp_path / "reading.json")
    assert "same outputs and gradients" in output
    found = json.loads((tmp_path / "reading.json").read_text())
    assert {"quickstudy", "plain, head by head"} <= set(found["races"]["NTM, 2 tasks, 3 steps"])
    assert len(found["cost_ms"]["NTM"]) == 1


def test_algorithms_goes_on_where_it_stopped(tmp_path):
    small = ("--tasks", "copy", "--cells", "lstm", "--steps", 2, "--n-tasks", 2, "--out", tmp_path)
    first, again = (run(BENCHMARKS / "algorithms.py", *small) for _ in range(2))
    assert "length 120" in first
    assert (
        again.splitlines()[-1]
        == first.splitlines()[-1]
        == run(BENCHMARKS / "algorithms.py", *small, "--table").splitlines()[-1]
    )


def test_algorithms_with_another_memory_than_in_training(tmp_path):
    small = ("--tasks", "recall", "--cells", "ntm", "--steps", 1, "--n-tasks", 2, "--out", tmp_path)
    as_trained = run(BENCHMARKS / "algorithms.py", *small).splitlines()[-1].split()
    larger = run(BENCHMARKS / "algorithms.py", *small, "--table", "--slots", 300).splitlines()[-1].split()
    assert as_trained[:3] == larger[:3]
    assert as_trained != larger


def test_scaling(tmp_path):
    small = ("--filters", 2, "--size", 16, "--fixed-tasks", 2, "--rounds", 1)
    nothing = ("--steps", "", "--shots", "", "--ways", "", "--chunks", "")
    output = run(BENCHMARKS / "scaling.py", "--tasks", "1,2", *nothing, *small, "--out", tmp_path)
    assert "time ~ tasks^" in output
    points = json.loads((tmp_path / "scaling.json").read_text())["points"]["tasks"]
    assert [p["size"] for p in points] == [1, 2]
    assert all(p["seconds"] > 0 and p["peak_mib"] >= 0 for p in points)
    assert (tmp_path / "scaling.svg").stat().st_size > 0
    assert (tmp_path / "scaling.png").stat().st_size > 0


def test_games(tmp_path):
    small = ("--seeds", 20, "--steps", 30, "--train", 1, "--meta-steps", 2, "--games", "prisoners-dilemma")
    output = run(BENCHMARKS / "games.py", *small, "--picture", tmp_path / "map.png")
    self_play = output[: output.index("Against")].splitlines()
    cells = {tuple(line.split(" | ")[:2]): line for line in self_play}
    returns = {name: float(cells["| prisoners-dilemma", name].split(" | ")[3].split()[0]) for name in ("naive", "lola")}
    assert returns["naive"] < -1.9 < -1.3 < returns["lola"]
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


COUNT = """
import sys
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
from torch.utils.flop_counter import FlopCounterMode
from contenders.maml import plain_loop
from workloads import WORKLOADS, meta_gradient_macs
for key in ("W1", "W2", "W2-order1", "W3", "W3-5steps"):
    work = replace(WORKLOADS[key], tasks=2, filters=4, size=16)
    step = plain_loop(work, work.net(), work.batch())
    with FlopCounterMode(display=False) as counter:
        step()
    print(key, counter.get_total_flops() / 2 / meta_gradient_macs(work))
"""


def test_multiply_adds_are_those_that_torch_counts():
    counted = dict(line.split() for line in run("-c", COUNT, BENCHMARKS).splitlines())
    ratios = {key: float(ratio) for key, ratio in counted.items()}
    assert [ratios[key] for key in ("W2-order1", "W3", "W3-5steps")] == [1, 1, 1]
    # torch spends two units more on the first layer (of 9 units per layer) than anybody needs.
    assert 1 < ratios["W1"] < ratios["W2"] < 1.2


def test_a_learner_of_the_omniglot_table_with_options_of_its_own(tmp_path):
    row = {"learner": "metagan:base=relation,pools=2", "setting": "5w1s", "protocol": "maml", "seed": 0, "steps": 7}
    record = {**row, "preset": "quick", "filters": None, "budget": 1.0, "mean": 0.5, "ci95": 0.01}
    again = {**record, "outer_steps": 7, "mean": 0.75}
    (tmp_path / "results.jsonl").write_text(json.dumps(record) + "\n" + json.dumps(again) + "\n")
    done = ("--learners", row["learner"], "--settings", "5w1s", "--protocol", "maml", "--budget", 1, "--out", tmp_path)
    by_budget, as_given = run(BENCHMARKS / "omniglot.py", *done, "--steps", 7).split("outer steps as given")
    assert "1 s of training on one core" in by_budget
    assert "| metagan:base=relation,pools=2 | 50.00 ± 1.00 |  | 7 |" in by_budget
    assert "| metagan:base=relation,pools=2 | 75.00 ± 1.00 |  | 7 |" in as_given
    with pytest.raises(AssertionError, match="must be at least 1, got 0"):
        run(BENCHMARKS / "omniglot.py", *done, "--steps", 0)
    with pytest.raises(AssertionError, match="there is no 'metagun'"):
        run(BENCHMARKS / "omniglot.py", "--learners", "metagun:base=relation")


def test_trainings(tmp_path):
    """Of tasks that need no data; a row that is done is not run again."""
    small = ("--tasks", "glyphs", "--learners", "protonet:filters=2,train_way=5", "--budget", 0.2, "--n-tasks", 4)
    tested = ("--test", "5w1s", "5w5s")
    arguments = (BENCHMARKS / "trainings.py", *small, *tested, "--out", tmp_path / "out", "--results", tmp_path)
    first = run(*arguments)
    (tmp_path / "trainings.csv").rename(tmp_path / "kept.csv")
    again = run(*arguments)
    assert again == first[first.index("| split") :]
    assert not (tmp_path / "trainings.csv").exists()
    with open(tmp_path / "kept.csv", newline="") as file:
        row, other = csv.DictReader(file)
    assert (row["learner"], row["options"], row["setting"]) == ("protonet", "filters=2 train_way=5", "5w1s")
    assert (other["options"], other["setting"]) == ("filters=2 train_way=5 trained=5w1s", "5w5s")
    assert row["command"].endswith("--budget 0.2 --seeds 0 --n-tasks 4")


def test_sampling():
    output = run(BENCHMARKS / "sampling.py", "--images", 640, "--rounds", 1, "--flip")
    assert output.count("us an image") == 2


def test_track(tmp_path):
    small = ("--small", "--rounds", 2, "--results", tmp_path)
    assert "of a plain loop" in run(BENCHMARKS / "track.py", "--only", "W5", *small)
    run(BENCHMARKS / "track.py", "--plot", tmp_path / "x" / "plot.svg", "--results", tmp_path)
    assert (tmp_path / "x" / "plot.svg").stat().st_size > 0


def test_what_is_for_a_gpu(tmp_path):
    """On a CPU: the checks of a learner or two, and a preset that is trained, tested and written down."""
    small = ("--device", "cpu", "--small", "--minutes", 60, "--out", tmp_path, "--results", tmp_path)
    output = run(BENCHMARKS / "gpu.py", *small, "--only", "checks", "presets", "--learners", "protonet", "metagan")
    verdicts = [line.split()[0] for line in output.splitlines()[:6]]
    assert verdicts == ["right"] * 6, output
    assert "protonet,glyphs,5w1s" in (tmp_path / "gpu.csv").read_text()


def test_optimizers():
    output = run(BENCHMARKS / "optimizers.py", "throughput", "--rounds", 1, "--problems", 2, "--only", "Adam")
    assert output.count("| pes |") == 2


def test_optimizer_curves_of_steps_scaled_and_falling():
    small = ("curves", "--families", "quadratic", "--steps", 8, "--problems", 2, "--seeds", 2, "--usual")
    plain = run(BENCHMARKS / "optimizers.py", *small, "Adam", "--lr", 1, 0.5)
    rows = {line.split(" | ")[1]: line.split(" | ")[3:] for line in plain.splitlines() if "quadratic |" in line}
    assert rows.keys() == {"Adam", "shipped", "shipped, lr=0.5"}
    assert rows["shipped"] != rows["shipped, lr=0.5"]
    falling = run(BENCHMARKS / "optimizers.py", *small, "", "--cosine")
    assert falling.count("| quadratic |") == falling.count("shipped, cosine") == 1


def test_generated_solvers(tmp_path):
    arguments = (BENCHMARKS / "generative.py", "--budget", 0.2, "--n-tasks", 4, "--out", tmp_path)
    sinusoids = ("--settings", "sinusoids")
    output = run(*arguments, "--solvers", *sinusoids)
    assert "log-likelihood" in output
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["learner"] for row in rows] == ["maml", "hypernet", "solver-gan"]
    assert all(list(row["by_shot"]["1"]["by_step"]) == ["0", "1", "5"] for row in rows)
    assert (tmp_path / "family-solver-gan-s0.svg").stat().st_size > 0
    again = run(*arguments, "--solvers", "--speed", "--rounds", 1, *sinusoids)
    assert output in again  # what is there is not trained again
    assert "solvers per second" in again


def test_tabular(tmp_path):
    arguments = ("--splits", 2, "--rows", 2, "--tables", "iris", "--views", 1, "--out", tmp_path / "tabular.json")
    output = run(BENCHMARKS / "tabular.py", *arguments)
    assert "| iris | 2 |" in output
    scores = json.loads((tmp_path / "tabular.json").read_text())["iris, 2"]
    assert len(scores) == 4
    assert all(len(values) == 2 and min(values) > 0.3 for values in scores.values())


def test_architectures(tmp_path):
    few = ("--tasks", "glyphs", "--random", 1, "--leave-out", "found", "conv4", "resnet12", "resnet12 narrow")
    small = ("--search", 0.1, "--budget", 0.1, "--parameters", 4000, "--n-tasks", 20, "--out", tmp_path)
    output = run(BENCHMARKS / "architectures.py", *few, *small)
    rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [row["what"] for row in rows] == ["search", "random 0"]
    assert abs(rows[1]["parameters_had"] - 4000) < 200
    assert rows[1]["genotype"] != rows[0]["genotype"]
    assert (tmp_path / "cell.svg").read_bytes().startswith(b"<svg")
    assert f"| random 0 | {rows[1]['genotype']} |" in output


def test_classify(tmp_path):
    """On made-up features of ten classes that are easily told apart."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(10), 50)
    x = 3 * rng.normal(size=(10, 16))[y] + rng.normal(size=(500, 16))
    np.savez(tmp_path / "clinc150-train.npz", x=x, y=y, names=[str(c) for c in range(10)])
    words = ("--domains", "clinc150 train", "--features", tmp_path, "--results", tmp_path)
    output = run(BENCHMARKS / "classify.py", *words, "--shots", 1, "--tasks", 3)
    assert "| clinc150 train | 5w1s, 3 tasks |" in output
    run(BENCHMARKS / "classify.py", *words, "--labels", 2)
    rows = (tmp_path / "classify.csv").read_text().splitlines()
    assert sum("accuracy_percent" in row for row in rows) == 6  # four plain heads, auto, auto with a background
    assert sum("chosen=" in row for row in rows) == 2


@pytest.mark.parametrize("script", ["classify.py", "classify_parts.py", "classify_finetune.py", "in_context_head.py"])
def test_the_page_on_heads_has_the_tables_of_the_rows(script):
    assert run(BENCHMARKS / script, "--table") in (PROJECT / "docs" / "heads.md").read_text()
