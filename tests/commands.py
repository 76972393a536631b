"""The command line, called as a person calls it; for the tests of every command."""

import contextlib
import io
import json
import re
from typing import NamedTuple

from quickstudy.cli import main as cli


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


def config(run):
    return json.loads((run / "config.json").read_text())


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]
