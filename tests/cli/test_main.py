"""The command line, called as a person calls it: what all commands have in common, and its exit codes."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys

import pytest

import quickstudy as qs
from commands import fails, quickstudy
from quickstudy.cli import main as cli


def test_without_arguments_it_tells_what_there_is():
    done = quickstudy()
    assert done.code == 2
    for command in cli.COMMANDS:
        assert re.search(rf"^  {command} +\w.+", done.err, re.MULTILINE)
    for asking in ("-h", "--help"):
        helped = quickstudy(asking)
        assert (helped.code, helped.out, helped.err) == (0, done.err, "")
    assert qs.__version__ in done.err
    assert quickstudy("--version") == (0, f"quickstudy {qs.__version__}\n", "")


def test_an_unknown_command():
    done = quickstudy("trian")
    assert done.code == 2
    assert done.err.endswith("quickstudy: there is no command 'trian'. Did you mean 'train'?\n")
    assert "evaluate" in done.err
    assert quickstudy("chess").err.endswith("quickstudy: there is no command 'chess'.\n")


@pytest.mark.parametrize("command", sorted({*cli.COMMANDS} - {"evaluate"}))
def test_help_of_every_command_gives_defaults(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = quickstudy(command, "--help")
    assert done.code == 0, done.err
    assert f"usage: quickstudy {command}" in done.out
    assert done.err == ""
    options = re.findall(r"^  (--[\w-]+)(?: [A-Z]+(?: \.\.\.)?| [{][^}]+[}])?\s+(\w.+?) *$", done.out, re.MULTILINE)
    assert len(options) == len(re.findall("^  --", done.out, re.MULTILINE))
    required = {"adapt": {"--support", "--query"}, "export": {"--out"}}.get(command, set())
    assert {name for name, text in options if text.endswith(" (required)")} == required
    assert all("(default: " in text for name, text in options if name not in required)


# What they have in common, they call by the same name.
COMMON = {
    "adapt": {"steps", "checkpoint", "device", "workers", "json"},
    "optimize": {"steps", "checkpoint", "device", "workers", "seed", "json"},
    "demo": {"steps", "device", "workers", "seed"},
    "resume": {"device", "workers"},
}


@pytest.mark.parametrize("command", sorted(set(cli.COMMANDS) - {"train", "evaluate"}))
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
    options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert said == {f"{'no-' if p.default is True else ''}{p.name.replace('_', '-')}" for p in options}
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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "maml", "--tasks", "sinusoids", "--inner-steps", "few"], "--inner-steps"),
        (["train", "maml", "--tasks", "sinusoids", "--no-such-option", "1"], "no-such-option"),
        (["train", "maml", "--tasks", "folder"], "--root"),
        (["evaluate"], "run"),
        (["evaluate", "x", "--n-tasks", "many"], "--n-tasks"),
        (["train", "maml", "--test-quary", "3"], "Perhaps you meant"),
        (["adapt", "x"], "--support"),
        (["list", "--jsonn"], "Perhaps you meant"),
        (["adapt", "x", "--stepz", "3"], "--stepz"),
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


def test_interrupted_elsewhere(trained, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("quickstudy.cli.evaluate.score", interrupted)
    fails(130, "evaluate", trained[0], says="interrupted")


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
