"""``quickstudy table``."""

import csv
import json
import re

import pytest

from commands import fails, quickstudy

LINES = [f"{i + 500};{i % 7},{i % 5};{'red' if i % 3 else 'blue'};{'good' if i % 3 else 'bad'}" for i in range(30)]


@pytest.fixture
def files(tmp_path):
    """Rows with their class, rows whose class is to be told, and rows of both kinds."""
    head = "id;size;colour;class"
    new = [line.rpartition(";")[0] for line in LINES[20:]]
    (tmp_path / "train.csv").write_text("\n".join([head, *LINES[:20]]))
    (tmp_path / "new.csv").write_text("\n".join([head.removesuffix(";class"), *new, ""]))
    (tmp_path / "both.csv").write_text("\n".join([head, *LINES[:20], *(f"{line};" for line in new)]))
    return tmp_path


def test_new_rows_are_classified(files):
    done = quickstudy("table", files / "train.csv", "--target", "class", "--predict", files / "new.csv")
    assert done.code == 0, done.err
    assert "20 rows, 4 columns; semicolon between cells, UTF-8, a header" in done.err
    assert "numbers: size" in done.err
    assert "target class: bad (7), good (13)" in done.err
    header, _, *rows = done.out.splitlines()
    assert header.split() == ["id", "class", "p(bad)", "p(good)"]
    assert [row.split()[0] for row in rows] == [str(520 + i) for i in range(10)]
    assert [row.split()[1] for row in rows] == [line.rpartition(";")[2] for line in LINES[20:]]


def test_answers_go_into_a_file_and_rows_without_a_class_are_those_to_tell(files):
    out = files / "answers.csv"
    done = quickstudy("table", files / "both.csv", "--target", "4", "--method", "logistic", "--out", out)
    assert done.code == 0, done.err
    assert done.out == f"answers: {out}\n"
    rows = [*csv.DictReader(out.read_text().splitlines())]
    assert [row["id"] for row in rows] == [str(520 + i) for i in range(10)]
    assert all(float(row["p(bad)"]) + float(row["p(good)"]) == pytest.approx(1, abs=1e-3) for row in rows)


def test_a_check_says_how_well_it_goes(files, monkeypatch):
    from quickstudy.apply.tables import checking

    few = {"in-context": checking.METHODS["logistic"], "most frequent class": checking.METHODS["most frequent class"]}
    monkeypatch.setattr(checking, "METHODS", few)  # the in-context learner takes its time
    monkeypatch.setattr("quickstudy.apply.tables.methods.METHODS", few)
    done = quickstudy("table", files / "train.csv", "--target", "class", "--views", 1, "--folds", 2)
    assert done.code == 0, done.err
    assert re.search(r"^in-context learning +100\.00% ± 0\.00 +[\d.]", done.out, re.MULTILINE)
    assert "cross-validated on 20 rows in 2 folds, 5 times" in done.out
    words = ["table", files / "train.csv", "--target", "class", "--views", 1, "--folds", 2, "--json"]
    found = json.loads(quickstudy(*words, "--check", "--predict", files / "train.csv").out)
    assert {s["name"]: s["accuracy"] for s in found["check"]["scores"]}["in-context"] == 1
    assert found["answers"][0].keys() == {"id", "class", "probabilities"}


def test_what_cannot_be(files):
    fails(2, "table", files / "train.csv", says="say which column has the classes .* id, size, colour, class")
    fails(2, "table", files / "train.csv", "--target", "clas", says=r"Did you mean 'class'\?")
    fails(2, "table", files / "train.csv", "--target", "class", "--leave-out", "price", says="no column 'price'")
    fails(2, "table", files / "train.csv", "--target", "class", "--out", files / "a.csv", says="--out is for answers")
    fails(3, "table", files / "nowhere.csv", "--target", "class", says="cannot read .*nowhere")
    fails(2, "table", files / "train.csv", "--target", "class", "--views", 0, says="at least 1")
    (files / "other.csv").write_text("id;size\n1;2\n")
    words = ["table", files / "train.csv", "--target", "class", "--predict", files / "other.csv"]
    fails(2, *words, says="other.csv lacks colour; it has id, size")
