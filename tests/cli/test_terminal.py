"""What a person sees in a terminal."""

import io
import sys

from quickstudy.cli.terminal import ProgressLine, progress_text, result_text, table, tell
from quickstudy.training.evaluation import Result, StepScore
from quickstudy.training.meters import Progress


def progress(step, steps=10, **metrics):
    return Progress(step, steps, metrics or {"loss": 0.5, "accuracy": 0.8123}, {}, 12.34, 75.0)


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


def test_one_line_tells_how_far_how_good_how_fast_how_long():
    now = Progress(3, 10, {"loss": 0.5, "accuracy": 0.8123}, {"accuracy": 0.75, "ci95": 0.01, "loss": 9.0}, 12.34, 75.0)
    text = progress_text(now)
    for part in (
        "step 3/10",
        "loss 0.500",
        "accuracy 81.2%",
        "validation accuracy 75.0%",
        "12.3 steps/s",
        "1 min 15 s left",
    ):
        assert part in text
    assert "9.0" not in text
    assert "\n" not in text


def test_on_a_terminal_the_line_renews_itself(monkeypatch):
    stream = Stream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    clock = iter([0.0, 0.1, 0.3, 0.35])
    monkeypatch.setattr("quickstudy.cli.terminal.time.monotonic", lambda: next(clock, 9.0))
    line = ProgressLine()
    for step in (1, 2, 3):
        line(progress(step))
    lines = stream.getvalue().split("\r\x1b[2K")[1:]
    assert lines
    assert "step 1/10" in lines[0]
    assert "step 2/10" not in stream.getvalue()  # too soon after the first
    assert "\n" not in stream.getvalue()
    line.close()
    line.close()
    assert stream.getvalue().count("\n") == 1
    line(progress(10))
    assert "step 10/10" in stream.getvalue()


def test_in_a_log_there_is_a_line_now_and_then_and_the_last(monkeypatch):
    stream = Stream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    now = [100.0]
    monkeypatch.setattr("quickstudy.cli.terminal.time.monotonic", lambda: now[0])
    line = ProgressLine()
    for step, time in ((1, 100.0), (2, 114.0), (3, 116.0), (4, 117.0), (10, 118.0)):
        now[0] = time
        line(progress(step))
    line.close()
    assert [text.split()[1] for text in stream.getvalue().splitlines()] == ["1/10", "3/10", "10/10"]
    assert "\x1b" not in stream.getvalue()


def test_table():
    assert table([["a", "long"], ["bcd", ""]], ["x", "yy"]).splitlines() == ["x    yy", "---  ----", "a    long", "bcd"]


def result(metric, *steps):
    return Result(metric, tuple(StepScore(*s) for s in steps), n_tasks=9, seed=0, bn="none", tasks="some tasks")


def test_result_text():
    lines = result_text(result("accuracy", (0, 0.2, 0.01, 1.5), (5, 0.98765, 0.00123, 0.1))).splitlines()
    assert lines[0] == "accuracy 98.77% ± 0.12 (95% interval, 9 tasks; BatchNorm: none) on some tasks"
    assert [line.split() for line in lines[3:]] == [["0", "20.00%", "1.00%"], ["5", "98.77%", "0.12%"]]
    lines = result_text(result("mse", (0, 2.5, 0.1, 2.5), (1, 0.25, 0.01, 0.25))).splitlines()
    assert lines[0].startswith("mse 0.2500 ± 0.0100")
    assert [line.split() for line in lines[3:]] == [["0", "2.5000", "0.1000"], ["1", "0.2500", "0.0100"]]
    assert "\n" not in result_text(result("mse", (0, 2.5, 0.1, 2.5)))


def test_remarks_stay_out_of_the_output(capsys):
    tell("a remark")
    assert capsys.readouterr() == ("", "a remark\n")
