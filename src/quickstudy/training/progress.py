"""How far a long thing is, for who waits: on a terminal or in a notebook a bar, in a log a line now and then."""

import os
import shutil
import sys
from collections.abc import Callable
from time import time
from types import TracebackType
from typing import Any, TypeAlias

import tqdm.auto
import tqdm.notebook

from quickstudy.core.scores import score
from quickstudy.training.meters import Progress

Advance: TypeAlias = Callable[[int, int], None]
"""Told of a long thing, each time that it gets on: how much is done, and how much there is."""
AROUND = 52
"""Columns of a terminal that a bar takes beside what is said of how good it is."""


class Waiting:
    """Shows on stderr how far something is, by tqdm, with its rate and the time left.

    On a terminal or in a notebook it is a bar that renews itself, elsewhere a line every 15 seconds.

    Args:
        words: what is going on.
        unit: what is counted.
        after: seconds before which nothing is shown: what is quick needs no bar.
        whole: whether the first that is told may count for the rate (not, where it is slower than the others).
    """

    def __init__(self, words: str, unit: str, *, after: float = 1.0, whole: bool = True) -> None:
        bar: type[Any] = tqdm.auto.tqdm
        notebook = issubclass(bar, tqdm.notebook.tqdm_notebook)
        self._make = bar if notebook or is_terminal() else _Lines
        self._words, self._unit, self._after, self._whole = words, unit, after, whole
        self._begun = time()
        self._bar: Any = None

    def __call__(self, done: int, total: int, said: str = "") -> None:
        """Show how far it is, and perhaps something else."""
        if self._bar is None:
            self._bar = self._make(
                desc=f"{self._words}: " if self._words else None,
                total=total,
                initial=0 if self._whole else done,
                unit=self._unit,
                smoothing=0,
                miniters=1,
                mininterval=15 if self._make is _Lines else 0.2,
                delay=self._after,
                dynamic_ncols=True,
                leave=None,  # of one within another nothing stays
                file=sys.stderr,
                postfix=said or None,
            )
            if self._whole:
                self._bar.start_t = self._bar.last_print_t = self._begun
        if said:
            self._bar.set_postfix_str(said, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Show the last that was told and end the line, so that what is told next starts on its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ProgressLine:
    """Shows a training's progress: ``train(progress=True)``."""

    def __init__(self) -> None:
        self._waiting = Waiting("", "step", after=0, whole=False)  # the first step is slower than the others

    def __call__(self, now: Progress) -> None:
        room = shutil.get_terminal_size().columns - AROUND if is_terminal() else None
        self._waiting(now.step, now.steps, progress_text(now, room))

    def close(self) -> None:
        """Show the last step and end the line."""
        self._waiting.close()


def progress_text(now: Progress, room: int | None = None) -> str:
    """How good it is: the means since the last log, and the last validation's score.

    Args:
        now: what is told.
        room: columns that there are (None: any number); what comes last in importance is left out.
    """
    spread = now.validation.get("ci95")
    parts = [_metric(name, value) for name, value in now.metrics.items()]
    validated = [
        f"validation {_metric(name, value) if spread is None else f'{name} {score(name).told(value, spread)}'}"
        for name, value in now.validation.items()
        if name not in ("loss", "ci95")
    ]
    if room is None:
        return ", ".join([*parts, *validated])
    kept = list[str]()
    for part in [*parts[:2], *validated, *parts[2:]]:  # the loss and the score, as a rule
        if len(", ".join([*kept, part])) > room:
            break
        kept.append(part)
    return ", ".join(kept)


def is_terminal() -> bool:
    """Whether stderr can be written over; tqdm shows nothing on a terminal that says it has no rows."""
    try:
        return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).lines > 0
    except (OSError, ValueError):  # it has no size to ask for, or is closed
        return not sys.stderr.closed and sys.stderr.isatty()


class _Lines(tqdm.std.tqdm):  # pyright: ignore[reportMissingTypeArgument]
    """tqdm for a file, where nothing can be written over: whole lines, none twice."""

    LINE = "{desc}{unit} {n_fmt}/{total_fmt}{postfix}"

    def __init__(self, **options: Any) -> None:
        self._shown: int | None = None
        super().__init__(bar_format=self.LINE, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.n != self._shown:
            if self._shown is not None or self.initial == 0:  # a rate is known
                self.bar_format = f"{self.LINE}, {{rate_fmt}}, {{remaining}} left"
            self._shown = self.n
            print(self, file=self.fp, flush=True)

    def clear(self, nolock: bool = False) -> None:
        """Nothing: what was written stays."""

    def close(self) -> None:
        if not self.disable and self.last_print_t >= self.start_t + self.delay:
            self.display()
            self.leave = False
        super().close()


def _metric(name: str, value: float) -> str:
    return f"{name} {score(name).short(value)}"
