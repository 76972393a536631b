"""The command line, called as a person calls it: what it does, prints and leaves behind, and its exit codes."""

import contextlib
import importlib
import inspect
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli import main as cli
from quickstudy.cli.terminal import ProgressLine
from quickstudy.cli.train import train
from quickstudy.recipes import usual_tasks
from quickstudy.training.results import Result


def words_of(**options) -> list[str]:
    """``--name value`` of each."""
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


SMALL = words_of(query=2, meta_batch=2, validation_tasks=5, test_tasks=6, test_query=2)
TINY = [*SMALL, *words_of(size=16, way=3, filters=3)]
WAVES = ["--tasks", "sinusoids", *SMALL, *words_of(hidden=8, shot=4)]


class Done(NamedTuple):
    code: int
    out: str
    err: str


def quickstudy(*words) -> Done:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = cli.main([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def fails(code, *words, says) -> None:
    """It ends with this exit code and one paragraph, and nothing on stdout."""
    done = quickstudy(*words)
    assert done.code == code, done.err
    assert re.search(says, done.err), done.err
    assert "Traceback" not in done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("quickstudy: "), done.err
    assert done.out == ""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Done]:
    """MAML on glyphs; the preset's values where nothing else is said."""
    out = tmp_path_factory.mktemp("cli") / "maml"
    chosen = ["--preset", "paper", "--inner-steps", 2, "--steps", 3, "--checkpoint-every", 2, "--log-every", 1]
    return out, quickstudy("train", "maml", "--tasks=glyphs", *TINY, *chosen, "--out", out)


@pytest.fixture(scope="module")
def waves(tmp_path_factory) -> tuple[Path, Done]:
    """Reptile on sinusoids."""
    out = tmp_path_factory.mktemp("cli") / "reptile"
    return out, quickstudy("train", "reptile", *WAVES, "--steps", 3, "--inner-steps", 4, "--out", out)


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the run, to be damaged."""
    return Path(shutil.copytree(trained[0], tmp_path / "copied"))


def config(run):
    return json.loads((run / "config.json").read_text())


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def more_ways(tmp_path_factory) -> tuple[Path, Done]:
    """Prototypical networks, trained on 5 classes a task for the sake of 3."""
    out = tmp_path_factory.mktemp("cli") / "protonet"
    return out, quickstudy("train", "protonet", "--tasks=glyphs", *TINY, "--train-way", 5, "--steps", 3, "--out", out)


# -- what there is -----------------------------------------------------------------------------------------------


def test_without_arguments_it_tells_what_there_is():
    done = quickstudy()
    assert done.code == 2
    for command in cli.COMMANDS:
        assert re.search(rf"^  {command} +\w.+", done.err, re.MULTILINE)
    for asking in ("-h", "--help", "--version"):
        helped = quickstudy(asking)
        assert (helped.code, helped.out, helped.err) == (0, done.err, "")
    assert qs.__version__ in done.err


def test_an_unknown_command():
    done = quickstudy("trian")
    assert done.code == 2
    assert done.err.endswith("quickstudy: there is no command 'trian'.\n")
    assert "evaluate" in done.err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_every_command_gives_defaults(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = quickstudy(command, "--help")
    assert done.code == 0, done.err
    assert f"usage: quickstudy {command}" in done.out
    assert done.err == ""
    options = re.findall(r"^  (--[\w-]+)(?: [A-Z]+)? +(\w.+?) *$", done.out, re.MULTILINE)
    assert len(options) == len(re.findall("^  --", done.out, re.MULTILINE))
    required = {"adapt": {"--support", "--query"}}.get(command, set())
    assert {name for name, text in options if text.endswith(" (required)")} == required
    assert all("(default: " in text for name, text in options if name not in required)


# What they have in common, they call by the same name.
COMMON = {
    "evaluate": {"steps", "checkpoint", "device", "workers", "seed", "json"},
    "adapt": {"steps", "checkpoint", "device", "workers", "json"},
    "optimize": {"steps", "checkpoint", "device", "workers", "seed", "json"},
    "demo": {"steps", "device", "workers", "seed"},
    "resume": {"device", "workers"},
}


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"train"}))
def test_every_commands_options_come_from_its_signature(command, monkeypatch):
    """Its summary is its docstring's, and help fits 80 columns (but for tyro's usage line)."""
    monkeypatch.setenv("COLUMNS", "80")
    where, summary = cli.COMMANDS[command]
    module, _, name = where.partition(":")
    function = getattr(importlib.import_module(f"quickstudy.cli.{module}"), name)
    assert inspect.getdoc(function).partition("\n")[0] == summary
    done = quickstudy(command, "--help")
    assert summary in done.out
    assert max(map(len, done.out.splitlines()[1:])) <= 80
    said = set(re.findall(r"^  --([\w-]+)", done.out, re.MULTILINE))
    parameters = inspect.signature(function).parameters.values()
    assert said == {p.name.replace("_", "-") for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert COMMON.get(command, set()) <= said


def test_what_a_person_sees_first_fits_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], ["--help"], ["train", "--help"], ["train", "maml", "--help"]):
        done = quickstudy(*words)
        assert max(map(len, (done.out + done.err).splitlines())) <= 80


STARTED = """
import quickstudy, sys
before = set(sys.modules)
from quickstudy.cli.main import main
assert main(sys.argv[1:]) == 0
print(*(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["list"]], ids=" ".join)
def test_what_starts_at_once_imports_little(words):
    """Beside what the package itself has imported before."""
    done = subprocess.run([sys.executable, "-c", STARTED, *words], capture_output=True, text=True, check=True)
    heavy = {"torch", "matplotlib", "jinja2", "tyro", "tqdm", "argparse", "quickstudy.report"}
    assert not heavy & set(done.stderr.split())
    assert words[0] in done.stdout or "maml" in done.stdout


def helped():
    """Every learner with the tasks that it is for, and all other tasks with one learner each (all pairs: minutes)."""
    learners = {name: registry.load("learners", name) for name in registry.LEARNERS}
    usual = {name: usual_tasks(name) for name in learners}
    yield from usual.items()
    for tasks in set(registry.TASKS) - set(usual.values()):
        kind = registry.load("tasks", tasks).kind
        yield next(name for name, cls in learners.items() if kind in cls.learns), tasks


@pytest.mark.parametrize(("learner", "tasks"), sorted(helped()))
def test_help_of_train_lists_every_option_with_its_default(learner, tasks, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    done = quickstudy("train", learner, "--tasks", tasks, "--help")
    assert done.code == 0, done.err
    options = {"--seed": "0", "--meta-lr": "", "--test-tasks": r"\d+", "--out": "None"}
    if tasks in ("omniglot", "glyphs", "folder"):
        options |= {"--shot": "", "--way": "5"}
    for option, default in options.items():
        assert re.search(rf"{option}\b[^(]*(\([^d][^(]*)*\(default: {default}", done.out), option
    assert ("--root" in done.out) == (tasks == "folder")
    for name in (*registry.TASKS, *registry.NETS, "demo", "quick", "paper"):
        assert name in done.out
    assert "``" not in done.out
    assert "inspect" not in done.out


def test_list():
    done = quickstudy("list")
    assert done.code == 0
    kinds = ("learners", "tasks", "nets", "encoders")
    for kind in kinds:
        for name in registry.KINDS[kind]:
            assert re.search(rf"^  {name} +\w.{{10,}}", done.out, re.MULTILINE)
    listed = json.loads(quickstudy("list", "--json").out)
    assert {kind: set(names) for kind, names in listed.items()} == {kind: set(registry.KINDS[kind]) for kind in kinds}
    assert all(line in done.out for names in listed.values() for line in names.values())


# -- train -------------------------------------------------------------------------------------------------------


def test_train_leaves_a_run_and_tells_its_result(trained):
    run, done = trained
    assert done.code == 0, done.err
    assert {path.name for path in run.iterdir()} >= {
        "config.json", "metrics.jsonl", "results.jsonl", "checkpoints", "report.html",
    }  # fmt: skip
    assert [record["step"] for record in lines(run / "metrics.jsonl") if "train/loss" in record] == [1, 2, 3]
    assert qs.Run.open(run).steps() == [2, 3]
    (result,) = lines(run / "results.jsonl")
    assert (result["split"], result["n_tasks"], len(result["by_step"])) == ("test", 6, 4)
    assert f"accuracy {100 * result['mean']:.2f}% ± " in done.out
    assert "BatchNorm: transductive" in done.out
    assert re.search(r"^inner steps +accuracy", done.out, re.MULTILINE)
    assert done.out.endswith(f"report: {run / 'report.html'}\n")
    assert "Glyphs train" in done.err
    assert "step 3/3" in done.err
    assert "</html>" in (run / "report.html").read_text()


def test_a_preset_gives_defaults_and_what_is_said_wins(trained):
    run, _ = trained
    learner, training = config(run)["learner"]["options"], config(run)["training"]
    assert (learner["inner_steps"], training["steps"], training["meta_batch"]) == (2, 3, 2)  # said
    assert (learner["inner_lr"], training["meta_lr"], config(run)["test"]["test_steps"]) == (0.4, 1e-3, 3)  # the preset


def test_the_command_in_the_run_folder_repeats_the_run(trained, tmp_path):
    import shlex

    run, _ = trained
    words = shlex.split(config(run)["command"])
    assert words[0] == "quickstudy"
    words[words.index(str(run))] = str(tmp_path / "again")
    assert quickstudy(*words[1:]).code == 0
    first, again = qs.Run.open(run).load(), qs.Run.open(tmp_path / "again").load()
    assert all(torch.equal(t, again.learner[name]) for name, t in first.learner.items())
    assert lines(run / "results.jsonl")[0] == lines(tmp_path / "again" / "results.jsonl")[0]


def test_train_reptile_on_sinusoids(waves):
    run, done = waves
    assert done.code == 0, done.err
    assert re.search(r"^mse \d+\.\d{4} ± ", done.out)
    assert "BatchNorm: none" in done.out
    assert config(run)["learner"]["options"]["inner_optimizer"] == "sgd"  # the preset's
    assert (run / "report.html").stat().st_size > 1000


def test_the_default_run_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert quickstudy("train", "maml", *WAVES, "--steps", 1, "--seed", 7).code == 0
    assert (tmp_path / "runs" / "maml-sinusoids-s7" / "report.html").exists()


def test_train_asks_for_a_learner():
    done = quickstudy("train", "--help")
    assert done.code == 0
    assert " reptile," in done.out
    for words in ([], ["--tasks", "glyphs", "maml"]):
        done = quickstudy("train", *words)
        assert done.code == 2
        assert "name the learner to train first" in done.err
        assert " reptile," in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "mamel"], "no 'mamel' among the learners: .*maml"),
        (["train", "maml", "--tasks", "chess"], "no 'chess' among the tasks: .*sinusoids"),
        (["train", "maml", "--net", "resnet"], "no 'resnet' among the nets: cell, conv4"),
        (["train", "maml", "--preset", "fast"], "no preset 'fast': demo, quick, paper"),
        (["train", "maml", "--tasks"], "--tasks: expected one argument"),
        (["train", "maml", "--way", "many"], "--way: invalid int value: 'many'"),
        (["train", "maml", "--tasks", "glyphs", "--way", "0"], "way must be an integer of at least 1"),
        (["train", "maml", "--tasks", "sinusoids", "--net", "conv4"], "of images of size 1 after four blocks"),
        (["train", "maml", "--tasks", "sinusoids", "--inner-lr", "0"], "lr > 0"),
        (["train", "maml", "--tasks", "sinusoids", "--steps", "0"], "steps must be a whole number >= 1"),
        (["train", "maml", "--tasks", "sinusoids", "--test-tasks", "1"], "test_tasks must be >= 2"),
        (["train", "maml", "--tasks", "sinusoids", "--device", "abacus"], "abacus"),
        (["train", "maml", "--tasks", "sinusoids", "--schedule", "steps"], "constant, linear, cosine"),
        (["report", "a", "b"], "--out FILE.html"),
        (["report"], "name a run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails(2, *words, says=says)
    assert not list(tmp_path.rglob("config.json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "maml", "--tasks", "sinusoids", "--inner-steps", "few"], "--inner-steps"),
        (["train", "maml", "--tasks", "sinusoids", "--no-such-option", "1"], "no-such-option"),
        (["train", "maml", "--tasks", "folder"], "--root"),
        (["evaluate"], "run"),
        (["evaluate", "x", "--n-tasks", "many"], "--n-tasks"),
        (["adapt", "x"], "--support"),
        (["list", "--jsonn"], "Perhaps you meant"),
        (["evaluate", "x", "--stepz", "3"], "--stepz"),
        (["resume", "x", "--workers", "None"], "--workers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_that_the_parsers_find(words, says):
    done = quickstudy(*words)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_missing_data(tmp_path, monkeypatch):
    fails(3, "train", "maml", "--tasks", "folder", "--root", tmp_path / "nowhere", says="nowhere is not a folder")
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path / "nowhere"))
    fails(3, "train", "maml", "--tasks", "omniglot", says="nowhere")


def test_divergence(tmp_path):
    words = [*WAVES, "--steps", 4, "--meta-batch", 2, "--out", tmp_path / "r"]
    fails(
        5, "train", "maml", *words, "--inner-lr", "1e30", says=r"outer step 0: .*sample\(2, seed=\d+\).*step-00000000"
    )
    assert qs.Run.open(tmp_path / "r").steps() == [0]


def test_a_taken_folder(trained):
    before = (trained[0] / "config.json").read_bytes()
    fails(4, "train", "maml", *WAVES, "--out", trained[0], says="already holds a run")
    assert (trained[0] / "config.json").read_bytes() == before


# -- interrupt and resume ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_and_resumed(tmp_path, monkeypatch, signum):
    """Exit code 130, advice how to go on, and then the same weights, metrics and result as without the interruption."""
    words = ["train", "maml", *WAVES, "--steps", 6, "--checkpoint-every", 2, "--log-every", 2]
    assert quickstudy(*words, "--out", tmp_path / "straight").code == 0

    class Interrupts(ProgressLine):
        def __call__(self, now):
            super().__call__(now)
            if now.step == 3:
                os.kill(os.getpid(), signum)

    run = tmp_path / "interrupted"
    with monkeypatch.context() as patch:
        patch.setattr("quickstudy.cli.assemble.ProgressLine", Interrupts)
        fails(130, *words, "--out", run, says=f"stopped after outer step 4 of 6; `quickstudy resume {run}`")
    assert qs.Run.open(run).steps() == [2, 4]
    assert not (run / "results.jsonl").exists()
    done = quickstudy("resume", run)
    assert done.code == 0, done.err
    assert done.out.endswith(f"report: {run / 'report.html'}\n")
    first, second = qs.Run.open(tmp_path / "straight"), qs.Run.open(run)
    assert all(torch.equal(t, second.load().learner[name]) for name, t in first.load().learner.items())
    assert first.results() == second.results()
    assert [r["step"] for r in second.metrics() if "train/loss" in r] == [2, 4, 6]


def test_a_finished_run_resumed_says_so_and_adds_nothing(copied):
    files = ("config.json", "metrics.jsonl", "results.jsonl")
    before = [(copied / name).read_bytes() for name in files]
    done = quickstudy("resume", copied)
    assert done.code == 0, done.err
    assert "is finished: its 3 outer steps are trained and tested, so nothing is added" in done.err
    assert str(Result.from_json(lines(copied / "results.jsonl")[0])) in done.out
    assert [(copied / name).read_bytes() for name in files] == before


def test_a_run_that_was_killed_before_its_test_is_tested(copied):
    (copied / "results.jsonl").unlink()
    assert quickstudy("resume", copied).code == 0
    assert len(lines(copied / "results.jsonl")) == 1


def test_more_steps(copied):
    done = quickstudy("resume", copied, "--steps", 5)
    assert done.code == 0, done.err
    assert [r["step"] for r in lines(copied / "metrics.jsonl") if "train/loss" in r] == [1, 2, 3, 4, 5]
    assert len(lines(copied / "results.jsonl")) == 2
    assert config(copied)["training"]["steps"] == 5
    fails(4, "resume", copied, "--steps", 4, says=r"training\.steps was 5, is 4 now")


def test_a_run_of_ones_own_is_resumed_in_python(tmp_path):
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(8,)), loss="mse")
    qs.train(learner, qs.tasks.Sinusoids(), steps=1, meta_batch=2, out=tmp_path / "r")
    fails(2, "resume", tmp_path / "r", says="started from Python")


def test_interrupted_elsewhere(trained, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("quickstudy.cli.evaluate.score", interrupted)
    fails(130, "evaluate", trained[0], says="interrupted")


# -- evaluate ----------------------------------------------------------------------------------------------------


def test_evaluate_with_other_shots_and_steps(copied):
    words = words_of(shot=3, query=4, steps=4, n_tasks=6, seed=1, split="val", checkpoint=2)
    done = quickstudy("evaluate", copied, *words)
    assert done.code == 0, done.err
    assert "Glyphs val" in done.out
    assert "3-way 3-shot, 4 queries per class" in done.out
    record = lines(copied / "results.jsonl")[-1]
    assert (record["split"], record["checkpoint"], record["n_tasks"], record["seed"]) == ("val", 2, 6, 1)
    assert [step["step"] for step in record["by_step"]] == [0, 1, 2, 3, 4]


def test_evaluate_as_json_repeats_the_runs_own_test(copied):
    done = quickstudy("evaluate", copied, "--json", "--n-tasks", 6)
    assert done.code == 0, done.err
    result = json.loads(done.out)
    first, again = lines(copied / "results.jsonl")
    assert again == first
    assert result == {name: first[name] for name in result}


def test_evaluate_chooses_checkpoints(copied):
    for name, step in (("best", qs.Run.open(copied).best_step()), ("last", 3), ("2", 2)):
        assert quickstudy("evaluate", copied, "--n-tasks", 2, "--checkpoint", name).code == 0
        assert lines(copied / "results.jsonl")[-1]["checkpoint"] == step


def test_the_number_of_threads_changes_nothing(copied, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    words = ["evaluate", copied, "--n-tasks", 6, "--json"]
    assert quickstudy(*words, "--workers", 1).out == quickstudy(*words).out
    assert 1 in asked
    fails(2, *words, "--workers", 0, says="--workers must be at least 1, got 0")


def test_evaluate_says_what_cannot_be(copied, waves):
    before = (copied / "results.jsonl").read_text()
    fails(2, "evaluate", copied, "--way", 4, "--n-tasks", 2, says=r"model gives 3 outputs.*out_features = way")
    fails(2, "evaluate", copied, "--n-tasks", 1, says="at least 2 tasks")
    fails(2, "evaluate", copied, "--split", "exam", says="split must be one of")
    fails(2, "evaluate", copied, "--checkpoint", "newest", says="best, last or an outer step")
    fails(2, "evaluate", copied, "--steps", -1, says="steps=-1")
    fails(2, "evaluate", copied, "--device", "abacus", says="abacus")
    fails(4, "evaluate", copied, "--checkpoint", 1, says=r"no checkpoint of step 1.*\[2, 3\]")
    fails(2, "evaluate", waves[0], "--way", 3, says="sinusoids has no option way")
    assert (copied / "results.jsonl").read_text() == before


def test_a_result_that_cannot_be_saved_is_printed_all_the_same(copied):
    (copied / "results.jsonl").unlink()
    (copied / "results.jsonl").mkdir()
    done = quickstudy("evaluate", copied, "--n-tasks", 4)
    assert done.code == 0
    assert "accuracy" in done.out
    assert "could not be saved: cannot write" in done.err


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("learner", {"learners": "maml", "options": [1]}),
        ("learner", {"learners": "maml", "options": {"inner_lr": math.inf, "model": None}}),
        ("learner", {"a": {"b": {}}}),
        ("learner", None),
        ("tasks", {"tasks": "glyphs", "options": {"way": math.inf}}),
        ("tasks", {"tasks": "glyphs", "options": {"way": "x", "strength": 1}}),
        ("training", {"steps": math.inf, "seed": 0}),
        ("training", {"another": 1}),
        ("test", {"test_tasks": "x", "test_steps": "y", "test_query": [], "test_way": {}}),
        ("test", {}),
        ("validation", 3),
    ],
)
def test_a_configuration_that_may_be_anybodys(copied, part, value):
    (copied / "config.json").write_text(json.dumps({**config(copied), part: value}))
    for command in (["evaluate", copied, "--n-tasks", 2], ["resume", copied, "--steps", 4], ["report", copied]):
        done = quickstudy(*command)
        assert done.code in (0, 2, 3, 4), done.err  # never 1, of an error that nobody foresaw


def test_a_network_that_a_configuration_says_is_huge_is_not_built(copied):
    own = config(copied)
    own["learner"]["options"]["model"]["options"]["filters"] = 30_000
    (copied / "config.json").write_text(json.dumps(own))
    for command in ("evaluate", "resume"):
        fails(4, command, copied, says=r"config\.json describes .* but the weights are")


def test_what_a_terminal_would_obey_is_written_out(trained, drawings, tmp_path):
    shutil.copytree(drawings / "support", tmp_path / "support")
    (tmp_path / "support" / "character 0").rename(tmp_path / "support" / "a\x1b[31m\rb\nc")
    done = quickstudy("adapt", trained[0], "--support", tmp_path / "support", "--query", drawings / "query")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out + done.err
    assert "a\\x1b[31m\\rb\\nc" in done.out
    assert "\x1b" not in quickstudy("evaluate", "\x1b[31mno run").err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_of_few_letters_stops_nothing(copied, encoding):
    words = ["evaluate", str(copied), "--n-tasks", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "quickstudy", *words],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"accuracy" in done.stdout


@pytest.mark.parametrize("command", ["evaluate", "resume", "report", "adapt"])
def test_broken_run_folders(command, copied, tmp_path):
    more = ["--support", tmp_path, "--query", tmp_path] if command == "adapt" else []
    fails(4, command, tmp_path / "nowhere", *more, says="nowhere holds no run")
    own = (copied / "config.json").read_text()
    for text, says in (
        (own.replace('"format": 2', '"format": 99').replace(qs.__version__, "9.0"), "format 99 by quickstudy 9.0"),
        (own[:40], "should be JSON"),
    ):
        (copied / "config.json").write_text(text)
        fails(4, command, copied, *more, says=says)


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_damaged_checkpoints(command, copied):
    for file in (copied / "checkpoints").glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-5])
    fails(4, command, copied, says=r"step-0000000\d.safetensors is damaged")


# -- adapt -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawings(tmp_path_factory) -> Path:
    """A person's own few images: two drawings of each of three characters, four to be told apart."""
    root = tmp_path_factory.mktemp("drawings")
    batch = qs.tasks.Glyphs(way=3, shot=2, query=2, size=40, rotate=False).sample(1, 0)
    for part, examples in (("support", batch.support), ("query", batch.query)):
        for n, (x, y) in enumerate(zip(examples.x[0], examples.y[0].tolist(), strict=True)):
            path = root / part / (f"character {y}" if part == "support" else "") / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((255 - 255 * x[0]).round().byte().numpy()).save(path)
    return root


def test_adapt_prints_a_table(trained, drawings):
    done = quickstudy("adapt", trained[0], "--support", drawings / "support", "--query", drawings / "query")
    assert done.code == 0, done.err
    header, _, *rows, note = done.out.splitlines()
    assert re.split("  +", header) == ["image", "prediction", "character 0", "character 1", "character 2"]
    assert len(rows) == 6
    for row in rows:
        image, prediction, *percents = re.split("  +", row)
        values = [float(p.removesuffix("%")) for p in percents]
        assert (drawings / "query" / image).is_file()
        assert sum(values) == pytest.approx(100, abs=0.3)
        assert values[int(prediction.split()[1])] == max(values)
    assert "transductive" in note
    assert "depends on the other query images" in note


def test_adapt_prints_json(trained, drawings):
    words = ["--support", drawings / "support", "--query", drawings / "query", "--steps", 1, "--json"]
    predictions = json.loads(quickstudy("adapt", trained[0], *words).out)
    assert len(predictions) == 6
    for prediction in predictions:
        assert sum(prediction["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert max(prediction["probabilities"], key=prediction["probabilities"].get) == prediction["label"]


def test_adapt_chooses_checkpoints_and_devices(copied, drawings):
    words = ["adapt", copied, "--support", drawings / "support", "--query", drawings / "query", "--json"]
    best = quickstudy(*words, "--device", "cpu", "--workers", 1)
    assert best.code == 0, best.err
    assert best.out == quickstudy(*words, "--checkpoint", qs.Run.open(copied).best_step()).out
    assert best.out != quickstudy(*words, "--checkpoint", ({2, 3} - {qs.Run.open(copied).best_step()}).pop()).out
    fails(4, *words, "--checkpoint", 1, says="no checkpoint of step 1")
    fails(2, *words, "--device", "abacus", says="abacus")


def test_adapt_says_what_cannot_be(trained, waves, drawings, tmp_path):
    support, query = Path(shutil.copytree(drawings / "support", tmp_path / "support")), drawings / "query"
    shutil.copytree(support / "character 0", support / "character 3")
    both = ["--support", support, "--query", query]
    fails(2, "adapt", trained[0], *both, says="4 classes, but this learner tells 3 apart")
    fails(2, "adapt", waves[0], *both, says="trained on Sinusoids")
    fails(3, "adapt", trained[0], "--support", support, "--query", tmp_path / "nowhere", says="nowhere is no folder")
    shutil.rmtree(support / "character 3")
    (support / "character 0" / "0.png").write_bytes(b"no image")
    fails(3, "adapt", trained[0], *both, says=r"character 0/0\.png")


# -- report ------------------------------------------------------------------------------------------------------


def test_report_of_one_and_of_several(copied, waves, tmp_path):
    (copied / "report.html").unlink()
    done = quickstudy("report", copied)
    assert (done.code, done.out) == (0, f"report: {copied / 'report.html'}\n"), done.err
    assert (copied / "report.html").exists()
    out = tmp_path / "both.html"
    done = quickstudy("report", copied, waves[0], "--out", out)
    assert (done.code, done.out) == (0, f"report: {out}\n"), done.err
    assert copied.name in out.read_text()
    assert waves[0].name in out.read_text()


# -- demo --------------------------------------------------------------------------------------------------------


def test_demo_without_omniglot_uses_glyphs_and_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr("quickstudy.cli.demo.train", lambda argv: train([*argv, *TINY]))
    run = tmp_path / "demo"
    done = quickstudy("demo", "--out", run, "--steps", 1, "--seed", 3, "--workers", 1, "--device", "cpu")
    assert done.code == 0, done.err
    assert "Going on with drawn glyphs instead." in done.err
    assert config(run)["tasks"]["tasks"] == "glyphs"
    assert config(run)["training"]["clip"] == 10.0  # the demo preset's
    assert config(run)["training"]["seed"] == 3
    assert (run / "report.html").exists()
    again = quickstudy("demo", "--out", run)
    assert again.code == 0, again.err
    assert again.out == done.out


# -- others' learners, and what nobody foresaw -------------------------------------------------------------------

CENTROIDS = '''
import torch
from torch import nn
import torch.nn.functional as F
from quickstudy.learners import SupportQueryLearner


class Centroids(SupportQueryLearner):
    """Nearest class mean in the space of the outputs.

    Args:
        model: embeds examples.
        temperature: divides the distances, > 0.
    """

    def __init__(self, model: nn.Module, *, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def embed(self, x):
        return self.model(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def adapt(self, support):
        onto = F.one_hot(support.y).float()
        means = onto.mT @ self.embed(support.x) / onto.sum(1)[..., None]
        return lambda x: -torch.cdist(self.embed(x), means) / self.temperature
'''


def test_one_line_makes_a_third_partys_learner_trainable(tmp_path, monkeypatch, drawings):
    """Its options, help, run folder, evaluation, report and use on one's own images come with its registration."""
    (tmp_path / "third_party_learners.py").write_text(CENTROIDS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.LEARNERS, "centroids", "third_party_learners:Centroids")

    monkeypatch.setenv("COLUMNS", "300")
    assert json.loads(quickstudy("list", "--json").out)["learners"]["centroids"].startswith("Nearest class mean")
    words = ["train", "centroids", "--tasks", "glyphs", "--net", "mlp"]
    helped = quickstudy(*words, "--help").out
    assert re.search(r"--temperature FLOAT[\s│]+divides the distances, > 0\. \(default: 1\.0\)", helped)
    assert re.search(r"--steps INT[^(]*\([^d][^(]*\(default: 1000\)", helped)  # of a learner that brings no recipe

    words += [*SMALL, *words_of(size=16, way=3, hidden=8, steps=2, out=tmp_path / "r")]
    fails(2, *words, "--test-steps", 3, says="Centroids adapts in one go")
    done = quickstudy(*words, "--temperature", 0.5)
    assert done.code == 0, done.err
    assert config(tmp_path / "r")["learner"]["options"]["temperature"] == 0.5
    assert (tmp_path / "r" / "report.html").exists()
    assert quickstudy("evaluate", tmp_path / "r", "--way", 7, "--n-tasks", 2).code == 0
    assert quickstudy("resume", tmp_path / "r").code == 0
    adapted = quickstudy("adapt", tmp_path / "r", "--support", drawings / "support", "--query", drawings / "query")
    assert adapted.code == 0, adapted.err


def test_a_learner_in_the_current_folder(tmp_path, monkeypatch):
    """Its module is found there, and the run folder is named after the class."""
    (tmp_path / "own_learners.py").write_text(CENTROIDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(tmp_path))])
    words = ["train", "own_learners:Centroids", "--tasks", "glyphs", "--net", "mlp", *SMALL]
    try:
        done = quickstudy(*words, *words_of(size=16, way=3, hidden=8, steps=1))
    finally:
        registry.LEARNERS.pop("own_learners:Centroids", None)  # other tests count what there is
    assert done.code == 0, done.err
    assert (tmp_path / "runs" / "Centroids-glyphs-s0" / "report.html").exists()


def test_what_nobody_foresaw_is_one_line_too_unless_debugging(trained, monkeypatch):
    def broken(*args):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("quickstudy.cli.report.write_report", broken)
    fails(1, "report", trained[0], says="ZeroDivisionError: of all things. Run again with --debug")
    with pytest.raises(ZeroDivisionError):
        quickstudy("report", trained[0], "--debug")
    with pytest.raises(qs.RunError):
        quickstudy("--debug", "evaluate", "nowhere")


def test_warnings_are_a_line_each(trained, monkeypatch):
    import warnings

    def warns(*args):
        warnings.warn("mind the step", stacklevel=1)
        return "there"

    monkeypatch.setattr("quickstudy.cli.report.write_report", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = quickstudy("report", trained[0])
        shown = warnings.showwarning
    assert done == (0, "report: there\n", "warning: mind the step\n")
    assert shown is not cli._one_line_warning


# -- training on other ways than the test's ----------------------------------------------------------------------


def test_more_ways_in_training_than_in_the_test(more_ways):
    run, done = more_ways
    assert done.code == 0, done.err
    assert re.search(r"training on .* 5-way", done.err)
    assert "3-way" in done.out
    again = quickstudy("evaluate", run, "--n-tasks", 4)  # as the run's own test
    assert "3-way" in again.out, again.err
    assert "7-way" in quickstudy("evaluate", run, "--n-tasks", 4, "--way", 7).out
    resumed = quickstudy("resume", run)
    assert resumed.code == 0, resumed.err
    assert "3-way" in resumed.out


def test_adapt_to_more_classes_than_in_training(more_ways, tmp_path):
    batch = qs.tasks.Glyphs(way=7, shot=1, query=1, size=16).sample(1, 0)
    for part, examples in (("support", batch.support), ("query", batch.query)):
        for i, x in enumerate(examples.x[0]):
            folder = tmp_path / part / (f"c{i}" if part == "support" else "")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(((1 - x[0]) * 255).byte().numpy()).save(folder / f"{i}.png")
    done = quickstudy("adapt", more_ways[0], "--support", tmp_path / "support", "--query", tmp_path / "query", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert len(found) == 7
    assert list(found[0]["probabilities"]) == [f"c{i}" for i in range(7)]
