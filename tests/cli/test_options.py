"""Constructors become command line options."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import tyro
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.cli.assemble import CommandOptions
from quickstudy.cli.options import argument_help, make_options, options_of
from quickstudy.recipes import TestOptions, TrainingTaskOptions


class Example:
    """Something to choose.

    With a paragraph: that is no argument.

    Args:
        count: how many ``things``
            there are, over two lines.
        rate: per second, > 0. None: as fast
            as it goes.
        kind: ``a`` or ``b``.
        sizes: in pixels.
        bounds: (low, high).
        where: a path; text on a command line.
        function: no option.
        model: no option either.

    Raises:
        ValueError: never: this is no argument.
    """

    def __init__(
        self,
        model: nn.Module,
        count: int,
        *,
        rate: float | None = None,
        kind: Literal["a", "b"] = "a",
        sizes: tuple[int, ...] = (1, 2),
        bounds: tuple[float, float] = (0.0, 1.0),
        where: str | Path = "here",
        how: str | Callable[[int], int] = "fast",
        function: Callable[[int], int] | None = None,
        nested: tuple[nn.Module, ...] = (),
        fine: bool = False,
    ) -> None: ...


def plain(annotated):
    assert get_origin(annotated) is Annotated
    return get_args(annotated)[0]


def test_what_a_command_line_can_say_becomes_an_option():
    found = {name: (plain(kind), default) for name, (kind, default) in options_of(Example).items()}
    assert list(found) == ["count", "rate", "kind", "sizes", "bounds", "where", "how", "fine"]
    assert found["rate"] == (float | None, None)
    assert found["kind"] == (Literal["a", "b"], "a")
    assert found["sizes"] == (tuple[int, ...], (1, 2))
    assert found["where"] == (str, "here")
    assert found["how"] == (str, "fast")
    assert found["fine"] == (bool, False)


def test_some_may_be_left_out():
    assert "kind" not in options_of(Example, leave_out=("kind", "rate"))


def test_help_is_the_docstrings():
    texts = argument_help(Example)
    assert texts["count"] == "how many things there are, over two lines."
    assert texts["rate"] == "per second, > 0. None: as fast as it goes."
    assert set(texts) == {"count", "rate", "kind", "sizes", "bounds", "where", "function", "model"}
    assert argument_help(lambda x: x) == {}


def test_a_function_works_too():
    found = options_of(qs.train, leave_out=("resume", "progress"))
    assert {"steps", "meta_lr", "optimizer", "seed", "clip"} <= set(found)
    assert not {"learner", "tasks", "validation", "progress", "notes", "resume"} & set(found)


def test_make_options():
    groups = [options_of(Example), {"count": (str, "shadowed"), "more": (int, 7)}]
    cls = make_options("Options", groups, {"rate": 2.5})
    made = cls(count=3)
    assert dataclasses.asdict(made) == {
        "count": 3, "rate": 2.5, "kind": "a", "sizes": (1, 2), "bounds": (0.0, 1.0), "where": "here", "how": "fast",
        "fine": False, "more": 7,
    }  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.count = 4
    with pytest.raises(TypeError, match="count"):
        cls()
    assert make_options("Options", groups, {"count": 9})().count == 9
    with pytest.raises(qs.UsageError, match="no such option: speed, weight"):
        make_options("Options", groups, {"weight": 1, "speed": 2})


def test_the_options_are_read_from_a_command_line():
    cls = make_options("Options", [options_of(Example)], {})
    numbers = ["--count", "3", "--rate", "None", "--sizes", "4", "5", "6", "--bounds", "-1", "2.5"]
    words = [*numbers, "--kind", "b", "--fine", "--where", "there"]
    made: Any = tyro.cli(cls, args=words)
    assert (made.count, made.rate, made.kind, made.sizes, made.bounds) == (3, None, "b", (4, 5, 6), (-1.0, 2.5))
    assert (made.fine, made.where) == (True, "there")


def test_what_has_no_default_must_be_given(capsys):
    cls = make_options("Options", [options_of(Example)], {})
    with pytest.raises(SystemExit) as stop:
        tyro.cli(cls, args=[])
    assert stop.value.code == 2
    assert "--count" in capsys.readouterr().err


TARGETS = [registry.load(kind, name) for kind in ("learners", "tasks", "nets") for name in registry.KINDS[kind]]


@pytest.mark.parametrize(
    "target", [*TARGETS, qs.train, CommandOptions, TestOptions, TrainingTaskOptions], ids=lambda t: t.__name__
)
def test_everything_on_the_command_line_explains_all_its_options(target):
    for option in options_of(target):
        text = argument_help(target).get(option, "")
        assert text, f"{option} is not explained"
        assert "`" not in text
