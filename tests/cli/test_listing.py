"""``quickstudy list``."""

import json
import re

from commands import quickstudy
from quickstudy import registry


def test_list():
    done = quickstudy("list")
    assert done.code == 0
    for kind in ("learners", "tasks", "nets"):
        for name in registry.KINDS[kind]:
            assert re.search(rf"^  {name} +\w.{{10,}}", done.out, re.MULTILINE)
    listed = json.loads(quickstudy("list", "--json").out)
    assert {kind: set(names) for kind, names in listed.items()} == {
        kind: set(registry.KINDS[kind]) for kind in ("learners", "tasks", "nets")
    }
    assert all(line in done.out for names in listed.values() for line in names.values())
