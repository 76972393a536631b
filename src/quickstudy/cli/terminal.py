"""What the command line shows: of a long run a bar that renews itself (into a log: a line now and then), tables."""

import os
import sys
from typing import Any

import tqdm.auto
import tqdm.notebook

from quickstudy.core.scores import score
from quickstudy.core.words import plain
from quickstudy.training.meters import Progress
from quickstudy.training.results import Result


class ProgressLine:
    """Shows progress on stderr by tqdm: on a terminal or in a notebook a bar, elsewhere a line every 15 seconds."""

    def __init__(self) -> None:
        bar: type[Any] = tqdm.auto.tqdm
        notebook = issubclass(bar, tqdm.notebook.tqdm_notebook)
        self._make = bar if notebook or _is_terminal() else _Lines
        self._bar: Any = None

    def __call__(self, now: Progress) -> None:
        if self._bar is None:  # from after the first step, which is slower than the others
            self._bar = self._make(
                total=now.steps,
                initial=now.step,
                unit="step",
                smoothing=0,
                miniters=1,
                mininterval=15 if self._make is _Lines else 0.2,
                dynamic_ncols=True,
                file=sys.stderr,
                postfix=progress_text(now),
            )
        self._bar.set_postfix_str(progress_text(now), refresh=False)
        self._bar.update(now.step - self._bar.n)

    def close(self) -> None:
        """Show the last step and end the line, so that what is told next starts on its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _is_terminal() -> bool:
    """Whether stderr can be written over; tqdm shows nothing on a terminal that says it has no rows."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).lines > 0
    except OSError:  # it has no size to ask for
        return True


class _Lines(tqdm.std.tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """tqdm for a file, where nothing can be written over: whole lines, none twice."""

    LINE = "step {n_fmt}/{total_fmt}{postfix}"

    def __init__(self, **options: Any) -> None:
        self._shown: int | None = None
        super().__init__(bar_format=self.LINE, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.n != self._shown:
            if self._shown is not None:  # from the second line on a rate is known
                self.bar_format = f"{self.LINE}, {{rate_fmt}}, {{remaining}} left"
            self._shown = self.n
            print(self, file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:
        """Nothing: what was written stays."""

    def close(self) -> None:
        if not self.disable:
            self.display()
            self.leave = False
        super().close()


def progress_text(now: Progress) -> str:
    """How good it is: the means since the last log, and the last validation's score."""
    parts = [_metric(name, value) for name, value in now.metrics.items()]
    return ", ".join(parts + [f"validation {_metric(n, value)}" for n, value in now.validation.items() if n != "loss"])


def _metric(name: str, value: float) -> str:
    return f"{name} {score(name).short(value)}"


def table(rows: list[list[str]], header: list[str]) -> str:
    """Columns, aligned, two blanks apart."""
    rows = [[plain(cell).replace("\n", "\\n") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def result_text(result: Result) -> str:
    """A result, and how it came about step by step."""
    if len(result.by_step) == 1:
        return str(result)
    text = score(result.metric).text
    rows = [[str(s.step), text(s.mean), text(s.ci95)] for s in result.by_step]
    return f"{result}\n{table(rows, ['inner steps', result.metric, '±'])}"


def tell(text: str) -> None:
    """A remark to the person, apart from the output proper, above a bar that is there."""
    tqdm.auto.tqdm.write(plain(text), file=sys.stderr)
    sys.stderr.flush()


def say(text: str) -> None:
    """The output proper."""
    print(plain(text))
