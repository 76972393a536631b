"""Classes by split: a pure function of each class's own name, with shares that make sense where there are few."""

import unicodedata

import numpy as np
import pytest
import torch

from quickstudy.core.errors import DataError
from quickstudy.tasks import Episodes, split_classes
from quickstudy.tasks.images.splits import LEAST, seed_that_gives, split_names


def names(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"{word:x}" for word in rng.choice(10**9, count, replace=False)]


def test_shares_of_many():
    sizes = [len(part) for part in split_names(names(0, 5000)).values()]
    assert sizes == pytest.approx([3200, 800, 1000], abs=100)


@pytest.mark.parametrize("count", [*range(6, 30)])
def test_shares_of_few_make_tasks(count):
    for seed in range(20):
        parts = split_names(names(seed, count))
        assert sorted(name for part in parts.values() for name in part) == sorted(names(seed, count))
        if len(parts["train"]) > LEAST:  # it lends
            assert min(map(len, parts.values())) >= LEAST
        other = seed_that_gives(names(seed, count), LEAST)
        assert other is None or min(map(len, split_names(names(seed, count), other).values())) >= LEAST


@pytest.mark.parametrize("count", [6, 8, 12, 40])
def test_a_class_that_is_added_takes_none_from_training(count):
    for seed in range(30):
        before = split_names(names(seed, count))
        for added in range(8):
            after = split_names([*names(seed, count), f"new{added}"])
            assert len(before["train"]) <= LEAST or set(before["train"]) <= set(after["train"])


def test_a_class_moves_no_other():
    """Renamed, added or gone; of 100 classes none is lent."""
    known = names(1, 100)
    before = split_names(known)
    for k in range(100):
        after = split_names([*known[:k], f"renamed {k}", *known[k + 1 :], "added"])
        for part, found in before.items():
            assert set(found) - {known[k]} == set(after[part]) - {f"renamed {k}", "added"}


def test_accents_are_one_name_however_they_are_written():
    for name in ("Zürich", "Łódź", "Élan", "東京"):
        pair = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
        where = [{part for part, found in split_names([one, *names(0, 50)]).items() if one in found} for one in pair]
        assert where[0] == where[1]


def test_texts_are_split_as_numbers_are():
    numbers = [i // 4 for i in range(100)]
    texts = [f"class{number:02}" for number in numbers]
    for of_numbers, of_texts in zip(split_classes(numbers), split_classes(np.array(texts)), strict=True):
        assert isinstance(of_numbers, torch.Tensor)
        assert [f"class{number:02}" for number in of_numbers.tolist()] == of_texts
        found = Episodes(torch.zeros(100, 2), texts, way=2, shot=1, query=1, classes=of_texts)
        assert found.class_names == tuple(of_texts)
    with pytest.raises(DataError, match=r"1 of 100 examples have no label, the first is example 0"):
        split_classes([None, *texts[1:]])
