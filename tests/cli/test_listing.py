"""``quickstudy list``."""

import json
import re

from commands import quickstudy
from quickstudy import registry


def test_list():
    done = quickstudy("list")
    assert done.code == 0
    kinds = ("learners", "tasks", "nets", "encoders")
    for kind in kinds:
        for name in registry.KINDS[kind]:
            assert re.search(rf"^  {name} +\w.{{10,}}", done.out, re.MULTILINE)
    listed = json.loads(quickstudy("list", "--json").out)
    assert {kind: set(names) for kind, names in listed.items()} == {kind: set(registry.KINDS[kind]) for kind in kinds}
    flowing = " ".join(done.out.split())
    assert all(line in flowing for names in listed.values() for line in names.values())


def test_families_and_lines_that_fit():
    lines = quickstudy("list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("learners")] == [
        f"learners, {family}:"
        for family in ("gradient", "optimizers", "metric", "in context", "memory", "generative", "agents")
    ]
    assert lines.index("learners, metric:") < lines.index(next(line for line in lines if line.startswith("  relation")))


def test_those_of_others_come_last(monkeypatch):
    monkeypatch.setitem(registry.LEARNERS, "mine", "json:JSONDecoder")
    out = quickstudy("list").out
    assert out.index("learners, agents:") < out.index("learners, yours:\n  mine ") < out.index("tasks, images:")
