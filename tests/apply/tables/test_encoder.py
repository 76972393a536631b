"""Tables of any columns as numbers: from files' texts, pandas, PyArrow and, where it is installed, polars."""

import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import quickstudy as qs
from quickstudy.apply.tables.encoder import TableEncoder
from quickstudy.apply.tables.table import Table, as_objects, as_table

DAYS = [datetime.datetime(2024, 1, 1) + datetime.timedelta(days=9 * i) for i in range(12)]
COLUMNS = {
    "size": [1.5, None, 3.0, None, *range(8)],
    "count": [*range(12)],
    "red": [True, False] * 6,
    "deck": ["A", "B", None, "C"] * 3,
    "when": [*DAYS[:11], None],
    "words": [f"the {n}th {word} was sold" for n, word in enumerate(("ant", "bee", "cat", "dog") * 3)],
}


def pandas():
    return pd.DataFrame(COLUMNS)


def typed():
    return pd.DataFrame(COLUMNS).convert_dtypes().astype({"deck": "category"})


def arrow():
    return pytest.importorskip("pyarrow").table(COLUMNS)


def polars():
    return pytest.importorskip("polars").DataFrame(COLUMNS)


@pytest.mark.parametrize("make", [pandas, typed, arrow, polars])
def test_frames_of_every_kind_give_the_same_numbers(make):
    encoder = TableEncoder().fit(pandas())
    kinds = {name: kind.name for name, kind in encoder.plan_.kinds.items()}
    assert kinds == {
        "size": "number", "count": "id", "red": "category", "deck": "category", "when": "date", "words": "text",
    }  # fmt: skip
    assert TableEncoder().fit(make()).plan_.names("number", "date") == ["size", "when"]
    found = encoder.transform(make())
    assert np.array_equal(found, encoder.transform(pandas()), equal_nan=True)
    assert found[:, 0].tolist()[:3] == pytest.approx([1.5, np.nan, 3.0], nan_ok=True)
    assert found[:, 1].tolist()[:4] == [0, 1, 0, 1]  # size is missing
    assert found[:, 2].tolist()[:2] == [1, 0]  # red


def test_files_give_the_same_numbers():
    texts = {
        name: as_objects("" if v is None else v.isoformat() if hasattr(v, "isoformat") else str(v) for v in values)
        for name, values in COLUMNS.items()
    }
    encoder = TableEncoder().fit(pandas())
    assert np.array_equal(encoder.transform(Table(texts)), encoder.transform(pandas()), equal_nan=True)


def test_values_that_were_not_seen_count_as_none():
    encoder = TableEncoder().fit(pandas())
    new = pandas().assign(deck="Z", words="", size="what", when=pd.NaT)
    found = encoder.transform(new)
    assert np.isfinite(found[:, 2:6]).all()
    assert np.isnan(found[:, 0]).all()
    assert np.isnan(found[:, 7:10]).all()


def test_it_stands_in_a_pipeline():
    labels = [*("ant", "bee", "cat", "dog") * 3]
    model = make_pipeline(TableEncoder(), LogisticRegression(C=100))
    assert cross_val_score(model, pandas()[["words", "red"]], labels, cv=3).mean() > 0.9


def test_the_tabular_classifier_takes_frames():
    labels = np.array(["odd", "even"])[np.arange(12) % 2]
    frame = pandas()[["deck", "red", "size"]]
    model = qs.TabularClassifier().fit(frame, labels)
    assert (model.predict(frame) == labels).all()
    again = qs.TabularClassifier().fit(TableEncoder().fit_transform(frame), labels)
    assert np.allclose(model.predict_proba(frame), again.predict_proba(TableEncoder().fit_transform(frame)))
    numeric = qs.TabularClassifier().fit(pandas()[["size", "count"]], labels)
    assert [*numeric.feature_names_in_] == ["size", "count"]  # as scikit-learn has it


def test_what_is_no_frame():
    with pytest.raises(qs.UsageError, match=r"must be a DataFrame .* got list"):
        TableEncoder().fit([[1, 2]])
    with pytest.raises(qs.UsageError, match=r"must be a DataFrame .* got ndarray"):
        as_table(np.zeros((2, 2)))
    with pytest.raises(qs.UsageError, match="no column that tells its rows apart"):
        TableEncoder().fit(pd.DataFrame({"same": [1, 1]}))
    with pytest.raises(qs.UsageError, match=r"several columns that are called a;"):
        TableEncoder().fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))
