"""Labels of every kind: right, or refused by name; a class keeps its name."""

import numpy as np
import pytest
import torch

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import Episodes

IMAGES = torch.zeros(12, 1, 4, 4, dtype=torch.uint8)
LABELS = torch.arange(12) // 4
PANDAS = pytest.importorskip("pandas")
TEXTS = np.array(["wolf", "ant", "Élan"])[LABELS]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (TEXTS, ("ant", "wolf", "Élan")),
        (TEXTS.tolist(), ("ant", "wolf", "Élan")),
        (TEXTS.astype(object), ("ant", "wolf", "Élan")),
        (PANDAS.Series(TEXTS), ("ant", "wolf", "Élan")),
        (PANDAS.Categorical(TEXTS, categories=["Élan", "wolf", "ant", "none"]), ("ant", "wolf", "Élan")),
        (PANDAS.Series(LABELS.numpy(), dtype="Int64"), ("0", "1", "2")),
        (LABELS.double(), ("0", "1", "2")),
        (LABELS[:, None], ("0", "1", "2")),
        (LABELS.numpy()[:, None].tolist(), ("0", "1", "2")),
        ([*LABELS], ("0", "1", "2")),
        ([*LABELS.numpy()], ("0", "1", "2")),
        (LABELS.numpy().astype(np.uint64) + 2**63, tuple(str(2**63 + i) for i in range(3))),
        ([2**70 + i // 4 for i in range(12)], tuple(str(2**70 + i) for i in range(3))),
        ([1] * 4 + ["1"] * 4 + [b"b"] * 4, ("1", "'1'", "b")),
        ([True] * 6 + [False] * 6, ("False", "True")),
        (LABELS > 0, ("False", "True")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_labels_of_every_kind(labels: object, names: tuple[str, ...]) -> None:
    images = torch.arange(12.0)[:, None]
    episodes = Episodes(images, labels, way=2, query=3)
    assert episodes.class_names == names
    batch = episodes.sample(10, 0)
    assert batch.class_names is not None
    keys = [f"{type(one).__name__[:1]}{one}" for one in np.asarray(labels, object).reshape(-1)]
    of_name: dict[str, set[str]] = {}
    for x, y, called in zip(batch.query.x, batch.query.y, batch.class_names, strict=True):
        for one, label in zip(x, y, strict=True):
            of_name.setdefault(called[int(label)], set()).add(keys[int(one)])
    assert len(of_name) == len(names)
    assert all(len(found) == 1 for found in of_name.values()), "a name is one label"


MISSING = [None, float("nan"), np.nan, np.float32("nan"), PANDAS.NA, PANDAS.NaT, np.datetime64("NaT")]


@pytest.mark.parametrize("missing", MISSING, ids=str)
def test_labels_that_are_missing_are_named(missing: object) -> None:
    labels = [*TEXTS.tolist()[:-1], missing]
    for column in (labels, np.array([*labels, 0], object)[:-1], PANDAS.Series(labels)):
        with pytest.raises(DataError, match="1 of 12 examples have no label, the first is example 11"):
            Episodes(IMAGES, column, way=2, query=1)
    with pytest.raises(DataError, match="1 of 12 examples have no label"):
        Episodes(IMAGES, np.array([*LABELS[:-1].tolist(), np.nan]), way=2, query=1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.eye(3)[LABELS], r"one-hot\), pass labels.argmax\(1\)"),
        (torch.eye(3)[LABELS].tolist(), "one-hot"),
        ([[0, 1], [2]] * 6, "rows of several lengths"),
        (LABELS + 0.5, r"got 0.5 \(float\)"),
        (np.array(["2020-01-01"] * 12, "datetime64[D]"), "got .*datetime64"),
        ([object()] * 12, r"str\(label\)"),
        (7, "got a int"),
        ("abababababab", "got a str"),
        (LABELS * 1j, "complex"),
    ],
)
def test_labels_that_are_no_classes(labels: object, message: str) -> None:
    with pytest.raises(UsageError, match=f"labels must be whole numbers or texts.*{message}"):
        Episodes(IMAGES, labels, way=2, query=1)


def test_classes_are_asked_for_by_label_or_name() -> None:
    for classes in (["ant", "Élan"], np.array(["Élan", "ant"]), PANDAS.Series(["ant", "Élan"])):
        assert Episodes(IMAGES, TEXTS, way=2, query=1, classes=classes).class_names == ("ant", "Élan")
    named = {"names": ["ant", "bee", "cat"]}
    assert Episodes(IMAGES, LABELS, way=2, query=1, classes=["bee", "cat"], **named).class_names == ("bee", "cat")
    assert Episodes(IMAGES, LABELS, way=2, query=1, classes=[0, "cat"], **named).class_names == ("ant", "cat")
    with pytest.raises(
        UsageError, match=r"classes must be labels that occur, got \['dog'\] .*there are 'ant', 'wolf', 'Élan'"
    ):
        Episodes(IMAGES, TEXTS, way=1, query=1, classes=["dog", "ant"])


def test_tables() -> None:
    table = PANDAS.DataFrame({"a": np.arange(12.0), "b": np.arange(12)})
    assert Episodes(table, LABELS, way=2, query=1).x_shape == (2,)
    with pytest.raises(UsageError, match=r"examples must be numbers, got object .'x'.; encode"):
        Episodes(table.assign(c="x"), LABELS, way=2, query=1)
    with pytest.raises(DataError, match="1 of 12 examples hold NaN"):
        Episodes(table.assign(c=[np.nan] + [1.0] * 11), LABELS, way=2, query=1)
