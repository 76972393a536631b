"""What the command line shows: tables, results, remarks."""

import sys

import tqdm.auto
from tqdm.utils import disp_len

from quickstudy.core.scores import score
from quickstudy.core.words import plain
from quickstudy.training.progress import ProgressLine as ProgressLine
from quickstudy.training.results import Result


def table(rows: list[list[str]], header: list[str]) -> str:
    """Columns, aligned, two blanks apart; letters that take two columns count as two."""
    header, *rows = [[plain(cell).replace("\n", "\\n") for cell in row] for row in [header, *rows]]
    widths = [max(disp_len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    padded = ([cell + " " * (w - disp_len(cell)) for cell, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def result_text(result: Result) -> str:
    """A result, and how it came about step by step."""
    if len(result.by_step) == 1:
        return str(result)
    known = score(result.metric)
    rows = [[str(s.step), known.told(s.mean, s.ci95)] for s in result.by_step]
    return f"{result}\n{table(rows, ['inner steps', f'{result.metric} ± 95% interval'])}"


def tell(text: str) -> None:
    """A remark to the person, apart from the output proper, above a bar that is there."""
    tqdm.auto.tqdm.write(plain(text), file=sys.stderr)
    sys.stderr.flush()


def say(text: str) -> None:
    """The output proper."""
    print(plain(text))
