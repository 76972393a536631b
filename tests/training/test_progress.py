"""What a person sees of a long thing that is on its way."""

import io
import os
import re
import sys

import pytest

from quickstudy.cli.terminal import tell
from quickstudy.training.meters import Progress
from quickstudy.training.progress import ProgressLine, Waiting, progress_text


def progress(step, steps=10, **metrics):
    return Progress(step, steps, metrics or {"loss": 0.5, "accuracy": 0.8123}, {})


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def clock(monkeypatch):
    """The time that tqdm sees, in a list."""
    now = [100.0]
    for module in ("tqdm.std", "quickstudy.training.progress"):
        monkeypatch.setattr(f"{module}.time", lambda: now[0])
    return now


def shown(monkeypatch, clock, *, terminal, steps):
    """What stands on stderr after these (step, time), before and after closing."""
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    line = ProgressLine()
    for step, time in steps:
        clock[0] = time
        line(progress(step))
    before = stream.getvalue()
    line.close()
    line.close()
    return before, stream.getvalue()


def test_how_good_it_is():
    now = Progress(3, 10, {"loss": 0.5, "accuracy": 0.8123}, {"accuracy": 0.75, "ci95": 0.01, "loss": 9.0})
    assert progress_text(now) == "loss 0.500, accuracy 81.2%, validation accuracy 75.0% ± 1.0"


def test_on_a_terminal_the_bar_renews_itself(monkeypatch, clock):
    steps = [(1, 100.0), (2, 100.1), (3, 104.0), (4, 104.1)]
    before, after = shown(monkeypatch, clock, terminal=True, steps=steps)
    drawn = before.split("\r")[1:]
    assert ["/10" in text for text in drawn] == [True, True]  # the second step came too soon after the first
    assert "| 1/10 [" in drawn[0]
    for part in ("30%|", "| 3/10 [00:04<00:14,  2.00s/step", "loss 0.500, accuracy 81.2%]"):
        assert part in drawn[1]
    assert "\n" not in before
    assert after.startswith(before)
    assert "| 4/10 [" in after  # where it was stopped
    assert after.count("\n") == 1
    assert after.endswith("\n")


def test_in_a_log_there_is_a_line_now_and_then_and_the_last(monkeypatch, clock):
    steps = [(1, 100.0), (2, 114.0), (3, 116.0), (4, 117.0), (10, 118.0)]
    before, after = shown(monkeypatch, clock, terminal=False, steps=steps)
    lines = after.splitlines()
    assert [text.split()[1] for text in lines] == ["1/10,", "3/10,", "10/10,"]
    assert lines[0] == "step 1/10, loss 0.500, accuracy 81.2%"  # no rate is known yet
    assert lines[1] == "step 3/10, loss 0.500, accuracy 81.2%,  8.00s/step, 00:56 left"
    assert before.count("\n") == 2
    assert not set("\r\x1b") & set(after)
    stopped = shown(monkeypatch, clock, terminal=False, steps=[(1, 200.0), (2, 201.0)])[1].splitlines()
    assert [text.split()[1] for text in stopped] == ["1/10,", "2/10,"]


def test_a_terminal_without_rows_gets_lines(monkeypatch, clock):
    """As some have that no person looks at."""
    monkeypatch.setattr(Stream, "fileno", lambda self: 7)
    monkeypatch.setattr("os.get_terminal_size", lambda number: os.terminal_size((0, 0)))
    _, after = shown(monkeypatch, clock, terminal=True, steps=[(1, 100.0)])
    assert after.startswith("step 1/10, ")


def test_in_a_notebook_it_is_tqdms_widget(monkeypatch):
    import tqdm.notebook

    monkeypatch.setattr("tqdm.auto.tqdm", tqdm.notebook.tqdm_notebook)
    monkeypatch.setattr(sys, "stderr", Stream(terminal=False))
    assert ProgressLine()._waiting._make is tqdm.notebook.tqdm_notebook


def test_a_remark_in_between_has_a_line_of_its_own(monkeypatch, clock):
    for terminal in (True, False):
        stream = Stream(terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        line = ProgressLine()
        line(progress(1))
        tell("a remark")
        line.close()
        assert "a remark" in re.split("[\r\n]", stream.getvalue())


def test_it_says_first_what_matters_where_there_is_little_room():
    metrics = {"loss": 0.5, "accuracy": 0.8123, "grad_norm": 1.0, "inner_loss": 0.2}
    now = Progress(3, 10, metrics, {"accuracy": 0.75, "ci95": 0.01, "loss": 9.0})
    assert progress_text(now).endswith("inner_loss 0.200, validation accuracy 75.0% ± 1.0")
    assert progress_text(now, 62) == "loss 0.500, accuracy 81.2%, validation accuracy 75.0% ± 1.0"
    assert progress_text(now, 20) == "loss 0.500"
    assert progress_text(now, -9) == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_quick_shows_nothing_and_what_is_not_a_rate_from_the_start(monkeypatch, clock, terminal):
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "100")
    with Waiting("testing", "task") as waiting:
        for done in (25, 50):
            clock[0] += 0.3
            waiting(done, 50)
    assert stream.getvalue() == ""
    with Waiting("testing", "task") as waiting:
        for done in (25, 50, 75):
            clock[0] += 20
            waiting(done, 100)
    first = next(line for line in re.split("[\r\n]", stream.getvalue()) if line.strip())
    for part in ("testing: ", "25/100", "00:20<01:00" if terminal else "01:00 left"):
        assert part in first
