"""CUB, Fashion-MNIST and a folder with a file of splits, of few and small images."""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import CUB, FashionMNIST, SplitFolder
from quickstudy.tasks.images import cub, fashion_mnist

SHAPE = {"way": 2, "shot": 1, "query": 1}
NAMES = [f"{i:03}.Bird_{i}" for i in range(1, 13)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, own_cache: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(cub, "CLASSES", 12)
    monkeypatch.setattr(cub, "IMAGES", 24)
    monkeypatch.setattr(fashion_mnist, "EACH", {"train": 3, "t10k": 2})
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")


def test_cub_from_its_folder_and_downloaded(served, class_folders, tmp_path: Path, monkeypatch) -> None:
    folder, url = served
    class_folders(tmp_path / "CUB_200_2011" / "images", NAMES, 2)
    (tmp_path / "CUB_200_2011" / "README").write_text("birds")
    parts = {s: CUB(split=s, data=tmp_path, size=9, **SHAPE) for s in ("train", "val", "test")}
    numbers = {s: [int(name[:3]) for name in tasks.class_names] for s, tasks in parts.items()}
    assert numbers == {"train": [1, 3, 5, 7, 9, 11], "val": [2, 6, 10], "test": [4, 8, 12]}
    archive = Path(shutil.make_archive(str(folder / "CUB"), "gztar", tmp_path, "CUB_200_2011"))
    monkeypatch.setattr(cub, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setenv("QUICKSTUDY_CUB_URL", f"{url}/{archive.name}")
    found = CUB(split="test", size=9, **SHAPE).sample(3, 0)
    assert torch.equal(found.query.x, parts["test"].sample(3, 0).query.x)
    shutil.rmtree(tmp_path / "CUB_200_2011" / "images" / NAMES[0])
    with pytest.raises(DataError, match="holds 22 images of 11 species, expected 24 of 12"):
        CUB(data=tmp_path, size=9, **SHAPE)


def clothes(folder: Path) -> Path:
    """The four files; an image's first pixel is its label."""
    folder.mkdir(parents=True)
    for part, each in (("train", 3), ("t10k", 2)):
        labels = np.random.default_rng(each).permutation(np.arange(10, dtype=np.uint8).repeat(each))
        images = np.zeros((len(labels), 28, 28), np.uint8)
        images[:, 0, 0] = labels
        images[:, 0, 1] = each
        for name, content, header in (("images-idx3", images, 16), ("labels-idx1", labels, 8)):
            with gzip.open(folder / f"{part}-{name}-ubyte.gz", "wb", compresslevel=1) as file:
                file.write(bytes(header) + content.tobytes())
    return folder


def test_clothes(served, tmp_path: Path, monkeypatch) -> None:
    folder, url = served
    clothes(tmp_path / "fashion-mnist")
    parts = {s: FashionMNIST(split=s, data=tmp_path, **SHAPE) for s in ("train", "val", "test")}
    assert [len(tasks.class_names) for tasks in parts.values()] == [4, 3, 3]
    batch = parts["test"].sample(4, 0)
    for x, y, names in zip(batch.support.x, batch.support.y, batch.class_names, strict=True):
        told = [fashion_mnist.CLOTHES[round(float(one[0, 0, 0]) * 255)] for one in x]
        assert told == [names[int(label)] for label in y]
    every = {s: FashionMNIST(split=s, classes="all", data=tmp_path, **SHAPE) for s in ("train", "test")}
    images = {
        s: {round(float(x[0, 0, 1]) * 255) for x in tasks.sample(9, 0).query.x[:, 0]} for s, tasks in every.items()
    }
    assert images == {"train": {3}, "test": {2}}
    with pytest.raises(UsageError, match="way=4 is larger than the 3 classes"):
        FashionMNIST(split="test", data=tmp_path, **{**SHAPE, "way": 4})
    md5s = {}
    for part, files in fashion_mnist.FILES.items():
        for file in files:
            shutil.copy(tmp_path / "fashion-mnist" / f"{part}-{file}", folder)
            md5s.setdefault(part, {})[file] = hashlib.md5((folder / f"{part}-{file}").read_bytes()).hexdigest()
    monkeypatch.setattr(fashion_mnist, "FILES", md5s)
    monkeypatch.setenv("QUICKSTUDY_FASHION_MNIST_URL", url)
    assert torch.equal(FashionMNIST(split="test", **SHAPE).sample(4, 0).query.x, batch.query.x)
    for damage in (b"\x1f\x8b", gzip.compress(b"short")):
        (tmp_path / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(damage)
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.gz (cannot be read|is not Fashion-MNIST's)"):
            FashionMNIST(data=tmp_path, **SHAPE)


def test_a_folder_with_a_file_of_splits(class_folders, tmp_path: Path) -> None:
    root = tmp_path / "birds"
    class_folders(root, NAMES, 2)
    said = {"train": NAMES[:5], "val": NAMES[5:8], "test": NAMES[8:11]}  # one class is in none
    (tmp_path / "splits.json").write_text(json.dumps(said))
    tasks = SplitFolder(root, tmp_path / "splits.json", split="test", size=9, **SHAPE)
    assert tasks.class_names == tuple(NAMES[8:11])
    wanted = tasks.sample(3, 0).query.x
    lists = tmp_path / "lists"
    lists.mkdir()
    for part, names in said.items():
        (lists / f"{part}.txt").write_text("\n".join(names))
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "birds"))
    for where, splits in ((root, lists), (archive, lists)):
        assert torch.equal(SplitFolder(where, splits, split="test", size=9, **SHAPE).sample(3, 0).query.x, wanted)
    for part, names in said.items():
        (lists / f"{part}.txt").unlink()
        (lists / f"{part}.csv").write_text("filename,label\n" + "\n".join(f"x.png,{name}" for name in names))
    grey = SplitFolder(root, lists, split="test", size=9, colors="grey", **SHAPE)
    assert grey.x_shape == (1, 9, 9)
    assert torch.equal(SplitFolder(root, lists, split="test", size=9, **SHAPE).sample(3, 0).query.x, wanted)


@pytest.mark.parametrize(
    ("splits", "text"),
    [
        ({"train": ["a"], "val": ["b"]}, "it does not say train, val and test"),
        ({"train": ["a"], "val": "b", "test": ["c"]}, "a split is no list of names"),
        ({"train": ["a"], "val": ["b"], "test": ["a"]}, "'a' is in both train and test"),
        ({"train": ["abacus"], "val": ["b"], "test": ["c"]}, "has no images of the classes that are named, abacus"),
        ("nonsense", "cannot be read: .*Expected a JSON file"),
    ],
)
def test_files_of_splits_that_are_wrong(splits, text, class_folders, tmp_path: Path) -> None:
    class_folders(tmp_path / "birds", NAMES[:2], 1)
    (tmp_path / "splits.json").write_text(json.dumps(splits)[: -1 if splits == "nonsense" else None])
    with pytest.raises((DataError, UsageError), match=text):
        SplitFolder(tmp_path / "birds", tmp_path / "splits.json", **SHAPE)
    with pytest.raises(DataError, match="is not there; expected a folder"):
        SplitFolder(tmp_path / "nowhere", tmp_path / "splits.json", **SHAPE)
