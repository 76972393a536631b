"""Run folders that are not what they should be, in the commands that use one."""

import json
import math

import pytest

import quickstudy as qs
from commands import config, fails, quickstudy


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
