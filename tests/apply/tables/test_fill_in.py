"""A table's empty cells: what is read, what is refused, what is filled in."""

import csv
from io import StringIO

import pytest

import quickstudy as qs
from quickstudy.apply.tables.fill_in import COLUMNS, ROWS, fill_in

ROWS_OF_TWO = [f"{i % 2 * 10 + i / 10},{'red' if i % 2 else 'blue'},{'b' if i % 2 else 'a'}" for i in range(12)]
TABLE = "\n".join(["size,colour,kind", *ROWS_OF_TWO, "0.5,blue,", "10.3,red,?"])


def test_the_last_column_with_empty_cells_is_filled_in():
    found = fill_in(TABLE)
    assert found.target == "kind"
    assert found.classes == ["a", "b"]
    assert [*found.filled] == [12, 13]
    assert found.table.column("kind")[-2:].tolist() == ["a", "b"]
    assert all(0.5 < sure <= 1 for sure in found.filled.values())
    assert found.checked == 1
    rows = list(csv.DictReader(StringIO(found.to_csv())))
    assert rows[-1]["kind"] == "b"
    assert float(rows[-1]["kind confidence"]) > 0.5
    assert rows[0]["kind confidence"] == ""


def test_another_column():
    found = fill_in(TABLE.replace("blue", "", 1), "colour")
    assert found.table.column("colour")[0] == "blue"
    assert found.table.column("kind")[-1] == "?"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_it_stays_written_as_it_was(separator):
    text = TABLE.replace(",", separator)
    found = fill_in("\ufeff" + text + "\n\n")
    assert [*found.table.columns] == ["size", "colour", "kind"]
    lines = [line.rpartition(separator)[0] for line in found.to_csv().splitlines()]
    assert lines[:-2] == text.splitlines()[:-2]


def test_the_first_row_names_the_columns_whatever_it_holds():
    rows = [f"{'ab'[i % 2]},{'xy'[i % 2]}" for i in range(12)]
    found = fill_in("\n".join(["a,b", *rows, "a,"]), "b")
    assert [*found.table.columns] == ["a", "b"]
    assert found.table.column("b")[-1] == "x"


def test_columns_that_tell_nothing_are_named():
    rows = [f"{i},1,{i * 7 % 5},{'ab'[i % 2]}" for i in range(12)]
    found = fill_in("\n".join(["id,same,x,y", *rows, "12,1,3,"]))
    assert found.silent == ["id", "same"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("a,b", "no rows of values"),
        ("a,b\n1,2\n1,2,3", "row 3 has 3"),
        (",".join(f"c{i}" for i in range(COLUMNS + 1)) + "\n" + "," * COLUMNS + "1", "at most"),
        ("a,b\n" + "1,2\n" * (ROWS + 1), "at most"),
        ('a,b\n"' + "x" * 140_000 + '",', "cannot be read"),
    ],
)
def test_no_table(text, says):
    with pytest.raises(qs.DataError, match=says):
        fill_in(text)


@pytest.mark.parametrize(
    ("text", "target", "says"),
    [
        ("a,b\n1,x\n2,y", None, "no cell is empty"),
        ("a,b\np,x\nq,y\np,", "a", "no cell of 'a'"),
        ("a,b\n1,x\n2,", "c", "no column 'c'"),
        ("a,b\n1,x\n2,", None, "one class only"),
        ("a,b\n" + "\n".join(f"{i},{i / 7}" for i in range(30)) + "\n5,", None, "30 different numbers"),
        ("a,b\np,x\np,y\np,", None, "no column beside"),
    ],
)
def test_nothing_to_fill_in(text, target, says):
    with pytest.raises(qs.UsageError, match=says):
        fill_in(text, target)
