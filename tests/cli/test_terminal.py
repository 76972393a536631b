"""What a person sees in a terminal."""

from quickstudy.cli.terminal import result_text, table, tell
from quickstudy.training.results import Result, StepScore


def test_table():
    assert table([["a", "long"], ["bcd", ""]], ["x", "yy"]).splitlines() == ["x    yy", "---  ----", "a    long", "bcd"]
    assert table([["水", "a"], ["b", "c"]], ["x", "y"]).splitlines() == ["x   y", "--  -", "水  a", "b   c"]


def result(metric, *steps):
    return Result(metric, tuple(StepScore(*s) for s in steps), n_tasks=9, seed=0, bn="none", tasks="some tasks")


def test_result_text():
    lines = result_text(result("accuracy", (0, 0.2, 0.01, 1.5), (5, 0.98765, 0.00123, 0.1))).splitlines()
    assert lines[0] == "accuracy 98.77% ± 0.12 (95% interval, 9 tasks; BatchNorm: none) on some tasks"
    assert [line.split() for line in lines[3:]] == [["0", "20.0%", "±", "1.0"], ["5", "98.77%", "±", "0.12"]]
    lines = result_text(result("mse", (0, 2.5, 0.1, 2.5), (1, 0.25, 0.01, 0.25))).splitlines()
    assert lines[0].startswith("mse 0.250 ± 0.010 (")
    assert [line.split() for line in lines[3:]] == [["0", "2.50", "±", "0.10"], ["1", "0.250", "±", "0.010"]]
    assert "\n" not in result_text(result("mse", (0, 2.5, 0.1, 2.5)))


def test_remarks_stay_out_of_the_output(capsys):
    tell("a remark")
    assert capsys.readouterr() == ("", "a remark\n")
