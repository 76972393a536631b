"""How well classes can be told, beside other methods; and which columns have no classes."""

import numpy as np
import pandas as pd
import pytest

import quickstudy as qs
from quickstudy.apply.tables.checking import MethodScore, TableCheck
from quickstudy.apply.tables.classified import classify
from quickstudy.apply.tables.labelled import Labelled


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size, kind = rng.normal(size=24), np.arange(24) % 3
    frame = pd.DataFrame({"id": np.arange(500, 524), "size": size + 4 * (kind == 1), "deck": np.array([*"aab"])[kind]})
    return frame.assign(y=np.array(["one", "two", "two"])[kind])


@pytest.fixture(scope="module")
def checked(frame) -> TableCheck:
    return qs.check_table(frame, "y", folds=2, repeats=1, views=1)


def test_what_is_checked_and_how(checked):
    assert [s.name for s in checked.scores] == [
        "in-context", "logistic", "extra-trees", "boosting", "most frequent class",
    ]  # fmt: skip
    assert (checked.rows, checked.folds, checked.repeats, checked.classes) == (24, 2, 1, {"one": 8, "two": 16})
    assert checked.columns == ("numbers: size", "categories: deck", "id, not used: id")
    ours, usual = checked.scores[0], checked.scores[-1]
    assert (ours.ahead, ours.ahead_ci95) == (0, 0)
    assert usual.accuracy == pytest.approx(2 / 3)
    assert ours.accuracy > 0.8
    assert usual.ahead == pytest.approx(usual.accuracy - ours.accuracy)
    assert "in-context learning: " in str(checked)
    assert str(checked).endswith(checked.advice)


def test_the_same_seed_gives_the_same(frame, checked, monkeypatch):
    from quickstudy.apply.tables import checking

    few = {name: make for name, make in checking.METHODS.items() if name in ("in-context", "most frequent class")}
    monkeypatch.setattr(checking, "METHODS", few)
    told = []
    again = qs.check_table(frame, "y", folds=2, repeats=1, views=1, progress=lambda done, of: told.append((done, of)))
    assert again.scores[0].accuracy == checked.scores[0].accuracy
    assert told == [(i, 4) for i in range(1, 5)]
    assert qs.check_table(frame, "y", folds=2, repeats=2, rows=12, views=1).rows == 12


def of(ours, other, wins, **more) -> TableCheck:
    scores = [
        MethodScore("in-context", ours, 0.05, 0, 0, 1),
        MethodScore("boosting", other, 0.05, other - ours, wins, 1),
    ]
    rest = {"rows": 9, "of_rows": 9, "classes": {}, "folds": 2, "repeats": 1, "columns": (), **more}
    return TableCheck((*scores, MethodScore("most frequent class", 0.5, 0.1, 0.5 - ours, 0.1, 1)), **rest)


def test_a_clear_word():
    better = of(0.8, 0.9, 0.02)
    assert better.better is better.scores[1]
    assert better.advice.startswith("Gradient boosting is better here than in-context learning, by 10.0 ± 2.0 points")
    assert of(0.8, 0.9, 0.12).advice == "No other method is clearly better here than in-context learning."
    assert of(0.9, 0.8, 0.02).advice == "In-context learning is clearly better here than the other methods."
    assert of(0.55, 0.58, 0.1).advice == "No method is clearly better than always saying the most frequent class."
    assert "seen on 9 of 99 rows" in of(0.8, 0.9, 0.02, of_rows=99).advice


@pytest.mark.parametrize(
    ("labels", "error", "says"),
    [
        (["x"] * 24, qs.UsageError, "'y' of the table has one class only, 'x' in 24 rows"),
        ([None] * 24, qs.DataError, "is empty in every row"),
        (np.linspace(0, 1, 24), qs.UsageError, r"24 different numbers from 0 to 1: amounts .* \(regression\)"),
        ([f"n{i}" for i in range(24)], qs.UsageError, "24 different values in 24 rows .* hardly a class comes twice"),
        (["a", "b", *[None] * 22], qs.UsageError, "has 2 rows of 2 classes with a known y: too few"),
    ],
)
def test_columns_without_classes(frame, labels, error, says):
    with pytest.raises(error, match=says):
        qs.check_table(frame.assign(y=labels), "y")


def test_what_cannot_be_asked(frame):
    with pytest.raises(qs.UsageError, match=r"no column 'Y'; .* Did you mean 'y'\?"):
        qs.check_table(frame, "Y")
    with pytest.raises(qs.UsageError, match=r"say which column has the classes .* id, size, deck, y"):
        qs.check_table(frame, None)
    with pytest.raises(qs.UsageError, match="folds must be a whole number >= 2"):
        qs.check_table(frame, "y", folds=1)


def test_many_whole_numbers_may_be_classes_and_words_for_gaps_too():
    known = Labelled.of(pd.DataFrame({"x": range(90), "y": [i % 30 for i in range(90)]}), "y")
    assert len(known.classes) == 30
    known = Labelled.of(pd.DataFrame({"x": [3, 1, 2, 5], "y": ["none", "-", "none", "?"]}), "y")
    assert known.classes == {"-": 1, "none": 2}
    assert len(known.rest) == 1


def test_rows_with_their_classes_and_without(frame):
    y = frame["y"].where(np.arange(24) % 4 > 0)
    known = Labelled.of(frame.assign(y=y), "y")
    found = classify(known, known.rest, name="logistic", views=1)
    assert found.kept["id"].tolist() == [500, 504, 508, 512, 516, 520]
    assert found.accuracy is None
    header, rows = found.rows()
    assert header == ["id", "y", "p(one)", "p(two)"]
    assert rows[0][:2] == ["500", found.labels[0]]
    assert found.csv().decode().splitlines()[0] == "id,y,p(one),p(two)"
    unnamed = Labelled.of(frame.drop(columns="id").assign(y=y), "y")
    assert [row[0] for row in classify(unnamed, unnamed.rest, name="logistic", views=1).rows()[1]] == [
        "1", "5", "9", "13", "17", "21",
    ]  # fmt: skip
    told = classify(known, known.like(frame), name="extra-trees", views=1)
    assert told.accuracy is not None
    assert told.accuracy[1] == 24
    with pytest.raises(qs.UsageError, match="no method 'oracle': in-context, logistic"):
        classify(known, known.rest, name="oracle", views=1)
