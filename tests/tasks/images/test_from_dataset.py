"""Whatever the dataset is, the episodes are those of the same arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import Episodes, episodes_from

N = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (N, 3, 8, 8), dtype=np.uint8)
LABELS = np.arange(N) // 4
PICTURES = [Image.fromarray(one.transpose(1, 2, 0)) for one in PIXELS]
SHAPE: dict[str, Any] = {"way": 3, "shot": 1, "query": 3}


class Pictures(Dataset):
    """As torchvision's: Pillow images, a transform of its own, labels beside them; counts what is read."""

    def __init__(self, transform: Callable[[Any], Any] | None = None) -> None:
        self.transform = transform
        self.read: list[int] = []

    def __len__(self) -> int:
        return N

    def __getitem__(self, index: int) -> tuple[Any, int]:
        self.read.append(index)
        return PICTURES[index] if self.transform is None else self.transform(PICTURES[index]), int(LABELS[index])


def same(episodes: Episodes, x: Any = PIXELS, labels: Any = LABELS) -> None:
    expected = Episodes(x, labels, **SHAPE).sample(5, seed=1)
    found = episodes.sample(5, seed=1)
    assert torch.equal(found.support.x, expected.support.x)
    assert torch.equal(found.query.x, expected.query.x)
    assert found.query.x.dtype == expected.query.x.dtype


@pytest.mark.parametrize(
    "dataset",
    [
        (PIXELS, LABELS),
        (torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
        (PICTURES, LABELS.tolist()),
        {"target": LABELS, "data": PIXELS, "names": ["a", "b", "c"]},
        {"label": LABELS, "image": PICTURES},
        TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
        Subset(Pictures(), range(N)),
        [(picture, label) for picture, label in zip(PICTURES, LABELS, strict=True)],
        [{"y": torch.tensor(label), "id": i, "x": PIXELS[i]} for i, label in enumerate(LABELS)],
    ],
    ids=["arrays", "tensors", "lists", "bunch", "columns", "TensorDataset", "Subset", "pairs", "dicts"],
)
def test_any_dataset(dataset: Any) -> None:
    episodes = episodes_from(dataset, **SHAPE)
    same(episodes)
    assert episodes.x_shape == (3, 8, 8)


def test_each_example_is_read_once() -> None:
    pictures = Pictures()
    episodes_from(pictures, **SHAPE).sample(3, 0)
    assert sorted(pictures.read) == [0, *range(N)], "the first is looked at before all are read"


def test_arrays_are_not_copied() -> None:
    assert episodes_from((PIXELS, LABELS), **SHAPE).images is PIXELS


def test_transforms_of_the_dataset_and_of_the_call() -> None:
    def as_tensor(picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).double() / 255

    same(episodes_from(Pictures(as_tensor), **SHAPE), PIXELS / 255)
    same(episodes_from(Pictures(), transform=as_tensor, **SHAPE), PIXELS / 255)
    same(episodes_from((PIXELS, LABELS), transform=lambda one: one.mean((1, 2)), **SHAPE), PIXELS.mean((2, 3)))


def test_texts_become_token_ids_and_their_labels_numbers() -> None:
    texts = [(" " * i, ["b", "c", "a"][label]) for i, label in enumerate(LABELS)]
    episodes = episodes_from(texts, transform=lambda text: [len(text), 7], **SHAPE)
    ids = np.stack([np.arange(N), np.full(N, 7)], 1)
    same(episodes, ids, np.array([1, 2, 0])[LABELS])
    assert episodes.sample(1, 0).query.x.dtype == torch.int64
    with pytest.raises(UsageError, match="x is text; pass a transform"):
        episodes_from(texts, **SHAPE)


def test_several_splits_share_what_was_read() -> None:
    everything = episodes_from(Pictures(), way=1, shot=1, query=3)
    part = Episodes(everything.images, everything.labels, way=2, shot=1, query=3, classes=[0, 2])
    assert part.images is everything.images
    assert part.n_classes == 2


def test_pictures_of_several_sizes_and_modes() -> None:
    wide = [Image.new("RGB", (10 + i, 20), (20 * i, 0, 0)) for i in range(N - 1)] + [Image.new("L", (30, 40), 200)]
    dataset = (wide, LABELS)
    with pytest.raises(UsageError, match=r"first is uint8 \[3, 20, 10\] and example 1 uint8 \[3, 20, 11\]; pass size="):
        episodes_from(dataset, **SHAPE)
    with pytest.raises(UsageError, match=r"example 11 uint8 \[1, 6, 6\].* channels=1 or 3"):
        episodes_from(dataset, size=6, **SHAPE)
    episodes = episodes_from(dataset, size=6, channels=3, **SHAPE)
    assert episodes.x_shape == (3, 6, 6)
    assert episodes.images[:, :, 3, 3].tolist() == [[20 * i, 0, 0] for i in range(N - 1)] + [[200] * 3]
    assert episodes_from(dataset, size=6, channels=1, **SHAPE).x_shape == (1, 6, 6)


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(PICTURES, LABELS, strict=True)


@pytest.mark.parametrize(
    ("dataset", "options", "error", "message"),
    [
        (Stream(), {}, UsageError, r"Stream has no positions .* list\(dataset\)"),
        ((pair for pair in zip(PIXELS, LABELS, strict=True)), {}, UsageError, "generator has no positions"),
        ([], {}, UsageError, "empty"),
        ([*PIXELS], {}, UsageError, r"pairs \(x, label\) or dicts, got ndarray: without labels"),
        ([(one, None) for one in PIXELS], {}, DataError, "12 of 12 examples have no label, the first is example 0"),
        ((PIXELS, LABELS[:5]), {}, UsageError, "different lengths"),
        ((PIXELS, None), {}, UsageError, "different lengths, or without any"),
        ((PIXELS, LABELS / 2), {}, UsageError, "labels must be whole numbers or texts"),
        ((PIXELS, LABELS), {"size": 4}, UsageError, "for Pillow images, but x is a ndarray; resize it in a transform"),
        ({"a": PIXELS, "label": LABELS}, {}, UsageError, "which column holds the examples.* a, label; pass x=NAME"),
        ({"x": PIXELS, "b": LABELS}, {}, UsageError, "which column holds the labels.* x, b; pass y=NAME"),
        ({"x": PIXELS, "y": LABELS}, {"x": "z"}, UsageError, "There is no 'z' among x, y; pass x=NAME"),
        ([([1, 2], 0), ([1.5, 2], 0)], {}, UsageError, "first is int64 .* example 1 float32"),
        ([([[1], [1, 2]], 0)], {}, UsageError, "no array of one shape"),
        ([(object(), 0)], {}, UsageError, "x is a object, not numbers"),
        ((PIXELS, LABELS), {"size": 0}, UsageError, "size must be"),
        ((PIXELS, LABELS), {"way": 4}, UsageError, "way=4 is larger than the 3 classes"),
    ],
)
def test_what_cannot_work_is_refused(dataset: Any, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        episodes_from(dataset, **SHAPE | options)


def test_hugging_face_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "idx": datasets.Value("int64"),
            "picture": datasets.Image(),
            "fine": datasets.ClassLabel(names=["a", "b", "c"]),
            "vector": datasets.List(datasets.Value("float32")),
            "input_ids": datasets.List(datasets.Value("int32")),
            "kind": datasets.Value("string"),
        }
    )
    columns = {
        "idx": range(N),
        "picture": PICTURES,
        "fine": LABELS,
        "vector": PIXELS[:, :, 0, 0].astype(np.float32),
        "input_ids": PIXELS[:, 0, 0],
        "kind": ["zyx"[label] for label in LABELS],
    }
    dataset = datasets.Dataset.from_dict(columns, features)
    same(episodes_from(dataset, **SHAPE))  # the one image and the one class label column are found
    same(episodes_from(dataset.with_format("torch"), **SHAPE))
    same(episodes_from(dataset, x="vector", y="kind", **SHAPE), columns["vector"], 2 - LABELS)
    same(episodes_from(dataset.remove_columns("picture"), **SHAPE), columns["input_ids"].astype(np.int64))
    assert episodes_from(dataset, size=5, channels=1, **SHAPE).x_shape == (1, 5, 5)

    def transform(rows: dict[str, list[Any]]) -> dict[str, Any]:
        return {"pixel_values": [np.asarray(p)[..., 0] for p in rows["picture"]], "labels": rows["fine"]}

    same(episodes_from(dataset.with_transform(transform), **SHAPE), PIXELS[:, 0])
    with pytest.raises(UsageError, match=r"dict of datasets; choose one: dataset\['train'\] \(train, test\)"):
        episodes_from(datasets.DatasetDict({"train": dataset, "test": dataset}), **SHAPE)
    with pytest.raises(UsageError, match="IterableDataset has no positions"):
        episodes_from(dataset.to_iterable_dataset(), **SHAPE)
    unlabelled = datasets.Dataset.from_dict({**columns, "fine": [-1, *LABELS[1:]]}, features)
    with pytest.raises(DataError, match="1 of 12 examples have no label"):
        episodes_from(unlabelled, **SHAPE)


def test_scikit_learn_bunches() -> None:
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    iris = sklearn_datasets.load_iris()
    episodes = episodes_from(iris, **SHAPE)
    same(episodes, iris.data, iris.target)
    assert (episodes.x_shape, episodes.n_classes) == ((4,), 3)
    digits = sklearn_datasets.load_digits()
    assert episodes_from(digits, **SHAPE).x_shape == (1, 8, 8), "the images rather than their flattened form"
    assert episodes_from(digits, x="data", **SHAPE).x_shape == (64,)


def test_columns_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": np.arange(12.0), "b": 1.0})
    same(episodes_from((table, pandas.Series([*"bbbbccccaaaa"])), **SHAPE), table.to_numpy(), (LABELS + 1) % 3)
