"""What the command line shows: of a long run one line that renews itself (into a log: one now and then), tables."""

import sys
import time

from quickstudy.core.words import duration
from quickstudy.training.evaluation import Result
from quickstudy.training.meters import Progress


class ProgressLine:
    """Prints progress to stderr: on a terminal in place, several times a second; elsewhere a line every 15 seconds."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.every = 0.2 if self.live else 15.0
        self.shown = -self.every
        self.open = False

    def __call__(self, now: Progress) -> None:
        if time.monotonic() - self.shown < self.every and now.step < now.steps:
            return
        self.shown = time.monotonic()
        text = progress_text(now)
        if self.live:
            print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
            self.open = True
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line, so that what is told next starts on its own."""
        if self.open:
            print(file=sys.stderr, flush=True)
            self.open = False


def progress_text(now: Progress) -> str:
    """One line: how far, how good, how fast, how long still."""
    parts = [f"step {now.step}/{now.steps}", *(_metric(name, value) for name, value in now.metrics.items())]
    parts += [f"validation {_metric(name, value)}" for name, value in now.validation.items() if name != "loss"]
    return "  ".join([*parts, f"{now.steps_per_second:.1f} steps/s", f"{duration(now.seconds_left)} left"])


def _metric(name: str, value: float) -> str:
    return f"{name} {100 * value:.1f}%" if name == "accuracy" else f"{name} {value:.3f}"


def table(rows: list[list[str]], header: list[str]) -> str:
    """Columns, aligned, two blanks apart."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def result_text(result: Result) -> str:
    """A result, and how it came about step by step."""
    if len(result.by_step) == 1:
        return str(result)
    show = "{:.2%}" if result.metric == "accuracy" else "{:.4f}"
    rows = [[str(s.step), show.format(s.mean), show.format(s.ci95)] for s in result.by_step]
    return f"{result}\n{table(rows, ['inner steps', result.metric, '±'])}"


def tell(text: str) -> None:
    """A remark to the person, apart from the output proper."""
    print(text, file=sys.stderr, flush=True)
