"""``quickstudy report``."""

from pathlib import Path

from quickstudy.cli.options import RunFolders
from quickstudy.cli.terminal import say
from quickstudy.core.errors import UsageError
from quickstudy.report import write_report
from quickstudy.training.runs import Run


def report(runs: RunFolders, *, out: Path | None = None) -> None:
    """Write a report of one run, or of several compared.

    Args:
        runs: run folders.
        out: the HTML file (None: report.html in the run; required for several).
    """
    if not runs:
        raise UsageError("name a run folder, or several.")
    if len(runs) > 1 and out is None:
        raise UsageError("for several runs, say where the report goes: --out FILE.html")
    say(f"report: {write_report([Run.open(path) for path in runs], out)}")
