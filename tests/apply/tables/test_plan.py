"""What columns are taken for, and how they are read."""

import numpy as np
import pytest

import quickstudy as qs
from quickstudy.apply.tables.parsing import date_format, dates, number_style, numbers
from quickstudy.apply.tables.plan import Kind, Plan, kind_of
from quickstudy.apply.tables.table import Table, as_objects


@pytest.mark.parametrize(
    ("texts", "style", "values"),
    [
        (["1", "-2.5", "", "NA", "+1e3"], "point", [1, -2.5, np.nan, np.nan, 1000]),
        (["1,234.5", "7"], "point", [1234.5, 7]),
        (["1.234,5", "7"], "comma", [1234.5, 7]),
        (["0,5", "?", "12,25"], "comma", [0.5, np.nan, 12.25]),
        (["$3.50", "€4", "5%", "\u22126"], "point", [3.5, 4, 5, -6]),
        (["12 345", "1'000"], "point", [12345, 1000]),
        ([*"123456789" * 3, "unknown"], "point", [*range(1, 10)] * 3 + [np.nan]),
    ],
)
def test_numbers_however_they_are_written(texts, style, values):
    assert number_style(as_objects(texts)) == style
    assert np.array_equal(numbers(as_objects(texts), style), np.array(values, float), equal_nan=True)


@pytest.mark.parametrize("texts", [["01067", "80331"], ["1", "two", "3"], ["", "-"], ["1e999"], ["12-3"]])
def test_what_is_no_number(texts):
    assert number_style(as_objects(texts)) is None


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["2024-02-29", None, "2024-03-01"], "2024-02-29"),
        (["2024-02-29T10:30:00+02:00", "2024-03-01 00:00"], "2024-02-29T08:30"),
        (["29.02.2024", "01.03.2024"], "2024-02-29"),
        (["02/29/2024", "03/01/2024"], "2024-02-29"),
        (["29/02/24 10:30", "01/03/24 11:00"], "2024-02-29T10:30"),
        (["29-Feb-2024", "01-Mar-2024"], "2024-02-29"),
        (["February 29, 2024", "March 1, 2024"], "2024-02-29"),
    ],
)
def test_dates_however_they_are_written(texts, first):
    form = date_format(as_objects(texts))
    found = dates(as_objects(texts), form)
    assert found[0] == np.datetime64(first)
    assert np.isnat(found).tolist() == [text is None for text in texts]


@pytest.mark.parametrize("texts", [["A-1", "B-2"], ["soon", "later"], ["30.02.2024"], ["1:2:3:4"]])
def test_what_is_no_date(texts):
    assert date_format(as_objects(texts)) is None


TABLE = Table(
    {
        "PassengerId": as_objects(map(str, range(101, 113))),
        "count": as_objects(map(str, range(1, 13))),
        "size": as_objects([*"12345678901", ""]),
        "deck": as_objects(["A", "B", "none", "C"] * 3),
        "when": as_objects(f"{day:02d}.01.2024" for day in range(1, 13)),
        "name": as_objects(f"{letter} the {letter * 2}th" for letter in "abcdefghijkl"),
        "same": as_objects(["x"] * 12),
        "void": as_objects([""] * 12),
        "paid": as_objects(map(str, range(5, 17))),
    }
)


def test_what_the_columns_are():
    plan = Plan.of(TABLE)
    assert {name: kind.name for name, kind in plan.kinds.items()} == {
        "PassengerId": "id", "count": "id", "size": "number", "deck": "category", "when": "date", "name": "text",
        "same": "nothing", "void": "nothing", "paid": "number",
    }  # fmt: skip
    assert plan.lines(TABLE) == [
        "numbers: size (1 missing), paid",
        "dates: when",
        "categories: deck (3 missing)",
        "text: name",
        "id, not used: PassengerId, count",
        "left out: same, void",
    ]
    asked = Plan.of(TABLE, ids=["name"], leave_out=["deck"])
    assert asked.names("id") == ["PassengerId", "count", "name"]
    assert "deck" in asked.names("nothing")


def test_a_column_is_read_alike_wherever_it_comes_from():
    """A category of digits in a file may be numbers in a DataFrame, and so on."""
    category = Kind("category")
    assert category.read(np.array([1.0, np.nan, 2.5])).tolist() == ["1", None, "2.5"]
    assert Kind("number", "comma").read(as_objects(["1,5", "what"]))[0] == 1.5
    assert np.isnan(Kind("number").read(np.array(["2024-01-01"], "datetime64[us]"))).all()
    assert np.isnat(Kind("date", "iso").read(np.array([1.0]))).all()
    assert kind_of("x", np.array([1.0, 2.0])).name == "number"


def test_columns_that_are_not_there():
    plan = Plan.of(TABLE)
    with pytest.raises(qs.UsageError, match=r"lacks size, when; it has "):
        plan.read(TABLE.without(["size", "when", "same", "PassengerId"]))
    with pytest.raises(qs.UsageError, match=r"no column 'Size'; .* Did you mean 'size'\?"):
        TABLE.named("Size")
    assert TABLE.named("3") == "size"
