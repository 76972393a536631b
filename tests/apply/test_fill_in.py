"""A table's empty cells: what is read, what is refused, what is filled in."""

import csv
from io import StringIO

import numpy as np
import pytest

import quickstudy as qs
from quickstudy.apply.csv_table import COLUMNS, ROWS, numbers_of, read_table, written
from quickstudy.apply.fill_in import fill_in

ROWS_OF_TWO = [f"{i % 2 * 10 + i / 10},{'red' if i % 2 else 'blue'},{'b' if i % 2 else 'a'}" for i in range(12)]
TABLE = "\n".join(["size,colour,kind", *ROWS_OF_TWO, "0.5,blue,", "10.3,red,?"])


def test_the_last_column_with_empty_cells_is_filled_in():
    found = fill_in(TABLE)
    assert found.target == "kind"
    assert found.classes == ["a", "b"]
    assert [*found.filled] == [12, 13]
    assert found.table.column("kind")[-2:] == ["a", "b"]
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
def test_separators(separator):
    table = read_table("\ufeff" + TABLE.replace(",", separator) + "\n\n")
    assert table.columns == ["size", "colour", "kind"]
    assert len(table.rows) == 14
    assert read_table(written(table)) == table


def test_quotes_and_decimal_commas():
    table = read_table('a;b\n"1,5";"x; ""y"""\n2;z')
    assert table.rows == [["1,5", 'x; "y"'], ["2", "z"]]
    assert numbers_of(table, "b")[0].tolist() == [[1.5], [2.0]]


def test_columns_that_tell_nothing_are_named():
    names = [f"n{i}" for i in range(8)]
    table = read_table("\n".join(["name,same,x,y", *(f"{n},1,{i},{'ab'[i % 2]}" for i, n in enumerate(names))]))
    x, silent = numbers_of(table, "y")
    assert silent == ["name"]
    assert x.shape == (8, 2)
    assert not np.isnan(x).any()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "first row"),
        ("a,b", "first row"),
        ("a\n1\n2", "one column"),
        ("a,b\n1,2\n1,2,3", "row 2 has 3 cells"),
        ("a,a\n1,", "two columns"),
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
        ("a,b\n1,x\n2,y\n3,", "a", "no cell of 'a'"),
        ("a,b\n1,x\n2,", "c", "no column 'c'"),
        ("a,b\n1,x\n2,", None, "two different answers"),
        ("a,b\n" + "\n".join(f"{i},{i / 7}" for i in range(30)) + "\n5,", None, "30 different answers"),
        ("a,b\np,x\nq,y\nr,", None, "no column beside"),
    ],
)
def test_nothing_to_fill_in(text, target, says):
    with pytest.raises(qs.UsageError, match=says):
        fill_in(text, target)
