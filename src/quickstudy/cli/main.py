"""The command line: find the command, call it, turn what goes wrong into a line and an exit code.

Exit codes: 0 done, 2 wrong usage, 3 data missing or damaged, 4 a run folder that cannot be used, 5 training diverged,
130 interrupted (the run can be resumed), 1 anything else.

A command is a typed function, ``module:function``, imported when it is called for, so that the others cost it nothing.
"""

import importlib
import inspect
import io
import sys
import warnings
from typing import Any

from quickstudy.core.errors import QuickstudyError, UsageError
from quickstudy.core.words import meant, plain
from quickstudy.version import __version__

COMMANDS = {
    "demo": ("demo:demo", "Five minutes on two cores: MAML on Omniglot, with a report."),
    "train": ("train:train", "Meta-train a learner on tasks, test it, and write a report."),
    "sweep": ("sweep:sweep", "Train a grid: learners, settings, seeds; what is done is skipped."),
    "resume": ("resume:resume", "Go on with a run that was interrupted, as if it had not been."),
    "evaluate": ("evaluate:evaluate", "Test a trained run on unseen tasks, of another shape if wanted."),
    "adapt": ("adapt:adapt", "Apply a trained run to your own few images: a table of predictions."),
    "classify": ("classify:classify", "Classify your pictures from a few of each class; nothing is trained."),
    "export": ("export:export", "Write one ONNX file that classifies pictures as classify does."),
    "teach": ("teach:teach", "Open a page in the browser that you teach: drawings, photos, tables."),
    "report": ("report:report", "Write a report of one run, or of several compared."),
    "optimize": ("optimize:optimize", "Compare learned optimizers with tuned usual ones on some problems."),
    "table": ("table:table", "Classify the rows of a table from labelled ones; check how well."),
    "list": ("listing:listing", "List every learner, task distribution, net and encoder, a line each."),
}
"""By name: where in this folder the function is, and the first line of its docstring (not to import it for that)."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; gives the exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal's encoding lacks is written out, no reason to stop
            stream.reconfigure(errors="backslashreplace")
    argv = [a for a in argv if a != "--debug"]
    name = argv[0] if argv else ""
    if name == "--version":
        print(f"quickstudy {__version__}")
        return 0
    if name not in COMMANDS:
        asked = name in ("-h", "--help")
        print(_overview(), file=sys.stdout if asked else sys.stderr)
        if name and not asked:
            print(plain(f"\nquickstudy: there is no command {name!r}.{meant(name, COMMANDS)}"), file=sys.stderr)
        return 0 if asked else 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _one_line_warning
            _call(name, argv[1:])
    except SystemExit as stop:  # of the parsers, after --help or wrong usage, with all said
        return stop.code if isinstance(stop.code, int) else 2
    except QuickstudyError as error:
        if debug:
            raise
        print(plain(f"quickstudy: {error}"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(plain(f"\nquickstudy: {str(stop) or 'interrupted'}."), file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # whoever read the output has read enough
        return 0
    except Exception as error:
        if debug:
            raise
        what = plain(f"{type(error).__name__}: {error}")
        print(f"quickstudy: {what}. Run again with --debug to see where.", file=sys.stderr)
        return 1
    return 0


def _call(name: str, argv: list[str]) -> None:
    module, _, function = COMMANDS[name][0].partition(":")
    try:
        command = getattr(importlib.import_module(f"quickstudy.cli.{module}"), function)
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        extra = "pip install 'quickstudy[images]'"
        raise UsageError(f"quickstudy {name} needs scikit-learn, which is not installed here; {extra}.") from error
    parameters = inspect.signature(command).parameters.values()
    if [*inspect.signature(command).parameters] == ["argv"]:
        command(argv)  # what its options are depends on others of them
    elif not argv and all(p.default is not p.empty for p in parameters):
        command()  # nothing to parse, so no parser
    else:
        from quickstudy.cli.options import call

        call(command, argv, name=name)


def _overview() -> str:
    return "\n".join(
        [
            f"quickstudy {__version__}: learning to learn, made practical",
            "",
            "usage: quickstudy COMMAND ... (--help after a command tells its options;",
            "       --debug shows tracebacks; --version)",
            "",
            *(f"  {name:10}{summary}" for name, (_, summary) in COMMANDS.items()),
        ]
    )


def _one_line_warning(message: Warning | str, *_: Any) -> None:
    from quickstudy.cli.terminal import tell

    tell(f"warning: {message}")
